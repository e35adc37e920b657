# SPDX-License-Identifier: Apache-2.0
"""What a real OpenTelemetry Collector gets: the counts of the applications themselves, and what
/metrics shows; named as the semantic conventions name it."""

import contextlib
import json
import math
import os
import socket
import subprocess
import time

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.semconv._incubating.attributes import (
    cpu_attributes, process_attributes, system_attributes)
from opentelemetry.semconv._incubating.metrics import http_metrics, process_metrics
from opentelemetry.semconv.attributes import (
    error_attributes, http_attributes, network_attributes, server_attributes, url_attributes)

import load
from expect import assert_exact, assert_same, expected, truth_counts
from frameworks import CACHE, HERE, NODE
from harness import AGENT, Program, free_port, listens, wait_for
from otlp_series import NO_RECORDED_VALUE, assert_equal, page_series, series
from otlp_server import (CUMULATIVE, DELTA, Server, attributes, decode, duration_counts, metrics,
                         points)
from test_usage import SERIES, TICK_S, Used, used_by

OTELCOL = CACHE / "collector/otelcol"
SERVICES = {"node": "node-shop", "fastapi-httptools-uvloop": "fastapi_shop",
            "flask-sync": "flask_shop"}

with_collector = pytest.mark.skipif(
    not OTELCOL.exists(), reason="no OpenTelemetry Collector: tests/setup.sh could not build it")


class Collector(Program):
    """Writes what it receives into a file. Ready when the constructor returns."""

    def __init__(self, tmp):
        self.ports = {"grpc": free_port(), "http/protobuf": free_port()}
        self.file = tmp / "received"
        config = tmp / "collector.yaml"
        config.write_text(json.dumps({  # JSON is YAML
            "receivers": {"otlp": {"protocols": {
                "grpc": {"endpoint": f"127.0.0.1:{self.ports['grpc']}"},
                "http": {"endpoint": f"127.0.0.1:{self.ports['http/protobuf']}"}}}},
            "exporters": {"file": {"path": str(self.file), "format": "proto"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["file"]}}}}))
        super().__init__([OTELCOL, "--config", config], tmp / "collector.log")
        try:
            wait_for(lambda: self.alive() and all(map(listens, self.ports.values())),
                     "listening collector", timeout=30)
        except BaseException:
            self.kill()
            raise

    def messages(self):
        """All that it was sent; to be asked when it has ended. Each stands behind its length."""
        data, found = self.file.read_bytes(), []
        while data:
            end = 4 + int.from_bytes(data[:4])
            assert end <= len(data), "cut"
            found.append(decode(data[4:end]))
            data = data[end:]
        return found


@pytest.fixture
def collector(programs, tmp_path):
    def start():
        programs.append(Collector(tmp_path))
        return programs[-1]
    return start


# One agent for each; the attribute tells its messages from those of the others.
WAYS = [
    ("grpc", "cumulative", "explicit", "none"),
    ("grpc", "delta", "exponential", "gzip"),
    ("http/protobuf", "cumulative", "exponential", "gzip"),
    ("http/protobuf", "delta", "explicit", "none"),
]
WAY = "deployment.environment.name"
STILL = ("http_", "bittern_http_", "bittern_client_", "bittern_slo_", "bittern_service_")
COST = ("bittern_http_server_cpu_time", "bittern_http_server_page_faults")  # go on in between


def used_by_session(program):
    """What all processes have used at most: /proc rounds their CPU times down to ticks."""
    used = Used()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(ProcessLookupError):  # somebody else's, gone meanwhile
            if os.getsid(pid) == program.pid:
                used += used_by(pid) + Used(utime=TICK_S, stime=TICK_S)
    return used


def assert_told_what_is_shown(told, shown, way):
    """told: (name, labels) -> Series of a whole run; shown: the page before its end. What is told
    has no other series, and the other way round."""
    def wanted(of, what):
        return {key for key in of if key[0].startswith(what) and "info" not in key[0]}
    all_of_it = (*STILL, "process_", "bittern_agent_")
    assert_same(dict.fromkeys(wanted(told, all_of_it), 1),
                dict.fromkeys(wanted(shown, all_of_it), 1), f"{way}: series")
    for key in wanted(told, STILL):
        if not key[0].startswith(COST):
            assert_equal(told[key], shown[key], (way, key))


