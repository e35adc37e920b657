# SPDX-License-Identifier: Apache-2.0
"""Odd but valid HTTP, and odd ways to read and write it: exact, or counted as a loss; never a wrong
line."""

import asyncio
import collections
import socket
import subprocess

import pytest

import frameworks
import harness
import load
from expect import assert_exact, assert_exact_or_lost, truth_counts
from load import Connection, Request

ODD = "odd"  # the service name: the folder's, and of its package.json
PATHS = ["/ok", "/created", "/none", "/cached", "/missing", "/broken", "/http", "/chunks"]
ANSWERS = [(1, lambda n, p=path: Request("GET", p)) for path in PATHS] + [
    (1, lambda n: Request("HEAD", "/ok"))]
LARGE = ANSWERS + [(1, lambda n: Request("GET", "/large"))]


def raw(service, way):
    return service([frameworks.BIN / "python", "raw.py", way], ODD)


def node(service):
    return service([frameworks.NODE, "node.js"], ODD)


def load_and_scrape(bittern, shop, requests, **options):
    """(page, truth by (method, path, status)), the truth compared with what the client saw."""
    result = load.run(shop.address, requests, **options)
    assert not result.errors
    truth = truth_counts(shop.truth(len(result.samples)))
    assert truth == result.counts()
    return bittern.scrape(), truth


def talk(address, conversation):
    """Runs conversation(connection) on one connection and gives what it returns."""
    async def on_connection():
        connection = await Connection.open(address)
        try:
            return await asyncio.wait_for(conversation(connection), 20)
        finally:
            connection.close()
    return asyncio.run(on_connection())


def ask(address, *requests):
    """The responses to requests sent one after the other on one connection."""
    async def conversation(connection):
        responses = []
        for request in requests:
            await connection.send(request.encode())
            responses.append(await connection.response(request.method))
        return responses
    return talk(address, conversation)


def counts(*keys):
    return collections.Counter(keys)


# --- system calls ---

@pytest.mark.parametrize("way", ["plain", "iovecs", "readv", "mmsg", "more"])
def test_a_reader_and_a_writer_thread_are_counted_whatever_their_system_calls(service, agent, way):
    bittern, shop = agent(), raw(service, way)
    page, truth = load_and_scrape(bittern, shop, load.mixed(1000, table=LARGE))
    assert_exact(page, ODD, truth)


def test_responses_written_byte_by_byte_are_counted(service, agent):
    bittern, shop = agent(), raw(service, "by-byte")
    page, truth = load_and_scrape(bittern, shop, load.mixed(50, table=ANSWERS))
    assert_exact(page, ODD, truth)


@pytest.mark.parametrize("way", ["plain", "iovecs", "readv", "mmsg"])
def test_pipelined_requests_are_counted_each_with_its_status(service, agent, way):
    bittern, shop = agent(), raw(service, way)
    page, truth = load_and_scrape(bittern, shop, load.mixed(1000, table=ANSWERS), pipeline=50,
                                  connections=4)
    assert_exact(page, ODD, truth)


def test_pipelined_requests_answered_in_joined_sends_are_counted_or_lost(service, agent):
    bittern, shop = agent(), raw(service, "joined")
    page, truth = load_and_scrape(bittern, shop, load.mixed(1000, table=ANSWERS), pipeline=50,
                                  connections=4)
    assert_exact_or_lost(page, ODD, truth)


@pytest.mark.parametrize("header_bytes", [0, 2000])
def test_a_pipelined_batch_beyond_64_KB_is_counted_or_lost(service, agent, header_bytes):
    bittern, shop = agent(), raw(service, "plain")
    headers = (("X-Long", "y" * header_bytes),) if header_bytes else ()
    count = 100 if header_bytes else 3000
    requests = [r._replace(headers=headers) for r in load.mixed(count, table=ANSWERS)]
    assert sum(len(r.encode()) for r in requests) > 64 * 1024
    page, truth = load_and_scrape(bittern, shop, requests, pipeline=count, connections=1)
    assert_exact_or_lost(page, ODD, truth)
    # and the connection's service is read again
    before = page.counts(ODD)["GET", "/ok", "200"]
    ask(shop.address, *[Request("GET", "/ok")] * 10)
    shop.truth(count + 10)
    assert bittern.scrape().counts(ODD)["GET", "/ok", "200"] == before + 10


