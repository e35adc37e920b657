# SPDX-License-Identifier: Apache-2.0
"""Ends requests in every way: GET /NAME?how=HOW&ms=N, see the table at the end. A line of truth is
written when a request begins; how it ended is what the client saw."""

import asyncio
import time

from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

import truth

app = FastAPI()
STEP = 0.1  # s between two pieces of a stream


async def wait(ms, status):
    if ms:  # else at once, in the turn of the event loop that has read the request
        await asyncio.sleep(ms / 1000)
    return JSONResponse({"waited": ms}, status_code=status)


async def block(ms, status):
    time.sleep(ms / 1000)  # the event loop with it
    return JSONResponse({"blocked": ms}, status_code=status)


async def stream(pieces, ms):
    for _ in range(pieces):
        yield b"data: reed\n\n"
        await asyncio.sleep(ms / 1000 / pieces)


async def breaks():
    yield b"x" * 100
    raise RuntimeError("broken in the middle")


def pieces_of(ms):
    return max(1, int(ms / 1000 / STEP))


async def late(ms, status):
    await asyncio.sleep(ms / 1000)  # the head goes out as soon as there is one
    return StreamingResponse(stream(1, 0))


async def chunks(ms, status):
    return StreamingResponse(stream(pieces_of(ms), ms))


async def events(ms, status):
    return StreamingResponse(stream(pieces_of(ms), ms), media_type="text/event-stream")


async def trickle(ms, status):
    return StreamingResponse(stream(5, ms), headers={"Content-Length": "60"})


async def cut(ms, status):
    return StreamingResponse(iter([b"x" * 100]), headers={"Content-Length": "1000"})


async def cut_chunks(ms, status):
    return StreamingResponse(breaks())


WAYS = {way.__name__: way for way in (
    wait,  # ms without a sign, then an answer with the status
    block,  # the same, and the worker does nothing else meanwhile
    late,  # ms, then chunks
    chunks,  # for ms, the first at once
    events,  # the same as text/event-stream
    trickle,  # Content-Length, the head at once, the body within ms
    cut,  # 100 bytes of 1000, then closed
    cut_chunks,  # one chunk, then closed
)}


@app.get("/{name}")
async def answer(name: str, how: str = "wait", ms: int = 0, status: int = 200):
    truth.begun("GET", f"/{name}")
    return await WAYS[how](ms, status)


@app.websocket("/{name}")
async def talk(websocket: WebSocket, name: str):
    truth.begun("GET", f"/{name}")
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
