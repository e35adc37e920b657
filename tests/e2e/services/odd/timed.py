# SPDX-License-Identifier: Apache-2.0
"""Blocking sockets, a thread for each connection: takes the time directly before and after the
system call that reads the request, and the one that takes the response's last byte. Both calls are
short, and wait for nothing: what a body has before is sent by calls of its own.
/sleepMS/KIND/WORD answers after MS ms; KIND is plain, streamed, big or file."""

import os
import re
import select
import socket
import threading
import time

import shop
import truth

HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n"
LAST_LEN = 4096


def timed(call, *arguments):
    """(before, what the call gave, after)"""
    before_ns = truth.now_ns()
    result = call(*arguments)
    return before_ns, result, truth.now_ns()


def send_last(conn, call, *arguments, length):
    """The last call, which gives the bytes sent, when there is room for them: before and after."""
    select.select([], [conn], [])
    before_ns, sent, after_ns = timed(call, *arguments)
    assert sent == length
    return before_ns, after_ns


def answer(conn, ms, kind):
    chunks = [b"%x\r\n%s\r\n" % (len(c), c) for c in shop.CHUNKS] + [b"0\r\n\r\n"]
    if kind == "streamed":
        conn.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[0])
    time.sleep(ms / 1000)
    if kind == "file":
        with open(shop.BIG_FILE, "rb") as file:
            size = os.path.getsize(shop.BIG_FILE)
            conn.sendall(LENGTH % size)
            conn.sendfile(file, 0, size - LAST_LEN)
            return send_last(conn, os.sendfile, conn.fileno(), file.fileno(), size - LAST_LEN,
                             LAST_LEN, length=LAST_LEN)
    parts = {"streamed": chunks[1:], "plain": [LENGTH % 4 + b"fine"],
             "big": [LENGTH % len(shop.BIG) + shop.BIG[:-LAST_LEN], shop.BIG[-LAST_LEN:]]}[kind]
    for part in parts[:-1]:
        conn.sendall(part)
    return send_last(conn, conn.send, parts[-1], length=len(parts[-1]))


def serve(conn):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while select.select([conn], [], []):
        before_ns, head, begin_ns = timed(conn.recv, 65536)  # the client sends a head at once
        if not head:
            return
        path = head.split(b" ", 2)[1].decode()
        ms, kind = re.fullmatch(r"/sleep(\d+)/(\w+)/\w+", path).groups()
        handed_ns, end_ns = answer(conn, int(ms), kind)
        truth.record("GET", path, 200, begin_ns,
                     before_ns=before_ns, handed_ns=handed_ns, end_ns=end_ns)


with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100) as listener:
    while True:
        threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
