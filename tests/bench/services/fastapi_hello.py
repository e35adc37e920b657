# SPDX-License-Identifier: Apache-2.0
"""Hello world on FastAPI; with BENCH_PROM=1 behind prometheus-fastapi-instrumentator."""

import os

import count
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
async def hello():
    count.served += 1
    return {"message": "Hello, world"}


if os.environ.get("BENCH_PROM"):
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app).expose(app)
