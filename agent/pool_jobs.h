/* SPDX-License-Identifier: Apache-2.0 */
/* pool_jobs - which request was a thread pool's job worked for?
 *
 * A thread reads requests (a "loop") and hands some of them to pool threads: FastAPI's `def`
 * handlers, run_in_executor, to_thread. The kernel tells of each job who woke the worker, when, and
 * what the job used; nothing tells for which of the requests in flight on that loop it was. That
 * is learned, by route:
 *  - how many jobs its requests have: a share that is learned from the jobs themselves, by
 *    expectation-maximisation: the true request is always among the candidates, another only at
 *    times;
 *  - requests are handed over in the order in which they were read, those that wait for a second
 *    job in the order in which their first one ended;
 *  - whether its last job was done by the same worker; what a thread does that ends soon is one
 * job;
 *  - how long before the job the request was read, how long after it the response ended, and how
 *    much CPU and how many page faults the job took, each against how it would look for a request
 * that the job is not for. Clues are histograms that forget, so that they follow the load. What is
 * still ambiguous is split by the probabilities, and marked as split.
 *
 * A job is decided once: when it and the responses near it are known, at the latest
 * POOL_JOBS_DELAY_NS after it began; a job that is still running then is charged as it goes on, to
 * whom it was decided for. Nothing charged is ever taken back, and what is charged for a job adds
 * up to what the job used.
 *
 * A loop is tracked from its first job on: until then a request costs one look-up in a table of the
 * loops there are (no look-up when there are none). Bounds below; what they refuse is counted.
 * Loop thread only; no allocation per request but for blocks that are kept. */
#ifndef BITTERN_POOL_JOBS_H
#define BITTERN_POOL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_JOBS_DELAY_NS (1000 * 1000000ull)
#define POOL_JOBS_LOOPS_MAX 1024
#define POOL_JOBS_REQUESTS_MAX 32768 /* in flight on tracked loops, or near a waiting job */
#define POOL_JOBS_WAITING_MAX 16384 /* jobs that are not decided, or still running */
#define POOL_JOBS_ROUTES_MAX 4096 /* routes that are learned; the others are one to the learner */
#define POOL_JOBS_CANDIDATES_MAX 512 /* the oldest that may wait for a job */

/* A job, or a job so far: reports of one job have the same pid, tid and begin_ns, and amounts since
 * its begin. Work that a worker takes without having slept is a job of its own, if the kernel can
 * tell: it begins where the one before has ended. */
struct pool_job {
	uint32_t pid, tid; /* the worker */
	uint32_t loop_tid; /* the thread that woke it */
	uint64_t begin_ns; /* when it was woken */
	uint64_t seen_ns; /* up to when the amounts are: the end of the job, if it has ended */
	/* When the worker last woke its loop or sent to it (asyncio's socket pair): the work was
	 * done then, while the worker may have waited for the interpreter lock for long before it
	 * slept. 0: not known. */
	uint64_t told_ns;
	uint64_t cpu_ns, minor_faults, major_faults;
	bool ended;
	bool unwoken; /* the worker had not slept: what it does was handed over before or since */
	bool last; /* the worker has ended with it */
	/* Of the request that the loop had worked for, if it was answered: the job's, if none is in
	 * flight that it could be for. NULL: not known. */
	const void *service, *route;
};

/* What is charged: a part of a job. The parts of a job add up to what was reported of it. */
struct pool_charge {
	uint32_t pid;
	const void *service, *route; /* as told of the request; NULL: nobody's, or not known */
	void *exchange; /* as told; NULL once it was answered, or when nobody's */
	uint64_t cpu_ns, minor_faults, major_faults;
	bool split; /* it might have been another's */
};

struct pool_jobs_sink {
	void (*charge)(void *context, const struct pool_charge *charge);
	/* This thread is tracked from now on: pool_jobs_request() is to be called for each of its
	 * requests that is open, within this call. */
	void (*track)(void *context, uint32_t pid, uint32_t tid);
	void *context;
};

struct pool_jobs_stats {
	size_t loop_count, request_count, waiting_count, route_count;
	uint64_t loops_refused; /* jobs of loops beyond the bound: charged to nobody */
	uint64_t requests_refused; /* requests that no job can be charged to */
	uint64_t jobs_refused; /* jobs decided at once, for want of room */
	uint64_t orphans; /* jobs with no request in flight */
};

struct pool_jobs;
struct pool_request;

/* 0 and *out, to be closed; -ENOMEM. */
int pool_jobs_open(struct pool_jobs **out, const struct pool_jobs_sink *sink);

/* pid's thread tid has read a request. exchange: anything, given back in charges until the request
 * is answered. NULL when the thread is not tracked or there is no room. What is returned is valid
 * until pool_jobs_answered() or pool_jobs_forget(); the functions below take NULL, too. */
struct pool_request *pool_jobs_request(struct pool_jobs *p, uint32_t pid, uint32_t tid,
				       void *exchange, uint64_t start_ns);
/* Its route as far as it is known; may be called again with another one. Pointers are compared
 * only. A request without one can be charged, to route NULL. */
void pool_jobs_route(struct pool_jobs *p, struct pool_request *request, const void *service,
		     const void *route);
/* It has ended, however: the last byte of its response was written at end_ns. */
void pool_jobs_answered(struct pool_jobs *p, struct pool_request *request, uint64_t end_ns);

/* A report of the kernel. */
void pool_jobs_job(struct pool_jobs *p, const struct pool_job *job);
/* Decides what can be decided, and charges it. After each drain of the ring. */
void pool_jobs_settle(struct pool_jobs *p, uint64_t now_ns);

/* The process has gone (after its last record): what waits is decided, its requests are invalid. */
void pool_jobs_forget(struct pool_jobs *p, uint32_t pid);
/* The service's routes are about to go: what was learned of them is forgotten, and requests that
 * are still tracked are nobody's. */
void pool_jobs_forget_service(struct pool_jobs *p, const void *service);

struct pool_jobs_stats pool_jobs_stats(const struct pool_jobs *p);
void pool_jobs_close(struct pool_jobs *p); /* NULL is fine; charges nothing */

#endif
