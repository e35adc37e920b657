# SPDX-License-Identifier: Apache-2.0
"""The application's own count of what it served: one line per response in the file TRUTH_FILE.

A line is written when the application has handed over the last byte. Every process appends; a line
is one write(2) with O_APPEND, so lines never mix.

No application can tell the instant at which the kernel moved a byte: it runs before the system call
and after it, and on a busy machine long before and long after. So a line has times between which
the instants surely lie, on CLOCK_MONOTONIC:

    before_ns  before the first byte was read; only with services that read by themselves
    begin_ns   after it: the handler began
    handed_ns  before the last byte was handed to the server, and so to the kernel
    end_ns     after the kernel took it; absent where the server may still hold it back
"""

import json
import os
import time

_fd = os.open(os.environ["TRUTH_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

now_ns = time.monotonic_ns


def record(method, path, status, begin_ns, **more_ns):
    line = {"method": method, "path": path, "status": status, "begin_ns": begin_ns} | more_ns
    os.write(_fd, json.dumps(line).encode() + b"\n")


def begun(method, path, **more):
    """A line for a request that has begun; how it will end is not known."""
    line = {"method": method, "path": path, "begin_ns": now_ns(), "pid": os.getpid(), **more}
    os.write(_fd, json.dumps(line).encode() + b"\n")


class Asgi:
    """ASGI middleware. Servers buffer: what was sent may still be theirs."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begin_ns = handed_ns = now_ns()
        status = 500  # the server answers for an application that raises before it answers

        async def counting_send(message):
            nonlocal status, handed_ns
            if message["type"] == "http.response.start":
                status = message["status"]
            if message.get("body"):
                handed_ns = now_ns()
            await send(message)

        try:
            await self.app(scope, receive, counting_send)
        finally:
            record(scope["method"], scope["path"], status, begin_ns, handed_ns=handed_ns)


class Wsgi:
    """WSGI middleware. Servers close the iterable after its last byte: that ends the request.
    A file wrapper stays what it is, so that servers still use sendfile for it."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        begin_ns = now_ns()
        status = 0

        def counting_start_response(line, *args):
            nonlocal status
            status = int(line.split()[0])
            return start_response(line, *args)

        body = self.app(environ, counting_start_response)
        inner_close = getattr(body, "close", lambda: None)
        handed_ns = now_ns()

        def handed():
            nonlocal handed_ns
            handed_ns = now_ns()

        def close():
            end_ns = now_ns()
            inner_close()
            record(environ["REQUEST_METHOD"], environ["PATH_INFO"], status, begin_ns,
                   handed_ns=handed_ns, end_ns=end_ns)

        if isinstance(body, environ["wsgi.file_wrapper"]):
            body.close = close
            return body
        return _Body(body, handed, close)


class _Body:
    def __init__(self, body, handed, close):
        self.body, self.handed, self.close = body, handed, close

    def __iter__(self):
        for part in self.body:
            if part:
                self.handed()
            yield part
