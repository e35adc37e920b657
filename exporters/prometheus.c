// SPDX-License-Identifier: Apache-2.0
#include "prometheus.h"

#include <string.h>

#include "prometheus_page.h"

#define PROTOBUF_TYPE "application/vnd.google.protobuf"
#define PROTOBUF_MESSAGE "io.prometheus.client.MetricFamily"

const char *const prometheus_types[EXPOSITION_COUNT] = {
	[EXPOSITION_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
	[EXPOSITION_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	[EXPOSITION_PROTOBUF] = PROTOBUF_TYPE "; proto=" PROTOBUF_MESSAGE "; encoding=delimited",
};

static const struct family target_info = {
	"target_info", FAMILY_INFO,
	"This instance of bittern; the services are in bittern_service_info."};

static void series_labels(struct page *p, const struct snapshot_series *s)
{
	page_sample(p);
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

/* The samples of one series in each family it is in; its labels are set. */

static void put_histogram(struct page *p, const struct snapshot_series *s)
{
	page_histogram(p, s->duration, s->bounds);
}

static void put_outcomes(struct page *p, const struct snapshot_series *s)
{
	size_t common = page_labels_mark(p);

	for (size_t i = 0; i < OUTCOME_COUNT; i++) {
		page_labels_return(p, common);
		page_label(p, "outcome", outcome_names[i]);
		page_number(p, s->counts->outcomes[i]);
	}
}

static void put_failures(struct page *p, const struct snapshot_series *s)
{
	page_number(p, s->counts->failures);
}

static void put_cpu(struct page *p, const struct snapshot_series *s)
{
	page_seconds(p, s->counts->cost.cpu_ns);
}

static void put_split(struct page *p, const struct snapshot_series *s)
{
	page_seconds(p, s->counts->cost.split_ns);
}

static void put_faults(struct page *p, const struct snapshot_series *s)
{
	size_t common = page_labels_mark(p);

	page_label(p, "system_paging_fault_type", "minor");
	page_number(p, s->counts->cost.minor_faults);
	page_labels_return(p, common);
	page_label(p, "system_paging_fault_type", "major");
	page_number(p, s->counts->cost.major_faults);
}

static void put_events(struct page *p, const struct snapshot_series *s)
{
	page_number(p, s->counts->slo.events);
}

static void put_good_events(struct page *p, const struct snapshot_series *s)
{
	page_number(p, s->counts->slo.good_events);
}

static void put_objective(struct page *p, const struct snapshot_series *s)
{
	page_double(p, s->slo_ratio);
}

static void put_open(struct page *p, const struct snapshot_series *s)
{
	page_number(p, s->counts->open.count);
}

static void put_age(struct page *p, const struct snapshot_series *s)
{
	page_seconds(p, s->counts->open.age_ns);
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
	void (*put)(struct page *p, const struct snapshot_series *s);
} series_families[] = {
	{{"http_server_request_duration_seconds", FAMILY_HISTOGRAM,
	  "Duration of HTTP server requests."},
	 INSTRUMENT_SERVER_DURATION,
	 each,
	 put_histogram},
	{{"bittern_http_server_requests_total", FAMILY_COUNTER,
	  "HTTP server requests by how they ended, each once; a timeout when its limit passes."},
	 INSTRUMENT_SERVER_REQUESTS,
	 each,
	 put_outcomes},
	{{"http_server_active_requests", FAMILY_GAUGE, "HTTP server requests in flight."},
	 INSTRUMENT_ACTIVE,
	 is_alive,
	 put_open},
	{{"bittern_http_server_oldest_request_age_seconds", FAMILY_GAUGE,
	  "Age of the oldest request in flight."},
	 INSTRUMENT_OLDEST,
	 is_open,
	 put_age},
	{{"bittern_http_server_queue_duration_seconds", FAMILY_HISTOGRAM,
	  "Time from a request's arrival at the host until the service began to read it."},
	 INSTRUMENT_QUEUE_DURATION,
	 each,
	 put_histogram},
	{{"bittern_http_server_time_to_first_byte_seconds", FAMILY_HISTOGRAM,
	  "Time until the first byte of a streamed response."},
	 INSTRUMENT_TIME_TO_FIRST_BYTE,
	 each,
	 put_histogram},
	{{"http_client_request_duration_seconds", FAMILY_HISTOGRAM,
	  "Duration of HTTP client requests."},
	 INSTRUMENT_CLIENT_DURATION,
	 each,
	 put_histogram},
	{{"bittern_http_client_requests_total", FAMILY_COUNTER,
	  "HTTP client requests by how they ended, each once."},
	 INSTRUMENT_CLIENT_REQUESTS,
	 each,
	 put_outcomes},
	{{"bittern_client_connect_failures_total", FAMILY_COUNTER,
	  "Connections that the service could not open, by reason."},
	 INSTRUMENT_CONNECT_FAILURES,
	 each,
	 put_failures},
	{{"bittern_http_server_cpu_time_seconds_total", FAMILY_COUNTER,
	  "CPU time of requests, as far as it is known for which; the rest of the "
	  "service's is {unattributed}."},
	 INSTRUMENT_COST,
	 each,
	 put_cpu},
	{{"bittern_http_server_cpu_time_split_seconds_total", FAMILY_COUNTER,
	  "Of that, what was split between requests that it may have been for."},
	 INSTRUMENT_COST,
	 each,
	 put_split},
	{{"bittern_http_server_page_faults_total", FAMILY_COUNTER,
	  "Page faults of requests: memory that was touched for the first time."},
	 INSTRUMENT_COST,
	 each,
	 put_faults},
	{{"bittern_slo_events_total", FAMILY_COUNTER,
	  "Requests that an objective is about: all but aborted ones."},
	 INSTRUMENT_SLO,
	 each,
	 put_events},
	{{"bittern_slo_good_events_total", FAMILY_COUNTER,
	  "Requests that ended ok within the objective's limit."},
	 INSTRUMENT_SLO,
	 each,
	 put_good_events},
	{{"bittern_slo_objective_ratio", FAMILY_GAUGE,
	  "The part of the events that is to be good."},
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
		f->put(p, s);
	}
}

static void render_target_info(struct page *p, const struct snapshot *snapshot)
{
	page_family(p, &target_info);
	page_sample(p);
	page_label(p, "service_name", "bittern");
	page_label(p, "service_version", snapshot->version);
	page_label(p, "host_name", snapshot->host_name);
	page_label(p, "host_id", snapshot->host_id);
	page_label(p, "os_type", "linux");
	page_label(p, "telemetry_sdk_name", "bittern");
	page_label(p, "telemetry_sdk_version", snapshot->version);
	page_number(p, 1);
}

static enum family_type self_type(const struct self_metric *m)
{
	size_t len = strlen(m->name);

	if (len > 5 && strcmp(m->name + len - 5, "_info") == 0)
		return FAMILY_INFO;
	return m->kind == SELF_COUNTER ? FAMILY_COUNTER : FAMILY_GAUGE;
}

static void render_self(struct page *p, const struct snapshot *snapshot)
{
	struct family family = {.name = ""};

	for (size_t i = 0; i < snapshot->self_count; i++) {
		const struct self_metric *m = &snapshot->self[i];

		if (strcmp(family.name, m->name) != 0) {
			family = (struct family){m->name, self_type(m), m->help};
			page_family(p, &family);
		}
		page_sample(p);
		if (m->label)
			page_label(p, m->label, m->label_value);
		page_double(p, m->value);
	}
}

int prometheus_render(struct text *out, const struct snapshot *snapshot, enum exposition exposition)
{
	struct page page = {.out = out, .snapshot = snapshot, .exposition = exposition};
	int err;

	for (size_t i = 0; i < sizeof(series_families) / sizeof(series_families[0]); i++)
		render_series(&page, snapshot, &series_families[i]);
	prometheus_services(&page, snapshot);
	render_target_info(&page, snapshot);
	render_self(&page, snapshot);
	page_end(&page);
	err = out->error ? out->error : page.labels.error ? page.labels.error : page.scratch.error;
	text_free(&page.labels);
	text_free(&page.scratch);
	return err;
}
