// SPDX-License-Identifier: Apache-2.0
#include "prometheus.h"

#include <math.h>
#include <string.h>

/* A page in the making. labels is scratch: the label set of the sample at hand, without braces. */
struct page {
	struct text *out;
	struct text labels;
};

struct family {
	const char *name, *type, *help;
};

static const struct family durations = {"http_server_request_duration_seconds", "histogram",
					"Duration of HTTP server requests."};
static const struct family undecoded = {
	"bittern_service_undecoded_connections_total", "counter",
	"Connections of the service whose requests could not be read, by reason."};
static const struct family service_info = {"bittern_service_info", "gauge",
					   "A service that is watched, and what it is."};
static const struct family target_info = {
	"target_info", "gauge",
	"This instance of bittern; the services are in bittern_service_info."};

static const char *const self_types[] = {[SELF_COUNTER] = "counter", [SELF_GAUGE] = "gauge"};
static const char *const undecoded_reasons[UNDECODED_REASON_COUNT] = {
	[UNDECODED_HTTP2] = "http2", [UNDECODED_TLS] = "tls", [UNDECODED_OTHER] = "other"};

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
	label_number(p, "http_response_status_code", s->status);
	label(p, "error_type", s->error_type);
	label(p, "network_protocol_version", s->protocol_version);
	label_number(p, "server_port", s->port);
}

/* What stands in a bucket's line between its labels and its value. */
struct bucket_end {
	char text[TEXT_SECONDS_MAX + 8];
	size_t len;
};

static void bucket_ends(struct bucket_end ends[static HISTOGRAM_EXPLICIT_MAX],
			const struct histogram_bounds *bounds)
{
	for (size_t i = 0; i < bounds->count; i++) {
		char *end =
			text_put_seconds(ends[i].text, (uint64_t)llround(bounds->upper_s[i] * 1e9));

		memcpy(end, "\"} ", 3);
		ends[i].len = (size_t)(end + 3 - ends[i].text);
	}
}

/* The bulk of a page. A line is its series' prefix, the end of its bucket and a number, copied into
 * room that was made for all of them at once. */
static void render_buckets(struct page *p, const struct histogram *h, size_t bound_count,
			   const struct bucket_end *ends)
{
	size_t prefix_len, prefix_at = p->out->len;
	uint64_t cumulative = 0;
	char *prefix, *to;

	text_string(p->out, durations.name);
	text_string(p->out, "_bucket{");
	text_add(p->out, p->labels.data, p->labels.len);
	text_string(p->out, p->labels.len ? ",le=\"" : "le=\"");
	prefix_len = p->out->len - prefix_at;
	to = text_room(p->out, (bound_count + 1) * (prefix_len + sizeof(*ends) + TEXT_NUMBER_MAX));
	if (!to)
		return;
	prefix = p->out->data + prefix_at;
	for (size_t i = 0; i < bound_count; i++) {
		cumulative += h->explicit_counts[i];
		memcpy(to, ends[i].text, ends[i].len);
		to = text_put_number(to + ends[i].len, cumulative);
		*to++ = '\n';
		memcpy(to, prefix, prefix_len);
		to += prefix_len;
	}
	memcpy(to, "+Inf\"} ", 7);
	to = text_put_number(to + 7, h->count);
	*to++ = '\n';
	p->out->len = (size_t)(to - p->out->data);
}

static void render_durations(struct page *p, const struct snapshot *snapshot)
{
	const struct histogram_bounds *bounds = &histogram_duration_bounds;
	struct bucket_end ends[HISTOGRAM_EXPLICIT_MAX];

	if (!snapshot->series_count || snapshot->series->instrument != INSTRUMENT_SERVER_DURATION)
		return;
	bucket_ends(ends, bounds);
	family_begin(p, &durations);
	for (size_t i = 0; i < snapshot->series_count; i++) {
		const struct snapshot_series *s = &snapshot->series[i];

		if (s->instrument != INSTRUMENT_SERVER_DURATION)
			break;
		series_labels(p, s);
		render_buckets(p, s->duration, bounds->count, ends);
		sample_begin(p, durations.name, "_sum");
		text_seconds(p->out, s->duration->sum_ns);
		text_add(p->out, "\n", 1);
		sample_begin(p, durations.name, "_count");
		text_number(p->out, s->duration->count);
		text_add(p->out, "\n", 1);
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
			sample_begin(p, undecoded.name, "");
			text_number(p->out, service->undecoded_counts[reason]);
			text_add(p->out, "\n", 1);
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

	render_durations(&page, snapshot);
	render_undecoded(&page, snapshot);
	render_service_info(&page, snapshot);
	render_target_info(&page, snapshot);
	render_self(&page, snapshot);
	err = out->error ? out->error : page.labels.error;
	text_free(&page.labels);
	return err;
}
