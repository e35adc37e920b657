# SPDX-License-Identifier: Apache-2.0
"""What services ask others by HTTPS, and which socket each of many sessions has."""

import collections
import json
import urllib.parse
import urllib.request

import pytest

from expect import assert_same
from frameworks import BIN, NODE
from harness import free_port
from test_clients import COMMANDS, DURATION, LIBRARIES, NOT_SOON, Library, Scene

SESSIONS = 50
SERVED = "http_server_request_duration_seconds_count"
URLLIB = Library("urllib", "caller_fastapi")

every_library = pytest.mark.parametrize("library", [*LIBRARIES, URLLIB], ids=lambda l: l.id)


@pytest.fixture
def scene(agent, service, certificate):
    return lambda library: Scene(agent, service, library, "https", certificate.environment)


@every_library
def test_answers_are_counted_by_status_and_by_the_name_that_was_asked(scene, library):
    at = scene(library)
    for status, outcome, error_type, count in ((200, "ok", "", 10), (404, "error", "404", 3),
                                               (500, "error", "500", 2)):
        assert at.call(f"/status?code={status}", count, "localhost") == [status] * count
        at.expect(outcome, status, error_type, count, "localhost")
    assert at.call("/chunked", 4, "localhost") == [200] * 4
    at.expect("ok", 200, count=4, address="localhost")
    ports = {line["port"] for line in at.served()}
    assert len(ports) == 19 if library.id == "urllib" else len(ports) < 10
    at.failures = at.read(at.agent.scrape(), "bittern_client_connect_failures_total",
                          "error_type")  # ::1, where nobody listens
    page = at.check()
    assert not page.values("bittern_agent_tls_unjoined_sessions_total")
    assert not page.values("bittern_agent_tls_contradictions_total")


@every_library
def test_sessions_are_exact_when_probes_without_use_have_been_taken_off(scene, library):
    """After a hundred requests that a process served; each call makes a client of its own."""
    at = scene(library)
    for _ in range(3):
        assert at.call("/status?code=200", 20) == [200] * 20
        at.expect("ok", 200, count=20)
        for _ in range(120):
            assert at.call("/", 0) == []
    page = at.check()
    assert not page.values("bittern_agent_tls_unjoined_sessions_total")
    assert not page.values("bittern_agent_tls_contradictions_total")


@every_library
def test_a_read_timeout_of_the_library_is_a_timeout(scene, library):
    at = scene(library)
    assert at.call("/status?code=200") == [200]
    at.expect("ok", 200)
    results = at.call(f"/slow?ms={NOT_SOON}", count=2, timeout=0.5)
    assert 200 not in results and len(results) == 2
    at.expect("timeout", "", "timeout", count=2)
    at.check()


@every_library
def test_a_server_that_closes_has_given_no_response(scene, library):
    at = scene(library)
    assert at.call("/nothing") != [200]
    at.expect("no_response", "", "no_response", count=2 if library.id == "aiohttp" else 1)
    at.check()


class Many:
    """A server on many ports, and what was asked at each."""

    def __init__(self, service, certificate, command, loop="asyncio"):
        self.ports = [free_port() for _ in range(SESSIONS)]
        self.service = service(command, "many", env={
            **certificate.environment, "MANY_LOOP": loop,
            "MANY_PORTS": ",".join(map(str, self.ports))})
        self.wanted = collections.Counter({(str(port), "https"): count
                                           for count, port in enumerate(self.ports, 1)})

    def be_asked(self, caller, library):
        query = urllib.parse.urlencode({"port": self.ports}, doseq=True)
        with urllib.request.urlopen(
                f"http://127.0.0.1:{caller.port}/many/{library}?{query}") as response:
            assert json.load(response) == [[200] * n for n in range(1, SESSIONS + 1)]

    def seen(self, page, metric, **labels):
        counts = collections.Counter()
        for s in page.values(metric, **labels):
            port = s.labels.get("server_port", "")
            if not port or int(port) in self.ports:
                counts[port, s.labels["url_scheme"]] += int(s.value)
        return counts


SERVERS = {"asyncio": [BIN / "python", "server.py"], "uvloop": [BIN / "python", "server.py"],
           "node": [NODE, "server.js"]}
CALLERS = [("caller_fastapi", "httpx", "asyncio"), ("caller_fastapi", "aiohttp", "asyncio"),
           ("caller_fastapi", "aiohttp", "uvloop"), ("caller_fastapi", "httpx", "uvloop"),
           ("caller-express", "http", ""), ("caller-express", "fetch", ""),
           ("caller-express", "axios", "")]


def check(page, many, caller):
    assert_same(many.seen(page, f"{DURATION}_count", service_name=caller), many.wanted, "asked")
    assert_same(many.seen(page, SERVED), many.wanted, "served")
    assert not page.values("bittern_agent_tls_unjoined_sessions_total")
    assert not page.values("bittern_agent_tls_contradictions_total")
    assert not page.losses(), page.losses()


@pytest.mark.parametrize("caller, library, loop", CALLERS)
def test_each_of_many_sessions_on_a_loop_has_its_own_socket(agent, service, certificate, caller,
                                                            library, loop):
    many = Many(service, certificate, SERVERS[loop or "node"], loop)
    command, folder = COMMANDS[caller]
    asks = service(command + (["--loop", loop] if loop else []), folder,
                   env=certificate.environment)
    bittern = agent()
    many.be_asked(asks, library)
    many.service.settle()
    check(bittern.scrape(), many, caller)
