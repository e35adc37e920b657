// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/histogram.h"

#define MS 1000000ULL
#define S 1000000000ULL

#define VALUES_COUNT 5000

static const struct histogram_bounds *bounds = &histogram_duration_bounds;
static const struct histogram_bounds *fine = &histogram_fine_bounds;

/* splitmix64: the same numbers at every run. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static double random_unit(uint64_t *state)
{
	return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* Between lowest and lowest * factor, evenly spread over the logarithm. */
static uint64_t random_duration(uint64_t *state, uint64_t lowest_ns, double factor)
{
	return (uint64_t)((double)lowest_ns * pow(factor, random_unit(state)));
}

/* Any magnitude, from 0 to the largest uint64_t. */
static uint64_t random_magnitude(uint64_t *state)
{
	return random_next(state) >> random_next(state) % 64;
}

static uint64_t exponential_sum(const struct histogram *h)
{
	uint64_t sum = h->zero_count;

	for (uint32_t i = 0; i < h->used_count; i++)
		sum += h->exponential_counts[i];
	return sum;
}

static uint64_t explicit_sum(const struct histogram *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= bounds->count; i++)
		sum += h->explicit_counts[i];
	return sum;
}

static void assert_sound(const struct histogram *h)
{
	assert_int_equal(explicit_sum(h), h->count);
	assert_int_equal(exponential_sum(h), h->count);
	assert_true(h->used_count <= HISTOGRAM_EXPONENTIAL_BUCKETS);
	if (!h->used_count)
		return;
	assert_int_not_equal(h->exponential_counts[0], 0);
	assert_int_not_equal(h->exponential_counts[h->used_count - 1], 0);
	for (uint32_t i = h->used_count; i < HISTOGRAM_EXPONENTIAL_BUCKETS; i++)
		assert_int_equal(h->exponential_counts[i], 0);
}

static void assert_same(const struct histogram *a, const struct histogram *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->scale, b->scale);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->used_count, b->used_count);
	assert_memory_equal(a, b, sizeof(*a));
}

static void an_empty_histogram_has_the_finest_scale_and_no_quantile(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	assert_int_equal(h.count, 0);
	assert_int_equal(h.scale, HISTOGRAM_MAX_SCALE);
	assert_true(isnan(histogram_quantile_s(&h, 0.5)));
	histogram_add(&h, bounds, 1);
	assert_true(isnan(histogram_quantile_s(&h, NAN)));
}

static void the_duration_bounds_are_those_of_the_design(void **state)
{
	static const double expected[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75,
					  1,     2.5,  5,     7.5,  8,     10,  15,   30,  60};

	(void)state;
	assert_int_equal(bounds->count, sizeof(expected) / sizeof(expected[0]));
	assert_memory_equal(bounds->upper_s, expected, sizeof(expected));
	assert_int_equal(fine->count, 3 + bounds->count);
	assert_true(fine->upper_s[0] == 0.0001 && fine->upper_s[1] == 0.0005 &&
		    fine->upper_s[2] == 0.001);
	assert_memory_equal(fine->upper_s + 3, expected, sizeof(expected));
}

static void a_bound_is_inclusive_to_the_nanosecond(void **state)
{
	(void)state;
	for (size_t i = 0; i < bounds->count; i++) {
		uint64_t bound_ns = (uint64_t)llround(bounds->upper_s[i] * 1e9);
		struct histogram h;

		histogram_init(&h);
		histogram_add(&h, bounds, bound_ns - 1);
		histogram_add(&h, bounds, bound_ns);
		histogram_add(&h, bounds, bound_ns + 1);
		assert_int_equal(h.explicit_counts[i], 2);
		assert_int_equal(h.explicit_counts[i + 1], 1);
	}
}

static void bounds_below_a_millisecond_are_inclusive_too(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	histogram_add(&h, fine, 0);
	histogram_add(&h, fine, 100000);
	histogram_add(&h, fine, 100001);
	histogram_add(&h, fine, 500000);
	histogram_add(&h, fine, 500001);
	histogram_add(&h, fine, 1000000);
	histogram_add(&h, fine, UINT64_MAX);
	assert_int_equal(h.explicit_counts[0], 2);
	assert_int_equal(h.explicit_counts[1], 2);
	assert_int_equal(h.explicit_counts[2], 2);
	assert_int_equal(h.explicit_counts[21], 1);
}

