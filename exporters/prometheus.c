// SPDX-License-Identifier: Apache-2.0
#include "prometheus.h"

#include <math.h>
#include <string.h>

#include "prometheus_page.h"

static const struct family target_info = {
	"target_info", "gauge",
	"This instance of bittern; the services are in bittern_service_info."};

static const char *const self_types[] = {[SELF_COUNTER] = "counter", [SELF_GAUGE] = "gauge"};

static void series_labels(struct page *p, const struct snapshot_series *s)
{
	p->labels.len = 0;
	if (s->overflow) {
		page_label(p, "otel_metric_overflow", "true");
		return;
	}
	if (s->service)
		page_service_labels(p, s->service);
	page_label(p, "http_request_method", s->method);
	page_label(p, "url_scheme", s->scheme);
	page_label(p, "http_route", s->route);
	page_label(p, "server_address", s->address);
	page_label_number(p, "http_response_status_code", s->status);
	page_label(p, "error_type", s->error_type);
	page_label(p, "network_protocol_version", s->protocol_version);
	page_label_number(p, "server_port", s->port);
	page_label(p, "slo", s->slo);
}

static void set_bounds(struct page *p, const struct histogram_bounds *bounds)
{
	if (p->bounds == bounds)
		return;
	p->bounds = bounds;
	for (size_t i = 0; i < bounds->count; i++) {
		struct bucket_end *e = &p->ends[i];
		char *end = text_put_seconds(e->text, (uint64_t)llround(bounds->upper_s[i] * 1e9));

		memcpy(end, "\"} ", 3);
		e->len = (size_t)(end + 3 - e->text);
	}
}

/* The bulk of a page. A line is its series' prefix, the end of its bucket and a number, copied into
 * room that was made for all of them at once. */
static void render_buckets(struct page *p, const char *name, const struct histogram *h)
{
	size_t prefix_len, prefix_at = p->out->len, bound_count = p->bounds->count;
	uint64_t cumulative = 0;
	char *prefix, *to;

	text_string(p->out, name);
	text_string(p->out, "_bucket{");
	text_add(p->out, p->labels.data, p->labels.len);
	text_string(p->out, p->labels.len ? ",le=\"" : "le=\"");
	prefix_len = p->out->len - prefix_at;
	to = text_room(p->out,
		       (bound_count + 1) * (prefix_len + sizeof(*p->ends) + TEXT_NUMBER_MAX));
	if (!to)
		return;
	prefix = p->out->data + prefix_at;
	for (size_t i = 0; i < bound_count; i++) {
		cumulative += h->explicit_counts[i];
		memcpy(to, p->ends[i].text, p->ends[i].len);
		to = text_put_number(to + p->ends[i].len, cumulative);
		*to++ = '\n';
		memcpy(to, prefix, prefix_len);
		to += prefix_len;
	}
	memcpy(to, "+Inf\"} ", 7);
	to = text_put_number(to + 7, h->count);
	*to++ = '\n';
	p->out->len = (size_t)(to - p->out->data);
}

/* The samples of one series in each family it is in; its labels are set. */

static void put_histogram(struct page *p, const char *name, const struct snapshot_series *s)
{
	set_bounds(p, s->bounds);
	render_buckets(p, name, s->duration);
	page_sample(p, name, "_sum");
	text_seconds(p->out, s->duration->sum_ns);
	text_add(p->out, "\n", 1);
	page_sample(p, name, "_count");
	text_number(p->out, s->duration->count);
	text_add(p->out, "\n", 1);
}

static void put_outcomes(struct page *p, const char *name, const struct snapshot_series *s)
{
	size_t len = p->labels.len;

	for (size_t i = 0; i < OUTCOME_COUNT; i++) {
		p->labels.len = len;
		page_label(p, "outcome", outcome_names[i]);
		page_number(p, name, s->counts->outcomes[i]);
	}
}

static void put_failures(struct page *p, const char *name, const struct snapshot_series *s)
{
	page_number(p, name, s->counts->failures);
}

static void put_events(struct page *p, const char *name, const struct snapshot_series *s)
{
	page_number(p, name, s->counts->slo.events);
}

static void put_good_events(struct page *p, const char *name, const struct snapshot_series *s)
{
	page_number(p, name, s->counts->slo.good_events);
}

static void put_objective(struct page *p, const char *name, const struct snapshot_series *s)
{
	page_sample(p, name, "");
	text_double(p->out, s->slo_ratio);
	text_add(p->out, "\n", 1);
}

static void put_open(struct page *p, const char *name, const struct snapshot_series *s)
{
	page_number(p, name, s->counts->open.count);
}

static void put_age(struct page *p, const char *name, const struct snapshot_series *s)
{
	page_sample(p, name, "");
	text_seconds(p->out, s->counts->open.age_ns);
	text_add(p->out, "\n", 1);
}

/* Which series of its instrument a family shows. */

static bool each(const struct snapshot_series *s)
{
	(void)s;
	return true;
}

static bool is_objective(const struct snapshot_series *s)
{
	return !s->overflow;
}

static bool is_alive(const struct snapshot_series *s)
{
	return s->overflow || s->service->process_count;
}

