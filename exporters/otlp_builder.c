// SPDX-License-Identifier: Apache-2.0
/* How large a part will be is known before it is packed: each point is measured when it is added,
 * and each level above it takes a tag, a length of at most 5 bytes and what is counted here. */
#include "otlp_builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "varint.h"

#define LEVEL_LEN 6 /* tag and length of a message inside another */
#define METRIC_LEN (4 * LEVEL_LEN + 8) /* of a metric, without its three strings */
#define PART_LEN (4 * LEVEL_LEN) /* ResourceMetrics, ScopeMetrics, scope, resource */
#define RESOURCE_METRICS_TAG 0x0a /* field 1, length-delimited */

/* --- attributes --- */

static void use_attributes(struct otlp_attributes *a, Otlp__KeyValue **list, Otlp__KeyValue *pairs,
			   Otlp__AnyValue *values, size_t capacity)
{
	*a = (struct otlp_attributes){
		.list = list, .pairs = pairs, .values = values, .capacity = capacity};
}

static Otlp__AnyValue *add_attribute(struct otlp_attributes *to, const char *key)
{
	size_t i = to->count;

	if (i == to->capacity)
		return NULL;
	otlp__key_value__init(&to->pairs[i]);
	otlp__any_value__init(&to->values[i]);
	to->pairs[i].key = (char *)key;
	to->pairs[i].value = &to->values[i];
	to->list[i] = &to->pairs[i];
	to->count++;
	return &to->values[i];
}

/* NULL without memory. */
static char *make_utf8(struct arena *arena, const char *text)
{
	char *made = arena_get(arena, 3 * strlen(text) + 1), *to = made;
	uint32_t code;

	while (made && *text) {
		size_t len = text_utf8_decode(text, &code);

		if (len) {
			memcpy(to, text, len);
			to += len;
			text += len;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			text++;
		}
	}
	return made;
}

void otlp_string(struct arena *arena, struct otlp_attributes *to, const char *key,
		 const char *value)
{
	Otlp__AnyValue *v;

	if (!value || !*value)
		return;
	if (!text_is_utf8(value))
		value = make_utf8(arena, value);
	v = value ? add_attribute(to, key) : NULL;
	if (!v)
		return;
	v->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	v->string_value = (char *)value;
}

void otlp_integer(struct otlp_attributes *to, const char *key, int64_t value)
{
	Otlp__AnyValue *v = value ? add_attribute(to, key) : NULL;

	if (!v)
		return;
	v->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
	v->int_value = value;
}

void otlp_bool(struct otlp_attributes *to, const char *key, bool value)
{
	Otlp__AnyValue *v = add_attribute(to, key);

	if (!v)
		return;
	v->value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
	v->bool_value = value;
}

/* --- parts and requests --- */

/* Room for len more bytes of one part, in the last request or in a new one; NULL without memory. */
static uint8_t *request_room(struct otlp_builder *b, size_t len)
{
	struct otlp_batch *batch = b->batch;
	struct otlp_request *last = batch->count ? &batch->requests[batch->count - 1] : NULL;
	uint8_t *data;

	if (!last || last->len + len > b->request_max) {
		struct otlp_request *grown =
			realloc(batch->requests, (batch->count + 1) * sizeof(*grown));

		if (!grown)
			return NULL;
		batch->requests = grown;
		last = &grown[batch->count++];
		*last = (struct otlp_request){};
	}
	data = realloc(last->data, last->len + len);
	if (!data)
		return NULL;
	last->data = data;
	data += last->len;
	last->len += len;
	last->point_count += b->point_count;
	return data;
}

