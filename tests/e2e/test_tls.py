# SPDX-License-Identifier: Apache-2.0
"""HTTPS: services that terminate TLS themselves. The truth is what the application counted."""

import http.client
import socket
import time

import pytest

import frameworks
import load
from expect import assert_exact, assert_same, truth_counts
from harness import wait_for

REQUESTS = 600
PYTHON = ["fastapi-h11-asyncio", "fastapi-httptools-uvloop", "flask-sync", "flask-gthread",
          "aiohttp"]
NODE = ["node", "express", "fastify", "cluster"]

every_framework = pytest.mark.parametrize("framework", PYTHON + NODE)


@pytest.fixture
def tls_service(service, certificate):
    """A framework of frameworks.py, by id, with TLS."""
    def start(id):
        framework = frameworks.BY_ID[id]
        options = []
        if framework.command[0].name == "uvicorn":
            options = ["--ssl-certfile", certificate.path, "--ssl-keyfile", certificate.key]
        elif framework.command[0].name == "gunicorn":
            options = ["--certfile", certificate.path, "--keyfile", certificate.key]
        elif framework.command[0].name == "granian":
            options = ["--ssl-certificate", certificate.path, "--ssl-keyfile", certificate.key]
        return service(framework._replace(command=framework.command + options),
                       env=certificate.environment)
    return start


def assert_https(page, shop, name):
    """What the service on this port is said to have served, it has served by TLS."""
    __tracebackhide__ = True
    samples = page.values("http_server_request_duration_seconds_count", service_name=name)
    assert {(s.labels["url_scheme"], s.labels["server_port"]) for s in samples} == {
        ("https", str(shop.port))}
    assert not page.values("bittern_agent_tls_contradictions_total")
    assert not page.values("bittern_service_undecoded_connections_total", service_name=name)


def check(bittern, shop, framework, result):
    __tracebackhide__ = True
    assert not result.errors
    lines = shop.truth(len(result.samples))
    assert_same(truth_counts(lines), result.counts(), "the service")
    page = bittern.scrape()
    name = frameworks.BY_ID[framework].name
    assert_exact(page, name, truth_counts(lines))
    assert_https(page, shop, name)
    assert not page.values("bittern_agent_tls_unjoined_sessions_total")
    queued = page.total("bittern_http_server_queue_duration_seconds_count", service_name=name)
    assert queued == len(lines)


@every_framework
@pytest.mark.parametrize("first", ["service", "agent"])
def test_every_request_is_counted_whichever_starts_first(agent, tls_service, certificate,
                                                         framework, first):
    if first == "agent":
        bittern = agent()
        shop = tls_service(framework)
    else:
        shop = tls_service(framework)
        bittern = agent()
    result = load.run(shop.address, load.mixed(REQUESTS), tls=certificate.client())
    check(bittern, shop, framework, result)


@every_framework
def test_a_session_a_request_is_counted(agent, tls_service, certificate, framework):
    bittern = agent()
    shop = tls_service(framework)
    result = load.run(shop.address, load.mixed(60), keep_alive=False, tls=certificate.client())
    check(bittern, shop, framework, result)


def test_without_probes_tls_is_not_decoded_and_said_so(agent, tls_service, certificate):
    bittern = agent("--no-tls")
    shop = tls_service("node")
    result = load.run(shop.address, load.mixed(60), connections=4, tls=certificate.client())
    assert not result.errors
    shop.settle()
    page = bittern.scrape()
    assert not page.values("http_server_request_duration_seconds_count",
                           service_name="node-shop")
    assert page.total("bittern_service_undecoded_connections_total",
                      service_name="node-shop") == 4


def test_what_is_no_request_inside_tls_is_no_loss(agent, tls_service, certificate):
    """Its parser finds none in it, and node answers: as if a request had passed unseen."""
    bittern = agent()
    shop = tls_service("node")
    for _ in range(3):
        with certificate.client().wrap_socket(socket.create_connection(shop.address),
                                              server_hostname="localhost") as client:
            client.sendall(b"no request\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
    result = load.run(shop.address, load.mixed(60), tls=certificate.client())
    check(bittern, shop, "node", result)


def test_tls_that_another_library_reads_is_not_decoded_and_said_so(agent, tls_service, certificate):
    """Granian's is in Rust. Its Python has OpenSSL's library too, with probes, as all that imports
    asyncio has: by this alone it can't be told from uvicorn."""
    bittern = agent()
    shop = tls_service("fastapi-granian")

    def connect(count):
        for _ in range(count):
            client = http.client.HTTPSConnection("localhost", shop.port,
                                                 context=certificate.client())
            for _ in range(2):
                client.request("GET", "/ok/1")
                client.getresponse().read()
            client.close()

    def assert_undecoded(count):
        wait_for(lambda: bittern.scrape().total("bittern_service_undecoded_connections_total",
                                                service_name="fastapi_shop",
                                                reason="tls") == count, f"{count} told")

    connect(3)
    time.sleep(1.1)  # for as long the probes might have come late
    connect(1)
    assert_undecoded(4)
    connect(2)
    assert_undecoded(6)
    assert not bittern.scrape().values("http_server_request_duration_seconds_count",
                                       service_name="fastapi_shop")


@every_framework
def test_a_session_that_is_older_than_the_agent_is_picked_up_at_its_next_request(
        agent, tls_service, certificate, framework):
    shop = tls_service(framework)
    old = http.client.HTTPSConnection("localhost", shop.port, context=certificate.client())

    def ask():
        old.request("GET", "/ok")
        response = old.getresponse()
        assert response.status == 200 and response.read()

    ask()
    bittern = agent()
    for _ in range(3):
        ask()
    shop.settle()
    page = bittern.scrape()
    name = frameworks.BY_ID[framework].name
    assert page.counts(name) == {("GET", "/ok", "200"): 3}
    assert not page.losses(), page.losses()
    assert_https(page, shop, name)
