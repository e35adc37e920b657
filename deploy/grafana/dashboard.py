#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard: what is written here, in Grafana's words. bittern.json is its output:

    deploy/grafana/dashboard.py >deploy/grafana/bittern.json

A test compares the two. README.md explains the questions that the panels answer.
"""

import itertools
import json

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SERVICE = 'service_name=~"$service"'
ROUTE = SERVICE + ',http_route=~"$route"'
BY_SERVICE, BY_ROUTE = "service_name", "service_name, http_route"
BY_BACKEND = "service_name, server_address, server_port"
SERVICE_COLUMN, ROUTE_COLUMN = ("service_name", "Service"), ("http_route", "Route")

REQUESTS = "bittern_http_server_requests_total"
DURATION = "http_server_request_duration_seconds_bucket"
ASKED = "bittern_http_client_requests_total"
ASKED_DURATION = "http_client_request_duration_seconds_bucket"
TIMED_OUT, FAILED = 'outcome="timeout"', 'outcome=~"error|no_response"'
FAILED_IS = "answered with 5xx, or not answered since the service closed the connection or died"

GREEN, YELLOW, ORANGE, RED, NONE = "green", "yellow", "orange", "red", "transparent"
COUNT, SHARE, SECONDS, BYTES = "locale", "percentunit", "s", "bytes"
PER_SECOND, CPUS, TIMES = "reqps", "suffix: CPUs", "suffix:x"


# --- PromQL ---

def of(metric, *labels):
    """The series with these labels: `of(REQUESTS, ROUTE, TIMED_OUT)`."""
    return f"{metric}{{{','.join(labels)}}}"


def total(series, by=""):
    return f"sum by ({by}) ({series})" if by else f"sum({series})"


def rate(series, by="", window="$__rate_interval"):
    return total(f"rate({series}[{window}])", by)


def increase(series, by="", window="$__range"):
    return total(f"increase({series}[{window}])", by)


def quantile(q, buckets, by="", window="$__rate_interval"):
    le = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(buckets, le, window)})"


def exact(series, by=""):
    """What was counted within the dashboard's time range, to the last one: what the counter was is
    subtracted from what it was last. A series that did not exist began at 0, if bittern was scraped
    then, or has begun since; else, and where it began anew, increase() has to do. The 5 minutes
    bridge a missed scrape."""
    return total(f"""
  (
    last_over_time({series}[$__range])
      - (
        last_over_time({series}[5m] offset $__range)
        or last_over_time({series}[$__range]) * 0
          and on (job, instance) (
            max_over_time(up[5m] offset $__range) == 1
            or min_over_time(bittern_agent_start_time_seconds[$__range]) >= time() - $__range_s
          )
      )
      >= 0
    and resets({series}[$__range]) == 0
  )
  or increase({series}[$__range])
