// SPDX-License-Identifier: Apache-2.0
/* What the console shows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "console_world.h"
#include "../exporters/cells.h"
#include "../exporters/interval.h"
#include "../exporters/table.h"

static void before_anything_is_known_it_says_what_it_waits_for(void **state)
{
	struct world *w = *state;

	open_screen(w, 100, 24);
	update(w);
	assert_true(w->screen.alternate);
	assert_true(w->screen.cursor_hidden);
	assert_false(w->screen.wraps);
	assert_string_equal(screen_line(&w->screen, 0),
			    "bittern 1.2.3  22:13:20  0 req/s  0 services  by rate");
	assert_string_equal(screen_line(&w->screen, 2),
			    "waiting for requests of Python and Node.js services...");
	assert_string_equal(screen_line(&w->screen, 3), "");
}

static void known_services_without_requests_are_listed(void **state)
{
	struct world *w = *state;
	size_t series;

	add_service(w, "shop");
	add_service(w, "auth");
	open_screen(w, 100, 24);
	update(w);
	assert_true(screen_find(&w->screen, "waiting for requests") == 2);
	assert_line(w, "auth", "auth (no requests yet)");
	assert_line(w, "shop", "shop (no requests yet)");
	series = add_series(w, w->service_list[0], "/", 200);
	serve(w, series, 1, MS);
	pass(w, S);
	update(w);
	assert_int_equal(screen_find(&w->screen, "waiting"), -1);
	assert_line(w, "auth", "auth (no requests yet)");
	assert_int_equal(screen_find(&w->screen, "shop"), 2);
}

static void a_row_sums_the_statuses_of_a_route(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");
	size_t good = add_series(w, shop, "/orders/{id}", 200);
	size_t missing = add_series(w, shop, "/orders/{id}", 404);
	size_t bad = add_series(w, shop, "/orders/{id}", 503);

	open_screen(w, 100, 24);
	serve(w, good, 15, 12100000);
	serve(w, missing, 4, 12100000);
	serve(w, bad, 1, 12100000);
	update(w); /* since the agent's start, 2 s ago */
	assert_line(w, "/orders", "shop GET /orders/{id} 10.0 5.0% 12.1ms 12.1ms 12.1ms 0 - 0 -");
	assert_line(w, "SERVICE",
		    "SERVICE METHOD ROUTE REQ/S ERR% P50 P95 P99 OPEN OLDEST T/O QUEUE");
	assert_string_equal(screen_line(&w->screen, 0),
			    "bittern 1.2.3  22:13:20  10.0 req/s  1 service  by rate");
}

static void only_the_last_interval_counts(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");
	size_t good = add_series(w, shop, "/", 200), bad;

	open_screen(w, 100, 24);
	serve(w, good, 100, 3000 * MS);
	update(w);
	pass(w, 4 * S);
	serve(w, good, 6, 430000);
	bad = add_series(w, shop, "/", 500); /* its status was never seen before */
	serve(w, bad, 2, 430000);
	update(w);
	assert_line(w, "shop", "shop GET / 2.0 25% 0.43ms 0.43ms 0.43ms 0 - 0 -");
	pass(w, S);
	update(w);
	assert_line(w, "shop", "shop GET / 0 - - - - 0 - 0 -");
	pass(w, S);
	serve(w, good, 1, MS); /* the errors were before */
	update(w);
	assert_non_null(
		strstr(screen_line(&w->screen, screen_find(&w->screen, "shop")), " 1.0    0% "));
}

static void an_interval_ends_at_the_buckets_that_gained(void **state)
{
	struct histogram before, now, gained;

	(void)state;
	histogram_init(&before);
	histogram_add(&before, &histogram_duration_bounds, 10 * MS);
	histogram_add(&before, &histogram_duration_bounds, 80 * MS);
	now = before;
	interval_between(&gained, &before, &now);
	assert_int_equal(gained.count, 0);
	assert_int_equal(gained.used_count, 0);
	histogram_add(&now, &histogram_duration_bounds, 40 * MS);
	interval_between(&gained, &before, &now);
	assert_int_equal(gained.count, 1);
	assert_int_equal(gained.sum_ns, 40 * MS);
	assert_int_equal(gained.used_count, 1);
	assert_int_equal(gained.exponential_counts[0], 1);
	assert_true(fabs((double)gained.min_ns / (40.0 * MS) - 1) < 0.02);
	assert_true(gained.max_ns == gained.min_ns);
	histogram_add(&now, &histogram_duration_bounds, 90 * MS); /* a new largest: exact */
	histogram_add(&now, &histogram_duration_bounds, 0);
	interval_between(&gained, &before, &now);
	assert_int_equal(gained.max_ns, 90 * MS);
	assert_int_equal(gained.min_ns, 0);
	assert_int_equal(gained.zero_count, 1);
}

/* A value far away makes the histogram coarser between two updates: up to 9 % at the scale it falls
 * to. */
