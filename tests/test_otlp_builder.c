// SPDX-License-Identifier: Apache-2.0
/* Sizes: many series, several requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otlp_world.h"

#define MS 1000000ull

struct routes {
	char names[WORLD_SERIES_MAX][16];
};

/* Histograms of routes /0, /1, ... all the same; and a counter behind them. */
static struct routes *add_routes(struct otlp_world *w, struct histogram *h, size_t count)
{
	struct routes *routes = calloc(1, sizeof(*routes));

	histogram_init(h);
	for (uint64_t i = 1; i < 200; i++)
		histogram_add(h, &histogram_duration_bounds, i * i * MS);
	for (size_t i = 0; i < count; i++) {
		struct snapshot_series *s =
			otlp_world_add_histogram(w, INSTRUMENT_SERVER_DURATION, h);

		snprintf(routes->names[i], sizeof(routes->names[i]), "/%zu", i);
		s->route = routes->names[i];
		s->method = "GET";
	}
	return routes;
}

/* Marks each route that has a point; gives the number of points. */
static size_t mark_routes(const Otlp__ExportMetricsServiceRequest *message, bool *seen)
{
	size_t count = 0;

	for (size_t i = 0; i < message->n_resource_metrics; i++) {
		Otlp__ResourceMetrics *r = message->resource_metrics[i];

		assert_string_equal(otlp_world_string(r->resource->n_attributes,
						      r->resource->attributes, "service.name"),
				    "shop");
		for (size_t j = 0; j < r->scope_metrics[0]->n_metrics; j++) {
			Otlp__Metric *m = r->scope_metrics[0]->metrics[j];

			if (m->data_case != OTLP__METRIC__DATA_HISTOGRAM)
				continue;
			for (size_t k = 0; k < m->histogram->n_data_points; k++) {
				Otlp__HistogramDataPoint *p = m->histogram->data_points[k];
				size_t route = (size_t)atoi(otlp_world_string(p->n_attributes,
									      p->attributes,
									      "http.route") +
							    1);

				assert_int_equal(p->count, 199);
				assert_false(seen[route]);
				seen[route] = true;
				count++;
			}
		}
	}
	return count;
}

static void export_in_requests_of(struct otlp_world *w, size_t request_max, size_t series)
{
	bool *seen = calloc(series, sizeof(*seen));
	size_t count = 0, len = 0;
	struct histogram h;
	struct routes *routes;

	w->config.request_max = request_max;
	routes = add_routes(w, &h, series);
	otlp_world_export(w, 10 * WORLD_SECOND);
	for (size_t i = 0; i < w->batch.count; i++) {
		assert_in_range(w->batch.requests[i].len, 1, request_max);
		count += mark_routes(w->messages[i], seen);
		len += w->batch.requests[i].len;
	}
	assert_int_equal(count, series);
	assert_int_equal(otlp_batch_len(&w->batch), len);
	if (w->batch.count > 2) /* they are filled */
		assert_in_range(w->batch.requests[1].len, request_max * 2 / 3, request_max);
	free(seen);
	free(routes);
}

static void ten_thousand_series_go_in_requests_below_the_bound(void **state)
{
	struct otlp_world *w = *state;

	export_in_requests_of(w, OTLP_REQUEST_MAX, 11000);
	assert_in_range(w->batch.count, 2, 4);
}

static void a_small_bound_is_kept_too(void **state)
{
	struct otlp_world *w = *state;

	export_in_requests_of(w, 16 * 1024, 1000);
}

static void points_are_counted_by_request(void **state)
{
	struct otlp_world *w = *state;
	size_t count = 0;

	export_in_requests_of(w, 64 * 1024, 500);
	for (size_t i = 0; i < w->batch.count; i++)
		count += w->batch.requests[i].point_count;
	/* unread, processes, four kinds of connections and seven kinds of exit */
	assert_int_equal(count, 500 + 1 + 1 + 4 + 7);
}

static void a_resource_without_points_is_left_out(void **state)
{
	struct otlp_world *w = *state;

	otlp_world_export(w, 10 * WORLD_SECOND);
	assert_non_null(otlp_world_resource(w, "shop"));
	assert_null(otlp_world_resource(w, "bittern"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, otlp_world_open, otlp_world_close)
	const struct CMUnitTest tests[] = {
		TEST(ten_thousand_series_go_in_requests_below_the_bound),
		TEST(a_small_bound_is_kept_too),
		TEST(points_are_counted_by_request),
		TEST(a_resource_without_points_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