static bool is_open(const struct snapshot_series *s)
{
	return is_alive(s) && s->counts->open.count;
}

/* An objective is no measurement: it stays as long as the counters that are divided by it. */
static const struct series_family {
	struct family family;
	enum instrument instrument;
	bool (*shown)(const struct snapshot_series *s);
	void (*put)(struct page *p, const char *name, const struct snapshot_series *s);
} series_families[] = {
	{{"http_server_request_duration_seconds", "histogram", "Duration of HTTP server requests."},
	 INSTRUMENT_SERVER_DURATION,
	 each,
	 put_histogram},
	{{"bittern_http_server_requests_total", "counter",
	  "HTTP server requests by how they ended, each once; a timeout when its limit passes."},
	 INSTRUMENT_SERVER_REQUESTS,
	 each,
	 put_outcomes},
	{{"http_server_active_requests", "gauge", "HTTP server requests in flight."},
	 INSTRUMENT_ACTIVE,
	 is_alive,
	 put_open},
	{{"bittern_http_server_oldest_request_age_seconds", "gauge",
	  "Age of the oldest request in flight."},
	 INSTRUMENT_OLDEST,
	 is_open,
	 put_age},
	{{"bittern_http_server_queue_duration_seconds", "histogram",
	  "Time from a request's arrival at the host until the service began to read it."},
	 INSTRUMENT_QUEUE_DURATION,
	 each,
	 put_histogram},
	{{"bittern_http_server_time_to_first_byte_seconds", "histogram",
	  "Time until the first byte of a streamed response."},
	 INSTRUMENT_TIME_TO_FIRST_BYTE,
	 each,
	 put_histogram},
	{{"http_client_request_duration_seconds", "histogram", "Duration of HTTP client requests."},
	 INSTRUMENT_CLIENT_DURATION,
	 each,
	 put_histogram},
	{{"bittern_http_client_requests_total", "counter",
	  "HTTP client requests by how they ended, each once."},
	 INSTRUMENT_CLIENT_REQUESTS,
	 each,
	 put_outcomes},
	{{"bittern_client_connect_failures_total", "counter",
	  "Connections that the service could not open, by reason."},
	 INSTRUMENT_CONNECT_FAILURES,
	 each,
	 put_failures},
	{{"bittern_slo_events_total", "counter",
	  "Requests that an objective is about: all but aborted ones."},
	 INSTRUMENT_SLO,
	 each,
	 put_events},
	{{"bittern_slo_good_events_total", "counter",
	  "Requests that ended ok within the objective's limit."},
	 INSTRUMENT_SLO,
	 each,
	 put_good_events},
	{{"bittern_slo_objective_ratio", "gauge", "The part of the events that is to be good."},
	 INSTRUMENT_SLO,
	 is_objective,
	 put_objective},
};

static void render_series(struct page *p, const struct snapshot *snapshot,
			  const struct series_family *f)
{
	bool begun = false;
	size_t i = 0;

	while (i < snapshot->series_count && snapshot->series[i].instrument < f->instrument)
		i++;
	for (; i < snapshot->series_count; i++) {
		const struct snapshot_series *s = &snapshot->series[i];

		if (s->instrument != f->instrument)
			break;
		if (!f->shown(s))
			continue;
		if (!begun)
			page_family(p, &f->family);
		begun = true;
		series_labels(p, s);
		f->put(p, f->family.name, s);
	}
}

static void render_target_info(struct page *p, const struct snapshot *snapshot)
{
	page_family(p, &target_info);
	p->labels.len = 0;
	page_label(p, "service_name", "bittern");
	page_label(p, "service_version", snapshot->version);
	page_label(p, "host_name", snapshot->host_name);
	page_label(p, "host_id", snapshot->host_id);
	page_label(p, "os_type", "linux");
	page_label(p, "telemetry_sdk_name", "bittern");
	page_label(p, "telemetry_sdk_version", snapshot->version);
	page_sample(p, target_info.name, "");
	text_add(p->out, "1\n", 2);
}

static void render_self(struct page *p, const struct snapshot *snapshot)
{
	const char *name = "";

	for (size_t i = 0; i < snapshot->self_count; i++) {
		const struct self_metric *m = &snapshot->self[i];

		if (strcmp(name, m->name) != 0)
			page_family(p, &(struct family){m->name, self_types[m->kind], m->help});
		name = m->name;
		p->labels.len = 0;
		if (m->label)
			page_label(p, m->label, m->label_value);
		page_sample(p, m->name, "");
		text_double(p->out, m->value);
		text_add(p->out, "\n", 1);
	}
}

int prometheus_render(struct text *out, const struct snapshot *snapshot)
{
	struct page page = {.out = out};
	int err;

	for (size_t i = 0; i < sizeof(series_families) / sizeof(series_families[0]); i++)
		render_series(&page, snapshot, &series_families[i]);
	prometheus_services(&page, snapshot);
	render_target_info(&page, snapshot);
	render_self(&page, snapshot);
	err = out->error ? out->error : page.labels.error;
	text_free(&page.labels);
	return err;
}
