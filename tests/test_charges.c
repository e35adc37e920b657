// SPDX-License-Identifier: Apache-2.0
/* What requests cost, in the series of their routes: certain, learned, and what is nobody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "account_bed.h"

#define LOOP 77
#define WORKER 78
#define US WIRE_MICROSECOND
#define MS WIRE_MILLISECOND

/* What the next record tells. */
static void worked(struct account_bed *bed, uint64_t owner_ns, bool waited, uint64_t own_ns)
{
	bed->wire.work = (struct work){
		.owner_cookie = bed->wire.cookie,
		.tid = LOOP,
		.wait_count = waited,
		.owner.cpu_ns = owner_ns,
		.own.cpu_ns = own_ns,
	};
}

static void read_request(struct account_bed *bed, const char *request)
{
	worked(bed, 0, false, 0);
	bed->wire.work.owner_cookie = 0;
	wire_receive_text(&bed->wire, request);
}

/* A request that takes so long on a new connection: before it waits, and then until its answer. */
static void serve_request(struct account_bed *bed, const char *request, uint64_t before_ns,
			  uint64_t after_ns)
{
	account_connect(bed, 100, 8000, false);
	read_request(bed, request);
	worked(bed, before_ns, before_ns > 0, after_ns);
	wire_send_text(&bed->wire, OK);
}

/* Of the series of that route. */
static const union snapshot_counts *costs_of(struct account_bed *bed, const char *route)
{
	const struct snapshot_series *list;
	size_t count, i;

	list = aggregate_snapshot(bed->aggregate, &count);
	for (i = 0; i < count; i++) {
		if (list[i].instrument == INSTRUMENT_COST && list[i].route &&
		    !strcmp(list[i].route, route))
			return list[i].counts;
	}
	fail_msg("no costs of %s", route);
	return NULL;
}

static uint64_t cpu_us(struct account_bed *bed, const char *route)
{
	return costs_of(bed, route)->cost.cpu_ns / US;
}

static int node_setup(void **state)
{
	struct account_bed *bed;
	int error = account_setup(state);

	if (error)
		return error;
	bed = *state;
	exec_as(bed->bench, 100, 1, "/usr/bin/node", "node|/srv/shop/app.js", "/srv/shop");
	return 0;
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, node_setup, account_teardown)

/* --- requests --- */

static void costs_are_in_the_routes_series_when_the_request_is_done(void **state)
{
	struct account_bed *bed = *state;

	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/a"));
	worked(bed, 0, false, 300 * US);
	bed->wire.work.own.minor_faults = 5;
	bed->wire.work.own.major_faults = 1;
	wire_send_text(&bed->wire, OK);
	expect_series(bed, INSTRUMENT_COST, "/a 300us 5+1");
	serve_request(bed, GET("/b"), 0, 100 * US);
	serve_request(bed, GET("/a"), 0, 50 * US);
	expect_series(bed, INSTRUMENT_COST, "/a 350us 5+1; /b 100us 0+0");
}

/* A route that has no place so far may get none. */
static void a_running_request_shows_once_its_route_is_certain(void **state)
{
	struct account_bed *bed = *state;
	int i;

	for (i = 0; i < 2; i++) {
		account_connect(bed, 100, 8000, false);
		read_request(bed, GET("/a"));
		exchanges_work(bed->exchanges, &(struct work){.owner_cookie = bed->wire.cookie,
							      .tid = LOOP,
							      .owner.cpu_ns = 20 * MS});
		account_look(bed, false);
		expect_series(bed, INSTRUMENT_COST, i ? "/a 70000us 0+0" : "");
		worked(bed, 0, false, 30 * MS);
		wire_send_text(&bed->wire, OK);
		expect_series(bed, INSTRUMENT_COST, i ? "/a 100000us 0+0" : "/a 50000us 0+0");
	}
}

