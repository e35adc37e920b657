/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate - series of all instruments, one for each set of attributes, with a bound on their
 * number.
 *
 * Past the bound everything new goes to one overflow series per instrument (otel.metric.overflow),
 * so that totals stay right; these are not counted against the bound, and a counter by outcome is
 * one series. A measurement is one hash look-up, and allocates only for a set of attributes that is
 * new. Loop thread only. */
#ifndef BITTERN_AGGREGATE_H
#define BITTERN_AGGREGATE_H

#include "snapshot.h"

struct costs;
struct slo;

enum scheme { SCHEME_HTTP, SCHEME_HTTPS };

/* Pointers are compared, not what they point to, which must live until aggregate_forget() of the
 * service. What an instrument does not have as an attribute (snapshot.h says which it has) is not
 * looked at: one key serves several instruments of a request. */
struct series_key {
	const struct service *service;
	const struct route *route; /* of the service's routes; NULL: no route */
	const char *address; /* server.address, of the service's addresses; NULL: none */
	/* A string constant, of one address wherever it is used; NULL: that of the status, if it
	 * is an error (500 and above; for a client's request 400 and above). */
	const char *error_type;
	const struct slo *slo; /* limits.h */
	uint16_t status, port; /* 0: none */
	uint8_t method; /* enum http_method; not shown for the route "{unread}" */
	uint8_t version; /* 10 or 11; 0: not known */
	uint8_t scheme; /* enum scheme */
	uint8_t instrument; /* enum instrument: of the kind that the function called is for */
};

struct aggregate;

/* 0 and *out, to be closed; -ENOMEM. */
int aggregate_open(struct aggregate **out, size_t max_series);

/* INSTRUMENT_..._DURATION, _TIME_TO_FIRST_BYTE: one more value. */
void aggregate_observe(struct aggregate *a, const struct series_key *key, uint64_t value_ns);
/* INSTRUMENT_SERVER_REQUESTS, _CLIENT_REQUESTS: one more of this outcome. The others of the same
 * attributes exist from then on, too. */
void aggregate_count(struct aggregate *a, const struct series_key *key, enum outcome outcome);
/* INSTRUMENT_CONNECT_FAILURES: one more. */
void aggregate_fail(struct aggregate *a, const struct series_key *key);
/* INSTRUMENT_COST: so much more. split_ns: of cpu_ns. */
void aggregate_cost(struct aggregate *a, const struct series_key *key, const struct costs *costs,
		    uint64_t split_ns);
/* INSTRUMENT_SLO: one more event. */
void aggregate_slo(struct aggregate *a, const struct series_key *key, bool good);
/* Any instrument: the series exists from now on, at 0. */
void aggregate_touch(struct aggregate *a, const struct series_key *key);

/* Requests in flight are not followed but told anew before each snapshot: begin sets all counts and
 * ages to 0, then each open request is told once. INSTRUMENT_ACTIVE: it is counted, and its age
 * goes to INSTRUMENT_OLDEST of its route as well; INSTRUMENT_OLDEST: its age alone (what arrived
 * but is not read). */
void aggregate_active_begin(struct aggregate *a);
void aggregate_active(struct aggregate *a, const struct series_key *key, uint64_t age_ns);

/* Forgets the series of a service that goes for good. */
void aggregate_forget(struct aggregate *a, const struct service *service);
/* All series in the order of snapshot.h; valid until the next call of this module. NULL when out of
 * memory (or none: *count 0). */
const struct snapshot_series *aggregate_snapshot(struct aggregate *a, size_t *count);
size_t aggregate_series_count(const struct aggregate *a); /* without the overflow series */
/* Measurements in the overflow series; requests in flight are not among them. */
uint64_t aggregate_overflow_count(const struct aggregate *a);
void aggregate_close(struct aggregate *a); /* NULL is fine */

#endif
