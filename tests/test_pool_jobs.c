// SPDX-License-Identifier: Apache-2.0
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
#define CHARGES_MAX 64
#define OPEN_MAX 8

struct open {
	void *exchange;
	uint64_t start_ns;
	const void *route;
	struct pool_request *request;
};

struct bed {
	struct pool_jobs *jobs;
	struct pool_charge charges[CHARGES_MAX];
	size_t charge_count, track_count;
	uint64_t cpu_ns, minor_faults, major_faults; /* of all charges */
	struct open open[OPEN_MAX]; /* what is in flight when a loop is first tracked */
	size_t open_count;
};

static const char service[] = "shop", items[] = "/items", users[] = "/users";

static void on_charge(void *context, const struct pool_charge *charge)
{
	struct bed *bed = context;

	bed->cpu_ns += charge->cpu_ns;
	bed->minor_faults += charge->minor_faults;
	bed->major_faults += charge->major_faults;
	bed->charges[bed->charge_count++ % CHARGES_MAX] = *charge;
}

static struct pool_request *add_request(struct bed *bed, const void *route, uint64_t start_ns)
{
	struct pool_request *request =
		pool_jobs_request(bed->jobs, PID, LOOP, (void *)route, start_ns);

	pool_jobs_route(bed->jobs, request, service, route);
	return request;
}

static void on_track(void *context, uint32_t pid, uint32_t tid)
{
	struct bed *bed = context;
	size_t i;

	bed->track_count++;
	for (i = 0; i < bed->open_count && pid == PID && tid == LOOP; i++)
		bed->open[i].request = add_request(bed, bed->open[i].route, bed->open[i].start_ns);
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
		.ended = true,
	};
}

static int set_up(void **state)
{
	static struct bed bed;
	struct pool_jobs_sink sink = {.charge = on_charge, .track = on_track, .context = &bed};

	memset(&bed, 0, sizeof(bed));
	*state = &bed;
	return pool_jobs_open(&bed.jobs, &sink);
}

static int tear_down(void **state)
{
	struct bed *bed = *state;

	pool_jobs_close(bed->jobs);
	return 0;
}

/* A job of which nothing is in flight: the loop is tracked from then on. */
static void track(struct bed *bed)
{
	struct pool_job job = job_at(BEGIN - 10 * SECOND, MS);

	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN - 8 * SECOND);
	memset(bed->charges, 0, sizeof(bed->charges));
	bed->charge_count = 0;
	bed->cpu_ns = 0;
}

/* --- whose --- */

static void a_job_is_that_of_the_only_request_in_flight(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 3 * MS);
	struct pool_request *earlier, *request;

	track(bed);
	earlier = add_request(bed, users, BEGIN - 5 * MS);
	pool_jobs_answered(bed->jobs, earlier, BEGIN - MS);
	request = add_request(bed, items, BEGIN);
	add_request(bed, users, BEGIN + 2 * MS);
	job.minor_faults = 7;
	job.major_faults = 2;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_int_equal(bed->charges[0].pid, PID);
	assert_ptr_equal(bed->charges[0].service, service);
	assert_ptr_equal(bed->charges[0].route, items);
	assert_ptr_equal(bed->charges[0].exchange, items);
	assert_int_equal(bed->charges[0].cpu_ns, 3 * MS);
	assert_int_equal(bed->charges[0].minor_faults, 7);
	assert_int_equal(bed->charges[0].major_faults, 2);
	assert_false(bed->charges[0].split);
	pool_jobs_answered(bed->jobs, request, BEGIN + 3 * SECOND);
}

static void an_exchange_is_not_given_once_it_was_answered(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 3 * MS);
	struct pool_request *request;

	track(bed);
	request = add_request(bed, items, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_answered(bed->jobs, request, BEGIN + 5 * MS);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_ptr_equal(bed->charges[0].route, items);
	assert_null(bed->charges[0].exchange);
}

