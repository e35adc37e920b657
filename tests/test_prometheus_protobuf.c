// SPDX-License-Identifier: Apache-2.0
/* A page by protobuf, decoded, against the snapshot and the classic text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"
#include "prometheus.pb-c.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FAMILIES_MAX 64
#define START_UNIX_NS 1700000000250000000

struct page {
	struct text bytes;
	Prometheus__MetricFamily *families[FAMILIES_MAX];
	size_t count;
};

static void decode(struct page *page, const struct snapshot *snapshot)
{
	size_t at = 0;

	*page = (struct page){};
	assert_int_equal(prometheus_render(&page->bytes, snapshot, EXPOSITION_PROTOBUF), 0);
	while (at < page->bytes.len) {
		size_t len = 0;
		int shift = 0;
		uint8_t byte;

		do {
			assert_true(at < page->bytes.len && shift < 35);
			byte = (uint8_t)page->bytes.data[at++];
			len |= (size_t)(byte & 0x7f) << shift;
			shift += 7;
		} while (byte & 0x80);
		assert_true(byte || shift == 7); /* not longer than it has to be */
		assert_true(len <= page->bytes.len - at && page->count < FAMILIES_MAX);
		page->families[page->count] = prometheus__metric_family__unpack(
			NULL, len, (const uint8_t *)page->bytes.data + at);
		assert_non_null(page->families[page->count]);
		assert_int_equal(page->families[page->count]->base.n_unknown_fields, 0);
		page->count++;
		at += len;
	}
}

static void page_close(struct page *page)
{
	for (size_t i = 0; i < page->count; i++)
		prometheus__metric_family__free_unpacked(page->families[i], NULL);
	text_free(&page->bytes);
}

static const Prometheus__MetricFamily *find(const struct page *page, const char *name)
{
	for (size_t i = 0; i < page->count; i++)
		if (strcmp(page->families[i]->name, name) == 0)
			return page->families[i];
	fail_msg("no family %s", name);
	return NULL;
}

static void assert_label(const Prometheus__Metric *m, size_t i, const char *name, const char *value)
{
	assert_true(i < m->n_label);
	assert_string_equal(m->label[i]->name, name);
	assert_string_equal(m->label[i]->value, value);
}

struct world {
	struct service shop;
	const struct service *services[1];
	struct histogram duration;
	struct snapshot_series series[2];
	struct snapshot snapshot;
};

static const struct self_metric self[] = {
	{"bittern_agent_build_info", "Version.", SELF_GAUGE, "version", "1", 1},
	{"bittern_agent_cpu_seconds_total", "\"CPU\"\n\xff", SELF_COUNTER, NULL, NULL, 2.5},
	{"bittern_agent_ring_size_bytes", "Size.", SELF_GAUGE, NULL, NULL, 2097152},
};
static const union snapshot_counts requests = {.outcomes = {30, 0, 4, 0, 1}};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->shop = (struct service){.name = "shop", .process_count = 2, .found_ns = 1000000001000};
	w->services[0] = &w->shop;
	histogram_init(&w->duration);
	w->series[0] = (struct snapshot_series){.instrument = INSTRUMENT_SERVER_DURATION,
						.service = &w->shop,
						.route = "/a\"b\xff",
						.duration = &w->duration,
						.status = 200,
						.bounds = &histogram_duration_bounds};
	w->series[1] = (struct snapshot_series){
		.instrument = INSTRUMENT_SERVER_REQUESTS, .overflow = true, .counts = &requests};
	w->snapshot = (struct snapshot){.version = "1",
					.start_time_ns = 1000000000000,
					.start_time_unix_ns = START_UNIX_NS,
					.services = w->services,
					.service_count = 1,
					.series = w->series,
					.series_count = COUNT(w->series),
					.self = self,
					.self_count = COUNT(self),
					.host_name = "",
					.host_id = ""};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void families_are_those_of_the_classic_text_in_its_order(void **state)
{
	struct world *w = *state;
	struct text text = {};
	struct page page;
	size_t i = 0;

	decode(&page, &w->snapshot);
	assert_int_equal(prometheus_render(&text, &w->snapshot, EXPOSITION_TEXT), 0);
	text_add(&text, "", 1);
	for (char *at = text.data; (at = strstr(at, "# TYPE ")); i++) {
		static const char *const types[] = {"counter", "gauge", "", "", "histogram"};
		char line[128];

		assert_true(i < page.count);
		snprintf(line, sizeof(line), "# TYPE %s %s\n", page.families[i]->name,
			 types[page.families[i]->type]);
		at[strcspn(at, "\n") + 1] = '\0';
		assert_string_equal(at, line);
		at += strlen(at) + 1;
	}
	assert_int_equal(i, page.count);
	text_free(&text);
	page_close(&page);
}

