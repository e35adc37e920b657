# SPDX-License-Identifier: Apache-2.0
"""What a real Prometheus, which scrapes every 5 s, answers to the questions of README.md and to
those of the dashboard."""

import random
import socket
import time
import urllib.parse

import pytest

import load
from frameworks import BIN
from grafana import Shown
from harness import free_port
from load import Request
from pace import Late
from prometheus_server import Prometheus, with_prometheus
from promql import expression, questions

pytestmark = with_prometheus

COMMAND = [BIN / "uvicorn", "slow_fastapi.api:app", "--port", "{port}", "--log-level", "warning"]
NAME, SLO, LIMIT_S = "slow_fastapi", "99@1s", 1
FAST, SLOW = Request("GET", "/fast"), Request("GET", "/slow")
LATE = Request("GET", f"/slow?ms={LIMIT_S * 1500}")
NEVER = Request("GET", "/slow?ms=600000")

# What a run of late requests has no answer to, and the answers when these things happen, too.
RARE = {
    "Which processes ended in the last 15 minutes": ({"signal": "SIGKILL"}, 1),
    "How long until 95 % of the streamed responses begin?": ({"http_route": "/stream"}, None),
    "Which services have no process left?": ({}, 0),
    "Which share of the outgoing requests times out": ({"server_address": "127.0.0.1"}, 1),
    "Which backends cannot be reached": (
        {"server_address": "127.0.0.1", "error_type": "connection_refused"}, None),
}

# What the dashboard has nothing to show of when there are only late requests.
RARELY_SHOWN = {
    "Until streamed responses begin", "Which backend is to blame?", "Which cannot be reached?",
    "Timeouts of backends over time", "How processes ended", "Connections that bittern cannot read"}
TOP = ("Requests", "Timed out", "Timeout rate", "Errors")
BLAME = "Which route is to blame?"
BROKEN = Request("GET", "/ask?url=nonsense")
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Answers:
    """The README's answers about the service at one time; its `1h` may be another window."""

    def __init__(self, prometheus, at, window="1h"):
        self.prometheus, self.at, self.window = prometheus, at, window

    def __call__(self, question, *by):
        """The value; with by: what the labels are -> value."""
        answer = self.prometheus.ask(expression(question).replace("1h", self.window), self.at)
        values = {tuple(labels[b] for b in by): value for labels, value in answer
                  if labels["service_name"] == NAME}
        return values if by else values[()]

    def assert_counts(self, good, timeouts):
        """These ended within the window, and no other."""
        __tracebackhide__ = True
        requests = good + timeouts
        outcomes = self("How did the requests of the last hour end?", "outcome")
        assert outcomes == {("ok",): good, ("timeout",): timeouts, ("error",): 0, ("aborted",): 0,
                            ("no_response",): 0}
        assert self("Which share of them timed out?") == timeouts / requests
        assert self("Which routes are to blame for timeouts?", "http_route") == {
            ("/slow",): timeouts}
        assert self("Which share of the last hour met the SLO?", "slo") == {
            (SLO,): good / requests}


@pytest.fixture
def prometheus(programs, tmp_path):
    def start(agent):
        programs.append(Prometheus(tmp_path, agent))
        return programs[-1]
    return start


def unanswered(prometheus, at):
    """The expressions of the README to which there is no answer about our service."""
    return {promql for promql in questions().values() if not any(
        labels.get("service_name") == NAME for labels, _ in prometheus.ask(promql, at))}


def shuffled(*requests):
    return random.Random(1).sample(requests, len(requests))


def answered(shop, *requests):
    result = load.run(shop.address, requests)
    assert not result.errors and {s.status for s in result.samples} == {200}
    if any(s.done_ns - s.sent_ns >= LIMIT_S * 1e9 for s in result.samples if s.request != LATE):
        raise Late("an answer")
    return len(result.samples)


def broken(shop):
    result = load.run(shop.address, [BROKEN])
    assert not result.errors and [s.status for s in result.samples] == [500]
    with socket.create_connection(shop.address, timeout=20) as client:
        client.sendall(HTTP2)
        while client.recv(4096):
            pass


def never_answered(shop, count):
    clients = [socket.create_connection(shop.address) for _ in range(count)]
    for client in clients:
        client.sendall(NEVER.encode())
    return clients


