// SPDX-License-Identifier: Apache-2.0
#include "otlp_series.h"

#include <errno.h>
#include <string.h>

static void series_attributes(struct otlp_encoder *e, struct otlp_point *p,
			      const struct snapshot_series *s)
{
	struct otlp_attributes *to = &p->attributes;
	struct arena *arena = e->builder.arena;

	if (s->overflow) {
		otlp_bool(to, "otel.metric.overflow", true);
		return;
	}
	otlp_string(arena, to, "http.request.method", s->method);
	otlp_string(arena, to, "url.scheme", s->scheme);
	otlp_string(arena, to, "http.route", s->route);
	otlp_string(arena, to, "server.address", s->address);
	otlp_integer(to, "server.port", s->port);
	otlp_integer(to, "http.response.status_code", s->status);
	otlp_string(arena, to, "error.type", s->error_type);
	otlp_string(arena, to, "network.protocol.version", s->protocol_version);
	otlp_string(arena, to, "slo", s->slo);
}

/* --- histograms --- */

static void fill_explicit(struct otlp_encoder *e, Otlp__HistogramDataPoint *to,
			  const struct snapshot_series *s, const struct histogram *h, bool extremes)
{
	to->start_time_unix_nano = points_start(e);
	to->has_start_time_unix_nano = true;
	to->time_unix_nano = points_time(e);
	to->count = h->count;
	to->sum = (double)h->sum_ns / 1e9;
	to->has_sum = true;
	to->bucket_counts = (uint64_t *)h->explicit_counts;
	to->n_bucket_counts = s->bounds->count + 1;
	to->explicit_bounds = (double *)s->bounds->upper_s;
	to->n_explicit_bounds = s->bounds->count;
	to->min = (double)h->min_ns / 1e9;
	to->max = (double)h->max_ns / 1e9;
	to->has_min = to->has_max = extremes;
}

static void fill_exponential(struct otlp_encoder *e, struct otlp_point *p,
			     const struct histogram *h, bool extremes)
{
	Otlp__ExponentialHistogramDataPoint *to = &p->exponential;
	uint32_t first = 0, end = h->used_count;

	while (first < end && !h->exponential_counts[first])
		first++;
	while (end > first && !h->exponential_counts[end - 1])
		end--;
	to->start_time_unix_nano = points_start(e);
	to->has_start_time_unix_nano = true;
	to->time_unix_nano = points_time(e);
	to->count = h->count;
	to->sum = (double)h->sum_ns / 1e9;
	to->has_sum = true;
	to->scale = h->scale;
	to->zero_count = h->zero_count;
	otlp__exponential_histogram_data_point__buckets__init(&p->buckets);
	p->buckets.offset = h->offset + (int32_t)first;
	p->buckets.bucket_counts = (uint64_t *)h->exponential_counts + first;
	p->buckets.n_bucket_counts = end - first;
	to->positive = first < end ? &p->buckets : NULL;
	to->min = (double)h->min_ns / 1e9;
	to->max = (double)h->max_ns / 1e9;
	to->has_min = to->has_max = extremes;
}

/* A delta's extremes are not known. */
static void put_histogram(struct otlp_encoder *e, const struct snapshot_series *s)
{
	const struct histogram *h = s->duration;
	struct otlp_point *p;

	if (e->builder.delta) {
		struct otlp_delta_key key = {.id = s->id, .metric = e->builder.metric};
		struct histogram added = *h, *kept;

		if (!points_news(e, otlp_delta_histogram(e->delta, &key, &added)))
			return;
		kept = arena_get(e->builder.arena, sizeof(*kept));
		if (!kept) {
			e->error = -ENOMEM;
			return;
		}
		*kept = added;
		h = kept;
	}
	p = otlp_builder_point(&e->builder);
	if (!p)
		return;
	series_attributes(e, p, s);
	if (e->builder.exponential)
		fill_exponential(e, p, h, h->count && !e->builder.delta);
	else
		fill_explicit(e, &p->histogram, s, h, h->count && !e->builder.delta);
	otlp_builder_add(&e->builder, p);
}

/* --- all other kinds --- */