static void a_job_with_nothing_in_flight_is_nobodys(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN, 3 * MS);

	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_null(bed->charges[0].service);
	assert_null(bed->charges[0].route);
	assert_int_equal(bed->charges[0].pid, PID);
	assert_int_equal(bed->charges[0].cpu_ns, 3 * MS);
	assert_int_equal(pool_jobs_stats(bed->jobs).orphans, 1);
}

static void what_is_ambiguous_is_split_and_adds_up(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 1000003);
	size_t i;

	track(bed);
	add_request(bed, items, BEGIN);
	add_request(bed, users, BEGIN);
	job.minor_faults = 101;
	job.major_faults = 3;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 2);
	for (i = 0; i < 2; i++) {
		assert_true(bed->charges[i].split);
		assert_in_range(bed->charges[i].cpu_ns, 100000, 900000);
	}
	assert_ptr_not_equal(bed->charges[0].route, bed->charges[1].route);
	assert_int_equal(bed->cpu_ns, 1000003);
	assert_int_equal(bed->minor_faults, 101);
	assert_int_equal(bed->major_faults, 3);
}

static void two_requests_of_one_route_leave_nothing_to_split(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS);

	track(bed);
	add_request(bed, items, BEGIN);
	add_request(bed, items, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_false(bed->charges[0].split);
	assert_int_equal(bed->charges[0].cpu_ns, 5 * MS);
}

static void a_route_counts_as_it_is_known_when_the_job_is_decided(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS);
	struct pool_request *request;

	track(bed);
	request = add_request(bed, NULL, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_route(bed->jobs, request, service, users);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_ptr_equal(bed->charges[0].route, users);
	assert_int_equal(pool_jobs_stats(bed->jobs).route_count, 1);
}

static void requests_that_were_read_before_the_first_job_are_asked_for(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS), other = job;

	assert_null(pool_jobs_request(bed->jobs, PID, LOOP, NULL, BEGIN));
	bed->open[0] = (struct open){.start_ns = BEGIN, .route = items};
	bed->open_count = 1;
	pool_jobs_job(bed->jobs, &job);
	other.tid++;
	other.begin_ns += 10 * MS;
	pool_jobs_job(bed->jobs, &other);
	assert_int_equal(bed->track_count, 1); /* it is tracked already */
	assert_non_null(bed->open[0].request);
	assert_null(pool_jobs_request(bed->jobs, PID, LOOP + 1, NULL, BEGIN));
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 2);
	assert_ptr_equal(bed->charges[0].route, items);
	assert_ptr_equal(bed->charges[1].route, items);
}

static void work_taken_without_sleep_may_be_for_a_request_read_since(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN, 5 * MS);
	struct pool_request *request;

	track(bed);
	request = add_request(bed, items, BEGIN + MS);
	job.unwoken = true;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_answered(bed->jobs, request, BEGIN + 6 * MS);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_ptr_equal(bed->charges[0].route, items);
}

/* --- when --- */

static void a_job_is_decided_a_second_after_its_begin(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS);

	track(bed);
	add_request(bed, items, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + MS + POOL_JOBS_DELAY_NS - 1);
	assert_int_equal(bed->charge_count, 0);
	pool_jobs_settle(bed->jobs, BEGIN + MS + POOL_JOBS_DELAY_NS);
	assert_int_equal(bed->charge_count, 1);
}

static void a_job_is_decided_soon_when_all_is_answered(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS);
	struct pool_request *request;

	track(bed);
	request = add_request(bed, items, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_answered(bed->jobs, request, BEGIN + 7 * MS);
	pool_jobs_settle(bed->jobs, BEGIN + 10 * MS);
	assert_int_equal(bed->charge_count, 0);
	pool_jobs_settle(bed->jobs, BEGIN + 30 * MS);
	assert_int_equal(bed->charge_count, 1);
}

