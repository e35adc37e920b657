/* SPDX-License-Identifier: Apache-2.0 */
/* work - which request is charged for what a thread did.
 *
 * The kernel names the request that a thread worked for by its connection and position; it may be
 * open, or done, or not known. What a listing of the threads at work has charged ahead is taken
 * off what records tell later, so that nothing is charged twice.
 *
 * Turns. Python's event loops read first, as many requests as there are, and begin to work for them
 * in their next turn, in that order: the request read last is not the one that a thread works for.
 * So each loop has a queue of those that were read and not begun. What it used until it waits
 * again, or until it answers one of them, was for the first of the queue, up to that one: if there
 * are several, the sink splits it by what they usually cost. (Node.js works for a request as it
 * reads it.)
 *
 * Waits. A loop that waits several times before it answers may have worked for the request in
 * between, or run timers. Which of it is usual shows while none of its requests is open.
 *
 * Bounds: WORK_LOOPS_MAX threads with requests, WORK_TURN_MAX requests that are split between; what
 * is beyond is charged as if it were none of Python's. */
#ifndef BITTERN_WORK_H
#define BITTERN_WORK_H

#include "../bpf/record.h"
#include "connection.h"
#include "pairing.h"

#define WORK_LOOPS_MAX 4096
#define WORK_TURN_MAX 256

/* Zeroed is empty. */
struct work_loops {
	struct work_loop *loops; /* of WORK_LOOPS_MAX, by thread; NULL: none so far */
};

/* What the thread used for the request that it worked for before, without a call on a connection
 * with HTTP. */
void work_moved(struct pairing *p, const struct connections *t, struct work_loops *loops,
		const struct work *work);
/* What a pool's thread used for the owner. */
void work_of_job(struct pairing *p, const struct connections *t, const struct work *work);
/* Before a call on c is taken: what was used since belongs to the request that is answered, or for
 * which another one is sent. */
void work_before_call(struct pairing *p, const struct connections *t, struct work_loops *loops,
		      struct connection *c, const struct record_io *io);
/* After it: or to the one that was read. */
void work_after_call(struct pairing *p, struct work_loops *loops, struct connection *c,
		     const struct record_io *io);
/* One thread of listing list_id: never the same number twice in a row. */
void work_listed(struct pairing *p, const struct connections *t, const struct thread_state *state,
		 uint32_t list_id);
void work_loops_close(struct work_loops *loops);

#endif