@pytest.fixture(scope="session")
def uring(tmp_path_factory):
    program = tmp_path_factory.mktemp("uring") / "uring"
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program,
                    harness.SERVICES / "odd/uring.c", "-luring"], check=True)
    return program


def test_io_uring_is_a_loss_and_no_series(service, agent, uring, tmp_path):
    bittern = agent("--runtime", "all")
    port = harness.free_port()
    shop = service([uring, port, tmp_path / f"truth-{port}"], ODD, port=port)
    page, truth = load_and_scrape(
        bittern, shop, [Request("GET", "/ok")] * 1000, connections=8)
    assert page.losses()
    assert_exact_or_lost(page, ODD, truth)


# --- response framing ---

def test_chunks_that_hold_a_last_chunk_do_not_end_the_response(service, agent):
    bittern, shop = agent(), node(service)
    ask(shop.address, *[Request("GET", "/zero-chunks")] * 5)
    lines = shop.truth(5)
    page = bittern.scrape()
    assert_exact(page, ODD, truth_counts(lines))
    seconds = sum(t["handed_ns"] - t["begin_ns"] for t in lines) / 1e9  # 80 ms each, or more
    assert page.total("http_server_request_duration_seconds_sum", service_name=ODD) >= seconds


@pytest.mark.parametrize("path", ["/600-writes", "/600-sends"])
def test_a_node_response_of_600_small_writes_is_counted_once(service, agent, path):
    bittern, shop = agent(), node(service)
    page, truth = load_and_scrape(bittern, shop, [Request("GET", path)] * 100, connections=4)
    assert_exact(page, ODD, truth)


def test_wsgiref_is_counted(service, agent):
    bittern = agent()
    shop = service([frameworks.BIN / "python", "simple.py"], ODD)
    table = [(1, lambda n: Request("GET", "/ok")), (1, lambda n: Request("GET", "/close")),
             (1, lambda n: Request("HEAD", "/ok")), (1, lambda n: Request("GET", f"/x{n}"))]
    page, truth = load_and_scrape(bittern, shop, load.mixed(500, table=table), connections=8)
    assert_exact(page, ODD, truth)


def test_the_command_python_m_http_server_is_counted(service, agent):
    """Not even its handler is ours: the truth is what the client saw."""
    bittern = agent()
    shop = service([frameworks.BIN / "python", "-m", "http.server",
                   "{port}", "--bind", "127.0.0.1"], ODD)
    table = [(2, lambda n: Request("GET", "/raw.py")), (1, lambda n: Request("GET", "/")),
             (1, lambda n: Request("HEAD", "/raw.py")), (1, lambda n: Request("GET", f"/no/{n}")),
             (1, lambda n: Request("DELETE", "/gone")),  # 501
             (1, lambda n: Request("GET", "/node.js", headers=(
                 ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),)))]
    result = load.run(shop.address, load.mixed(500, table=table))
    assert not result.errors
    shop.settle()
    page = bittern.scrape()
    [name] = page.services_on(shop.port)
    assert_exact(page, name, result.counts())


@pytest.mark.parametrize("framework", [f.id for f in frameworks.FRAMEWORKS if f.sendfile])
def test_sendfile_bodies_are_counted(service, agent, framework):
    bittern, shop = agent(), service(framework)
    requests = [Request("GET", "/file"), Request("GET", "/ok")] * 50
    page, truth = load_and_scrape(bittern, shop, requests, connections=4)
    assert_exact(page, frameworks.BY_ID[framework].name, truth)


# --- requests ---

SLOW_REQUESTS = [Request("GET", "/ok"), Request("POST", "/items", load.ITEM, load.JSON),
                 Request("DELETE", "/items/7"), Request("HEAD", "/ok?q=1")]
