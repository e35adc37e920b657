// SPDX-License-Identifier: Apache-2.0
#include "prometheus_protobuf.h"

#include <string.h>

#include "prometheus.pb-c.h"
#include "varint.h"

#define NS_PER_S 1000000000ull
#define METRIC_TAG 0x22 /* field 4 of MetricFamily, length-delimited */
#define LENGTH_MAX 5 /* bytes of a varint up to 32 GB */
/* What Prometheus knows of base-2 buckets: 2^8 an octave at most. Ours are never below 1. */
#define SCHEMA_MAX 8
/* A new span costs as much as two empty buckets. */
#define GAP_MAX 2

/* --- messages --- */

static void add_message(struct text *to, const ProtobufCMessage *message, size_t len)
{
	uint8_t *room = (uint8_t *)text_room(to, len);

	if (room)
		to->len += protobuf_c_message_pack(message, room);
}

/* Valid until the next call: in p->scratch; "" without memory, and then the page's error tells. */
static char *make_utf8(struct page *p, const char *string)
{
	p->scratch.len = 0;
	text_utf8(&p->scratch, string, "");
	text_add(&p->scratch, "", 1);
	return p->scratch.error ? (char *)"" : p->scratch.data;
}

/* --- families --- */

/* The length goes before what was written since. */
static void end_family(struct page *p)
{
	char *begin;
	size_t len, length_len;
	uint8_t length[LENGTH_MAX];

	if (!p->family_open || p->out->error)
		return;
	begin = p->out->data + p->family_at;
	len = p->out->len - p->family_at - LENGTH_MAX;
	length_len = varint_put(length, len);
	memmove(begin + length_len, begin + LENGTH_MAX, len);
	memcpy(begin, length, length_len);
	p->out->len = p->family_at + length_len + len;
	p->family_open = false;
}

void protobuf_family(struct page *p, const char *unit)
{
	static const Prometheus__MetricType types[] = {
		[FAMILY_COUNTER] = PROMETHEUS__METRIC_TYPE__COUNTER,
		[FAMILY_GAUGE] = PROMETHEUS__METRIC_TYPE__GAUGE,
		[FAMILY_HISTOGRAM] = PROMETHEUS__METRIC_TYPE__HISTOGRAM,
		[FAMILY_INFO] = PROMETHEUS__METRIC_TYPE__GAUGE,
	};
	Prometheus__MetricFamily family = PROMETHEUS__METRIC_FAMILY__INIT;

	end_family(p);
	family.name = (char *)p->family->name;
	family.help = make_utf8(p, p->family->help);
	family.type = types[p->family->type];
	family.unit = (char *)unit;
	p->family_at = p->out->len;
	p->family_open = true;
	if (text_room(p->out, LENGTH_MAX))
		p->out->len += LENGTH_MAX;
	add_message(p->out, &family.base, protobuf_c_message_get_packed_size(&family.base));
}

void protobuf_end(struct page *p)
{
	end_family(p);
}

/* --- samples --- */

void protobuf_label(struct page *p, const char *name, const char *value)
{
	Prometheus__LabelPair pair = PROMETHEUS__LABEL_PAIR__INIT, *pairs[] = {&pair};
	Prometheus__Metric metric = PROMETHEUS__METRIC__INIT;

	pair.name = (char *)name;
	pair.value = make_utf8(p, value);
	metric.n_label = 1;
	metric.label = pairs;
	add_message(&p->labels, &metric.base, protobuf_c_message_get_packed_size(&metric.base));
}

/* The Metric of the label set and of what else it is. */
static void add_metric(struct page *p, const Prometheus__Metric *value)
{
	size_t value_len = protobuf_c_message_get_packed_size(&value->base);
	uint8_t head[1 + LENGTH_MAX] = {METRIC_TAG};
	size_t head_len = 1 + varint_put(head + 1, p->labels.len + value_len);

	text_add(p->out, (const char *)head, head_len);
	text_add(p->out, p->labels.data, p->labels.len);
	add_message(p->out, &value->base, value_len);
}

/* NULL when it is not known. */
static Prometheus__Timestamp *since(const struct page *p, Prometheus__Timestamp *to)
{
	if (!p->since_unix_ns)
		return NULL;
	prometheus__timestamp__init(to);
	to->seconds = (int64_t)(p->since_unix_ns / NS_PER_S);
	to->nanos = (int32_t)(p->since_unix_ns % NS_PER_S);
	return to;
}

