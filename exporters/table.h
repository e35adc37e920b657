/* SPDX-License-Identifier: Apache-2.0 */
/* table - the lines of the console: one for each service, route and method, with what the last
 * interval gained and what is open right now.
 *
 * Keeps the rows of one update until the next (rows.h; no more rows than series), so that it can be
 * read after the snapshot is gone. */
#ifndef BITTERN_TABLE_H
#define BITTERN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/snapshot.h"
#include "rows.h"

struct table;

enum table_order {
	TABLE_BY_RATE,
	TABLE_BY_ERRORS,
	TABLE_BY_DURATION, /* p95 */
	TABLE_BY_OPEN,
	TABLE_BY_OLDEST,
	TABLE_BY_TIMEOUTS,
	TABLE_BY_CPU,
	TABLE_BY_QUEUE, /* services; their routes by name */
	TABLE_BY_NAME,
};

enum table_line_kind {
	TABLE_ROUTE, /* one service, method and route */
	TABLE_SUBTOTAL, /* a service with more than one of them; they follow */
	TABLE_UNUSED, /* a service without a request so far: no method, no route, no numbers */
};

struct table_line {
	enum table_line_kind kind;
	const char *service, *method, *route; /* "" where there is none */
	struct row_numbers numbers;
	double queue_p99_s; /* of the interval, of the whole service; NaN: no request */
	/* Of the whole service. */
	double cpu_share; /* of one CPU, over the last second or interval; NaN: not known */
	uint64_t resident_bytes; /* 0: not known */
	uint64_t cpu_gained_ns; /* in the interval, as numbers.cpu_gained_ns; of no request, too */
	bool alone; /* TABLE_ROUTE: the only one of its service, which has no subtotal */
};

/* 0 and *out, to be closed; -ENOMEM. */
int table_open(struct table **out);
/* Takes snapshot as the present; the interval began at the update before, at first at the agent's
 * start. 0; -ENOMEM, and nothing has changed. Sorted by the last order. */
int table_update(struct table *t, const struct snapshot *snapshot);
/* Services by order, and the routes within each. By name where they are equal. */
void table_sort(struct table *t, enum table_order order);
size_t table_line_count(const struct table *t);
/* Line i, valid until the next update. */
struct table_line table_line(const struct table *t, size_t i);
/* The route whose oldest request is the oldest of all that are open, in *line (strings and numbers;
 * valid until the next update). False: none is open. */
bool table_oldest(const struct table *t, struct table_line *line);
/* Of all services together. */
double table_per_second(const struct table *t);
size_t table_service_count(const struct table *t); /* of the snapshot, with and without requests */
bool table_has_requests(const struct table *t); /* ever */
bool table_has_cpu(const struct table *t); /* of routes */
void table_close(struct table *t); /* NULL is fine */

#endif
