# SPDX-License-Identifier: Apache-2.0
"""The services with SDKs inside, added as documented, and a sink for what they export."""

import functools
import http.server
import threading
import urllib.request
from typing import NamedTuple

from measure import SDKS, Hello, fastapi, wait_for

METRIC = b"http.server."  # in the sink: the prefix of OpenTelemetry's HTTP server metrics
PROM_METRIC = "http_request_duration"
EXPORT_MS = 5000


class Sink:
    """Takes OTLP over HTTP and drops it; remembers who sent HTTP metrics, and who spans."""

    def __init__(self, stack):
        self.seen = seen = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.body()
                _, key, _, signal = self.path.split("/")  # /KEY/v1/metrics
                if signal != "metrics" or METRIC in body:
                    seen.add((key, signal))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def body(self):
                if "Content-Length" in self.headers:
                    return self.rfile.read(int(self.headers["Content-Length"]))
                body = b""
                while size := int(self.rfile.readline(), 16):  # chunked
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a service that is killed in the middle of an export
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"


def otel(sink, key, traces):
    """traces: the share of requests that are traced, None for metrics only."""
    env = {
        "OTEL_SERVICE_NAME": "hello",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{sink.url}/{key}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": str(EXPORT_MS),
        "OTEL_METRIC_EXPORT_TIMEOUT": str(EXPORT_MS - 1000),
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_EXPORTER": "none" if traces is None else "otlp",
        "OTEL_NODE_RESOURCE_DETECTORS": "env,host,process",  # the others ask cloud providers
    }
    if traces is None:  # the Python SDK makes spans also without exporter
        return env | {"OTEL_TRACES_SAMPLER": "always_off"}
    return env | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                  "OTEL_TRACES_SAMPLER_ARG": str(traces)}


OTEL_ROWS = [("OpenTelemetry, metrics only", None), ("OpenTelemetry, traces of 1 %", 0.01),
             ("OpenTelemetry, traces of all", 1)]


class Variant(NamedTuple):
    name: str
    service: Hello
    exports: tuple = ()  # what the sink must have seen of it
    prometheus: bool = False

    def missing(self, sink):
        """Why the service was not instrumented after all, or None."""
        if self.prometheus:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.service.port}/metrics") as page:
                return None if PROM_METRIC in page.read().decode() else "it shows no HTTP metric"
        try:
            wait_for(lambda: sink.seen.issuperset(self.exports), "", timeout=2 * EXPORT_MS / 1000)
        except TimeoutError:
            return "its exports did not arrive"


def variants(sink, family, plain, with_otel, prom_name):
    """The plain service, and the same with each kind of instrumentation.
    plain, with_otel: functions that start it."""
    yield Variant("plain", plain())
    for name, traces in OTEL_ROWS:
        key = f"{family}-{traces}"
        exports = ((key, "metrics"),) + (((key, "traces"),) if traces else ())
        yield Variant(name, with_otel(env=otel(sink, key, traces)), exports)
    if prom_name:
        yield Variant(prom_name, plain(env={"BENCH_PROM": "1"}), prometheus=True)


def node_variants(stack, tmp, sink, start, prom_name=None):
    modules = SDKS / "node_modules"
    if not (modules / "@opentelemetry/auto-instrumentations-node").exists():
        raise FileNotFoundError(f"no Node modules in {SDKS}, see the messages of run.sh")
    plain = functools.partial(start, stack, tmp, modules=modules)
    with_otel = functools.partial(
        plain, node=("--require", "@opentelemetry/auto-instrumentations-node/register"))
    return variants(sink, start.__name__, plain, with_otel, prom_name)


def python_variants(stack, tmp, sink, prom_name):
    venv = SDKS / "venv"
    if not (venv / "bin/opentelemetry-instrument").exists():
        raise FileNotFoundError(f"no Python packages in {SDKS}, see the messages of run.sh")
    plain = functools.partial(fastapi, stack, tmp, venv=venv)
    with_otel = functools.partial(plain, launcher=(venv / "bin/opentelemetry-instrument",))
    return variants(sink, "fastapi", plain, with_otel, prom_name)
