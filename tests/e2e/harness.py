# SPDX-License-Identifier: Apache-2.0
"""Starts and stops services and the agent, and reads what each of them counted.

Nothing outlives a test: every program runs in a session of its own, which is killed as a whole.
"""

import collections
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from frameworks import CACHE, HERE

SERVICES = HERE / "services"
# Loading the programs takes its time where the machine is emulated (tests/kernels/run.sh).
START_S = 100 if os.environ.get("BITTERN_EMULATED") else 20
AGENT = os.environ.get("BITTERN") or str(HERE.parent.parent / "build/bittern")


PORTS = range(10000, 20000)  # below those that the kernel gives to who connects or asks for any
_untried = random.sample(PORTS, len(PORTS))


def free_port():
    """A port that nobody has, and that nobody gets before it is used: never the same twice."""
    while True:
        port = _untried.pop()
        with socket.socket() as s:
            try:
                s.bind(("localhost", port))
                return port
            except OSError:
                pass


def wait_for(condition, what, timeout=20, step=0.01):
    """The first true value of condition()."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what() if callable(what) else what} within {timeout} s")
        time.sleep(step)
    return value


class Program:
    """A program in its own session, its output in a file."""

    def __init__(self, command, log, cwd=None, env=None):
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [str(c) for c in command], cwd=cwd, env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.pid = self.process.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.returncode}:\n"
                               + self.output())
        return True

    def stop(self, timeout=10):
        """Ends it by SIGTERM and gives its exit status; kills what is left of its session."""
        try:
            self.process.terminate()
            return self.process.wait(timeout)
        finally:
            self.kill()

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def threads(self):
        """The state letter of every thread of the session."""
        states = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(pid)) != self.pid:
                    continue
                for tid in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{tid}/stat") as stat:
                        states[int(tid)] = stat.read().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                pass
        return states

    def settle(self):
        """Waits until no thread is inside a system call's last steps: all sleep, twice in a row."""
        def asleep():
            return all(set(self.threads().values()) <= {"S", "Z"} for _ in range(2))
        wait_for(asleep, lambda: f"rest in {self.process.args[0]}: {self.threads()}", timeout=5)


LISTEN, ESTABLISHED, CLOSE_WAIT, LAST_ACK = "0A", "01", "08", "09"


def sockets(port, *states):
    """The bytes that nobody has read yet of each socket on the TCP port that is in such a state."""
    unread = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for fields in map(str.split, lines):
                if fields[3] in states and fields[1].endswith(f":{port:04X}"):
                    unread.append(int(fields[4].partition(":")[2], 16))
    return unread


def listens(port):
    """Whether somebody listens on the TCP port, without a connection that it would notice."""
    return bool(sockets(port, LISTEN))


def listens_at(path):
    """Whether somebody listens on the unix socket; there is a moment between bind and listen."""
    with open("/proc/net/unix") as lines:
        return any(fields[3] == "00010000" and fields[-1] == str(path)
                   for fields in map(str.split, lines))


class Service(Program):
    """One service under test. Its own count is in a truth file: see services/truth.py."""

    def __init__(self, command, folder, tmp, port=None, env=None, listening=None, prefix=()):
        self.port = port or free_port()
        self.address = ("127.0.0.1", self.port)
        self.truth_file = tmp / f"truth-{self.port}"
        self.truth_file.touch()
        big_file = tmp / "big"
        if not big_file.exists():
            big_file.write_bytes(b"x" * 1_000_000)
        super().__init__(
            [str(c).replace("{port}", str(self.port)) for c in (*prefix, *command)],
            tmp / f"service-{self.port}.log", cwd=folder,
            env={"PATH": f"{CACHE}/node/bin:{os.environ['PATH']}", "HOME": str(tmp),
                 "PYTHONPATH": str(SERVICES), "PYTHONDONTWRITEBYTECODE": "1",
                 "NODE_PATH": str(CACHE / "node/node_modules"), "PORT": str(self.port),
                 "TRUTH_FILE": str(self.truth_file), "BIG_FILE": str(big_file), **(env or {})})
        ready = listening or (lambda: listens(self.port))
        try:
            wait_for(lambda: self.alive() and ready(), f"listener on {self.port}", timeout=60)
        except BaseException:
            self.kill()
            raise

    def truth(self, count=None):
        """What it served, as dicts; waits until there are count lines and the service rests."""
        def complete():
            return self.alive() and self.truth_file.read_bytes().count(b"\n") >= (count or 0)
        try:
            wait_for(complete, "complete truth", timeout=5)
        except TimeoutError:
            pass  # the caller compares
        self.settle()
        return [json.loads(line) for line in self.truth_file.read_text().splitlines()]


class Page:
    """One scrape of /metrics."""

    def __init__(self, text):
        self.text = text
        self.samples = [s for family in text_string_to_metric_families(text)
                        for s in family.samples]

    def values(self, name, **labels):
        return [s for s in self.samples if s.name == name and s.value
                and all(s.labels.get(k) == v for k, v in labels.items())]

    def total(self, name, **labels):
        return sum(s.value for s in self.values(name, **labels))

    def counts(self, service):
        """(method, route, status) -> requests of the service; "" for an absent attribute."""
        counts = collections.Counter()
        for s in self.values("http_server_request_duration_seconds_count", service_name=service):
            key = tuple(s.labels.get(k, "") for k in (
                "http_request_method", "http_route", "http_response_status_code"))
            counts[key] += int(s.value)
        return counts

    def services(self):
        return sorted({s.labels["service_name"] for s in self.values(
            "http_server_request_duration_seconds_count")})

    def services_on(self, port):
        """The names under which requests to the port were counted."""
        return {s.labels["service_name"] for s in self.values(
            "http_server_request_duration_seconds_count", server_port=str(port))}

    def losses(self):
        return {s.labels["cause"]: int(s.value) for s in self.values("bittern_agent_losses_total")}


class Agent(Program):
    """bittern. Ready when the constructor returns.

    spawn_ns and ready_ns (CLOCK_MONOTONIC) tell when.
    """

    program = AGENT

    def __init__(self, tmp, *options, env=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.spawn_ns = time.monotonic_ns()
        super().__init__([self.program, "--listen", f"127.0.0.1:{self.port}", *options],
                         tmp / f"bittern-{self.port}.log", env={**os.environ, **(env or {})})
        try:
            wait_for(lambda: self.alive() and self.ready(), "/readyz", timeout=START_S, step=0.005)
        except BaseException as error:
            self.kill()
            raise RuntimeError(f"bittern did not become ready:\n{self.output()}") from error
        self.ready_ns = time.monotonic_ns()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=START_S / 2) as response:
            return response.read().decode()

    def ready(self):
        try:
            self.get("/readyz")
            return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def scrape(self):
        return Page(self.get("/metrics"))

    def peak_rss_bytes(self):
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) * 1024

    def stop_clean(self):
        """SIGTERM: exit status 0 and no report of a sanitizer."""
        status = self.stop()
        output = self.output()
        assert status == 0, f"bittern ended with {status}:\n{output}"
        assert not re.search("Sanitizer|runtime error:", output), output
