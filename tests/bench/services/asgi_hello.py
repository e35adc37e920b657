# SPDX-License-Identifier: Apache-2.0
"""Hello world on nothing but ASGI; with WORK_US a request takes so much CPU time first."""

import os
import time

import count

WORK_NS = int(os.environ.get("WORK_US", 0)) * 1000
START = {"type": "http.response.start", "status": 200,
         "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")]}
BODY = {"type": "http.response.body", "body": b"Hello, world\n"}


async def app(scope, receive, send):
    count.served += 1
    if WORK_NS:
        end = time.thread_time_ns() + WORK_NS
        while time.thread_time_ns() < end:
            pass
    await send(START)
    await send(BODY)
