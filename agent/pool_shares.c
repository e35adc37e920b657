// SPDX-License-Identifier: Apache-2.0
#include "pool_shares.h"

/* Less ambiguous than this is not split. */
#define SURE 0.95f

static struct pool_share *share_of(struct pool_shares *shares, const struct pool_request *request)
{
	size_t i;

	for (i = 0; i < shares->count; i++)
		if (shares->all[i].service == request->service &&
		    shares->all[i].route == request->route)
			return &shares->all[i];
	if (shares->count == POOL_SHARES_MAX)
		return NULL;
	shares->all[shares->count] =
		(struct pool_share){.service = request->service, .route = request->route};
	return &shares->all[shares->count++];
}

static void add(struct pool_shares *shares, const struct pool_candidate *candidate)
{
	struct pool_share *share = share_of(shares, candidate->request);

	if (!share)
		return;
	share->weight += candidate->probability;
	if (candidate->probability > share->best) {
		share->best = candidate->probability;
		share->request = candidate->request;
	}
}

void pool_shares_make(struct pool_shares *shares, const struct pool_candidates *candidates)
{
	struct pool_share *best = &shares->all[0];
	float sum = 0;
	size_t i;

	shares->count = 0;
	/* The likely ones first: there may be more routes than shares. */
	for (i = 0; i < candidates->count; i++)
		if (candidates->all[i].probability >= 1.0f / POOL_SHARES_MAX)
			add(shares, &candidates->all[i]);
	for (i = 0; i < candidates->count; i++)
		if (candidates->all[i].probability < 1.0f / POOL_SHARES_MAX)
			add(shares, &candidates->all[i]);
	for (i = 0; i < shares->count; i++)
		sum += shares->all[i].weight;
	for (i = 0; i < shares->count; i++) {
		shares->all[i].weight /= sum;
		if (shares->all[i].weight > best->weight)
			best = &shares->all[i];
	}
	if (shares->count && best->weight < SURE)
		return;
	shares->all[0] = shares->count ? *best : (struct pool_share){0};
	shares->all[0].weight = 1;
	shares->count = 1;
}

void pool_shares_assign(struct pool_shares *shares, const void *service, const void *route)
{
	shares->all[0] = (struct pool_share){.service = service, .route = route, .weight = 1};
	shares->count = 1;
}

float pool_shares_sure(const struct pool_shares *shares)
{
	float sure = 0;
	size_t i;

	for (i = 0; i < shares->count; i++)
		if (shares->all[i].weight > sure)
			sure = shares->all[i].weight;
	return sure;
}

/* Takes a part of the whole out of what is left of it; the last one takes all. */
static uint64_t take_part(uint64_t *left, uint64_t whole, float weight, bool last)
{
	uint64_t part = (uint64_t)((double)whole * (double)weight);

	if (last || part > *left)
		part = *left;
	*left -= part;
	return part;
}

void pool_shares_charge(const struct pool_shares *shares, uint32_t pid,
			const struct pool_amounts *amounts, const struct pool_jobs_sink *sink)
{
	struct pool_amounts left = *amounts;
	size_t i;

	if (!left.cpu_ns && !left.minor_faults && !left.major_faults)
		return;
	for (i = 0; i < shares->count; i++) {
		const struct pool_share *share = &shares->all[i];
		bool last = i + 1 == shares->count;
		struct pool_charge charge = {
			.pid = pid,
			.service = share->service,
			.route = share->route,
			.exchange = share->request ? share->request->exchange : NULL,
			.cpu_ns = take_part(&left.cpu_ns, amounts->cpu_ns, share->weight, last),
			.minor_faults = take_part(&left.minor_faults, amounts->minor_faults,
						  share->weight, last),
			.major_faults = take_part(&left.major_faults, amounts->major_faults,
						  share->weight, last),
			.split = shares->count > 1,
		};

		sink->charge(sink->context, &charge);
	}
}

void pool_shares_hold(struct pool_shares *shares)
{
	size_t i;

	for (i = 0; i < shares->count; i++)
		if (shares->all[i].request)
			shares->all[i].request->held_count++;
}

void pool_shares_release(struct pool_shares *shares)
{
	size_t i;

	for (i = 0; i < shares->count; i++)
		if (shares->all[i].request)
			shares->all[i].request->held_count--;
}
