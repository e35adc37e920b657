# SPDX-License-Identifier: Apache-2.0
"""What a real Prometheus 3 makes of each exposition, and of OTLP: the same values; and quantiles
of native and of classic histograms against the durations that the application measured itself."""

import itertools
import math
import random
import time

import pytest

import load
from expect import truth_counts
from frameworks import BIN
from harness import free_port
from load import Request
from prometheus_server import Prometheus, with_prometheus
from test_durations import bounds

pytestmark = with_prometheus

PROTOCOLS = {"text": "PrometheusText0.0.4", "openmetrics": "OpenMetricsText1.0.0",
             "protobuf": "PrometheusProto"}
TIMED = [BIN / "python", "timed.py"]
NAME, ROUTE = "odd", "/{time}/plain/{word}"
DURATION = "http_server_request_duration_seconds"
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BOUNDS_S = (0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 8, 10, 15,
            30, 60, math.inf)
# Of the services, and the same at any time once all requests have ended.
STILL = ("{__name__=~'(bittern_)?http_server_.*|bittern_slo_.*|bittern_service_.*',"
         f"service_name='{NAME}'}}")


@pytest.fixture
def prometheus(programs, tmp_path):
    """Three jobs, which scrape the agent by one protocol each; and it takes OTLP."""
    def start(agent, port=None, features=()):
        programs.append(Prometheus(
            tmp_path, agent, {
                job: {"scrape_protocols": [protocol], "scrape_native_histograms": True,
                      "always_scrape_classic_histograms": True}
                for job, protocol in PROTOCOLS.items()},
            ["--web.enable-otlp-receiver", *features],
            {"otlp": {"promote_resource_attributes": ["service.name"]}},
            interval="1s", port=port))
        return programs[-1]
    return start


def requests():
    """200, of 2 to 400 ms, on a logarithmic scale."""
    words = map("".join, itertools.product("abcdefghij", repeat=3))
    wanted = [Request("GET", f"/sleep{round(2 * 200 ** (i / 199))}/plain/{next(words)}")
              for i in range(200)]
    return random.Random(1).sample(wanted, len(wanted))


def samples(prometheus, selector, at):
    """(name, labels, whether native) -> value, without what belongs to the scrape. A bound is a
    number: 8 and 8.0 are the same."""
    found = {}
    for labels, value in prometheus.results(selector, at):
        name = labels["__name__"]
        own = frozenset((k, float(v) if k == "le" else v) for k, v in labels.items()
                        if k not in ("__name__", "job", "instance"))
        found[name, own, isinstance(value, dict)] = (
            {**value, "buckets": tuple(map(tuple, value["buckets"]))}
            if isinstance(value, dict) else value)
    return found


def of_job(job):
    return STILL[:-1] + f",job='{job}'}}"


def classic_only(found):
    return {key: value for key, value in found.items() if not key[2]}


def is_of_histogram(key):
    name, labels, native = key
    return native or name.endswith(("_seconds_sum", "_seconds_count", "_seconds_bucket"))


def percentile(quantile, durations_s):
    """The least value that so many are not above."""
    return sorted(durations_s)[math.ceil(quantile * len(durations_s)) - 1]


def native_histogram(prometheus, job, at):
    (_, histogram), = prometheus.results(
        f'{DURATION}{{job="{job}",http_route="{ROUTE}"}}', at)
    return histogram


def bucket_width(histogram):
    """How many times its lower end the upper end of a bucket is."""
    widths = {float(right) / float(left) for _, left, right, _ in histogram["buckets"]}
    assert max(widths) - min(widths) < 1e-9
    schema = -math.log2(math.log2(max(widths)))
    assert abs(schema - round(schema)) < 1e-6 and -4 <= round(schema) <= 8
    return 2 ** 2 ** -round(schema)


def assert_quantiles(prometheus, job, at, least_s, most_s):
    """least_s and most_s: between these the application's durations lie, microseconds apart."""
    width = bucket_width(native_histogram(prometheus, job, at))
    assert width < 1.1  # 200 times the shortest: 7.6 octaves of 160 buckets
    for quantile in QUANTILES:
        low, high = percentile(quantile, least_s), percentile(quantile, most_s)
        (_, native), = prometheus.ask(
            f'histogram_quantile({quantile}, {DURATION}{{job="{job}",http_route="{ROUTE}"}})', at)
        assert low / width <= native <= high * width, (quantile, job)
        (_, classic), = prometheus.ask(
            f"histogram_quantile({quantile}, sum by (le) ("
            f'{DURATION}_bucket{{job="text",http_route="{ROUTE}"}}))', at)
        assert max(b for b in BOUNDS_S if b < low) <= classic, quantile
        assert classic <= min(b for b in BOUNDS_S if b >= high), quantile


