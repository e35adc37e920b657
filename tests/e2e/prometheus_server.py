# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness import Program, free_port, wait_for
from promql import PROMETHEUS, RULES

with_prometheus = pytest.mark.skipif(
    not PROMETHEUS, reason="no prometheus: tests/setup.sh could not get it")


class Prometheus(Program):
    """Scrapes the agent, and has our rules. Ready when the constructor returns.

    jobs: name -> what its configuration has besides; options: further ones of the program;
    config: further ones of its configuration.
    """

    def __init__(self, tmp, agent, jobs=None, options=(), config=None, interval="5s",
                 port=None):
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        file = tmp / "prometheus.yml"
        target = {"static_configs": [{"targets": [agent.url.removeprefix("http://")]}]}
        file.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": interval, "evaluation_interval": interval,
                       "scrape_timeout": interval},
            "rule_files": [str(RULES / "bittern-rules.yml")],
            "scrape_configs": [{"job_name": name, **target, **more}
                               for name, more in (jobs or {"bittern": {}}).items()],
            **(config or {})}))
        super().__init__([
            PROMETHEUS, f"--config.file={file}", f"--storage.tsdb.path={tmp / f'data-{port}'}",
            f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn",
            *options], tmp / "prometheus.log")
        try:
            wait_for(lambda: self.alive() and self.ready(), "Prometheus", timeout=30)
        except BaseException as error:
            self.kill()
            raise RuntimeError(f"Prometheus did not become ready:\n{self.output()}") from error

    def get(self, path, **query):
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def results(self, promql, at=None):
        """[(labels, value)], the value of a native histogram as the API has it: a dict."""
        query = {"query": promql} if at is None else {"query": promql, "time": at}
        return [(r["metric"], r["histogram"][1] if "histogram" in r else float(r["value"][1]))
                for r in self.get("/api/v1/query", **query)["result"]]

    def ask(self, promql, at=None):
        """[(labels, value)]"""
        return [(labels, value) for labels, value in self.results(promql, at)
                if not isinstance(value, dict)]

    def scrape_after(self, moment, job="bittern"):
        """Waits for a scrape that began after the moment, and gives its time (Unix, s)."""
        def later():
            scrapes = self.ask(f'timestamp(up{{job="{job}"}}) and up{{job="{job}"}} == 1')
            return scrapes and scrapes[0][1] > moment and scrapes[0][1]
        return wait_for(later, "scrape", timeout=15, step=0.05)
