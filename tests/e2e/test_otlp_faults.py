# SPDX-License-Identifier: Apache-2.0
"""Collectors that fail in every way: what is tried again, when, what is given up, and that nothing
else is lost."""

import email.utils
import os
import resource
import signal
import subprocess
import time

import pytest

import load
import otlp_server
from expect import assert_exact, assert_same, expected, truth_counts
from harness import AGENT, free_port, wait_for
from otlp_server import OK, Answer, Server, attributes, duration_counts, grpc, http, own, partial
from otlp_server import points

FIRST_PAUSE = (0.8, 1.2)  # seconds: a second, 20 % more or less
SLACK = 0.5  # this machine is shared; what it stood still for comes on top
AWAY_SECONDS = float(os.environ.get("BITTERN_AWAY_SECONDS", 60))  # 12 will do to look at it
PROTOCOLS = ["http/protobuf", "grpc"]

both_protocols = pytest.mark.parametrize("protocol", PROTOCOLS, ids=["http", "grpc"])


@pytest.fixture
def server():
    with Server() as started:
        yield started
    assert not started.problems


def options(port, protocol, interval="200ms", temporality="delta", scheme="http"):
    return ("--otlp-endpoint", f"{scheme}://localhost:{port}", "--otlp-protocol", protocol,
            "--otlp-interval", interval, "--otlp-temporality", temporality)


def wait_received(server, count, timeout=20):
    return wait_for(lambda: len(server.received) >= count and server.received[:],
                    lambda: f"{count} requests: {len(server.received)}", timeout)


def played(server, agent, protocol, failures):
    """Lets each of the failures follow a success; gives what was received, in pairs of the refused
    request and the next one."""
    for failure in failures:
        server.script += [OK, failure]
    bittern = agent(*options(server.port, protocol))
    received = []

    def all_answered():
        received[:] = server.received
        told = [i for i, r in enumerate(received) if not r.answer.takes]
        return len(told) == len(failures) and told[-1] + 1 < len(received) and told
    told = wait_for(all_answered, lambda: f"end of the script: {server.script}", timeout=60)
    bittern.stop_clean()
    return [(received[i], received[i + 1]) for i in told]


def assert_retried(pulse, first, second, at_least=0.0):
    assert second.body == first.body
    pause = second.time - first.time - first.answer.before
    low, high = max(FIRST_PAUSE[0], at_least), max(FIRST_PAUSE[1], at_least)
    high += SLACK + pulse.stalled_s(first.time, second.time)
    assert low - 0.01 <= pause <= high, f"{pause} s after {first.answer}"


def assert_given_up(first, second):
    assert second.body != first.body, first.answer


GRPC_RETRIED = (1, 4, 10, 11, 14, 15)
GRPC_GIVEN_UP = (2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 99)


def test_grpc_codes_are_tried_again_where_the_specification_says_so(server, agent, pulse):
    failures = [grpc(code) for code in (*GRPC_RETRIED, *GRPC_GIVEN_UP)]
    for first, second in played(server, agent, "grpc", failures):
        if first.answer.code in GRPC_RETRIED:
            assert_retried(pulse, first, second)
        else:
            assert_given_up(first, second)


HTTP_RETRIED = (429, 502, 503, 504)
HTTP_GIVEN_UP = (301, 400, 401, 403, 404, 405, 408, 413, 415, 500, 501)


def test_http_statuses_are_tried_again_where_the_specification_says_so(server, agent, pulse):
    failures = [http(status, body=b"no") for status in (*HTTP_RETRIED, *HTTP_GIVEN_UP)]
    for first, second in played(server, agent, "http/protobuf", failures):
        if first.answer.status in HTTP_RETRIED:
            assert_retried(pulse, first, second)
        else:
            assert_given_up(first, second)


def test_grpc_over_a_proxy_that_answers_by_http(server, agent, pulse):
    failures = [http(status) for status in (503, 429, 404, 401, 500)]
    for first, second in played(server, agent, "grpc", failures):
        if first.answer.status in (503, 429):
            assert_retried(pulse, first, second)
        else:
            assert_given_up(first, second)


