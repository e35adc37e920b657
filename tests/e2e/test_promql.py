# SPDX-License-Identifier: Apache-2.0
"""What README.md answers in PromQL, and the rules of deploy/prometheus, under promtool: every
expression against series whose answer is known."""

import json
import subprocess

import pytest

from promql import PROMTOOL, RULES, expression, questions

pytestmark = pytest.mark.skipif(
    not PROMTOOL, reason="no promtool: tests/setup.sh could not get it")

REQUESTS = "bittern_http_server_requests_total"
ROUTE_CPU = "bittern_http_server_cpu_time_seconds_total"
OUTCOMES = ("ok", "error", "timeout", "aborted", "no_response")


def series(name, **labels):
    return f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels.items())}}}"


def outcomes(service, route, values):
    """All five outcomes of a route, one scrape a minute; those not named stay at 0."""
    return {series(REQUESTS, service_name=service, http_request_method="GET", http_route=route,
                   outcome=outcome): values.get(outcome, values["others"]) for outcome in OUTCOMES}


def histogram(name, seconds, **labels):
    """One observation a second for two hours, of which each takes as long as the last."""
    yield series(name + "_sum", **labels), f"0+{60 * seconds}x120"
    yield series(name + "_count", **labels), "0+60x120"
    for bound in (0.1, 0.2, 0.5, float("inf")):
        taken = 60 if bound >= seconds else 0
        yield series(name + "_bucket", le=str(bound).replace("inf", "+Inf"), **labels), \
            f"0+{taken}x120"


def slo(service, events, good):
    labels = {"service_name": service, "http_route": "/", "slo": "99@8s"}
    return {series("bittern_slo_events_total", **labels): events,
            series("bittern_slo_good_events_total", **labels): good,
            series("bittern_slo_objective_ratio", **labels): "0.99x120"}


# Two hours, one scrape a minute. `young` appears in the last hour with counters that are not 0;
# what `old` counted before the last hour must not show.
NEW = {"ok": "_x100 963x19", "timeout": "_x100 5 37x18", "others": "_x100 0x19"}
COUNTS = {
    **outcomes("young", "/slow", NEW),
    **outcomes("old", "/", {"ok": "5000x60 5010+10x59", "timeout": "300x90 307x30",
                            "others": "0x120"}),
    **outcomes("old", "/fine", {"ok": "700x120", "others": "0x120"}),
    **slo("young", "_x100 1000x19", "_x100 963x19"),
    **slo("old", "2000x60 2010+10x59", "1000x60 1009+9x59"),
    series("bittern_service_process_exits_total", service_name="young", signal="SIGKILL",
           oom="true"): "_x110 1x9",
    series("bittern_service_process_exits_total", service_name="old", exit_code="zero"):
        "7x110 9x9",
    series("bittern_service_process_exits_total", service_name="old", exit_code="nonzero"):
        "3x120",
}
EXACT = {
    "How did the requests of the last hour end?": {
        series("", service_name="young", outcome="ok"): 963,
        series("", service_name="young", outcome="timeout"): 37,
        series("", service_name="young", outcome="error"): 0,
        series("", service_name="young", outcome="aborted"): 0,
        series("", service_name="young", outcome="no_response"): 0,
        series("", service_name="old", outcome="ok"): 600,
        series("", service_name="old", outcome="timeout"): 7,
        series("", service_name="old", outcome="error"): 0,
        series("", service_name="old", outcome="aborted"): 0,
        series("", service_name="old", outcome="no_response"): 0,
    },
    "Which share of them timed out?": {
        series("", service_name="young"): 37 / 1000,
        series("", service_name="old"): 7 / 607,
    },
    "Which routes are to blame for timeouts?": {
        series("", service_name="young", http_route="/slow"): 37,
        series("", service_name="old", http_route="/"): 7,
    },
    "Which share of the last hour met the SLO?": {
        series("", service_name="young", slo="99@8s"): 0.963,
        series("", service_name="old", slo="99@8s"): 0.9,
    },
    "Which processes ended in the last 15 minutes, and how": {
        series("", service_name="young", signal="SIGKILL", oom="true"): 1,
        series("", service_name="old", exit_code="zero"): 2,
    },
}

