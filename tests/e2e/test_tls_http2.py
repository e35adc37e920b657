# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, which a client and a server agree on within the handshake of TLS: counted as connections
that are not decoded, beside HTTP/1.1 on the same port, which is."""

import collections
import threading

import httpx
import pytest

import load
from expect import assert_same
from frameworks import BIN, NODE

SERVED = "http_server_request_duration_seconds_count"
ASKED = "http_client_request_duration_seconds_count"
UNDECODED = "bittern_service_undecoded_connections_total"
CONNECTIONS, EACH = 5, 20
SERVICES = {"http2-shop": [NODE, "server.js"], "http2_shop": [BIN / "python", "server.py"]}

every_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture
def start(service, certificate):
    return lambda name: service(SERVICES[name], name, env=certificate.environment)


def ask_by_http2(port, certificate):
    """Bodies that look like HTTP/1.1, by themselves in a frame."""
    with httpx.Client(http2=True, http1=False, verify=certificate.client()) as client:
        for n in range(EACH):
            body = b"GET /misread HTTP/1.1\r\n\r\n" * n
            answer = client.post(f"https://localhost:{port}/two", content=body)
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


def undecoded(page, name):
    return {s.labels["reason"]: s.value for s in page.values(UNDECODED, service_name=name)}


def counts(page, name, metric=SERVED):
    counted = collections.Counter()
    for s in page.values(metric, service_name=name):
        counted[s.labels["url_scheme"], s.labels["server_port"], s.labels.get("http_route"),
                s.labels["http_response_status_code"],
                s.labels["network_protocol_version"]] += int(s.value)
    return counted


@every_service
@pytest.mark.parametrize("first", ["service", "agent"])
def test_http2_is_not_decoded_and_http1_beside_it_is_exact(agent, start, certificate, name, first):
    bittern = agent() if first == "agent" else None
    shop = start(name)
    bittern = bittern or agent()
    clients = [threading.Thread(target=ask_by_http2, args=(shop.port, certificate))
               for _ in range(CONNECTIONS)]
    for client in clients:
        client.start()
    requests = [load.Request("GET", f"/one/{n}") for n in range(300)]
    result = load.run(shop.address, requests, connections=4, tls=certificate.client())
    for client in clients:
        client.join()
    assert not result.errors
    lines = shop.truth(300 + CONNECTIONS * EACH)
    served = collections.Counter(line["path"].split("/")[1] for line in lines)
    assert served == {"one": 300, "two": CONNECTIONS * EACH}
    page = bittern.scrape()
    assert_same(counts(page, name),
                {("https", str(shop.port), "/one/{id}", "200", "1.1"): 300}, "bittern")
    assert undecoded(page, name) == {"http2": CONNECTIONS}
    assert not page.values(ASKED, service_name=name)
    assert not page.losses(), page.losses()
    assert not page.values("bittern_agent_tls_contradictions_total")


@every_service
def test_what_is_asked_by_http2_is_not_decoded(agent, start, certificate, name):
    bittern = agent()
    asked = start("http2_shop" if name == "http2-shop" else "http2-shop")
    asks = start(name)
    result = load.run(asks.address, [load.Request("GET", f"/ask?port={asked.port}&count=30")] * 3,
                      connections=1, tls=certificate.client())
    assert not result.errors
    lines = asked.truth(90)
    assert collections.Counter(line["path"] for line in lines) == {"/asked": 90}
    asks.truth(3)
    page = bittern.scrape()
    assert_same(counts(page, name), {("https", str(asks.port), "/ask", "200", "1.1"): 3}, "bittern")
    assert not page.values(ASKED, service_name=name)
    assert not page.values(SERVED, server_port=str(asked.port))
    assert not page.losses(), page.losses()
