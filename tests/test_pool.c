// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/pool.h"

#define MANY 5000 /* objects: many blocks */

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;

	return (x > y) - (x < y);
}

static void assert_zero(const unsigned char *object, size_t size)
{
	while (size--)
		assert_int_equal(object[size], 0);
}

static void objects_are_apart_aligned_and_hold_what_is_written(void **state)
{
	static const size_t sizes[] = {8, 16, 17, 100, 500, 4000};
	static void *objects[MANY];
	struct pool pool;
	size_t s, i;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		pool_init(&pool, sizes[s], MANY);
		for (i = 0; i < MANY; i++) {
			objects[i] = pool_take(&pool);
			assert_non_null(objects[i]);
			assert_int_equal((uintptr_t)objects[i] % 16, 0);
			memset(objects[i], 0xff, sizes[s]);
		}
		assert_int_equal(pool.count, MANY);
		qsort(objects, MANY, sizeof(objects[0]), by_address);
		for (i = 1; i < MANY; i++)
			assert_true((char *)objects[i] - (char *)objects[i - 1] >=
				    (ptrdiff_t)sizes[s]);
		pool_close(&pool);
	}
}

static void an_object_is_zeroed_each_time_it_is_taken(void **state)
{
	struct pool pool;
	unsigned char *object;
	int i;

	(void)state;
	pool_init(&pool, 100, 10);
	for (i = 0; i < 3; i++) {
		object = pool_take(&pool);
		assert_non_null(object);
		assert_zero(object, 100);
		memset(object, 0xff, 100);
		pool_give(&pool, object);
	}
	pool_close(&pool);
}

static void the_bound_refuses_and_counts_and_what_is_given_back_is_taken_again(void **state)
{
	struct pool pool;
	void *objects[3], *given;
	int i;

	(void)state;
	pool_init(&pool, 100, 3);
	for (i = 0; i < 3; i++)
		objects[i] = pool_take(&pool);
	assert_int_equal(pool.refused, 0);
	assert_null(pool_take(&pool)); /* though its block has room for hundreds */
	assert_null(pool_take(&pool));
	assert_int_equal(pool.refused, 2);
	assert_int_equal(pool.count, 3);
	given = objects[1];
	pool_give(&pool, given);
	assert_int_equal(pool.count, 2);
	assert_ptr_equal(pool_take(&pool), given);
	assert_int_equal(pool.count, 3);
	assert_null(pool_take(&pool));
	assert_int_equal(pool.refused, 3);
	pool_close(&pool);
}

static void a_pool_for_nothing_gives_nothing(void **state)
{
	struct pool pool;

	(void)state;
	pool_init(&pool, 100, 0);
	assert_null(pool_take(&pool));
	assert_int_equal(pool.refused, 1);
	assert_null(pool.blocks);
	pool_close(&pool);
}

static void memory_is_kept_and_not_asked_for_again(void **state)
{
	static void *objects[MANY];
	struct pool pool;
	void *blocks;
	size_t i, round;

	(void)state;
	pool_init(&pool, 64, MANY);
	for (i = 0; i < MANY; i++)
		objects[i] = pool_take(&pool);
	blocks = pool.blocks; /* the newest block */
	for (round = 0; round < 3; round++) {
		for (i = 0; i < MANY; i++)
			pool_give(&pool, objects[i]);
		assert_int_equal(pool.count, 0);
		for (i = 0; i < MANY; i++)
			objects[i] = pool_take(&pool);
		assert_int_equal(pool.count, MANY);
		assert_ptr_equal(pool.blocks, blocks);
	}
	pool_close(&pool);
}

static void closing_twice_or_unused_does_no_harm(void **state)
{
	struct pool pool;

	(void)state;
	pool_init(&pool, 64, 10);
	pool_close(&pool);
	pool_init(&pool, 64, 10);
	assert_non_null(pool_take(&pool));
	pool_close(&pool);
	pool_close(&pool);
	assert_null(pool.blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_apart_aligned_and_hold_what_is_written),
		cmocka_unit_test(an_object_is_zeroed_each_time_it_is_taken),
		cmocka_unit_test(
			the_bound_refuses_and_counts_and_what_is_given_back_is_taken_again),
		cmocka_unit_test(a_pool_for_nothing_gives_nothing),
		cmocka_unit_test(memory_is_kept_and_not_asked_for_again),
		cmocka_unit_test(closing_twice_or_unused_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
