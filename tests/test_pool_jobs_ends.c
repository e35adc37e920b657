// SPDX-License-Identifier: Apache-2.0
/* Jobs of threads that end, and jobs that begin when all requests have been answered. */
#include "../agent/pool_jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PID 10
#define LOOP 10
#define WORKER 11
#define MS 1000000ull
#define SECOND (1000 * MS)
#define BEGIN (1000 * SECOND)
#define CHARGES_MAX 16

struct bed {
	struct pool_jobs *jobs;
	struct pool_charge charges[CHARGES_MAX];
	size_t charge_count;
};

static struct bed bed;
static const char service[] = "shop", items[] = "/items", users[] = "/users";

static void on_charge(void *context, const struct pool_charge *charge)
{
	(void)context;
	bed.charges[bed.charge_count++ % CHARGES_MAX] = *charge;
}

static void on_track(void *context, uint32_t pid, uint32_t tid)
{
	(void)context;
	(void)pid;
	(void)tid;
}

static struct pool_request *read_request(const void *route, uint64_t start_ns)
{
	struct pool_request *request = pool_jobs_request(bed.jobs, PID, LOOP, NULL, start_ns);

	pool_jobs_route(bed.jobs, request, service, route);
	return request;
}

static struct pool_job job_at(uint64_t begin_ns, uint64_t cpu_ns)
{
	return (struct pool_job){
		.pid = PID,
		.tid = WORKER,
		.loop_tid = LOOP,
		.begin_ns = begin_ns,
		.seen_ns = begin_ns + cpu_ns,
		.cpu_ns = cpu_ns,
		.minor_faults = 2,
		.ended = true,
	};
}

/* The loop is known from a job long ago. */
static int set_up(void **state)
{
	const struct pool_jobs_sink sink = {on_charge, on_track, NULL};
	struct pool_job job = job_at(BEGIN - 10 * SECOND, MS);

	(void)state;
	memset(&bed, 0, sizeof(bed));
	if (pool_jobs_open(&bed.jobs, &sink))
		return -1;
	pool_jobs_job(bed.jobs, &job);
	pool_jobs_settle(bed.jobs, BEGIN - 8 * SECOND);
	bed.charge_count = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pool_jobs_close(bed.jobs);
	return 0;
}

/* One job while its request is in flight, and one when only another one is; ends: with it the
 * thread. */
static void do_two_jobs(uint32_t second_tid, bool ends)
{
	struct pool_job first = job_at(BEGIN + MS, 2 * MS), second = job_at(BEGIN + 7 * MS, MS);

	pool_jobs_answered(bed.jobs, read_request(items, BEGIN), BEGIN + 5 * MS);
	read_request(users, BEGIN + 6 * MS);
	second.tid = second_tid;
	second.last = ends;
	pool_jobs_job(bed.jobs, &first);
	pool_jobs_job(bed.jobs, &second);
	pool_jobs_settle(bed.jobs, BEGIN + 2 * SECOND);
}

static void what_a_thread_did_that_has_ended_is_one_job(void **state)
{
	(void)state;
	do_two_jobs(WORKER, true);
	assert_int_equal(bed.charge_count, 1);
	assert_ptr_equal(bed.charges[0].route, items);
	assert_int_equal(bed.charges[0].cpu_ns, 3 * MS);
	assert_int_equal(bed.charges[0].minor_faults, 4);
	assert_int_equal(pool_jobs_stats(bed.jobs).waiting_count, 0);
}

static void what_one_did_that_goes_on_is_not(void **state)
{
	(void)state;
	do_two_jobs(WORKER, false);
	assert_int_equal(bed.charge_count, 2);
	assert_ptr_equal(bed.charges[0].route, items);
	assert_ptr_equal(bed.charges[1].route, users);
}

static void what_another_thread_did_is_not_joined(void **state)
{
	(void)state;
	do_two_jobs(WORKER + 1, true);
	assert_int_equal(bed.charge_count, 2);
	assert_ptr_equal(bed.charges[1].route, users);
	assert_int_equal(bed.charges[1].cpu_ns, MS);
}

static void what_was_decided_is_not_joined(void **state)
{
	struct pool_job first = job_at(BEGIN + MS, 2 * MS), second = job_at(BEGIN + 3 * SECOND, MS);

	(void)state;
	read_request(items, BEGIN);
	pool_jobs_job(bed.jobs, &first);
	pool_jobs_settle(bed.jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed.charge_count, 1);
	second.last = true;
	pool_jobs_job(bed.jobs, &second);
	pool_jobs_settle(bed.jobs, BEGIN + 5 * SECOND);
	assert_int_equal(bed.charge_count, 2);
	assert_int_equal(bed.charges[1].cpu_ns, MS);
}

static void a_job_with_nothing_in_flight_is_for_what_the_loop_answered_last(void **state)
{
	struct pool_job job = job_at(BEGIN, 3 * MS);

	(void)state;
	job.service = service;
	job.route = items;
	pool_jobs_job(bed.jobs, &job);
	pool_jobs_settle(bed.jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed.charge_count, 1);
	assert_ptr_equal(bed.charges[0].service, service);
	assert_ptr_equal(bed.charges[0].route, items);
	assert_null(bed.charges[0].exchange);
	assert_int_equal(bed.charges[0].cpu_ns, 3 * MS);
	assert_false(bed.charges[0].split);
}

static void with_one_in_flight_it_is_that_ones(void **state)
{
	struct pool_job job = job_at(BEGIN + MS, 3 * MS);

	(void)state;
	read_request(users, BEGIN);
	job.service = service;
	job.route = items;
	pool_jobs_job(bed.jobs, &job);
	pool_jobs_settle(bed.jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed.charge_count, 1);
	assert_ptr_equal(bed.charges[0].route, users);
}

static void a_service_that_goes_is_not_charged_any_more(void **state)
{
	struct pool_job job = job_at(BEGIN, 3 * MS);

	(void)state;
	job.service = service;
	job.route = items;
	pool_jobs_job(bed.jobs, &job);
	pool_jobs_forget_service(bed.jobs, service);
	pool_jobs_settle(bed.jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed.charge_count, 1);
	assert_null(bed.charges[0].service);
	assert_null(bed.charges[0].route);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_thread_did_that_has_ended_is_one_job),
		TEST(what_one_did_that_goes_on_is_not),
		TEST(what_another_thread_did_is_not_joined),
		TEST(what_was_decided_is_not_joined),
		TEST(a_job_with_nothing_in_flight_is_for_what_the_loop_answered_last),
		TEST(with_one_in_flight_it_is_that_ones),
		TEST(a_service_that_goes_is_not_charged_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