static void put_outcomes(struct otlp_encoder *e, const struct snapshot_series *s)
{
	for (size_t i = 0; i < OUTCOME_COUNT; i++) {
		uint64_t value = s->counts->outcomes[i];
		struct otlp_point *p;

		if (!points_count(e, s->id, i, &value))
			continue;
		p = points_number(e);
		if (!p)
			return;
		series_attributes(e, p, s);
		otlp_string(e->builder.arena, &p->attributes, "outcome", outcome_names[i]);
		points_add_integer(e, p, value);
	}
}

static void put_count(struct otlp_encoder *e, const struct snapshot_series *s, uint64_t value)
{
	struct otlp_point *p = points_count(e, s->id, 0, &value) ? points_number(e) : NULL;

	if (!p)
		return;
	series_attributes(e, p, s);
	points_add_integer(e, p, value);
}

static void put_failures(struct otlp_encoder *e, const struct snapshot_series *s)
{
	put_count(e, s, s->counts->failures);
}

static void put_seconds(struct otlp_encoder *e, const struct snapshot_series *s, uint64_t value_ns)
{
	struct otlp_point *p = points_count(e, s->id, 0, &value_ns) ? points_number(e) : NULL;

	if (!p)
		return;
	series_attributes(e, p, s);
	points_add_double(e, p, (double)value_ns / 1e9);
}

static void put_cpu(struct otlp_encoder *e, const struct snapshot_series *s)
{
	put_seconds(e, s, s->counts->cost.cpu_ns);
}

static void put_split(struct otlp_encoder *e, const struct snapshot_series *s)
{
	put_seconds(e, s, s->counts->cost.split_ns);
}

static void put_faults(struct otlp_encoder *e, const struct snapshot_series *s)
{
	const struct {
		const char *kind;
		uint64_t count;
	} faults[] = {
		{"minor", s->counts->cost.minor_faults},
		{"major", s->counts->cost.major_faults},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint64_t value = faults[i].count;
		struct otlp_point *p = points_count(e, s->id, i, &value) ? points_number(e) : NULL;

		if (!p)
			continue;
		series_attributes(e, p, s);
		otlp_string(e->builder.arena, &p->attributes, "system.paging.fault.type",
			    faults[i].kind);
		points_add_integer(e, p, value);
	}
}

static void put_events(struct otlp_encoder *e, const struct snapshot_series *s)
{
	put_count(e, s, s->counts->slo.events);
}

static void put_good_events(struct otlp_encoder *e, const struct snapshot_series *s)
{
	put_count(e, s, s->counts->slo.good_events);
}

/* No measurement: it stays as long as the counters that are divided by it. */
static void put_objective(struct otlp_encoder *e, const struct snapshot_series *s)
{
	struct otlp_point *p = s->overflow ? NULL : points_number(e);

	if (!p)
		return;
	series_attributes(e, p, s);
	points_add_double(e, p, s->slo_ratio);
}

static bool is_alive(const struct snapshot_series *s)
{
	return s->overflow || s->service->process_count;
}

/* What is in flight: without a value when there is none to be had. */
static void put_open(struct otlp_encoder *e, const struct snapshot_series *s)
{
	struct otlp_point *p = points_number(e);

	if (!p)
		return;
	series_attributes(e, p, s);
	if (!is_alive(s) || (s->instrument == INSTRUMENT_OLDEST && !s->counts->open.count)) {
		points_add_nothing(e, p);
	} else if (s->instrument == INSTRUMENT_OLDEST) {
		points_add_double(e, p, (double)s->counts->open.age_ns / 1e9);
	} else {
		points_add_integer(e, p, s->counts->open.count);
	}
}

