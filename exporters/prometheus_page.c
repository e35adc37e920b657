// SPDX-License-Identifier: Apache-2.0
#include "prometheus_page.h"

#include <math.h>
#include <string.h>

/* byte, what stands for it behind a backslash */
#define LABEL_ESCAPES "\\\\\"\"\nn"
#define HELP_ESCAPES "\\\\\nn"

static const struct {
	const char *type;
	const char *suffix; /* of a sample, behind the family's stem */
} types[] = {
	[FAMILY_COUNTER] = {"counter", "_total"},
	[FAMILY_GAUGE] = {"gauge", ""},
	[FAMILY_HISTOGRAM] = {"histogram", ""},
	[FAMILY_INFO] = {"gauge", "_info"},
};

void page_family(struct page *p, const struct family *f)
{
	p->family = f;
	p->stem_len = strlen(f->name) - strlen(types[f->type].suffix);
	text_string(p->out, "# HELP ");
	text_string(p->out, f->name);
	text_string(p->out, " ");
	text_utf8(p->out, f->help, HELP_ESCAPES);
	text_string(p->out, "\n# TYPE ");
	text_string(p->out, f->name);
	text_string(p->out, " ");
	text_string(p->out, types[f->type].type);
	text_string(p->out, "\n");
}

/* --- labels --- */

void page_sample(struct page *p)
{
	p->labels.len = 0;
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
	label_begin(p, name);
	text_utf8(&p->labels, value, LABEL_ESCAPES);
	text_add(&p->labels, "\"", 1);
}

void page_label_number(struct page *p, const char *name, uint64_t value)
{
	if (!value)
		return;
	label_begin(p, name);
	text_number(&p->labels, value);
	text_add(&p->labels, "\"", 1);
}

void page_service_labels(struct page *p, const struct service *service)
{
	page_label(p, "service_name", service->name);
	page_label(p, "service_namespace", service->namespace);
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

void page_number(struct page *p, uint64_t value)
{
	line_begin(p, types[p->family->type].suffix);
	text_number(p->out, value);
	text_add(p->out, "\n", 1);
}

void page_seconds(struct page *p, uint64_t value_ns)
{
	line_begin(p, types[p->family->type].suffix);
	text_seconds(p->out, value_ns);
	text_add(p->out, "\n", 1);
}

void page_double(struct page *p, double value)
{
	line_begin(p, types[p->family->type].suffix);
	text_double(p->out, value);
	text_add(p->out, "\n", 1);
}

/* --- histograms --- */

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
	set_bounds(p, bounds);
	put_buckets(p, h);
	line_begin(p, "_sum");
	text_seconds(p->out, h->sum_ns);
	text_add(p->out, "\n", 1);
	line_begin(p, "_count");
	text_number(p->out, h->count);
	text_add(p->out, "\n", 1);
}
