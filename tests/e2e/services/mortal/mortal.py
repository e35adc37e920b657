# SPDX-License-Identifier: Apache-2.0
"""A WSGI application whose processes end as they are asked to, and that starts others."""

import os
import subprocess


def missing():
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError:
        pass


def fork(become):
    """A child by fork(2) that calls become() and ends."""
    child = os.fork()
    if child == 0:
        become()
        os._exit(0)
    os.waitpid(child, 0)


def eat():
    eaten = []
    while True:
        eaten.append(b"x" * 1_000_000)


ACTS = {
    "/ok": lambda: None,
    "/run": lambda: subprocess.run(["false"]),  # vfork and exec
    "/run-missing": missing,
    "/run-python": lambda: subprocess.run(["python3", "-c", "exit(1)"]),
    "/fork-exec": lambda: fork(lambda: os.execvp("false", ["false"])),
    "/fork": lambda: fork(lambda: None),
    "/eat": eat,
}


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/exit/"):
        os._exit(int(path[6:]))
    if path.startswith("/kill/"):
        os.kill(os.getpid(), int(path[6:]))
    ACTS[path]()
    start_response("200 OK", [("Content-Length", "0")])
    return []
