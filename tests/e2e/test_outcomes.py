# SPDX-License-Identifier: Apache-2.0
"""How requests end: each gets exactly one outcome, on every framework, and the durations tell what
the client got. The services are in services/outcome*: GET /NAME?how=HOW&ms=N. The limit is 2 s."""

import contextlib
import json
import math
import os
import signal
import time
from typing import NamedTuple

import pytest
import websockets.sync.client

from frameworks import BIN, NODE
from harness import CLOSE_WAIT, ESTABLISHED, LAST_ACK, sockets, wait_for
from ledger import Client, Ledger
from pace import in_time

LIMIT_S = 2
PAST_S = LIMIT_S + 0.3  # when it has surely been judged


class Kind(NamedTuple):
    name: str  # service.name
    command: list
    folder: str = ""

    @property
    def sync(self):
        """A worker does one thing at a time: it does not see a client leave."""
        return self.name == "outcome_flask"


FASTAPI = Kind("outcome_fastapi", [BIN / "uvicorn", "outcome_fastapi.api:app", "--port", "{port}",
                                   "--log-level", "warning"])
# It listens before its workers have loaded the application, unless that is done before the fork.
FLASK = Kind("outcome_flask", [BIN / "gunicorn", "outcome_flask.wsgi:app", "--preload", "--bind",
                               "127.0.0.1:{port}", "--log-level", "warning"])
EXPRESS = Kind("outcome-express", [NODE, "server.js"], "outcome-express")

every_kind = pytest.mark.parametrize("kind", [FASTAPI, FLASK, EXPRESS], ids=lambda k: k.name)


class Scene:
    """One service under one agent, and what its books must say: the expectation grows with what the
    test lets happen. at_once: requests that the service must be able to work on."""

    def __init__(self, agent, service, kind, *options, at_once=1, limit_s=LIMIT_S):
        workers = ["--workers", at_once] if kind.sync else []
        self.kind = kind
        self.agent = agent("--timeout", f"{limit_s}s")
        self.service = service([*kind.command, *workers, *options], kind.folder)
        self.outcomes, self.durations = {}, {}
        self.placed_s = {}  # how long its client waited for the ordinary request to a route

    def send(self, target, **options):
        return Client(self.service.address, target, **options)

    def place(self, *routes):
        """An ordinary request to each: their names are known from then on."""
        for route in routes:
            client = self.send(route)
            assert client.answer() == (200, True)
            self.placed_s[route] = client.waited_s
            self.expect(route, "ok", 200)
        self.service.settle()

    def expect(self, route, outcome=None, *ended, count=1):
        """One more with the outcome; ended: status and error.type of one that has ended."""
        if outcome:
            self.outcomes[route, outcome] = self.outcomes.get((route, outcome), 0) + count
        if ended:
            status, error_type = (*ended, "")[:2]
            key = route, str(status), error_type
            self.durations[key] = self.durations.get(key, 0) + count

    def check(self, active=None, unread=0, unended=0, before=math.inf):
        """before: when (time.monotonic()) it is over."""
        __tracebackhide__ = True
        time.sleep(0.05)  # what the client has done last comes to the service
        if not unread:  # else it may be busy
            self.service.settle()
        ledger = Ledger(self.agent, self.kind.name)
        in_time(before, "a page")
        ledger.assert_is(self.outcomes, self.durations, active, unread, unended)
        return ledger

    def begun(self, count):
        """The service's own account of the requests that its application has begun, once there are
        count."""
        wait_for(lambda: self.service.truth_file.read_bytes().count(b"\n") >= count,
                 f"{count} requests begun", timeout=5)
        lines = [json.loads(line) for line in self.service.truth_file.read_text().splitlines()]
        assert len(lines) == count
        return lines

    def left(self):
        """Waits until the service has no connection any more. A client that closes at the very
        moment in which the service's FIN comes drops it; it is sent again after 0.2 s."""
        wait_for(lambda: not sockets(self.service.port, ESTABLISHED, CLOSE_WAIT, LAST_ACK),
                 "end of the connections", timeout=5)


@pytest.fixture
def scene(agent, service):
    def start(*arguments, **options):
        return Scene(agent, service, *arguments, **options)
    return start


