# SPDX-License-Identifier: Apache-2.0
"""Blocking sockets, a thread for each connection: measures as closely round the system calls as
Python can. /sleepMS/KIND answers after MS ms; KIND is plain, streamed, big or file."""

import os
import re
import socket
import threading
import time

import shop
import truth

HEAD = b"HTTP/1.1 200 OK\r\n"


def answer(conn, ms, kind):
    if kind == "streamed":
        chunks = [b"%x\r\n%s\r\n" % (len(c), c) for c in shop.CHUNKS] + [b"0\r\n\r\n"]
        conn.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[0])
        time.sleep(ms / 1000)
        for chunk in chunks[1:]:
            conn.sendall(chunk)
        return
    time.sleep(ms / 1000)
    if kind == "file":
        conn.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % os.path.getsize(shop.BIG_FILE))
        with open(shop.BIG_FILE, "rb") as file:
            conn.sendfile(file)
    else:
        body = shop.BIG if kind == "big" else b"fine"
        conn.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def serve(conn):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while head := conn.recv(65536):  # the client sends a head at once
        begin_ns = truth.now_ns()
        path = head.split(b" ", 2)[1].decode()
        ms, kind = re.fullmatch(r"/sleep(\d+)/(\w+)", path).groups()
        answer(conn, int(ms), kind)
        truth.record("GET", path, 200, begin_ns)


with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100) as listener:
    while True:
        threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
