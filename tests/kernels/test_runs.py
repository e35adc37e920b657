# SPDX-License-Identifier: Apache-2.0
"""bittern on a kernel that it runs on. Runs in a guest: see run.sh."""

import os
import pathlib
import socket
import subprocess

import pytest

import load
from expect import assert_exact, assert_exact_or_lost, assert_same, truth_counts
from harness import AGENT, free_port

BUILT = pathlib.Path(AGENT).parent / "tests"
# From Linux 7.0 on a hook can be preempted; its next run on that CPU is skipped, and counted.
CAN_SKIP = int(os.uname().release.partition(".")[0]) >= 7
# Not bpf_cpu... where a run can be skipped: of the hooks on threads nobody takes what was missed.
BPF_TESTS = sorted({p.stem for p in pathlib.Path(__file__).parent.parent.glob("bpf_*.c")}
                   - ({"bpf_cpu", "bpf_cpu_threads"} if CAN_SKIP else set()))
REQUESTS = 200
SLOW = load.Request("GET", "/sleep600/plain")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_check_says_that_bittern_can_run():
    ran = run(AGENT, "check")
    lines = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "variant                        main (tp_btf)" in lines
    assert lines[-1] == "verdict                        bittern can run here"


@pytest.mark.parametrize("name", BPF_TESTS)
def test_hooks(name):
    ran = run(BUILT / name)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("framework", ["stdlib", "node"])
def test_requests_of_both_sides_are_counted_exactly(service, agent, framework):
    name = framework + "-shop"
    shop = service(framework)
    bittern = agent("--timeout", "1m", "--timeout", f"{name}:{SLOW.path}=300ms")
    result = load.run(shop.address, [SLOW, *load.mixed(REQUESTS - 1)], connections=4)
    closed = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed))
    assert not result.errors
    truth = truth_counts(shop.truth(REQUESTS))
    assert_same(truth, result.counts(), "the service")

    page = bittern.scrape()
    if CAN_SKIP and page.losses().get("skipped_run"):
        print("losses:", page.losses())
        return assert_exact_or_lost(page, name, truth)
    assert_exact(page, name, truth)
    failed = sum(n for (_, _, status), n in truth.items() if status >= 500)
    ended = {outcome: page.total("bittern_http_server_requests_total", service_name=name,
                                 outcome=outcome) for outcome in ("ok", "error", "timeout")}
    assert ended == {"ok": REQUESTS - failed - 1, "error": failed, "timeout": 1}
    assert page.total("bittern_http_server_requests_total", http_route=SLOW.path,
                      outcome="timeout") == 1
    unknown = REQUESTS - page.total("bittern_http_server_queue_duration_seconds_count",
                                    service_name=name)
    assert 0 <= unknown <= page.total("bittern_agent_missed_arrivals_total")
    assert page.total("http_client_request_duration_seconds_count",
                      server_port=str(shop.port)) == REQUESTS
    assert page.total("bittern_client_connect_failures_total", server_port=str(closed),
                      error_type="connection_refused") == 1
