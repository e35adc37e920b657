# SPDX-License-Identifier: Apache-2.0
"""What requests wait for before they are read: with the duration it is what the clients measured,
each request has it once, and a blocked event loop shows while it lasts."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import frameworks
import load
from expect import assert_exact, truth_counts
from harness import listens_at, wait_for
from ledger import QUEUE, SERVER_DURATION, Client, Ledger
from load import Connection, Request
from pace import in_time

EXPRESS = [frameworks.NODE, "server.js"]
GUNICORN = [frameworks.BIN / "gunicorn", "outcome_flask.wsgi:app", "--log-level", "warning",
            "--bind"]


def bucket(page, metric, share, **labels):
    """The bounds (above, up to) of the bucket that has the quantile."""
    cumulated = sorted((float(s.labels["le"]), s.value) for s in page.samples
                       if s.name == f"{metric}_bucket" and labels.items() <= s.labels.items())
    bounds = [0] + [bound for bound, _ in cumulated]
    return next((bounds[i], bound) for i, (bound, count) in enumerate(cumulated)
                if count >= share * cumulated[-1][1])


def total_s(page, metric, **labels):
    return page.total(f"{metric}_sum", **labels)


# --- how long ---

CLIENTS, EACH = 4, 6
ROUTE_S = 0.2


def in_turns(address):
    """Four clients, each with one request after the other; what every one of them waited, and all
    together, in s."""
    def one_client(_):
        waits = []
        for _ in range(EACH):
            client = Client(address, f"/busy?how=block&ms={ROUTE_S * 1000:.0f}")
            assert client.answer() == (200, True)
            waits.append(client.waited_s)
        return waits
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        waits = [wait for waits in pool.map(one_client, range(CLIENTS)) for wait in waits]
    return waits, time.monotonic() - began


@pytest.mark.parametrize("what", ["gunicorn", "gunicorn-unix", "node"])
def test_queue_time_and_duration_are_what_the_clients_measured(service, agent, what, tmp_path):
    """One thing at a time, and three others before it: the fourth client's turn comes after 600
    ms."""
    bittern, path = agent(), tmp_path / "socket"
    if what == "gunicorn-unix":
        shop = service([*GUNICORN, f"unix:{path}"], listening=lambda: listens_at(path))
        shop.address = str(path)
    elif what == "gunicorn":
        shop = service([*GUNICORN, "127.0.0.1:{port}"])
    else:
        shop = service(EXPRESS, "outcome-express")
    name = {"service_name": "outcome-express" if what == "node" else "outcome_flask"}
    waits, all_s = in_turns(shop.address)
    shop.settle()
    ledger = Ledger(bittern, name["service_name"])
    page = ledger.page
    count = CLIENTS * EACH
    ledger.assert_is({("/busy", "ok"): count}, {("/busy", "200", ""): count})
    assert ledger.queued == count
    port = None if what == "gunicorn-unix" else str(shop.port)
    assert {s.labels.get("server_port") for s in page.values(f"{QUEUE}_count", **name)} == {port}
    assert bucket(page, SERVER_DURATION, 0.5, **name) == (0.1, 0.25)
    assert bucket(page, QUEUE, 0.5, **name) == (0.5, 0.75)
    # the service is never idle; its clock may tell a millisecond less
    assert count * (ROUTE_S - 0.001) <= total_s(page, SERVER_DURATION, **name) <= all_s
    mean = (total_s(page, SERVER_DURATION, **name) + total_s(page, QUEUE, **name)) / count
    assert mean == pytest.approx(sum(waits) / count, rel=0.05)


# --- each request once ---

@pytest.mark.parametrize("agent_first", [True, False], ids=["agent-first", "service-first"])
@pytest.mark.parametrize("framework", [
    "fastapi-httptools-uvloop", "fastapi-h11-asyncio", "flask-sync", "flask-gthread", "node",
    "cluster"])
def test_every_request_has_a_queue_time(service, agent, framework, agent_first):
    name = frameworks.BY_ID[framework].name
    if agent_first:
        bittern, shop = agent(), service(framework)
    else:
        shop, bittern = service(framework), agent()
    result = load.run(shop.address, load.mixed(500))
    assert not result.errors
    truth = truth_counts(shop.truth(500))
    ledger = Ledger(bittern, name)
    assert_exact(ledger.page, name, truth)
    assert ledger.queued == sum(truth.values()) == 500


def test_requests_have_a_queue_time_on_a_connection_older_than_the_agent(service, agent):
    shop = service("node")

    async def conversation():
        connection = await Connection.open(shop.address)
        for number in range(11):
            await connection.send(Request("GET", "/ok").encode())
            assert (await connection.response("GET")).status == 200
            if number == 0:
                bittern = agent()
        connection.close()
        return bittern
    bittern = asyncio.run(conversation())
    shop.truth(11)
    ledger = Ledger(bittern, "node-shop")
    assert_exact(ledger.page, "node-shop", {("GET", "/ok", 200): 10})
    assert ledger.queued == 10


@pytest.mark.parametrize("agent_first", [True, False], ids=["agent-first", "service-first"])
def test_every_request_has_a_queue_time_on_a_unix_socket(service, agent, agent_first, tmp_path):
    path = tmp_path / "socket"
    bittern = agent() if agent_first else None
    shop = service([frameworks.BIN / "gunicorn", "flask_shop.wsgi:app", "--workers", "2", "--bind",
                    f"unix:{path}"], listening=lambda: listens_at(path))
    bittern = bittern or agent()
    result = load.run(str(path), load.mixed(300))
    assert not result.errors
    truth = truth_counts(shop.truth(300))
    ledger = Ledger(bittern, "flask_shop")
    assert_exact(ledger.page, "flask_shop", truth)
    assert ledger.queued == sum(truth.values()) == 300


# --- while it waits ---

BLOCK_S = 3
WAITING = 5


def test_a_blocked_event_loop_shows_what_waits_within_a_second(service, agent):
    bittern = agent()
    shop = service(EXPRESS, "outcome-express")

    def ledger():
        return Ledger(bittern, "outcome-express")
    first = Client(shop.address, "/waiting")
    assert first.answer() == (200, True)
    blocking = Client(shop.address, f"/block?how=block&ms={BLOCK_S * 1000}")
    wait_for(lambda: shop.truth_file.read_bytes().count(b"\n") == 2, "begin of what blocks")
    assert ledger().unread == 0
    waiting = [Client(shop.address, "/waiting") for _ in range(WAITING)]
    for seconds in (1, 1.5):
        time.sleep(max(0, waiting[-1].handed + seconds - time.monotonic()))
        during = ledger()
        in_time(blocking.sent + BLOCK_S, "a page")
        assert (during.unread, during.active) == (WAITING, {"{unmatched}": 1})
    assert [c.answer() for c in (blocking, *waiting)] == [(200, True)] * (WAITING + 1)
    shop.settle()
    after = ledger()
    after.assert_is({("/block", "ok"): 1, ("/waiting", "ok"): WAITING + 1},
                    {("/block", "200", ""): 1, ("/waiting", "200", ""): WAITING + 1})
    assert after.queued == WAITING + 2
    rest = [blocking.sent + BLOCK_S - c.handed for c in waiting]
    waited = [c.waited_s for c in (first, *waiting)] + [blocking.waited_s - BLOCK_S]
    assert 0.99 * sum(rest) <= total_s(
        after.page, QUEUE, service_name="outcome-express") <= sum(waited)
