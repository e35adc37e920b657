# SPDX-License-Identifier: Apache-2.0
"""What breaks servers must not break the agent: no crash, nothing counted twice, valid requests
exact, little memory. Run it against an agent built with SAN=1 as well (BITTERN=...)."""

import asyncio
import collections
import random
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import frameworks
import load
from expect import assert_exact, assert_same, expected
from harness import AGENT, ESTABLISHED, sockets, wait_for
from load import Connection, Request
from pace import in_time

PEAK_RSS_BYTES = 60 << 20
MANY = 10_000


@pytest.fixture
def bittern(agent):
    """An agent whose memory is looked at when the test is over. Under ASan, where a record takes it
    several times as long, its ring is larger by as much."""
    with open(AGENT, "rb") as program:
        sanitized = b"__asan_init" in program.read()
    started = agent(*(["--ring-size", "16M"] if sanitized else []))
    yield started
    peak = started.peak_rss_bytes()
    print(f"peak RSS {peak / 2**20:.1f} MiB")
    assert sanitized or peak <= PEAK_RSS_BYTES


def random_bytes(n):
    return random.Random(n).randbytes(random.Random(-n).randrange(1, 100_000))


HOSTILE = {
    "random": random_bytes,
    "random after a method": lambda n: b"GET " + random_bytes(n),
    "random after a head": lambda n: b"POST /rnd HTTP/1.1\r\nHost: x\r\n" + random_bytes(n),
    "request line of 64 KB": lambda n: b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "header of 1 MB": lambda n: b"GET /hdr HTTP/1.1\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n",
    "headers of 1 MB": lambda n: b"GET /hdrs HTTP/1.1\r\n" + b"X-Y: z\r\n" * (1 << 17) + b"\r\n",
    "NUL in the path": lambda n: b"GET /nul\0here HTTP/1.1\r\nHost: x\r\n\r\n",
    "invalid UTF-8": lambda n: b"GET /caf\xe9/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare LF": lambda n: b"GET /lf HTTP/1.1\nHost: x\n\n",
    "no version": lambda n: b"GET /none\r\n\r\n",
    "wrong version": lambda n: b"GET /v HTTP/9.9\r\nHost: x\r\n\r\n",
    "wrong length": lambda n: b"POST /len HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": lambda n: (b"POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                              b"Content-Length: 6\r\n\r\n123456"),
    "endless chunk": lambda n: (b"POST /chunk HTTP/1.1\r\nHost: x\r\n"
                                b"Transfer-Encoding: chunked\r\n\r\n"
                                b"fffffffffffffffff\r\nx"),
    "TLS hello": lambda n: bytes.fromhex("1603010200010001fc0303") + random_bytes(n)[:500],
    "HTTP/2 preface": lambda n: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "empty lines": lambda n: b"\r\n" * 1000,
    "nothing": lambda n: b"",
}

# Keys that no hostile request can have.
VALID = [
    (5, lambda n: Request("GET", "/ok")),
    (2, lambda n: Request("HEAD", "/ok")),
    (2, lambda n: Request("POST", "/items", load.ITEM, load.JSON)),
    (2, lambda n: Request("DELETE", f"/items/{n}")),
    (1, lambda n: Request("GET", "/stream")),
]


async def send_hostile(address, data):
    try:
        connection = await Connection.open(address)
        await connection.send(data)
        connection.writer.write_eof()
        await asyncio.wait_for(connection.reader.read(), 0.2)
    except (OSError, asyncio.TimeoutError):
        pass
    finally:
        connection.close()


def attack(address, each):
    async def run():
        for n in range(each):
            await asyncio.gather(*(send_hostile(address, make(n)) for make in HOSTILE.values()))
    asyncio.run(run())


@pytest.mark.parametrize("framework", ["node", "fastapi-h11-asyncio", "fastapi-httptools-uvloop",
                                       "flask-gthread", "aiohttp", "stdlib"])
def test_valid_requests_are_exact_while_hostile_ones_come_in(service, bittern, framework):
    shop = service(framework)
    each = 5
    with ThreadPoolExecutor() as pool:
        attacking = pool.submit(attack, shop.address, each)
        result = load.run(shop.address, load.mixed(2000, table=VALID))
        attacking.result()
    assert not result.errors
    shop.settle()
    counted = bittern.scrape().counts(frameworks.BY_ID[framework].name)
    valid = expected(result.counts())
    assert_same({k: counted[k] for k in valid}, valid, "bittern")
    assert sum((counted - valid).values()) <= each * len(HOSTILE), counted - valid


def test_bytes_that_a_label_cannot_hold_are_escaped(service, bittern):
    shop = service([frameworks.BIN / "python", "raw.py", "plain"], "odd")
    targets = {
    b"/nul\0here": "/nul%00here",
    b"/caf\xe9": "/caf%E9",
    b"/\xff\xfe/x": "/%FF%FE/x",
    "/käse".encode(): "/käse",
    b'/"quoted"\\n': '/"quoted"\\n',
     b"/tab\there": "/tab%09here"}

    async def run():
        connection = await Connection.open(shop.address)
        for target in targets:
            await connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            await connection.response("GET")
        connection.close()
    asyncio.run(run())
    shop.truth(len(targets))
    assert_same(bittern.scrape().counts("odd"),
                {("GET", route, "200"): 1 for route in targets.values()}, "bittern")


def test_requests_of_a_killed_service_end_once_without_a_status(service, bittern):
    shop = service("node")
    load.run(shop.address, [Request("GET", "/sleep1000/plain")], connections=1)  # places the route

    async def run():
        connections = [await Connection.open(shop.address) for _ in range(16)]
        for connection in connections:
            await connection.send(Request("GET", "/ok").encode())
            await connection.response("GET")
        sent = time.monotonic()
        for connection in connections:
            await connection.send(Request("GET", "/sleep1000/plain").encode())
        wait_for(lambda: not any(sockets(shop.port, ESTABLISHED)), "reading of the requests")
        shop.settle()
        shop.kill()
        in_time(sent + 1, "the service's end")
        for connection in connections:
            try:
                assert await connection.reader.read() == b""
            except ConnectionError:
                pass
            connection.close()
    asyncio.run(run())
    wanted = {("GET", "/sleep1000/plain", "200"): 1, ("GET", "/ok", "200"): 16,
              ("GET", "/sleep1000/plain", ""): 16}
    try:  # the last of its sockets may close after its process has gone
        wait_for(lambda: bittern.scrape().counts("node-shop") == wanted, "right count", timeout=3)
    except TimeoutError:
        pass
    page = bittern.scrape()
    assert_same(page.counts("node-shop"), wanted, "bittern")
    assert {s.labels["error_type"]: s.value for s in page.values(
        "http_server_request_duration_seconds_count", service_name="node-shop",
        http_route="/sleep1000/plain") if "error_type" in s.labels} == {"no_response": 16}


def test_a_request_whose_client_goes_away_is_counted_once(service, bittern):
    shop = service("node")

    async def run():
        for _ in range(10):
            connection = await Connection.open(shop.address)
            await connection.send(Request("GET", "/sleep100/streamed").encode())
            await connection.reader.readuntil(b"\r\n\r\n")
            connection.writer.transport.abort()
    asyncio.run(run())
    shop.truth(10)
    counted = bittern.scrape().counts("node-shop")
    assert sum(counted.values()) == 10, counted
    assert {route for _, route, _ in counted} == {"/sleep100/streamed"}


def test_10000_connections_at_once(service, bittern):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] < MANY + 1000:
        pytest.skip(f"only {limit[1]} open files allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))  # the service inherits it
    shop = service("node")

    async def run():
        connections = []
        for _ in range(MANY // 100):
            connections += await asyncio.gather(
                *(Connection.open(shop.address) for _ in range(100)))
        for _ in range(2):
            for connection in connections:
                await connection.send(Request("GET", "/ok").encode())
            for connection in connections:
                assert (await connection.response("GET")).status == 200
        for connection in connections:
            connection.close()
    asyncio.run(run())
    assert len(shop.truth(2 * MANY)) == 2 * MANY
    assert_exact(bittern.scrape(), "node-shop", collections.Counter(
        {("GET", "/ok", 200): 2 * MANY}))