static void numbers_have_the_kind_of_their_family(void **state)
{
	struct world *w = *state;
	const Prometheus__MetricFamily *f;
	struct page page;

	decode(&page, &w->snapshot);
	f = find(&page, "bittern_agent_cpu_seconds_total");
	assert_string_equal(f->help, "\"CPU\"\n\xef\xbf\xbd");
	assert_string_equal(f->unit, "seconds");
	assert_int_equal(f->n_metric, 1);
	assert_int_equal(f->metric[0]->n_label, 0);
	assert_true(f->metric[0]->counter->value == 2.5);
	assert_null(f->metric[0]->gauge);
	f = find(&page, "bittern_agent_ring_size_bytes");
	assert_string_equal(f->unit, "bytes");
	assert_true(f->metric[0]->gauge->value == 2097152);
	assert_null(f->metric[0]->counter);
	f = find(&page, "bittern_service_processes");
	assert_null(f->unit);
	assert_true(f->metric[0]->gauge->value == 2);
	f = find(&page, "target_info");
	assert_label(f->metric[0], 0, "service_name", "bittern");
	assert_true(f->metric[0]->gauge->value == 1);
	page_close(&page);
}

static void outcomes_have_their_own_label_behind_the_common_ones(void **state)
{
	static const double values[] = {30, 0, 4, 0, 1};
	const Prometheus__MetricFamily *f;
	struct world *w = *state;
	struct page page;

	decode(&page, &w->snapshot);
	f = find(&page, "bittern_http_server_requests_total");
	assert_int_equal(f->n_metric, OUTCOME_COUNT);
	for (size_t i = 0; i < OUTCOME_COUNT; i++) {
		assert_int_equal(f->metric[i]->n_label, 2);
		assert_label(f->metric[i], 0, "otel_metric_overflow", "true");
		assert_label(f->metric[i], 1, "outcome", outcome_names[i]);
		assert_true(f->metric[i]->counter->value == values[i]);
	}
	page_close(&page);
}

static void counters_and_histograms_tell_since_when(void **state)
{
	const Prometheus__MetricFamily *f;
	struct world *w = *state;
	struct page page;

	decode(&page, &w->snapshot);
	f = find(&page, "bittern_agent_cpu_seconds_total");
	assert_int_equal(f->metric[0]->counter->created_timestamp->seconds, 1700000000);
	assert_int_equal(f->metric[0]->counter->created_timestamp->nanos, 250000000);
	f = find(&page, "http_server_request_duration_seconds");
	assert_int_equal(f->metric[0]->histogram->created_timestamp->nanos, 250001000);
	page_close(&page);
	w->snapshot.start_time_unix_ns = 0;
	decode(&page, &w->snapshot);
	assert_null(find(&page, "bittern_agent_cpu_seconds_total")
			    ->metric[0]
			    ->counter->created_timestamp);
	page_close(&page);
}

/* --- histograms --- */

/* The one histogram of the page, which must be page_close()d. */
static const Prometheus__Histogram *decode_histogram(struct page *page, const struct world *w)
{
	const Prometheus__MetricFamily *f;

	decode(page, &w->snapshot);
	f = find(page, "http_server_request_duration_seconds");
	assert_int_equal(f->type, PROMETHEUS__METRIC_TYPE__HISTOGRAM);
	assert_string_equal(f->unit, "seconds");
	assert_int_equal(f->n_metric, 1);
	assert_int_equal(f->metric[0]->n_label, 3);
	assert_label(f->metric[0], 0, "service_name", "shop");
	assert_label(f->metric[0], 1, "http_route", "/a\"b\xef\xbf\xbd");
	assert_label(f->metric[0], 2, "http_response_status_code", "200");
	return f->metric[0]->histogram;
}

static size_t count_within(const uint64_t *values_ns, size_t count, long double above_s,
			   long double to_s)
{
	size_t within = 0;

	for (size_t i = 0; i < count; i++) {
		long double s = (long double)values_ns[i] / 1e9L;

		within += s > above_s && s <= to_s;
	}
	return within;
}

