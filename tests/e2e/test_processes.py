# SPDX-License-Identifier: Apache-2.0
"""Processes of a service that come and go: how many there are, and how each one ended."""

import collections
import http.client
import os
import pathlib
import signal
import urllib.request

import pytest

import frameworks
import harness
from harness import Program, wait_for

MORTAL = "mortal"  # the name of the service, its folder and its module
NODE_COMMAND = [frameworks.NODE, "mortal.js"]
TWO_WORKERS = 1 + 2  # with their master


def ask(shop, path):
    """Whether there was an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{shop.port}{path}", timeout=20) as response:
            return response.status == 200
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return False


def processes(page, name):
    """None when the service is not there."""
    values = [int(s.value) for s in page.samples
              if s.name == "bittern_service_processes" and s.labels["service_name"] == name]
    assert len(values) <= 1
    return values[0] if values else None


def exits(page, name):
    """how -> exits; how is exit_code or signal, and oom."""
    counts = collections.Counter()
    for s in page.values("bittern_service_process_exits_total", service_name=name):
        how = s.labels.get("exit_code") or s.labels["signal"]
        counts[how + (" oom" if s.labels.get("oom") == "true" else "")] += int(s.value)
    return counts


def state(bittern, name=MORTAL):
    page = bittern.scrape()
    assert not page.losses()
    return processes(page, name), dict(exits(page, name))


def workers(master):
    return {int(pid) for pid in
            pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()}


def replaced(shop, before, count=2):
    """The workers, once there are count, none of them is of those before, and all wait for work:
    one that has just been forked does not yet end as it is told to."""
    def new():
        now = workers(shop.pid)
        return now if len(now) == count and not now & before else None
    now = wait_for(new, f"workers in place of {before}")
    shop.settle()
    return now


def one_replaced(shop, before):
    """Waits until one of those before has gone, and another one waits for work in its place."""
    def new():
        now = workers(shop.pid)
        return len(now) == len(before) and len(now - before) == 1
    wait_for(new, f"one worker in place of one of {before}")
    shop.settle()


@pytest.fixture
def start(service):
    """Starts the application under gunicorn; all its workers are there."""
    def begin(count=2, **options):
        shop = service([frameworks.BIN / "gunicorn", "mortal:app", "--bind", "127.0.0.1:{port}",
                        "--workers", count, "--log-level", "warning"], MORTAL, **options)
        replaced(shop, set(), count)
        return shop
    return begin


@pytest.mark.parametrize("agent_first", [True, False], ids=["agent-first", "service-first"])
def test_each_end_of_a_worker_is_told_from_the_others(start, agent, agent_first):
    bittern = agent() if agent_first else None
    shop = start()
    bittern = bittern or agent()
    assert state(bittern) == (None, {})  # it has not served yet
    assert ask(shop, "/ok")
    assert state(bittern) == (TWO_WORKERS, {})

    before = workers(shop.pid)
    os.kill(min(before), signal.SIGKILL)
    one_replaced(shop, before)
    assert state(bittern) == (TWO_WORKERS, {"SIGKILL": 1})

    before = workers(shop.pid)
    shop.process.send_signal(signal.SIGHUP)  # new workers; the old ones end well
    before = replaced(shop, before)
    assert state(bittern) == (TWO_WORKERS, {"SIGKILL": 1, "zero": 2})

    assert not ask(shop, "/exit/5")
    one_replaced(shop, before)
    assert state(bittern) == (TWO_WORKERS, {"SIGKILL": 1, "zero": 2, "nonzero": 1})

    before = workers(shop.pid)
    assert not ask(shop, f"/kill/{signal.SIGSEGV:d}")
    one_replaced(shop, before)
    assert state(bittern) == (TWO_WORKERS, {"SIGKILL": 1, "zero": 2, "nonzero": 1, "SIGSEGV": 1})

    assert shop.stop() == 0
    ended = {"SIGKILL": 1, "zero": 2 + TWO_WORKERS, "nonzero": 1, "SIGSEGV": 1}
    assert state(bittern) == (0, ended)

    again = start(port=shop.port)  # known before its first request
    assert state(bittern) == (TWO_WORKERS, ended)
    assert ask(again, "/ok")
    again.kill()  # the workers end a moment after their master
    wait_for(lambda: state(bittern) == (0, {**ended, "SIGKILL": 1 + TWO_WORKERS}),
             lambda: f"end in {state(bittern)}")


def test_what_a_worker_runs_is_no_process_of_the_service(start, agent):
    bittern = agent()
    shop = start()
    for path in ("/ok", "/run", "/run-missing", "/run-python", "/fork-exec"):
        assert ask(shop, path)
        assert state(bittern) == (TWO_WORKERS, {}), path
    assert ask(shop, "/fork")  # and this is one
    assert state(bittern) == (TWO_WORKERS, {"zero": 1})


def test_workers_that_multiprocessing_spawns_are_processes_of_the_service(service, agent):
    bittern = agent()
    shop = service([frameworks.BIN / "uvicorn", "fastapi_shop.api:app", "--port", "{port}",
                    "--workers", "2", "--log-level", "warning"])
    assert ask(shop, "/ok")
    # beside them Python's resource tracker runs, which is none
    before = wait_for(lambda: len(workers(shop.pid)) == 3 and workers(shop.pid), "workers")
    wait_for(lambda: state(bittern, "fastapi_shop")[0] == TWO_WORKERS, "processes")
    tracker = {pid for pid in before
               if b"resource_tracker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()}
    assert len(tracker) == 1
    os.kill(min(before - tracker), signal.SIGKILL)
    wait_for(lambda: len(workers(shop.pid)) == 3 and workers(shop.pid) != before, "a new worker")
    wait_for(lambda: state(bittern, "fastapi_shop") == (TWO_WORKERS, {"SIGKILL": 1}),
             lambda: f"new worker in {state(bittern, 'fastapi_shop')}")
    shop.kill()
    wait_for(lambda: state(bittern, "fastapi_shop") == (0, {"SIGKILL": 1 + TWO_WORKERS}),
             lambda: f"end in {state(bittern, 'fastapi_shop')}")


def test_a_crash_loop_is_counted_whether_it_serves_or_not(service, agent, tmp_path):
    bittern = agent()
    shop = service(NODE_COMMAND, MORTAL)
    assert ask(shop, "/ok")
    assert state(bittern) == (1, {})
    for path in ("/run/true", "/run/false", "/run/no-such-program"):
        assert ask(shop, path)
    assert state(bittern) == (1, {})
    assert not ask(shop, "/exit/1")
    shop.process.wait(5)
    assert state(bittern) == (0, {"nonzero": 1})
    for count in (2, 3, 4):
        stillborn = Program(NODE_COMMAND, tmp_path / "stillborn.log",
                            cwd=harness.SERVICES / MORTAL, env={"STILLBORN": "1"})
        assert stillborn.process.wait(10) == 1
        assert state(bittern) == (0, {"nonzero": count})
    again = service(NODE_COMMAND, MORTAL, port=shop.port)
    assert state(bittern) == (1, {"nonzero": 4})
    assert not ask(again, "/exit/0")
    again.process.wait(5)
    assert state(bittern) == (0, {"nonzero": 4, "zero": 1})


@pytest.fixture
def little_memory():
    """A command in front of another one: in a memory cgroup of 150 MB."""
    v1, v2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
    limits = {v1: "memory.limit_in_bytes", v2: "memory.max"}
    top = v1 if v1.is_dir() else v2
    folder = top / f"bittern-e2e-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        if not (folder / limits[top]).exists():
            pytest.skip("the memory controller is not available to new cgroups")
        (folder / limits[top]).write_text(str(150_000_000))
        yield ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]
        wait_for(lambda: not (folder / "cgroup.procs").read_text(), "empty cgroup")
    finally:
        folder.rmdir()


def test_an_oom_kill_is_told_from_a_kill(little_memory, start, agent):
    bittern = agent()
    shop = start(1, prefix=little_memory)
    assert ask(shop, "/ok")
    assert state(bittern) == (2, {})
    before = workers(shop.pid)
    assert not ask(shop, "/eat")
    before = replaced(shop, before, 1)
    assert state(bittern) == (2, {"SIGKILL oom": 1})
    os.kill(min(before), signal.SIGKILL)
    replaced(shop, before, 1)
    assert state(bittern) == (2, {"SIGKILL oom": 1, "SIGKILL": 1})
    shop.kill()
