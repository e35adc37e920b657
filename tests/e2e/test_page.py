# SPDX-License-Identifier: Apache-2.0
"""The page of /metrics, as those who read it see it: promtool, and the official Python parser."""

import collections
import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

import load
from load import Request
from promql import PROMTOOL

LABELS = [Request("GET", target) for target in (
    '/"quoted"', "/back\\slash", "/%0a", "/caf\xe9", "/{braces}", "/a,b=c", "/" + "long" * 500,
    "http://localhost/absolute?q=1", "*")] + [Request("BREW", "/ok"), Request("OPTIONS", "*")]


# A gauge of OpenTelemetry's may be called a count, which promtool wants for histograms only.
GIVEN = ("process_thread_count ", "process_unix_file_descriptor_count ")


@pytest.fixture
def page(service, agent):
    """A page after a load of all kinds from two services, and from clients that go wrong."""
    bittern = agent()
    for shop in (service("node"), service("fastapi-h11-asyncio")):
        assert not load.run(shop.address, load.mixed(500)).errors
        load.run(shop.address, LABELS, keep_alive=False)  # some get no answer
    return bittern.get("/metrics")


def promtool(text):
    """What it complains of, but for names that are OpenTelemetry's."""
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True,
                             text=True)
    lines = (checked.stdout + checked.stderr).splitlines()
    return [line for line in lines if not line.startswith(GIVEN)]


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
    assert {"fastapi_shop", "node-shop"} <= {s.labels.get("service_name") for s in samples}


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


def test_the_page_is_prometheus_text_0_0_4(agent):
    with urllib.request.urlopen(agent().url + "/metrics") as response:
        content_type = response.headers["Content-Type"].replace(" ", "")
        assert content_type.startswith("text/plain;version=0.0.4")
        assert int(response.headers["Content-Length"]) == len(response.read())