/* Bucket i of Prometheus is (2^((i-1)/2^schema), 2^(i/2^schema)]. */
static void assert_native(const Prometheus__Histogram *h, const uint64_t *values_ns, size_t count)
{
	int32_t index = 0;
	int64_t in_bucket = 0;
	size_t delta = 0;
	uint64_t total = h->zero_count;

	assert_in_range(h->schema, 1, 8);
	assert_true(h->zero_threshold == 0);
	for (size_t i = 0; i < h->n_positive_span; i++) {
		const Prometheus__BucketSpan *span = h->positive_span[i];

		index += span->offset;
		assert_true(i == 0 || span->offset > 2);
		for (uint32_t j = 0; j < span->length; j++, index++) {
			long double to = exp2l(ldexpl(index, -h->schema));
			long double above = exp2l(ldexpl(index - 1, -h->schema));

			assert_true(delta < h->n_positive_delta);
			in_bucket += h->positive_delta[delta++];
			assert_int_equal(in_bucket, count_within(values_ns, count, above, to));
			total += (uint64_t)in_bucket;
		}
	}
	assert_int_equal(delta, h->n_positive_delta);
	assert_int_equal(total, count);
	assert_int_equal(h->sample_count, count);
}

static void assert_classic(const Prometheus__Histogram *h, const uint64_t *values_ns, size_t count)
{
	assert_int_equal(h->n_bucket, histogram_duration_bounds.count);
	for (size_t i = 0; i < h->n_bucket; i++) {
		double bound_s = histogram_duration_bounds.upper_s[i];

		assert_true(h->bucket[i]->upper_bound == bound_s);
		assert_int_equal(h->bucket[i]->cumulative_count,
				 count_within(values_ns, count, -1, bound_s));
	}
}

static void assert_both(struct world *w, const uint64_t *values_ns, size_t count, int32_t schema)
{
	const Prometheus__Histogram *h;
	uint64_t sum_ns = 0;
	struct page page;

	histogram_init(&w->duration);
	for (size_t i = 0; i < count; i++) {
		histogram_add(&w->duration, &histogram_duration_bounds, values_ns[i]);
		sum_ns += values_ns[i];
	}
	h = decode_histogram(&page, w);
	assert_int_equal(h->schema, schema);
	assert_true(h->sample_sum == (double)sum_ns / 1e9);
	assert_native(h, values_ns, count);
	assert_classic(h, values_ns, count);
	page_close(&page);
}

static void a_histogram_is_native_and_classic(void **state)
{
	static uint64_t values_ns[3000];

	srand(5);
	/* 1 to 1.4 s: fits scale 8. */
	for (size_t i = 0; i < COUNT(values_ns); i++)
		values_ns[i] = 1000000000 + (uint64_t)rand() % 400000000;
	assert_both(*state, values_ns, COUNT(values_ns), 8);
	/* 100 us to 1 s, evenly on a logarithmic scale: 13.3 octaves of 160 buckets. */
	for (size_t i = 0; i < COUNT(values_ns); i++)
		values_ns[i] = (uint64_t)(1e5 * pow(10, 4.0 * rand() / RAND_MAX));
	assert_both(*state, values_ns, COUNT(values_ns), 3);
	/* All that 64 bits hold. */
	for (size_t i = 0; i < COUNT(values_ns); i++)
		values_ns[i] = 1ull << (rand() % 50);
	assert_both(*state, values_ns, COUNT(values_ns), 1);
}

static void ends_of_buckets_are_in_the_bucket_that_they_end(void **state)
{
	static const uint64_t values_ns[] = {1000000000, 500000000, 250000000, 2000000000,
					     1000000001};

	assert_both(*state, values_ns, COUNT(values_ns), 5);
	assert_both(*state, values_ns, 1, 8);
}

static void one_value_is_one_bucket(void **state)
{
	static const uint64_t values_ns[] = {123456789, 123456789, 123456789};
	struct world *w = *state;
	const Prometheus__Histogram *h;
	struct page page;

	assert_both(w, values_ns, COUNT(values_ns), 8);
	h = decode_histogram(&page, w);
	assert_int_equal(h->n_positive_span, 1);
	assert_int_equal(h->n_positive_delta, 1);
	assert_int_equal(h->positive_delta[0], 3);
	page_close(&page);
}

static void small_gaps_are_empty_buckets_and_larger_ones_new_spans(void **state)
{
	/* At schema 5, a factor of 2^(1/32): 2.2 %. */
	static const uint64_t values_ns[] = {1000000000, 1060000000, 1160000000, 25000000000};
	struct world *w = *state;
	const Prometheus__Histogram *h;
	struct page page;

	assert_both(w, values_ns, COUNT(values_ns), 5);
	h = decode_histogram(&page, w);
	assert_int_equal(h->n_positive_span, 3);
	assert_int_equal(h->positive_span[0]->offset, 0); /* 1 s is a power of two */
	assert_int_equal(h->positive_span[0]->length, 4); /* 1, two empty ones, 1.06 */
	assert_int_equal(h->positive_span[1]->offset, 3);
	assert_int_equal(h->positive_span[1]->length, 1);
	assert_int_equal(h->n_positive_delta, 6);
	page_close(&page);
}