""", by)


def share(part, whole):
    """None where there is nothing to share."""
    return f"{part}\n/ ({whole} > 0)"


def exact_share(counter, labels, part, by=""):
    return share(exact(of(counter, labels, part), by), exact(of(counter, labels), by))


def or_none(now):
    """0 where a service that bittern sees has no such request."""
    return f"{now}\nor sum({of('bittern_service_processes', SERVICE)}) * 0"


# --- panels ---

def panel(kind, title, description, unit, targets, options, custom=None, overrides=(), **defaults):
    """One panel; its id and place come later. defaults: further ones of its fields."""
    field = {"unit": unit, **defaults}
    if custom:
        field["custom"] = custom
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE,
            "targets": targets, "options": options,
            "fieldConfig": {"defaults": field, "overrides": list(overrides)}}


def target(expression, ref="A", legend=None, form="time_series", instant=False):
    made = {"refId": ref, "datasource": DATASOURCE, "editorMode": "code", "expr": expression,
            "format": form, "instant": instant, "range": not instant}
    return made if legend is None else {**made, "legendFormat": legend}


def override(field, **properties):
    """`custom_width=80` is the property custom.width."""
    return {"matcher": {"id": "byName", "options": field},
            "properties": [{"id": name.replace("custom_", "custom."), "value": value}
                           for name, value in properties.items()]}


def steps(first, *others):
    """thresholds: the first color, and (from, color) of the others."""
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *(
        {"color": color, "value": value} for value, color in others)]}


def number(title, description, unit, expression, thresholds=None, **defaults):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
               "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
               "orientation": "auto", "textMode": "value"}
    return panel("stat", title, description, unit, [target(expression, instant=True)], options,
                 color={"mode": "thresholds"}, thresholds=thresholds or steps("text"), **defaults)


def graph(title, description, unit, targets, stacked=False, overrides=(), custom=None, **defaults):
    """targets: legend -> expression."""
    options = {"legend": {"calcs": [], "displayMode": "list", "placement": "bottom",
                          "showLegend": True},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    drawn = {"fillOpacity": 40 if stacked else 0, "lineWidth": 1, "showPoints": "auto",
             **({"stacking": {"group": "A", "mode": "normal"}} if stacked else {}),
             **(custom or {})}
    made = [target(expression, ref, legend)
            for ref, (legend, expression) in zip("ABC", targets.items())]
    return panel("timeseries", title, description, unit, made, options, drawn, overrides,
                 **{"min": 0, **defaults})


def table(title, description, keys, columns, sort):
    """keys: (label, column); columns: (column, expression, properties of its override), whose first
    has the panel's unit."""
    several = len(columns) > 1
    made = [target(expression, ref, form="table", instant=True)
            for ref, (_, expression, _) in zip("ABCDEFGHIJKLM", columns)]
    values = [f"Value #{t['refId']}" if several else "Value" for t in made]
    names = dict([*keys, *zip(values, [name for name, *_ in columns])])
    organize = {"id": "organize", "options": {
        "excludeByName": {"Time": True}, "includeByName": {},
        "indexByName": {name: i for i, name in enumerate(names)}, "renameByName": names}}
    options = {"cellHeight": "sm", "showHeader": True, "sortBy": [{"displayName": sort,
                                                                    "desc": True}]}
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "minWidth": 70}
    overrides = [*(override(name, custom_filterable=True, custom_minWidth=140,
                            **({"links": [ONLY_THIS_ROUTE]} if name == "Route" else {}))
                   for _, name in keys),
                 *(override(name, **properties) for name, _, properties in columns if properties)]
    first = columns[0][2].get("unit", COUNT)
    made = panel("table", title, description, first, made, options, custom, overrides)
    return {**made, "transformations": [
        *([{"id": "merge", "options": {}}] if several else []), organize]}


ONLY_THIS_ROUTE = {"title": "Only this route", "targetBlank": False, "url": (
    "/d/bittern/?var-datasource=${datasource}&var-service=${__data.fields.Service:percentencode}"
    "&var-route=${__data.fields.Route:percentencode}&${__url_time_range}")}

# Of the default objective, 99 %, the budget burns at a hundredth.
BAD_SHARE = steps(GREEN, (0.001, YELLOW), (0.01, RED))
BAD_CELL = {"unit": SHARE, "decimals": 2, "thresholds": steps(NONE, (0.001, YELLOW), (0.01, RED)),
            "custom_cellOptions": {"mode": "basic", "type": "color-background"}}
WAIT = {"unit": SECONDS}


def cells(quantiles, buckets, by):
    return [(f"p{round(100 * q)}", f"{quantile(q, buckets, by, '$__range')} >= 0", WAIT)
            for q in quantiles]


# --- what is shown ---