def until(client, seconds):
    """Sleeps until so long after the client's request."""
    time.sleep(max(0, client.handed + seconds - time.monotonic()))


def begin_s(line):
    """When the application began with a request, as time.monotonic() has it."""
    return line["begin_ns"] / 1e9


# --- the limit ---

@every_kind
def test_late_answers_are_timeouts_while_they_run_and_keep_their_status(scene, kind):
    at = scene(kind, at_once=3)
    at.place("/late", "/failing", "/trickling")
    clients = [at.send("/late?ms=3300"), at.send("/failing?ms=3300&status=500"),
               at.send("/trickling?how=trickle&ms=4200")]  # the last of five pieces after 3360
    waiting = {"/late": 1, "/failing": 1, "/trickling": 1}
    at.begun(6)
    at.check(waiting, before=clients[0].sent + LIMIT_S)
    until(clients[-1], PAST_S)
    for route in waiting:
        at.expect(route, "timeout")
    at.check(waiting, unended=3, before=clients[0].sent + 3.3)
    assert [c.answer() for c in clients] == [(200, True), (500, True), (200, True)]
    at.expect("/late", None, 200)
    at.expect("/failing", None, 500, "500")
    at.expect("/trickling", None, 200)
    at.check()
    at.begun(6)  # and no more


@every_kind
def test_a_request_that_never_ends_is_in_flight_and_one_timeout(scene, kind):
    at = scene(kind)
    at.place("/hanging")
    client = at.send("/hanging?ms=100000")
    begun = begin_s(at.begun(2)[-1])
    until(client, 0.5)
    at.check({"/hanging": 1}, before=client.sent + LIMIT_S).assert_age(
        "/hanging", begun, client.sent)
    at.expect("/hanging", "timeout")
    for seconds in (PAST_S, 3.5):
        until(client, seconds)
        at.check({"/hanging": 1}, unended=1).assert_age("/hanging", begun, client.sent)
    client.reset()
    at.expect("/hanging", None, "", "connection_reset")
    assert at.check().oldest == {}
    at.begun(2)


@every_kind
@pytest.mark.parametrize("status, error_type", [(408, ""), (504, "504")])
def test_a_timeout_that_is_answered_is_one(scene, kind, status, error_type):
    at = scene(kind)
    at.place("/patience")
    assert at.send(f"/patience?status={status}").answer() == (status, True)
    at.expect("/patience", "timeout", status, error_type)
    at.check()


@every_kind
def test_a_route_that_has_never_answered_takes_its_name_by_a_timeout_and_by_no_abort(scene, kind):
    at = scene(kind, at_once=2)
    at.place("/known")
    hanging, leaver = at.send("/hanging?ms=100000"), at.send("/leaver?ms=1500")
    at.begun(3)
    at.check({"{unmatched}": 2}, before=leaver.sent + 1.5)
    leaver.reset()
    in_time(leaver.sent + 1.5, "a reset")
    at.expect("{unmatched}", "aborted", "", "connection_reset")
    until(hanging, PAST_S)
    at.expect("/hanging", "timeout")
    at.check({"/hanging": 1}, unended=1)
    hanging.reset()
    at.expect("/hanging", None, "", "connection_reset")
    at.check()


STREAM_S = 5


@contextlib.contextmanager
def websocket(at, route):
    """Is talked on at the beginning and at the end."""
    def talk():
        connection.send("reed")
        assert connection.recv() == "reed"
    url = f"ws://127.0.0.1:{at.service.port}{route}"
    with websockets.sync.client.connect(url, compression=None) as connection:
        at.expect(route, "ok", 101)
        talk()
        yield
        talk()