static void zeros_have_their_bucket_and_an_empty_histogram_is_native_too(void **state)
{
	static const uint64_t zeros_ns[] = {0, 0};
	struct world *w = *state;
	const Prometheus__Histogram *h;
	struct page page;

	assert_both(w, zeros_ns, 0, 8);
	h = decode_histogram(&page, w);
	assert_int_equal(h->n_positive_span, 1);
	assert_int_equal(h->positive_span[0]->offset, 0);
	assert_int_equal(h->positive_span[0]->length, 0);
	page_close(&page);
	assert_both(w, zeros_ns, 2, 8);
	h = decode_histogram(&page, w);
	assert_int_equal(h->zero_count, 2);
	assert_int_equal(h->n_positive_span, 0);
	page_close(&page);
}

/* --- the whole --- */

static void a_page_goes_behind_what_the_text_holds(void **state)
{
	struct world *w = *state;
	struct text text = {}, alone = {};

	text_string(&text, "before");
	assert_int_equal(prometheus_render(&text, &w->snapshot, EXPOSITION_PROTOBUF), 0);
	assert_int_equal(prometheus_render(&alone, &w->snapshot, EXPOSITION_PROTOBUF), 0);
	assert_int_equal(text.len, 6 + alone.len);
	assert_memory_equal(text.data, "before", 6);
	assert_memory_equal(text.data + 6, alone.data, alone.len);
	text_free(&text);
	text_free(&alone);
}

static void a_text_without_memory_says_so(void **state)
{
	struct world *w = *state;
	struct text text = {.error = -12};

	assert_int_equal(prometheus_render(&text, &w->snapshot, EXPOSITION_PROTOBUF), -12);
	text_free(&text);
}

#define MANY 500

/* The budget of a scrape is 10 ms for 10,000 lines; these are as many samples, with room for a slow
 * machine. */
static void five_hundred_histograms_take_a_few_milliseconds(void **state)
{
	static struct snapshot_series series[MANY];
	struct world *w = *state;
	double best_ms = 1e9;
	size_t bytes = 0;

	srand(1);
	for (size_t i = 0; i < 1000; i++)
		histogram_add(&w->duration, &histogram_duration_bounds,
			      (uint64_t)(1e6 * pow(10, 3.0 * rand() / RAND_MAX)));
	for (size_t i = 0; i < MANY; i++) {
		series[i] = w->series[0];
		series[i].method = "GET";
		series[i].scheme = "http";
		series[i].protocol_version = "1.1";
		series[i].port = (uint16_t)(i + 1);
	}
	w->snapshot.series = series;
	w->snapshot.series_count = MANY;
	for (size_t i = 0; i < 10; i++) {
		struct timespec start, end;
		struct text text = {};
		double ms;

		clock_gettime(CLOCK_MONOTONIC, &start);
		assert_int_equal(prometheus_render(&text, &w->snapshot, EXPOSITION_PROTOBUF), 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		ms = (double)(end.tv_sec - start.tv_sec) * 1e3 +
		     (double)(end.tv_nsec - start.tv_nsec) / 1e6;
		best_ms = ms < best_ms ? ms : best_ms;
		bytes = text.len;
		text_free(&text);
	}
	print_message("%d histograms, %zu bytes: %.2f ms\n", MANY, bytes, best_ms);
	assert_true(best_ms < 200); /* with sanitizers, too */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(families_are_those_of_the_classic_text_in_its_order),
		TEST(numbers_have_the_kind_of_their_family),
		TEST(outcomes_have_their_own_label_behind_the_common_ones),
		TEST(counters_and_histograms_tell_since_when),
		TEST(a_histogram_is_native_and_classic),
		TEST(ends_of_buckets_are_in_the_bucket_that_they_end),
		TEST(one_value_is_one_bucket),
		TEST(small_gaps_are_empty_buckets_and_larger_ones_new_spans),
		TEST(zeros_have_their_bucket_and_an_empty_histogram_is_native_too),
		TEST(a_page_goes_behind_what_the_text_holds),
		TEST(a_text_without_memory_says_so),
		TEST(five_hundred_histograms_take_a_few_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
