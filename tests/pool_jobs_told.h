/* SPDX-License-Identifier: Apache-2.0 */
/* pool_jobs_told - what the kernel would tell of a simulated loop (pool_jobs_sim.h) goes to
 * pool_jobs as out of a ring: a little out of order, and when it is drained. What is charged goes
 * to the result. */
#ifndef BITTERN_TESTS_POOL_JOBS_TOLD_H
#define BITTERN_TESTS_POOL_JOBS_TOLD_H

#include "../agent/pool_jobs.h"
#include "pool_jobs_sim.h"

#define TOLD_PID 100
#define TOLD_LOOP 100

struct told_request {
	struct pool_request *tracked;
	size_t route;
	uint64_t start_ns, end_ns;
	bool was_told, answered;
};

struct told_delivery;

struct told {
	const struct sim_mix *mix;
	struct sim_result *result;
	struct pool_jobs *jobs;
	struct told_delivery *deliveries;
	size_t delivery_count, delivery_capacity;
	struct told_request **requests; /* of their owners */
	size_t request_count, request_capacity;
	uint64_t random;
};

void told_open(struct told *t, const struct sim_mix *mix, struct sim_result *result);
/* Each of these is told at the drain after now_ns or soon after. */
void told_request(struct told *t, struct told_request *request, uint64_t now_ns);
void told_answered(struct told *t, struct told_request *request, uint64_t now_ns);
void told_job(struct told *t, const struct pool_job *job, uint64_t now_ns);
void told_drain(struct told *t, uint64_t now_ns);
/* Everything is told, and settled, and the process has gone. */
void told_close(struct told *t, uint64_t now_ns);

#endif
