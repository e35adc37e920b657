# SPDX-License-Identifier: Apache-2.0
"""wsgiref: HTTP/1.0, one request a connection, the response head in several sends."""

import os
from wsgiref.simple_server import WSGIRequestHandler, make_server

import truth


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/ok":
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Long", "y" * 3000)])
        return [b"fine"]
    if path == "/close":  # no length: the body ends when the connection does
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"one", b"two", b"three"])
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no"]


make_server("127.0.0.1", int(os.environ["PORT"]), truth.Wsgi(app),
            handler_class=Quiet).serve_forever()
