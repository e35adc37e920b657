/* SPDX-License-Identifier: Apache-2.0 */
/* rows - what a snapshot says of each service, route and method, and of each service as a whole:
 * the cumulative state that the console keeps between two updates.
 *
 * Some 2 kB a row, strings included, so that a row can be read after its snapshot is gone. Making
 * them costs a sort of the series that the console shows, and a pass over their histograms. */
#ifndef BITTERN_ROWS_H
#define BITTERN_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/snapshot.h"

#define ROWS_OVERFLOW_ID UINT32_MAX /* no service has so many before it */

struct row_numbers {
	/* Of one interval. */
	uint64_t count, error_count; /* requests that ended; error: with error.type */
	double per_second;
	double p50_s, p95_s, p99_s; /* NaN: no request */
	uint64_t timeouts_gained;
	/* CPU of the route, whatever the method; of a whole service: of all its routes. */
	uint64_t cpu_gained_ns;
	uint64_t cpu_request_count; /* requests that ended on it, whatever the method */
	bool has_cpu;
	/* Since the series began. */
	uint64_t timeout_count;
	/* At this moment: not answered, unread ones included; none of a service that is gone. */
	uint64_t open_count;
	double oldest_s; /* age of the oldest of them on this route, whatever the method; NaN: none
			  */
};

struct row {
	uint32_t service_id;
	/* The service as a whole: no route, no method; before its other rows. Its CPU is that of
	 * all routes and of no request, its durations are queue times. */
	bool is_service;
	char service[sizeof(((struct service *)0)->name)];
	char route[ROUTES_TEMPLATE_MAX]; /* "-": none */
	char method[16]; /* "-": none */
	struct row_numbers numbers; /* those of an interval: by rows_interval() */
	/* Since the series began. */
	struct histogram total; /* of all statuses; of all ports */
	uint64_t error_total;
	uint64_t cpu_total_ns;
};

struct rows {
	struct row *items; /* by service_id, route, method */
	size_t count;
};

/* 0 and *out, to be freed; -ENOMEM. */
int rows_make(struct rows *out, const struct snapshot *snapshot);
/* The order of items, by key. */
int rows_compare(const struct row *a, const struct row *b);
/* Sets what row gained since past, the same row at the last update (NULL: it is new), and *gained
 * to the durations of that. */
void rows_interval(struct row *row, const struct row *past, double elapsed_s,
		   struct histogram *gained);
/* The numbers that come from durations. */
void rows_set_durations(struct row_numbers *n, const struct histogram *gained, double elapsed_s);
void rows_free(struct rows *rows);

#endif
