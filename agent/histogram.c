// SPDX-License-Identifier: Apache-2.0
/* Why every index is exact enough: the logarithm of a value is taken once and multiplied by
 * 2^scale, which loses nothing, so the bucket at a coarse scale is always the fine bucket's index
 * shifted right. Downscaling, merging and adding at a coarse scale from the start therefore agree
 * to the last count.
 *
 * uint64_t nanoseconds span 64 octaves, 2^-30 to 2^34 seconds: at scale 1 that is under 160
 * buckets, so the scale never falls below 1 and indexes fit 32 bits at every scale. */
#include "histogram.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define NS_PER_S 1e9

static_assert(65 * 2 <= HISTOGRAM_EXPONENTIAL_BUCKETS, "all durations fit at scale 1");
static_assert(HISTOGRAM_MAX_SCALE <= 24, "indexes fit int32_t");

#define FINE_BOUNDS(bound) bound(0.0001), bound(0.0005), bound(0.001), DURATION_BOUNDS(bound)
#define DURATION_BOUNDS(bound)                                                                    \
	bound(0.005), bound(0.01), bound(0.025), bound(0.05), bound(0.075), bound(0.1),           \
		bound(0.25), bound(0.5), bound(0.75), bound(1), bound(2.5), bound(5), bound(7.5), \
		bound(8), bound(10), bound(15), bound(30), bound(60)
#define IN_S(s) s
#define IN_NS(s) (uint64_t)((s)*NS_PER_S + 0.5)

const struct histogram_bounds histogram_duration_bounds = {
	.count = 18,
	.upper_s = {DURATION_BOUNDS(IN_S)},
	.upper_ns = {DURATION_BOUNDS(IN_NS)},
};

const struct histogram_bounds histogram_fine_bounds = {
	.count = 21,
	.upper_s = {FINE_BOUNDS(IN_S)},
	.upper_ns = {FINE_BOUNDS(IN_NS)},
};

void histogram_init(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->scale = HISTOGRAM_MAX_SCALE;
}

/* All bounds are looked at: no branch to mispredict. */
static size_t explicit_index(const struct histogram_bounds *bounds, uint64_t value_ns)
{
	size_t index = 0;

	for (size_t i = 0; i < bounds->count; i++)
		index += value_ns > bounds->upper_ns[i];
	return index;
}

/* The i of (2^(i/2^scale), 2^((i+1)/2^scale)] that holds value_ns > 0; scale >= 0. The division is
 * correctly rounded, so 2^k seconds is a power of two here too; its logarithm is not left to libm.
 */
static int32_t exponential_index(uint64_t value_ns, int32_t scale)
{
	int32_t per_octave = (int32_t)1 << scale;
	double value_s = (double)value_ns / NS_PER_S;
	double position;
	int32_t index;
	uint64_t bits;

	memcpy(&bits, &value_s, sizeof(bits));
	if (!(bits &
	      ((1ULL << 52) - 1))) /* no mantissa: a power of two, its bucket's inclusive end */
		return ((int32_t)(bits >> 52) - 1023) * per_octave - 1;
	position = log2(value_s) * per_octave;
	index = (int32_t)position; /* towards zero; the largest integer below position is wanted */
	return index < position ? index : index - 1;
}

/* How far both ends must be shifted right to be within one set of buckets. */
static int32_t shift_to_fit(int32_t lowest, int32_t highest)
{
	int32_t shift = 0;

	while ((highest >> shift) - (lowest >> shift) >= HISTOGRAM_EXPONENTIAL_BUCKETS)
		shift++;
	return shift;
}

static void downscale(struct histogram *h, int32_t shift)
{
	int32_t offset = h->offset >> shift;
	uint32_t to = 0;

	if (!shift)
		return;
	h->scale -= shift;
	if (!h->used_count)
		return;
	for (uint32_t from = 0; from < h->used_count; from++) {
		uint64_t count = h->exponential_counts[from];

		h->exponential_counts[from] = 0; /* first: to can be from */
		to = (uint32_t)(((h->offset + (int32_t)from) >> shift) - offset);
		h->exponential_counts[to] += count;
	}
	h->offset = offset;
	h->used_count = to + 1;
}

/* Makes room for lowest to highest, indexes at h's scale; gives the shift that the scale went down
 * by. */
