// SPDX-License-Identifier: Apache-2.0
/* VERBOSE=1 prints what each route's jobs cost, and what was charged to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pool_jobs_sim.h"

#define ASYNC                                                \
	{                                                    \
		.name = "async", .weight = 3, .loop_us = 200 \
	}
#define AWAIT                                                                \
	{                                                                    \
		.name = "await", .weight = 2, .loop_us = 100, .await_ms = 10 \
	}
#define DEF(us)                                                                        \
	{                                                                              \
		.name = "def " #us " us", .weight = 1, .job_count = 1, .job_us = {us}, \
		.spread = 0.2                                                          \
	}
#define FOUR_ROUTES                                   \
	{                                             \
		ASYNC, DEF(200), DEF(1500), DEF(5000) \
	}
#define DEPENDENCY                                                                             \
	{                                                                                      \
		.name = "dependency, def", .weight = 1, .job_count = 2, .job_us = {100, 1500}, \
		.spread = 0.3                                                                  \
	}
#define HALF                                                                                  \
	{                                                                                     \
		.name = "half", .weight = 1, .job_count = 1, .job_us = {2000}, .spread = 0.2, \
		.handed = 0.5                                                                 \
	}

static double per_request_ms(uint64_t ns, uint64_t count)
{
	return count ? (double)ns / 1e6 / (double)count : 0;
}

static void print_route(const char *name, const struct sim_result *result, size_t i)
{
	uint64_t count = result->routes[i].request_count;

	printf("    %-16s %6lu requests %6lu jobs, %7.3f ms charged of %7.3f, %5.1f %% split\n",
	       name, (unsigned long)count, (unsigned long)result->routes[i].job_count,
	       per_request_ms(result->routes[i].charged_ns, count),
	       per_request_ms(result->routes[i].true_ns, count),
	       100 * (double)result->routes[i].split_ns /
		       ((double)result->routes[i].charged_ns + 1));
}

/* Each route's CPU per request within so many percent and milliseconds of the truth, and the sum
 * exact. */
static void assert_mix(const struct sim_mix *mix, double percent, double ms)
{
	struct sim_result result;
	size_t i;

	sim_run(mix, &result);
	if (getenv("VERBOSE"))
		printf("  %s: %zu clients, %zu workers\n", mix->name, mix->client_count,
		       mix->worker_count);
	assert_true(result.true_ns > 0);
	assert_int_equal(result.reported_ns, result.true_ns);
	assert_int_equal(result.charged_ns, result.true_ns);
	for (i = 0; i < SIM_ROUTES_MAX && mix->routes[i].name; i++) {
		uint64_t count = result.routes[i].request_count;
		double truth = per_request_ms(result.routes[i].true_ns, count);
		double charged = per_request_ms(result.routes[i].charged_ns, count);
		double bound = truth * percent / 100 + ms;

		if (getenv("VERBOSE"))
			print_route(mix->routes[i].name, &result, i);
		assert_true(count > 0);
		if (charged > truth + bound || charged < truth - bound)
			fail_msg("%s, seed %lu, %s: %.3f ms instead of %.3f", mix->name,
				 (unsigned long)mix->seed, mix->routes[i].name, charged, truth);
	}
}

static void assert_seeds(struct sim_mix mix, double percent, double ms)
{
	for (mix.seed = 1; mix.seed <= 3; mix.seed++)
		assert_mix(&mix, percent, ms);
}

static void routes_of_different_cost_are_told_apart(void **state)
{
	static const struct {
		size_t clients, workers;
		double think_ms;
	} loads[] = {{4, 40, 10}, {10, 40, 30}, {40, 40, 80}, {20, 1, 40}, {20, 4, 40}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(loads) / sizeof(*loads); i++)
		assert_seeds((struct sim_mix){.name = "four routes",
					      .routes = FOUR_ROUTES,
					      .client_count = loads[i].clients,
					      .worker_count = loads[i].workers,
					      .think_ms = loads[i].think_ms,
					      .seconds = 10},
			     5, 0.05);
}

static void they_are_when_the_loop_is_saturated(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "saturated",
				      .routes = FOUR_ROUTES,
				      .client_count = 40,
				      .worker_count = 40,
				      .think_ms = 10,
				      .seconds = 20},
		     10, 0.1);
}

static void they_are_when_workers_take_from_a_queue(void **state)
{
	static const size_t workers[] = {1, 4, 16};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(workers) / sizeof(*workers); i++)
		assert_seeds((struct sim_mix){.name = "executor",
					      .routes = FOUR_ROUTES,
					      .client_count = 20,
					      .worker_count = workers[i],
					      .think_ms = 60,
					      .seconds = 10,
					      .pool = SIM_EXECUTOR},
			     5, 0.05);
}