static void a_running_job_is_charged_as_it_goes_on_to_the_same_route(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 200 * MS);
	struct pool_request *request;
	unsigned int i;

	track(bed);
	request = add_request(bed, items, BEGIN);
	job.ended = false;
	for (i = 1; i <= 20; i++) {
		job.seen_ns = BEGIN + i * 200 * MS;
		job.cpu_ns = i * 200 * MS;
		job.minor_faults = i;
		pool_jobs_job(bed->jobs, &job);
		pool_jobs_settle(bed->jobs, job.seen_ns + 2 * MS);
		/* Another one that might be it from now on. */
		if (i == 8)
			add_request(bed, users, job.seen_ns);
		assert_int_equal(bed->cpu_ns, i < 5 ? 0 : job.cpu_ns);
	}
	assert_int_equal(bed->charge_count, 16);
	job.ended = true;
	job.cpu_ns += 1;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_answered(bed->jobs, request, job.seen_ns);
	pool_jobs_settle(bed->jobs, job.seen_ns + 2 * SECOND);
	assert_int_equal(bed->charge_count, 17);
	for (i = 0; i < 17; i++) {
		assert_ptr_equal(bed->charges[i].route, items);
		assert_ptr_equal(bed->charges[i].exchange, items);
	}
	assert_int_equal(bed->cpu_ns, job.cpu_ns);
	assert_int_equal(bed->minor_faults, 20);
	assert_int_equal(pool_jobs_stats(bed->jobs).waiting_count, 0);
}

/* --- what the ring does to reports --- */

static void a_report_that_comes_after_the_jobs_end_changes_nothing(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS), late = job;

	track(bed);
	add_request(bed, items, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	late.ended = false;
	late.cpu_ns = 2 * MS;
	late.seen_ns -= 3 * MS;
	pool_jobs_job(bed->jobs, &late);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_int_equal(bed->cpu_ns, 5 * MS);
}

static void a_job_whose_last_report_was_lost_ends_with_the_workers_next(void **state)
{
	struct bed *bed = *state;
	struct pool_job lost = job_at(BEGIN + MS, 200 * MS);
	struct pool_job next = job_at(BEGIN + 3 * SECOND, MS);
	struct pool_request *request;

	track(bed);
	request = add_request(bed, items, BEGIN);
	lost.ended = false;
	pool_jobs_job(bed->jobs, &lost);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->cpu_ns, 200 * MS);
	pool_jobs_answered(bed->jobs, request, BEGIN + 2 * SECOND);
	add_request(bed, users, BEGIN + 3 * SECOND - MS);
	pool_jobs_job(bed->jobs, &next);
	pool_jobs_settle(bed->jobs, BEGIN + 5 * SECOND);
	assert_int_equal(bed->charge_count, 2);
	assert_ptr_equal(bed->charges[1].route, users);
	assert_int_equal(bed->cpu_ns, 201 * MS);
	assert_int_equal(pool_jobs_stats(bed->jobs).waiting_count, 0);
}

static void a_worker_that_outlasts_its_request_works_for_another(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 100 * MS);
	struct pool_request *request;

	track(bed);
	request = add_request(bed, items, BEGIN);
	job.ended = false;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 1100 * MS);
	assert_int_equal(bed->cpu_ns, 100 * MS);
	pool_jobs_answered(bed->jobs, request, BEGIN + 1200 * MS);
	add_request(bed, users, BEGIN + 1201 * MS);
	job.seen_ns = BEGIN + 1300 * MS; /* part of it may still be the first one's */
	job.cpu_ns = 150 * MS;
	pool_jobs_job(bed->jobs, &job);
	job.seen_ns = BEGIN + 1500 * MS;
	job.cpu_ns = 300 * MS;
	job.ended = true;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 4 * SECOND);
	assert_int_equal(bed->charge_count, 3);
	assert_ptr_equal(bed->charges[1].route, items);
	assert_ptr_equal(bed->charges[2].route, users);
	assert_int_equal(bed->charges[2].cpu_ns, 150 * MS);
}