static void a_listing_of_threads_at_work_shows_what_they_do(void **state)
{
	struct account_bed *bed = *state;
	struct thread_state state_of_loop = {.tid = LOOP, .cost.cpu_ns = 400 * MS};

	serve_request(bed, GET("/a"), 0, 100 * US);
	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/a"));
	state_of_loop.owner_cookie = bed->wire.cookie;
	exchanges_list_work_begin(bed->exchanges);
	exchanges_list_work(bed->exchanges, &state_of_loop);
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_COST, "/a 400100us 0+0");
	worked(bed, 0, false, 500 * MS);
	wire_send_text(&bed->wire, OK);
	expect_series(bed, INSTRUMENT_COST, "/a 500100us 0+0");
}

/* --- what is usual --- */

/* The last answer's thread works on before it reads again. */
static void work_after(struct account_bed *bed, uint64_t ns)
{
	exchanges_work(bed->exchanges, &(struct work){.owner_cookie = bed->wire.cookie,
						      .tid = LOOP,
						      .wait_count = 1,
						      .owner.cpu_ns = ns});
}

static void a_background_task_of_each_request_is_its_routes(void **state)
{
	struct account_bed *bed = *state;
	int i;

	for (i = 0; i < 100; i++) {
		serve_request(bed, GET("/a"), 0, 100 * US);
		work_after(bed, 3 * MS);
	}
	assert_in_range(cpu_us(bed, "/a"), 100 * 3050, 100 * 3100);
}

static void a_timer_that_comes_now_and_then_is_not(void **state)
{
	struct account_bed *bed = *state;
	int i;

	for (i = 0; i < 200; i++) {
		serve_request(bed, GET("/a"), 0, 100 * US);
		work_after(bed, (i + 1) % 5 ? 30 * US : 20 * MS);
	}
	assert_in_range(cpu_us(bed, "/a"), 200 * 130, 200 * 180);
}

static void read_after_wait(struct account_bed *bed, uint64_t ns)
{
	account_connect(bed, 100, 8000, false);
	worked(bed, 0, true, ns);
	wire_receive_text(&bed->wire, GET("/a"));
	worked(bed, 0, false, 100 * US);
	wire_send_text(&bed->wire, OK);
}

static void to_wake_up_and_read_is_the_requests_but_not_a_timer_before(void **state)
{
	struct account_bed *bed = *state;
	int i;

	for (i = 0; i < 200; i++)
		read_after_wait(bed, (i + 1) % 5 ? 40 * US : 20 * MS);
	assert_in_range(cpu_us(bed, "/a"), 200 * 135, 200 * 190);
}

/* A loop that runs timers runs them also before the answer of a request that waits. */
static void a_burst_as_they_are_known_is_not_the_answers(void **state)
{
	struct account_bed *bed = *state;
	uint64_t before_us;
	int i;

	for (i = 0; i < 300; i++)
		read_after_wait(bed, i % 3 ? 40 * US : 8 * MS);
	for (i = 0; i < 50; i++)
		serve_request(bed, GET("/b"), 100 * US, MS);
	before_us = cpu_us(bed, "/b");
	assert_in_range(before_us, 50 * 1095, 50 * 1105);
	for (i = 0; i < 50; i++) {
		serve_request(bed, GET("/b"), 100 * US, 9 * MS);
		serve_request(bed, GET("/b"), 100 * US, MS);
		serve_request(bed, GET("/b"), 100 * US, MS);
	}
	assert_in_range(cpu_us(bed, "/b") - before_us, 150 * 1000, 150 * 1800);
}

/* A request of a route that waits for a timer of its own: so much in between, and after it. */
static void serve_after_timer(struct account_bed *bed, uint64_t between_ns, uint64_t own_ns)
{
	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/t"));
	worked(bed, 300 * US, true, own_ns);
	if (between_ns) {
		bed->wire.work.wait_count = 2;
		bed->wire.work.between_us = (uint32_t)((between_ns) / US);
	}
	wire_send_text(&bed->wire, OK);
}

static void read_after_bursts(struct account_bed *bed, uint32_t count, uint64_t each_ns)
{
	account_connect(bed, 100, 8000, false);
	worked(bed, 0, true, 30 * US);
	bed->wire.work.wait_count = count + 1;
	bed->wire.work.between_us = (uint32_t)((count * each_ns) / US);
	wire_receive_text(&bed->wire, GET("/a"));
	worked(bed, 0, false, 100 * US);
	wire_send_text(&bed->wire, OK);
}

