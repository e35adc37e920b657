/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate - series of request durations, one for each set of attributes, with a bound on their
 * number.
 *
 * Past the bound everything new goes to one overflow series (otel.metric.overflow), so that totals
 * stay right. aggregate_add() is one hash look-up and one histogram_add(). Loop thread only. */
#ifndef BITTERN_AGGREGATE_H
#define BITTERN_AGGREGATE_H

#include "snapshot.h"

enum scheme { SCHEME_HTTP, SCHEME_HTTPS };

struct series_key {
	const struct service *service;
	const struct route *route; /* of the service's routes; NULL: no route */
	const char *error_type; /* a string constant; NULL: that of the status, if it is an error */
	uint16_t status, port; /* 0: none */
	uint8_t method; /* enum http_method */
	uint8_t version; /* 10 or 11 */
	uint8_t scheme; /* enum scheme */
	uint8_t unused; /* 0 */
};

struct aggregate;

/* 0 and *out, to be closed; -ENOMEM. */
int aggregate_open(struct aggregate **out, size_t max_series);
void aggregate_add(struct aggregate *a, const struct series_key *key, uint64_t duration_ns);
/* Forgets the series of a service that goes for good. */
void aggregate_forget(struct aggregate *a, const struct service *service);
/* All series, those of one service together, oldest first; valid until the next call of this
 * module. NULL when out of memory (or none: *count 0). */
const struct snapshot_series *aggregate_snapshot(struct aggregate *a, size_t *count);
size_t aggregate_count(const struct aggregate *a);
uint64_t aggregate_overflow_count(const struct aggregate *a); /* requests in the overflow series */
void aggregate_close(struct aggregate *a); /* NULL is fine */

#endif
