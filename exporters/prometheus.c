// SPDX-License-Identifier: Apache-2.0
#include "prometheus.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* What stands in a bucket's line between its labels and its value. */
struct bucket_end {
	char text[TEXT_SECONDS_MAX + 8];
	size_t len;
};

/* A page in the making. labels is scratch: the label set of the sample at hand, without braces. */
struct page {
	struct text *out;
	struct text labels;
	const struct histogram_bounds *bounds; /* that ends are of */
	struct bucket_end ends[HISTOGRAM_EXPLICIT_MAX];
};

struct family {
	const char *name, *type, *help;
};

static const struct family unread = {"bittern_http_server_unread_requests", "gauge",
				     "Requests that have arrived and wait to be read."};
static const struct family undecoded = {
	"bittern_service_undecoded_connections_total", "counter",
	"Connections of the service whose requests could not be read, by reason."};
static const struct family processes = {"bittern_service_processes", "gauge",
					"Living processes of the service."};
static const struct family exits = {"bittern_service_process_exits_total", "counter",
				    "Processes of the service that ended, by how."};
static const struct family service_info = {"bittern_service_info", "gauge",
					   "A service that is watched, and what it is."};
static const struct family target_info = {
	"target_info", "gauge",
	"This instance of bittern; the services are in bittern_service_info."};

static const char *const self_types[] = {[SELF_COUNTER] = "counter", [SELF_GAUGE] = "gauge"};
static const char *const undecoded_reasons[UNDECODED_REASON_COUNT] = {
	[UNDECODED_HTTP2] = "http2", [UNDECODED_TLS] = "tls", [UNDECODED_OTHER] = "other"};
static const char *const outcomes[OUTCOME_COUNT] = {
	[OUTCOME_OK] = "ok",
	[OUTCOME_ERROR] = "error",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_ABORTED] = "aborted",
	[OUTCOME_NO_RESPONSE] = "no_response",
};

/* byte, what stands for it behind a backslash */
#define LABEL_ESCAPES "\\\\\"\"\nn"
#define HELP_ESCAPES "\\\\\nn"

static void family_begin(struct page *p, const struct family *f)
{
	text_string(p->out, "# HELP ");
	text_string(p->out, f->name);
	text_string(p->out, " ");
	text_utf8(p->out, f->help, HELP_ESCAPES);
	text_string(p->out, "\n# TYPE ");
	text_string(p->out, f->name);
	text_string(p->out, " ");
	text_string(p->out, f->type);
	text_string(p->out, "\n");
}

static void label_begin(struct page *p, const char *name)
{
	if (p->labels.len)
		text_add(&p->labels, ",", 1);
	text_string(&p->labels, name);
	text_add(&p->labels, "=\"", 2);
}

/* An absent value (NULL or empty) is an absent label. */
static void label(struct page *p, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	label_begin(p, name);
	text_utf8(&p->labels, value, LABEL_ESCAPES);
	text_add(&p->labels, "\"", 1);
}

static void label_number(struct page *p, const char *name, uint64_t value)
{
	if (!value)
		return;
	label_begin(p, name);
	text_number(&p->labels, value);
	text_add(&p->labels, "\"", 1);
}

static void service_labels(struct page *p, const struct service *service)
{
	label(p, "service_name", service->name);
	label(p, "service_namespace", service->namespace);
}

/* Everything of a sample's line before its value; takes the labels. */
static void sample_begin(struct page *p, const char *name, const char *suffix)
{
	text_string(p->out, name);
	text_string(p->out, suffix);
	if (p->labels.len) {
		text_add(p->out, "{", 1);
		text_add(p->out, p->labels.data, p->labels.len);
		text_add(p->out, "}", 1);
	}
	text_add(p->out, " ", 1);
}

static void number_sample(struct page *p, const char *name, uint64_t value)
{
	sample_begin(p, name, "");
	text_number(p->out, value);
	text_add(p->out, "\n", 1);
}

static void series_labels(struct page *p, const struct snapshot_series *s)
{
	p->labels.len = 0;
	if (s->overflow) {
		label(p, "otel_metric_overflow", "true");
		return;
	}
	if (s->service)
		service_labels(p, s->service);
	label(p, "http_request_method", s->method);
	label(p, "url_scheme", s->scheme);
	label(p, "http_route", s->route);
	label(p, "server_address", s->address);
	label_number(p, "http_response_status_code", s->status);
	label(p, "error_type", s->error_type);
	label(p, "network_protocol_version", s->protocol_version);
	label_number(p, "server_port", s->port);
	label(p, "slo", s->slo);
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
	sample_begin(p, name, "_sum");
	text_seconds(p->out, s->duration->sum_ns);
	text_add(p->out, "\n", 1);
	sample_begin(p, name, "_count");
	text_number(p->out, s->duration->count);
	text_add(p->out, "\n", 1);
}

static void put_outcomes(struct page *p, const char *name, const struct snapshot_series *s)
{
	size_t len = p->labels.len;

	for (size_t i = 0; i < OUTCOME_COUNT; i++) {
		p->labels.len = len;
		label(p, "outcome", outcomes[i]);
		number_sample(p, name, s->counts->outcomes[i]);
	}
}

static void put_failures(struct page *p, const char *name, const struct snapshot_series *s)
{
	number_sample(p, name, s->counts->failures);
}