static int32_t cover(struct histogram *h, int32_t lowest, int32_t highest)
{
	int32_t shift;

	if (h->used_count) {
		int32_t last = h->offset + (int32_t)h->used_count - 1;

		lowest = lowest < h->offset ? lowest : h->offset;
		highest = highest > last ? highest : last;
	}
	shift = shift_to_fit(lowest, highest);
	downscale(h, shift);
	lowest >>= shift;
	highest >>= shift;
	if (h->used_count && lowest < h->offset) {
		size_t up = (size_t)(h->offset - lowest);

		memmove(h->exponential_counts + up, h->exponential_counts,
			h->used_count * sizeof(h->exponential_counts[0]));
		memset(h->exponential_counts, 0, up * sizeof(h->exponential_counts[0]));
	}
	h->offset = lowest;
	h->used_count = (uint32_t)(highest - lowest + 1);
	return shift;
}

void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, uint64_t value_ns)
{
	int32_t index;

	if (!h->count || value_ns < h->min_ns)
		h->min_ns = value_ns;
	if (value_ns > h->max_ns)
		h->max_ns = value_ns;
	h->count++;
	h->sum_ns += value_ns;
	h->explicit_counts[explicit_index(bounds, value_ns)]++;
	if (!value_ns) {
		h->zero_count++;
		return;
	}
	index = exponential_index(value_ns, h->scale);
	if (index < h->offset || index - h->offset >= (int32_t)h->used_count)
		index >>= cover(h, index, index);
	h->exponential_counts[index - h->offset]++;
}

static void merge_exponential(struct histogram *h, const struct histogram *other)
{
	int32_t shift = 0, last = other->offset + (int32_t)other->used_count - 1;

	if (!other->used_count)
		return;
	if (other->scale < h->scale)
		downscale(h, h->scale - other->scale);
	else
		shift = other->scale - h->scale;
	shift += cover(h, other->offset >> shift, last >> shift);
	for (uint32_t i = 0; i < other->used_count; i++) {
		int32_t index = (other->offset + (int32_t)i) >> shift;

		h->exponential_counts[index - h->offset] += other->exponential_counts[i];
	}
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
	if (!other->count)
		return;
	if (!h->count || other->min_ns < h->min_ns)
		h->min_ns = other->min_ns;
	if (other->max_ns > h->max_ns)
		h->max_ns = other->max_ns;
	h->count += other->count;
	h->sum_ns += other->sum_ns;
	h->zero_count += other->zero_count;
	for (size_t i = 0; i <= HISTOGRAM_EXPLICIT_MAX; i++)
		h->explicit_counts[i] += other->explicit_counts[i];
	merge_exponential(h, other);
}

/* Scales only fall: that of h is the coarser one, or the same, and its buckets hold earlier's. */
void histogram_subtract(struct histogram *h, const struct histogram *earlier)
{
	int32_t shift = earlier->scale - h->scale;

	h->count -= earlier->count;
	h->sum_ns -= earlier->sum_ns;
	h->zero_count -= earlier->zero_count;
	for (size_t i = 0; i <= HISTOGRAM_EXPLICIT_MAX; i++)
		h->explicit_counts[i] -= earlier->explicit_counts[i];
	for (uint32_t i = 0; i < earlier->used_count; i++) {
		int32_t index = (earlier->offset + (int32_t)i) >> shift;

		h->exponential_counts[index - h->offset] -= earlier->exponential_counts[i];
	}
}

/* The value with the smallest largest relative error over the whole bucket: the harmonic mean of
 * its ends. */
static double bucket_middle_s(const struct histogram *h, uint32_t bucket)
{
	double index = (double)h->offset + bucket;
	double lower = exp2(ldexp(index, -h->scale)), upper = exp2(ldexp(index + 1, -h->scale));

	return 2 * lower * upper / (lower + upper);
}

double histogram_quantile_s(const struct histogram *h, double q)
{
	double min_s = (double)h->min_ns / NS_PER_S, max_s = (double)h->max_ns / NS_PER_S, rank;
	uint64_t below = h->zero_count;

	if (!h->count || isnan(q))
		return NAN;
	/* The rank-th smallest value; 0.07 * 100 is a hair above 7 and must not become 8. */
	rank = ceil(q * (double)h->count * (1 - 0x1p-50));
	if (rank <= 1)
		return min_s;
	if (rank >= (double)h->count)
		return max_s;
	if (rank <= (double)below)
		return 0;
	for (uint32_t i = 0; i < h->used_count; i++) {
		below += h->exponential_counts[i];
		if (rank <= (double)below)
			return fmax(min_s, fmin(max_s, bucket_middle_s(h, i)));
	}
	return max_s;
}