SLOW_HEADS = ["node", "stdlib", "fastapi-h11-asyncio", "fastapi-httptools-uvloop", "flask-gthread"]


@pytest.mark.parametrize("framework", SLOW_HEADS)
def test_request_heads_split_byte_by_byte_are_counted(service, agent, framework):
    bittern, shop = agent(), service(framework)

    async def conversation(connection):
        for request in SLOW_REQUESTS * 5:
            for byte in request.encode():
                await connection.send(bytes([byte]))
                await asyncio.sleep(0.0001)  # else the server reads many at once
            await connection.response(request.method)
    talk(shop.address, conversation)
    truth = truth_counts(shop.truth(20))
    assert sum(truth.values()) == 20
    assert_exact(bittern.scrape(), frameworks.BY_ID[framework].name, truth)


@pytest.mark.parametrize("framework", ["node", "stdlib", "aiohttp", "fastapi-h11-asyncio",
                                       "flask-gthread"])
def test_100_continue_is_no_response(service, agent, framework):
    bittern, shop = agent(), service(framework)
    post = Request("POST", "/items", load.ITEM, load.JSON + (("Expect", "100-continue"),))

    async def conversation(connection):
        for _ in range(10):
            head, body = post.encode().split(b"\r\n\r\n")
            await connection.send(head + b"\r\n\r\n")
            interim = await connection.reader.readuntil(b"\r\n\r\n")
            assert interim.startswith(b"HTTP/1.1 100")
            await connection.send(body)
            assert (await connection.response("POST")).status == 201
    talk(shop.address, conversation)
    shop.truth(10)
    assert_exact(bittern.scrape(), frameworks.BY_ID[framework].name,
                 {("POST", "/items", 201): 10})


def test_absolute_and_asterisk_forms(service, agent):
    bittern, shop = agent(), node(service)
    host = f"127.0.0.1:{shop.port}"
    responses = ask(shop.address, Request("GET", f"http://{host}/ok?q=1"),
                    Request("GET", f"http://{host}/users/7"), Request("GET", f"http://{host}"),
                    Request("OPTIONS", "*"), Request("GET", "/ok"))
    assert [r.status for r in responses] == [200] * 5
    shop.truth(5)
    assert_exact(bittern.scrape(), ODD, {
        ("GET", "/ok", 200): 2, ("GET", "/users/7", 200): 1, ("GET", "/", 200): 1,
        ("OPTIONS", "", 200): 1})


@pytest.mark.parametrize("request_, key", [
    (Request("CONNECT", "example.com:443"), ("CONNECT", "", 200)),
    (Request("GET", "/ws", headers=(("Connection", "Upgrade"), ("Upgrade", "websocket"))),
     ("GET", "/ws", 101)),
], ids=["CONNECT", "upgrade"])
def test_after_a_switch_of_protocols_nothing_is_counted(service, agent, request_, key):
    bittern, shop = agent(), node(service)

    async def conversation(connection):
        await connection.send(request_.encode())
        assert (await connection.response(request_.method)).status == key[2]
        for _ in range(5):  # looks like HTTP, both ways
            await connection.send(Request("GET", "/no").encode())
            assert (await connection.response("GET")).status == 500
    talk(shop.address, conversation)
    ask(shop.address, Request("GET", "/ok"))
    shop.truth(1)
    assert_exact(bittern.scrape(), ODD, counts(key, ("GET", "/ok", 200)))


def test_an_unmodified_websocket_server_is_one_101(service, agent):
    bittern, shop = agent(), service("streamlit")
    upgrade = Request(
    "GET",
    "/_stcore/stream",
    headers=(
        ("Connection",
        "Upgrade"),
        ("Upgrade",
        "websocket"),
        ("Sec-WebSocket-Version",
        "13"),
        ("Sec-WebSocket-Key",
        "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin",
         f"http://localhost:{shop.port}")))

    async def conversation(connection):
        await connection.send(upgrade.encode())
        assert (await connection.response("GET")).status == 101
        await connection.send(bytes([0x88, 0x80, 0, 0, 0, 0]))  # close
        await connection.reader.read()
    talk(shop.address, conversation)
    shop.settle()
    assert_exact(bittern.scrape(), "streamlit-shop", {("GET", "/_stcore/stream", 101): 1})