def assert_usage_between(told, shown, used, service, way):
    """The page shows what was read some time before it, and used_by_session() afterwards."""
    for key in shown:
        if key[0].startswith(COST) and ("service_name", service) in key[1]:
            assert shown[key] - 1e-6 <= told[key].value, (way, key)
    for field, (name, labels) in SERIES.items():
        key = name, frozenset({**labels, "service_name": service}.items())
        assert shown[key] - 1e-6 <= told[key].value <= getattr(used, field), (way, key)


@with_collector
@pytest.mark.timeout(240)
def test_a_collector_gets_the_counts_of_the_applications(service, agent, collector):
    receiver = collector()
    agents = {way: agent(
        "--otlp-endpoint", f"http://localhost:{receiver.ports[way[0]]}", "--otlp-protocol", way[0],
        "--otlp-interval", "400ms", "--otlp-temporality", way[1], "--otlp-histograms", way[2],
        "--otlp-compression", way[3], "--resource-attributes", f"{WAY}={'-'.join(way)}")
        for way in WAYS}
    shops = {name: service(framework) for framework, name in SERVICES.items()}
    sent = 0
    for seed in range(3):
        for shop in shops.values():
            assert not load.run(shop.address, load.mixed(400, seed=seed)).errors
        sent += 400
    truth = {name: truth_counts(shop.truth(sent)) for name, shop in shops.items()}
    pages = {}
    for way, bittern in agents.items():
        pages[way] = bittern.scrape()
        bittern.stop_clean()
    used = {name: used_by_session(shop) for name, shop in shops.items()}
    assert receiver.stop() == 0
    messages = receiver.messages()
    for way, page in pages.items():
        def of_way(owner):
            return owner[WAY] == "-".join(way)
        mine = [m for m in messages if of_way(attributes(m.resource_metrics[0].resource))]
        assert len(mine) > 3
        for name, counts in truth.items():
            assert_exact(page, name, counts)
            assert_same(duration_counts(mine, name), expected(counts), (way, name))
        temporality = DELTA if way[1] == "delta" else CUMULATIVE
        assert {t for m in mine for _, t in points(m, "http.server.request.duration")} == {
            temporality}
        own = {"bittern", *truth}  # the host runs others, such as pytest, which asks for the page
        told = series(mine, lambda owner: owner["service.name"] in own)
        shown = {key: value for key, value in page_series(page).items()
                 if dict(key[1]).get("service_name", "bittern") in own}
        kinds = {told[key].kind for key in told if key[0] == "http_server_request_duration_seconds"}
        assert kinds == {"histogram" if way[2] == "explicit" else "exponential_histogram"}
        assert_told_what_is_shown(told, shown, way)
        for name in truth:
            assert_usage_between(told, shown, used[name], name, way)


@pytest.fixture
def server():
    with Server() as started:
        yield started
    assert not started.problems


EXAMPLE = HERE.parent.parent / "deploy/opentelemetry/collector.yaml"


@with_collector
def test_the_example_of_a_collector_passes_on_what_it_gets(server, service, agent, programs,
                                                           tmp_path):
    ports = free_port(), free_port()
    programs.append(Program([OTELCOL, "--config", EXAMPLE], tmp_path / "collector.log", env={
        "GRPC_ENDPOINT": f"127.0.0.1:{ports[0]}", "HTTP_ENDPOINT": f"127.0.0.1:{ports[1]}",
        "BACKEND_ENDPOINT": f"http://127.0.0.1:{server.port}", "BACKEND_AUTHORIZATION": "reed"}))
    wait_for(lambda: programs[-1].alive() and all(map(listens, ports)), "listening collector",
             timeout=30)
    agent(env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports[0]}",
               "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRIC_EXPORT_INTERVAL": "300"})
    shop = service("node")
    result = load.run(shop.address, load.mixed(300))
    truth = truth_counts(shop.truth(len(result.samples)))
    wait_for(lambda: duration_counts(server.taken(), "node-shop") == expected(truth),
             lambda: f"counts: {duration_counts(server.taken(), 'node-shop')}")
    assert server.received[0].headers["authorization"] == "reed"