/* 4 ms of each 20, as a loop's interval burns them: while requests wait, and before they go on. */
static void a_loops_own_timer_is_not_charged_to_requests_that_wait_for_another(void **state)
{
	struct account_bed *bed = *state;
	uint64_t before_us = 0;
	int i;

	for (i = 0; i < 20; i++)
		read_after_bursts(bed, 1 + i % 3, 4 * MS);
	for (i = 0; i < 320; i++) {
		if (i == 20) /* what is usual has been learned */
			before_us = cpu_us(bed, "/t");
		serve_after_timer(bed, i % 5 < 3 ? 4 * MS : 0, 300 * US + (i % 4 ? 0 : 4 * MS));
		if (i % 10 == 0)
			read_after_bursts(bed, 2, 4 * MS);
	}
	assert_in_range(cpu_us(bed, "/t") - before_us, 300 * 595, 300 * 612);
	assert_int_equal(cpu_us(bed, "/a"), 52 * 130);
}

/* As reading a file, and then another. */
static void what_is_done_between_two_waits_is_the_requests_where_a_loop_has_no_timers(void **state)
{
	struct account_bed *bed = *state;
	int i;

	for (i = 0; i < 20; i++)
		read_after_bursts(bed, 3, 50 * US);
	for (i = 0; i < 50; i++)
		serve_after_timer(bed, 4 * MS, 300 * US);
	assert_int_equal(cpu_us(bed, "/t"), 50 * 4600);
}

static void without_such_bursts_a_dear_request_is_its_routes(void **state)
{
	struct account_bed *bed = *state;
	int i;

	for (i = 0; i < 50; i++)
		serve_request(bed, GET("/b"), 100 * US, i % 10 ? MS : 100 * MS);
	assert_int_equal(cpu_us(bed, "/b"), 50 * 100 + 45 * 1000 + 5 * 100000);
}

/* --- turns of a Python loop --- */

/* Requests of two routes are read together, and worked for in one turn. */
static void turn_of_two(struct account_bed *bed, const char *first, const char *second, uint64_t ns)
{
	struct wire other;

	account_connect(bed, 100, 8000, false);
	read_request(bed, first);
	other = bed->wire;
	account_connect(bed, 100, 8000, false);
	read_request(bed, second);
	worked(bed, ns, true, 10 * US);
	wire_send_text(&bed->wire, OK);
	other.now_ns = bed->wire.now_ns;
	other.work = (struct work){.tid = LOOP, .own.cpu_ns = 10 * US};
	wire_send_text(&other, OK);
}

static void what_each_route_costs_in_a_turn_is_learned_from_the_sums(void **state)
{
	static const struct {
		const char *first, *second;
		uint64_t us;
	} turns[] = {
		{GET("/dear"), GET("/cheap"), 2100},
		{GET("/cheap"), GET("/cheap"), 200},
		{GET("/cheap"), GET("/dear"), 2100},
		{GET("/dear"), GET("/dear"), 4000},
	};
	struct account_bed *bed = *state;
	uint64_t dear_us, cheap_us;
	int i;

	for (i = 0; i < 200; i++)
		turn_of_two(bed, turns[i % 4].first, turns[i % 4].second, turns[i % 4].us * US);
	dear_us = cpu_us(bed, "/dear");
	cheap_us = cpu_us(bed, "/cheap");
	assert_in_range(dear_us + cheap_us, 50 * (8400 + 80) - 5, 50 * (8400 + 80));
	for (i = 0; i < 100; i++)
		turn_of_two(bed, turns[i % 4].first, turns[i % 4].second, turns[i % 4].us * US);
	assert_in_range(cpu_us(bed, "/dear") - dear_us, 100 * 1900, 100 * 2110);
	assert_in_range(cpu_us(bed, "/cheap") - cheap_us, 100 * 100, 100 * 210);
}

