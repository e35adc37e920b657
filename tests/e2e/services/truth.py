# SPDX-License-Identifier: Apache-2.0
"""The application's own count of what it served: one line per response in the file TRUTH_FILE.

A line is written when the application has handed over the last byte. Every process appends; a line
is one write(2) with O_APPEND, so lines never mix.
"""

import json
import os
import time

_fd = os.open(os.environ["TRUTH_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

now_ns = time.monotonic_ns


def record(method, path, status, begin_ns, end_ns=None):
    """begin_ns: CLOCK_MONOTONIC when the handler began."""
    duration_ns = (end_ns or now_ns()) - begin_ns
    line = {"method": method, "path": path, "status": status,
            "begin_ns": begin_ns, "duration_ns": duration_ns}
    os.write(_fd, json.dumps(line).encode() + b"\n")


class Asgi:
    """ASGI middleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begin_ns = now_ns()
        status = 500  # the server answers for an application that raises before it answers
        end_ns = None

        async def counting_send(message):
            nonlocal status, end_ns
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                end_ns = now_ns()

        try:
            await self.app(scope, receive, counting_send)
        finally:
            record(scope["method"], scope["path"], status, begin_ns, end_ns)


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

        def close():
            inner_close()
            record(environ["REQUEST_METHOD"], environ["PATH_INFO"], status, begin_ns)

        if isinstance(body, environ["wsgi.file_wrapper"]):
            body.close = close
            return body
        return _Body(body, close)


class _Body:
    def __init__(self, body, close):
        self.body, self.close = body, close

    def __iter__(self):
        return iter(self.body)