def test_every_field_of_a_point_and_of_its_owner_is_as_expected(server, service, agent):
    shop = service("node")
    began = time.time_ns()
    bittern = agent("--otlp-endpoint", f"http://localhost:{server.port}")
    sent = time.time_ns()
    load.run(shop.address, [load.Request("GET", "/users/7")])
    answered = time.time_ns()
    shop.settle()
    page = bittern.scrape()
    bittern.stop_clean()  # sends its only message
    message, = server.taken()
    owner, = [r for r in message.resource_metrics
              if attributes(r.resource).get("service.name") == "node-shop"]
    version = subprocess.run([AGENT, "--version"], capture_output=True, text=True,
                             check=True).stdout.split()[1]
    info, = page.values("bittern_service_info", service_name="node-shop")
    target, = page.values("target_info")
    assert attributes(owner.resource) == {
        "service.name": "node-shop", "service.instance.id": info.labels["service_instance_id"],
        "process.runtime.name": "nodejs", "host.name": socket.gethostname(),
        "host.id": target.labels["host_id"], "os.type": "linux",
        "telemetry.sdk.language": "nodejs", "telemetry.sdk.name": "bittern",
        "telemetry.sdk.version": version}
    scope, = owner.scope_metrics
    told = MessageToDict(scope, preserving_proto_field_name=True)
    assert told.pop("scope") == {"name": "bittern", "version": version}
    metric, = [m for m in told.pop("metrics") if m["name"] == "http.server.request.duration"]
    assert not told
    point, = metric["histogram"].pop("data_points")
    assert metric == {
        "name": "http.server.request.duration", "unit": "s",
        "description": "Duration of HTTP server requests.",
        "histogram": {"aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE"}}
    seconds, bounds = point["sum"], point["explicit_bounds"]
    assert 0 < seconds < (answered - sent) / 1e9
    begin_ns = shop.truth(1)[0]["begin_ns"] + time.time_ns() - time.monotonic_ns()
    assert began <= int(point.pop("start_time_unix_nano")) <= begin_ns
    assert answered <= int(point.pop("time_unix_nano")) <= time.time_ns()
    assert sorted(map(tuple, map(dict.items, point.pop("attributes")))) == sorted(
        (("key", key), ("value", value)) for key, value in {
            "http.request.method": {"string_value": "GET"},
            "url.scheme": {"string_value": "http"},
            "http.route": {"string_value": "/users/{id}"},
            "server.port": {"int_value": str(shop.port)},
            "http.response.status_code": {"int_value": "200"},
            "network.protocol.version": {"string_value": "1.1"}}.items())
    upper = [*bounds, math.inf]
    assert point == {
        "count": "1", "sum": seconds, "min": seconds, "max": seconds,
        "explicit_bounds": [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5,
                            8, 10, 15, 30, 60],
        "bucket_counts": [str(int(low < seconds <= high))
                          for low, high in zip([0, *bounds], upper)]}


DURATION = "http_server_request_duration_seconds"


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_counts_go_on_when_a_service_restarts_and_begin_anew_when_the_agent_does(
        server, service, agent, temporality):
    """That times do not overlap is asserted by series()."""
    shop = service("node")
    options = ("--otlp-endpoint", f"http://localhost:{server.port}", "--otlp-interval", "200ms",
               "--otlp-temporality", temporality)
    bittern = agent(*options)
    sent = 0

    def told():
        return {key: s for key, s in series(server.taken()).items()
                if key[0] == DURATION and ("service_name", "node-shop") in key[1]}

    def total():
        return sum(s.count for s in told().values())

    def more():
        nonlocal sent
        load.run(shop.address, load.mixed(100, seed=3))
        sent += 100
        return sent
    more()
    wait_for(lambda: total() == sent, lambda: f"{sent} requests: {total()}")
    shop.stop()
    shop = service("node", port=shop.port)
    more()
    wait_for(lambda: total() == sent, lambda: f"{sent} requests: {total()}")
    assert {s.resets for s in told().values()} == {0}
    bittern.stop_clean()
    agent(*options)
    more()
    wanted = 100 if temporality == "cumulative" else sent
    wait_for(lambda: total() == wanted, lambda: f"{wanted} requests: {total()}")
    assert {s.resets for s in told().values()} == {1 if temporality == "cumulative" else 0}
    truth = truth_counts(shop.truth(sent))
    if temporality == "delta":
        assert_same(duration_counts(server.taken(), "node-shop"), expected(truth), "all deltas")