/* A loop that took long to read (the last time) had not begun for all that. */
static void one_that_seemed_to_have_begun_has_its_turn_to_come(void **state)
{
	struct account_bed *bed = *state;
	struct wire dear;
	int i;

	for (i = 0; i < 100; i++) {
		account_connect(bed, 100, 8000, false);
		read_request(bed, GET("/dear"));
		dear = bed->wire;
		account_connect(bed, 100, 8000, false);
		worked(bed, i < 99 ? 20 * US : MS, false, 0);
		bed->wire.work.owner_cookie = dear.cookie;
		wire_receive_text(&bed->wire, GET("/cheap"));
		dear.now_ns = bed->wire.now_ns;
		dear.work = (struct work){.tid = LOOP, .own.cpu_ns = 20 * MS};
		wire_send_text(&dear, OK);
		worked(bed, 0, false, 100 * US);
		wire_send_text(&bed->wire, OK);
	}
	assert_in_range(cpu_us(bed, "/cheap"), 100 * 100, 100 * 102);
}

/* What takes memory is not what takes time. */
static void new_memory_in_a_turn_is_split_by_who_takes_it(void **state)
{
	static const char *const routes[] = {GET("/light"), GET("/memory")};
	struct account_bed *bed = *state;
	uint64_t light = 0, memory = 0;
	int i;

	for (i = 0; i < 120; i++) {
		struct wire other;
		int first = i % 2, second = i / 2 % 2;

		if (i == 100) { /* learned */
			light = costs_of(bed, "/light")->cost.minor_faults;
			memory = costs_of(bed, "/memory")->cost.minor_faults;
		}
		account_connect(bed, 100, 8000, false);
		read_request(bed, routes[first]);
		other = bed->wire;
		account_connect(bed, 100, 8000, false);
		read_request(bed, routes[second]);
		worked(bed, 2 * MS, true, 0);
		bed->wire.work.owner.minor_faults = (uint32_t)(first + second) * 5120;
		wire_send_text(&bed->wire, OK);
		other.now_ns = bed->wire.now_ns;
		other.work = (struct work){.tid = LOOP};
		wire_send_text(&other, OK);
	}
	assert_in_range(costs_of(bed, "/light")->cost.minor_faults - light, 0, 20 * 50);
	assert_in_range(costs_of(bed, "/memory")->cost.minor_faults - memory, 20 * 5070, 20 * 5120);
}

/* --- jobs of a pool --- */

static void job(struct account_bed *bed, uint64_t begin_ns, uint64_t cpu_ns)
{
	struct record_job record = {
		.head = {.time_ns = bed->wire.now_ns, .pid = 100, .kind = RECORD_JOB},
		.work = {.tid = WORKER, .owner.cpu_ns = cpu_ns},
		.begin_ns = begin_ns,
		.waker_tid = LOOP,
	};

	charges_job(&bed->charges, &record);
}

static void a_job_is_charged_to_the_request_in_flight_on_its_loop(void **state)
{
	struct account_bed *bed = *state;
	uint64_t begin_ns;
	int i;

	for (i = 0; i < 20; i++) {
		account_connect(bed, 100, 8000, false);
		read_request(bed, GET("/a"));
		begin_ns = bed->wire.now_ns + 100 * US;
		bed->wire.now_ns += 5 * MS;
		job(bed, begin_ns, 4 * MS);
		worked(bed, 0, true, 100 * US);
		wire_send_text(&bed->wire, OK);
		bed->wire.now_ns += WIRE_SECOND;
		charges_settle(&bed->charges, bed->wire.now_ns);
	}
	charges_settle(&bed->charges, bed->wire.now_ns + 2 * POOL_JOBS_DELAY_NS);
	assert_int_equal(cpu_us(bed, "/a"), 20 * 4100);
	assert_int_equal(costs_of(bed, "/a")->cost.split_ns, 0);
}

static struct record_job job_of_4_ms(void)
{
	return (struct record_job){
		.head = {.pid = 100, .kind = RECORD_JOB},
		.work = {.tid = WORKER, .owner.cpu_ns = 4 * MS},
		.waker_tid = LOOP,
	};
}

/* Node.js: the request that it worked for when it gave the job away. */
static void a_job_of_another_loop_than_pythons_is_its_owners_at_once(void **state)
{
	struct account_bed *bed = *state;
	struct record_job record = job_of_4_ms();

	serve_request(bed, GET("/a"), 0, 100 * US);
	record.work.owner_cookie = bed->wire.cookie;
	charges_job(&bed->charges, &record);
	expect_series(bed, INSTRUMENT_COST, "/a 4100us 0+0");
	assert_int_equal(pool_jobs_stats(bed->charges.jobs).loop_count, 0);
}

