# SPDX-License-Identifier: Apache-2.0
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from cost import burn

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="not secret",
                   LOGGING_CONFIG=None)


def work(request, name):
    return HttpResponse(burn.work(request.path, int(request.GET["us"])))


async def loop(request, name):
    return work(request, name)


# Under ASGI what is no coroutine runs in a thread that Django starts for each request.
urlpatterns = [path("loop/<name>", loop), path("thread/<name>", work), path("pool/<name>", work)]
wsgi, asgi = get_wsgi_application(), get_asgi_application()
