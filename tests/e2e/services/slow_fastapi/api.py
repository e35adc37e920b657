# SPDX-License-Identifier: Apache-2.0
"""Answers when it has waited; streams; and asks others, without patience."""

import asyncio
import urllib.error
import urllib.request

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import truth

app = FastAPI()


@app.get("/ask")
def ask(url: str):
    try:
        with urllib.request.urlopen(url, timeout=0.2) as response:
            return response.status
    except (urllib.error.URLError, TimeoutError) as error:
        return repr(error)


@app.get("/stream")
async def stream():
    async def chunks():
        yield b"one,"
        await asyncio.sleep(0.2)
        yield b"two\n"
    return StreamingResponse(chunks())


@app.get("/{name}")
async def wait(name: str, ms: int = 0):
    await asyncio.sleep(ms / 1000)
    return name


app.add_middleware(truth.Asgi)
