// SPDX-License-Identifier: Apache-2.0
#include "interval.h"

#include <math.h>
#include <stdbool.h>

/* Copies the exponential part of from at scale, no finer than from's. to's counts are all 0. */
static void put_exponential(struct histogram *to, const struct histogram *from, int32_t scale)
{
	int32_t shift = from->scale - scale;

	to->scale = scale;
	to->offset = from->offset >> shift;
	for (uint32_t i = 0; i < from->used_count; i++) {
		uint32_t at = (uint32_t)(((from->offset + (int32_t)i) >> shift) - to->offset);

		to->exponential_counts[at] += from->exponential_counts[i];
		to->used_count = at + 1;
	}
}

/* False when there is less than what is to be taken away. */
static bool take_exponential(struct histogram *from, const struct histogram *taken)
{
	int32_t shift = taken->scale - from->scale;

	for (uint32_t i = 0; i < taken->used_count; i++) {
		uint64_t count = taken->exponential_counts[i];
		int64_t at = (int64_t)((taken->offset + (int32_t)i) >> shift) - from->offset;

		if (!count)
			continue;
		if (at < 0 || at >= from->used_count || from->exponential_counts[at] < count)
			return false;
		from->exponential_counts[at] -= count;
	}
	return true;
}

static bool take_rest(struct histogram *from, const struct histogram *taken)
{
	if (from->count < taken->count || from->sum_ns < taken->sum_ns ||
	    from->zero_count < taken->zero_count)
		return false;
	from->count -= taken->count;
	from->sum_ns -= taken->sum_ns;
	from->zero_count -= taken->zero_count;
	for (size_t i = 0; i <= HISTOGRAM_EXPLICIT_MAX; i++) {
		if (from->explicit_counts[i] < taken->explicit_counts[i])
			return false;
		from->explicit_counts[i] -= taken->explicit_counts[i];
	}
	return true;
}

/* Empty buckets at the ends would make a later merge coarser than it need be. */
static void trim(struct histogram *h)
{
	uint32_t empty = 0;

	while (h->used_count && !h->exponential_counts[h->used_count - 1])
		h->used_count--;
	while (empty < h->used_count && !h->exponential_counts[empty])
		empty++;
	if (!empty)
		return;
	h->used_count -= empty;
	h->offset += (int32_t)empty;
	for (uint32_t i = 0; i < h->used_count; i++) {
		h->exponential_counts[i] = h->exponential_counts[i + empty];
		h->exponential_counts[i + empty] = 0;
	}
}

static uint64_t bucket_middle_ns(const struct histogram *h, uint32_t bucket)
{
	double lower = exp2(ldexp((double)h->offset + bucket, -h->scale));
	double upper = exp2(ldexp((double)h->offset + bucket + 1, -h->scale));

	return (uint64_t)llround(2 * lower * upper / (lower + upper) * 1e9);
}

static uint64_t clamp_ns(uint64_t value_ns, const struct histogram *within)
{
	if (value_ns < within->min_ns)
		return within->min_ns;
	return value_ns > within->max_ns ? within->max_ns : value_ns;
}

static void find_extremes(struct histogram *gained, const struct histogram *before,
			  const struct histogram *now)
{
	gained->min_ns = now->min_ns;
	gained->max_ns = now->max_ns;
	if (!gained->used_count) {
		gained->max_ns = 0; /* of zeros, or of nothing */
		gained->min_ns = 0;
		return;
	}
	if (now->max_ns <= before->max_ns)
		gained->max_ns = clamp_ns(bucket_middle_ns(gained, gained->used_count - 1), now);
	if (gained->zero_count)
		gained->min_ns = 0;
	else if (now->min_ns >= before->min_ns)
		gained->min_ns = clamp_ns(bucket_middle_ns(gained, 0), now);
}

void interval_between(struct histogram *gained, const struct histogram *before,
		      const struct histogram *now)
{
	int32_t scale = now->scale;

	if (!before->count) {
		*gained = *now;
		return;
	}
	if (before->used_count && before->scale < scale)
		scale = before->scale;
	*gained = (struct histogram){
		.count = now->count, .sum_ns = now->sum_ns, .zero_count = now->zero_count};
	for (size_t i = 0; i <= HISTOGRAM_EXPLICIT_MAX; i++)
		gained->explicit_counts[i] = now->explicit_counts[i];
	put_exponential(gained, now, scale);
	if (!take_rest(gained, before) || !take_exponential(gained, before)) {
		*gained = *now;
		return;
	}
	trim(gained);
	find_extremes(gained, before, now);
}