/* As Django's that close a response. */
static void a_job_after_the_answer_is_charged_to_what_the_loop_answered_last(void **state)
{
	struct account_bed *bed = *state;
	struct record_job record = job_of_4_ms();

	serve_request(bed, GET("/a"), 0, 100 * US);
	record.begin_ns = bed->wire.now_ns + 100 * US;
	record.head.time_ns = record.begin_ns + 4 * MS;
	record.work.owner_cookie = bed->wire.cookie;
	charges_job(&bed->charges, &record);
	charges_settle(&bed->charges, record.head.time_ns + 2 * POOL_JOBS_DELAY_NS);
	expect_series(bed, INSTRUMENT_COST, "/a 4100us 0+0");
	record.begin_ns += WIRE_SECOND; /* whatever the loop does by itself */
	record.head.time_ns += WIRE_SECOND;
	charges_job(&bed->charges, &record);
	charges_settle(&bed->charges, record.head.time_ns + 2 * POOL_JOBS_DELAY_NS);
	expect_series(bed, INSTRUMENT_COST, "/a 4100us 0+0");
}

static void a_job_with_no_request_is_nobodys(void **state)
{
	struct account_bed *bed = *state;

	serve_request(bed, GET("/a"), 0, 100 * US);
	bed->wire.now_ns += 10 * WIRE_SECOND;
	job(bed, bed->wire.now_ns - 5 * MS, 4 * MS);
	charges_settle(&bed->charges, bed->wire.now_ns + 2 * POOL_JOBS_DELAY_NS);
	expect_series(bed, INSTRUMENT_COST, "/a 100us 0+0");
}

static void a_process_that_has_gone_leaves_no_job_behind(void **state)
{
	struct account_bed *bed = *state;

	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/a"));
	job(bed, bed->wire.now_ns, 4 * MS);
	serve_request(bed, GET("/b"), 0, 100 * US);
	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/held"));
	wire_peer_fin(&bed->wire);
	wire_send_text(&bed->wire,
		       OK); /* held back until it is known whether the client was gone */
	charges_forget_process(&bed->charges, 100);
	exchanges_settle(bed->exchanges, bed->wire.now_ns + 2 * EXCHANGE_HELD_NS);
	wire_reset(&bed->wire);
	charges_settle(&bed->charges, bed->wire.now_ns + 2 * POOL_JOBS_DELAY_NS);
	assert_int_equal(pool_jobs_stats(bed->charges.jobs).waiting_count, 0);
	assert_int_equal(pool_jobs_stats(bed->charges.jobs).request_count, 0);
}

/* --- what is nobody's --- */

static void use(struct account_bed *bed, uint64_t user_ns, uint64_t system_ns, uint64_t minor,
		uint64_t major)
{
	struct service *shop = services_next(bed->bench->services, NULL);
	const uint64_t used[] = {
		[USAGE_CPU_USER_NS] = user_ns,
		[USAGE_CPU_SYSTEM_NS] = system_ns,
		[USAGE_FAULTS_MINOR] = minor,
		[USAGE_FAULTS_MAJOR] = major,
	};

	assert_non_null(shop);
	memcpy(shop->usage.counters, used, sizeof(used));
	memset(shop->usage.has_counter, true, sizeof(shop->usage.has_counter));
	account_look(bed, false);
}

static void the_rest_of_what_the_service_used_is_unattributed(void **state)
{
	struct account_bed *bed = *state;

	serve_request(bed, GET("/a"), 0, 300 * US);
	use(bed, 800 * US, 200 * US, 10, 2);
	expect_series(bed, INSTRUMENT_COST, "/a 300us 0+0; {unattributed} 700us 10+2");
	use(bed, 800 * US, 200 * US, 10, 2);
	expect_series(bed, INSTRUMENT_COST, "/a 300us 0+0; {unattributed} 700us 10+2");
	/* what is charged is newer than the reading: it waits */
	serve_request(bed, GET("/a"), 0, 300 * US);
	use(bed, 900 * US, 200 * US, 10, 2);
	expect_series(bed, INSTRUMENT_COST, "/a 600us 0+0; {unattributed} 700us 10+2");
	use(bed, 1100 * US, 300 * US, 11, 2);
	expect_series(bed, INSTRUMENT_COST, "/a 600us 0+0; {unattributed} 800us 11+2");
}