def test_of_1000_requests_37_timed_out(service, agent, prometheus):
    bittern = agent("--timeout", f"{LIMIT_S}s")
    watch = prometheus(bittern)
    shop = service(COMMAND)

    assert answered(shop, *[SLOW] * 63) == 63  # from here on /slow is a route
    waiting, began = never_answered(shop, 5), time.time()
    assert answered(shop, *shuffled(*[FAST] * 900, *[LATE] * 32)) == 932
    assert len(shop.truth(995)) == 995
    first = watch.scrape_after(max(time.time(), began + LIMIT_S))
    answers = Answers(watch, first)
    answers.assert_counts(963, 37)
    assert answers("Which share of them timed out?") == 0.037
    assert answers("Which share of the last hour met the SLO?", "slo") == {(SLO,): 0.963}
    shown = Shown(watch, first, services=[NAME])
    assert [shown.number(panel) for panel in TOP] == [1000, 37, 0.037, 0]
    assert shown.number("In flight") == 5 and shown.number("Oldest open request") > LIMIT_S
    assert shown.column(BLAME, "Requests", "http_route") == {"/slow": 100, "/fast": 900}
    assert shown.column(BLAME, "Timeout rate", "http_route") == {"/slow": 0.37, "/fast": 0}
    of_fast = Shown(watch, first, services=[NAME, "other"], routes=["/fast"])
    assert [of_fast.number(panel) for panel in TOP] == [900, 0, 0, 0]
    in_flight = answers("How many requests are in flight now?", "http_route")
    assert {route: n for route, n in in_flight.items() if n} == {("/slow",): 5}
    assert answers("Is something stuck?", "http_route")[("/slow",)] > LIMIT_S

    for client in waiting:  # they leave: that is the end of requests that were counted
        client.close()
    assert answered(shop, *shuffled(*[FAST] * 90, *[LATE] * 10)) == 100
    second = watch.scrape_after(time.time())
    Answers(watch, second).assert_counts(963 + 90, 37 + 10)
    since = round(1000 * (second - first))
    Answers(watch, second, f"{since}ms").assert_counts(90, 10)
    since_then = Shown(watch, second, since / 1000, services=[NAME])
    assert [since_then.number(panel) for panel in TOP] == [100, 10, 0.1, 0]
    assert NAME in shown.choices("service") and set(shown.choices("route")) == {"/slow", "/fast"}
    empty = shown.empty() & Shown(watch, second, services=[NAME]).empty()
    assert {panel for panel, _ in empty} == RARELY_SHOWN
    assert Shown(watch, first).empty() & Shown(watch, second).empty() <= empty

    assert unanswered(watch, first) & unanswered(watch, second) == set(map(expression, RARE))
    rules = [r for g in watch.get("/api/v1/rules")["groups"] for r in g["rules"]]
    assert not [r for r in rules if r.get("lastError")]
    assert {r["health"] for r in rules} <= {"ok", "unknown"}  # unknown: not yet evaluated
    assert not bittern.scrape().losses()


def test_what_happens_more_rarely_has_its_answers_too(service, agent, prometheus):
    bittern = agent("--timeout", f"{LIMIT_S}s")
    watch = prometheus(bittern)
    shop, nobody = service(COMMAND), free_port()

    for _ in range(2):  # a rate takes two scrapes
        assert answered(shop, Request("GET", "/stream"), *(
            Request("GET", f"/ask?{urllib.parse.urlencode({'url': url})}")
            for url in (f"http://127.0.0.1:{shop.port}{LATE.target}", f"http://127.0.0.1:{nobody}")
        )) == 3
        broken(shop)
        watch.scrape_after(time.time())
    shop.kill()
    now = watch.scrape_after(time.time())
    for question, (wanted, value) in RARE.items():
        (labels, answer), = [(labels, answer) for labels, answer in watch.ask(
            expression(question), now) if labels["service_name"] == NAME]
        assert labels.items() >= wanted.items(), question
        assert answer > 0 if value is None else answer == value, question

    shown = Shown(watch, now, services=[NAME])
    assert [shown.number(panel) for panel in ("In flight", "Oldest open request")] == [0, 0]
    assert shown.column("Which backend is to blame?", "Timeout rate", "server_port") == {
        str(shop.port): 1}
    assert shown.column("Which cannot be reached?", "Failed", "server_port") == {str(nobody): 2}
    assert shown.column("How processes ended", "Processes", "signal") == {"SIGKILL": 1}
    assert shown.column("Connections that bittern cannot read", "Connections", "reason") == {
        "http2": 2}
    assert Shown(watch, now, services=[NAME], routes=["/ask"]).number("Errors") == 2
    assert not [empty for empty in shown.empty() if empty[0] in RARELY_SHOWN]