static void put_events(struct page *p, const char *name, const struct snapshot_series *s)
{
	number_sample(p, name, s->counts->slo.events);
}

static void put_good_events(struct page *p, const char *name, const struct snapshot_series *s)
{
	number_sample(p, name, s->counts->slo.good_events);
}

static void put_objective(struct page *p, const char *name, const struct snapshot_series *s)
{
	sample_begin(p, name, "");
	text_double(p->out, s->slo_ratio);
	text_add(p->out, "\n", 1);
}

static void put_open(struct page *p, const char *name, const struct snapshot_series *s)
{
	number_sample(p, name, s->counts->open.count);
}

static void put_age(struct page *p, const char *name, const struct snapshot_series *s)
{
	sample_begin(p, name, "");
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
			family_begin(p, &f->family);
		begun = true;
		series_labels(p, s);
		f->put(p, f->family.name, s);
	}
}

static void render_unread(struct page *p, const struct snapshot *snapshot)
{
	bool begun = false;

	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		if (!service->process_count)
			continue;
		if (!begun)
			family_begin(p, &unread);
		begun = true;
		p->labels.len = 0;
		service_labels(p, service);
		number_sample(p, unread.name, service->unread_count);
	}
}

static void render_undecoded(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	family_begin(p, &undecoded);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		for (size_t reason = 0; reason < UNDECODED_REASON_COUNT; reason++) {
			p->labels.len = 0;
			service_labels(p, service);
			label(p, "reason", undecoded_reasons[reason]);
			number_sample(p, undecoded.name, service->undecoded_counts[reason]);
		}
	}
}

static void render_processes(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	family_begin(p, &processes);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		p->labels.len = 0;
		service_labels(p, snapshot->services[i]);
		number_sample(p, processes.name, snapshot->services[i]->process_count);
	}
}

static void exit_labels(struct page *p, enum service_exit how)
{
	const char *name = how == SERVICE_EXIT_OOM_KILLED ? "KILL" : sigabbrev_np((int)how);
	char text[16];

	if (how == SERVICE_EXIT_ZERO) {
		label(p, "exit_code", "zero");
	} else if (how == SERVICE_EXIT_NONZERO) {
		label(p, "exit_code", "nonzero");
	} else {
		if (name)
			snprintf(text, sizeof(text), "SIG%s", name);
		else
			snprintf(text, sizeof(text), "SIG%d", (int)how); /* a real-time signal */
		label(p, "signal", text);
	}
	if (how == SERVICE_EXIT_OOM_KILLED)
		label(p, "oom", "true");
}

/* Those that tell of trouble exist from the beginning, so that the first one is an increase. */
static bool exit_is_shown(const struct service *service, enum service_exit how)
{
	return service->exit_counts[how] || how == SERVICE_EXIT_ZERO || how == SIGABRT ||
	       how == SIGKILL || how == SIGSEGV || how == SIGTERM || how == SERVICE_EXIT_NONZERO ||
	       how == SERVICE_EXIT_OOM_KILLED;
}

static void render_exits(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	family_begin(p, &exits);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		for (enum service_exit how = 0; how < SERVICE_EXIT_COUNT; how++) {
			if (!exit_is_shown(service, how))
				continue;
			p->labels.len = 0;
			service_labels(p, service);
			exit_labels(p, how);
			number_sample(p, exits.name, service->exit_counts[how]);
		}
	}
}

static void render_service_info(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	family_begin(p, &service_info);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		p->labels.len = 0;
		service_labels(p, service);
		label(p, "service_instance_id", service->instance_id);
		if (service->runtime != RUNTIME_OTHER)
			label(p, "process_runtime_name", runtime_name(service->runtime));
		label(p, "container_id", service->container_id);
		sample_begin(p, service_info.name, "");
		text_add(p->out, "1\n", 2);
	}
}

static void render_target_info(struct page *p, const struct snapshot *snapshot)
{
	family_begin(p, &target_info);
	p->labels.len = 0;
	label(p, "service_name", "bittern");
	label(p, "service_version", snapshot->version);
	label(p, "host_name", snapshot->host_name);
	label(p, "host_id", snapshot->host_id);
	label(p, "os_type", "linux");
	label(p, "telemetry_sdk_name", "bittern");
	label(p, "telemetry_sdk_version", snapshot->version);
	sample_begin(p, target_info.name, "");
	text_add(p->out, "1\n", 2);
}

static void render_self(struct page *p, const struct snapshot *snapshot)
{
	const char *name = "";

	for (size_t i = 0; i < snapshot->self_count; i++) {
		const struct self_metric *m = &snapshot->self[i];

		if (strcmp(name, m->name) != 0)
			family_begin(p, &(struct family){m->name, self_types[m->kind], m->help});
		name = m->name;
		p->labels.len = 0;
		if (m->label)
			label(p, m->label, m->label_value);
		sample_begin(p, m->name, "");
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
	render_unread(&page, snapshot);
	render_undecoded(&page, snapshot);
	render_processes(&page, snapshot);
	render_exits(&page, snapshot);
	render_service_info(&page, snapshot);
	render_target_info(&page, snapshot);
	render_self(&page, snapshot);
	err = out->error ? out->error : page.labels.error;
	text_free(&page.labels);
	return err;
}
