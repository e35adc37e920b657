/* SPDX-License-Identifier: Apache-2.0 */
/* pool_jobs_sim - an event loop and its thread pool, simulated, with the truth known: what the
 * kernel would tell of it goes to pool_jobs, in the order of a ring that is drained every 100 ms.
 *
 * As asyncio does it, a turn of the loop reads a batch of requests, and their tasks run in the next
 * turn; all threads share one interpreter lock, unless the jobs leave it. A worker tells its loop
 * that it has finished, and may wait for the lock before it sleeps. */
#ifndef BITTERN_TESTS_POOL_JOBS_SIM_H
#define BITTERN_TESTS_POOL_JOBS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_ROUTES_MAX 8
#define SIM_JOBS_MAX 2

struct sim_route {
	const char *name;
	double weight; /* of the clients' choices */
	double loop_us; /* work on the loop */
	double await_ms; /* then waits for something else */
	size_t job_count; /* 0: `async def` */
	double job_us[SIM_JOBS_MAX]; /* its jobs, one after the other: a dependency, the handler */
	double spread; /* of the jobs' CPU, as the sigma of its logarithm */
	double handed; /* how many requests have jobs at all; 0: all */
};

enum sim_pool {
	SIM_ANYIO, /* a limiter in front of idle workers: def handlers of FastAPI */
	SIM_EXECUTOR, /* workers take from a queue, without sleeping while it is not empty */
};

struct sim_mix {
	const char *name;
	struct sim_route routes[SIM_ROUTES_MAX];
	size_t client_count, worker_count;
	double think_ms; /* of a client between two requests, on average */
	double seconds;
	enum sim_pool pool;
	bool unlocked; /* jobs leave the interpreter lock */
	bool silent; /* the kernel does not see when a worker tells its loop */
	bool vain; /* often a worker is woken to find that another one has taken the work */
	bool swap; /* in the middle the clients' choices are turned round */
	/* Requests of the last route that are open all the time, besides the clients' ones. */
	size_t stream_count;
	uint64_t seed;
};

struct sim_result {
	struct {
		uint64_t request_count, job_count;
		uint64_t true_ns, charged_ns, split_ns;
	} routes[SIM_ROUTES_MAX];
	uint64_t true_ns, charged_ns, nobody_ns, split_ns; /* of all */
	uint64_t reported_ns; /* to pool_jobs */
};

void sim_run(const struct sim_mix *mix, struct sim_result *result);

#endif