NUMBERS = [
    number("Requests", "All that ended or timed out within the time range: exact, unless "
           "bittern was restarted within it.", COUNT, exact(of(REQUESTS, ROUTE))),
    number("Timed out", "Requests that passed their limit (--timeout), queue time included, "
           "also those that still hang.",
           COUNT, exact(of(REQUESTS, ROUTE, TIMED_OUT)), steps(GREEN, (1, RED))),
    number("Timeout rate", "Which share of the requests timed out within the time range.",
           SHARE, exact_share(REQUESTS, ROUTE, TIMED_OUT), BAD_SHARE, decimals=2),
    number("Errors", f"Requests that were {FAILED_IS}.",
           COUNT, exact(of(REQUESTS, ROUTE, FAILED)), steps(GREEN, (1, RED))),
    number("95 % are answered within", "From the first byte that the service read to the last that "
           "it wrote. Estimated from a histogram.",
           SECONDS, quantile(0.95, of(DURATION, ROUTE), window="$__range") + " >= 0"),
    number("In flight", "Requests that a service has read and not yet answered.",
           COUNT, or_none(total(of("http_server_active_requests", ROUTE)))),
    number("Oldest open request", "How long it has been open. Streams may be open for hours.",
           SECONDS, or_none(f'max({of("bittern_http_server_oldest_request_age_seconds", ROUTE)})'),
           steps("text", (8, ORANGE))),
    number("Not read", "Requests that have arrived and that no worker reads: the service hangs, or "
           "all its workers are busy. Of all routes.",
           COUNT, or_none(total(of("bittern_http_server_unread_requests", SERVICE))),
           steps(GREEN, (1, ORANGE), (10, RED))),
]

ROUTES = table(
    "Which route is to blame?",
    "Over the time range; counts and shares to the last request. {unread} is what waited too long "
    "before a service read it. A click on a route shows it alone.",
    [SERVICE_COLUMN, ROUTE_COLUMN], [
        ("Requests", exact(of(REQUESTS, ROUTE), BY_ROUTE), {}),
        ("Now", rate(of(REQUESTS, ROUTE), BY_ROUTE), {"unit": PER_SECOND}),
        ("Timed out", exact(of(REQUESTS, ROUTE, TIMED_OUT), BY_ROUTE), {}),
        ("Timeout rate", exact_share(REQUESTS, ROUTE, TIMED_OUT, BY_ROUTE), BAD_CELL),
        ("Error rate", exact_share(REQUESTS, ROUTE, FAILED, BY_ROUTE), BAD_CELL),
        *cells((0.5, 0.95, 0.99), of(DURATION, ROUTE), BY_ROUTE),
        ("CPU per request", share(
            increase(of("bittern_http_server_cpu_time_seconds_total", ROUTE), BY_ROUTE),
            increase(of(REQUESTS, ROUTE), BY_ROUTE)), WAIT),
        ("In flight", total(of("http_server_active_requests", ROUTE), BY_ROUTE), {}),
        ("Oldest", f"max by ({BY_ROUTE}) "
         f"({of('bittern_http_server_oldest_request_age_seconds', ROUTE)})", WAIT),
    ], sort="Timed out")

TIMEOUTS = graph(
    "Timeout rate over time", "Which share of each service's requests timed out.", SHARE, {
        "{{service_name}}": f"{rate(of(REQUESTS, ROUTE, TIMED_OUT), BY_SERVICE)}\n"
                            f"/ {rate(of(REQUESTS, ROUTE), BY_SERVICE)}"},
    custom={"axisSoftMax": 0.01})

DISTRIBUTION = {
    **panel("heatmap", "How long requests take",
            "Requests per second by duration: the more, the brighter. Two bands are two kinds of "
            "requests.", PER_SECOND,
            [target(rate(of(DURATION, ROUTE), "le"), legend="{{le}}", form="heatmap")],
            {"calculate": False, "cellGap": 1, "cellValues": {"unit": PER_SECOND},
             "color": {"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False,
                       "scale": "exponential", "scheme": "Turbo", "steps": 64},
             "exemplars": {"color": "rgba(255,0,255,0.7)"}, "filterValues": {"le": 1e-9},
             "legend": {"show": True},
             "rowsFrame": {"layout": "auto"}, "showValue": "never",
             "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
             "yAxis": {"axisPlacement": "left", "reverse": False, "unit": SECONDS}}),
    "maxDataPoints": 120}

