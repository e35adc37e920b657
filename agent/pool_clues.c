// SPDX-License-Identifier: Apache-2.0
#include "pool_clues.h"

#define NEGATIVE_BINS 8
#define FIRST_SHIFT 14 /* of the bin of values below 16 us: 2^14 ns */
#define TOTAL_MAX 400.0f
#define REQUESTS_MAX 300.0f
/* Of so many jobs of the route, the distribution of all routes has the weight. */
#define COMMON_WEIGHT 5.0f
/* Of so many jobs, what is assumed of workers: they are often the same by chance. */
#define WORKER_WEIGHT 10.0f
#define WORKER_SAME 0.2f
/* Of so many requests, the guess has the weight. */
#define GUESS_REQUESTS 2.0f

/* What is assumed of the times before anything is known: those of a request's own jobs are as
 * likely in one octave as in another, but seldom negative, while those of others lie anywhere in
 * time, so that there are more of them the longer the octave: 1.25^n in half octave n (a little
 * below the square root of two, since requests do end). Without this a route that has no jobs, but
 * always some request in flight, can hold on to jobs of others for long. The weights are those of
 * 20 jobs. */
#define ASSUMED_WEIGHT 20.0f
#define ASSUMED_OWN 0.5208f
#define ASSUMED_OWN_OPEN 0.1f /* the answer is seldom so late */
#define ASSUMED_OWN_NEGATIVE 0.1562f

static const float assumed_others[CLUE_BINS] = {
	2.058f, 0.843f, 0.345f, 0.141f, 0.058f, 0.024f, 0.010f, 0.004f, 0.002f, 0.002f, 0.003f,
	0.003f, 0.004f, 0.005f, 0.006f, 0.008f, 0.010f, 0.012f, 0.015f, 0.019f, 0.024f, 0.030f,
	0.037f, 0.046f, 0.058f, 0.072f, 0.091f, 0.113f, 0.141f, 0.177f, 0.221f, 0.276f, 0.345f,
	0.432f, 0.540f, 0.674f, 0.843f, 1.054f, 1.317f, 1.646f, 2.058f, 2.573f, 3.216f, 0.444f,
};

/* The probabilities of a first job, a second one, another one. */
static const float guesses[POOL_GUESSES][POOL_STAGES - 1] = {
	[POOL_GUESS_OPEN] = {0.5f, 0.1f, 0.1f},
	[POOL_GUESS_NONE] = {0.02f, 0.1f, 0.1f},
	[POOL_GUESS_ONE] = {0.98f, 0.1f, 0.1f},
	[POOL_GUESS_TWO] = {0.98f, 0.9f, 0.1f},
};

size_t clue_bin(int64_t value_ns)
{
	uint64_t value = value_ns < 0 ? -(uint64_t)value_ns : (uint64_t)value_ns;
	unsigned int octave;
	size_t bin;

	if (value < 1ull << FIRST_SHIFT)
		return NEGATIVE_BINS;
	octave = 63 - (unsigned int)__builtin_clzll(value) - FIRST_SHIFT;
	if (value_ns < 0) {
		bin = octave / 2;
		return bin < NEGATIVE_BINS ? NEGATIVE_BINS - 1 - bin : 0;
	}
	/* 181/128 is the square root of two. */
	bin = NEGATIVE_BINS + 1 + 2 * octave + (value >= ((181ull << (octave + FIRST_SHIFT)) >> 7));
	return bin < CLUE_OPEN ? bin : CLUE_OPEN - 1;
}

size_t clue_count_bin(uint64_t count)
{
	return clue_bin((int64_t)((count < 1u << 16 ? count : 1u << 16) << FIRST_SHIFT));
}

void clue_add(struct clue *clue, size_t bin, float weight)
{
	float side = bin == CLUE_OPEN ? 0 : weight / 5;
	size_t i;

	clue->weights[bin] += weight - 2 * side;
	if (side) {
		clue->weights[bin ? bin - 1 : 0] += side;
		clue->weights[bin + 1 < CLUE_OPEN ? bin + 1 : bin] += side;
	}
	clue->total += weight;
	if (clue->total < TOTAL_MAX)
		return;
	for (i = 0; i < CLUE_BINS; i++)
		clue->weights[i] /= 2;
	clue->total /= 2;
}

float clue_against(const struct clue *clue, const struct clue *common, size_t bin)
{
	float probability = (common->weights[bin] + 1.0f / CLUE_BINS) / (common->total + 1);

	return (clue->weights[bin] / probability + COMMON_WEIGHT) / (clue->total + COMMON_WEIGHT);
}

float clue_ratio(const struct clue clue[2], size_t bin)
{
	float own = ASSUMED_OWN;

	if (bin == CLUE_OPEN)
		own = ASSUMED_OWN_OPEN;
	else if (bin < NEGATIVE_BINS)
		own = ASSUMED_OWN_NEGATIVE;
	return (clue[CLUE_OWN].weights[bin] + own) / (clue[CLUE_OWN].total + ASSUMED_WEIGHT) /
	       (clue[CLUE_OTHERS].weights[bin] + assumed_others[bin]) *
	       (clue[CLUE_OTHERS].total + ASSUMED_WEIGHT);
}

void clue_worker_add(struct clue_worker *clue, bool same, float weight)
{
	clue->same += same ? weight : 0;
	clue->all += weight;
	if (clue->all < TOTAL_MAX)
		return;
	clue->same /= 2;
	clue->all /= 2;
}

static float same_worker(const struct clue_worker *clue)
{
	return (clue->same + WORKER_WEIGHT * WORKER_SAME) / (clue->all + WORKER_WEIGHT);
}

float clue_worker_ratio(const struct clue_worker clue[2], bool same)
{
	float own = same_worker(&clue[CLUE_OWN]), others = same_worker(&clue[CLUE_OTHERS]);

	return same ? own / others : (1 - own) / (1 - others);
}

float pool_clues_more(const struct pool_clues *clues, size_t stage)
{
	if (stage >= POOL_STAGES - 1)
		stage = POOL_STAGES - 2;
	return (clues->had_more[stage] + GUESS_REQUESTS * guesses[clues->guess][stage]) /
	       (clues->had[stage] + GUESS_REQUESTS);
}

void pool_clues_retire(struct pool_clues *clues, const float stages[POOL_STAGES])
{
	float had = 1;
	size_t i;

	for (i = 0; i + 1 < POOL_STAGES; i++) {
		clues->had[i] += had;
		had -= stages[i];
		clues->had_more[i] += had > 0 ? had : 0;
		if (clues->had[i] >= REQUESTS_MAX) {
			clues->had[i] /= 2;
			clues->had_more[i] /= 2;
		}
	}
}
