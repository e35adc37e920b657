/* SPDX-License-Identifier: Apache-2.0 */
/* pool_rehearsal - how to begin to learn whose a loop's jobs are.
 *
 * Expectation-maximisation finds what fits best near to where it begins, and under full load, when
 * thirty requests are candidates for every job, there is much that fits badly. So before a loop's
 * first jobs are decided they are gone through under several guesses of which routes have none, one
 * or two; what decides them best is kept. It is gone through again later if decisions stay unsure.
 *
 * Costs up to POOL_REHEARSAL_CANDIDATES candidates weighed (some tens of milliseconds), once per
 * loop as a rule. */
#ifndef BITTERN_POOL_REHEARSAL_H
#define BITTERN_POOL_REHEARSAL_H

#include "pool_tables.h"

#define POOL_REHEARSAL_CANDIDATES 500000
#define POOL_REHEARSAL_ROUTES 16 /* that are guessed; others stay open */
#define POOL_REHEARSAL_JOBS 256 /* the oldest */

/* The loop's waiting jobs are rehearsed; they are waiting still, and their requests are as if
 * nothing had been decided. What is known of the routes is replaced if something better is found.
 * Without memory nothing is done. */
void pool_rehearsal_hold(struct pool_loop *loop, struct pool_candidates *candidates);

#endif
