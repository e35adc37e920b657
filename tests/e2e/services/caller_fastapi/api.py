# SPDX-License-Identifier: Apache-2.0
"""GET /LIBRARY?url=URL&count=N calls the URL so often, one call after the other in one session, and
answers with the statuses, or with the name of the error where there was none.
GET /many/LIBRARY?port=PORT&port=PORT... calls https://localhost:PORT/ of all ports at once, the
first once, the second twice and so on, each in a session of its own."""

import asyncio
import urllib.error
import urllib.request

import aiohttp
import httpx
import requests
import urllib3
from fastapi import FastAPI, Query

app = FastAPI()


@app.get("/httpx")
async def with_httpx(url: str, count: int = 1, host: str = "", timeout: float = 20):
    results = []
    async with httpx.AsyncClient(timeout=timeout) as client:
        for _ in range(count):
            try:
                response = await client.get(url, headers=headers(host))
                results.append(response.status_code)
            except httpx.HTTPError as error:
                results.append(type(error).__name__)
    return results


@app.get("/aiohttp")
async def with_aiohttp(url: str, count: int = 1, host: str = "", timeout: float = 20):
    results = []
    limit = aiohttp.ClientTimeout(total=timeout)
    async with aiohttp.ClientSession(timeout=limit) as session:
        for _ in range(count):
            try:
                async with session.get(url, headers=headers(host)) as response:
                    await response.read()
                    results.append(response.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                results.append(type(error).__name__)
    return results


@app.get("/requests")
def with_requests(url: str, count: int = 1, host: str = "", timeout: float = 20):
    results = []
    with requests.Session() as session:
        for _ in range(count):
            try:
                response = session.get(url, headers=headers(host), timeout=timeout)
                results.append(response.status_code)
            except requests.RequestException as error:
                results.append(type(error).__name__)
    return results


@app.get("/urllib3")
def with_urllib3(url: str, count: int = 1, host: str = "", timeout: float = 20):
    results = []
    with urllib3.PoolManager(retries=False) as pool:
        for _ in range(count):
            try:
                response = pool.request("GET", url, headers=headers(host), timeout=timeout)
                results.append(response.status)
            except urllib3.exceptions.HTTPError as error:
                results.append(type(error).__name__)
    return results


@app.get("/urllib")
def with_urllib(url: str, count: int = 1, host: str = "", timeout: float = 20):
    results = []
    for _ in range(count):
        request = urllib.request.Request(url, headers=headers(host))
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                response.read()
                results.append(response.status)
        except urllib.error.HTTPError as error:
            error.read()
            results.append(error.code)
        except (OSError, ValueError) as error:
            results.append(type(error).__name__)
    return results


@app.get("/many/{library}")
async def many(library: str, port: list[int] = Query()):
    call = {"aiohttp": with_aiohttp, "httpx": with_httpx}[library]
    return await asyncio.gather(*(call(f"https://localhost:{port}/", count)
                                  for count, port in enumerate(port, 1)))


def headers(host):
    return {"Host": host} if host else {}