static const struct series_metric {
	struct otlp_metric metric;
	enum instrument instrument;
	void (*put)(struct otlp_encoder *e, const struct snapshot_series *s);
} series_metrics[] = {
	{{"http.server.request.duration", "s", "Duration of HTTP server requests.", OTLP_HISTOGRAM,
	  false},
	 INSTRUMENT_SERVER_DURATION,
	 put_histogram},
	{{"bittern.http.server.requests", "{request}",
	  "HTTP server requests by how they ended, each once; a timeout when its limit passes.",
	  OTLP_COUNTER, false},
	 INSTRUMENT_SERVER_REQUESTS,
	 put_outcomes},
	{{"http.server.active_requests", "{request}", "HTTP server requests in flight.",
	  OTLP_UP_DOWN_COUNTER, false},
	 INSTRUMENT_ACTIVE,
	 put_open},
	{{"bittern.http.server.oldest_request.age", "s", "Age of the oldest request in flight.",
	  OTLP_GAUGE, true},
	 INSTRUMENT_OLDEST,
	 put_open},
	{{"bittern.http.server.queue.duration", "s",
	  "Time from a request's arrival at the host until the service began to read it.",
	  OTLP_HISTOGRAM, false},
	 INSTRUMENT_QUEUE_DURATION,
	 put_histogram},
	{{"bittern.http.server.time_to_first_byte", "s",
	  "Time until the first byte of a streamed response.", OTLP_HISTOGRAM, false},
	 INSTRUMENT_TIME_TO_FIRST_BYTE,
	 put_histogram},
	{{"http.client.request.duration", "s", "Duration of HTTP client requests.", OTLP_HISTOGRAM,
	  false},
	 INSTRUMENT_CLIENT_DURATION,
	 put_histogram},
	{{"bittern.http.client.requests", "{request}",
	  "HTTP client requests by how they ended, each once.", OTLP_COUNTER, false},
	 INSTRUMENT_CLIENT_REQUESTS,
	 put_outcomes},
	{{"bittern.client.connect.failures", "{connection}",
	  "Connections that the service could not open, by reason.", OTLP_COUNTER, false},
	 INSTRUMENT_CONNECT_FAILURES,
	 put_failures},
	{{"bittern.http.server.cpu.time", "s",
	  "CPU time of requests, as far as it is known for which; the rest of the "
	  "service's is {unattributed}.",
	  OTLP_COUNTER, false},
	 INSTRUMENT_COST,
	 put_cpu},
	{{"bittern.http.server.cpu.time.split", "s",
	  "Of that, what was split between requests that it may have been for.", OTLP_COUNTER,
	  false},
	 INSTRUMENT_COST,
	 put_split},
	{{"bittern.http.server.page_faults", "{fault}",
	  "Page faults of requests: memory that was touched for the first time.", OTLP_COUNTER,
	  false},
	 INSTRUMENT_COST,
	 put_faults},
	{{"bittern.slo.events", "{event}",
	  "Requests that an objective is about: all but aborted ones.", OTLP_COUNTER, false},
	 INSTRUMENT_SLO,
	 put_events},
	{{"bittern.slo.good_events", "{event}",
	  "Requests that ended ok within the objective's limit.", OTLP_COUNTER, false},
	 INSTRUMENT_SLO,
	 put_good_events},
	{{"bittern.slo.objective", "1", "The part of the events that is to be good.", OTLP_GAUGE,
	  true},
	 INSTRUMENT_SLO,
	 put_objective},
};

#define SERIES_METRIC_COUNT (sizeof(series_metrics) / sizeof(series_metrics[0]))

/* --- of a service --- */

void otlp_series_begin(struct otlp_runs *runs, const struct snapshot *snapshot)
{
	size_t i = 0;

	for (size_t instrument = 0; instrument < INSTRUMENT_COUNT; instrument++) {
		runs->next[instrument] = i;
		while (i < snapshot->series_count &&
		       (size_t)snapshot->series[i].instrument == instrument)
			i++;
		runs->end[instrument] = i;
	}
}

/* The end of the series of service (NULL: overflow) that an instrument has next. */
static size_t end_of(const struct otlp_runs *runs, const struct snapshot *snapshot,
		     enum instrument instrument, const struct service *service)
{
	size_t i = runs->next[instrument];

	while (i < runs->end[instrument] && snapshot->series[i].service == service)
		i++;
	return i;
}

void otlp_series(struct otlp_encoder *e, struct otlp_runs *runs, const struct service *service)
{
	size_t end[INSTRUMENT_COUNT];

	for (size_t i = 0; i < INSTRUMENT_COUNT; i++)
		end[i] = end_of(runs, e->snapshot, (enum instrument)i, service);
	for (size_t m = 0; m < SERIES_METRIC_COUNT; m++) {
		enum instrument instrument = series_metrics[m].instrument;

		points_metric(e, &series_metrics[m].metric);
		for (size_t i = runs->next[instrument]; i < end[instrument]; i++)
			series_metrics[m].put(e, &e->snapshot->series[i]);
	}
	memcpy(runs->next, end, sizeof(end));
}