static void sum_min_and_max_are_exact(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	histogram_add(&h, bounds, 7);
	assert_int_equal(h.min_ns, 7);
	assert_int_equal(h.max_ns, 7);
	histogram_add(&h, bounds, 3);
	histogram_add(&h, bounds, 11 * S);
	assert_int_equal(h.sum_ns, 11 * S + 10);
	assert_int_equal(h.min_ns, 3);
	assert_int_equal(h.max_ns, 11 * S);
}

static void bounds_are_the_same_in_both_units(void **state)
{
	const struct histogram_bounds *all[] = {&histogram_duration_bounds, &histogram_fine_bounds};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t b = 0; b < all[i]->count; b++)
			assert_int_equal(all[i]->upper_ns[b], llround(all[i]->upper_s[b] * 1e9));
	}
}

static void zero_has_its_own_bucket(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	histogram_add(&h, bounds, 5);
	histogram_add(&h, bounds, 0);
	assert_int_equal(h.zero_count, 1);
	assert_int_equal(h.used_count, 1);
	assert_int_equal(h.min_ns, 0);
	assert_int_equal(h.explicit_counts[0], 2);
	assert_sound(&h);
}

/* 2^k seconds are whole nanoseconds from k = -9 on: (..., 2^k] ends with them, at every scale. */
static void a_power_of_two_ends_its_bucket_at_every_scale(void **state)
{
	(void)state;
	for (int32_t scale = 1; scale <= HISTOGRAM_MAX_SCALE; scale++) {
		for (int k = -9; k <= 33; k++) {
			uint64_t value_ns = k < 0 ? S >> -k : S << k;
			struct histogram h;

			histogram_init(&h);
			h.scale = scale;
			histogram_add(&h, bounds, value_ns);
			assert_int_equal(h.scale, scale);
			assert_int_equal(h.offset, k * (1 << scale) - 1);
		}
	}
}

static void a_value_just_above_a_power_of_two_is_in_the_next_bucket(void **state)
{
	(void)state;
	for (int k = -9; k <= 10; k++) {
		uint64_t value_ns = (k < 0 ? S >> -k : S << k) + 1;
		struct histogram h;

		histogram_init(&h);
		h.scale = 1;
		histogram_add(&h, bounds, value_ns);
		assert_int_equal(h.offset, k * 2);
	}
}

static void every_value_lies_within_the_ends_of_its_bucket(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t value_ns = random_magnitude(&seed) | 1;
		struct histogram h;
		double value_s = (double)value_ns / 1e9, lower, upper;

		histogram_init(&h);
		h.scale = 1 + (int32_t)(random_next(&seed) % HISTOGRAM_MAX_SCALE);
		histogram_add(&h, bounds, value_ns);
		lower = exp2(ldexp(h.offset, -h.scale));
		upper = exp2(ldexp(h.offset + 1.0, -h.scale));
		/* exp2() and log2() each err by a few units in the last place, no more. */
		assert_true(value_s > lower * (1 - 1e-14));
		assert_true(value_s <= upper * (1 + 1e-14));
	}
}

static void equal_values_stay_at_the_finest_scale(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	for (int i = 0; i < 1000; i++)
		histogram_add(&h, bounds, 123456789);
	assert_int_equal(h.scale, HISTOGRAM_MAX_SCALE);
	assert_int_equal(h.used_count, 1);
	assert_int_equal(h.exponential_counts[0], 1000);
}

static void the_scale_falls_no_further_than_the_range_asks(void **state)
{
	/* 1 s ends bucket -1 and 2^31 ms of it ends bucket 5 * 32 - 1: 161 buckets of scale 5. */
	static const struct {
		uint64_t lowest_ns, highest_ns;
		int32_t scale;
		uint32_t used_count;
	} cases[] = {
		{S, S, 20, 1},      {S + 1, 32 * S, 5, 160}, {S, 32 * S, 4, 81},
		{S, 2 * S, 7, 129}, {1, UINT64_MAX, 1, 129},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct histogram up, down;

		histogram_init(&up);
		histogram_init(&down);
		histogram_add(&up, bounds, cases[i].lowest_ns);
		histogram_add(&up, bounds, cases[i].highest_ns);
		histogram_add(&down, bounds, cases[i].highest_ns);
		histogram_add(&down, bounds, cases[i].lowest_ns);
		assert_int_equal(up.scale, cases[i].scale);
		assert_int_equal(up.used_count, cases[i].used_count);
		assert_sound(&up);
		assert_same(&up, &down);
	}
}

