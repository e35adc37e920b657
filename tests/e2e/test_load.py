# SPDX-License-Identifier: Apache-2.0
"""Full load: nothing is lost."""

import os
import signal
import subprocess

import pytest

import frameworks
from harness import wait_for

SECONDS = int(os.environ.get("BITTERN_LOAD_SECONDS", 60))
CONNECTIONS = 64


@pytest.mark.timeout(SECONDS + 60)
def test_every_request_of_wrk_at_full_speed_is_counted(service, agent):
    bittern = agent()
    shop = service([frameworks.NODE, "counting.js"], "odd")
    wrk = subprocess.run(
        ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}", f"http://127.0.0.1:{shop.port}/hello"],
        capture_output=True, text=True, check=True)
    shop.settle()  # wrk leaves requests behind that the server still answers
    os.kill(shop.pid, signal.SIGUSR2)
    served = int(wait_for(shop.truth_file.read_text, "count of the server"))
    page = bittern.scrape()
    counted = page.counts("odd")
    print(wrk.stdout, f"{served} served, {sum(counted.values())} counted", counted)
    assert not page.losses()
    assert sum(counted.values()) == served
    # What wrk dropped at its end may have failed to be answered.
    assert served - CONNECTIONS <= counted["GET", "/hello", "200"] <= served
    assert {method for method, _, _ in counted} == {"GET"}
