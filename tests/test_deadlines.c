// SPDX-License-Identifier: Apache-2.0
#include "../agent/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS_MAX 500

struct item {
	struct deadline deadline;
	uint64_t at_ns; /* as the model has it */
	bool added;
};

static uint64_t random_below(uint64_t n)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 33) % n;
}

static void the_earliest_before_now_is_taken_first(void **state)
{
	static const uint64_t at_ns[] = {50, 10, 40, 10, 30, 20};
	static const uint64_t order[] = {10, 10, 20, 30};
	struct deadline items[6] = {0}, *taken;
	struct deadlines d = {0};
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++)
		assert_true(deadlines_add(&d, &items[i], at_ns[i]));
	for (i = 0; i < 4; i++) {
		taken = deadlines_take(&d, 40);
		assert_non_null(taken);
		assert_int_equal(taken->at_ns, order[i]);
		assert_int_equal(taken->place, 0);
	}
	assert_null(deadlines_take(&d, 40)); /* it lies not before */
	assert_ptr_equal(deadlines_take(&d, 41), &items[2]);
	assert_int_equal(d.count, 1);
	deadlines_close(&d);
}

static void one_that_is_removed_never_passes(void **state)
{
	struct deadline items[10] = {0};
	struct deadlines d = {0};
	size_t i, removed;

	(void)state;
	for (removed = 0; removed < 10; removed++) {
		for (i = 0; i < 10; i++)
			assert_true(deadlines_add(&d, &items[i], 100 + (i * 7) % 10));
		deadlines_remove(&d, &items[removed]);
		assert_int_equal(items[removed].place, 0);
		deadlines_remove(&d, &items[removed]); /* no harm */
		assert_int_equal(d.count, 9);
		for (i = 0; i < 10; i++) {
			struct deadline *wanted = NULL;
			size_t j;

			for (j = 0; j < 10; j++) /* 7 and 10 have no common factor */
				wanted = items[j].at_ns == 100 + i ? &items[j] : wanted;
			if (wanted != &items[removed])
				assert_ptr_equal(deadlines_take(&d, UINT64_MAX), wanted);
		}
		assert_null(deadlines_take(&d, UINT64_MAX));
	}
	deadlines_close(&d);
}

static void an_empty_heap_gives_nothing_and_can_be_closed_twice(void **state)
{
	struct deadline deadline = {0};
	struct deadlines d = {0};

	(void)state;
	assert_null(deadlines_take(&d, UINT64_MAX));
	deadlines_remove(&d, &deadline);
	deadlines_close(&d);
	assert_true(deadlines_add(&d, &deadline, 5));
	deadlines_close(&d);
	deadlines_close(&d);
	assert_int_equal(d.count, 0);
	assert_int_equal(d.refused, 0);
}

static void thousands_come_out_in_order(void **state)
{
	enum { COUNT = 5000 };
	struct deadline *items = calloc(COUNT, sizeof(*items));
	struct deadlines d = {0};
	uint64_t last_ns = 0;
	size_t i;

	(void)state;
	assert_non_null(items);
	for (i = 0; i < COUNT; i++)
		assert_true(deadlines_add(&d, &items[i], 1 + random_below(1000)));
	for (i = 0; i < COUNT; i++) {
		const struct deadline *taken = deadlines_take(&d, UINT64_MAX);

		assert_true(taken->at_ns >= last_ns);
		last_ns = taken->at_ns;
	}
	assert_int_equal(d.count, 0);
	deadlines_close(&d);
	free(items);
}

/* The earliest before now_ns, as a look through all finds it; UINT64_MAX: none. */
static uint64_t earliest(const struct item *items, uint64_t now_ns)
{
	uint64_t at_ns = UINT64_MAX;
	size_t i;

	for (i = 0; i < ITEMS_MAX; i++) {
		if (items[i].added && items[i].at_ns < now_ns && items[i].at_ns < at_ns)
			at_ns = items[i].at_ns;
	}
	return at_ns;
}

static void take_like_the_model(struct deadlines *d, struct item *items, uint64_t now_ns)
{
	uint64_t at_ns = earliest(items, now_ns);
	struct item *taken = (struct item *)deadlines_take(d, now_ns);

	if (at_ns == UINT64_MAX) {
		assert_null(taken);
		return;
	}
	assert_non_null(taken);
	assert_true(taken->added);
	assert_int_equal(taken->deadline.at_ns, at_ns);
	taken->added = false;
}

static void any_sequence_does_what_a_plain_list_does(void **state)
{
	static struct item items[ITEMS_MAX];
	struct deadlines d = {0};
	size_t step, count = 0, i;

	(void)state;
	memset(items, 0, sizeof(items));
	for (step = 0; step < 20000; step++) {
		struct item *item = &items[random_below(ITEMS_MAX)];

		if (random_below(4) == 0) {
			take_like_the_model(&d, items, random_below(1000));
		} else if (item->added) {
			deadlines_remove(&d, &item->deadline);
			item->added = false;
		} else {
			item->at_ns = random_below(1000);
			item->added = deadlines_add(&d, &item->deadline, item->at_ns);
			assert_true(item->added);
		}
	}
	for (i = 0; i < ITEMS_MAX; i++)
		count += items[i].added;
	assert_int_equal(d.count, count);
	while (count--)
		take_like_the_model(&d, items, UINT64_MAX);
	take_like_the_model(&d, items, UINT64_MAX);
	deadlines_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_earliest_before_now_is_taken_first),
		cmocka_unit_test(one_that_is_removed_never_passes),
		cmocka_unit_test(an_empty_heap_gives_nothing_and_can_be_closed_twice),
		cmocka_unit_test(thousands_come_out_in_order),
		cmocka_unit_test(any_sequence_does_what_a_plain_list_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
