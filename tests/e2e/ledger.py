# SPDX-License-Identifier: Apache-2.0
"""What /metrics says of a service's requests by how they ended, and a client that ends them in
every way there is."""

import collections
import http.client
import socket
import struct
import time

from expect import assert_same

OUTCOMES = {"ok", "error", "timeout", "aborted", "no_response"}
SERVER_REQUESTS = "bittern_http_server_requests_total"
SERVER_DURATION = "http_server_request_duration_seconds"
ACTIVE = "http_server_active_requests"
OLDEST = "bittern_http_server_oldest_request_age_seconds"
UNREAD = "bittern_http_server_unread_requests"
QUEUE = "bittern_http_server_queue_duration_seconds"
FIRST_BYTE = "bittern_http_server_time_to_first_byte_seconds"


class Client:
    """One request on a connection of its own. address: (host, port) or the path of a unix socket.
    Close it as soon as it has its answer: a gunicorn worker waits for that."""

    def __init__(self, address, target, version="1.1", method="GET"):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.connect(address)
        self.sent = time.monotonic()
        self.socket.sendall(f"{method} {target} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
        self.handed = time.monotonic()  # and arrived: between sent and now

    def answer(self, timeout=15):
        """(status, whether it was whole); (None, False) if there was none. Closes."""
        self.socket.settimeout(timeout)
        status = None
        try:
            response = http.client.HTTPResponse(self.socket)
            response.begin()
            status = response.status
            response.read()
            return status, True
        except (http.client.HTTPException, ConnectionError):
            return status, False
        finally:
            self.waited_s = time.monotonic() - self.sent
            self.socket.close()

    def close(self):
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Ledger:
    """The books of one service, on a page that is taken now."""

    def __init__(self, agent, name):
        self.name = name
        self.asked = time.monotonic()
        self.page = agent.scrape()
        self.answered = time.monotonic()

    def _by(self, metric, *labels):
        counts = collections.Counter()
        for s in self.page.values(metric, service_name=self.name):
            counts[tuple(s.labels.get(label, "") for label in labels)] += int(s.value)
        return counts

    @property
    def outcomes(self):
        """(route, outcome) -> requests"""
        return self._by(SERVER_REQUESTS, "http_route", "outcome")

    @property
    def durations(self):
        """(route, status, error.type) -> requests; "" for an absent attribute"""
        return self._by(f"{SERVER_DURATION}_count", "http_route", "http_response_status_code",
                        "error_type")

    @property
    def active(self):
        """route -> requests under way"""
        return collections.Counter({route: n for (route,), n in self._by(
            ACTIVE, "http_route").items()})

    @property
    def first_bytes(self):
        """route -> streamed responses"""
        return collections.Counter({route: n for (route,), n in self._by(
            f"{FIRST_BYTE}_count", "http_route").items()})

    @property
    def unread(self):
        return int(self.page.total(UNREAD, service_name=self.name))

    @property
    def queued(self):
        """Requests in the queue histogram."""
        return int(self.page.total(f"{QUEUE}_count", service_name=self.name))

    @property
    def oldest(self):
        """route -> seconds, of the routes with an open request"""
        return {s.labels["http_route"]: s.value
                for s in self.page.values(OLDEST, service_name=self.name)}

    def assert_age(self, route, begun, sent):
        """The route's oldest request is one that was sent after sent, and that its service, or the
        host for {unread}, had by begun."""
        __tracebackhide__ = True
        oldest = self.oldest[route]
        assert self.asked - begun - 1e-6 <= oldest <= self.answered - sent + 1e-6, route

    def assert_is(self, outcomes, durations, active=None, unread=0, unended=0):
        """Exactly these and nothing else, no loss, and the books balance: what has an outcome has
        ended, but for unended requests, which are timed out and still active, or were never read.
        """
        __tracebackhide__ = True
        assert_same(self.outcomes, outcomes, f"outcomes of {self.name}")
        assert_same(self.durations, durations, f"durations of {self.name}")
        assert_same(self.active, active or {}, f"requests under way of {self.name}")
        assert self.unread == unread
        self._assert_all_outcomes_exist()
        ended = sum(self.durations.values())
        assert sum(self.outcomes.values()) == ended + unended
        assert not self.page.losses(), self.page.losses()

    def _assert_all_outcomes_exist(self):
        __tracebackhide__ = True
        seen = collections.defaultdict(set)
        for s in self.page.samples:
            if s.name == SERVER_REQUESTS and s.labels["service_name"] == self.name:
                seen[s.labels["http_route"]].add(s.labels["outcome"])
                method = s.labels.get("http_request_method")
                assert method == (None if s.labels["http_route"] == "{unread}" else "GET"), s
        assert {route: s for route, s in seen.items() if s != OUTCOMES} == {}
