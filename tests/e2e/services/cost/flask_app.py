# SPDX-License-Identifier: Apache-2.0
from flask import Flask, request

from cost import burn

app = Flask(__name__)


@app.get("/thread/<name>")
def thread(name):
    return burn.work(request.path, int(request.args["us"]), int(request.args.get("pages", 0)))
