/* SPDX-License-Identifier: Apache-2.0 */
/* pool_shares - a job's amounts shared out among the routes that it may have been for.
 *
 * The parts of all charges of a job add up to its amounts exactly. */
#ifndef BITTERN_POOL_SHARES_H
#define BITTERN_POOL_SHARES_H

#include "pool_jobs.h"
#include "pool_owner.h"

/* More routes than these do not share one job: the least likely candidates get nothing. */
#define POOL_SHARES_MAX 8

struct pool_share {
	const void *service, *route;
	struct pool_request *request; /* the most likely one of this route; NULL: nobody's */
	float weight, best;
};

struct pool_shares {
	struct pool_share all[POOL_SHARES_MAX];
	size_t count; /* at least 1; their weights add up to 1 */
};

struct pool_amounts {
	uint64_t cpu_ns, minor_faults, major_faults;
};

/* By the candidates' probabilities; what is as good as sure is not split. No candidate: nobody's,
 * or (pool_shares_assign()) a route's whose request is not known. */
void pool_shares_make(struct pool_shares *shares, const struct pool_candidates *candidates);
void pool_shares_assign(struct pool_shares *shares, const void *service, const void *route);
/* The weight of the most likely route. */
float pool_shares_sure(const struct pool_shares *shares);
/* Charges amounts, unless they are all 0. */
void pool_shares_charge(const struct pool_shares *shares, uint32_t pid,
			const struct pool_amounts *amounts, const struct pool_jobs_sink *sink);
/* While a job goes on its requests are kept, so that charges can name their exchanges. */
void pool_shares_hold(struct pool_shares *shares);
void pool_shares_release(struct pool_shares *shares);

#endif
