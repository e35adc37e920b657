# SPDX-License-Identifier: Apache-2.0
"""What bittern costs, as one table. Started by run.sh, as root.

Rounds are short and interleaved: each cycle measures one round of every variant, forwards in even
cycles, backwards in odd ones, so that what drifts (clock, neighbours) hits all alike. A variant is
compared with the plain round of its own cycle; the table shows the median of these pairs and their
quartiles. Times are printed, never judged. A request that is not counted fails the run.
"""

import collections
import contextlib
import http.client
import os
import pathlib
import platform
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback

import measure
import otlp
import sdks
import tls
from measure import Bittern, Floor, Pairs, cpu_ns, host_to_ourselves, requests, rss_bytes
from rounds import (CYCLES, MB, QUICK, ROUND_S, WARM_UP_S, Findings, cycles,
                    round_with_bittern)
from table import Table, spread

ONLY = list(filter(None, os.environ.get("BENCH_ONLY", "").split(",")))
SDK_CYCLES = 2 if QUICK else 10
FULL_LOAD_S = 3 if QUICK else 8
IDLE_S = 2 if QUICK else 10
FIRST_RECORDS = 2 if QUICK else 5
LINES = 10_000


def compare_node_http(table, findings, tmp):
    """Nothing, bittern, empty programs, and nothing again: what the method makes of no change."""
    pairs = collections.defaultdict(lambda: collections.defaultdict(list))
    with contextlib.ExitStack() as stack:
        service = measure.node_http(stack, tmp)
        older = Pairs(stack)
        service.load(WARM_UP_S)

        def pairs_in(state):
            younger = Pairs(stack)
            for name, process, kind in (("unix socket", older, "unix"), ("TCP", older, "tcp"),
                                        ("TCP, process started later", younger, "tcp")):
                pairs[name][state].append(process.measure(kind))
            younger.process.kill()

        def plain():
            us, _ = service.measure(ROUND_S)
            pairs_in("plain")
            return us

        def floor():
            with contextlib.ExitStack() as attached:
                Floor(attached, tmp)
                us, _ = service.measure(ROUND_S)
                pairs_in("floor")
                return us

        def bittern():
            return round_with_bittern(table, findings, service, tmp,
                                      after=lambda: pairs_in("bittern"))

        def no_cpu():
            return round_with_bittern(table, Findings(), service, tmp, "--no-cpu")

        def base():
            return round_with_bittern(table, Findings(), service, tmp, build=measure.Base)

        rounds = cycles(table, CYCLES, [
            ("plain", plain), ("bittern", bittern), ("no_cpu", no_cpu), ("floor", floor),
            ("again", lambda: service.measure(ROUND_S)[0]),
            *([("base", base)] if measure.Base.program else [])])
    compare_bittern(table, "node http", rounds, "<= 1.0 us")
    service, agent = zip(*rounds["no_cpu"])
    table.compare("node http: bittern --no-cpu", rounds["plain"], service, spread(agent, ".2f"))
    table.compare("node http: CPU per route (--no-cpu, bittern)", service,
                  [us for us, _ in rounds["bittern"]], f"{'':<20}  <= 0.4 us")
    table.compare("node http: empty programs (floor)", rounds["plain"], rounds["floor"])
    if "base" in rounds:
        table.compare("node http: bittern, against BASE",
                      [us for us, _ in rounds["base"]], [us for us, _ in rounds["bittern"]])
    table.compare("node http: nothing (what noise looks like)", rounds["plain"], rounds["again"])
    return pairs


def compare_bittern(table, name, rounds, budget):
    service, agent = zip(*rounds["bittern"])
    table.compare(f"{name}: bittern", rounds["plain"], service,
                  f"{spread(agent, '.2f'):<20}  {budget}, agent <= 0.5 us")


def compare_framework(table, findings, tmp, name, start):
    with contextlib.ExitStack() as stack:
        service = start(stack, tmp)
        service.load(WARM_UP_S)
        rounds = cycles(table, CYCLES, [
            ("plain", lambda: service.measure(ROUND_S)[0]),
            ("bittern", lambda: round_with_bittern(table, findings, service, tmp))])
    compare_bittern(table, name, rounds, "<= 1 %")