static void pack_part(struct otlp_builder *b)
{
	Otlp__ScopeMetrics scope_metrics = OTLP__SCOPE_METRICS__INIT;
	Otlp__ScopeMetrics *scopes[] = {&scope_metrics};
	Otlp__ResourceMetrics part = OTLP__RESOURCE_METRICS__INIT;
	uint8_t head[LEVEL_LEN] = {RESOURCE_METRICS_TAG}, *to;
	size_t len, head_len;

	scope_metrics.scope = &b->scope;
	scope_metrics.metrics = b->metric_list;
	scope_metrics.n_metrics = b->metric_count;
	part.resource = &b->resource;
	part.scope_metrics = scopes;
	part.n_scope_metrics = 1;
	len = otlp__resource_metrics__get_packed_size(&part);
	head_len = 1 + varint_put(head + 1, len);
	to = request_room(b, head_len + len);
	if (!to) {
		b->error = -ENOMEM;
		return;
	}
	memcpy(to, head, head_len);
	otlp__resource_metrics__pack(&part, to + head_len);
}

static void end_part(struct otlp_builder *b)
{
	if (b->point_count && !b->error)
		pack_part(b);
	b->arena = &b->arenas[b->arena == &b->arenas[0]];
	arena_clear(b->arena);
	b->point_count = 0;
	b->metric_count = 0;
	b->part_len = 0;
}

static void begin_part(struct otlp_builder *b)
{
	if (!b->resource_len) {
		b->resource.attributes = b->attributes.list;
		b->resource.n_attributes = b->attributes.count;
		b->resource_len = otlp__resource__get_packed_size(&b->resource) +
				  otlp__instrumentation_scope__get_packed_size(&b->scope);
	}
	b->part_len = PART_LEN + b->resource_len;
}

/* --- metrics and points --- */

static bool fits(const struct otlp_builder *b, size_t point_len)
{
	size_t max = b->request_max < OTLP_PART_MAX ? b->request_max : OTLP_PART_MAX;

	if (!b->point_count)
		return true;
	return b->point_count < OTLP_PART_POINTS && b->metric_count < OTLP_PART_METRICS &&
	       b->part_len + point_len + LEVEL_LEN + METRIC_LEN + strlen(b->metric->name) +
			       strlen(b->metric->description) + strlen(b->metric->unit) <=
		       max;
}

static void begin_points(struct otlp_builder *b, struct otlp_part_metric *m)
{
	void *points = &b->points[b->point_count];
	Otlp__AggregationTemporality temporality =
		b->delta ? OTLP__AGGREGATION_TEMPORALITY__DELTA
			 : OTLP__AGGREGATION_TEMPORALITY__CUMULATIVE;

	if (b->metric->kind == OTLP_GAUGE) {
		otlp__gauge__init(&m->gauge);
		m->gauge.data_points = points;
		m->metric.data_case = OTLP__METRIC__DATA_GAUGE;
		m->metric.gauge = &m->gauge;
	} else if (b->metric->kind != OTLP_HISTOGRAM) {
		otlp__sum__init(&m->sum);
		m->sum.data_points = points;
		m->sum.aggregation_temporality = temporality;
		m->sum.is_monotonic = b->metric->kind == OTLP_COUNTER;
		m->metric.data_case = OTLP__METRIC__DATA_SUM;
		m->metric.sum = &m->sum;
	} else if (b->exponential) {
		otlp__exponential_histogram__init(&m->exponential);
		m->exponential.data_points = points;
		m->exponential.aggregation_temporality = temporality;
		m->metric.data_case = OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM;
		m->metric.exponential_histogram = &m->exponential;
	} else {
		otlp__histogram__init(&m->histogram);
		m->histogram.data_points = points;
		m->histogram.aggregation_temporality = temporality;
		m->metric.data_case = OTLP__METRIC__DATA_HISTOGRAM;
		m->metric.histogram = &m->histogram;
	}
}

/* The metric at hand, in this part. */
static struct otlp_part_metric *part_metric(struct otlp_builder *b)
{
	const struct otlp_metric *metric = b->metric;
	struct otlp_part_metric *m;

	if (b->metric_count && b->metrics[b->metric_count - 1].metric.name == metric->name)
		return &b->metrics[b->metric_count - 1];
	m = &b->metrics[b->metric_count];
	b->metric_list[b->metric_count++] = &m->metric;
	otlp__metric__init(&m->metric);
	m->metric.name = (char *)metric->name;
	m->metric.description = (char *)metric->description;
	m->metric.unit = (char *)metric->unit;
	begin_points(b, m);
	b->part_len += METRIC_LEN + strlen(metric->name) + strlen(metric->description) +
		       strlen(metric->unit);
	return m;
}

