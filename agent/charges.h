/* SPDX-License-Identifier: Apache-2.0 */
/* charges - what requests use of CPU time and memory goes to the series of their routes.
 *
 * Exchanges carry what was charged to them. It enters its series (INSTRUMENT_COST) once the route
 * is certain: for a route that has its place while the request runs, at each snapshot; for others
 * when the request is done. What a thread does after it has answered and before it reads again is
 * charged to the request that it answered, as far as that is usual for its route: a background
 * task is, a timer that came in between is not. What it does after a wait and before it reads a
 * request, likewise, is charged to that one as far as it is usual for the service. What it does
 * before it answers a request is that one's; but where the service is known to do other things
 * (timers) that long, what is unusual for the route is theirs.
 *
 * What a Python loop used in a turn for several requests is split by what requests of their routes
 * cost in a turn, CPU time and faults each, which is learned from all turns, of one request or
 * more.
 *
 * What the threads of pools did is reported by jobs. Node.js gives a job away while it works for
 * the request; of Python's loops, which work in turns, pool_jobs.h finds out for whom a job is.
 *
 * What the processes of a service have used beyond that is "{unattributed}".
 *
 * Borrows what it is given. Loop thread only; no allocation but for new series. */
#ifndef BITTERN_CHARGES_H
#define BITTERN_CHARGES_H

#include <stdbool.h>
#include <stdint.h>

#include "aggregate.h"
#include "costs.h"
#include "exchange.h"
#include "pool_jobs.h"
#include "services.h"

#define CHARGES_USUAL_COUNT 4096 /* things that are learned; a power of two */

/* Something that is learned of a route (ids of its service and its own), or of a service. */
struct usual {
	uint32_t service, route;
	uint64_t amount : 56; /* ns, or parts of faults */
	uint64_t count : 8; /* of values it was learned from, as far as that matters */
};

struct charges {
	struct services *services;
	struct aggregate *aggregate;
	struct exchanges *exchanges;
	struct pool_jobs *jobs;
	uint64_t list_ns; /* when the current listing began */
	struct usual usual[CHARGES_USUAL_COUNT];
};

/* 0, to be closed; -ENOMEM. The exchanges are those whose sink it is part of. */
int charges_open(struct charges *c, struct services *services, struct aggregate *aggregate);
void charges_close(struct charges *c);

/* As struct exchange_sink has them. */
void charges_read(struct charges *c, struct exchange *x);
void charges_gone(struct charges *c, struct exchange *x);
void charges_worked(struct charges *c, struct exchange *x, enum exchange_work how,
		    const struct costs *costs);
void charges_worked_turn(struct charges *c, struct exchange *const *list, size_t count,
			 const struct costs *costs);
bool charges_begun_turn(struct charges *c, const struct exchange *x, uint64_t cpu_ns);
void charges_worked_after(struct charges *c, const struct exchange_ended *ended, bool certain,
			  const struct costs *costs);
/* What is charged to the request and has not entered a series does so: route is certain. */
void charges_enter(struct charges *c, struct exchange *x, const struct route *route);
void charges_job(struct charges *c, const struct record_job *record);
/* A listing of threads at work, and each one that it found. */
void charges_list_begin(struct charges *c, uint64_t now_ns);
void charges_listed(struct charges *c, const struct thread_state *state);
/* After each drain of the ring. */
void charges_settle(struct charges *c, uint64_t now_ns);
/* After the last record of a process; before a service goes. */
void charges_forget_process(struct charges *c, uint32_t pid);
void charges_forget_service(struct charges *c, const struct service *service);
/* Before the requests in flight are told and a snapshot. */
void charges_in_flight_begin(struct charges *c);
/* certain: route is (NULL: it has none). */
void charges_in_flight(struct charges *c, struct exchange *x, bool certain,
		       const struct route *route);
/* What is nobody's, as far as is known, after services_read_usage(). */
void charges_unattributed(struct charges *c);

#endif