def compare_sdks(table, tmp, family, variants):
    with contextlib.ExitStack() as stack:
        sink = sdks.Sink(stack)
        try:
            running = list(variants(stack, tmp, sink))
        except FileNotFoundError as error:
            table.skip(f"{family}: SDKs", error)
            return
        for variant in running:
            variant.service.load(WARM_UP_S)
        rounds = cycles(table, SDK_CYCLES, [
            (v.name, lambda v=v: v.service.measure(ROUND_S)[0]) for v in running])
        for variant in running[1:]:
            missing = variant.missing(sink)
            if missing:
                table.skip(f"{family}: {variant.name}", missing)
            else:
                table.compare(f"{family}: {variant.name}", rounds["plain"], rounds[variant.name])


def compare_pairs(table, pairs):
    for name, states in pairs.items():
        table.compare(f"{name}: empty programs", states["plain"], states["floor"])
        table.compare(f"{name}: bittern", states["plain"], states["bittern"])


# Name, whether the process is wanted, kind of switches.c
SWITCHES = [
    ("somebody else's threads", False, "threads"),
    ("somebody else's processes", False, "processes"),
    ("node's idle threads", True, "threads"),
    ("node's pool jobs", True, "jobs"),
]


def context_switches(table, findings, tmp):
    with contextlib.ExitStack() as stack:
        processes = {wanted: measure.Switches(stack, wanted) for wanted in (False, True)}

        def switch():
            return [processes[wanted].measure(kind) for _, wanted, kind in SWITCHES]

        def switch_beside(*options):
            with contextlib.ExitStack() as beside:
                agent = Bittern(beside, tmp, *options)
                found = switch()
                findings.losses.update(agent.scrape().losses())
                agent.stop_clean()
                return found

        rounds = cycles(table, CYCLES, [
            ("plain", switch), ("bittern", switch_beside),
            ("--no-cpu", lambda: switch_beside("--no-cpu"))])
    for at, (name, _, _) in enumerate(SWITCHES):
        plain, bittern, no_cpu = ([times[at] for times in rounds[state]]
                                  for state in ("plain", "bittern", "--no-cpu"))
        table.compare(f"{name}: bittern", plain, bittern)
        table.compare(f"{name}: bittern --no-cpu", plain, no_cpu)


def named(losses):
    return ", ".join(f"{n} {cause}" for cause, n in losses.items() if n) or "no losses"


def full_load(table, findings, tmp):
    with contextlib.ExitStack() as stack, host_to_ourselves():
        service = measure.node_http(stack, tmp)
        service.load(WARM_UP_S)
        agent = Bittern(stack, tmp)
        before, cpu, started = service.served(), cpu_ns(agent.pid), time.monotonic()
        service.load(FULL_LOAD_S, connections=64)
        seconds = time.monotonic() - started
        served = service.served() - before
        time.sleep(measure.DRAIN_S)
        cpu = (cpu_ns(agent.pid) - cpu) / 1e9
        page = agent.scrape()
        counted = requests(page, server_port=str(service.port))
        table.expect_count("full load", counted, served)
        table.value("requests counted at full load",
                    f"{counted} of {served}, {named(page.losses())}",
                    f"all of 60,000 a second; here {served / seconds:,.0f}, 64 connections")
        table.value("agent's CPU at full load", f"{cpu / served * 1e6:.2f} us a request",
                    f"{cpu / seconds:.1%} of a CPU")
        table.value("agent's RSS after full load", f"{rss_bytes(agent.pid) / MB:.1f} MB",
                    f"peak {agent.peak_rss_bytes() / MB:.1f} MB")
        agent.stop_clean()


