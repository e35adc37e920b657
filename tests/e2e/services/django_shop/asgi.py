# SPDX-License-Identifier: Apache-2.0
import asyncio
import json

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import require_http_methods

import shop
import truth

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="not secret",
                   LOGGING_CONFIG=None)


async def ok(request):
    return JsonResponse(shop.ITEM)


@require_http_methods(["POST"])
def create(request):
    return JsonResponse(json.loads(request.body), status=201)


@require_http_methods(["DELETE"])
def delete(request, item_id):
    return HttpResponse(status=204)


def user(request, user_id):  # no coroutine: runs in a thread
    return JsonResponse({"id": user_id})


async def cached(request):
    return HttpResponse(status=304, headers={"ETag": '"1"'})


async def fail(request):
    raise RuntimeError("broken")


@require_http_methods(["GET"])
def readonly(request):
    return JsonResponse(shop.ITEM)


async def chunks(sleep_ms=0):
    for i, chunk in enumerate(shop.CHUNKS):
        yield chunk
        if i == 0:
            await asyncio.sleep(sleep_ms / 1000)


async def stream(request):
    return StreamingHttpResponse(chunks())


async def big(request):
    return HttpResponse(shop.BIG)


def file(request):
    return FileResponse(open(shop.BIG_FILE, "rb"))


async def sleep(request, ms, kind):
    if kind == "streamed":
        return StreamingHttpResponse(chunks(ms))
    await asyncio.sleep(ms / 1000)
    return file(request) if kind == "file" else await {"plain": ok, "big": big}[kind](request)


urlpatterns = [
    path("ok", ok), path("items", create), path("items/<int:item_id>", delete),
    path("users/<int:user_id>", user), path("cached", cached), path("fail", fail),
    path("readonly", readonly), path("stream", stream), path("big", big), path("file", file),
    path("sleep<int:ms>/<kind>", sleep),
]
application = truth.Asgi(get_asgi_application())
