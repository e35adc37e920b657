# SPDX-License-Identifier: Apache-2.0
import asyncio
import os

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

import shop
import truth

routes = web.RouteTableDef()


class TruthLogger(AbstractAccessLogger):
    """aiohttp logs a request once, after its last byte, whoever answered it."""

    def log(self, request, response, time):
        end_ns = truth.now_ns()
        begin_ns = end_ns - int(time * 1e9)
        truth.record(request.method, request.path, response.status, begin_ns,
                     handed_ns=request.get("handed_ns", begin_ns))


@routes.get("/ok")  # HEAD as well
async def ok(request):
    return web.json_response(shop.ITEM)


@routes.post("/items")
async def create(request):
    return web.json_response(await request.json(), status=201)


@routes.delete("/items/{item_id}")
async def delete(request):
    return web.Response(status=204)


@routes.get("/users/{user_id}")
async def user(request):
    return web.json_response({"id": int(request.match_info["user_id"])})


@routes.get("/cached")
async def cached(request):
    return web.Response(status=304, headers={"ETag": '"1"'})


@routes.get("/fail")
async def fail(request):
    raise web.HTTPInternalServerError


@routes.get("/readonly")
async def readonly(request):
    return web.json_response(shop.ITEM)


@routes.get("/stream")
async def stream(request, sleep_ms=0):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for i, chunk in enumerate(shop.CHUNKS):
        request["handed_ns"] = truth.now_ns()
        await response.write(chunk)
        if i == 0:
            await asyncio.sleep(sleep_ms / 1000)
    await response.write_eof()
    return response


@routes.get("/big")
async def big(request):
    return web.Response(body=shop.BIG)


@routes.get("/file")
async def file(request):
    return web.FileResponse(shop.BIG_FILE)


@routes.get(r"/sleep{ms:\d+}/{kind}")
@routes.get(r"/sleep{ms:\d+}/{kind}/{word}")
async def sleep(request):
    ms, kind = int(request.match_info["ms"]), request.match_info["kind"]
    if kind == "streamed":
        return await stream(request, ms)
    await asyncio.sleep(ms / 1000)
    request["handed_ns"] = truth.now_ns()
    return await {"plain": ok, "big": big, "file": file}[kind](request)


app = web.Application()
app.add_routes(routes)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log_class=TruthLogger,
            ssl_context=shop.TLS, print=None)
