// SPDX-License-Identifier: Apache-2.0
#include "../agent/pool_clues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define US 1000ll
#define MS (1000 * US)

static void bins_rise_with_the_value(void **state)
{
	int64_t value_ns = INT64_MIN;
	size_t last = clue_bin(value_ns), bin, steps = 0;

	(void)state;
	assert_int_equal(last, 0);
	for (value_ns = -(1ll << 62); value_ns < -2; value_ns /= 2) {
		bin = clue_bin(value_ns);
		assert_true(bin >= last);
		last = bin;
	}
	for (value_ns = 1; value_ns < 1ll << 61; value_ns += value_ns / 8 + 1) {
		bin = clue_bin(value_ns);
		assert_true(bin == last || bin == last + 1);
		steps += bin != last;
		last = bin;
	}
	assert_int_equal(last, CLUE_OPEN - 1);
	assert_int_equal(steps, 34);
	assert_int_equal(clue_bin(0), clue_bin(-15 * US));
	assert_int_equal(clue_bin(INT64_MAX), CLUE_OPEN - 1);
	assert_int_equal(clue_bin(100 * US) + 2, clue_bin(200 * US)); /* half octaves */
}

static void counts_have_bins_too(void **state)
{
	(void)state;
	assert_int_equal(clue_count_bin(0) + 1, clue_count_bin(1));
	assert_int_equal(clue_count_bin(20) + 16, clue_count_bin(5120));
	assert_int_equal(clue_count_bin(1 << 16), clue_count_bin(UINT64_MAX));
	assert_true(clue_count_bin(UINT64_MAX) < CLUE_OPEN);
}

static void a_short_time_speaks_for_a_request_before_anything_is_known(void **state)
{
	struct clue none[2] = {0};

	(void)state;
	assert_true(clue_ratio(none, clue_bin(50 * US)) > 3);
	assert_true(clue_ratio(none, clue_bin(500 * MS)) < 0.5f);
	assert_true(clue_ratio(none, clue_bin(-100 * MS)) < 0.5f);
}

static void what_was_seen_counts_for_more_than_what_was_assumed(void **state)
{
	struct clue seen[2] = {0};
	unsigned int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		clue_add(&seen[CLUE_OWN], clue_bin(50 * MS), 1);
		clue_add(&seen[CLUE_OTHERS], clue_bin(50 * US), 1);
	}
	assert_true(clue_ratio(seen, clue_bin(50 * MS)) > 20);
	assert_true(clue_ratio(seen, clue_bin(50 * US)) < 0.05f);
}

static void what_was_long_ago_is_forgotten(void **state)
{
	struct clue clue = {0}, common = {0};
	unsigned int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		clue_add(&clue, clue_bin(5 * MS), 1);
	for (i = 0; i < 5000; i++)
		clue_add(&clue, clue_bin(100 * US), 1);
	for (i = 0; i < CLUE_BINS; i++)
		clue_add(&common, i, 1);
	assert_true(clue.total < 401);
	assert_true(clue_against(&clue, &common, clue_bin(100 * US)) > 5);
	assert_true(clue_against(&clue, &common, clue_bin(5 * MS)) < 0.1f);
}

static void an_unknown_route_takes_what_is_common(void **state)
{
	struct clue unknown = {0}, common = {0};

	(void)state;
	clue_add(&common, clue_bin(5 * MS), 1);
	assert_true(clue_against(&unknown, &common, clue_bin(5 * MS)) == 1);
	assert_true(clue_against(&unknown, &common, clue_bin(100 * US)) == 1);
}

static void how_many_jobs_a_request_has_is_learned_job_by_job(void **state)
{
	static const float none[POOL_STAGES] = {1}, one[POOL_STAGES] = {0, 1},
			   two[POOL_STAGES] = {0, 0, 1};
	struct pool_clues never = {0}, half = {0}, always_two = {0};
	unsigned int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		pool_clues_retire(&never, none);
		pool_clues_retire(&half, i % 2 ? none : one);
		pool_clues_retire(&always_two, two);
	}
	assert_true(pool_clues_more(&never, 0) < 0.01f);
	assert_true(pool_clues_more(&half, 0) > 0.48f && pool_clues_more(&half, 0) < 0.52f);
	assert_true(pool_clues_more(&half, 1) < 0.01f);
	assert_true(pool_clues_more(&always_two, 0) > 0.99f);
	assert_true(pool_clues_more(&always_two, 1) > 0.99f);
	assert_true(pool_clues_more(&always_two, 2) < 0.01f);
	assert_true(pool_clues_more(&always_two, 3) < 0.01f); /* as after the second */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bins_rise_with_the_value),
		cmocka_unit_test(counts_have_bins_too),
		cmocka_unit_test(a_short_time_speaks_for_a_request_before_anything_is_known),
		cmocka_unit_test(what_was_seen_counts_for_more_than_what_was_assumed),
		cmocka_unit_test(what_was_long_ago_is_forgotten),
		cmocka_unit_test(an_unknown_route_takes_what_is_common),
		cmocka_unit_test(how_many_jobs_a_request_has_is_learned_job_by_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
