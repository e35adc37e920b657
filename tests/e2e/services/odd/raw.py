# SPDX-License-Identifier: Apache-2.0
"""A server on bare sockets: for each connection a thread reads and another writes. raw.py WAY,
where WAY says by which system calls."""

import ctypes
import os
import queue
import socket
import sys
import threading

import truth

libc = ctypes.CDLL(None, use_errno=True)
MSG_WAITFORONE = 0x10000


class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32),
                ("iov", ctypes.POINTER(iovec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", msghdr), ("len", ctypes.c_uint)]


def messages(buffer_lists):
    """An array of mmsghdr over lists of ctypes buffers."""
    array = (mmsghdr * len(buffer_lists))()
    for message, buffers in zip(array, buffer_lists):
        iov = (iovec * len(buffers))(*(iovec(ctypes.addressof(b), len(b)) for b in buffers))
        message.hdr.iov = iov
        message.hdr.iovlen = len(buffers)
    return array


def recv(conn):
    return conn.recv(1 << 20)


def recvmsg(conn):
    """Into an empty buffer, small ones, and a large one."""
    buffers = [bytearray(n) for n in (0, 3, 5, 0, 40, 60000)]
    got = conn.recvmsg_into(buffers)[0]
    return b"".join(buffers)[:got]


def recvmmsg(conn):
    lists = [[ctypes.create_string_buffer(n) for n in (10, 2000)] for _ in range(4)]
    array = messages(lists)
    got = libc.recvmmsg(conn.fileno(), array, len(array), MSG_WAITFORONE, None)
    return b"".join(b"".join(b.raw for b in buffers)[:message.len]
                    for message, buffers in zip(array[:max(got, 0)], lists))


def pieces(data):
    """Empty, one byte, a few, the rest."""
    return [b"", data[:1], data[1:12], b"", data[12:]]


def send_each(conn, answers):
    for answer in answers:
        conn.sendall(answer)


def send_joined(conn, answers):
    conn.sendall(b"".join(answers))


def sendmsg(conn, answers):
    for answer in answers:
        sent = conn.sendmsg(pieces(answer))
        assert sent == len(answer)


def writev(conn, answers):
    for answer in answers:
        assert os.writev(conn.fileno(), pieces(answer)) == len(answer)


def readv(conn):
    buffers = [bytearray(n) for n in (0, 1, 30, 60000)]
    got = os.readv(conn.fileno(), buffers)
    return b"".join(buffers)[:got]


def sendmmsg(conn, answers):
    lists = [[(ctypes.c_char * len(p)).from_buffer_copy(p) for p in pieces(a)] for a in answers]
    while lists:
        array = messages(lists)
        sent = libc.sendmmsg(conn.fileno(), array, len(array), 0)
        assert sent > 0, os.strerror(ctypes.get_errno())
        lists = lists[sent:]


def send_by_byte(conn, answers):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"".join(answers):
        conn.sendall(bytes([byte]))


def send_with_more(conn, answers):
    """All but the last byte is held back by MSG_MORE."""
    for answer in answers:
        conn.sendall(answer[:-1], socket.MSG_MORE)
        conn.sendall(answer[-1:])


WAYS = {
    "plain": (recv, send_each),
    "joined": (recv, send_joined),
    "iovecs": (recvmsg, sendmsg),
    "readv": (readv, writev),
    "mmsg": (recvmmsg, sendmmsg),
    "by-byte": (recv, send_by_byte),
    "more": (recv, send_with_more),
}


def chunked(*chunks):
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"


def body(text, extra=b""):
    return b"Content-Length: %d\r\n%s\r\n%s" % (len(text), extra, text)


ANSWERS = {
    "/ok": (200, body(b"fine")),
    "/created": (201, body(b"made", b"Location: /ok\r\n")),
    "/none": (204, b"\r\n"),
    "/cached": (304, b"ETag: 1\r\n\r\n"),
    "/missing": (404, body(b"")),
    "/broken": (500, body(b"sorry")),
    "/large": (200, body(b"x" * 300_000)),
    "/http": (200, body(b"HTTP/1.1 500 No\r\n\r\nGET /no HTTP/1.1\r\n\r\n" * 50)),
    "/chunks": (200, b"Transfer-Encoding: chunked\r\n\r\n"
                + chunked(b"a", b"0\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"0\r\n\r\n")),
}


def answer(request):
    method, path = request.split(b" ", 2)[:2]
    path = path.decode("latin-1")
    status, rest = ANSWERS.get(path, ANSWERS["/ok"])
    if method == b"HEAD":
        rest = rest[:rest.index(b"\r\n\r\n") + 4]
    return method.decode(), path, status, b"HTTP/1.1 %d Said\r\n%s" % (status, rest)


def read(conn, receive, requests):
    buffer = b""
    while True:
        try:
            data = receive(conn)
        except ConnectionError:
            data = b""
        if not data:
            return requests.put(None)
        begin_ns = truth.now_ns()
        *heads, buffer = (buffer + data).split(b"\r\n\r\n")
        for head in heads:
            requests.put((head, begin_ns))


def write(conn, send, requests):
    while (first := requests.get()) is not None:
        batch = [first]
        while not requests.empty() and len(batch) < 20 and requests.queue[0] is not None:
            batch.append(requests.get())
        answers = [answer(head) for head, _ in batch]
        send(conn, [a[3] for a in answers])
        for (method, path, status, _), (_, begin_ns) in zip(answers, batch):
            truth.record(method, path, status, begin_ns)
    conn.close()


receive, send = WAYS[sys.argv[1]]
with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100) as listener:
    while True:
        conn, _ = listener.accept()
        requests = queue.Queue()
        threading.Thread(target=read, args=(conn, receive, requests), daemon=True).start()
        threading.Thread(target=write, args=(conn, send, requests), daemon=True).start()
