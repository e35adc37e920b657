// SPDX-License-Identifier: Apache-2.0
#include "prometheus_page.h"

#include <math.h>
#include <string.h>

#include "prometheus_protobuf.h"

/* byte, what stands for it behind a backslash */
#define LABEL_ESCAPES "\\\\\"\"\nn"
#define HELP_ESCAPES "\\\\\nn" /* of the classic text; OpenMetrics has those of labels */

static const struct {
	const char *text, *openmetrics;
	const char *suffix; /* of a sample, behind the family's stem */
} types[] = {
	[FAMILY_COUNTER] = {"counter", "counter", "_total"},
	[FAMILY_GAUGE] = {"gauge", "gauge", ""},
	[FAMILY_HISTOGRAM] = {"histogram", "histogram", ""},
	[FAMILY_INFO] = {"gauge", "info", "_info"},
};

static bool is_protobuf(const struct page *p)
{
	return p->exposition == EXPOSITION_PROTOBUF;
}

/* The unit that the family's name tells; NULL when it has none. */
static const char *unit_of(const struct page *p)
{
	static const char *const units[] = {"seconds", "bytes", "ratio"};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i]);

		if (p->stem_len > len && p->family->name[p->stem_len - len - 1] == '_' &&
		    memcmp(p->family->name + p->stem_len - len, units[i], len) == 0)
			return units[i];
	}
	return NULL;
}

/* "# KEYWORD name ": the family's name without what its samples have behind it in OpenMetrics. */
static void head_begin(struct page *p, const char *keyword)
{
	text_string(p->out, keyword);
	if (p->exposition == EXPOSITION_OPENMETRICS)
		text_add(p->out, p->family->name, p->stem_len);
	else
		text_string(p->out, p->family->name);
	text_add(p->out, " ", 1);
}

void page_family(struct page *p, const struct family *f)
{
	bool openmetrics = p->exposition == EXPOSITION_OPENMETRICS;
	const char *unit;

	p->family = f;
	p->stem_len = strlen(f->name) - strlen(types[f->type].suffix);
	unit = unit_of(p);
	if (is_protobuf(p)) {
		protobuf_family(p, unit);
		return;
	}
	head_begin(p, "# HELP ");
	text_utf8(p->out, f->help, openmetrics ? LABEL_ESCAPES : HELP_ESCAPES);
	text_add(p->out, "\n", 1);
	head_begin(p, "# TYPE ");
	text_string(p->out, openmetrics ? types[f->type].openmetrics : types[f->type].text);
	text_add(p->out, "\n", 1);
	if (openmetrics && unit) {
		head_begin(p, "# UNIT ");
		text_string(p->out, unit);
		text_add(p->out, "\n", 1);
	}
}

/* --- labels --- */

void page_sample(struct page *p)
{
	p->labels.len = 0;
	page_since(p, 0);
}

void page_since(struct page *p, uint64_t since_ns)
{
	const struct snapshot *snapshot = p->snapshot;

	p->since_unix_ns = snapshot->start_time_unix_ns;
	if (p->since_unix_ns && since_ns > snapshot->start_time_ns)
		p->since_unix_ns += since_ns - snapshot->start_time_ns;
}

static void label_begin(struct page *p, const char *name)
{
	if (p->labels.len)
		text_add(&p->labels, ",", 1);
	text_string(&p->labels, name);
	text_add(&p->labels, "=\"", 2);
}

void page_label(struct page *p, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	if (is_protobuf(p)) {
		protobuf_label(p, name, value);
		return;
	}
	label_begin(p, name);
	text_utf8(&p->labels, value, LABEL_ESCAPES);
	text_add(&p->labels, "\"", 1);
}

void page_label_number(struct page *p, const char *name, uint64_t value)
{
	char text[TEXT_NUMBER_MAX + 1];

	if (!value)
		return;
	*text_put_number(text, value) = '\0';
	page_label(p, name, text);
}

