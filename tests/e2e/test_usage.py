# SPDX-License-Identifier: Apache-2.0
"""What a service's processes use: process.* of the semantic conventions, against /proc and what the
kernel told the master of those that have ended."""

import json
import os
import pathlib
import re
import resource
import time
import typing

import pytest
from opentelemetry.semconv._incubating.attributes import (
    cpu_attributes, process_attributes, system_attributes)
from opentelemetry.semconv._incubating.metrics import process_metrics

import frameworks
import load
from harness import wait_for
from load import Request

BURNER = "burner"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
CACHE_S = 1.05  # what bittern read is as good as new for a second
MIX = [Request("GET", target) for target in (
    "/user/7", "/system/5", "/sleep/20", "/touch/3", "/user/2")]


class Used(typing.NamedTuple):
    """Counters; CPU time in seconds."""

    utime: float = 0
    stime: float = 0
    nvcsw: float = 0
    nivcsw: float = 0
    minflt: float = 0
    majflt: float = 0

    def __add__(self, other):
        return Used(*(a + b for a, b in zip(self, other)))

    def __sub__(self, other):
        return Used(*(a - b for a, b in zip(self, other)))


SERIES = {  # of which metric and which attribute each field is
    "utime": ("process_cpu_time_seconds_total", {"cpu_mode": "user"}),
    "stime": ("process_cpu_time_seconds_total", {"cpu_mode": "system"}),
    "nvcsw": ("process_context_switches_total", {"process_context_switch_type": "voluntary"}),
    "nivcsw": ("process_context_switches_total", {"process_context_switch_type": "involuntary"}),
    "minflt": ("process_paging_faults_total", {"system_paging_fault_type": "minor"}),
    "majflt": ("process_paging_faults_total", {"system_paging_fault_type": "major"}),
}


def used_by(pid):
    """By /proc, all threads."""
    proc = pathlib.Path(f"/proc/{pid}")
    stat = proc.joinpath("stat").read_text().rpartition(")")[2].split()
    switches = {"voluntary": 0, "nonvoluntary": 0}
    for status in proc.glob("task/*/status"):
        for kind, count in re.findall(r"^(\w+)_ctxt_switches:\s(\d+)$", status.read_text(), re.M):
            switches[kind] += int(count)
    return Used(int(stat[11]) * TICK_S, int(stat[12]) * TICK_S, switches["voluntary"],
                switches["nonvoluntary"], int(stat[7]), int(stat[9]))


def held_by(pid):
    """By /proc: resident and virtual memory, threads, descriptors."""
    proc = pathlib.Path(f"/proc/{pid}")
    total, resident = map(int, proc.joinpath("statm").read_text().split()[:2])
    return (resident * PAGE_BYTES, total * PAGE_BYTES, len(list(proc.glob("task/*"))),
            len(list(proc.glob("fd/*"))))


