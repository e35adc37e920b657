# SPDX-License-Identifier: Apache-2.0
import asyncio

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from cost import burn

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/loop/{name}")
async def loop(name: str, us: int, pages: int = 0):
    return burn.work(f"/loop/{name}", us, pages)


@app.get("/timer/{name}")
async def timer(name: str, us: int):
    first = burn.burn(us // 2)
    await asyncio.sleep(burn.WAIT_S)
    burn.note(f"/timer/{name}", first + burn.burn(us // 2))
    return burn.BODY


@app.get("/pool/{name}")
def pool(name: str, us: int, pages: int = 0):  # no coroutine: runs in the thread pool
    return burn.work(f"/pool/{name}", us, pages)
