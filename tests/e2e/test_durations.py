# SPDX-License-Identifier: Apache-2.0
"""Durations against those that the application measured itself: the mean, and the place of every
value among the histogram's buckets (median and maximum are among them). The service runs with
real-time priority: else it is often preempted by its client right after a send, before it takes
the time."""

import random

import pytest

import frameworks
import load
from expect import assert_exact, truth_counts

KINDS = ["plain", "streamed", "big", "file"]
COUNT_ONE = {1: 20, 10: 10, 100: 3}  # ms -> requests by one client
COUNT_MANY = {1: 64, 10: 64, 100: 32, 1000: 16}  # by 16 clients together
DURATION = "http_server_request_duration_seconds"


def requests(count_by_ms):
    wanted = [load.Request("GET", f"/sleep{ms}/{kind}")
              for ms, count in count_by_ms.items() for kind in KINDS for _ in range(count)]
    random.Random(1).shuffle(wanted)
    return wanted


def problems(page, name, path, seconds, tolerance_s):
    """What of the path's histogram does not agree with the durations the application measured."""
    labels = {"service_name": name, "http_route": path}
    mean = sum(seconds) / len(seconds)
    measured = page.total(f"{DURATION}_sum", **labels) / page.total(f"{DURATION}_count", **labels)
    if abs(measured - mean) > max(tolerance_s, mean * 0.01):
        yield f"{path}: mean {measured * 1e3:.3f} ms, should be {mean * 1e3:.3f}"
    for sample in page.samples:
        if sample.name == f"{DURATION}_bucket" and labels.items() <= sample.labels.items():
            bound = float(sample.labels["le"])
            slack = [max(tolerance_s, s * 0.01) for s in seconds]
            least = sum(s + x <= bound for s, x in zip(seconds, slack))
            most = sum(s - x <= bound for s, x in zip(seconds, slack))
            if not least <= sample.value <= most:
                yield f"{path}: {sample.value} up to {bound} s, should be {least} to {most}"


ATTEMPTS = 3


def check(*arguments):
    """Other work on the machine comes between the application's clock and the kernel's, and only
    ever adds to the difference: one round of three within the tolerance shows that it holds. The
    counts are exact in each."""
    for attempt in range(ATTEMPTS):
        wrong = measure(*arguments)
        if not wrong:
            return
        print(f"round {attempt + 1}:", *wrong, sep="\n  ")
    assert not wrong, "\n".join(wrong)


def measure(service, agent, what, name, count_by_ms, connections, tolerance_s):
    bittern = agent()
    shop = service(what, "odd", prefix=["chrt", "-f", "1"])
    result = load.run(shop.address, requests(count_by_ms), connections=connections)
    assert not result.errors
    lines = shop.truth(len(result.samples))
    page = bittern.scrape()
    assert_exact(page, name, truth_counts(lines))
    seconds = {}
    for line in lines:
        seconds.setdefault(line["path"], []).append(line["duration_ns"] / 1e9)
    bittern.stop_clean()
    shop.stop()
    return [p for path in sorted(seconds)
            for p in problems(page, name, path, seconds[path], tolerance_s)]


TIMED = [frameworks.BIN / "python", "timed.py"]
FRAMEWORKS = ["node", "fastapi-httptools-uvloop", "aiohttp", "flask-gthread", "stdlib"]


def test_one_client_within_20_us(service, agent):
    check(service, agent, TIMED, "odd", COUNT_ONE | {1000: 1}, 1, 20e-6)


def test_16_clients_within_300_us(service, agent):
    check(service, agent, TIMED, "odd", COUNT_MANY, 16, 300e-6)


# Frameworks cannot measure so finely: they begin after parsing, and end before or after the last
# send. Under load an event loop reads a batch of requests before the first handler begins; node
# runs each at once.
@pytest.mark.parametrize("framework, connections", [(f, 1) for f in FRAMEWORKS] + [("node", 16)])
def test_frameworks_agree_within_their_own_precision(service, agent, framework, connections):
    check(service, agent, framework, frameworks.BY_ID[framework].name,
          COUNT_ONE if connections == 1 else COUNT_MANY, connections, 1e-3)