def test_all_expositions_tell_the_same_and_quantiles_are_true(service, agent, prometheus):
    bittern = agent("--route", ROUTE)
    watch = prometheus(bittern)
    shop = service(TIMED, "odd")
    result = load.run(shop.address, requests(), connections=8)
    assert not result.errors
    lines = shop.truth(200)
    assert sum(truth_counts(lines).values()) == 200
    done = time.time()
    at = max(watch.scrape_after(done, job) for job in PROTOCOLS)

    found = {job: samples(watch, of_job(job), at) for job in PROTOCOLS}
    created = {key for key in found["openmetrics"] if key[0].endswith("_created")}
    assert {name for name, *_ in created} >= {
        f"{DURATION}_created", "bittern_http_server_requests_created"}
    text, openmetrics, protobuf = (
        {key: value for key, value in classic_only(found[job]).items() if key not in created}
        for job in PROTOCOLS)
    assert text == openmetrics == protobuf
    assert sum(value for (name, labels, _), value in text.items()
               if name == "bittern_http_server_requests_total" and ("outcome", "ok") in labels) \
        == sum(value for (name, *_), value in text.items() if name == f"{DURATION}_count") == 200
    (_, info), = watch.ask('target_info{job="protobuf"}', at)
    assert info == 1

    natives = {key: value for key, value in found["protobuf"].items() if key[2]}
    assert {name for name, *_ in natives} == {
        DURATION, "bittern_http_server_queue_duration_seconds"}
    assert not any(native for *_, native in found["text"] | found["openmetrics"])
    for (name, labels, _), native in natives.items():
        assert float(native["count"]) == text[f"{name}_count", labels, False]
        assert float(native["sum"]) == pytest.approx(text[f"{name}_sum", labels, False], rel=1e-9)
        assert sum(float(count) for *_, count in native["buckets"]) == float(native["count"])

    between_ns = bounds(result.samples, lines).values()
    assert_quantiles(watch, "protobuf", at, *(
        [ns / 1e9 for ns in column] for column in zip(*between_ns)))


@pytest.mark.parametrize("histograms", [
    "explicit_bucket_histogram", "base2_exponential_bucket_histogram"])
def test_its_receiver_of_otlp_gets_the_same(service, agent, prometheus, histograms):
    port = free_port()
    bittern = agent("--route", ROUTE, "--otlp-endpoint", f"http://127.0.0.1:{port}/api/v1/otlp",
                    "--otlp-protocol", "http/protobuf", env={
                        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": histograms})
    watch = prometheus(bittern, port)
    shop = service(TIMED, "odd")
    assert not load.run(shop.address, requests(), connections=8).errors
    assert len(shop.truth(200)) == 200
    done = time.time()
    at = max(watch.scrape_after(done, job) for job in PROTOCOLS)
    scraped = samples(watch, of_job("protobuf"), at)
    bittern.stop_clean()  # with a last export
    received = samples(watch, of_job(NAME), time.time())
    native = "exponential" in histograms
    assert received == {key: value for key, value in scraped.items()
                        if (key[2] == native or not is_of_histogram(key))
                        and key[0] != "bittern_service_info"}  # of OTLP's resource


def test_what_was_counted_before_the_first_scrape_is_told_by_since_when(service, agent, prometheus):
    """Prometheus can begin a counter at 0 when it was created."""
    bittern = agent()
    shop = service("node")
    assert not load.run(shop.address, [Request("GET", "/ok")] * 100).errors
    assert len(shop.truth(100)) == 100
    watch = prometheus(bittern, features=["--enable-feature=created-timestamp-zero-ingestion"])
    at = max(watch.scrape_after(time.time(), job) for job in PROTOCOLS)
    requests_total = 'bittern_http_server_requests_total{service_name="node-shop",outcome="ok"}'
    least = {labels["job"]: value for labels, value in watch.ask(
        f"min_over_time({requests_total}[5m])", at)}
    most = {labels["job"]: value for labels, value in watch.ask(requests_total, at)}
    assert most == dict.fromkeys(PROTOCOLS, 100)
    assert least == {"text": 100, "openmetrics": 0, "protobuf": 0}
