# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard: whether it is well-formed, and its exact numbers where scrapes were missed
and agents restarted. test_prometheus.py compares what it shows with what happened."""

import collections
import json
import re
import subprocess
import sys

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard, FieldConfigSource, Panel

from grafana import FOLDER, dashboard, filled_in, panels, queries
from promql import PROMTOOL
from test_promql import promtool

COLUMNS = 24
UNITS = {value for value in vars(units).values() if isinstance(value, str)}

register_default_plugins()


def lost(written, understood, where=""):
    """What Grafana's own model of a dashboard does not know: it reads only the fields it has."""
    if isinstance(written, dict):
        for key, value in written.items():
            if key not in understood:
                yield f"{where}/{key}"
            else:
                yield from lost(value, understood[key], f"{where}/{key}")
    elif isinstance(written, list):
        assert len(written) == len(understood), where
        for i, (value, theirs) in enumerate(zip(written, understood)):
            yield from lost(value, theirs, f"{where}/{i}")
    elif written != understood:
        yield f"{where}: {written}"


def understood_as(model, written):
    return json.loads(json.dumps(model.from_json(written), cls=JSONEncoder))


def test_it_is_what_its_program_writes():
    written = subprocess.run([sys.executable, FOLDER / "dashboard.py"], check=True,
                             capture_output=True, text=True).stdout
    assert (FOLDER / "bittern.json").read_text() == written, "run deploy/grafana/dashboard.py"


def test_grafana_knows_every_field():
    assert list(lost(dashboard(), understood_as(Dashboard, dashboard()))) == []


def test_grafana_knows_every_property_of_an_override():
    """In its model these are just names and values: taken for fields of the panel they are checked.
    """
    for panel in panels():
        for override in panel["fieldConfig"]["overrides"]:
            field = {"custom": {}}
            for each in override["properties"]:
                custom = each["id"].startswith("custom.")
                (field["custom"] if custom else field)[each["id"].removeprefix("custom.")] = \
                    each["value"]
            config = {"type": panel["type"], "fieldConfig": {"defaults": field, "overrides": []}}
            assert list(lost(config, understood_as(Panel, config))) == [], panel["title"]
            if not field.pop("custom"):
                assert list(lost(field, understood_as(FieldConfigSource, {
                    "defaults": field, "overrides": []})["defaults"])) == []


def test_every_panel_says_what_it_shows():
    for panel in panels():
        assert panel["title"] and panel["description"].endswith((".", "?")), panel["title"]
        options = [panel["fieldConfig"]["defaults"], *(
            {p["id"]: p["value"] for p in override["properties"]}
            for override in panel["fieldConfig"]["overrides"])]
        shown = [o["unit"] for o in options if "unit" in o]
        assert "unit" in options[0], panel["title"]
        assert all(unit in UNITS or unit.startswith("suffix:") for unit in shown), shown


def test_panels_fill_all_columns_and_do_not_overlap():
    taken, ids = collections.Counter(), collections.Counter()
    for outer in dashboard()["panels"]:
        for panel in (outer, *outer.get("panels", ())):
            ids[panel["id"]] += 1
            place = panel["gridPos"]
            taken.update((x, y) for x in range(place["x"], place["x"] + place["w"])
                         for y in range(place["y"], place["y"] + place["h"]))
    assert set(ids.values()) == {1}
    height = max(y for _, y in taken) + 1
    assert taken == dict.fromkeys(
        ((x, y) for x in range(COLUMNS) for y in range(height)), 1)


def test_a_table_has_a_column_for_each_query_and_names_no_other():
    for panel in panels():
        if panel["type"] != "table":
            continue
        organize = panel["transformations"][-1]["options"]
        names = organize["renameByName"]
        values = [name for name in names if name.startswith("Value")]
        assert len(values) == len(panel["targets"])
        assert (panel["transformations"][0]["id"] == "merge") == (len(values) > 1)
        assert list(organize["indexByName"]) == list(names)
        assert len(set(names.values())) == len(names)
        assert {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]} <= set(
            names.values())
        assert panel["options"]["sortBy"][0]["displayName"] in names.values()
        labels = ", ".join(name for name in names if name not in values)
        for target in panel["targets"]:  # its rows are merged by these
            assert re.search(rf"by \((le, )?{labels}\)", target["expr"])


def series(name, **labels):
    labels = {"job": "bittern", "instance": "a", "service_name": "shop", **labels}
    return f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels.items())}}}"


def host(instance, up, start_s):
    """What a scrape, one a minute, tells of the agent itself."""
    return {f'up{{job="bittern",instance="{instance}"}}': up,
            f'bittern_agent_start_time_seconds{{job="bittern",instance="{instance}"}}':
                f"{start_s}x120"}


def assert_shows(tmp_path, panel, world, wanted):
    expression, = (q.expression for q in queries() if q.panel == panel and not q.column)
    file = tmp_path / "dashboard.yml"  # JSON is YAML
    file.write_text(json.dumps({"tests": [{
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in world.items()],
        "promql_expr_test": [{
            "expr": filled_in(expression, 3600), "eval_time": "2h",
            "exp_samples": [{"labels": "{}", "value": wanted}]}]}]}))
    status, output = promtool("test", "rules", file)
    assert status == 0, output


REQUESTS = "bittern_http_server_requests_total"
MINUTE = 60


@pytest.mark.skipif(not PROMTOOL, reason="no promtool: tests/setup.sh could not get it")
@pytest.mark.parametrize("world, counted", [
    pytest.param({**host("a", "1x120", 0),
                  series(REQUESTS, outcome="ok"): "500x60 _x9 _ 963x50",
                  series(REQUESTS, outcome="timeout"): "_x70 5 37x50"}, 463 + 37,
                 id="a new series, and one that was missing for some minutes"),
    pytest.param({**host("a", "1x59 0 1x60", 0), **host("b", "1x120", 0),
                  series(REQUESTS, outcome="ok"): "1000x59 stale 1007x60",
                  series(REQUESTS, outcome="ok", instance="b"): "500x80 513x40"}, 20,
                 id="a scrape missed when the hour began, and two hosts of one service"),
    pytest.param({**host("a", "1x120", 0),
                  series(REQUESTS, outcome="ok"): "_x80 12x9 stale"}, 12,
                 id="a service that came and went"),
    pytest.param({**host("a", "_x99 1x20", 10 * MINUTE),
                  series(REQUESTS, outcome="ok"): "_x99 1000000x20"}, 0,
                 id="an old agent whose scrapes began within the hour"),
    pytest.param({**host("a", "_x99 1x20", 90 * MINUTE),
                  series(REQUESTS, outcome="ok"): "_x99 963x20"}, 963,
                 id="an agent that began within the hour, and was scraped when it had counted"),
    pytest.param({**host("a", "1x120", 59 * MINUTE),
                  series(REQUESTS, outcome="ok"): "1000x58 stale _x20 20x40"}, 0,
                 id="an agent restarted before the hour: none, not less than none"),
])
def test_the_exact_numbers_are_exact_and_never_negative(tmp_path, world, counted):
    assert_shows(tmp_path, "Requests", world, counted)


@pytest.mark.skipif(not PROMTOOL, reason="no promtool: tests/setup.sh could not get it")
def test_what_others_tell_under_the_same_name_without_a_service_is_not_shown(tmp_path):
    active = "http_server_active_requests"
    world = {series(active): "2x120", f'{active}{{job="own"}}': "5x120"}
    assert_shows(tmp_path, "In flight", world, 2)
