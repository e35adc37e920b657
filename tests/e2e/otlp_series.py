# SPDX-License-Identifier: Apache-2.0
"""Messages of OTLP as series with values: deltas added up, what is cumulative replaced; each series
under the name and labels that it has on /metrics."""

import collections
import dataclasses

from otlp_server import DELTA, attributes, metrics

NO_RECORDED_VALUE = 1
UNIT_SUFFIX = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}
TIME_SLACK = 1e-9  # seconds: sums of doubles


def prometheus_name(metric, kind):
    """By the translation rules of OpenTelemetry."""
    name = metric.name.replace(".", "_") + UNIT_SUFFIX.get(metric.unit, "")
    return name + ("_total" if kind == "sum" and metric.sum.is_monotonic else "")


def prometheus_labels(owner, point):
    """bittern itself is a target of Prometheus, its services are not."""
    labels = {k.replace(".", "_"): str(v).lower() if v is True else str(v)
              for k, v in attributes(point).items()}
    if owner["service.name"] != "bittern":
        labels["service_name"] = owner["service.name"]
    return frozenset(labels.items())


@dataclasses.dataclass
class Series:
    kind: str  # sum, gauge, histogram, exponential_histogram
    value: float = 0  # of a histogram the sum
    count: int = 0
    below: dict = dataclasses.field(default_factory=collections.Counter)  # upper bound -> values
    scale: int = None
    zero_count: int = 0
    buckets: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    start: int = 0  # Unix, ns: of the first point since the last reset, of any for a delta
    time: int = 0
    resets: int = 0

    def _rescale(self, point):
        """Both to the coarser scale of the two; gives by how much the point's is to be shifted."""
        if self.scale is None:
            self.scale = point.scale
        if point.scale < self.scale:
            shift = self.scale - point.scale
            merged = collections.Counter()
            for index, count in self.buckets.items():
                merged[index >> shift] += count
            self.buckets, self.scale = merged, point.scale
        return point.scale - self.scale

    def add_times(self, point, delta):
        if delta:
            assert self.time <= point.start_time_unix_nano < point.time_unix_nano
            self.start = self.start or point.start_time_unix_nano
        elif self.kind != "gauge":
            assert self.time < point.time_unix_nano
            assert point.start_time_unix_nano <= point.time_unix_nano
            if self.start and point.start_time_unix_nano != self.start:
                assert point.start_time_unix_nano >= self.time, "counts overlap"
                self.resets += 1
            self.start = point.start_time_unix_nano
        self.time = point.time_unix_nano

    def add(self, point, delta):
        self.add_times(point, delta)
        if not delta:
            self.value = self.count = self.zero_count = 0
            self.below.clear()
            self.buckets.clear()
            self.scale = None
        if self.kind in ("sum", "gauge"):
            self.value += getattr(point, point.WhichOneof("value"))
            return
        self.value += point.sum
        self.count += point.count
        if self.kind == "histogram":
            assert sum(point.bucket_counts) == point.count
            for upper, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts,
                                    strict=True):
                self.below[upper] += count
            return
        assert sum(point.positive.bucket_counts) + point.zero_count == point.count
        shift = self._rescale(point)
        self.zero_count += point.zero_count
        for i, count in enumerate(point.positive.bucket_counts):
            self.buckets[(point.positive.offset + i) >> shift] += count

    def bounds(self):
        """[(lower, upper, count)] of an exponential histogram: a value is above lower and not
        above upper."""
        base = 2 ** 2 ** -self.scale
        return [(base ** index, base ** (index + 1), n) for index, n in self.buckets.items()]


def series(messages, keep=lambda owner: True):
    """(name, labels) -> Series of all resources that are to be kept."""
    found = {}
    for message in messages:
        for owner, metric in metrics(message):
            if not keep(owner):
                continue
            kind = metric.WhichOneof("data")
            data = getattr(metric, kind)
            delta = getattr(data, "aggregation_temporality", None) == DELTA
            for point in data.data_points:
                key = prometheus_name(metric, kind), prometheus_labels(owner, point)
                if point.flags & NO_RECORDED_VALUE:
                    found.pop(key, None)
                    continue
                found.setdefault(key, Series(kind)).add(point, delta)
    return found


def page_series(page):
    """The same of a scrape: (name, labels) -> value; of a histogram {suffix or le: value}."""
    found = {}
    histograms = {s.name.removesuffix("_bucket") for s in page.samples
                  if s.name.endswith("_bucket")}
    for s in page.samples:
        labels = dict(s.labels)
        base, _, suffix = s.name.rpartition("_")
        if base not in histograms:
            found[s.name, frozenset(labels.items())] = s.value
            continue
        part = float(labels.pop("le")) if suffix == "bucket" else suffix
        found.setdefault((base, frozenset(labels.items())), {})[part] = s.value
    return found


def assert_equal(told, shown, what):
    """A series as OTLP tells it and as /metrics shows it."""
    if told.kind in ("sum", "gauge"):
        assert told.value == shown, what
        return
    assert told.count == shown["count"], what
    assert abs(told.value - shown["sum"]) <= TIME_SLACK * max(1, told.count), what
    bounds = sorted(bound for bound in shown if isinstance(bound, float))
    if told.kind == "histogram":
        assert sorted(told.below) == bounds, what
        total = 0
        for bound in bounds:
            total += told.below[bound]
            assert total == shown[bound], (what, bound)
        return
    buckets = told.bounds()
    for bound in bounds:  # which may lie inside a bucket
        surely = told.zero_count + sum(n for _, upper, n in buckets if upper <= bound)
        perhaps = told.zero_count + sum(n for lower, _, n in buckets if lower < bound)
        assert surely <= shown[bound] <= perhaps, (what, bound)
