# SPDX-License-Identifier: Apache-2.0
"""Short interleaved rounds: each cycle measures one round of every variant."""

import collections
import contextlib
import os
import time

import measure
from measure import Bittern, cpu_ns, host_to_ourselves, requests, rss_bytes

QUICK = os.environ.get("BENCH_QUICK") == "1"
CYCLES = int(os.environ.get("BENCH_CYCLES", 3 if QUICK else 12))
ROUND_S = 0.4 if QUICK else 0.8
WARM_UP_S = 1.2 if QUICK else 2.5  # until V8 has compiled what is hot
MB = 1e6


class Findings:
    """What the agent itself cost, collected over all rounds."""

    def __init__(self):
        self.start_ms, self.idle_rss = [], []
        self.losses = collections.Counter()


def round_with_bittern(table, findings, service, tmp, *options, before=lambda: 0,
                       after=lambda: None, build=Bittern):
    """(us of CPU per request of the service, of the agent).

    before() and after() run while the agent does; before() returns how many requests that were.
    """
    with contextlib.ExitStack() as stack:
        agent = build(stack, tmp, *options)
        findings.start_ms.append(agent.start_ms())
        findings.idle_rss.append(rss_bytes(agent.pid) / MB)
        earlier = before()
        agent_ns = cpu_ns(agent.pid)
        us, count = service.measure(ROUND_S)
        time.sleep(measure.DRAIN_S)
        agent_ns = cpu_ns(agent.pid) - agent_ns
        page = agent.scrape()
        findings.losses.update(page.losses())
        table.expect_count("interleaved round", requests(page, server_port=str(service.port)),
                           earlier + count)
        after()
        agent.stop_clean()
    return us, agent_ns / 1000 / count


def cycles(table, count, variants):
    """Calls each variant's function once a cycle; name -> results."""
    results = collections.defaultdict(list)
    for cycle in range(count):
        with host_to_ourselves():
            table.cycles += 1
            table.disturbed += bool(measure.others_attached())
            for name, run in variants[::-1 if cycle % 2 else 1]:
                results[name].append(run())
    return results