void page_service_labels(struct page *p, const struct service *service)
{
	page_label(p, "service_name", service->name);
	page_label(p, "service_namespace", service->namespace);
	page_since(p, service->found_ns);
}

size_t page_labels_mark(const struct page *p)
{
	return p->labels.len;
}

void page_labels_return(struct page *p, size_t mark)
{
	p->labels.len = mark;
}

/* --- values --- */

/* Everything of a line before its value. */
static void line_begin(struct page *p, const char *suffix)
{
	text_add(p->out, p->family->name, p->stem_len);
	text_string(p->out, suffix);
	if (p->labels.len) {
		text_add(p->out, "{", 1);
		text_add(p->out, p->labels.data, p->labels.len);
		text_add(p->out, "}", 1);
	}
	text_add(p->out, " ", 1);
}

static void put_since(struct page *p)
{
	if (p->exposition != EXPOSITION_OPENMETRICS || !p->since_unix_ns)
		return;
	line_begin(p, "_created");
	text_seconds(p->out, p->since_unix_ns);
	text_add(p->out, "\n", 1);
}

static void value_begin(struct page *p)
{
	line_begin(p, types[p->family->type].suffix);
}

static void value_end(struct page *p)
{
	text_add(p->out, "\n", 1);
	if (p->family->type == FAMILY_COUNTER)
		put_since(p);
}

void page_number(struct page *p, uint64_t value)
{
	if (is_protobuf(p)) {
		protobuf_value(p, (double)value);
		return;
	}
	value_begin(p);
	text_number(p->out, value);
	value_end(p);
}

void page_seconds(struct page *p, uint64_t value_ns)
{
	if (is_protobuf(p)) {
		protobuf_value(p, (double)value_ns / 1e9);
		return;
	}
	value_begin(p);
	text_seconds(p->out, value_ns);
	value_end(p);
}

void page_double(struct page *p, double value)
{
	if (is_protobuf(p)) {
		protobuf_value(p, value);
		return;
	}
	value_begin(p);
	text_double(p->out, value);
	value_end(p);
}

/* --- histograms --- */

/* OpenMetrics writes a bound as a float: 1.0, where the classic text has 1. */
static void set_bounds(struct page *p, const struct histogram_bounds *bounds)
{
	if (p->bounds == bounds)
		return;
	p->bounds = bounds;
	for (size_t i = 0; i < bounds->count; i++) {
		struct bucket_end *e = &p->ends[i];
		char *end = text_put_seconds(e->text, (uint64_t)llround(bounds->upper_s[i] * 1e9));

		if (p->exposition == EXPOSITION_OPENMETRICS &&
		    !memchr(e->text, '.', (size_t)(end - e->text))) {
			*end++ = '.';
			*end++ = '0';
		}
		memcpy(end, "\"} ", 3);
		e->len = (size_t)(end + 3 - e->text);
	}
}

/* The bulk of a page. A line is its series' prefix, the end of its bucket and a number, copied into
 * room that was made for all of them at once. */
static void put_buckets(struct page *p, const struct histogram *h)
{
	size_t prefix_len, prefix_at = p->out->len, bound_count = p->bounds->count;
	uint64_t cumulative = 0;
	char *prefix, *to;

	text_add(p->out, p->family->name, p->stem_len);
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

void page_histogram(struct page *p, const struct histogram *h,
		    const struct histogram_bounds *bounds)
{
	if (is_protobuf(p)) {
		protobuf_histogram(p, h, bounds);
		return;
	}
	set_bounds(p, bounds);
	put_buckets(p, h);
	line_begin(p, "_sum");
	text_seconds(p->out, h->sum_ns);
	text_add(p->out, "\n", 1);
	line_begin(p, "_count");
	text_number(p->out, h->count);
	text_add(p->out, "\n", 1);
	put_since(p);
}

void page_end(struct page *p)
{
	if (p->exposition == EXPOSITION_OPENMETRICS)
		text_string(p->out, "# EOF\n");
	else if (is_protobuf(p))
		protobuf_end(p);
}
