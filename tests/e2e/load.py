# SPDX-License-Identifier: Apache-2.0
"""An exact HTTP/1.1 client and load generator on asyncio streams.

It sends each request once: one that got no complete response is an error in the result, never
retried. A server may close a connection between requests; the next request then opens a new one.
"""

import asyncio
import collections
import dataclasses
import random
import time
from typing import NamedTuple

MAX_LINE = 1 << 20


class Request(NamedTuple):
    method: str
    target: str
    body: bytes = b""
    headers: tuple = ()

    @property
    def path(self):
        return self.target.partition("?")[0]

    def encode(self):
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


class Response(NamedTuple):
    status: int
    headers: dict  # names in lower case
    body: bytes
    closes: bool  # the connection carries no other response
    interim: tuple  # statuses of the 1xx before


class Connection:
    """address: (host, port) or the path of a unix socket. tls: None, or an ssl.SSLContext."""

    @classmethod
    async def open(cls, address, tls=None):
        self = cls()
        if isinstance(address, str):
            opened = asyncio.open_unix_connection(address, limit=MAX_LINE)
        else:
            opened = asyncio.open_connection(*address, limit=MAX_LINE, ssl=tls)
        self.reader, self.writer = await opened
        return self

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, method):
        interim = []
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head[:-4].decode("latin-1").split("\r\n")
            version, status = status_line.split()[0], int(status_line.split()[1])
            if status >= 200 or status == 101:
                break
            interim.append(status)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body, to_eof = await self._body(method, status, headers)
        connection = headers.get("connection", "").lower()
        closes = (to_eof or connection == "close"
                  or version == "HTTP/1.0" and connection != "keep-alive")
        return Response(status, headers, body, closes, tuple(interim))

    async def _body(self, method, status, headers):
        if method == "HEAD" or status in (101, 204, 304) or method == "CONNECT" and status < 300:
            return b"", False
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(), False
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"])), False
        return await self.reader.read(), True

    async def _chunks(self):
        body = b""
        while True:
            line = await self.reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                break
            body += (await self.reader.readexactly(size + 2))[:-2]
        while await self.reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers
        return body

    @property
    def usable(self):
        return not (self.reader.at_eof() or self.writer.is_closing())

    def close(self):
        self.writer.close()


class Sample(NamedTuple):
    request: Request
    status: int
    sent_ns: int  # CLOCK_MONOTONIC, before the first byte was sent
    done_ns: int  # after the last byte of the response was read


@dataclasses.dataclass
class Result:
    samples: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)

    def counts(self, since_ns=0):
        """(method, path, status) -> responses to requests that were sent after since_ns."""
        return collections.Counter((s.request.method, s.request.path, s.status)
                                   for s in self.samples if s.sent_ns > since_ns)


def run(address, requests, connections=16, pipeline=1, keep_alive=True, tls=None):
    """Sends the requests (any iterable, shared by the connections) and waits for every response."""
    return asyncio.run(_run(address, iter(requests), connections, pipeline, keep_alive, tls))


async def _run(address, requests, connections, pipeline, keep_alive, tls):
    result = Result()
    await asyncio.gather(*(_client(address, requests, pipeline, keep_alive, tls, result)
                           for _ in range(connections)))
    return result


def _take(requests, count):
    return [r for _, r in zip(range(count), requests)]


async def _client(address, requests, pipeline, keep_alive, tls, result):
    connection = None
    while batch := _take(requests, pipeline):
        try:
            if connection is None or not connection.usable:
                connection = await Connection.open(address, tls)
            sent_ns = time.monotonic_ns()
            await connection.send(b"".join(r.encode() for r in batch))
            while batch:
                response = await connection.response(batch[0].method)
                request = batch.pop(0)
                result.samples.append(Sample(request, response.status, sent_ns,
                                             time.monotonic_ns()))
                if response.closes and batch:
                    raise ConnectionError("closed in the middle of a pipeline")
        except (OSError, EOFError, ValueError) as error:
            result.errors += [f"{r.method} {r.target}: {error!r}" for r in batch]
            response = None
        if connection and (response is None or response.closes or not keep_alive):
            connection.close()
            connection = None
    if connection:
        connection.close()


def run_bursts(address, bursts, connections=8):
    """Sends the requests of each burst (seconds to wait before it, requests) at once, on as many
    connections as that takes, and waits for every response. A function instead of requests is
    called when all so far have been answered, and that long ago."""
    return asyncio.run(_run_bursts(address, bursts, connections))


async def _run_bursts(address, bursts, connections):
    result, idle, limit = Result(), [], asyncio.Semaphore(connections)

    async def send(request):
        async with limit:
            while idle and not idle[-1].usable:
                idle.pop().close()
            connection = idle.pop() if idle else await Connection.open(address)
            sent_ns = time.monotonic_ns()
            await connection.send(request.encode())
            response = await connection.response(request.method)
            result.samples.append(Sample(request, response.status, sent_ns, time.monotonic_ns()))
            if response.closes:
                connection.close()
            else:
                idle.append(connection)

    sending = []
    for wait_s, requests in bursts:
        if callable(requests):
            await asyncio.gather(*sending)
            sending.clear()
        await asyncio.sleep(wait_s)
        if callable(requests):
            requests()
        else:
            sending += [asyncio.create_task(send(request)) for request in requests]
    await asyncio.gather(*sending)
    for connection in idle:
        connection.close()
    return result


ITEM = b'{"id": 1, "name": "reed"}'
JSON = (("Content-Type", "application/json"),)

# What every shop answers, by weight: kept low for the large body.
SHOP = [
    (30, lambda n: Request("GET", "/ok")),
    (5, lambda n: Request("GET", f"/ok?q={n}")),
    (10, lambda n: Request("HEAD", "/ok")),
    (10, lambda n: Request("POST", "/items", ITEM, JSON)),
    (10, lambda n: Request("DELETE", f"/items/{n}")),
    (10, lambda n: Request("GET", f"/users/{n}")),
    (5, lambda n: Request("GET", "/cached")),
    (5, lambda n: Request("GET", f"/missing/{n}")),
    (3, lambda n: Request("POST", "/readonly")),  # 405
    (5, lambda n: Request("GET", "/fail")),
    (5, lambda n: Request("GET", "/stream")),
    (1, lambda n: Request("GET", "/big")),
    (1, lambda n: Request("GET", "/file")),
]


def mixed(count, seed=1, table=SHOP):
    """count requests of the table (weight, function of a random number), the same for a seed."""
    rng = random.Random(seed)
    for make in rng.choices([m for _, m in table], [w for w, _ in table], k=count):
        yield make(rng.randrange(1, 100000))


def until(event, then, table=SHOP):
    """Requests until the event is set, then that many more."""
    for seed in range(1_000_000):
        if event.is_set():
            yield from mixed(then, seed, table)
            return
        yield from mixed(1, seed, table)