void protobuf_value(struct page *p, double value)
{
	Prometheus__Counter counter = PROMETHEUS__COUNTER__INIT;
	Prometheus__Gauge gauge = PROMETHEUS__GAUGE__INIT;
	Prometheus__Metric metric = PROMETHEUS__METRIC__INIT;
	Prometheus__Timestamp created;

	if (p->family->type == FAMILY_COUNTER) {
		counter.value = value;
		counter.created_timestamp = since(p, &created);
		metric.counter = &counter;
	} else {
		gauge.value = value;
		metric.gauge = &gauge;
	}
	add_metric(p, &metric);
}

/* --- histograms --- */

struct native {
	int32_t next_index; /* behind the last bucket */
	uint64_t last_count;
	size_t span_count, delta_count;
	Prometheus__BucketSpan spans[HISTOGRAM_EXPONENTIAL_BUCKETS];
	Prometheus__BucketSpan *span_list[HISTOGRAM_EXPONENTIAL_BUCKETS];
	int64_t deltas[HISTOGRAM_EXPONENTIAL_BUCKETS];
};

static void begin_span(struct native *n, int32_t offset)
{
	Prometheus__BucketSpan *span = &n->spans[n->span_count];

	prometheus__bucket_span__init(span);
	span->offset = offset;
	n->span_list[n->span_count++] = span;
}

static void add_bucket(struct native *n, uint64_t count)
{
	n->deltas[n->delta_count++] = (int64_t)(count - n->last_count);
	n->last_count = count;
	n->spans[n->span_count - 1].length++;
	n->next_index++;
}

/* Indexes rise from call to call. */
static void put_bucket(struct native *n, int32_t index, uint64_t count)
{
	if (!n->span_count || index - n->next_index > GAP_MAX) {
		begin_span(n, index - n->next_index);
		n->next_index = index;
	}
	while (n->next_index < index)
		add_bucket(n, 0);
	add_bucket(n, count);
}

/* Our bucket i ends at 2^((i+1)/2^scale), Prometheus' at 2^(i/2^schema): hence + 1. The schema. */
static int32_t fill_native(struct native *n, const struct histogram *h)
{
	int32_t shift = h->scale > SCHEMA_MAX ? h->scale - SCHEMA_MAX : 0;
	uint64_t count = 0;

	n->next_index = 0;
	n->last_count = 0;
	n->span_count = n->delta_count = 0;
	for (uint32_t i = 0; i < h->used_count; i++) {
		int32_t at = h->offset + (int32_t)i, index = at >> shift;

		count += h->exponential_counts[i];
		if (i + 1 < h->used_count && (at + 1) >> shift == index)
			continue;
		if (count)
			put_bucket(n, index + 1, count);
		count = 0;
	}
	/* Else it would pass for a classic one. */
	if (!n->span_count && !h->zero_count)
		begin_span(n, 0);
	return h->scale - shift;
}

void protobuf_histogram(struct page *p, const struct histogram *h,
			const struct histogram_bounds *bounds)
{
	Prometheus__Histogram histogram = PROMETHEUS__HISTOGRAM__INIT;
	Prometheus__Metric metric = PROMETHEUS__METRIC__INIT;
	Prometheus__Bucket buckets[HISTOGRAM_EXPLICIT_MAX], *bucket_list[HISTOGRAM_EXPLICIT_MAX];
	Prometheus__Timestamp created;
	struct native native;
	uint64_t cumulative = 0;

	for (size_t i = 0; i < bounds->count; i++) {
		cumulative += h->explicit_counts[i];
		prometheus__bucket__init(&buckets[i]);
		buckets[i].cumulative_count = cumulative;
		buckets[i].upper_bound = bounds->upper_s[i];
		bucket_list[i] = &buckets[i];
	}
	histogram.sample_count = h->count;
	histogram.sample_sum = (double)h->sum_ns / NS_PER_S;
	histogram.n_bucket = bounds->count;
	histogram.bucket = bucket_list;
	histogram.schema = fill_native(&native, h);
	histogram.zero_count = h->zero_count;
	histogram.n_positive_span = native.span_count;
	histogram.positive_span = native.span_list;
	histogram.n_positive_delta = native.delta_count;
	histogram.positive_delta = native.deltas;
	histogram.created_timestamp = since(p, &created);
	metric.histogram = &histogram;
	add_metric(p, &metric);
}
