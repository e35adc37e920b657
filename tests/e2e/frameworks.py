# SPDX-License-Identifier: Apache-2.0
"""The services under test, one line each: how each is started and what is special about it."""

import os
import pathlib
from typing import NamedTuple

import load

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path(os.environ.get("BITTERN_CACHE") or pathlib.Path.home() / ".cache/bittern")
BIN = CACHE / "venv/bin"
NODE = CACHE / "node/bin/node"


class Framework(NamedTuple):
    id: str
    name: str  # service.name by the naming rule
    command: list  # {port} is replaced
    folder: str = ""  # working directory below services/
    table: list = load.SHOP
    truth: bool = True  # counts its own responses; else the client's count has to do
    sendfile: bool = False  # /file goes out by sendfile(2)


IDLE_S = "60"  # a connection that waits for its client's turn stays, also on a busy machine


def uvicorn(http, loop):
    return Framework(f"fastapi-{http}-{loop}", "fastapi_shop",
                     [BIN / "uvicorn", "fastapi_shop.api:app", "--port", "{port}", "--http", http,
                      "--loop", loop, "--log-level", "warning", "--timeout-keep-alive", IDLE_S])


def gunicorn(id, name, app, *options, **traits):
    return Framework(id, name, [BIN / "gunicorn", app, "--bind", "127.0.0.1:{port}",
                                "--log-level", "warning", *options], **traits)


def script(folder, *command, **traits):
    return Framework(folder.removesuffix("-shop"), folder, list(command), folder, **traits)


# Streamlit has routes of its own; an application adds none.
STREAMLIT = [
    (10, lambda n: load.Request("GET", "/_stcore/health")),
    (5, lambda n: load.Request("HEAD", "/_stcore/health")),
    (5, lambda n: load.Request("OPTIONS", "/_stcore/health")),  # 204
    (5, lambda n: load.Request("GET", "/_stcore/host-config")),
    (5, lambda n: load.Request("GET", "/")),
    (3, lambda n: load.Request("GET", "/manifest.json")),  # 150 KB
    (5, lambda n: load.Request("GET", f"/media/{n}.png")),  # 404
    (5, lambda n: load.Request("DELETE", f"/_stcore/upload_file/{n}/{n}")),  # 403
]

FRAMEWORKS = [
    uvicorn("h11", "asyncio"),
    uvicorn("h11", "uvloop"),
    uvicorn("httptools", "asyncio"),
    uvicorn("httptools", "uvloop"),
    gunicorn("flask-sync", "flask_shop", "flask_shop.wsgi:app", "--workers", "4", sendfile=True),
    gunicorn("flask-gthread", "flask_shop", "flask_shop.wsgi:app", "--worker-class", "gthread",
             "--threads", "16", "--keep-alive", IDLE_S, sendfile=True),
    gunicorn("flask-gevent", "flask_shop", "flask_shop.wsgi:app", "--worker-class", "gevent",
             "--keep-alive", IDLE_S),
    Framework("flask-waitress", "flask_shop",
              [BIN / "waitress-serve", "--listen=127.0.0.1:{port}", "--threads", "16",
               "flask_shop.wsgi:app"]),
    Framework("fastapi-hypercorn", "fastapi_shop",
              [BIN / "hypercorn", "fastapi_shop.api:app", "--bind", "127.0.0.1:{port}"]),
    Framework("fastapi-granian", "fastapi_shop",  # its sockets are Rust's
              [BIN / "granian", "--interface", "asgi", "fastapi_shop.api:app", "--port", "{port}",
               "--log-level", "warning"]),
    gunicorn("django", "django_shop", "django_shop.asgi:application", "--worker-class",
             "uvicorn_worker.UvicornWorker"),
    script("aiohttp-shop", BIN / "python", "server.py", sendfile=True),
    script("stdlib-shop", BIN / "python", "server.py", sendfile=True),
    script("streamlit-shop", BIN / "streamlit", "run", "app.py", "--server.port", "{port}",
           "--server.address", "127.0.0.1", "--server.headless", "true",
           "--browser.gatherUsageStats", "false", table=STREAMLIT, truth=False),
    script("node-shop", NODE, "server.js"),
    script("express-shop", NODE, "server.js"),
    script("fastify-shop", NODE, "server.js"),
    script("cluster-shop", NODE, "server.js"),
]
BY_ID = {f.id: f for f in FRAMEWORKS}
