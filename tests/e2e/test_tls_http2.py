# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, which a client and a server agree on within the handshake of TLS, or speak without it:
counted as connections that are not decoded, on both sides, beside HTTP/1.1 on the same port, which
is."""

import collections
import threading

import httpx
import pytest

import load
from expect import assert_same
from frameworks import BIN, NODE
from harness import free_port

SERVED = "http_server_request_duration_seconds_count"
ASKED = "http_client_request_duration_seconds_count"
UNDECODED = "bittern_service_undecoded_connections_total"
CONNECTIONS, EACH = 5, 20
SERVICES = {"http2-shop": [NODE, "server.js"], "http2_shop": [BIN / "python", "server.py"]}

every_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture
def start(service, certificate):
    def start(name):
        plain_port = free_port()
        started = service(SERVICES[name], name,
                          env=certificate.environment | {"PLAIN_PORT": str(plain_port)})
        started.origins = {"https": f"https://localhost:{started.port}",
                           "http": f"http://localhost:{plain_port}"}
        return started
    return start


def ask_by_http2(port, certificate):
    """Bodies that look like HTTP/1.1, by themselves in a frame."""
    with httpx.Client(http2=True, http1=False, verify=certificate.client()) as client:
        for n in range(EACH):
            body = b"GET /misread HTTP/1.1\r\n\r\n" * n
            answer = client.post(f"https://localhost:{port}/two", content=body)
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


def undecoded(page, name):
    return {(s.labels["role"], s.labels["reason"]): s.value
            for s in page.values(UNDECODED, service_name=name)}


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
    assert undecoded(page, name) == {("server", "http2"): CONNECTIONS}
    assert not page.values(ASKED, service_name=name)
    assert not page.losses(), page.losses()
    assert not page.values("bittern_agent_tls_contradictions_total")


@every_service
@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("before", [0, 300])
def test_what_is_asked_by_http2_is_not_decoded(agent, start, certificate, name, scheme, before):
    """With requests before: node's probes on what it asks have been taken off by then."""
    bittern = agent()
    other = "http2_shop" if name == "http2-shop" else "http2-shop"
    asked, asks = start(other), start(name)
    warm = load.run(asks.address, [load.Request("GET", f"/one/{n}") for n in range(before)],
                    connections=4, tls=certificate.client())
    ask = load.Request("GET", f"/ask?origin={asked.origins[scheme]}&count={EACH}")
    result = load.run(asks.address, [ask] * CONNECTIONS, connections=1, tls=certificate.client())
    assert not warm.errors and not result.errors
    lines = asked.truth(CONNECTIONS * EACH)
    assert collections.Counter(line["path"] for line in lines) == {"/asked": CONNECTIONS * EACH}
    asks.truth(before + CONNECTIONS)
    page = bittern.scrape()
    expected = {("https", str(asks.port), "/ask", "200", "1.1"): CONNECTIONS}
    if before:
        expected["https", str(asks.port), "/one/{id}", "200", "1.1"] = before
    assert_same(counts(page, name), expected, "bittern")
    assert undecoded(page, name) == {("client", "http2"): CONNECTIONS}
    assert undecoded(page, other) == {("server", "http2"): CONNECTIONS}
    assert not page.values(ASKED, service_name=name)
    assert not counts(page, other)
    assert not page.losses(), page.losses()
    assert not page.values("bittern_agent_tls_contradictions_total")
