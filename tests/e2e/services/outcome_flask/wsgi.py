# SPDX-License-Identifier: Apache-2.0
"""Ends requests in every way: see outcome_fastapi/api.py."""

import time

from flask import Flask, Response, request

import truth

app = Flask(__name__)
STEP = 0.1


def wait(ms, status):
    time.sleep(ms / 1000)
    return {"waited": ms}, status


def stream(pieces, ms):
    for _ in range(pieces):
        yield b"data: reed\n\n"
        time.sleep(ms / 1000 / pieces)


def late(ms, status):
    time.sleep(ms / 1000)
    return Response(stream(1, 0))


def breaks():
    yield b"x" * 100
    raise RuntimeError("broken in the middle")


def pieces_of(ms):
    return max(1, int(ms / 1000 / STEP))


WAYS = {
    "wait": wait,
    "block": wait,
    "late": late,
    "chunks": lambda ms, status: Response(stream(pieces_of(ms), ms)),
    "events": lambda ms, status: Response(stream(pieces_of(ms), ms), mimetype="text/event-stream"),
    "trickle": lambda ms, status: Response(stream(5, ms), headers={"Content-Length": "60"}),
    "cut": lambda ms, status: Response(iter([b"x" * 100]), headers={"Content-Length": "1000"}),
    "cut_chunks": lambda ms, status: Response(breaks()),
}


@app.get("/<name>")
def answer(name):
    truth.begun("GET", f"/{name}")
    return WAYS[request.args.get("how", "wait")](
        int(request.args.get("ms", 0)), int(request.args.get("status", 200)))
