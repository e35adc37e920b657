// SPDX-License-Identifier: Apache-2.0
/* Deltas: they sum to what is counted, and each says since when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../exporters/otlp_delta.h"
#include "otlp_world.h"

#define MS 1000000ull
#define REQUESTS "bittern.http.server.requests"
#define DURATION "http.server.request.duration"

static struct otlp_world *world_of(void **state, enum otlp_temporality temporality)
{
	struct otlp_world *w = *state;

	w->config.temporality = temporality;
	return w;
}

static void add_requests(struct otlp_world *w, uint64_t ok)
{
	union snapshot_counts counts = {.outcomes = {[OUTCOME_OK] = ok}};

	otlp_world_add_counts(w, INSTRUMENT_SERVER_REQUESTS, counts)->route = "/";
}

static void a_counter_tells_what_was_added_and_since_when(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_DELTA);
	Otlp__Metric *m;

	add_requests(w, 10);
	otlp_world_export(w, 10 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", REQUESTS);
	assert_int_equal(m->sum->aggregation_temporality, OTLP__AGGREGATION_TEMPORALITY__DELTA);
	assert_int_equal(otlp_world_sum(w, "shop", REQUESTS, "outcome", "ok"), 10);
	assert_int_equal(m->sum->n_data_points, OUTCOME_COUNT); /* new: also those at 0 */
	assert_int_equal(m->sum->data_points[0]->start_time_unix_nano,
			 WORLD_START_UNIX_NS + 5 * WORLD_SECOND);

	w->counts[0].outcomes[OUTCOME_OK] = 17;
	otlp_world_export(w, 20 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", REQUESTS);
	assert_int_equal(m->sum->n_data_points, 1);
	assert_int_equal(otlp_world_sum(w, "shop", REQUESTS, "outcome", "ok"), 7);
	assert_int_equal(m->sum->data_points[0]->start_time_unix_nano,
			 WORLD_START_UNIX_NS + 10 * WORLD_SECOND);
	assert_int_equal(m->sum->data_points[0]->time_unix_nano,
			 WORLD_START_UNIX_NS + 20 * WORLD_SECOND);

	otlp_world_export(w, 30 * WORLD_SECOND);
	assert_null(otlp_world_metric(w, "shop", REQUESTS)); /* nothing happened */
}

static void a_new_service_begins_when_it_was_found(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_DELTA);

	otlp_world_export(w, 10 * WORLD_SECOND);
	w->shop.found_ns = WORLD_START_NS + 12 * WORLD_SECOND;
	add_requests(w, 1);
	otlp_world_export(w, 20 * WORLD_SECOND);
	assert_int_equal(
		otlp_world_metric(w, "shop", REQUESTS)->sum->data_points[0]->start_time_unix_nano,
		WORLD_START_UNIX_NS + 12 * WORLD_SECOND);
}

static void what_is_no_counter_stays_cumulative(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_DELTA);
	union snapshot_counts open = {.open = {.count = 2}};
	Otlp__Metric *m;

	otlp_world_add_counts(w, INSTRUMENT_ACTIVE, open)->route = "/";
	for (int i = 1; i < 3; i++) {
		otlp_world_export(w, i * 10 * WORLD_SECOND);
		m = otlp_world_metric(w, "shop", "http.server.active_requests");
		assert_int_equal(m->sum->aggregation_temporality,
				 OTLP__AGGREGATION_TEMPORALITY__CUMULATIVE);
		assert_int_equal(m->sum->data_points[0]->as_int, 2);
	}
}

static void low_memory_leaves_what_is_read_off_cumulative(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_LOWMEMORY);
	Otlp__Metric *m;

	add_requests(w, 10);
	w->self[0] = (struct self_metric){
		"bittern_agent_cpu_seconds_total", "CPU.", SELF_COUNTER, NULL, NULL, 1.25};
	w->snapshot.self_count = 1;
	otlp_world_export(w, 10 * WORLD_SECOND);
	otlp_world_export(w, 20 * WORLD_SECOND);
	assert_null(otlp_world_metric(w, "shop", REQUESTS));
	m = otlp_world_metric(w, "bittern", "bittern.agent.cpu");
	assert_int_equal(m->sum->aggregation_temporality,
			 OTLP__AGGREGATION_TEMPORALITY__CUMULATIVE);
	assert_true(m->sum->data_points[0]->as_double == 1.25);
}

static void numbers_about_bittern_are_told_apart_by_label(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_DELTA);

	w->self[0] = (struct self_metric){
		"bittern_agent_losses_total", "Lost.", SELF_COUNTER, "cause", "ring_full", 7};
	w->self[1] = (struct self_metric){
		"bittern_agent_losses_total", "Lost.", SELF_COUNTER, "cause", "gap", 100};
	w->snapshot.self_count = 2;
	otlp_world_export(w, 10 * WORLD_SECOND);
	w->self[0].value = 9;
	w->self[1].value = 101;
	otlp_world_export(w, 20 * WORLD_SECOND);
	assert_int_equal(otlp_world_sum(w, "bittern", "bittern.agent.losses", "cause", "ring_full"),
			 2);
	assert_int_equal(otlp_world_sum(w, "bittern", "bittern.agent.losses", "cause", "gap"), 1);
}