@every_kind
def test_streams_may_last_longer_than_the_limit(scene, kind):
    """The limit ends with the first byte; a stream that has none in time is late. A WebSocket is a
    101 and over; gunicorn has none."""
    at = scene(kind, at_once=4)
    routes = ["/events", "/chunks", "/until-closed", "/late-chunks"]
    at.place(*routes)
    ms = STREAM_S * 1000
    clients = [at.send(f"/events?how=events&ms={ms}"), at.send(f"/chunks?how=chunks&ms={ms}"),
               at.send(f"/until-closed?how=chunks&ms={ms}", version="1.0"),
               at.send("/late-chunks?how=late&ms=3300")]
    with contextlib.nullcontext() if kind.sync else websocket(at, "/talk"):
        until(clients[-1], PAST_S)
        at.expect("/late-chunks", "timeout")
        assert at.check(dict.fromkeys(routes, 1), unended=1,
                        before=clients[0].sent + 3.3).first_bytes == {
            "/events": 1, "/chunks": 1, "/until-closed": 1}
        assert [c.answer() for c in clients] == [(200, True)] * 4
        for route in routes[:-1]:
            at.expect(route, "ok", 200)
        at.expect("/late-chunks", None, 200)
        at.check()
    ledger = at.check()
    assert ledger.first_bytes == dict.fromkeys(routes, 1)
    at.begun(8 if kind.sync else 9)
    seconds = ledger.page.total("http_server_request_duration_seconds_sum", http_route="/events",
                                service_name=kind.name)
    assert 0.98 * STREAM_S <= seconds <= clients[0].waited_s + at.placed_s["/events"]


# --- clients that leave ---

@every_kind
def test_a_client_that_gives_up(scene, kind):
    """An event loop closes when the client has; a sync worker tries to answer, and gets as far as
    the head of the response."""
    at = scene(kind)
    at.place("/dull")
    client = at.send("/dull?ms=1000")
    answered = client.sent + 1
    at.begun(2)
    at.check({"/dull": 1}, before=answered)
    client.close()
    in_time(answered, "a client's end")
    if kind.sync:
        at.check({"/dull": 1}, before=answered)
        at.expect("/dull", "aborted", 200)
    else:
        at.expect("/dull", "aborted", "", "aborted")
        at.check()
    until(client, 1.2)
    at.left()
    in_time(client.sent + LIMIT_S, "the service's end")
    at.check()
    at.begun(2)


@every_kind
@pytest.mark.parametrize("half_closed", [False, True], ids=["open", "half-closed"])
def test_a_client_that_resets(scene, kind, half_closed):
    at = scene(kind)
    at.place("/dull")
    client = at.send("/dull?ms=1000")
    answered = client.sent + 1
    at.begun(2)
    if half_closed:
        client.half_close()
        in_time(answered, "a half-close")
    if half_closed and not kind.sync:  # closed early, behind the half-close
        at.left()
        at.expect("/dull", "aborted", "", "aborted")
        at.check()
        client.reset()
    else:
        at.check({"/dull": 1}, before=answered)
        client.reset()
        in_time(answered, "a reset")
        at.expect("/dull", "aborted", "", "connection_reset")
    at.check()
    until(client, 1.2)
    at.check()
    at.begun(2)


@every_kind
def test_a_half_closed_client_with_its_answer_is_ok(scene, kind):
    """Event loops only answer what is ready at once."""
    at = scene(kind)
    at.place("/half")
    client = at.send("/half?ms=1000" if kind.sync else "/half")
    client.half_close()
    if kind.sync:
        at.begun(2)
        at.check({"/half": 1}, before=client.sent + 1)
    assert client.answer() == (200, True)
    at.left()  # until then the answer is held back: a reset would tell that it came to nobody
    at.expect("/half", "ok", 200)
    at.check()
    at.begun(2)


@every_kind
def test_a_half_closed_client_that_is_gone_before_the_answer(scene, kind):
    at = scene(kind)
    at.place("/half")
    client = at.send("/half?ms=1000")
    client.half_close()
    at.begun(2)
    until(client, 0.3)
    client.close()
    in_time(client.sent + 1, "a client's end")
    at.left()
    in_time(client.sent + LIMIT_S, "the service's end")
    at.expect("/half", "aborted", *((200,) if kind.sync else ("", "aborted")))
    at.check()
    at.begun(2)


# --- services that fail ---

@every_kind
@pytest.mark.parametrize("how", ["cut", "cut_chunks"])
def test_a_response_cut_by_the_service(scene, kind, how):
    at = scene(kind)
    at.place("/short")
    assert at.send(f"/short?how={how}").answer() == (200, False)
    at.expect("/short", "no_response", 200)
    at.check()
    at.begun(2)


