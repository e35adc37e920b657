# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shop
import truth


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.handed_ns = truth.now_ns()
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ok(self):
        self.answer(200, json.dumps(shop.ITEM).encode())

    def create(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, body)

    def delete(self):
        self.answer(204)

    def cached(self):
        self.answer(304, ETag='"1"')

    def fail(self):
        self.send_error(500)

    def stream(self, sleep_ms=0):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i, chunk in enumerate(shop.CHUNKS):
            self.handed_ns = truth.now_ns()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if i == 0:
                time.sleep(sleep_ms / 1000)
        self.wfile.write(b"0\r\n\r\n")

    def big(self):
        self.answer(200, shop.BIG)

    def file(self):
        self.send_response(200)
        self.send_header("Content-Length", str(os.path.getsize(shop.BIG_FILE)))
        self.end_headers()
        self.handed_ns = truth.now_ns()
        with open(shop.BIG_FILE, "rb") as f:
            self.connection.sendfile(f)

    def sleep(self, ms, kind):
        if kind == "streamed":
            return self.stream(int(ms))
        time.sleep(int(ms) / 1000)
        {"plain": self.ok, "big": self.big, "file": self.file}[kind]()

    ROUTES = {
        "(GET|HEAD) /ok": ok, "POST /items": create, r"DELETE /items/\d+": delete,
        r"GET /users/\d+": ok, "GET /cached": cached, "GET /fail": fail, "GET /readonly": ok,
        "GET /stream": stream, "GET /big": big, "GET /file": file,
        r"GET /sleep(\d+)/(\w+)(?:/\w+)?": sleep,
    }

    def do(self):
        path = self.path.partition("?")[0]
        for pattern, handler in self.ROUTES.items():
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                handler(self, *(g for g in match.groups() if g not in ("GET", "HEAD")))
                break
        else:
            known = re.fullmatch("|".join(p.split()[1] for p in self.ROUTES), path)
            self.send_error(405 if known else 404)
        truth.record(self.command, path, self.status, self.begin_ns,
                     handed_ns=self.handed_ns, end_ns=truth.now_ns())

    do_GET = do_HEAD = do_POST = do_DELETE = do_PATCH = do

    def parse_request(self):
        self.begin_ns = self.handed_ns = truth.now_ns()
        return super().parse_request()

    def log_request(self, code="-", size="-"):
        self.status = int(code)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
