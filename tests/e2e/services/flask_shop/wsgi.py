# SPDX-License-Identifier: Apache-2.0
import time

from flask import Flask, Response, request, send_file

import shop
import truth

app = Flask(__name__)


@app.get("/ok")
def ok():
    return shop.ITEM


@app.post("/items")
def create():
    return request.get_json(), 201


@app.delete("/items/<int:item_id>")
def delete(item_id):
    return "", 204


@app.get("/users/<int:user_id>")
def user(user_id):
    return {"id": user_id}


@app.get("/cached")
def cached():
    return "", 304, {"ETag": '"1"'}


@app.get("/fail")
def fail():
    raise RuntimeError("broken")


@app.get("/readonly")
def readonly():
    return shop.ITEM


def chunks(sleep_ms=0):
    for i, chunk in enumerate(shop.CHUNKS):
        yield chunk
        if i == 0:
            time.sleep(sleep_ms / 1000)


@app.get("/stream")
def stream():
    return Response(chunks())


@app.get("/big")
def big():
    return Response(shop.BIG)


@app.get("/file")
def file():
    return send_file(shop.BIG_FILE)


@app.get("/sleep<int:ms>/<kind>")
@app.get("/sleep<int:ms>/<kind>/<word>")
def sleep(ms, kind, word=None):
    if kind == "streamed":
        return Response(chunks(ms))
    time.sleep(ms / 1000)
    return {"plain": ok, "big": big, "file": file}[kind]()


app.wsgi_app = truth.Wsgi(app.wsgi_app)