static void a_job_that_is_not_decided_is_not_unattributed(void **state)
{
	struct account_bed *bed = *state;

	serve_request(bed, GET("/a"), 0, 100 * US);
	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/a"));
	job(bed, bed->wire.now_ns, 400 * US);
	use(bed, 600 * US, 0, 0, 0);
	expect_series(bed, INSTRUMENT_COST, "/a 100us 0+0; {unattributed} 100us 0+0");
	wire_send_text(&bed->wire, OK);
	charges_settle(&bed->charges, bed->wire.now_ns + 2 * POOL_JOBS_DELAY_NS);
	use(bed, 600 * US, 0, 0, 0);
	expect_series(bed, INSTRUMENT_COST, "/a 500us 0+0; {unattributed} 100us 0+0");
}

static void what_a_running_request_will_be_charged_is_not_unattributed(void **state)
{
	struct account_bed *bed = *state;

	account_connect(bed, 100, 8000, false);
	read_request(bed, GET("/a"));
	exchanges_work(bed->exchanges, &(struct work){.owner_cookie = bed->wire.cookie,
						      .tid = LOOP,
						      .owner.cpu_ns = 600 * US});
	use(bed, 1000 * US, 0, 0, 0);
	expect_series(bed, INSTRUMENT_COST, "{unattributed} 400us 0+0");
	wire_send_text(&bed->wire, OK);
	expect_series(bed, INSTRUMENT_COST, "{unattributed} 400us 0+0; /a 600us 0+0");
}

static void switched_off_there_are_no_series(void **state)
{
	struct account_bed *bed = *state;

	bed->account.charges = NULL;
	serve_request(bed, GET("/a"), 100 * US, 300 * US);
	work_after(bed, 100 * US);
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_COST, "");
	bed->account.charges = &bed->charges;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ACCOUNT_TEST(costs_are_in_the_routes_series_when_the_request_is_done),
		ACCOUNT_TEST(a_running_request_shows_once_its_route_is_certain),
		ACCOUNT_TEST(a_listing_of_threads_at_work_shows_what_they_do),
		ACCOUNT_TEST(a_background_task_of_each_request_is_its_routes),
		ACCOUNT_TEST(a_timer_that_comes_now_and_then_is_not),
		ACCOUNT_TEST(to_wake_up_and_read_is_the_requests_but_not_a_timer_before),
		NODE_TEST(a_burst_as_they_are_known_is_not_the_answers),
		NODE_TEST(a_loops_own_timer_is_not_charged_to_requests_that_wait_for_another),
		NODE_TEST(
			what_is_done_between_two_waits_is_the_requests_where_a_loop_has_no_timers),
		NODE_TEST(without_such_bursts_a_dear_request_is_its_routes),
		ACCOUNT_TEST(what_each_route_costs_in_a_turn_is_learned_from_the_sums),
		ACCOUNT_TEST(one_that_seemed_to_have_begun_has_its_turn_to_come),
		ACCOUNT_TEST(new_memory_in_a_turn_is_split_by_who_takes_it),
		ACCOUNT_TEST(a_job_is_charged_to_the_request_in_flight_on_its_loop),
		NODE_TEST(a_job_of_another_loop_than_pythons_is_its_owners_at_once),
		ACCOUNT_TEST(a_job_after_the_answer_is_charged_to_what_the_loop_answered_last),
		ACCOUNT_TEST(a_job_with_no_request_is_nobodys),
		ACCOUNT_TEST(a_process_that_has_gone_leaves_no_job_behind),
		ACCOUNT_TEST(the_rest_of_what_the_service_used_is_unattributed),
		ACCOUNT_TEST(a_job_that_is_not_decided_is_not_unattributed),
		ACCOUNT_TEST(what_a_running_request_will_be_charged_is_not_unattributed),
		ACCOUNT_TEST(switched_off_there_are_no_series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
