# SPDX-License-Identifier: Apache-2.0
"""What an export by OTLP costs with 10,000 series, most of them histograms."""

import contextlib
import http.client
import http.server
import itertools
import threading
import time

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import measure
from measure import Bittern, cpu_ns, host_to_ourselves, rss_bytes
from table import spread

SERIES = 10_000
INTERVAL_S = 0.5
MB = 1e6
STATUSES = (200, 201, 202, 203, 400, 403, 409, 410, 422, 429, 500, 503)
SYLLABLES = ("ale", "bor", "cam", "dun", "fen", "gle", "hol", "kir", "lan", "mor")
WAYS = {
    "explicit": ("--otlp-histograms", "explicit"),
    "exponential": ("--otlp-histograms", "exponential"),
    "explicit, gzip": ("--otlp-histograms", "explicit", "--otlp-compression", "gzip"),
}


class Sink(http.server.ThreadingHTTPServer):
    """Takes whatever is sent, and keeps it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.received.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.received = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


def fill(service):
    """Requests until there are as many series as there may be: past that all is one overflow."""
    client = http.client.HTTPConnection(*service.address)
    for a, b, c in itertools.islice(itertools.product(SYLLABLES, repeat=3),
                                    SERIES // len(STATUSES)):
        route = f"{a}{b}/{c}"  # not more than 100 in one place
        for status in STATUSES:
            client.request("GET", f"/{route}?status={status}")
            client.getresponse().read()
    client.close()


def own(messages, name):
    """The values of one of bittern's own numbers, in the order of the exports."""
    for message in messages:
        for resource in message.resource_metrics:
            for metric in itertools.chain(*(s.metrics for s in resource.scope_metrics)):
                if metric.name == name:
                    yield from (p.as_double if p.HasField("as_double") else p.as_int
                                for p in getattr(metric, metric.WhichOneof("data")).data_points)


def decoded(body):
    message = ExportMetricsServiceRequest()
    message.ParseFromString(body)
    return message


def measure_way(table, tmp, name, options, exports):
    with contextlib.ExitStack() as stack, host_to_ourselves():
        service = measure.node_http(stack, tmp)
        sink = stack.enter_context(Sink())
        stack.callback(sink.shutdown)
        agent = Bittern(stack, tmp, "--otlp-endpoint", f"http://127.0.0.1:{sink.server_port}",
                        "--otlp-interval", f"{INTERVAL_S * 1000:.0f}ms", "--max-routes", "2000",
                        "--max-series", str(SERIES), *options)
        fill(service)
        time.sleep(2 * INTERVAL_S)
        sink.received.clear()
        cpu = cpu_ns(agent.pid)
        time.sleep(exports * INTERVAL_S)
        cpu = cpu_ns(agent.pid) - cpu
        bodies = sink.received[:]
        rss, peak = rss_bytes(agent.pid), agent.peak_rss_bytes()
        agent.stop_clean()
    note = (f"{sum(map(len, bodies)) / exports / MB:.2f} MB; {cpu / 1e6 / exports:.1f} ms of the "
            f"agent's CPU; RSS {rss / MB:.1f} MB, peak {peak / MB:.1f} MB")
    if "gzip" in name:
        table.value(f"OTLP export of {SERIES:,} series, {name}", "", note)
        return
    messages = list(map(decoded, bodies))
    for count in own(messages, "bittern.agent.series"):
        table.expect_count(f"OTLP, {name}: series", int(count), SERIES)
    encode_ms = [s * 1000 for s in own(messages, "bittern.agent.otlp.last_encode")]
    table.value(f"OTLP export of {SERIES:,} series, {name}",
                f"{spread(encode_ms, '.1f')} ms to encode", note)


def measure_all(table, tmp, exports):
    for name, options in WAYS.items():
        measure_way(table, tmp, name, options, exports)
