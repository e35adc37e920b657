# SPDX-License-Identifier: Apache-2.0
"""Loads the TLS library when it is first asked to: at /call?port=N to get https://localhost:N/, at
/serve?port=N to serve there. On bare sockets, since most modules of HTTP import ssl at once."""

import os
import socket
import sys
import threading


def read_head(connection):
    """The target of the next request; None: the peer closed. Requests have no body here."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return None
        head += piece
    return head.split()[1].decode()


def answer(connection, text):
    body = text.encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def listen(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def serve(listener, wrap, handle):
    def converse(connection):
        with wrap(connection) as wrapped:
            while (target := read_head(wrapped)) is not None:
                handle(wrapped, target)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(connection,), daemon=True).start()


def call(port):
    import ssl
    context = ssl.create_default_context(cafile=os.environ["TLS_CERT"])
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)),
                             server_hostname="localhost") as wrapped:
        wrapped.sendall(b"GET /ok HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return wrapped.recv(65536).split()[1].decode()


def serve_tls(port):
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    threading.Thread(
        target=serve, daemon=True,
        args=(listen(port), lambda c: context.wrap_socket(c, server_side=True),
              lambda connection, target: answer(connection, "by TLS"))).start()
    return "serving"


def handle(connection, target):
    loaded = "ssl" in sys.modules
    path, _, query = target.partition("?port=")
    if path == "/call":
        text = call(int(query))
    elif path == "/serve":
        text = serve_tls(int(query))
    else:
        text = "plain"
    answer(connection, f"{text} {'again' if loaded else 'first'}")


serve(listen(int(os.environ["PORT"])), lambda c: c, handle)
