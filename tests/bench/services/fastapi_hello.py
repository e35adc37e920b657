# SPDX-License-Identifier: Apache-2.0
"""Hello world on FastAPI; with BENCH_PROM=1 behind prometheus-fastapi-instrumentator."""

import os
import signal

from fastapi import FastAPI

app = FastAPI()
served = 0


def tell(signum, frame):
    with open(os.environ["TRUTH_FILE"], "a") as truth:
        truth.write(f"{served}\n")


signal.signal(signal.SIGUSR2, tell)


@app.get("/hello")
async def hello():
    global served
    served += 1
    return {"message": "Hello, world"}


if os.environ.get("BENCH_PROM"):
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app).expose(app)
