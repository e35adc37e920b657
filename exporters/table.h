/* SPDX-License-Identifier: Apache-2.0 */
/* table - the rows of the console: one for each service, route and method, with what the last
 * interval gained.
 *
 * Keeps the cumulative state of each row between updates (about 2 kB a row; no more rows than
 * series) and all strings that it shows, so that it can be read after the snapshot is gone. An
 * update costs a sort of the series and two passes over their histograms. */
#ifndef BITTERN_TABLE_H
#define BITTERN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/snapshot.h"

struct table;

enum table_order { TABLE_BY_RATE, TABLE_BY_ERRORS, TABLE_BY_DURATION, TABLE_BY_NAME };

/* Of one interval. */
struct table_numbers {
	uint64_t count, error_count; /* error: a request with error.type */
	double per_second;
	double p50_s, p95_s, p99_s; /* NaN: no request */
};

enum table_line_kind {
	TABLE_ROUTE, /* one service, method and route */
	TABLE_SUBTOTAL, /* a service with more than one of them; they follow */
	TABLE_UNUSED, /* a service without a request so far: no method, no route, no numbers */
};

struct table_line {
	enum table_line_kind kind;
	const char *service, *method, *route; /* "" where there is none */
	struct table_numbers interval;
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
/* Of all services together. */
double table_per_second(const struct table *t);
size_t table_service_count(const struct table *t); /* of the snapshot, with and without requests */
bool table_has_requests(const struct table *t); /* ever */
void table_close(struct table *t); /* NULL is fine */

#endif