def first_record_ms(table, stack, tmp, service):
    """From exec to the first request that was counted: of a client that asks all the time, the last
    N. What it sent after /readyz was answered must be among them; None if it is not."""
    sent, stop = [], threading.Event()

    def ask():
        with socket.create_connection(service.address) as connection:
            while not stop.is_set():
                sent.append(time.monotonic_ns())
                connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b""
                while not answer.endswith(b"world\n"):
                    answer += connection.recv(4096)

    client = threading.Thread(target=ask)
    client.start()
    try:
        time.sleep(0.05)
        agent = Bittern(stack, tmp)
        time.sleep(0.1)
    finally:
        stop.set()
        client.join()
    service.settle()
    counted = requests(agent.scrape(), server_port=str(service.port))
    agent.stop_clean()
    after_ready = sum(t > agent.ready_ns for t in sent)
    if not after_ready <= counted < len(sent):
        table.failures.append(f"start under load: bittern counted {counted} requests; the service "
                              f"served {after_ready} after /readyz, {len(sent)} in all")
        return None
    return (sent[-counted] - agent.spawn_ns) / 1e6


def start_up(table, findings, tmp):
    table.value("losses in the interleaved rounds", named(findings.losses), "of the whole host")
    if findings.start_ms:
        table.value("exec to /readyz 200", f"{spread(findings.start_ms, '.0f')} ms",
                    f"{len(findings.start_ms)} starts")
    with contextlib.ExitStack() as stack, host_to_ourselves():
        service = measure.node_http(stack, tmp)
        times = [first_record_ms(table, stack, tmp, service) for _ in range(FIRST_RECORDS)]
    good = [t for t in times if t is not None]
    if good:
        table.value("exec to first record", f"{spread(good, '.0f')} ms",
                    f"<= 300 ms; {len(good)} of {len(times)} starts under load")
    else:
        table.skip("exec to first record", "no count was right")


def idle(table, findings, tmp):
    with contextlib.ExitStack() as stack, host_to_ourselves():
        agent = Bittern(stack, tmp)
        time.sleep(0.5)
        before = cpu_ns(agent.pid)
        time.sleep(IDLE_S)
        us = (cpu_ns(agent.pid) - before) / 1000 / IDLE_S
        agent.stop_clean()
    if findings.idle_rss:
        table.value("agent's RSS after its start", f"{spread(findings.idle_rss, '.1f')} MB",
                    "<= 10 MB")
    table.value("agent's CPU without requests", f"{us:.0f} us a second",
                "what else happens on this host included")


def words():
    """Path segments that no rule folds."""
    first = ("ale", "bor", "cam", "dun", "fen", "gle", "hol", "kir", "lan", "mor")
    second = ("ton", "ham", "ley", "wick", "ford", "dale", "worth", "bury", "stead", "mouth")
    return [a + b for a in first for b in second]


CLASSIC = "text/plain;version=0.0.4"
EXPOSITIONS = (
    ("text", CLASSIC, "identity"),
    ("text, gzip", CLASSIC, "gzip"),
    ("OpenMetrics, gzip", "application/openmetrics-text;version=1.0.0", "gzip"),
    ("protobuf, gzip", "application/vnd.google.protobuf;"
     "proto=io.prometheus.client.MetricFamily;encoding=delimited", "gzip"),
)


def scrape_often(agent, headers):
    """(ms of each, bytes on the wire, ms of the agent's CPU for one)"""
    times, reader = [], http.client.HTTPConnection("127.0.0.1", agent.port)
    reader.connect()
    count = 10 if QUICK else 40
    cpu = cpu_ns(agent.pid)
    for _ in range(count):
        before = time.perf_counter()
        reader.request("GET", "/metrics", headers=headers)
        page = reader.getresponse().read()
        times.append((time.perf_counter() - before) * 1000)
    reader.close()
    return times, len(page), (cpu_ns(agent.pid) - cpu) / 1e6 / count


def scrape(table, findings, tmp):
    with contextlib.ExitStack() as stack, host_to_ourselves():
        service = measure.node_http(stack, tmp)
        agent = Bittern(stack, tmp)
        client = http.client.HTTPConnection(*service.address)
        sent = 0
        for status in (200, 201, 202, 203, 400, 403, 409, 410, 422, 429, 500, 503):
            for word in words():
                client.request("GET", f"/{word}?status={status}")
                client.getresponse().read()
                sent += 1
            lines = agent.get("/metrics").count("\n")
            if lines >= LINES:
                break
        client.close()
        for name, accept, encoding in EXPOSITIONS:
            times, size, cpu_ms = scrape_often(agent, {"Accept": accept,
                                                       "Accept-Encoding": encoding})
            table.value(f"scrape of {lines:,} lines, {name}", f"{spread(times, '.1f')} ms",
                        f"<= 10 ms; {size / MB:.2f} MB; {cpu_ms:.1f} ms of the agent's CPU")
        table.expect_count("many series", requests(agent.scrape(), server_port=str(service.port)),
                           sent)
        table.value("agent's RSS after these scrapes", f"{rss_bytes(agent.pid) / MB:.1f} MB",
                    f"<= 30 MB; peak {agent.peak_rss_bytes() / MB:.1f} MB")
        agent.stop_clean()


