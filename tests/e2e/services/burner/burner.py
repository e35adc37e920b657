# SPDX-License-Identifier: Apache-2.0
"""A WSGI application whose requests cost CPU time, memory and context switches as they ask."""

import os
import time

kept = []


def burn(seconds, step):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(100):
            step()


def app(environ, start_response):
    _, act, amount = environ["PATH_INFO"].split("/")
    if act == "user":
        burn(int(amount) / 1000, lambda: None)
    elif act == "system":
        burn(int(amount) / 1000, lambda: os.stat("/"))
    elif act == "sleep":
        for _ in range(int(amount)):
            time.sleep(0.0001)
    elif act == "touch":
        bytearray(int(amount) * 1_000_000)
    elif act == "keep":
        kept.append(b"x" * (int(amount) * 1_000_000))
    start_response("200 OK", [("Content-Length", "0")])
    return []