static void every_count_adds_up_whatever_comes_in_whatever_order(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct histogram h;

		histogram_init(&h);
		for (int i = 0; i < 100; i++) {
			histogram_add(&h, bounds, random_magnitude(&seed));
			assert_sound(&h);
		}
		assert_int_equal(h.count, 100);
	}
}

static void merging_equals_adding_everything(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint64_t lowest_a = 1 + random_magnitude(&seed) % (100 * S),
			 count_a = random_next(&seed) % 60;
		uint64_t lowest_b = 1 + random_magnitude(&seed) % (100 * S),
			 count_b = random_next(&seed) % 60;
		double factor_a = pow(10, random_unit(&seed) * 6);
		double factor_b = pow(10, random_unit(&seed) * 6);
		struct histogram a, b, all;

		histogram_init(&a);
		histogram_init(&b);
		histogram_init(&all);
		for (uint64_t i = 0; i < count_a + count_b; i++) {
			uint64_t value_ns = i < count_a
						    ? random_duration(&seed, lowest_a, factor_a)
						    : random_duration(&seed, lowest_b, factor_b);

			if (random_next(&seed) % 20 == 0)
				value_ns = 0;
			histogram_add(i < count_a ? &a : &b, bounds, value_ns);
			histogram_add(&all, bounds, value_ns);
		}
		histogram_merge(&a, &b);
		assert_same(&a, &all);
		assert_sound(&a);
	}
}

static void merging_an_empty_histogram_changes_nothing(void **state)
{
	struct histogram empty, full, copy;

	(void)state;
	histogram_init(&empty);
	histogram_init(&full);
	histogram_add(&full, bounds, 5 * MS);
	histogram_add(&full, bounds, 5 * S);
	copy = full;
	histogram_merge(&full, &empty);
	assert_same(&full, &copy);
	histogram_merge(&empty, &full);
	assert_same(&empty, &copy);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static double worst_quantile_error(uint64_t lowest_ns, double factor, int32_t *scale)
{
	static uint64_t values[VALUES_COUNT];
	uint64_t seed = 4;
	struct histogram h;
	double worst = 0;

	histogram_init(&h);
	for (int i = 0; i < VALUES_COUNT; i++) {
		values[i] = random_duration(&seed, lowest_ns, factor);
		histogram_add(&h, bounds, values[i]);
	}
	qsort(values, VALUES_COUNT, sizeof(values[0]), compare_u64);
	for (int i = 0; i <= VALUES_COUNT; i++) {
		uint64_t true_ns = values[i ? i - 1 : 0];
		double q = (double)i / VALUES_COUNT;
		double error = fabs(histogram_quantile_s(&h, q) * 1e9 / (double)true_ns - 1);

		worst = error > worst ? error : worst;
	}
	*scale = h.scale;
	return worst;
}

static void quantiles_err_by_no_more_than_promised(void **state)
{
	static const struct {
		double factor;
		int32_t scale; /* at least */
		double error;
	} cases[] = {
		{31, 5, 0.011}, {32, 4, 0.022}, {9e5, 3, 0.044}, {1e6, 2, 0.087}, {9e11, 2, 0.087},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint64_t lowest_ns = 20000; lowest_ns < 30000; lowest_ns += 1237) {
			int32_t scale;
			double worst = worst_quantile_error(lowest_ns, cases[i].factor, &scale);
			double base = exp2(ldexp(1, -scale));

			assert_true(scale >= cases[i].scale);
			assert_true(worst <= cases[i].error);
			assert_true(worst <= (base - 1) / (base + 1) * (1 + 1e-9));
		}
	}
}

static void a_quantile_is_never_outside_of_what_was_added(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	h.scale = 1;
	for (int i = 0; i < 10; i++)
		histogram_add(&h, bounds, 1100 * MS);
	assert_true(histogram_quantile_s(&h, 0.5) == 1.1);
	assert_true(histogram_quantile_s(&h, 0) == 1.1);
	assert_true(histogram_quantile_s(&h, 1) == 1.1);
}

