// SPDX-License-Identifier: Apache-2.0
/* Which requests of a line are looked at for a job, and which of them are candidates. What it is
 * decided by is tested as a whole: test_pool_jobs*.c. */
#include "../agent/pool_owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS 1000000ull
#define COUNT 1000

/* One is read each millisecond, and answered 5 ms later. */
struct bed {
	struct pool_line line;
	struct pool_route known;
	struct pool_request requests[COUNT];
	struct pool_candidates candidates;
};

static struct bed bed;

static int set_up(void **state)
{
	size_t i;

	(void)state;
	bed = (struct bed){};
	pool_line_init(&bed.line);
	for (i = 0; i < COUNT; i++) {
		bed.requests[i] = (struct pool_request){
			.known = &bed.known,
			.start_ns = (1000 + i) * MS,
			.end_ns = (1005 + i) * MS,
		};
		pool_line_add(&bed.line, &bed.requests[i]);
	}
	return 0;
}

static void weigh(uint64_t begin_ns)
{
	const struct pool_work work = {
		.begin_ns = begin_ns,
		.end_ns = begin_ns + MS,
		.cpu_ns = MS,
		.ended = true,
	};

	pool_owner_weigh(&bed.line, &work, &bed.candidates);
}

/* The candidates are those from first on. */
static void assert_candidates(uint64_t begin_ns, size_t first, size_t count, size_t looked_at)
{
	size_t i;

	weigh(begin_ns);
	assert_int_equal(bed.candidates.count, count);
	for (i = 0; i < count; i++)
		assert_ptr_equal(bed.candidates.all[i].request, &bed.requests[first + i]);
	assert_int_equal(bed.candidates.looked_at, looked_at);
}

static void requests_read_after_a_job_began_are_not_looked_at(void **state)
{
	(void)state;
	assert_candidates(1100 * MS + MS / 2, 96, 5, 101);
	assert_candidates(1010 * MS, 5, 6, 11);
	assert_candidates(999 * MS, 0, 0, 0);
}

/* It waits for its next job from then on, but may be thought not to have had the first. */
static void one_whose_job_ended_later_is_still_found(void **state)
{
	(void)state;
	pool_line_move(&bed.line, &bed.requests[96], 1150 * MS);
	weigh(1100 * MS + MS / 2);
	assert_int_equal(bed.candidates.count, 5);
	assert_ptr_equal(bed.candidates.all[0].request, &bed.requests[97]);
	assert_ptr_equal(bed.candidates.all[4].request, &bed.requests[96]);
	assert_int_equal(bed.candidates.looked_at, 151);
}

static void the_oldest_are_candidates_if_there_are_too_many(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		bed.requests[i].end_ns = 0;
	assert_candidates(3000 * MS, 0, POOL_JOBS_CANDIDATES_MAX, POOL_JOBS_CANDIDATES_MAX);
}

/* All turns are starts again: no job of before makes it look further. */
static void a_line_that_was_rewound_is_looked_at_as_at_first(void **state)
{
	(void)state;
	pool_line_move(&bed.line, &bed.requests[96], 1900 * MS);
	pool_line_rewind(&bed.line, 0);
	assert_candidates(1100 * MS + MS / 2, 96, 5, 101);
}

/* Each request has a worker of its own, which does all its jobs; some are out of order. */
static void a_worker_for_each_request_is_learned(void **state)
{
	struct pool_work work = {.cpu_ns = MS, .ended = true};
	size_t i, job;

	(void)state;
	pool_line_init(&bed.line);
	for (i = 0; i + 1 < 200; i += 2) {
		const uint32_t order[] = {0, 1, i % 8 == 6, i % 8 != 6};

		for (job = 0; job < 2; job++) {
			bed.requests[i + job].start_ns = (i + 1) * 100 * MS;
			bed.requests[i + job].end_ns = (i + 1) * 100 * MS + 50 * MS;
			pool_line_add(&bed.line, &bed.requests[i + job]);
		}
		for (job = 0; job < 4; job++) {
			work.tid = (uint32_t)(1000 + i + order[job]);
			work.begin_ns = (i + 1) * 100 * MS + (1 + 2 * job) * MS;
			work.end_ns = work.begin_ns + MS;
			pool_owner_weigh(&bed.line, &work, &bed.candidates);
			pool_owner_learn(&bed.line, &work, &bed.candidates);
		}
	}
	/* The last two jobs, against the order of their turns. */
	assert_int_equal(bed.requests[198].worker_tid, 1198);
	assert_int_equal(bed.requests[199].worker_tid, 1199);
	assert_true(clue_worker_ratio(bed.line.worker, true) > 2);
	assert_true(clue_worker_ratio(bed.line.worker, false) < 0.2f);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_read_after_a_job_began_are_not_looked_at),
		TEST(one_whose_job_ended_later_is_still_found),
		TEST(the_oldest_are_candidates_if_there_are_too_many),
		TEST(a_line_that_was_rewound_is_looked_at_as_at_first),
		TEST(a_worker_for_each_request_is_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
