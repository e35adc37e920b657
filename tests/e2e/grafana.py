# SPDX-License-Identifier: Apache-2.0
"""The dashboard of deploy/grafana, asked as Grafana asks it."""

import json
import math
import re
from typing import NamedTuple

from promql import ROOT

FOLDER = ROOT / "deploy/grafana"


class Query(NamedTuple):
    panel: str
    column: str  # of a table, the legend of a graph, "" of a number
    expression: str
    instant: bool


def dashboard():
    return json.loads((FOLDER / "bittern.json").read_text())


def panels():
    """All that show something: rows do not, but what is folded into one does."""
    for panel in dashboard()["panels"]:
        yield from [panel] if panel["type"] != "row" else panel["panels"]


def columns(panel):
    """refId -> what the query's values are called."""
    targets = panel["targets"]
    if panel["type"] != "table":
        return {t["refId"]: t.get("legendFormat", "") for t in targets}
    organize, = (t["options"] for t in panel["transformations"] if t["id"] == "organize")
    return {t["refId"]: organize["renameByName"][
        f"Value #{t['refId']}" if len(targets) > 1 else "Value"] for t in targets}


def queries():
    return [Query(panel["title"], columns(panel)[t["refId"]], t["expr"], t["instant"])
            for panel in panels() for t in panel["targets"]]


def variables():
    """name -> query, of those that are asked for."""
    return {v["name"]: v["query"]["query"] for v in dashboard()["templating"]["list"]
            if v["type"] == "query"}


def chosen(values):
    """A regular expression in a string of PromQL, of values that somebody chose in a list."""
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", v.replace("\\", "\\\\\\\\"))
               for v in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def filled_in(expression, range_s, **filters):
    """filters: variable -> what is chosen; All without it."""
    values = {"__rate_interval": "1m", "__range": f"{round(1000 * range_s)}ms",
              "__range_s": f"{range_s}", **filters}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            values.setdefault(variable["name"], variable["allValue"])
    return re.sub(r"\$(\w+)", lambda name: values[name.group(1)], expression)


class Shown:
    """What the dashboard shows at a time, of the time before it."""

    def __init__(self, prometheus, at, range_s=3600, services=(), routes=()):
        self.prometheus, self.at, self.range_s = prometheus, at, range_s
        self.filters = {name: chosen(values) for name, values in (
            ("service", services), ("route", routes)) if values}

    def answer(self, query):
        """[(labels, value)]; of a graph the last values."""
        promql = filled_in(query.expression, self.range_s, **self.filters)
        if query.instant:
            return self.prometheus.ask(promql, self.at)
        series = self.prometheus.get("/api/v1/query_range", query=promql, start=self.at - 60,
                                     end=self.at, step=5)["result"]
        return [(s["metric"], float(s["values"][-1][1])) for s in series]

    def number(self, panel):
        (_, value), = self.answer(*(q for q in queries() if q.panel == panel and not q.column))
        return value

    def column(self, panel, column, by):
        """What the label is -> value."""
        query, = (q for q in queries() if (q.panel, q.column) == (panel, column))
        return {labels[by]: value for labels, value in self.answer(query)}

    def empty(self):
        """The panels, and their columns, that show nothing."""
        return {(q.panel, q.column) for q in queries()
                if all(math.isnan(value) for _, value in self.answer(q))}

    def choices(self, variable):
        """What the list of the variable offers."""
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variables()[variable]).groups()
        return self.prometheus.get(f"/api/v1/label/{label}/values", **{
            "match[]": filled_in(series, self.range_s, **self.filters),
            "start": self.at - self.range_s, "end": self.at})