FAKE_BODY = b"GET /no HTTP/1.1\r\nHost: no\r\n\r\n" * 200_000  # 6 MB


def test_an_early_response_to_a_large_upload_is_one_request(service, agent):
    bittern, shop = agent(), node(service)
    post = Request("POST", "/early", FAKE_BODY)

    async def conversation(connection):
        head = post.encode()[:-len(FAKE_BODY)]
        await connection.send(head + FAKE_BODY[:100_000])
        assert (await connection.response("POST")).status == 413
        try:
            await connection.send(FAKE_BODY[100_000:])
        except ConnectionError:
            pass
    talk(shop.address, conversation)
    ask(shop.address, Request("POST", "/early-kept", FAKE_BODY), Request("GET", "/ok"))
    shop.truth(3)
    assert_exact(bittern.scrape(), ODD, counts(
        ("POST", "/early", 413), ("POST", "/early-kept", 200), ("GET", "/ok", 200)))


def test_bodies_that_look_like_requests_are_not_counted(service, agent):
    bittern, shop = agent(), node(service)
    ask(shop.address, *[Request("POST", "/body", FAKE_BODY[:290_000]), Request("GET", "/ok")] * 5)
    chunked = (b"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
               b"1d\r\n", FAKE_BODY[:29], b"\r\n0\r\n\r\n")

    async def conversation(connection):
        for part in chunked:
            await connection.send(part)
            await asyncio.sleep(0.005)
        await connection.response("POST")
    talk(shop.address, conversation)
    shop.truth(11)
    assert_exact(bittern.scrape(), ODD, {
        ("POST", "/body", 200): 5, ("GET", "/ok", 200): 5, ("POST", "/chunked", 200): 1})


# --- sockets ---

@pytest.mark.parametrize("command, name", [
    ([frameworks.BIN / "uvicorn", "fastapi_shop.api:app", "--uds"], "fastapi_shop"),
    ([frameworks.BIN / "gunicorn", "flask_shop.wsgi:app", "--bind"], "flask_shop"),
    ([frameworks.NODE, "node-shop/server.js"], "node-shop"),
], ids=["uvicorn", "gunicorn", "node"])
def test_unix_sockets(service, agent, command, name, tmp_path):
    bittern, path = agent(), tmp_path / "socket"
    if name != "node-shop":  # node takes it from PORT
        command = [*command, f"unix:{path}" if name == "flask_shop" else path]
    shop = service(command, env={"PORT": str(path)},
                   listening=lambda: harness.listens_at(path))
    shop.address = str(path)
    page, truth = load_and_scrape(bittern, shop, load.mixed(500))
    assert_exact(page, name, truth)
    assert not page.values("http_server_request_duration_seconds_count", service_name=name,
                           server_port=str(shop.port))


@pytest.mark.parametrize("host, address", [("::1", "::1"), ("::", "127.0.0.1")])
def test_ipv6_and_ipv4_on_an_ipv6_socket(service, agent, host, address):
    bittern, shop = agent(), service("node", env={"HOST": host})
    shop.address = (address, shop.port)
    page, truth = load_and_scrape(bittern, shop, load.mixed(500))
    assert_exact(page, "node-shop", truth)
    assert page.services_on(shop.port) == {"node-shop"}


# --- clients that leave ---

def test_a_fin_right_behind_the_request_is_no_loss(service, agent):
    """TCP counts a FIN as a byte, and the service may read it with the request."""
    bittern, shop = agent(), node(service)
    request = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(50):
        with socket.create_connection(shop.address) as client:
            client.sendall(request)
            client.recv(65536)
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    shop.truth(100)
    assert_exact(bittern.scrape(), ODD, {("GET", "/ok", 200): 100})
