/* SPDX-License-Identifier: Apache-2.0 */
/* pool_tables - the loops, jobs and routes of pool_jobs: found by hash, out of pools with bounds.
 */
#ifndef BITTERN_POOL_TABLES_H
#define BITTERN_POOL_TABLES_H

#include "pool.h"
#include "pool_shares.h"

#define POOL_TABLES_BUCKETS 1024

struct pool_loop {
	struct link_pair place; /* first: in the list of all */
	struct pool_loop *next; /* in its bucket */
	struct pool_line line;
	struct link_pair waiting; /* jobs that are not decided, by their begin */
	struct link_pair decided; /* those that are still running, or ended just now */
	uint64_t span_ns; /* how long jobs took lately */
	uint64_t active_ns; /* when something was last heard of */
	uint32_t pid, tid;
	uint32_t open_count; /* requests in flight */
	float sureness; /* how much of a job its most likely route gets, on the average */
	uint64_t rehearse_ns, pause_ns; /* not before; pause_ns 0: never yet */
};

struct pool_task {
	struct link_pair place; /* first: in its loop's list */
	struct pool_task *next; /* in its bucket */
	struct pool_loop *loop;
	struct pool_work work;
	uint64_t id_ns; /* its begin as reported */
	uint64_t seen_ns;
	struct pool_amounts used, charged;
	struct pool_shares shares; /* once decided */
	const void *service, *route; /* whose it is if no request is in flight */
	uint32_t tid;
	bool decided;
};

struct pool_tables {
	struct pool loops, requests, tasks, routes;
	struct link_pair all_loops;
	struct pool_loop *loop_buckets[POOL_TABLES_BUCKETS];
	struct pool_task *task_buckets[POOL_TABLES_BUCKETS];
	struct pool_route *route_buckets[POOL_TABLES_BUCKETS];
	/* Requests without a route, and those of routes beyond the bound. */
	struct pool_route unknown;
};

void pool_tables_init(struct pool_tables *t);
void pool_tables_close(struct pool_tables *t);

struct pool_loop *pool_tables_loop(const struct pool_tables *t, uint32_t pid, uint32_t tid);
struct pool_loop *pool_tables_add_loop(struct pool_tables *t, uint32_t pid, uint32_t tid);
void pool_tables_remove_loop(struct pool_tables *t, struct pool_loop *loop);

/* A job of the worker: that one which began then, or the one that has not ended. */
struct pool_task *pool_tables_task(const struct pool_tables *t, uint32_t pid, uint32_t tid,
				   uint64_t begin_ns);
/* Another one of the same worker, added before; NULL: there is none. */
struct pool_task *pool_tables_earlier(const struct pool_task *task);
struct pool_task *pool_tables_running(const struct pool_tables *t, uint32_t pid, uint32_t tid);
struct pool_task *pool_tables_add_task(struct pool_tables *t, struct pool_loop *loop, uint32_t tid);
void pool_tables_remove_task(struct pool_tables *t, struct pool_task *task);

/* Found or added; never NULL. */
struct pool_route *pool_tables_route(struct pool_tables *t, const void *service, const void *route);
/* No request may have one of the service's routes. */
void pool_tables_remove_routes(struct pool_tables *t, const void *service);

#endif