static void the_smallest_and_the_largest_value_are_exact_quantiles(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	for (uint64_t i = 1; i <= 100; i++)
		histogram_add(&h, bounds, i * 10 * MS); /* 1 s ends its bucket */
	assert_true(histogram_quantile_s(&h, 0) == 0.01);
	assert_true(histogram_quantile_s(&h, 0.01) == 0.01);
	assert_true(histogram_quantile_s(&h, 1) == 1);
}

/* 0.07 * 100 is 7.000000000000001 in doubles. */
static void a_whole_rank_is_not_rounded_up(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	for (int i = 0; i < 100; i++)
		histogram_add(&h, bounds, i < 7 ? 1 * MS : 1 * S);
	assert_true(histogram_quantile_s(&h, 0.07) < 0.0011);
	assert_true(histogram_quantile_s(&h, 0.08) > 0.9);
}

static void zeros_count_in_quantiles(void **state)
{
	struct histogram h;

	(void)state;
	histogram_init(&h);
	for (int i = 0; i < 60; i++)
		histogram_add(&h, bounds, 0);
	for (int i = 0; i < 40; i++)
		histogram_add(&h, bounds, 1 * S);
	assert_true(histogram_quantile_s(&h, 0.6) == 0);
	assert_true(fabs(histogram_quantile_s(&h, 0.61) - 1) < 1e-6);
}

static void what_was_added_since_is_the_difference_at_any_scale(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (int round = 0; round < 50; round++) {
		struct histogram h, since, earlier;

		histogram_init(&h);
		histogram_init(&since);
		for (int i = 0; i < 300; i++)
			histogram_add(&h, bounds, random_duration(&seed, MS, 1 + round));
		earlier = h;
		for (int i = 0; i < 200; i++) {
			uint64_t value = random_magnitude(&seed) >> (round % 40);

			histogram_add(&h, bounds, value);
			histogram_add(&since, bounds, value);
		}
		histogram_subtract(&h, &earlier);
		assert_int_equal(h.count, 200);
		assert_int_equal(h.sum_ns, since.sum_ns);
		assert_int_equal(h.zero_count, since.zero_count);
		assert_memory_equal(h.explicit_counts, since.explicit_counts,
				    sizeof(h.explicit_counts));
		assert_int_equal(exponential_sum(&h), 200);
		/* to the scale and the buckets of h: what is added to it there changes neither */
		for (uint32_t i = 0; i < since.used_count; i++) {
			int32_t index = (since.offset + (int32_t)i) >> (since.scale - h.scale);

			h.exponential_counts[index - h.offset] -= since.exponential_counts[i];
		}
		assert_int_equal(exponential_sum(&h) - h.zero_count, 0);
		for (uint32_t i = 0; i < h.used_count; i++)
			assert_int_equal(h.exponential_counts[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_histogram_has_the_finest_scale_and_no_quantile),
		cmocka_unit_test(the_duration_bounds_are_those_of_the_design),
		cmocka_unit_test(a_bound_is_inclusive_to_the_nanosecond),
		cmocka_unit_test(bounds_below_a_millisecond_are_inclusive_too),
		cmocka_unit_test(bounds_are_the_same_in_both_units),
		cmocka_unit_test(sum_min_and_max_are_exact),
		cmocka_unit_test(zero_has_its_own_bucket),
		cmocka_unit_test(a_power_of_two_ends_its_bucket_at_every_scale),
		cmocka_unit_test(a_value_just_above_a_power_of_two_is_in_the_next_bucket),
		cmocka_unit_test(every_value_lies_within_the_ends_of_its_bucket),
		cmocka_unit_test(equal_values_stay_at_the_finest_scale),
		cmocka_unit_test(the_scale_falls_no_further_than_the_range_asks),
		cmocka_unit_test(every_count_adds_up_whatever_comes_in_whatever_order),
		cmocka_unit_test(merging_equals_adding_everything),
		cmocka_unit_test(what_was_added_since_is_the_difference_at_any_scale),
		cmocka_unit_test(merging_an_empty_histogram_changes_nothing),
		cmocka_unit_test(quantiles_err_by_no_more_than_promised),
		cmocka_unit_test(a_quantile_is_never_outside_of_what_was_added),
		cmocka_unit_test(the_smallest_and_the_largest_value_are_exact_quantiles),
		cmocka_unit_test(a_whole_rank_is_not_rounded_up),
		cmocka_unit_test(zeros_count_in_quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
