# SPDX-License-Identifier: Apache-2.0
"""What HTTPS costs: services that terminate TLS themselves, and how often their probes are hit.

Beside bittern there are as many empty probes, at the places that the agent's own code finds: what
no implementation with these probes can undercut. Before a round begins some requests are served
and the agent has decided which of its probes the process needs (agent/tls.h).
"""

import contextlib
import json
import pathlib
import subprocess
import time
from typing import Callable, NamedTuple

import measure
from certificate import Certificate
from measure import Base, Bittern, TlsFloor, host_to_ourselves
from rounds import CYCLES, ROUND_S, WARM_UP_S, Findings, cycles, round_with_bittern
from table import spread

DECIDE_S = 0.3  # of load: far more than TLS_DECIDE_REQUESTS
DETACHED_S = 0.3  # a probe is taken off in a thread, some 0.1 s
HITS_S = 1
WORK_US = 1000
STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


class Kind(NamedTuple):
    name: str
    start: Callable
    budget: float  # ratio of the service's CPU


KINDS = (Kind("node https", measure.node_http, 1.22),
         Kind("uvicorn TLS", measure.asgi_tls, 1.25))
WORK_BUDGET = 1.01


def decide(service):
    """Requests that it served meanwhile."""
    count = service.measure(DECIDE_S)[1]
    time.sleep(DETACHED_S)
    return count


@contextlib.contextmanager
def program_times():
    """The kernel counts and times the runs of programs, which makes each some 50 ns longer."""
    before = STATS.read_text()
    STATS.write_text("1")
    try:
        yield
    finally:
        STATS.write_text(before)


def runs():
    """Of programs at functions of TLS: (id, name) -> (times that it ran, ns)."""
    shown = subprocess.run([measure.BPFTOOL, "-j", "prog", "show"], check=True,
                           capture_output=True, text=True).stdout
    programs = [p for p in json.loads(shown) if p.get("name", "").startswith("tls_")]
    return {(p["id"], p["name"]): (p.get("run_cnt", 0), p.get("run_time_ns", 0))
            for p in programs}


def hits_beside(service, start):
    """Of what start(stack) attaches: program -> (hits per request, ns of the program per hit)."""
    found, of_others = {}, runs()
    with contextlib.ExitStack() as stack:
        start(stack)
        decide(service)
        stack.enter_context(program_times())
        before = runs()
        count = service.measure(HITS_S)[1]
        after = runs()
    for program in set(before) - set(of_others):
        hits, ns = (b - a for a, b in zip(before[program], after[program]))
        if hits:
            found[program[1]] = hits / count, ns / hits
    return found


def show_hits(table, name, service, tmp):
    with host_to_ourselves():
        hits = hits_beside(service, lambda stack: Bittern(stack, tmp))
        floor = hits_beside(service, lambda stack: TlsFloor(stack, tmp, service.pid))
    for program, (count, ns) in sorted(hits.items(), key=lambda item: -item[1][0]):
        table.value(f"{name}: hits of {program}", f"{count:.2f} a request",
                    f"{ns:.0f} ns each in the program; empty ones {floor.get(program, [0])[0]:.2f}")
    table.value(f"{name}: hits", f"{sum(h for h, _ in hits.values()):.2f} a request",
                f"empty ones {sum(h for h, _ in floor.values()):.2f}")


def floor_round(service, tmp):
    with contextlib.ExitStack() as stack:
        TlsFloor(stack, tmp, service.pid)
        return service.measure(ROUND_S)[0]


def variants(table, findings, service, tmp):
    def bittern(build, findings):
        return round_with_bittern(table, findings, service, tmp, build=build,
                                  before=lambda: decide(service))

    yield "plain", lambda: service.measure(ROUND_S)[0]
    yield "bittern", lambda: bittern(Bittern, findings)
    yield "floor", lambda: floor_round(service, tmp)
    if Base.program:
        yield "base", lambda: bittern(Base, Findings())


def compare_rounds(table, name, rounds, budget):
    service, agent = zip(*rounds["bittern"])
    table.compare(f"{name}: bittern", rounds["plain"], service,
                  f"{spread(agent, '.2f'):<20}  ratio <= {budget}")
    if "base" in rounds:
        table.compare(f"{name}: bittern, against BASE", [us for us, _ in rounds["base"]], service)
    table.compare(f"{name}: empty probes (floor)", rounds["plain"], rounds["floor"])


def compare(table, findings, tmp, kind):
    """A hello world, then the same with work: rounds of each, then how often probes were hit."""
    certificate = Certificate(tmp)
    for name, budget, env in (
            (kind.name, kind.budget, {}),
            (f"{kind.name}, {WORK_US / 1000:.0f} ms", WORK_BUDGET, {"WORK_US": str(WORK_US)})):
        with contextlib.ExitStack() as stack:
            service = kind.start(stack, tmp, certificate=certificate, env=env)
            service.load(WARM_UP_S)
            rounds = cycles(table, CYCLES, list(variants(table, findings, service, tmp)))
            compare_rounds(table, name, rounds, budget)
            if not env:
                show_hits(table, name, service, tmp)
