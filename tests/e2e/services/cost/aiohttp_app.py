# SPDX-License-Identifier: Apache-2.0
import asyncio
import os

from aiohttp import web

from cost import burn

routes = web.RouteTableDef()


@routes.get("/loop/{name}")
async def loop(request):
    return web.Response(text=burn.work(request.path, int(request.query["us"])))


@routes.get("/pool/{name}")
async def pool(request):
    work = burn.work, request.path, int(request.query["us"])
    return web.Response(text=await asyncio.get_running_loop().run_in_executor(None, *work))


app = web.Application()
app.add_routes(routes)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