@every_kind
def test_killed_workers(scene, kind):
    """Also one in the middle of its response, and one on a route that never answered before."""
    at = scene(kind, *(() if kind is EXPRESS else ("--workers", "3")))
    at.place("/known", "/middle")
    clients = [at.send("/known?ms=100000"), at.send("/fresh?ms=100000"),
               at.send("/middle?how=chunks&ms=100000")]
    lines = at.begun(5)
    at.check({"/known": 1, "{unmatched}": 1, "/middle": 1}, before=clients[0].sent + LIMIT_S)
    for pid in {line["pid"] for line in lines[2:]}:
        os.kill(pid, signal.SIGKILL)
    answers = [c.answer() for c in clients]
    in_time(clients[0].sent + LIMIT_S, "the workers' end")
    assert answers == [(None, False), (None, False), (200, False)]
    at.expect("/known", "no_response", "", "no_response")
    at.expect("/fresh", "no_response", "", "no_response")
    at.expect("/middle", "no_response", 200)
    at.check()
    time.sleep(1)
    at.check()


def test_gunicorns_own_worker_timeout_is_its_500(scene):
    """It aborts the worker a second or two after the request, and the worker answers for the
    application. Our limit is a later one."""
    at = scene(FLASK, "--timeout", "1", limit_s=60)
    at.place("/stuck")
    assert at.send("/stuck?ms=100000").answer() == (500, True)
    at.expect("/stuck", "error", 500, "500")
    at.check()
    assert "WORKER TIMEOUT" in at.service.output()


def test_gunicorns_own_worker_timeout_in_the_middle_of_a_response(scene):
    at = scene(FLASK, "--timeout", "1")
    at.place("/stuck")
    assert at.send("/stuck?how=chunks&ms=100000").answer() == (200, False)
    at.expect("/stuck", "no_response", 200)
    at.check()
    assert "WORKER TIMEOUT" in at.service.output()


# --- unread ---

UNREAD = 3


@every_kind
def test_what_a_hung_worker_does_not_read_is_a_timeout_and_not_again(scene, kind):
    at = scene(kind)
    at.place("/blocking", "/waiting")
    blocking = at.send("/blocking?how=block&ms=4500")
    at.begun(3)
    waiting = [at.send("/waiting") for _ in range(UNREAD)]
    until(waiting[0], 0.3)
    at.check({"/blocking": 1}, unread=UNREAD, before=blocking.sent + LIMIT_S).assert_age(
        "{unread}", waiting[0].handed, waiting[0].sent)
    at.expect("/blocking", "timeout")
    at.expect("{unread}", "timeout", count=UNREAD)
    for seconds in (PAST_S, PAST_S + 0.5):
        until(waiting[-1], seconds)
        at.check({"/blocking": 1}, unread=UNREAD, unended=UNREAD + 1, before=blocking.sent + 4.5)
    at.begun(3)
    assert [c.answer() for c in (blocking, *waiting)] == [(200, True)] * (UNREAD + 1)
    at.expect("/blocking", None, 200)
    at.expect("/waiting", None, 200, count=UNREAD)
    assert at.check().oldest == {}
    at.begun(3 + UNREAD)


@every_kind
def test_what_dies_unread_has_no_response(scene, kind):
    at = scene(kind)
    at.place("/blocking", "/waiting")
    blocking = at.send("/blocking?how=block&ms=100000")
    at.begun(3)
    waiting = [at.send("/waiting") for _ in range(UNREAD)]
    at.check({"/blocking": 1}, unread=UNREAD, before=blocking.sent + LIMIT_S)
    at.begun(3)
    at.service.kill()
    answers = [c.answer() for c in (blocking, *waiting)]
    in_time(blocking.sent + LIMIT_S, "the service's end")
    assert answers == [(None, False)] * (UNREAD + 1)
    at.expect("/blocking", "no_response", "", "no_response")
    at.expect("{unread}", "no_response", count=UNREAD)
    at.check(unended=UNREAD)