static void the_interval_survives_a_change_of_scale(void **state)
{
	struct world *w = *state;
	size_t series = add_series(w, add_service(w, "shop"), "/", 200);
	struct table *table;
	struct row_numbers n;
	int32_t scale;

	assert_int_equal(table_open(&table), 0);
	serve(w, series, 50, 20 * MS);
	serve(w, series, 50, 21 * MS);
	assert_int_equal(table_update(table, &w->snapshot), 0);
	scale = w->histograms[series].scale;
	pass(w, S);
	serve(w, series, 1, 1000);
	serve(w, series, 60, 21 * MS);
	serve(w, series, 39, 50 * S);
	assert_true(w->histograms[series].scale < scale);
	assert_int_equal(table_update(table, &w->snapshot), 0);
	n = table_line(table, 0).numbers;
	assert_int_equal(n.count, 100);
	assert_true(fabs(n.p50_s / 0.021 - 1) < 0.1);
	assert_true(n.p95_s > 45 && n.p95_s <= 50);
	pass(w, S);
	serve(w, series, 10, 300 * MS); /* neither the smallest nor the largest so far */
	assert_int_equal(table_update(table, &w->snapshot), 0);
	n = table_line(table, 0).numbers;
	assert_int_equal(n.count, 10);
	assert_true(fabs(n.p50_s / 0.3 - 1) < 0.1);
	assert_true(fabs(n.p99_s / 0.3 - 1) < 0.1);
	table_close(table);
}

static void a_counter_that_began_anew_is_no_negative_rate(void **state)
{
	struct world *w = *state;
	size_t series = add_series(w, add_service(w, "shop"), "/", 200);

	open_screen(w, 100, 24);
	serve(w, series, 1000, MS);
	update(w);
	histogram_init(&w->histograms[series]);
	serve(w, series, 5, MS);
	pass(w, S);
	update(w);
	assert_line(w, "shop", "shop GET / 5.0 0% 1.00ms 1.00ms 1.00ms 0 - 0 -");
}

static void a_service_with_several_routes_has_a_subtotal(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop"), *auth = add_service(w, "auth");
	int subtotal;

	open_screen(w, 100, 24);
	serve(w, add_series(w, shop, "/a", 200), 2, 10 * MS);
	serve(w, add_series(w, shop, "/b", 200), 6, 20 * MS);
	serve(w, add_series(w, auth, "/login", 200), 4, 30 * MS);
	update(w);
	assert_line(w, "(all)", "shop (all) 4.0 0% 20.0ms 20.0ms 20.0ms 0 - 0 -");
	subtotal = screen_find(&w->screen, "(all)");
	assert_int_equal(subtotal, 2);
	assert_int_equal(screen_find(&w->screen, "/b"), 3);
	assert_int_equal(screen_find(&w->screen, "/a"), 4);
	assert_int_equal(screen_find(&w->screen, "/login"), 5);
	assert_string_equal(screen_style(&w->screen, subtotal, "shop"), "1");
}

static void the_overflow_series_has_a_row(void **state)
{
	struct world *w = *state;
	size_t series = add_series(w, NULL, NULL, 0);

	open_screen(w, 100, 24);
	w->series[series].overflow = true;
	w->series[series].method = NULL;
	serve(w, series, 2, 10 * MS);
	update(w);
	assert_line(w, "{overflow}", "(others) - {overflow} 1.0 0% 10.0ms 10.0ms 10.0ms 0 - 0 -");
}

static void numbers_have_sensible_digits(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} durations[] = {{0.00043, "0.43ms"},     {0.0121, "12.1ms"},  {1.23, "1.23s"},
			 {0, "0.00ms"},           {0.00999, "9.99ms"}, {0.009996, "10.0ms"},
			 {0.09996, "100ms"},      {0.9994, "999ms"},   {0.9996, "1.00s"},
			 {9.996, "10.0s"},        {99.96, "100s"},     {1234, "1234s"},
			 {__builtin_nan(""), "-"}};
	static const struct {
		double per_second;
		const char *text;
	} rates[] = {{0, "0"},       {0.017, "0.02"}, {0.99, "0.99"},  {0.999, "1.0"},
		     {99.9, "99.9"}, {99.96, "100"},  {1234.5, "1234"}};
	static const struct {
		uint64_t part, whole;
		const char *text;
	} shares[] = {{0, 0, "-"},   {0, 5, "0%"},       {1, 100000, "<0.1%"}, {1, 40, "2.5%"},
		      {1, 3, "33%"}, {99, 1000, "9.9%"}, {999, 1000, ">99%"},  {7, 7, "100%"}};
	static const struct {
		uint64_t count;
		const char *text;
	} counts[] = {{0, "0"},         {9999, "9999"},    {10000, "10k"},   {999499, "999k"},
		      {999500, "1.0M"}, {9949999, "9.9M"}, {9950000, "10M"}, {1234567890, "1235M"}};
	char out[CELLS_NUMBER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		cells_count(out, counts[i].count);
		assert_string_equal(out, counts[i].text);
	}
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		cells_duration(out, durations[i].seconds);
		assert_string_equal(out, durations[i].text);
	}
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		cells_rate(out, rates[i].per_second);
		assert_string_equal(out, rates[i].text);
	}
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		cells_share(out, shares[i].part, shares[i].whole);
		assert_string_equal(out, shares[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_anything_is_known_it_says_what_it_waits_for),
		TEST(known_services_without_requests_are_listed),
		TEST(a_row_sums_the_statuses_of_a_route),
		TEST(only_the_last_interval_counts),
		cmocka_unit_test(an_interval_ends_at_the_buckets_that_gained),
		TEST(the_interval_survives_a_change_of_scale),
		TEST(a_counter_that_began_anew_is_no_negative_rate),
		TEST(a_service_with_several_routes_has_a_subtotal),
		TEST(the_overflow_series_has_a_row),
		cmocka_unit_test(numbers_have_sensible_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
