/* SPDX-License-Identifier: Apache-2.0 */
/* histogram - durations in explicit buckets and, beside them, in an exponential histogram.
 *
 * A plain value: no allocation, copied by assignment, empty when zeroed by histogram_init().
 * The exponential part is the OpenTelemetry data model's base-2 histogram: bucket i of scale s
 * holds (2^(i/2^s), 2^((i+1)/2^s)] seconds; it starts at HISTOGRAM_MAX_SCALE and halves its
 * resolution whenever the range of what was added would need more than
 * HISTOGRAM_EXPONENTIAL_BUCKETS.
 * (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram)
 * histogram_add() costs one search over the bounds and one logarithm. */
#ifndef BITTERN_HISTOGRAM_H
#define BITTERN_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_EXPLICIT_MAX 24 /* bounds; the bucket above the last bound comes on top */
#define HISTOGRAM_EXPONENTIAL_BUCKETS 160
#define HISTOGRAM_MAX_SCALE 20

struct histogram_bounds {
	size_t count;
	double upper_s[HISTOGRAM_EXPLICIT_MAX]; /* inclusive upper bounds, rising */
	uint64_t upper_ns[HISTOGRAM_EXPLICIT_MAX]; /* the same */
};

/* http.server.request.duration and http.client.request.duration. */
extern const struct histogram_bounds histogram_duration_bounds;
/* The same and finer ones below: bittern.http.server.queue.duration and .time_to_first_byte. */
extern const struct histogram_bounds histogram_fine_bounds;

struct histogram {
	uint64_t count;
	uint64_t sum_ns, min_ns, max_ns;
	uint64_t explicit_counts[HISTOGRAM_EXPLICIT_MAX + 1]; /* not cumulative */
	uint64_t zero_count; /* durations of exactly 0 */
	int32_t scale;
	int32_t offset; /* index of exponential_counts[0] at this scale */
	uint32_t used_count; /* of exponential_counts, from [0] */
	uint64_t exponential_counts[HISTOGRAM_EXPONENTIAL_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, uint64_t value_ns);
/* Adds every value of other, at the coarser of both scales. Both were filled with the same bounds.
 */
void histogram_merge(struct histogram *h, const struct histogram *other);
/* Takes away what earlier holds, a copy of h as it was once: h holds what was added since. Least
 * and greatest of that are not known: min_ns and max_ns stay what they are. */
void histogram_subtract(struct histogram *h, const struct histogram *earlier);
/* The q-quantile (0 <= q <= 1), that is the ceil(q * count)-th smallest value, in seconds, from the
 * exponential part, within [min, max]; NaN when empty. The relative error is at most (b - 1) / (b +
 * 1), b = 2^(2^-scale): 1.1 % while the values span a factor of 31, 4.4 % while they span 9 * 10^5,
 * and at most 8.7 % over a factor of 9 * 10^11. The smallest and the largest value are exact. */
double histogram_quantile_s(const struct histogram *h, double q);

#endif