OUTCOMES = graph(
    "How requests end", f"error: {FAILED_IS.split(',')[0]}; timeout: past its limit; no_response: "
    "the service closed the connection or died; aborted: the client left first.", PER_SECOND,
    {"{{outcome}}": rate(of(REQUESTS, ROUTE), "outcome")}, stacked=True,
    overrides=[override(outcome, color={"fixedColor": color, "mode": "fixed"})
               for outcome, color in (("ok", GREEN), ("error", RED), ("timeout", ORANGE),
                                      ("no_response", "purple"), ("aborted", "blue"))])

DURATIONS = graph(
    "Response time", "Half of the requests, 95 and 99 % of them take no longer, queue time not "
    "included. Estimated from a histogram.", SECONDS,
    {f"{round(100 * q)} %": quantile(q, of(DURATION, ROUTE)) for q in (0.5, 0.95, 0.99)})

STREAMS = graph(
    "Until streamed responses begin", "95 % of a route's streamed responses have sent their first "
    "byte within this time; none where nothing is streamed.", SECONDS,
    {"{{service_name}} {{http_route}}": quantile(
        0.95, of("bittern_http_server_time_to_first_byte_seconds_bucket", ROUTE), BY_ROUTE)})

HANGS = [
    graph("Requests in flight", "Read and not yet answered, of the 10 routes with the most.",
          COUNT, {"{{service_name}} {{http_route}}": "topk(10, " + total(
              of("http_server_active_requests", ROUTE), BY_ROUTE) + ")"}),
    graph("Oldest open request", "Its age, of the 10 routes with the oldest; {unread} waits for "
          "being read. A line that rises straight is one request that hangs, or a stream.",
          SECONDS, {"{{service_name}} {{http_route}}": (
              f"topk(10, max by ({BY_ROUTE}) "
              f"({of('bittern_http_server_oldest_request_age_seconds', ROUTE)}))")}),
    graph("Requests that nobody reads", "They have arrived, but a blocked event loop or busy "
          "workers leave them waiting.", COUNT, {"{{service_name}}": total(
              of("bittern_http_server_unread_requests", SERVICE), BY_SERVICE)}),
    graph("Queue time", "99 % of a service's requests wait no longer than this before it reads "
          "them.", SECONDS, {"{{service_name}}": quantile(
              0.99, of("bittern_http_server_queue_duration_seconds_bucket", SERVICE),
              BY_SERVICE)}),
]

BY_SLO = "service_name, slo"
EVENTS, GOOD = of("bittern_slo_events_total", SERVICE), of("bittern_slo_good_events_total", SERVICE)
OBJECTIVE = f"max by ({BY_SLO}) ({of('bittern_slo_objective_ratio', SERVICE)})"
BURN = f"""(1 - {rate(GOOD, BY_SLO, '1h')}
   / {rate(EVENTS, BY_SLO, '1h')})
/ (1 - {OBJECTIVE})"""
OBJECTIVES = [
    table("Objectives", "Which share of the requests was good within the time range (to the last "
          "one), what is left of the error budget of 30 days, and how fast it burns: at 1 it lasts "
          "the 30 days.", [SERVICE_COLUMN, ("slo", "Objective")], [
              ("Good", share(exact(GOOD, BY_SLO), exact(EVENTS, BY_SLO)),
               {"unit": SHARE, "decimals": 3}),
              ("Budget left", f"1 - (1 - {increase(GOOD, BY_SLO, '30d')}\n"
               f"       / {increase(EVENTS, BY_SLO, '30d')})\n  / (1 - {OBJECTIVE})",
               {"unit": SHARE, "decimals": 1, "thresholds": steps(RED, (0, YELLOW), (0.25, NONE)),
                "custom_cellOptions": {"mode": "basic", "type": "color-background"}}),
              ("Burns", BURN, {"unit": TIMES, "decimals": 1}),
          ], sort="Burns"),
    graph("How fast the error budget burns", "Over the last hour each. At 1 the budget lasts 30 "
          "days, at 14.4 two days: that wakes somebody.", TIMES,
          {"{{service_name}} {{slo}}": BURN}, thresholds=steps(NONE, (1, YELLOW), (14.4, RED)),
          custom={"thresholdsStyle": {"mode": "dashed"}}),
]

