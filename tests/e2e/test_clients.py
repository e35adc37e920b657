# SPDX-License-Identifier: Apache-2.0
"""What services ask others, by the libraries that they use for it: the truth is what the backend
has got (services/backend), and what the caller was told."""

import collections
import json
import socket
import time
import urllib.parse
import urllib.request
from typing import NamedTuple

import pytest

from expect import assert_same
from frameworks import BIN, NODE
from harness import free_port, wait_for
from pace import Late, in_time

DURATION = "http_client_request_duration_seconds"
REQUESTS = "bittern_http_client_requests_total"
FAILURES = "bittern_client_connect_failures_total"
OUTCOMES = {"ok", "error", "timeout", "aborted", "no_response"}
NOT_SOON = 20_000  # ms


class Library(NamedTuple):
    id: str
    service: str


LIBRARIES = ([Library(name, "caller_fastapi") for name in ("httpx", "requests", "urllib3",
                                                           "aiohttp")]
             + [Library(name, "caller-express") for name in ("fetch", "axios", "http")])
every_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda l: l.id)
COMMANDS = {
    "caller_fastapi": ([BIN / "uvicorn", "caller_fastapi.api:app", "--port", "{port}",
                        "--log-level", "warning"], ""),
    "caller-express": ([NODE, "server.js"], "caller-express"),
}


class Scene:
    """A caller, what it calls, and an agent; and what the caller's metrics must be."""

    def __init__(self, agent, service, library, scheme="http", env=None):
        self.library = library
        self.scheme = scheme
        self.agent = agent()
        self.backend = service([BIN / "python", "server.py"], "backend", env=env)
        self.caller = service(*COMMANDS[library.service], env=env)
        self.requests = 0
        self.outcomes, self.durations, self.failures = (collections.Counter() for _ in range(3))

    def call(self, path, count=1, at="127.0.0.1", port=None, **options):
        """What the caller was told of count calls of the path of the backend."""
        url = f"{self.scheme}://{at}:{port or self.backend.port}{path}"
        query = urllib.parse.urlencode({"url": url, "count": count, **options})
        with urllib.request.urlopen(
                f"http://127.0.0.1:{self.caller.port}/{self.library.id}?{query}") as response:
            return json.load(response)

    def expect(self, outcome, status, error_type="", count=1, address="127.0.0.1"):
        port = str(self.backend.port)
        self.outcomes[address, port, outcome] += count
        self.durations[address, port, str(status), error_type] += count
        self.requests += count

    def asked(self):
        """Whether the backend has got all requests, after a while."""
        try:
            return wait_for(lambda: self.backend.truth_file.read_bytes().count(b"\n")
                            >= self.requests, "requests at the backend", timeout=5)
        except TimeoutError:
            return False

    def served(self):
        """The backend's account of what it was asked."""
        assert self.asked(), f"{self.requests} requests at the backend"
        lines = [json.loads(line) for line in self.backend.truth_file.read_text().splitlines()]
        assert len(lines) == self.requests
        return lines

    def check(self):
        """The caller's client metrics are exactly what was expected, and no loss was told."""
        __tracebackhide__ = True
        self.served()
        self.caller.settle()
        page = self.agent.scrape()
        assert_same(self.read(page, REQUESTS, "outcome"), self.outcomes, "outcomes")
        assert_same(self.read(page, f"{DURATION}_count", "http_response_status_code",
                              "error_type"), self.durations, "durations")
        assert_same(self.read(page, FAILURES, "error_type"), self.failures, "connect failures")
        self._assert_attributes(page)
        assert not page.losses(), page.losses()
        return page

    def read(self, page, metric, *labels):
        counts = collections.Counter()
        for s in page.values(metric, service_name=self.library.service):
            counts[tuple(s.labels.get(label, "") for label in (
                "server_address", "server_port", *labels))] += int(s.value)
        return counts

    def _assert_attributes(self, page):
        __tracebackhide__ = True
        mine = [s for s in page.samples if s.labels.get("service_name") == self.library.service]
        of_durations = {(s.labels.get("http_request_method"), s.labels.get("url_scheme"),
                         s.labels.get("network_protocol_version"), s.labels.get("http_route"))
                        for s in mine if s.name == f"{DURATION}_count"}
        assert of_durations <= {("GET", self.scheme, "1.1", None)}
        seen = collections.defaultdict(set)
        for s in mine:
            if s.name == REQUESTS:
                seen[s.labels["server_address"], s.labels["server_port"],
                     s.labels["http_request_method"]].add(s.labels["outcome"])
        assert {key: some for key, some in seen.items() if some != OUTCOMES} == {}


@pytest.fixture
def scene(agent, service):
    return lambda library: Scene(agent, service, library)