static void amounts_that_fall_are_not_taken_back(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 200 * MS);

	track(bed);
	add_request(bed, items, BEGIN);
	job.ended = false;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	job.cpu_ns = 100 * MS;
	job.ended = true;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 4 * SECOND);
	assert_int_equal(bed->charge_count, 1);
	assert_int_equal(bed->cpu_ns, 200 * MS);
}

/* --- what goes --- */

static void a_process_that_goes_leaves_nothing_behind(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, 5 * MS), running = job;
	struct pool_jobs_stats stats;

	track(bed);
	add_request(bed, items, BEGIN);
	pool_jobs_job(bed->jobs, &job);
	running.tid++;
	running.ended = false;
	pool_jobs_job(bed->jobs, &running);
	pool_jobs_forget(bed->jobs, PID + 1);
	assert_int_equal(bed->charge_count, 0);
	pool_jobs_forget(bed->jobs, PID);
	assert_int_equal(bed->cpu_ns, 10 * MS);
	stats = pool_jobs_stats(bed->jobs);
	assert_int_equal(stats.loop_count, 0);
	assert_int_equal(stats.request_count, 0);
	assert_int_equal(stats.waiting_count, 0);
	assert_null(pool_jobs_request(bed->jobs, PID, LOOP, NULL, BEGIN));
}

static void a_service_that_goes_is_not_charged_any_more(void **state)
{
	struct bed *bed = *state;
	struct pool_job running = job_at(BEGIN + MS, 5 * MS), job = running;

	track(bed);
	add_request(bed, items, BEGIN);
	running.ended = false;
	pool_jobs_job(bed->jobs, &running);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_ptr_equal(bed->charges[0].service, service);
	pool_jobs_forget_service(bed->jobs, service);
	assert_int_equal(pool_jobs_stats(bed->jobs).route_count, 0);
	running.cpu_ns += MS;
	pool_jobs_job(bed->jobs, &running);
	job.tid++;
	job.begin_ns += 2 * SECOND;
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 5 * SECOND);
	assert_int_equal(bed->charge_count, 3);
	assert_null(bed->charges[1].service);
	assert_null(bed->charges[2].service);
	assert_null(bed->charges[2].route);
}

static void answered_requests_are_forgotten(void **state)
{
	struct bed *bed = *state;
	uint64_t now_ns = BEGIN;
	unsigned int i;

	track(bed);
	for (i = 0; i < 1000; i++) {
		pool_jobs_answered(bed->jobs, add_request(bed, items, now_ns), now_ns + MS);
		now_ns += 10 * MS;
		pool_jobs_settle(bed->jobs, now_ns);
	}
	/* Those of as long as jobs are thought to take: a 64th less than a second. */
	assert_int_equal(pool_jobs_stats(bed->jobs).request_count, 98);
}

/* --- bounds --- */

static void what_is_beyond_the_bounds_is_counted_and_charged_to_nobody(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN, MS);
	unsigned int i;

	for (i = 0; i < POOL_JOBS_LOOPS_MAX + 3; i++) {
		job.pid = PID + i;
		pool_jobs_job(bed->jobs, &job);
	}
	assert_int_equal(pool_jobs_stats(bed->jobs).loop_count, POOL_JOBS_LOOPS_MAX);
	assert_int_equal(pool_jobs_stats(bed->jobs).loops_refused, 3);
	assert_int_equal(bed->charge_count, 3);
	assert_null(bed->charges[2].route);
	assert_int_equal(bed->charges[2].pid, PID + POOL_JOBS_LOOPS_MAX + 2);
	for (i = 0; i < POOL_JOBS_REQUESTS_MAX + 5; i++)
		add_request(bed, items, BEGIN + i);
	assert_int_equal(pool_jobs_stats(bed->jobs).requests_refused, 5);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->cpu_ns, (POOL_JOBS_LOOPS_MAX + 3) * MS);
}

