# SPDX-License-Identifier: Apache-2.0
"""The pages of /metrics, as those who read them see them: promtool, and the official Python
parsers."""

import collections
import gzip
import subprocess
import time
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

import load
from load import Request
from promql import PROMTOOL

LABELS = [Request("GET", target) for target in (
    '/"quoted"', "/back\\slash", "/%0a", "/caf\xe9", "/{braces}", "/a,b=c", "/" + "long" * 500,
    "http://localhost/absolute?q=1", "*")] + [Request("BREW", "/ok"), Request("OPTIONS", "*")]


# A gauge of OpenTelemetry's may be called a count, which promtool wants for histograms only.
GIVEN = ("process_thread_count ", "process_unix_file_descriptor_count ")


SHOPS = {"fastapi_shop", "node-shop"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def fetch(bittern, **headers):
    """(response, body)"""
    asked = urllib.request.Request(bittern.url + "/metrics", headers={
        name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(asked, timeout=10) as response:
        return response, response.read()


@pytest.fixture
def loaded(service, agent):
    """An agent after a load of all kinds on two services, and by clients that go wrong."""
    bittern = agent("--per-process")
    for shop in (service("node"), service("fastapi-h11-asyncio")):
        assert not load.run(shop.address, load.mixed(500)).errors
        load.run(shop.address, LABELS, keep_alive=False)  # some get no answer
        shop.settle()
    return bittern


@pytest.fixture
def page(loaded):
    return loaded.get("/metrics")


def promtool(text):
    """What it complains of, but for names that are OpenTelemetry's."""
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True,
                             text=True)
    lines = (checked.stdout + checked.stderr).splitlines()
    return [line for line in lines if not line.removeprefix("bittern_").startswith(GIVEN)]


@pytest.mark.skipif(not PROMTOOL, reason="no promtool: tests/setup.sh could not get it")
def test_promtool_is_silent(page, agent):
    assert promtool(page) == []
    assert promtool(agent().get("/metrics")) == [], "an agent that has seen nothing"
    assert promtool("no_help 1\n") != [], "promtool complains when there is cause"


def test_the_python_parser_reads_the_page(page):
    families = list(text_string_to_metric_families(page))
    assert len({f.name for f in families}) == len(families), "every family is in one piece"
    assert all(f.documentation and f.type in ("counter", "gauge", "histogram") for f in families)
    samples = [s for f in families for s in f.samples]
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    assert len(samples) == len(lines)
    keys = collections.Counter((s.name, *sorted(s.labels.items())) for s in samples)
    assert max(keys.values()) == 1, keys.most_common(3)
    assert SHOPS <= {s.labels.get("service_name") for s in samples}


def test_every_histogram_adds_up(page):
    """Buckets rise to the count, and the sum lies between what they say."""
    histograms = collections.defaultdict(dict)
    for family in text_string_to_metric_families(page):
        for s in family.samples if family.type == "histogram" else ():
            labels = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            series = histograms[family.name, labels]
            series[s.labels.get("le") or s.name.removeprefix(family.name)] = s.value
    assert histograms
    for key, series in histograms.items():
        total, seconds = series.pop("_count"), series.pop("_sum")
        bounds = sorted(series, key=float)
        values = [series[bound] for bound in bounds]
        assert values == sorted(values) and bounds[-1] == "+Inf" and values[-1] == total, key
        below = [0] + values
        least = sum((n - m) * float(low) for low, m, n in zip(["0"] + bounds, below, values))
        assert least <= seconds, key
        assert seconds <= sum((n - m) * float(high) for high, m, n in zip(bounds, below, values)
                              if n > m), key


def samples_of(families):
    """What both texts tell of the two services: (name, labels) -> value. A bound is a number."""
    return {(s.name, *sorted((k, float(v) if k == "le" else v) for k, v in s.labels.items())):
            s.value for family in families for s in family.samples
            if s.labels.get("service_name") in SHOPS and not s.name.endswith("_created")}


def test_the_python_parser_of_openmetrics_reads_the_same(loaded):
    response, body = fetch(loaded, Accept=OPENMETRICS)
    assert response.headers["Content-Type"] == OPENMETRICS
    families = list(open_metrics(body.decode()))
    assert len({f.name for f in families}) == len(families), "every family is in one piece"
    assert all(f.documentation and f.type in ("counter", "gauge", "histogram", "info")
               for f in families)
    units = {f.unit: f for f in families if f.unit}
    assert set(units) == {"seconds", "bytes", "ratio"}
    for family in families:
        if family.type in ("counter", "histogram"):
            created = [s for s in family.samples if s.name == family.name + "_created"]
            last = "_total" if family.type == "counter" else "_count"
            assert len(created) == sum(s.name == family.name + last for s in family.samples)
            assert all(0 < s.value < time.time() for s in created), family.name
    opened, classic = samples_of(families), samples_of(
        text_string_to_metric_families(loaded.get("/metrics")))
    assert opened.keys() == classic.keys()
    moving = {key for key in opened if opened[key] != classic[key]}
    # What is used goes on, and pool jobs are charged some time after their requests.
    goes_on = ("process_", "http_server_cpu_time_", "http_server_page_faults_")
    assert all(key[0].removeprefix("bittern_").startswith(goes_on) for key in moving), moving


def of_shops(page):
    """The lines about requests to the two services: these move no more."""
    return [line for line in page.decode().splitlines() if line.startswith((
        "http_server_request", "bittern_http_server_requests"))]


def test_a_page_is_compressed_for_who_asks_for_it(loaded):
    for accept in ("text/plain", OPENMETRICS):
        response, body = fetch(loaded, Accept=accept, Accept_Encoding="gzip")
        plain_response, plain = fetch(loaded, Accept=accept)
        assert response.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain_response.headers
        assert response.headers["Vary"] == plain_response.headers["Vary"] == \
            "Accept, Accept-Encoding"
        assert len(body) < len(plain) / 5
        assert of_shops(gzip.decompress(body)) == of_shops(plain)


def test_the_page_is_prometheus_text_0_0_4(agent):
    with urllib.request.urlopen(agent().url + "/metrics") as response:
        content_type = response.headers["Content-Type"].replace(" ", "")
        assert content_type.startswith("text/plain;version=0.0.4")
        assert int(response.headers["Content-Length"]) == len(response.read())