# --- names ---

class Meter:
    """Notes instruments as they are made: name -> kind and unit."""

    def __init__(self):
        self.made = {}

    def __getattr__(self, kind):
        def make(name, unit="", **_):
            self.made[name] = kind.removeprefix("create_"), unit
        return make


def conventions():
    """name -> (kind, unit) of what bittern has under a name of the semantic conventions."""
    meter = Meter()
    for what in ("server_request_duration", "server_active_requests", "client_request_duration"):
        getattr(http_metrics, f"create_http_{what}")(meter)
    for what in ("cpu_time", "memory_usage", "memory_virtual", "thread_count",
                 "unix_file_descriptor_count", "context_switches", "paging_faults"):
        getattr(process_metrics, f"create_process_{what}")(meter)
    return meter.made


def kind_of(metric):
    kind = metric.WhichOneof("data")
    if kind != "sum":
        return kind.removeprefix("exponential_")
    return "counter" if metric.sum.is_monotonic else "up_down_counter"


REQUEST = {http_attributes.HTTP_REQUEST_METHOD, url_attributes.URL_SCHEME}
ENDED = {http_attributes.HTTP_RESPONSE_STATUS_CODE, error_attributes.ERROR_TYPE,
         network_attributes.NETWORK_PROTOCOL_VERSION}
SERVER = REQUEST | {http_attributes.HTTP_ROUTE, server_attributes.SERVER_PORT}
CLIENT = REQUEST | {server_attributes.SERVER_ADDRESS, server_attributes.SERVER_PORT}
ATTRIBUTES = {
    http_metrics.HTTP_SERVER_ACTIVE_REQUESTS: SERVER,
    "http.server.request.duration": SERVER | ENDED,
    "http.client.request.duration": CLIENT | ENDED,
    process_metrics.PROCESS_CPU_TIME: {cpu_attributes.CPU_MODE},
    process_metrics.PROCESS_CONTEXT_SWITCHES: {process_attributes.PROCESS_CONTEXT_SWITCH_TYPE},
    process_metrics.PROCESS_PAGING_FAULTS: {system_attributes.SYSTEM_PAGING_FAULT_TYPE},
}


@contextlib.contextmanager
def request_in_flight(caller):
    """One to the caller, which waits for an answer of its own."""
    with (socket.create_server(("127.0.0.1", 0)) as backend,
          socket.create_connection(caller.address) as client):
        url = f"http://127.0.0.1:{backend.getsockname()[1]}"
        client.sendall(f"GET /http?timeout=60&url={url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with backend.accept()[0]:
            yield


def test_names_units_kinds_and_attributes_are_those_of_the_semantic_conventions(server, service,
                                                                                agent):
    caller = service([NODE, "server.js"], "caller-express")
    shop = service("node")
    agent("--otlp-endpoint", f"http://localhost:{server.port}", "--otlp-interval", "300ms")
    load.run(shop.address, load.mixed(300))
    load.run(caller.address, [
        load.Request("GET", f"/http?url=http://127.0.0.1:{shop.port}{path}")
        for path in ("/ok", "/fail")])

    def found():
        return {metric.name: (kind_of(metric), metric.unit)
                for m in server.taken() for _, metric in metrics(m)
                if metric.name.startswith(("http.", "process."))}
    with request_in_flight(caller):
        told = len(server.taken())  # one more may be on its way, and another one wait behind it
        wait_for(lambda: len(server.taken()) > told + 2, "three messages")
    assert found() == conventions()
    keys = {}
    for message in server.taken():
        for _, metric in metrics(message):
            data = getattr(metric, metric.WhichOneof("data"))
            for point in data.data_points:
                keys.setdefault(metric.name, set()).update(attributes(point))
    assert {name: keys[name] for name in conventions()} == {
        name: ATTRIBUTES.get(name, set()) for name in conventions()}
