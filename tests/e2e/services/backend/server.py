# SPDX-License-Identifier: Apache-2.0
"""What the callers call. A line of truth for each request: its path, its Host field, and the port
that it came from, which tells connections apart."""

import http.server
import os
import time
import urllib.parse

import shop
import truth


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        truth.begun("GET", path, host=self.headers["Host"], port=self.client_address[1])
        getattr(self, path.strip("/"))(**dict(urllib.parse.parse_qsl(query)))

    def status(self, code):
        self.send_response(int(code))
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"reed\n")

    def slow(self, ms):
        time.sleep(int(ms) / 1000)
        self.status(200)

    def chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in (b"4\r\nree\n\r\n", b"4\r\nreed\r\n", b"0\r\n\r\n"):
            time.sleep(0.01)
            self.wfile.write(chunk)

    def part(self):
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"reed\n")
        self.close_connection = True

    def stall(self, ms):
        self.part()
        time.sleep(int(ms) / 1000)

    def nothing(self):
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments):
        pass  # clients that leave are what it is for


server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
if shop.TLS:
    server.socket = shop.TLS.wrap_socket(server.socket, server_side=True,
                                         do_handshake_on_connect=False)
server.serve_forever()
