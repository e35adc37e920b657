# SPDX-License-Identifier: Apache-2.0
"""One event loop that listens on many ports, by TLS; MANY_LOOP: asyncio or uvloop."""

import asyncio
import os

import uvloop
from aiohttp import web

import shop
import truth


async def hello(request):
    port = request.transport.get_extra_info("sockname")[1]
    truth.begun("GET", "/", port=port)
    await asyncio.sleep(port % 7 / 1000)  # so that the answers are not in order
    return web.Response(text="reed")


async def main():
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for port in (*os.environ["MANY_PORTS"].split(","), os.environ["PORT"]):
        await web.TCPSite(runner, "127.0.0.1", int(port), ssl_context=shop.TLS).start()
    await asyncio.Event().wait()


(uvloop.run if os.environ["MANY_LOOP"] == "uvloop" else asyncio.run)(main())
