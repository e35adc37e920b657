# SPDX-License-Identifier: Apache-2.0
"""Exact counts: what an unmodified service served is what /metrics says, per route, method, status.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import frameworks
import load
from expect import assert_exact, assert_same, expected, truth_counts

REQUESTS = 2000

every_framework = pytest.mark.parametrize("framework", frameworks.FRAMEWORKS, ids=lambda f: f.id)


def served(shop, framework, result):
    """The truth, as lines of the service; where it writes none, as the client saw it."""
    assert not result.errors
    if not framework.truth:
        shop.settle()
        return [{"method": s.request.method, "path": s.request.path, "status": s.status,
                 "begin_ns": s.done_ns} for s in result.samples]  # began then at the latest
    lines = shop.truth(len(result.samples))
    assert_same(truth_counts(lines), result.counts(), "the service")
    return lines


@every_framework
@pytest.mark.parametrize("first", ["service", "agent"])
def test_every_request_is_counted_whichever_starts_first(service, agent, framework, first):
    if first == "agent":
        bittern = agent()
        shop = service(framework)
    else:
        shop = service(framework)
        bittern = agent()
    result = load.run(shop.address, load.mixed(REQUESTS, table=framework.table))
    truth = served(shop, framework, result)
    page = bittern.scrape()
    assert_exact(page, framework.name, truth_counts(truth))
    assert page.services_on(shop.port) == {framework.name}


@every_framework
def test_requests_read_after_readyz_are_counted_in_the_middle_of_load(service, agent, framework):
    shop = service(framework)
    attached = threading.Event()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(load.run, shop.address,
                              load.until(attached, REQUESTS, framework.table))
        try:
            bittern = agent()
        finally:
            attached.set()
    result = running.result()
    truth = served(shop, framework, result)
    page = bittern.scrape()
    counted = page.counts(framework.name)
    # Sent after /readyz answered: read after it. Counted: read, and so begun,
    # after the agent was spawned.
    least = expected(result.counts(since_ns=bittern.ready_ns))
    most = expected(truth_counts(truth, since_ns=bittern.spawn_ns))
    assert sum(least.values()) >= REQUESTS - 16, "the load ended too early to show anything"
    assert_same(least & counted, least, "bittern, too little:")
    assert_same(counted | most, most, "bittern, too much:")
    assert not page.losses()
    assert page.services_on(shop.port) == {framework.name}