def environment():
    clock = "schedstat" if measure.HAS_SCHEDSTAT else "utime + stime of stat, in ticks"
    node = os.popen(f"{measure.NODE} --version").read().strip()
    return (f"Linux {platform.release()} {platform.machine()}, {len(measure.CPUS)} CPUs, load "
            f"{os.getloadavg()[0]:.1f}, node {node}, Python {platform.python_version()}; "
            f"CPU by task/*/{clock}")


@contextlib.contextmanager
def phase(table, name):
    """What breaks in it costs its own rows only, and the exit status."""
    print(f"bench: {name}", file=sys.stderr, flush=True)
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        table.failures.append(f"{name}: {error!r}")


def parts(table, findings, tmp):
    """(name, what measures it), in the table's order. BENCH_ONLY chooses by name."""
    pairs = {}

    def node():
        pairs.update(compare_node_http(table, findings, tmp))

    yield "node http", node
    for name, start in (("Express", measure.express), ("FastAPI", measure.fastapi)):
        yield name, lambda: compare_framework(table, findings, tmp, name, start)
    for kind in tls.KINDS:
        yield kind.name, lambda: tls.compare(table, findings, tmp, kind)
    for name, variants in (
            ("node http", lambda *to: sdks.node_variants(*to, measure.node_http)),
            ("Express",
             lambda *to: sdks.node_variants(*to, measure.express, "express-prom-bundle")),
            ("FastAPI",
             lambda *to: sdks.python_variants(*to, "prometheus-fastapi-instrumentator"))):
        yield f"{name}: SDKs", lambda: compare_sdks(table, tmp, name, variants)
    yield "other processes' pairs", lambda: compare_pairs(table, pairs)
    for part in (context_switches, idle, full_load, start_up, scrape):
        yield part.__name__.replace("_", " "), lambda: part(table, findings, tmp)
    yield "OTLP", lambda: otlp.measure_all(table, tmp, 4 if QUICK else 20)


SECTIONS = {
    "node http": ("service's CPU per request, us", "plain", "with", "difference", "ratio",
                  "agent, us", "               budget"),
    "other processes' pairs": ("another process's write + read, ns", "plain", "with",
                               "difference", "ratio"),
    "context switches": ("CPU per switch, 100,000 a second, ns", "plain", "with", "difference",
                         "ratio"),
    "idle": ("the agent itself", "", "", "", "", "budget, remarks"),
}


def measure_all(table, tmp):
    for name, run in parts(table, Findings(), tmp):
        if name in SECTIONS:
            table.section(*SECTIONS[name])
        if not ONLY or name in ONLY:
            with phase(table, name):
                run()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, header, table = time.monotonic(), environment(), Table()
    measure.keep_apart()
    with tempfile.TemporaryDirectory(prefix="bittern-bench-") as folder:
        measure_all(table, pathlib.Path(folder))
    if QUICK:
        print("QUICK: shows that the bench works; V8 is not warm and the rounds are few")
    print(f"{header}\n{CYCLES} cycles (SDKs {SDK_CYCLES}) of {ROUND_S} s, 16 connections; "
          f"median [quartiles] of the pairs; {time.monotonic() - started:.0f} s\n")
    if table.disturbed:
        print(
    f"WARNING: in {table.disturbed} of {table.cycles} cycles another agent was on the same "
    "hooks: it costs every round alike and hides part of what bittern costs\n")
    print(table.text())
    for failure in table.failures:
        print(f"FAILED: {failure}")
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())