static void count_point(struct otlp_part_metric *m)
{
	switch (m->metric.data_case) {
	case OTLP__METRIC__DATA_GAUGE:
		m->gauge.n_data_points++;
		break;
	case OTLP__METRIC__DATA_SUM:
		m->sum.n_data_points++;
		break;
	case OTLP__METRIC__DATA_HISTOGRAM:
		m->histogram.n_data_points++;
		break;
	default:
		m->exponential.n_data_points++;
	}
}

struct otlp_point *otlp_builder_point(struct otlp_builder *b)
{
	struct otlp_point *p = arena_get(b->arena, sizeof(*p));

	if (!p) {
		b->error = -ENOMEM;
		return NULL;
	}
	use_attributes(&p->attributes, p->attribute_list, p->attribute_pairs, p->attribute_values,
		       OTLP_POINT_ATTRIBUTES);
	if (b->metric->kind != OTLP_HISTOGRAM)
		otlp__number_data_point__init(&p->number);
	else if (b->exponential)
		otlp__exponential_histogram_data_point__init(&p->exponential);
	else
		otlp__histogram_data_point__init(&p->histogram);
	return p;
}

static void set_attributes(const struct otlp_builder *b, struct otlp_point *p)
{
	if (b->metric->kind != OTLP_HISTOGRAM) {
		p->number.attributes = p->attributes.list;
		p->number.n_attributes = p->attributes.count;
	} else if (b->exponential) {
		p->exponential.attributes = p->attributes.list;
		p->exponential.n_attributes = p->attributes.count;
	} else {
		p->histogram.attributes = p->attributes.list;
		p->histogram.n_attributes = p->attributes.count;
	}
}

void otlp_builder_add(struct otlp_builder *b, struct otlp_point *point)
{
	size_t len;

	set_attributes(b, point);
	len = protobuf_c_message_get_packed_size(&point->number.base);
	if (!fits(b, len))
		end_part(b);
	if (!b->part_len)
		begin_part(b);
	count_point(part_metric(b));
	b->points[b->point_count++] = point;
	b->part_len += LEVEL_LEN + len;
}

void otlp_builder_metric(struct otlp_builder *b, const struct otlp_metric *metric, bool delta,
			 bool exponential)
{
	b->metric = metric;
	b->delta = delta;
	b->exponential = exponential && metric->kind == OTLP_HISTOGRAM;
}

void otlp_builder_resource(struct otlp_builder *b)
{
	end_part(b);
	arena_clear(&b->resource_strings);
	b->resource_len = 0;
	use_attributes(&b->attributes, b->attribute_list, b->attribute_pairs, b->attribute_values,
		       OTLP_RESOURCE_ATTRIBUTES_MAX);
}

void otlp_builder_begin(struct otlp_builder *b, struct otlp_batch *batch, size_t request_max,
			const char *scope_name, const char *scope_version)
{
	memset(b, 0, sizeof(*b));
	b->batch = batch;
	b->request_max = request_max;
	otlp__instrumentation_scope__init(&b->scope);
	b->scope.name = (char *)scope_name;
	b->scope.version = (char *)scope_version;
	otlp__resource__init(&b->resource);
	otlp_builder_resource(b);
}

int otlp_builder_end(struct otlp_builder *b)
{
	end_part(b);
	arena_free(&b->arenas[0]);
	arena_free(&b->arenas[1]);
	arena_free(&b->resource_strings);
	return b->error;
}

size_t otlp_batch_len(const struct otlp_batch *batch)
{
	size_t len = 0;

	for (size_t i = 0; i < batch->count; i++)
		len += batch->requests[i].len;
	return len;
}

void otlp_batch_close(struct otlp_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		free(batch->requests[i].data);
	free(batch->requests);
	*batch = (struct otlp_batch){};
}