def waited_for():
    """By all that this process has waited for, and that they have waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Used(*(getattr(used, f"ru_{field}") for field in Used._fields))


class Truth:
    """A master and its workers, those that have ended too."""

    def __init__(self, shop):
        self.shop = shop

    def living(self):
        pid = self.shop.pid
        return [pid, *map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children")
                          .read_text().split())]

    def ended(self):
        """pid -> what all that had ended by then used."""
        return {line.pop("pid"): Used(**line)
                for line in map(json.loads, self.shop.truth_file.read_text().splitlines())}

    def used(self):
        return sum(map(used_by, self.living()), list(self.ended().values() or [Used()])[-1])


def series(page, name, service=BURNER, **labels):
    """The one value; None when there is none."""
    values = [s.value for s in page.samples if s.name == name
              and s.labels == {"service_name": service, **labels}]
    assert len(values) <= 1
    return values[0] if values else None


def counters(page):
    return Used(**{field: series(page, name, **labels)
                   for field, (name, labels) in SERIES.items()})


def gauges(page, prefix="", **labels):
    return tuple(series(page, prefix + name, **labels) for name in (
        "process_memory_usage_bytes", "process_memory_virtual_bytes", "process_thread_count",
        "process_unix_file_descriptor_count"))


def assert_between(found, low, high, ticks=0, ended=0):
    """CPU time to a clock tick for so many processes, the rest exactly; but for those that ended: a
    parent is told when a child has ended, and that may be while it still runs its very last
    instructions. Their CPU time is exact to that; between user and system it is split by samples,
    and bittern has seen it split before the end."""
    __tracebackhide__ = True
    print("found", found, "low", low, "high", high, sep="\n  ")
    last_s, tick_s = ended * .0005 + 1e-5, ticks * TICK_S
    assert low.utime + low.stime - 2 * tick_s - 1e-5 <= found.utime + found.stime, "CPU time"
    assert found.utime + found.stime <= high.utime + high.stime + 2 * tick_s + last_s, "CPU time"
    split_s = tick_s + ended * TICK_S + 1e-5
    low -= Used(split_s, split_s)
    high += Used(split_s, split_s, ended, 2 * ended)  # preempted twice in these steps, perhaps
    for field in Used._fields:
        value, least, most = (getattr(u, field) for u in (found, low, high))
        assert least <= value <= most, f"{field}: {found} not in {low} .. {high}"


@pytest.fixture
def start(service):
    """Starts the application under gunicorn; its workers end after some 25 requests."""
    def begin(*options):
        shop = service([frameworks.BIN / "gunicorn", "burner:app", "--bind", "127.0.0.1:{port}",
                        "--workers", 2, "--max-requests", 25, "--max-requests-jitter", 10,
                        "--log-level", "warning", *options], BURNER)
        truth = Truth(shop)
        wait_for(lambda: len(truth.living()) == 3, "workers")
        shop.settle()
        return shop, truth
    return begin


def run_to_rest(shop, truth, targets):
    """The load; then nobody works, and the last worker that ended has been reaped a while ago."""
    outcome = load.run(shop.address, targets, connections=4, keep_alive=False)
    assert not outcome.errors
    wait_for(lambda: len(truth.living()) == 3, "workers")
    shop.settle()
    time.sleep(CACHE_S)


def test_counters_are_those_of_all_workers_also_of_those_that_have_ended(start, agent):
    shop, truth = start()
    run_to_rest(shop, truth, MIX * 10)  # before bittern came: not counted
    workers = set(truth.living())
    before_start = truth.used()
    bittern = agent()
    after_start = truth.used()
    last = Used()
    for _ in range(3):
        run_to_rest(shop, truth, MIX * 20)
        before = truth.used()
        page = bittern.scrape()
        after = truth.used()
        assert not page.losses()
        found = counters(page)
        assert all(now >= then for now, then in zip(found, last)), "counters never go back"
        last = found
        # /proc tells ticks of the living, and told them of those there were at the start
        assert_between(found, before - after_start, after - before_start,
                       ticks=len(workers | set(truth.living())), ended=len(truth.ended()))
    assert len(truth.ended()) >= 10 and not workers & set(truth.living()) - {shop.pid}


def test_a_service_is_counted_from_its_first_program_to_its_last_moment(start, agent):
    bittern = agent()
    others = waited_for()
    shop, truth = start()
    run_to_rest(shop, truth, MIX * 20)
    before = truth.used()
    found = counters(bittern.scrape())
    after = truth.used()
    # what a process does between fork and exec is its parent's
    fork_to_exec = Used(0.01, 0.01, 5, 5, 500, 0)
    assert_between(found, before - fork_to_exec, after, ticks=len(truth.living()),
                   ended=len(truth.ended()))
    assert shop.stop() == 0
    in_all = waited_for() - others
    time.sleep(CACHE_S)
    page = bittern.scrape()
    assert all(now >= then for now, then in zip(counters(page), found))
    assert_between(counters(page), in_all - fork_to_exec, in_all, ended=len(truth.ended()) + 3)
    assert gauges(page) == (None, None, None, None)


def same_before_and_after(read, bittern):
    """What read() gives, and a page of a moment at which it was so."""
    for _ in range(10):
        time.sleep(CACHE_S)
        before = read()
        page = bittern.scrape()
        if read() == before:
            return before, page
    raise AssertionError("never at rest")


def test_memory_threads_and_descriptors_are_the_sums_of_proc(start, agent):
    bittern = agent()
    shop, truth = start()

    def held():
        return tuple(map(sum, zip(*map(held_by, truth.living()))))

    for targets in (["/user/1"], ["/keep/30"], ["/keep/5"] * 60):
        run_to_rest(shop, truth, [Request("GET", t) for t in targets])
        wanted, page = same_before_and_after(held, bittern)
        assert gauges(page) == wanted
        assert series(page, "bittern_service_processes") == 3
    assert wanted[0] > 60_000_000


def test_each_process_by_itself(start, agent):
    bittern = agent("--per-process")
    shop, truth = start()
    run_to_rest(shop, truth, MIX * 20)

    def held():
        return {pid: held_by(pid) for pid in truth.living()}

    living, page = same_before_and_after(held, bittern)
    of_process = [s for s in page.samples
                  if s.labels.get("process_pid") and s.labels["service_name"] == BURNER]
    names = {s.name for s in of_process}
    assert names == {f"bittern_{n}" for n in {name for name, _ in SERIES.values()} | {
        s.name for s in page.samples if re.match("process_(mem|thr|unix)", s.name)}}
    assert {int(s.labels["process_pid"]) for s in of_process} == set(living)
    each = {pid: gauges(page, "bittern_", process_pid=str(pid)) for pid in living}
    assert each == living
    assert gauges(page) == tuple(map(sum, zip(*each.values())))
    for pid in living:
        found = Used(**{field: series(page, f"bittern_{name}", process_pid=str(pid), **labels)
                        for field, (name, labels) in SERIES.items()})
        assert_between(found, used_by(pid) - Used(0.01, 0.01, 60, 60, 500, 5), used_by(pid), 1)
    assert not [s for s in agent().scrape().samples if s.labels.get("process_pid")], "by option"


class Meter:
    """Notes instruments as they are made: name -> kind and unit."""

    def __init__(self):
        self.made = {}

    def __getattr__(self, kind):
        def make(name, unit="", **_):
            self.made[name] = kind, unit
        return make


def prometheus_name(name, kind, unit):
    """https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/"""
    suffix = {"s": "_seconds", "By": "_bytes"}.get(unit, "")
    return name.replace(".", "_") + suffix + ("_total" if kind == "create_counter" else "")


def test_names_units_and_attributes_are_those_of_the_semantic_conventions(start, agent):
    meter = Meter()
    for what in ("cpu_time", "memory_usage", "memory_virtual", "thread_count",
                 "unix_file_descriptor_count", "context_switches", "paging_faults"):
        getattr(process_metrics, f"create_process_{what}")(meter)
    kinds = {"create_counter": "counter", "create_up_down_counter": "gauge"}
    attributes = {
        process_metrics.PROCESS_CPU_TIME: (
            cpu_attributes.CPU_MODE, cpu_attributes.CpuModeValues, ("USER", "SYSTEM")),
        process_metrics.PROCESS_CONTEXT_SWITCHES: (
            process_attributes.PROCESS_CONTEXT_SWITCH_TYPE,
            process_attributes.ProcessContextSwitchTypeValues, ("VOLUNTARY", "INVOLUNTARY")),
        process_metrics.PROCESS_PAGING_FAULTS: (
            system_attributes.SYSTEM_PAGING_FAULT_TYPE,
            system_attributes.SystemPagingFaultTypeValues, ("MINOR", "MAJOR")),
    }
    wanted = {}
    for name, (kind, unit) in meter.made.items():
        key, values, chosen = attributes.get(name, ("", (), ("",)))
        wanted[prometheus_name(name, kind, unit)] = kinds[kind], sorted(
            ((key.replace(".", "_"), values[c].value),) if key else () for c in chosen)

    bittern = agent()
    shop, truth = start()
    run_to_rest(shop, truth, MIX)
    page = bittern.scrape()
    types = dict(re.findall(r"^# TYPE (process_\w+) (\w+)$", page.text, re.M))
    found = {}
    for s in page.samples:
        if s.name in types and s.labels.pop("service_name") == BURNER:
            found.setdefault(s.name, (types[s.name], []))[1].append(tuple(s.labels.items()))
    assert {name: (kind, sorted(labels)) for name, (kind, labels) in found.items()} == wanted
