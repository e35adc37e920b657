# SPDX-License-Identifier: Apache-2.0
"""A collector that misbehaves as it is told: OTLP/HTTP and OTLP/gRPC on one port, with or without
TLS. Every request is decoded with the official descriptors, and may have no field they do not know.
"""

import base64
import collections
import dataclasses
import gzip
import socket
import ssl
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events
from google.protobuf.any_pb2 import Any
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest, ExportMetricsServiceResponse)

HTTP_PATH = "/v1/metrics"
GRPC_PATH = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DELTA, CUMULATIVE = 1, 2


# --- what a server answers ---

@dataclasses.dataclass
class Answer:
    """Over HTTP: status, headers and body. Over gRPC: code, or status without one, and message."""
    status: int = 200
    headers: tuple = ()
    body: bytes = b""
    code: int = 0
    trailers: tuple = ()
    before: float = 0  # seconds of silence
    cut: int = None  # the connection ends after that many bytes of the answer
    raw: bytes = None  # instead of all: these bytes

    @property
    def takes(self):
        """Whether a client that is told so has delivered its request."""
        return self.status == 200 and not self.code and self.cut is None and self.raw is None


OK = Answer()


def http(status, *headers, body=b""):
    return Answer(status=status, headers=headers, body=body)


def grpc(code, delay=None):
    """delay: seconds, with a RetryInfo."""
    trailers = ()
    if delay is not None:
        info = RetryInfo()
        info.retry_delay.FromNanoseconds(round(delay * 1e9))
        detail = Any()
        detail.Pack(info)
        details = Status(code=code, message="slower", details=[detail]).SerializeToString()
        trailers = (("grpc-status-details-bin",
                     base64.b64encode(details).decode().rstrip("=")),)
    return Answer(code=code, trailers=trailers)


def partial(rejected, message):
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = rejected
    response.partial_success.error_message = message
    return Answer(body=response.SerializeToString())


# --- what it got ---

@dataclasses.dataclass
class Received:
    time: float  # time.monotonic(), when its last byte came
    headers: dict
    body: bytes  # as it came
    message: ExportMetricsServiceRequest
    answer: Answer
    answered: bool = False  # and it was sent, to the end


def _check_known(message):
    assert not len(UnknownFieldSet(message)), f"unknown fields in {message.DESCRIPTOR.full_name}"
    for field, value in message.ListFields():
        if field.message_type:
            for part in (value if field.is_repeated else [value]):
                _check_known(part)


def decode(data):
    message = ExportMetricsServiceRequest()
    message.ParseFromString(data)
    _check_known(message)
    return message