/* The values spread over more and more octaves, so that the scale falls between exports. */
static void histograms_of_either_kind_sum_to_what_was_measured(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_DELTA);
	uint64_t counts[HISTOGRAM_EXPLICIT_MAX + 1] = {0}, count = 0, buckets = 0;
	struct histogram h;
	double sum = 0;
	int exports = 0;

	histogram_init(&h);
	otlp_world_add_histogram(w, INSTRUMENT_SERVER_DURATION, &h)->route = "/";
	for (uint64_t ms = 1; ms < 100000; ms = ms * 3 / 2 + 1) {
		Otlp__HistogramDataPoint *p;
		Otlp__Metric *m;

		for (uint64_t n = 0; n < ms % 7 + 1; n++)
			histogram_add(&h, &histogram_duration_bounds, ms * MS);
		otlp_world_export(w, (10 + exports++) * WORLD_SECOND);
		m = otlp_world_metric(w, "shop", DURATION);
		assert_int_equal(m->histogram->aggregation_temporality,
				 OTLP__AGGREGATION_TEMPORALITY__DELTA);
		p = m->histogram->data_points[0];
		assert_int_equal(p->count, ms % 7 + 1);
		assert_false(p->has_min || p->has_max);
		count += p->count;
		sum += p->sum;
		for (size_t i = 0; i < p->n_bucket_counts; i++)
			counts[i] += p->bucket_counts[i];
	}
	assert_int_equal(count, h.count);
	assert_float_equal(sum, (double)h.sum_ns / 1e9, 1e-6);
	for (size_t i = 0; i <= histogram_duration_bounds.count; i++) {
		assert_int_equal(counts[i], h.explicit_counts[i]);
		buckets += counts[i];
	}
	assert_int_equal(buckets, count);
}

static void exponential_deltas_hold_what_was_added_at_the_scale_of_now(void **state)
{
	struct otlp_world *w = world_of(state, OTLP_DELTA);
	Otlp__ExponentialHistogramDataPoint *p;
	struct histogram h, added;

	w->config.exponential = true;
	histogram_init(&h);
	otlp_world_add_histogram(w, INSTRUMENT_SERVER_DURATION, &h)->route = "/";
	for (uint64_t i = 0; i < 50; i++)
		histogram_add(&h, &histogram_duration_bounds, (10 + i) * MS);
	otlp_world_export(w, 10 * WORLD_SECOND);
	histogram_init(&added);
	histogram_add(&h, &histogram_duration_bounds, 90000 * MS);
	histogram_add(&h, &histogram_duration_bounds, 80000 * MS);
	histogram_add(&h, &histogram_duration_bounds, 0);
	histogram_add(&added, &histogram_duration_bounds, 90000 * MS);
	histogram_add(&added, &histogram_duration_bounds, 80000 * MS);
	otlp_world_export(w, 20 * WORLD_SECOND);
	p = otlp_world_metric(w, "shop", DURATION)->exponential_histogram->data_points[0];
	assert_int_equal(p->count, 3);
	assert_int_equal(p->zero_count, 1);
	assert_int_equal(p->scale, h.scale);
	assert_true(added.scale >= h.scale);
	assert_int_equal(p->positive->offset, added.offset >> (added.scale - h.scale));
	assert_int_equal(p->positive->bucket_counts[0], 1);
	assert_int_equal(p->positive->bucket_counts[p->positive->n_bucket_counts - 1], 1);
}

static void what_has_gone_is_forgotten(void **state)
{
	struct otlp_delta *d;
	struct otlp_delta_key key = {.id = 1, .metric = "requests"};
	uint64_t value;

	(void)state;
	assert_int_equal(otlp_delta_open(&d), 0);
	for (uint64_t i = 0; i < 1000; i++) {
		key.id = i;
		value = 5;
		assert_int_equal(otlp_delta_integer(d, &key, &value), 1);
		assert_int_equal(value, 5);
	}
	otlp_delta_end(d);
	assert_int_equal(otlp_delta_count(d), 1000);
	for (uint64_t i = 0; i < 10; i++) {
		key.id = i;
		value = 5;
		assert_int_equal(otlp_delta_integer(d, &key, &value), 0);
	}
	otlp_delta_end(d);
	assert_int_equal(otlp_delta_count(d), 10);
	key.id = 0;
	value = 3; /* less than before: it began anew */
	assert_int_equal(otlp_delta_integer(d, &key, &value), 1);
	assert_int_equal(value, 3);
	otlp_delta_close(d);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, otlp_world_open, otlp_world_close)
	const struct CMUnitTest tests[] = {
		TEST(a_counter_tells_what_was_added_and_since_when),
		TEST(a_new_service_begins_when_it_was_found),
		TEST(what_is_no_counter_stays_cumulative),
		TEST(low_memory_leaves_what_is_read_off_cumulative),
		TEST(numbers_about_bittern_are_told_apart_by_label),
		TEST(histograms_of_either_kind_sum_to_what_was_measured),
		TEST(exponential_deltas_hold_what_was_added_at_the_scale_of_now),
		cmocka_unit_test(what_has_gone_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