static void jobs_beyond_the_bound_are_decided_early(void **state)
{
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + MS, MS);
	unsigned int i;

	track(bed);
	add_request(bed, items, BEGIN);
	for (i = 0; i < POOL_JOBS_WAITING_MAX + 7; i++) {
		job.begin_ns++;
		pool_jobs_job(bed->jobs, &job);
	}
	assert_int_equal(pool_jobs_stats(bed->jobs).jobs_refused, 7);
	assert_int_equal(pool_jobs_stats(bed->jobs).waiting_count, POOL_JOBS_WAITING_MAX);
	assert_int_equal(bed->charge_count, 7);
	assert_ptr_equal(bed->charges[6].route, items);
	pool_jobs_settle(bed->jobs, BEGIN + 2 * SECOND);
	assert_int_equal(bed->cpu_ns, (POOL_JOBS_WAITING_MAX + 7) * MS);
}

static void routes_beyond_the_bound_are_charged_all_the_same(void **state)
{
	static char routes[POOL_JOBS_ROUTES_MAX + 2];
	struct bed *bed = *state;
	struct pool_job job = job_at(BEGIN + SECOND, MS);
	size_t i;

	track(bed);
	for (i = 0; i < sizeof(routes); i++)
		pool_jobs_answered(bed->jobs, add_request(bed, &routes[i], BEGIN), BEGIN + MS);
	add_request(bed, &routes[sizeof(routes) - 1], BEGIN + SECOND - MS);
	pool_jobs_job(bed->jobs, &job);
	pool_jobs_settle(bed->jobs, BEGIN + 3 * SECOND);
	assert_int_equal(pool_jobs_stats(bed->jobs).route_count, POOL_JOBS_ROUTES_MAX);
	assert_int_equal(bed->charge_count, 1);
	assert_ptr_equal(bed->charges[0].route, &routes[sizeof(routes) - 1]);
}

static void nothing_is_done_with_no_request(void **state)
{
	struct bed *bed = *state;

	pool_jobs_route(bed->jobs, NULL, service, items);
	pool_jobs_answered(bed->jobs, NULL, BEGIN);
	pool_jobs_forget(bed->jobs, PID);
	pool_jobs_forget_service(bed->jobs, service);
	pool_jobs_settle(bed->jobs, BEGIN);
	pool_jobs_close(NULL);
	assert_int_equal(bed->charge_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		TEST(a_job_is_that_of_the_only_request_in_flight),
		TEST(an_exchange_is_not_given_once_it_was_answered),
		TEST(a_job_with_nothing_in_flight_is_nobodys),
		TEST(what_is_ambiguous_is_split_and_adds_up),
		TEST(two_requests_of_one_route_leave_nothing_to_split),
		TEST(a_route_counts_as_it_is_known_when_the_job_is_decided),
		TEST(requests_that_were_read_before_the_first_job_are_asked_for),
		TEST(work_taken_without_sleep_may_be_for_a_request_read_since),
		TEST(a_job_is_decided_a_second_after_its_begin),
		TEST(a_job_is_decided_soon_when_all_is_answered),
		TEST(a_running_job_is_charged_as_it_goes_on_to_the_same_route),
		TEST(a_report_that_comes_after_the_jobs_end_changes_nothing),
		TEST(a_job_whose_last_report_was_lost_ends_with_the_workers_next),
		TEST(a_worker_that_outlasts_its_request_works_for_another),
		TEST(amounts_that_fall_are_not_taken_back),
		TEST(a_process_that_goes_leaves_nothing_behind),
		TEST(a_service_that_goes_is_not_charged_any_more),
		TEST(answered_requests_are_forgotten),
		TEST(what_is_beyond_the_bounds_is_counted_and_charged_to_nobody),
		TEST(jobs_beyond_the_bound_are_decided_early),
		TEST(routes_beyond_the_bound_are_charged_all_the_same),
		TEST(nothing_is_done_with_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