ROUTE_CPU = of("bittern_http_server_cpu_time_seconds_total", ROUTE)
USAGE = [
    graph("CPU by service", "What all processes of a service use, in CPUs.", CPUS,
          {"{{service_name}}": rate(of("process_cpu_time_seconds_total", SERVICE), BY_SERVICE)}),
    graph("CPU by route", "The 10 routes that use the most. {unattributed} is for no request, or "
          "not known.", CPUS, {"{{service_name}} {{http_route}}":
                               f"topk(10, {rate(ROUTE_CPU, BY_ROUTE)})"}, stacked=True),
    graph("CPU time of a request", "What a request costs on average, on whatever thread; the 10 "
          "dearest routes.", SECONDS, {"{{service_name}} {{http_route}}": (
              f"topk(10, {rate(ROUTE_CPU, BY_ROUTE)}\n"
              f"  / ({rate(of(REQUESTS, ROUTE), BY_ROUTE)} > 0))")}),
    graph("Memory by service", "Resident, of all processes of a service together.", BYTES,
          {"{{service_name}}": total(of("process_memory_usage_bytes", SERVICE), BY_SERVICE)}),
]

BACKEND_COLUMNS = [SERVICE_COLUMN, ("server_address", "Server"), ("server_port", "Port")]
BACKENDS = [
    table("Which backend is to blame?", "What the services ask others, over the time range. Errors "
          "are 4xx, 5xx and no answer; a timeout is the service's own patience.", BACKEND_COLUMNS, [
              ("Requests", exact(of(ASKED, SERVICE), BY_BACKEND), {}),
              ("Timeout rate", exact_share(ASKED, SERVICE, TIMED_OUT, BY_BACKEND), BAD_CELL),
              ("Error rate", exact_share(ASKED, SERVICE, FAILED, BY_BACKEND), BAD_CELL),
              *cells((0.5, 0.95, 0.99), of(ASKED_DURATION, SERVICE), BY_BACKEND),
          ], sort="Timeout rate"),
    table("Which cannot be reached?", "Connections that failed within the time range, and why.",
          [*BACKEND_COLUMNS, ("error_type", "Why")], [
              ("Failed", exact(of("bittern_client_connect_failures_total", SERVICE),
                               f"{BY_BACKEND}, error_type") + " > 0", {})], sort="Failed"),
    graph("Timeouts of backends over time", "Which share of what a service asks a server times "
          "out.", SHARE, {"{{service_name}}: {{server_address}}": (
              f"{rate(of(ASKED, SERVICE, TIMED_OUT), 'service_name, server_address')}\n"
              f"/ {rate(of(ASKED, SERVICE), 'service_name, server_address')}")},
          custom={"axisSoftMax": 0.01}),
]

HOW_IT_ENDED = "service_name, signal, exit_code, oom"
PROCESSES = [
    graph("Processes", "Living ones of each service, workers included. 0: it is down.", COUNT,
          {"{{service_name}}": total(of("bittern_service_processes", SERVICE), BY_SERVICE)},
          custom={"lineInterpolation": "stepAfter"}),
    table("How processes ended", "Within the time range: by exit code or signal; oom: killed for "
          "want of memory.", [SERVICE_COLUMN, ("signal", "Signal"), ("exit_code", "Exit code"),
                              ("oom", "Out of memory")], [
              ("Processes", exact(of("bittern_service_process_exits_total", SERVICE),
                                  HOW_IT_ENDED) + " > 0", {})], sort="Processes"),
    table("Connections that bittern cannot read", "What goes over these is in no number here. "
          "server: the service accepted it; client: it made it.",
          [SERVICE_COLUMN, ("role", "Role"), ("reason", "Reason")], [
              ("Connections", exact(of("bittern_service_undecoded_connections_total", SERVICE),
                                    "service_name, role, reason") + " > 0", {})],
          sort="Connections"),
]