class Server:
    """Answers requests by script, one after the other, then by default. A function in the script
    makes the answer when it is due."""

    def __init__(self, port=0, default=OK, tls=None):
        self.script = collections.deque()
        self.default = default
        self.received = []
        self.problems = []  # requests that are none
        self._tls = tls
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._threads = []
        self._start(self._accept)

    def _start(self, target, *args):
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _join(self, timeout):
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))

    def close(self, grace=2):
        """Takes no more connections, ends those there are. What is being answered gets its answer,
        so that both sides know of it: taken() is complete then, and changes no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        self._join(grace)
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._join(grace)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def taken(self):
        """The messages that the client knows to be delivered."""
        return [r.message for r in self.received if r.answered and r.answer.takes]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection):
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            start = connection.recv(len(PREFACE), socket.MSG_PEEK if not self._tls else 0)
            if start.startswith(b"PRI"):
                Http2(self, connection, start if self._tls else b"").serve()
            elif start:
                serve_http1(self, connection, start if self._tls else b"")
        except (OSError, EOFError):
            pass
        except Exception as error:  # shown by the test
            self.problems.append(repr(error))
        finally:
            self._open.discard(connection)
            connection.close()

    def take(self, headers, body, data):
        """Notes a request, and the answer that it is to get."""
        with self._lock:
            answer = self.script.popleft() if self.script else self.default
            answer = answer() if callable(answer) else answer
            received = Received(time.monotonic(), headers, body, decode(data), answer)
            self.received.append(received)
        time.sleep(answer.before)
        return received


def _send(connection, data, cut):
    if cut is not None:
        connection.sendall(data[:cut])
        raise EOFError
    connection.sendall(data)


def serve_http1(server, connection, start):
    stream = connection.makefile("rb")
    while True:
        line = start + stream.readline()
        start = b""
        if not line:
            return
        method, path, _ = line.decode().split()
        headers = {}
        while (field := stream.readline()) not in (b"\r\n", b""):
            name, _, value = field.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers["content-length"]))
        if (method, path) != ("POST", HTTP_PATH):
            raise ValueError(f"{method} {path}")
        if headers["content-type"] != "application/x-protobuf":
            raise ValueError(headers["content-type"])
        data = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        received = server.take(headers, body, data)
        answer = received.answer
        if answer.raw is not None:
            connection.sendall(answer.raw)
            return
        lines = [f"HTTP/1.1 {answer.status} x", "Content-Type: application/x-protobuf",
                 f"Content-Length: {len(answer.body)}", *answer.headers]
        _send(connection, "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body, answer.cut)
        received.answered = True


class Http2:
    """One connection of gRPC: unary calls one after the other."""

    def __init__(self, server, connection, start):
        self.server = server
        self.connection = connection
        self.start = start
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.headers, self.data = {}, b""

    def flush(self):
        self.connection.sendall(self.h2.data_to_send())

    def serve(self):
        self.h2.initiate_connection()
        self.flush()
        data = self.start
        while data := data or self.connection.recv(65536):
            for event in self.h2.receive_data(data):
                self.see(event)
            self.flush()
            data = b""

    def see(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.headers, self.data = dict(event.headers), b""
        elif isinstance(event, h2.events.DataReceived):
            self.data += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.flush()
            if self.headers[":path"] == HTTP_PATH:
                self.answer_http(event.stream_id)
            else:
                self.answer(event.stream_id)

    def answer_http(self, stream):
        """OTLP/HTTP over HTTP/2, as it is with TLS."""
        zipped = self.headers.get("content-encoding") == "gzip"
        received = self.server.take(self.headers, self.data,
                                    gzip.decompress(self.data) if zipped else self.data)
        answer = received.answer
        if answer.cut is not None:
            raise EOFError
        self.h2.send_headers(stream, [(":status", str(answer.status))])
        self.send(stream, answer.body)
        self.h2.end_stream(stream)
        self.flush()
        received.answered = True

    def message(self):
        headers = self.headers
        if (headers[":method"], headers[":path"]) != ("POST", GRPC_PATH):
            raise ValueError(f"{headers[':method']} {headers[':path']}")
        if headers["content-type"] != "application/grpc" or headers["te"] != "trailers":
            raise ValueError(f"{headers}")
        compressed, length = self.data[0], int.from_bytes(self.data[1:5])
        if length != len(self.data) - 5:
            raise ValueError(f"{length} is not {len(self.data) - 5}")
        if compressed and headers.get("grpc-encoding") != "gzip":
            raise ValueError("compressed by what?")
        return gzip.decompress(self.data[5:]) if compressed else self.data[5:]

    def answer(self, stream):
        received = self.server.take(self.headers, self.data, self.message())
        answer = received.answer
        if answer.raw is not None:
            self.connection.sendall(answer.raw)
            raise EOFError
        if answer.cut is not None:
            if answer.cut:
                self.h2.send_headers(stream, [(":status", "200"),
                                              ("content-type", "application/grpc")])
                self.flush()
            raise EOFError
        trailers = [("grpc-status", str(answer.code)), *answer.trailers]
        if answer.status != 200:
            headers = [(":status", str(answer.status))]
            headers += [tuple(h.lower().split(": ")) for h in answer.headers]
            self.h2.send_headers(stream, headers, end_stream=True)
        elif answer.code:  # "trailers only"
            self.h2.send_headers(stream, [(":status", "200"),
                                          ("content-type", "application/grpc"),
                                          *trailers, ("grpc-message", "not%20now")],
                                 end_stream=True)
        else:
            self.h2.send_headers(stream, [(":status", "200"),
                                          ("content-type", "application/grpc")])
            self.send(stream, b"\0" + len(answer.body).to_bytes(4) + answer.body)
            self.h2.send_headers(stream, trailers, end_stream=True)
        self.flush()
        received.answered = True

    def send(self, stream, data):
        while data:
            size = min(self.h2.local_flow_control_window(stream), 16384, len(data))
            if size:
                self.h2.send_data(stream, data[:size])
                self.flush()
                data = data[size:]
                continue
            received = self.connection.recv(65536)
            if not received:
                raise EOFError
            for event in self.h2.receive_data(received):
                if isinstance(event, h2.events.StreamReset):
                    raise EOFError
            self.flush()


# --- certificates ---

def make_certificates(folder):
    """Two CAs, a server's and a client's certificate by the first: NAME.pem, NAME.key."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                       cwd=folder)
    for ca in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN={ca}",
                "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", 2, "-extfile", "names", "-out", f"{name}.pem")


def server_tls(folder, client_certificate=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    if client_certificate:
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


# --- reading messages ---

def attributes(owner):
    """Attributes as a dict of Python values; keys are unique."""
    values = {}
    for pair in owner.attributes:
        assert pair.key not in values
        values[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return values


def metrics(message):
    """(resource attributes, metric) of all."""
    for resource in message.resource_metrics:
        owner = attributes(resource.resource)
        for scope in resource.scope_metrics:
            assert scope.scope.name == "bittern"
            for metric in scope.metrics:
                yield owner, metric


def points(message, name, service=None):
    """(point, temporality or None) of one metric of one service, or of all."""
    for owner, metric in metrics(message):
        if metric.name != name or service not in (None, owner["service.name"]):
            continue
        data = getattr(metric, metric.WhichOneof("data"))
        temporality = getattr(data, "aggregation_temporality", None)
        for point in data.data_points:
            yield point, temporality


def duration_counts(messages, service, name="http.server.request.duration"):
    """(method, route, status) -> requests, as Page.counts() has it. Deltas are added up; of what
    is cumulative the last message that has it counts."""
    total = collections.Counter()
    for message in messages:
        for point, temporality in points(message, name, service):
            a = attributes(point)
            key = (a.get("http.request.method", ""), a.get("http.route", ""),
                   str(a.get("http.response.status_code", "")), a.get("error.type", ""),
                   a.get("network.protocol.version", ""), a.get("server.port", 0))
            if temporality == DELTA:
                total[key] += point.count
            else:
                total[key] = point.count
    counts = collections.Counter()
    for (method, route, status, *_), count in total.items():
        counts[method, route, status] += count
    return +counts


def own(message, name, **labels):
    """The value of one of bittern's numbers about itself."""
    for point, _ in points(message, name):
        if attributes(point) == labels:
            return point.as_int if point.HasField("as_int") else point.as_double
    return None