# Two hours of even load: a request a second on /fast; on /slow one in two seconds, of which a third
# ends badly in one of three ways and a sixth is aborted by the client.
FLOW = {
    **outcomes("shop", "/fast", {"ok": "0+60x120", "others": "0x120"}),
    **outcomes("shop", "/slow", {"ok": "0+15x120", "error": "0+3x120", "timeout": "0+6x120",
                                 "no_response": "0+1x120", "aborted": "0+5x120",
                                 "others": "0x120"}),
    **dict(histogram("http_server_request_duration_seconds", 0.2,
                     service_name="shop", http_route="/fast")),
    **dict(histogram("bittern_http_server_time_to_first_byte_seconds", 0.1,
                     service_name="shop", http_route="/fast")),
    **dict(histogram("bittern_http_server_queue_duration_seconds", 0.5,
                     service_name="shop", server_port="8000")),
    series("http_server_active_requests", service_name="shop", http_route="/slow",
           http_request_method="GET"): "3x120",
    series("http_server_active_requests", service_name="shop", http_route="/slow",
           http_request_method="POST"): "1x120",
    series("bittern_http_server_oldest_request_age_seconds", service_name="shop", instance="a",
           http_route="/slow"): "61x120",
    series("bittern_http_server_oldest_request_age_seconds", service_name="shop", instance="b",
           http_route="/slow"): "7x120",
    series("bittern_http_server_unread_requests", service_name="shop"): "12x120",
    series("bittern_service_processes", service_name="shop"): "4x120",
    series("bittern_service_processes", service_name="gone"): "0x120",
    series("process_cpu_time_seconds_total", service_name="shop", cpu_mode="user"): "0+90x120",
    series("process_cpu_time_seconds_total", service_name="shop", cpu_mode="system"): "5+15x120",
    series("process_memory_usage_bytes", service_name="shop"): "123456789x120",
    series(ROUTE_CPU, service_name="shop", http_route="/fast"): "0+6x120",
    series(ROUTE_CPU, service_name="shop", http_route="/slow"): "3+60x120",
    series(ROUTE_CPU, service_name="shop", http_route="{unattributed}"): "0+12x120",
    **slo("shop", "0+1000x120", "0+995x120"),
    series("bittern_http_client_requests_total", service_name="shop", server_address="stock",
           outcome="ok"): "0+9x120",
    series("bittern_http_client_requests_total", service_name="shop", server_address="stock",
           outcome="timeout"): "0+1x120",
    series("bittern_client_connect_failures_total", service_name="shop", server_port="5432",
           server_address="10.0.0.9", error_type="connection_refused"): "0+30x120",
    series("bittern_client_connect_failures_total", service_name="shop", server_port="80",
           server_address="10.0.0.8", error_type="timeout"): "30x120",
}
SHOP = series("", service_name="shop")
FAST = series("", service_name="shop", http_route="/fast")
SLOW = series("", service_name="shop", http_route="/slow")
REST = series("", service_name="shop", http_route="{unattributed}")
SHOP_SLO = series("", service_name="shop", slo="99@8s")
ESTIMATED = {
    "How many requests per second?": {FAST: 1, SLOW: 0.5},
    "Which share fails": {FAST: 0, SLOW: 10 / 30},
    "How does the share of timeouts move over time?": {SHOP: 6 / 90},
    "How long do 95 % of the requests take at most?": {FAST: 0.195},
    "How long until 95 % of the streamed responses begin?": {FAST: 0.095},
    "How long do clients wait on average": {SHOP: 0.7},
    "How long do 99 % of the requests wait at most": {SHOP: 0.497},
    "How many requests are in flight now?": {SLOW: 4},
    "Is something stuck?": {SLOW: 61},
    "Does the service hang or lack workers?": {SHOP: 12},
    "Which services have no process left?": {series("", service_name="gone"): 0},
    "Which routes burn the CPU?": {SLOW: 1, REST: 0.2, FAST: 0.1},
    "How much CPU time does a request of each route cost?": {FAST: 0.1, SLOW: 2},
    "How many CPUs does a service use?": {SHOP: 1.75},
    "How much memory does a service hold": {SHOP: 123456789},
    "Which share of 30 days met the SLO?": {SHOP_SLO: 0.995},
    "Which share of the 30 days' error budget is left?": {SHOP_SLO: 0.5},
    "How fast does it burn?": {SHOP_SLO: 0.5},
    "Which share of the outgoing requests times out": {
        series("", service_name="shop", server_address="stock"): 0.1},
    "Which backends cannot be reached": {
        series("", service_name="shop", server_address="10.0.0.9", server_port="5432",
               error_type="connection_refused"): 0.5},
}


def answers(world, wanted, rounded):
    """One test of promtool's; the answers at the end of the two hours."""
    def asked(question):
        return f"round({expression(question)}, 0.000001)" if rounded else expression(question)

    return {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in world.items()],
        "promql_expr_test": [
            {"expr": asked(question), "eval_time": "2h",
             "exp_samples": [{"labels": labels, "value": round(v, 6) if rounded else v}
                             for labels, v in samples.items()]}
            for question, samples in wanted.items()],
    }


def promtool(*arguments, cwd=None):
    checked = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, cwd=cwd)
    return checked.returncode, checked.stdout + checked.stderr


@pytest.mark.parametrize("world, wanted, rounded", [
    (COUNTS, EXACT, False), (FLOW, ESTIMATED, True)], ids=["exact", "estimated"])
def test_the_readme_answers(tmp_path, world, wanted, rounded):
    file = tmp_path / "readme.yml"  # JSON is YAML
    file.write_text(json.dumps({"tests": [answers(world, wanted, rounded)]}))
    status, output = promtool("test", "rules", file)
    assert status == 0, output


def test_every_question_of_the_readme_is_tested():
    asked = [[q for q in questions() if q.startswith(beginning)] for beginning in EXACT]
    assert asked == [[q] for q in questions() if q.endswith("Exact.")]
    assert {expression(q) for q in [*EXACT, *ESTIMATED]} == set(questions().values())


def test_rules_and_alerts():
    status, output = promtool("check", "rules", "bittern-rules.yml", cwd=RULES)
    assert status == 0, output
    status, output = promtool("test", "rules", "bittern-rules-test.yml", cwd=RULES)
    assert status == 0, output
