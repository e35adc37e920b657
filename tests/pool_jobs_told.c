// SPDX-License-Identifier: Apache-2.0
#include "pool_jobs_told.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DISORDER_NS 500000 /* of rings of two CPUs */
#define DRAIN_NS 100000000ull

struct told_delivery {
	uint64_t at_ns;
	enum { REQUEST, ANSWERED, JOB } kind;
	struct told_request *request;
	struct pool_job job;
};

static struct told_delivery *deliver(struct told *t, uint64_t now_ns)
{
	struct told_delivery *d;

	if (t->delivery_count == t->delivery_capacity) {
		t->delivery_capacity = t->delivery_capacity ? 2 * t->delivery_capacity : 1024;
		t->deliveries =
			realloc(t->deliveries, t->delivery_capacity * sizeof(*t->deliveries));
		assert(t->deliveries);
	}
	t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
	d = &t->deliveries[t->delivery_count++];
	*d = (struct told_delivery){.at_ns = now_ns + (t->random >> 33) % DISORDER_NS};
	return d;
}

void told_request(struct told *t, struct told_request *request, uint64_t now_ns)
{
	struct told_delivery *d = deliver(t, now_ns);

	d->kind = REQUEST;
	d->request = request;
	if (t->request_count == t->request_capacity) {
		t->request_capacity = t->request_capacity ? 2 * t->request_capacity : 1024;
		t->requests = realloc(t->requests, t->request_capacity * sizeof(*t->requests));
		assert(t->requests);
	}
	t->requests[t->request_count++] = request;
}

void told_answered(struct told *t, struct told_request *request, uint64_t now_ns)
{
	struct told_delivery *d = deliver(t, now_ns);

	d->kind = ANSWERED;
	d->request = request;
	request->end_ns = now_ns;
}

void told_job(struct told *t, const struct pool_job *job, uint64_t now_ns)
{
	struct told_delivery *d = deliver(t, now_ns);

	d->kind = JOB;
	d->job = *job;
	if (t->mix->silent)
		d->job.told_ns = 0;
	if (job->ended)
		t->result->reported_ns += job->cpu_ns;
}

static int by_time(const void *a, const void *b)
{
	const struct told_delivery *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

static void tell_request(struct told *t, struct told_request *r)
{
	r->was_told = true;
	r->tracked = pool_jobs_request(t->jobs, TOLD_PID, TOLD_LOOP, r, r->start_ns);
	pool_jobs_route(t->jobs, r->tracked, t, &t->mix->routes[r->route]);
	if (r->answered) /* out of order */
		pool_jobs_answered(t->jobs, r->tracked, r->end_ns);
}

static void tell(struct told *t, const struct told_delivery *d)
{
	struct told_request *r = d->request;

	switch (d->kind) {
	case JOB:
		pool_jobs_job(t->jobs, &d->job);
		break;
	case REQUEST:
		tell_request(t, r);
		break;
	case ANSWERED:
		r->answered = true;
		pool_jobs_answered(t->jobs, r->tracked, r->end_ns);
	}
}

void told_drain(struct told *t, uint64_t now_ns)
{
	size_t i;

	qsort(t->deliveries, t->delivery_count, sizeof(*t->deliveries), by_time);
	for (i = 0; i < t->delivery_count && t->deliveries[i].at_ns <= now_ns; i++)
		tell(t, &t->deliveries[i]);
	t->delivery_count -= i;
	memmove(t->deliveries, &t->deliveries[i], t->delivery_count * sizeof(*t->deliveries));
	pool_jobs_settle(t->jobs, now_ns);
}

static void on_track(void *context, uint32_t pid, uint32_t tid)
{
	struct told *t = context;
	size_t i;

	assert(pid == TOLD_PID && tid == TOLD_LOOP);
	for (i = 0; i < t->request_count; i++)
		if (t->requests[i]->was_told && !t->requests[i]->answered)
			tell_request(t, t->requests[i]);
}

static void on_charge(void *context, const struct pool_charge *charge)
{
	struct told *t = context;
	struct sim_result *result = t->result;
	size_t route;

	result->charged_ns += charge->cpu_ns;
	if (charge->split)
		result->split_ns += charge->cpu_ns;
	if (!charge->route) {
		result->nobody_ns += charge->cpu_ns;
		return;
	}
	route = (size_t)((const struct sim_route *)charge->route - t->mix->routes);
	result->routes[route].charged_ns += charge->cpu_ns;
	if (charge->split)
		result->routes[route].split_ns += charge->cpu_ns;
}

void told_open(struct told *t, const struct sim_mix *mix, struct sim_result *result)
{
	struct pool_jobs_sink sink = {.charge = on_charge, .track = on_track, .context = t};
	int error;

	*t = (struct told){.mix = mix, .result = result, .random = mix->seed};
	error = pool_jobs_open(&t->jobs, &sink);
	assert(!error);
}

void told_close(struct told *t, uint64_t now_ns)
{
	size_t i;

	for (i = 1; i * DRAIN_NS <= POOL_JOBS_DELAY_NS + DRAIN_NS; i++)
		told_drain(t, now_ns + i * DRAIN_NS);
	pool_jobs_forget(t->jobs, TOLD_PID);
	pool_jobs_close(t->jobs);
	free(t->deliveries);
	free(t->requests);
}
