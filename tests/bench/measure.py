# SPDX-License-Identifier: Apache-2.0
"""Runs hello services and load, and reads what both cost.

A service's CPU is the sum over its threads of /proc/PID/task/*/schedstat (ns on the CPU, by the
scheduler's clock; user and system together), read while all its threads sleep. Services run on a
CPU of their own (taskset), everything else on the others: the scheduler's choices are the same in
every round.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from frameworks import CACHE, NODE  # noqa: E402
from harness import Agent, Program, Service, wait_for  # noqa: E402

BUILT = ROOT / "build/bench"
SDKS = CACHE / "bench"
CPUS = sorted(os.sched_getaffinity(0))
LOCK = "/tmp/bittern-e2e.lock"  # of tests/e2e: one agent at a time on this host
BPFTOOL = "/usr/sbin/bpftool"
# A libssl of its own for wrk: probes are on files, and would cost it as much as the service.
WRK_ENVIRONMENT = {**os.environ, "LD_LIBRARY_PATH": str(BUILT / "wrk")}
GONE_S = 1
DRAIN_S = 0.25  # the agent has drained its ring by then
HAS_SCHEDSTAT = pathlib.Path("/proc/self/schedstat").read_text().split()[0] != "0"


def keep_apart():
    """Leaves the first CPU to the services."""
    if len(CPUS) > 1:
        os.sched_setaffinity(0, CPUS[1:])


ON_SERVICE_CPU = ("taskset", "-c", str(CPUS[0]))


def attached():
    """Whether there are programs on bittern's hooks."""
    with contextlib.suppress(OSError):
        shown = subprocess.run([BPFTOOL, "prog", "show"], capture_output=True, text=True).stdout
        return any(f" name {name} " in shown for name in ("socket_receive", "socket_send"))


def others_attached():
    """Whether somebody else has programs there, which cost every round alike. Those of an agent
    that has just ended are listed for a moment more."""
    deadline = time.monotonic() + GONE_S
    while attached():
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def host_to_ourselves():
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cpu_ns(pid):
    """What the threads of pid have used, without those that have ended (no service ends any)."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if HAS_SCHEDSTAT:
            total += int((task / "schedstat").read_text().split()[0])
        else:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            total += ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def rss_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()
               [1]) * os.sysconf("SC_PAGE_SIZE")


class Hello(Service):
    """A hello world service that tells its own count on SIGUSR2; over TLS with a certificate."""

    def __init__(self, stack, tmp, command, env=None, modules=CACHE / "node/node_modules",
                 certificate=None):
        super().__init__(command, HERE / "services", tmp, prefix=ON_SERVICE_CPU,
                         env={"NODE_PATH": str(modules), "PYTHONPATH": str(HERE / "services"),
                              **(certificate.environment if certificate else {}), **(env or {})})
        stack.callback(self.kill)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}/hello"
        self.told = 0

    def served(self):
        os.kill(self.pid, signal.SIGUSR2)
        self.told += 1

        def lines():
            return self.alive() and self.truth_file.read_bytes().count(b"\n") == self.told
        wait_for(lines, "count of the service", step=0.002)
        return int(self.truth_file.read_text().split()[-1])

    def load(self, seconds, connections=16):
        """wrk for so long; it waits for the service to finish what wrk left behind."""
        wrk = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", "-d60s", self.url],
            env=WRK_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(seconds)
            wrk.send_signal(signal.SIGINT)
            if wrk.wait(10):
                raise RuntimeError(f"wrk ended with {wrk.returncode}")
        finally:
            wrk.kill()
        self.settle()

    def measure(self, seconds):
        """(us of CPU per request, requests) of a round."""
        before, cpu = self.served(), cpu_ns(self.pid)
        self.load(seconds)
        cpu = cpu_ns(self.pid) - cpu
        count = self.served() - before
        return cpu / 1000 / count, count


def node_http(stack, tmp, **options):
    return Hello(stack, tmp, [NODE, *options.pop("node", ()), "node_http.js"], **options)


def express(stack, tmp, **options):
    return Hello(stack, tmp, [NODE, *options.pop("node", ()), "express.js"], **options)


UVICORN = ("--port", "{port}", "--loop", "uvloop", "--http", "httptools", "--no-access-log",
           "--log-level", "warning")


def fastapi(stack, tmp, venv=CACHE / "venv", launcher=(), **options):
    return Hello(stack, tmp, [*launcher, venv / "bin/uvicorn", "fastapi_hello:app", *UVICORN],
                 **options)


def asgi_tls(stack, tmp, certificate, **options):
    return Hello(stack, tmp, [CACHE / "venv/bin/uvicorn", "asgi_hello:app", *UVICORN,
                              "--lifespan", "off", "--ssl-certfile", certificate.path,
                              "--ssl-keyfile", certificate.key],
                 certificate=certificate, **options)


class Bittern(Agent):
    """The agent, with what it cost."""

    def __init__(self, stack, tmp, *options):
        super().__init__(tmp, *options)
        stack.callback(self.kill)

    def start_ms(self):
        return (self.ready_ns - self.spawn_ns) / 1e6


class Base(Bittern):
    """Another build, to compare with: make bench BASE=REVISION."""

    program = os.environ.get("BENCH_BASE")


def requests(page, **labels):
    return int(page.total("http_server_request_duration_seconds_count", **labels))


class Floor(Program):
    """Empty programs on bittern's hooks; the kernel drops them when the process ends."""

    name = "floor"

    def __init__(self, stack, tmp, *arguments):
        super().__init__([BUILT / self.name, BUILT / f"{self.name}.bpf.o", *arguments],
                         tmp / f"{self.name}.log")
        stack.callback(self.kill)
        wait_for(lambda: self.alive() and "ready" in self.output(), "empty programs")


class TlsFloor(Floor):
    """Empty programs where bittern has those that it needs for a process that serves TLS."""

    name = "tls_floor"

    def __init__(self, stack, tmp, pid):
        super().__init__(stack, tmp, pid)


class Pairs:
    """Somebody else's process: ns of CPU per write and read of 64 bytes. See pairs.c."""

    COUNTS = {"unix": 60_000, "tcp": 40_000}

    def __init__(self, stack):
        self.process = subprocess.Popen([*ON_SERVICE_CPU, BUILT / "pairs"], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.enter_context(self.process)
        stack.callback(self.process.kill)

    def measure(self, kind):
        self.process.stdin.write(f"{kind} {self.COUNTS[kind]}\n")
        return float(self.process.stdout.readline())


class Switches:
    """ns of CPU per switch of context between two that take turns. See switches.c. wanted: its
    program is called as node's is."""

    COUNT = 40_000

    def __init__(self, stack, wanted):
        program = BUILT / ("wanted/node" if wanted else "switches")
        self.process = subprocess.Popen([*ON_SERVICE_CPU, program], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.enter_context(self.process)
        stack.callback(self.process.kill)

    def measure(self, kind):
        self.process.stdin.write(f"{kind} {self.COUNT}\n")
        return float(self.process.stdout.readline())