OWN = [
    graph("Missed, by cause", "0 everywhere: every request that can be read was counted.", COUNT,
          {"{{instance}} {{cause}}": increase(
              "bittern_agent_losses_total", "instance, cause", "$__rate_interval")}, stacked=True),
    graph("Ring fill", "The largest between two scrapes. When the ring is full, requests are "
          "missed: --ring-size.", SHARE,
          {"{{instance}}": "bittern_agent_ring_used_bytes / bittern_agent_ring_size_bytes"}, max=1),
    graph("CPU of bittern", "What the agent itself uses.", CPUS,
          {"{{instance}}": "rate(bittern_agent_cpu_seconds_total[$__rate_interval])"}),
    graph("Memory of bittern", "Resident, of the agent itself.", BYTES,
          {"{{instance}}": "bittern_agent_resident_memory_bytes"}),
]

# (title, collapsed, lines of panels), each line (height, panels), of equal width unless given.
SECTIONS = [
    (None, False, [(4, NUMBERS), (9, [ROUTES]), (8, [TIMEOUTS, DISTRIBUTION]),
                   (8, [OUTCOMES, DURATIONS, STREAMS])]),
    ("What hangs or waits", False, [(8, HANGS)]),
    ("Objectives", False, [(8, OBJECTIVES)]),
    ("CPU and memory", False, [(8, USAGE)]),
    ("What the services ask others", False, [(8, BACKENDS[:1]), (8, BACKENDS[1:])]),
    ("Processes", False, [(8, PROCESSES)]),
    ("bittern itself", True, [(8, OWN)]),
]
COLUMNS = 24


def place(sections):
    """The panels with ids and places, a collapsed row with its own inside."""
    ids, y, placed = itertools.count(1), 0, []
    for title, collapsed, lines in sections:
        into = placed
        if title:
            row = {"id": next(ids), "type": "row", "title": title, "collapsed": collapsed,
                   "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}, "panels": []}
            placed.append(row)
            into = row["panels"] if collapsed else placed
            y += 1
        for height, panels in lines:
            width = COLUMNS // len(panels)
            into.extend({"id": next(ids), **shown,
                         "gridPos": {"x": i * width, "y": y, "w": width, "h": height}}
                        for i, shown in enumerate(panels))
            y += height
    return placed


def choice(name, label, query, every):
    """A variable of which any number can be chosen; All is what matches every."""
    return {"type": "query", "name": name, "label": label, "datasource": DATASOURCE,
            "query": {"qryType": 1, "query": query, "refId": name}, "refresh": 2, "sort": 1,
            "multi": True, "includeAll": True, "allValue": every,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}


DASHBOARD = {
    "uid": "bittern",
    "title": "bittern",
    "description": "Requests, timeouts and latencies of Python and Node.js services, as bittern "
                   "sees them from the kernel.",
    "tags": ["bittern"],
    "schemaVersion": 39,
    "editable": True,
    "graphTooltip": 1,
    "refresh": "30s",
    "time": {"from": "now-1h", "to": "now"},
    "timezone": "browser",
    "templating": {"list": [
        {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus",
         "refresh": 1},
        # Some of these metrics are also others', who may name no service: bittern always does.
        choice("service", "Service", "label_values(bittern_service_processes, service_name)",
               every=".+"),
        choice("route", "Route", f"label_values({of(REQUESTS, SERVICE)}, http_route)",
               every=".*"),
    ]},
    "panels": place(SECTIONS),
}

if __name__ == "__main__":
    print(json.dumps(DASHBOARD, indent=2))