def test_retry_after_is_waited_for_in_both_forms(server, agent, pulse):
    def until_a_date():
        date = email.utils.formatdate(time.time() + 4, usegmt=True)
        return http(503, f"Retry-After: {date}")
    failures = [http(503, "Retry-After: 2"), http(429, "Retry-After: 0"),
                http(503, "Retry-After: soon"), until_a_date]
    pairs = played(server, agent, "http/protobuf", failures)
    for (first, second), pause in zip(pairs, (2, 0, 0)):
        assert_retried(pulse, first, second, pause)
    first, second = pairs[3]
    assert second.body == first.body
    pause = second.time - first.time  # its seconds are whole ones
    assert 3 - 0.01 <= pause <= 4 + 1.2 + SLACK + pulse.stalled_s(first.time, second.time), pause


def test_retry_info_is_waited_for_and_makes_resource_exhausted_retryable(server, agent, pulse):
    failures = [grpc(8, delay=1.7), grpc(14, delay=2.3), grpc(8, delay=0), grpc(3, delay=5)]
    pairs = played(server, agent, "grpc", failures)
    for (first, second), pause in zip(pairs, (1.7, 2.3, 0)):
        assert_retried(pulse, first, second, pause)
    assert_given_up(*pairs[3])


@both_protocols
def test_pauses_grow_with_each_failure(server, agent, protocol, pulse):
    server.script += [grpc(14) if protocol == "grpc" else http(503)] * 3
    agent(*options(server.port, protocol))
    received = wait_received(server, 4, timeout=40)
    for first, second, wanted in zip(received[:3], received[1:], (1, 2, 4)):
        pause = second.time - first.time
        slack = SLACK + pulse.stalled_s(first.time, second.time)
        assert wanted * 0.8 - 0.01 <= pause <= wanted * 1.2 + slack, f"{pause}, not {wanted} s"
    assert len({r.body for r in received[:4]}) == 1


@both_protocols
def test_a_partial_success_is_told_and_not_sent_again(server, agent, protocol):
    server.script += [partial(7, "no room for \x1b[31m7"), OK, partial(0, "be careful")]
    bittern = agent(*options(server.port, protocol, temporality="cumulative"))
    received = wait_received(server, 5)
    assert len({r.body for r in received}) == len(received)
    last = received[-1].message
    assert own(last, "bittern.agent.otlp.rejected_points") == 7
    assert own(last, "bittern.agent.otlp.retries") == 0
    assert own(last, "bittern.agent.otlp.failures", reason="rejected") == 0
    wait_for(lambda: "be careful" in bittern.output(), "a warning")
    assert "7 points rejected: no room for ?[31m7" in bittern.output()


