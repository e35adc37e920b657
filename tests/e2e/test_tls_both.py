# SPDX-License-Identifier: Apache-2.0
"""HTTP and HTTPS of one node process, on one loop: whose bytes its parser sees is known."""

import collections
import concurrent.futures

import pytest

import load
from expect import assert_same
from frameworks import NODE
from harness import free_port

ROUNDS = 3
EACH = 400  # requests by each scheme, in a round


@pytest.fixture
def both(service, certificate):
    def start(name, other=None):
        tls_port = free_port()
        env = {**certificate.environment, "TLS_PORT": str(tls_port), "OTEL_SERVICE_NAME": name}
        if other:
            env |= {"OTHER_PORT": str(other.port), "OTHER_TLS_PORT": str(other.tls_port)}
        started = service([NODE, "server.js"], "both-schemes", env=env)
        started.tls_port = tls_port
        return started
    return start


def requests(scheme):
    """One of four asks another server."""
    return [load.Request("GET", f"/{'asks' if n % 4 == 3 else 'ok'}/by-{scheme}/{n}")
            for n in range(EACH)]


def ask_both(shop, certificate):
    """At the same time, on connections that stay."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        tls = certificate.client()
        sealed = pool.submit(load.run, ("127.0.0.1", shop.tls_port), requests("https"), 4, tls=tls)
        plain = pool.submit(load.run, shop.address, requests("http"), 4)
        assert not plain.result().errors and not sealed.result().errors


def counts(page, side, name):
    counted = collections.Counter()
    for s in page.values(f"http_{side}_request_duration_seconds_count", service_name=name):
        counted[s.labels["url_scheme"], s.labels["server_port"], s.labels.get("http_route"),
                s.labels["http_response_status_code"]] += int(s.value)
    return counted


@pytest.mark.parametrize("round", range(ROUNDS))
def test_http_and_https_of_one_node_are_told_apart_from_the_first_bytes(agent, both, certificate,
                                                                        round):
    """Each round an agent that has not seen TLS so far: what it learns late would show."""
    other = both("asked")
    shop = both("shop", other)
    bittern = agent()
    ask_both(shop, certificate)
    shop.truth(2 * EACH)
    other.truth(EACH)
    page = bittern.scrape()
    ports = {"http": str(shop.port), "https": str(shop.tls_port)}
    assert_same(counts(page, "server", "shop"), {
        (scheme, port, f"/{what}/by-{scheme}/{{id}}", "200"): count
        for scheme, port in ports.items()
        for what, count in (("ok", EACH * 3 // 4), ("asks", EACH // 4))}, "bittern")
    ports = {"http": str(other.port), "https": str(other.tls_port)}
    for side, name in (("client", "shop"), ("server", "asked")):
        route = "/asked-by-{}" if side == "server" else None
        assert_same(counts(page, side, name), {
            (scheme, port, route and route.format(scheme), "200"): EACH // 2
            for scheme, port in ports.items()}, f"bittern, {side}")
    assert not page.losses(), page.losses()
    assert not page.values("bittern_agent_tls_contradictions_total")
    assert not page.values("bittern_agent_tls_unjoined_sessions_total")
