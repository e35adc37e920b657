// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otlp_world.h"

int otlp_world_open(void **state)
{
	struct otlp_world *w = calloc(1, sizeof(*w));

	w->series = calloc(WORLD_SERIES_MAX, sizeof(*w->series));
	w->shop = (struct service){.id = 7,
				   .name = "shop",
				   .instance_id = "0d1f6a2e-0000-5000-8000-000000000001",
				   .runtime = RUNTIME_PYTHON,
				   .process_count = 2,
				   .found_ns = WORLD_START_NS + 5 * WORLD_SECOND};
	w->cart = (struct service){.id = 8, .name = "cart", .process_count = 1};
	w->services[0] = &w->shop;
	w->services[1] = &w->cart;
	w->snapshot = (struct snapshot){.start_time_ns = WORLD_START_NS,
					.start_time_unix_ns = WORLD_START_UNIX_NS,
					.version = "1.2",
					.services = w->services,
					.service_count = 1,
					.series = w->series,
					.self = w->self,
					.host_name = "reed",
					.host_id = "0123456789abcdef"};
	*state = w;
	return 0;
}

static void forget_messages(struct otlp_world *w)
{
	for (size_t i = 0; i < w->batch.count; i++)
		otlp__export_metrics_service_request__free_unpacked(w->messages[i], NULL);
	otlp_batch_close(&w->batch);
}

int otlp_world_close(void **state)
{
	struct otlp_world *w = *state;

	forget_messages(w);
	otlp_encoder_close(w->encoder);
	free(w->series);
	free(w);
	return 0;
}

struct snapshot_series *otlp_world_add(struct otlp_world *w, enum instrument instrument)
{
	size_t i = w->snapshot.series_count++;

	assert_in_range(i, 0, WORLD_SERIES_MAX - 1);
	w->series[i] =
		(struct snapshot_series){.id = i, .instrument = instrument, .service = &w->shop};
	return &w->series[i];
}

struct snapshot_series *otlp_world_add_histogram(struct otlp_world *w, enum instrument instrument,
						 const struct histogram *h)
{
	struct snapshot_series *s = otlp_world_add(w, instrument);

	s->duration = h;
	s->bounds = &histogram_duration_bounds;
	return s;
}

struct snapshot_series *otlp_world_add_counts(struct otlp_world *w, enum instrument instrument,
					      union snapshot_counts counts)
{
	struct snapshot_series *s = otlp_world_add(w, instrument);
	size_t i = w->snapshot.series_count - 1;

	assert_in_range(i, 0, sizeof(w->counts) / sizeof(w->counts[0]) - 1);
	w->counts[i] = counts;
	s->counts = &w->counts[i];
	return s;
}

void otlp_world_export(struct otlp_world *w, uint64_t after_ns)
{
	forget_messages(w);
	if (!w->encoder)
		assert_int_equal(otlp_encoder_open(&w->encoder, &w->config), 0);
	w->snapshot.time_ns = WORLD_START_NS + after_ns;
	w->snapshot.time_unix_ns = WORLD_START_UNIX_NS + after_ns;
	assert_int_equal(otlp_encode(w->encoder, &w->snapshot, &w->batch), 0);
	assert_in_range(w->batch.count, 1, sizeof(w->messages) / sizeof(w->messages[0]));
	for (size_t i = 0; i < w->batch.count; i++) {
		w->messages[i] = otlp__export_metrics_service_request__unpack(
			NULL, w->batch.requests[i].len, w->batch.requests[i].data);
		assert_non_null(w->messages[i]);
	}
}

Otlp__AnyValue *otlp_world_attribute(size_t count, Otlp__KeyValue **list, const char *key)
{
	Otlp__AnyValue *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i]->key, key) != 0)
			continue;
		assert_null(found); /* keys are unique */
		found = list[i]->value;
	}
	return found;
}

const char *otlp_world_string(size_t count, Otlp__KeyValue **list, const char *key)
{
	Otlp__AnyValue *value = otlp_world_attribute(count, list, key);

	if (!value)
		return "";
	assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_STRING_VALUE);
	return value->string_value;
}

Otlp__ResourceMetrics *otlp_world_resource(const struct otlp_world *w, const char *service)
{
	for (size_t i = 0; i < w->messages[0]->n_resource_metrics; i++) {
		Otlp__ResourceMetrics *r = w->messages[0]->resource_metrics[i];

		if (!strcmp(otlp_world_string(r->resource->n_attributes, r->resource->attributes,
					      "service.name"),
			    service))
			return r;
	}
	return NULL;
}

Otlp__Metric *otlp_world_metric(const struct otlp_world *w, const char *service, const char *name)
{
	Otlp__ResourceMetrics *r = otlp_world_resource(w, service);
	Otlp__Metric *found = NULL;

	assert_non_null(r);
	assert_int_equal(r->n_scope_metrics, 1);
	for (size_t i = 0; i < r->scope_metrics[0]->n_metrics; i++) {
		Otlp__Metric *m = r->scope_metrics[0]->metrics[i];

		if (strcmp(m->name, name) != 0)
			continue;
		assert_null(found); /* a metric is once in a resource */
		found = m;
	}
	return found;
}

int64_t otlp_world_sum(const struct otlp_world *w, const char *service, const char *name,
		       const char *key, const char *value)
{
	Otlp__Metric *m = otlp_world_metric(w, service, name);

	assert_non_null(m);
	assert_int_equal(m->data_case, OTLP__METRIC__DATA_SUM);
	for (size_t i = 0; i < m->sum->n_data_points; i++) {
		Otlp__NumberDataPoint *p = m->sum->data_points[i];

		if (strcmp(otlp_world_string(p->n_attributes, p->attributes, key), value) != 0)
			continue;
		assert_int_equal(p->value_case, OTLP__NUMBER_DATA_POINT__VALUE_AS_INT);
		return p->as_int;
	}
	fail_msg("no point of %s with %s=%s", name, key, value);
	return 0;
}