static void they_are_when_workers_are_woken_in_vain(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "woken in vain",
				      .routes = FOUR_ROUTES,
				      .client_count = 20,
				      .worker_count = 20,
				      .think_ms = 60,
				      .seconds = 10,
				      .pool = SIM_EXECUTOR,
				      .vain = true},
		     5, 0.05);
}

static void they_are_when_workers_are_not_seen_to_finish(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "silent",
				      .routes = FOUR_ROUTES,
				      .client_count = 10,
				      .worker_count = 40,
				      .think_ms = 30,
				      .seconds = 10,
				      .silent = true},
		     15, 0.05);
}

static void dependencies_awaits_and_half_routes_are_told_apart(void **state)
{
	struct sim_mix mix = {
		.name = "dependencies",
		.routes = {ASYNC, AWAIT, DEPENDENCY, HALF, DEF(200)},
		.client_count = 12,
		.worker_count = 10,
		.think_ms = 20,
		.seconds = 20,
	};

	(void)state;
	assert_seeds(mix, 10, 0.05);
	mix.silent = true;
	assert_seeds(mix, 15, 0.05);
}

static void routes_of_nearly_the_same_cost_are_told_apart(void **state)
{
	struct sim_mix mix = {
		.name = "same cost",
		.routes = {ASYNC, DEF(1000), DEF(1500), HALF},
		.client_count = 24,
		.worker_count = 40,
		.think_ms = 40,
		.seconds = 20,
	};
	size_t i;

	(void)state;
	for (i = 1; i < 4; i++)
		mix.routes[i].spread = 0.5;
	assert_seeds(mix, 10, 0.05);
}

static void a_change_of_load_is_followed(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "turned round",
				      .routes = {{.name = "async", .weight = 6, .loop_us = 200},
						 DEF(200),
						 DEF(1500),
						 {.name = "def 5000 us",
						  .weight = 0.5,
						  .job_count = 1,
						  .job_us = {5000},
						  .spread = 0.2}},
				      .client_count = 16,
				      .worker_count = 8,
				      .think_ms = 20,
				      .seconds = 20,
				      .unlocked = true,
				      .swap = true},
		     5, 0.1);
}

static void long_jobs_are_told_apart_while_they_run(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "long jobs",
				      .routes = {ASYNC,
						 DEF(5000),
						 {.name = "def 300 ms",
						  .weight = 0.2,
						  .job_count = 1,
						  .job_us = {300000},
						  .spread = 0.4},
						 {.name = "def 3 s",
						  .weight = 0.05,
						  .job_count = 1,
						  .job_us = {3000000},
						  .spread = 0.4}},
				      .client_count = 20,
				      .worker_count = 12,
				      .think_ms = 40,
				      .seconds = 20,
				      .unlocked = true},
		     5, 0.3);
}

static void hundreds_of_open_streams_do_not_bury_the_rest(void **state)
{
	(void)state;
	assert_seeds(
		(struct sim_mix){
			.name = "streams",
			.routes = {ASYNC, DEF(200), DEF(1500), DEF(5000), {.name = "stream"}},
			.client_count = 10,
			.worker_count = 40,
			.think_ms = 30,
			.seconds = 10,
			.stream_count = 600},
		5, 0.2);
}

static void it_is_learned_within_seconds(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "three seconds",
				      .routes = FOUR_ROUTES,
				      .client_count = 10,
				      .worker_count = 40,
				      .think_ms = 30,
				      .seconds = 3},
		     10, 0.1);
}

static void it_is_under_full_load_too(void **state)
{
	(void)state;
	assert_seeds((struct sim_mix){.name = "three seconds saturated",
				      .routes = FOUR_ROUTES,
				      .client_count = 40,
				      .worker_count = 40,
				      .think_ms = 10,
				      .seconds = 3},
		     10, 0.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_of_different_cost_are_told_apart),
		cmocka_unit_test(they_are_when_the_loop_is_saturated),
		cmocka_unit_test(they_are_when_workers_take_from_a_queue),
		cmocka_unit_test(they_are_when_workers_are_woken_in_vain),
		cmocka_unit_test(they_are_when_workers_are_not_seen_to_finish),
		cmocka_unit_test(dependencies_awaits_and_half_routes_are_told_apart),
		cmocka_unit_test(routes_of_nearly_the_same_cost_are_told_apart),
		cmocka_unit_test(a_change_of_load_is_followed),
		cmocka_unit_test(long_jobs_are_told_apart_while_they_run),
		cmocka_unit_test(hundreds_of_open_streams_do_not_bury_the_rest),
		cmocka_unit_test(it_is_learned_within_seconds),
		cmocka_unit_test(it_is_under_full_load_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
