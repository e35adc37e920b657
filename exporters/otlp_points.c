// SPDX-License-Identifier: Apache-2.0
#include "otlp_points.h"

#define NO_RECORDED_VALUE 1 /* opentelemetry.proto.metrics.v1.DataPointFlags */

static bool is_delta(const struct otlp_encoder *e, const struct otlp_metric *m)
{
	return e->delta && (m->kind == OTLP_COUNTER || m->kind == OTLP_HISTOGRAM) &&
	       !(e->config.temporality == OTLP_LOWMEMORY && m->asynchronous);
}

void points_count_from(struct otlp_encoder *e, uint64_t time_ns)
{
	const struct snapshot *s = e->snapshot;

	e->start_unix_ns = s->start_time_unix_ns;
	if (time_ns > s->start_time_ns)
		e->start_unix_ns += time_ns - s->start_time_ns;
}

void points_metric(struct otlp_encoder *e, const struct otlp_metric *m)
{
	otlp_builder_metric(&e->builder, m, is_delta(e, m), e->config.exponential);
}

uint64_t points_start(const struct otlp_encoder *e)
{
	return e->builder.delta && e->last_time_unix_ns > e->start_unix_ns ? e->last_time_unix_ns
									   : e->start_unix_ns;
}

/* The clock may have been set back since the start. */
uint64_t points_time(const struct otlp_encoder *e)
{
	uint64_t start_unix_ns = points_start(e);

	return e->time_unix_ns > start_unix_ns ? e->time_unix_ns : start_unix_ns;
}

bool points_news(struct otlp_encoder *e, int rc)
{
	if (rc < 0)
		e->error = rc;
	return rc > 0;
}

struct otlp_point *points_number(struct otlp_encoder *e)
{
	struct otlp_point *p = otlp_builder_point(&e->builder);

	if (!p)
		return NULL;
	p->number.time_unix_nano = e->time_unix_ns;
	if (e->builder.metric->kind != OTLP_GAUGE) {
		p->number.start_time_unix_nano = points_start(e);
		p->number.has_start_time_unix_nano = true;
		p->number.time_unix_nano = points_time(e);
	}
	return p;
}

void points_add_integer(struct otlp_encoder *e, struct otlp_point *p, uint64_t value)
{
	p->number.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_INT;
	p->number.as_int = (int64_t)value;
	otlp_builder_add(&e->builder, p);
}

void points_add_double(struct otlp_encoder *e, struct otlp_point *p, double value)
{
	p->number.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE;
	p->number.as_double = value;
	otlp_builder_add(&e->builder, p);
}

bool points_count(struct otlp_encoder *e, uint64_t id, uint64_t sub, uint64_t *value)
{
	struct otlp_delta_key key = {.id = id, .metric = e->builder.metric, .sub = sub};

	return !e->builder.delta || points_news(e, otlp_delta_integer(e->delta, &key, value));
}

void points_add_nothing(struct otlp_encoder *e, struct otlp_point *p)
{
	p->number.has_flags = true;
	p->number.flags = NO_RECORDED_VALUE;
	otlp_builder_add(&e->builder, p);
}