@every_library
def test_answers_are_counted_by_status_and_by_the_name_that_was_asked(scene, library):
    at = scene(library)
    assert at.call("/status?code=200", count=10) == [200] * 10
    at.expect("ok", 200, count=10)
    assert len({line["port"] for line in at.served()}) < 10  # connections are used again
    assert at.call("/status?code=404", count=3) == [404] * 3
    at.expect("error", 404, "404", count=3)
    assert at.call("/status?code=500", count=2) == [500] * 2
    at.expect("error", 500, "500", count=2)
    assert at.call("/chunked", count=4) == [200] * 4
    at.expect("ok", 200, count=4)
    at.check()
    name = "127.0.0.1" if library.id == "fetch" else "backend.test"  # it sends its own Host field
    assert at.call("/status?code=200", count=5, host="backend.test") == [200] * 5
    assert at.call("/chunked", count=2, host=f"backend.test:{at.backend.port}") == [200] * 2
    at.expect("ok", 200, count=7, address=name)
    assert {line["host"].partition(":")[0] for line in at.served()[-7:]} == {name}
    at.check()


@every_library
def test_localhost_is_a_name(scene, library):
    """Which may be tried at ::1 first, where nobody listens."""
    at = scene(library)
    assert at.call("/status?code=200", count=3, at="localhost") == [200] * 3
    at.expect("ok", 200, count=3, address="localhost")
    refused = at.read(at.agent.scrape(), FAILURES, "error_type")
    assert set(refused) <= {("::1", str(at.backend.port), "connection_refused")}
    at.failures = refused
    at.check()


@every_library
def test_a_read_timeout_of_the_library_is_a_timeout(scene, library):
    at = scene(library)
    began = time.monotonic()
    results = at.call(f"/slow?ms={NOT_SOON}", count=2, timeout=0.5)
    ended = time.monotonic()
    assert 200 not in results and len(results) == 2
    at.expect("timeout", "", "timeout", count=2)
    page = at.check()
    seconds = page.total(f"{DURATION}_sum", service_name=library.service)
    assert 0.9 <= seconds <= ended - began


@every_library
def test_a_read_timeout_in_the_middle_of_an_answer_is_a_timeout_with_its_status(scene, library):
    at = scene(library)
    assert at.call(f"/stall?ms={NOT_SOON}", timeout=0.5) != [200]
    at.expect("timeout", 200)
    at.check()


AT_ONCE_S = 0.1  # who waits longer without a byte has timed out


@every_library
def test_giving_up_at_once_is_aborted(scene, library):
    at = scene(library)
    assert at.call("/status?code=200") == [200]  # all is loaded
    at.expect("ok", 200)
    began = time.monotonic()
    assert at.call(f"/slow?ms={NOT_SOON}", timeout=0.05) != [200]
    in_time(began + AT_ONCE_S, "the caller's end")
    at.expect("aborted", "", "aborted")
    if not at.asked():
        raise Late("the caller had not asked before it gave up")
    at.check()


@every_library
def test_answered_timeouts_and_failing_servers(scene, library):
    at = scene(library)
    for status in (408, 504):
        assert at.call(f"/status?code={status}") == [status]
        at.expect("timeout", status, str(status))
    assert at.call("/nothing") != [200]
    tries = 2 if library.id == "aiohttp" else 1
    at.expect("no_response", "", "no_response", count=tries)
    assert at.call("/part") != [200]
    at.expect("no_response", 200)
    at.check()


@every_library
def test_a_refused_connection_is_a_failure_and_no_request(scene, library):
    at, port = scene(library), free_port()
    results = at.call("/ok", count=3, port=port)
    assert len(results) == 3 and 200 not in results
    at.failures["127.0.0.1", str(port), "connection_refused"] = 3
    at.check()


@pytest.fixture
def silent_port():
    """A port whose backlog is full: what connects gets no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        port = listener.getsockname()[1]
        fillers = []
        while True:
            fillers.append(socket.socket())
            fillers[-1].settimeout(0.3)
            try:
                fillers[-1].connect(("127.0.0.1", port))
            except TimeoutError:
                break
        yield port
        for filler in fillers:
            filler.close()


# fetch goes on connecting behind its caller's back for ten seconds.
@pytest.mark.parametrize("library", [l for l in LIBRARIES if l.id != "fetch"], ids=lambda l: l.id)
def test_a_connect_timeout_is_a_failure_and_no_request(scene, library, silent_port):
    at = scene(library)
    results = at.call("/ok", port=silent_port, timeout=0.5)
    assert len(results) == 1 and 200 not in results
    at.failures["127.0.0.1", str(silent_port), "timeout"] = 1
    at.check()
