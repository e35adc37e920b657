# SPDX-License-Identifier: Apache-2.0
import asyncio

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

import shop
import truth

app = FastAPI()


@app.api_route("/ok", methods=["GET", "HEAD"])
async def ok():
    return shop.ITEM


@app.post("/items", status_code=201)
async def create(item: dict):
    return item


@app.delete("/items/{item_id}", status_code=204)
async def delete(item_id: int):
    return None


@app.get("/users/{user_id}")
def user(user_id: int):  # no coroutine: runs in the thread pool
    return {"id": user_id}


@app.get("/cached")
async def cached():
    return Response(status_code=304, headers={"ETag": '"1"'})


@app.get("/fail")
async def fail():
    return JSONResponse({"detail": "broken"}, status_code=500)


@app.get("/readonly")
async def readonly():
    return shop.ITEM


async def chunks(sleep_ms=0):
    for i, chunk in enumerate(shop.CHUNKS):
        yield chunk
        if i == 0:
            await asyncio.sleep(sleep_ms / 1000)


@app.get("/stream")
async def stream():
    return StreamingResponse(chunks())


@app.get("/big")
async def big():
    return Response(shop.BIG)


@app.get("/file")
async def file():
    return FileResponse(shop.BIG_FILE)


def add_sleep(ms, more):
    @app.get(f"/sleep{ms}/plain{more}")
    async def plain():
        await asyncio.sleep(ms / 1000)
        return shop.ITEM

    @app.get(f"/sleep{ms}/streamed{more}")
    async def streamed():
        return StreamingResponse(chunks(ms))

    @app.get(f"/sleep{ms}/big{more}")
    async def sleep_big():
        await asyncio.sleep(ms / 1000)
        return Response(shop.BIG)

    @app.get(f"/sleep{ms}/file{more}")
    async def sleep_file():
        await asyncio.sleep(ms / 1000)
        return FileResponse(shop.BIG_FILE)


for ms in shop.SLEEPS_MS:
    add_sleep(ms, "")
    add_sleep(ms, "/{word}")

app.add_middleware(truth.Asgi)
