// SPDX-License-Identifier: Apache-2.0
#include "pool_tables.h"

#include <string.h>

static size_t bucket_of(uint64_t a, uint64_t b)
{
	uint64_t hash = (a * 0x9e3779b97f4a7c15ull) ^ (b * 0xc2b2ae3d27d4eb4full);

	return (hash ^ hash >> 29) % POOL_TABLES_BUCKETS;
}

void pool_tables_init(struct pool_tables *t)
{
	memset(t, 0, sizeof(*t));
	links_init(&t->all_loops);
	pool_init(&t->loops, sizeof(struct pool_loop), POOL_JOBS_LOOPS_MAX);
	pool_init(&t->requests, sizeof(struct pool_request), POOL_JOBS_REQUESTS_MAX);
	pool_init(&t->tasks, sizeof(struct pool_task), POOL_JOBS_WAITING_MAX);
	pool_init(&t->routes, sizeof(struct pool_route), POOL_JOBS_ROUTES_MAX);
}

void pool_tables_close(struct pool_tables *t)
{
	pool_close(&t->loops);
	pool_close(&t->requests);
	pool_close(&t->tasks);
	pool_close(&t->routes);
}

/* --- loops --- */

struct pool_loop *pool_tables_loop(const struct pool_tables *t, uint32_t pid, uint32_t tid)
{
	struct pool_loop *loop;

	if (!t->loops.count)
		return NULL;
	loop = t->loop_buckets[bucket_of(pid, tid)];
	while (loop && (loop->pid != pid || loop->tid != tid))
		loop = loop->next;
	return loop;
}

struct pool_loop *pool_tables_add_loop(struct pool_tables *t, uint32_t pid, uint32_t tid)
{
	struct pool_loop **bucket = &t->loop_buckets[bucket_of(pid, tid)];
	struct pool_loop *loop = pool_take(&t->loops);

	if (!loop)
		return NULL;
	loop->pid = pid;
	loop->tid = tid;
	loop->span_ns = POOL_JOBS_DELAY_NS;
	loop->next = *bucket;
	*bucket = loop;
	pool_line_init(&loop->line);
	links_init(&loop->waiting);
	links_init(&loop->decided);
	links_add_last(&t->all_loops, &loop->place);
	return loop;
}

void pool_tables_remove_loop(struct pool_tables *t, struct pool_loop *loop)
{
	struct pool_loop **link = &t->loop_buckets[bucket_of(loop->pid, loop->tid)];

	while (*link != loop)
		link = &(*link)->next;
	*link = loop->next;
	links_remove(&loop->place);
	pool_give(&t->loops, loop);
}

/* --- jobs --- */

struct pool_task *pool_tables_task(const struct pool_tables *t, uint32_t pid, uint32_t tid,
				   uint64_t begin_ns)
{
	struct pool_task *task = t->task_buckets[bucket_of(pid, tid)];

	while (task && (task->tid != tid || task->loop->pid != pid || task->id_ns != begin_ns))
		task = task->next;
	return task;
}

struct pool_task *pool_tables_running(const struct pool_tables *t, uint32_t pid, uint32_t tid)
{
	struct pool_task *task = t->task_buckets[bucket_of(pid, tid)];

	while (task && (task->tid != tid || task->loop->pid != pid || task->work.ended))
		task = task->next;
	return task;
}

struct pool_task *pool_tables_earlier(const struct pool_task *task)
{
	struct pool_task *earlier = task->next;

	while (earlier && (earlier->tid != task->tid || earlier->loop->pid != task->loop->pid))
		earlier = earlier->next;
	return earlier;
}

struct pool_task *pool_tables_add_task(struct pool_tables *t, struct pool_loop *loop, uint32_t tid)
{
	struct pool_task **bucket = &t->task_buckets[bucket_of(loop->pid, tid)];
	struct pool_task *task = pool_take(&t->tasks);

	if (!task)
		return NULL;
	task->loop = loop;
	task->tid = tid;
	task->next = *bucket;
	*bucket = task;
	return task;
}

void pool_tables_remove_task(struct pool_tables *t, struct pool_task *task)
{
	struct pool_task **link = &t->task_buckets[bucket_of(task->loop->pid, task->tid)];

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
	links_remove(&task->place);
	pool_give(&t->tasks, task);
}

/* --- routes --- */

struct pool_route *pool_tables_route(struct pool_tables *t, const void *service, const void *route)
{
	struct pool_route **bucket =
		&t->route_buckets[bucket_of((uintptr_t)service, (uintptr_t)route)];
	struct pool_route *known = *bucket;

	if (!route)
		return &t->unknown;
	while (known && (known->service != service || known->route != route))
		known = known->next;
	if (known)
		return known;
	known = pool_take(&t->routes);
	if (!known)
		return &t->unknown;
	known->service = service;
	known->route = route;
	known->next = *bucket;
	*bucket = known;
	return known;
}

void pool_tables_remove_routes(struct pool_tables *t, const void *service)
{
	size_t i;

	for (i = 0; i < POOL_TABLES_BUCKETS; i++) {
		struct pool_route **link = &t->route_buckets[i];

		while (*link) {
			struct pool_route *route = *link;

			if (route->service != service) {
				link = &route->next;
				continue;
			}
			*link = route->next;
			pool_give(&t->routes, route);
		}
	}
}