BAD_ANSWERS = {
    "http/protobuf": {
        "no protobuf": Answer(body=b"\xff\xff\xff"),
        "no HTTP": Answer(raw=b"\x15\x03\x01 what?\r\n\r\n"),
        "SSH": Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
        "too large": Answer(body=b"x" * (5 << 20)),
        "brotli": http(200, "Content-Encoding: br", body=b"\x0b\x02\x80abc\x03"),
        "transfer brotli": Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\n\x0b\x02"),
        "transfer zstd": Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: zstd\r\n\r\n(\xb5/"),
    },
    "grpc": {
        "no protobuf": Answer(body=b"\xff\xff\xff"),
        "no HTTP/2": Answer(raw=b"\xff" * 100),
        "HTTP/1.1": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "too large": Answer(body=b"x" * (5 << 20)),
    },
}


@both_protocols
def test_bad_answers_do_no_harm(server, service, agent, protocol):
    """Whether such a request was taken cannot be known: no count is right for it, but all others
    are."""
    shop = service("node")
    server.script += [OK]
    for bad in BAD_ANSWERS[protocol].values():
        server.script += [bad, OK]
    bittern = agent(*options(server.port, protocol, temporality="cumulative"))
    wait_for(lambda: not server.script, lambda: f"end of the script: {server.script}", timeout=60)
    result = load.run(shop.address, load.mixed(100))
    truth = truth_counts(shop.truth(len(result.samples)))
    wait_for(lambda: duration_counts(server.taken(), "node-shop") == expected(truth),
             lambda: f"counts: {duration_counts(server.taken(), 'node-shop')}")
    assert own(server.taken()[-1], "bittern.agent.otlp.failures", reason="answer_too_large") == 1
    assert bittern.peak_rss_bytes() < 60 << 20


@both_protocols
def test_a_connection_that_is_cut_is_tried_again(server, agent, protocol, pulse):
    cuts = [Answer(cut=0), Answer(cut=20), Answer(cut=0)]
    for first, second in played(server, agent, protocol, cuts):
        assert_retried(pulse, first, second)


@both_protocols
def test_a_slow_collector_delays_nothing_and_loses_nothing(server, service, agent, protocol,
                                                           pulse):
    slow = Answer(before=4.5, cut=0)  # takes nothing: who has asked has gone
    shop = service("node")
    server.script += [OK, slow, slow, slow]
    bittern = agent(*options(server.port, protocol), "--otlp-timeout", "3s")
    wait_received(server, 2)
    result = load.run(shop.address, load.mixed(2000))
    truth = truth_counts(shop.truth(len(result.samples)))
    began = time.monotonic()
    page = bittern.scrape()  # while the collector is silent
    ended = time.monotonic()
    assert ended - began < 0.5 + pulse.stalled_s(began, ended)
    assert_exact(page, "node-shop", truth)
    assert page.total("bittern_agent_otlp_queue_age_seconds") > 0
    wait_for(lambda: duration_counts(server.taken(), "node-shop") == expected(truth),
             lambda: f"counts: {duration_counts(server.taken(), 'node-shop')}", timeout=60)
    received = server.received[:]
    assert [r.body for r in received[2:5]] == [received[1].body] * 3, "the same is sent again"
    page = bittern.scrape()
    assert page.total("bittern_agent_otlp_failures_total", reason="timeout") == 3
    assert page.total("bittern_agent_otlp_retries_total") == 3
    assert page.total("bittern_agent_otlp_lost_points_total") == 0


def wait_failed(bittern, reason):
    return wait_for(lambda: bittern.scrape().total("bittern_agent_otlp_failures_total",
                                                   reason=reason), f"failure by {reason}")


def test_a_name_that_does_not_exist_is_a_failure_by_dns(agent):
    bittern = agent("--otlp-endpoint", "http://no-such-collector.invalid:4318",
                    "--otlp-interval", "200ms", "--otlp-export-timeout", "100ms",
                    env={"RES_OPTIONS": "timeout:1 attempts:1"})  # where no name server answers
    wait_failed(bittern, "dns")
    assert "no-such-collector.invalid" in bittern.output()


def test_a_port_where_nobody_listens_is_a_failure_by_connect(agent):
    bittern = agent(*options(free_port(), "grpc"), "--otlp-export-timeout", "100ms")
    wait_failed(bittern, "connect")


@both_protocols
def test_tls_with_the_right_and_with_the_wrong_ca(agent, tmp_path, protocol):
    otlp_server.make_certificates(tmp_path)
    with Server(tls=otlp_server.server_tls(tmp_path)) as server:
        wrong = agent(*options(server.port, protocol, scheme="https"), "--otlp-certificate",
                      str(tmp_path / "other-ca.pem"), "--otlp-export-timeout", "100ms")
        wait_failed(wrong, "tls")
        none = agent(*options(server.port, protocol, scheme="https"), "--otlp-export-timeout",
                     "100ms")
        wait_failed(none, "tls")
        assert not server.received
        right = agent(*options(server.port, protocol, scheme="https"), "--otlp-certificate",
                      str(tmp_path / "ca.pem"))
        wait_received(server, 3)
        assert right.scrape().total("bittern_agent_otlp_failures_total") == 0
        right.stop_clean()


@both_protocols
def test_tls_with_a_client_certificate(agent, tmp_path, protocol):
    otlp_server.make_certificates(tmp_path)
    tls = otlp_server.server_tls(tmp_path, client_certificate=True)
    ca = ("--otlp-certificate", str(tmp_path / "ca.pem"), "--otlp-export-timeout", "100ms")
    with Server(tls=tls) as server:
        without = agent(*options(server.port, protocol, scheme="https"), *ca)
        wait_for(lambda: without.scrape().total("bittern_agent_otlp_failures_total"), "failures")
        assert not server.received
        agent(*options(server.port, protocol, scheme="https"), *ca,
              "--otlp-client-certificate", str(tmp_path / "client.pem"),
              "--otlp-client-key", str(tmp_path / "client.key"))
        assert all(r.answer is OK for r in wait_received(server, 2))


def rss_bytes(bittern):
    with open(f"/proc/{bittern.pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.timeout(300)
def test_a_collector_that_is_away_for_a_minute_gets_all_when_it_returns(service, agent):
    """Cumulative over gRPC and deltas over HTTP at the same time."""
    shop = service("node")
    ports = {"cumulative": free_port(), "delta": free_port()}
    servers = {name: Server(port) for name, port in ports.items()}
    agents = {name: agent(*options(ports[name], "grpc" if name == "cumulative" else PROTOCOLS[0],
                                   temporality=name)) for name in ports}
    sent = 0
    taken = {name: [] for name in ports}

    def more(count):
        nonlocal sent
        result = load.run(shop.address, load.mixed(count, seed=sent))
        assert not result.errors
        sent += count

    def all_there():
        truth = expected(truth_counts(shop.truth(sent)))
        for name in ports:
            def told():
                return duration_counts(taken[name] + servers[name].taken(), "node-shop")
            try:
                wait_for(lambda: told() == truth, f"{name} counts", timeout=60, step=0.5)
            except TimeoutError:
                assert_same(told(), truth, name)
    more(500)
    all_there()
    for name in ports:
        servers[name].close()
        taken[name] += servers[name].taken()
    began, sizes = time.monotonic(), {}
    while time.monotonic() - began < AWAY_SECONDS:
        more(300)
        time.sleep(2)
        if not sizes and time.monotonic() - began > 10:
            sizes = {name: rss_bytes(agents[name]) for name in ports}
    for name in ports:
        assert rss_bytes(agents[name]) <= sizes[name] + (1 << 20), "memory is flat"
        servers[name] = Server(ports[name])
    all_there()
    truth = truth_counts(shop.truth(sent))
    for name in ports:
        page = agents[name].scrape()
        assert_exact(page, "node-shop", truth)
        failures = page.total("bittern_agent_otlp_failures_total", reason="connect")
        assert 3 <= failures <= 7, "pauses of 1, 2, 4, 8, 16, 30 s"
        assert page.total("bittern_agent_otlp_lost_points_total") == 0
        wait_for(lambda: agents[name].scrape().total("bittern_agent_otlp_queue_age_seconds") < 1,
                 "an empty queue")
        assert "delivered again" in agents[name].output()
        agents[name].stop_clean()
        assert duration_counts(taken[name] + servers[name].taken(), "node-shop") == expected(truth)
        servers[name].close()
        assert not servers[name].problems


@both_protocols
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_what_happened_before_the_end_is_sent_at_the_end(server, service, agent, protocol,
                                                         temporality):
    shop = service("node")
    bittern = agent(*options(server.port, protocol, "1m", temporality))
    result = load.run(shop.address, load.mixed(500))
    truth = truth_counts(shop.truth(len(result.samples)))
    bittern.stop_clean()
    assert len(server.received) == 1
    assert_same(duration_counts(server.taken(), "node-shop"), expected(truth), "the last export")


def test_the_last_deltas_follow_those_that_were_to_be_tried_again(server, service, agent, pulse):
    shop = service("node")
    server.script += [OK, http(503, "Retry-After: 30")]
    bittern = agent(*options(server.port, "http/protobuf"))
    load.run(shop.address, load.mixed(100))
    wait_received(server, 2)
    load.run(shop.address, load.mixed(300, seed=2))
    truth = truth_counts(shop.truth(400))
    began = time.monotonic()
    bittern.stop_clean()
    ended = time.monotonic()
    assert ended - began < 5 + pulse.stalled_s(began, ended), "a pause ends when bittern does"
    assert_same(duration_counts(server.taken(), "node-shop"), expected(truth), "all exports")


def test_the_end_is_not_delayed_for_longer_than_configured(agent, pulse):
    bittern = agent(*options(free_port(), "grpc"), "--otlp-export-timeout", "1500ms")
    began = time.monotonic()
    bittern.stop_clean()
    ended = time.monotonic()
    assert 1.4 < ended - began < 1.5 + 1 + SLACK + pulse.stalled_s(began, ended)


def test_a_second_signal_ends_the_wait(agent, pulse):
    bittern = agent(*options(free_port(), "grpc"))
    began = time.monotonic()
    bittern.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    bittern.process.send_signal(signal.SIGINT)
    assert bittern.process.wait(5) == 0
    ended = time.monotonic()
    assert ended - began < 2 + pulse.stalled_s(began, ended)


def test_variables_say_the_same_as_options_and_options_win(server, service, agent):
    shop = service("node")
    env = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{server.port}/v1/metrics",
           "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
           "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b%2Cc, x-tenant = reed",
           "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
           "OTEL_METRIC_EXPORT_INTERVAL": "300",
           "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative",
           "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION":
               "base2_exponential_bucket_histogram",
           "OTEL_SERVICE_NAME": "watcher",
           "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=not-this"}
    agent("--otlp-temporality", "DELTA", env=env)
    result = load.run(shop.address, load.mixed(100))
    truth = truth_counts(shop.truth(len(result.samples)))
    wait_for(lambda: duration_counts(server.taken(), "node-shop") == expected(truth), "counts")
    first = server.received[0]
    assert first.headers["api-key"] == "a b,c"
    assert first.headers["x-tenant"] == "reed"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["user-agent"].startswith("OTel-OTLP-Exporter-bittern/")
    owners = [attributes(r.resource) for m in server.taken() for r in m.resource_metrics]
    assert {o["deployment.environment.name"] for o in owners} == {"test"}
    assert {"watcher", "node-shop"} <= {o["service.name"] for o in owners}
    assert "not-this" not in {o["service.name"] for o in owners}
    for message in server.taken():
        for point, temporality in points(message, "http.server.request.duration", "node-shop"):
            assert temporality == otlp_server.DELTA
            assert sum(point.positive.bucket_counts) + point.zero_count == point.count


@pytest.mark.parametrize("arguments, env, words", [
    (["--otlp-endpoint", "localhost:4318"], {}, "not a URL"),
    (["--otlp-endpoint", "ftp://localhost"], {}, "not a URL"),
    (["--otlp-endpoint", "http://"], {}, "not a URL"),
    (["--otlp-endpoint", "http://u:p@localhost"], {}, "not a URL"),
    (["--otlp-protocol", "http/json"], {}, "grpc or http/protobuf"),
    (["--otlp-timeout", "soon"], {}, "a duration"),
    (["--otlp-interval", "1ms"], {}, "a duration"),
    (["--otlp-headers", "a b=c"], {}, "a list NAME=VALUE"),
    (["--otlp-certificate", "/no/such/file"], {}, "a file that can be read"),
    (["--otlp-endpoint", "http://localhost", "--otlp-client-key", AGENT], {},
     "--otlp-client-certificate is missing"),
    ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost"}, "not a URL"),
    ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost",
          "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json'"),
    ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost",
          "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "secret"},
     "OTEL_EXPORTER_OTLP_METRICS_HEADERS: what it holds is not"),
    (["--otlp-endpoint", "http://localhost"], {"OTEL_METRIC_EXPORT_TIMEOUT": "-1"},
     "OTEL_METRIC_EXPORT_TIMEOUT: '-1'"),
])
def test_wrong_use_is_one_line_and_exit_status_2(arguments, env, words):
    ended = subprocess.run([AGENT, *arguments], env=env, capture_output=True, text=True, timeout=10)
    assert ended.returncode == 2
    assert ended.stdout == "" and ended.stderr.count("\n") == 1, ended.stderr
    assert words in ended.stderr
    assert "secret" not in ended.stderr
