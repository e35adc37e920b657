/* SPDX-License-Identifier: Apache-2.0 */
/* pool_clues - what is known of a route's pool jobs: how many a request has, how much CPU and
 * new memory they take, and when they begin and end against their request.
 *
 * All counts are of probabilities, not of certain events, and forget: what has reached its cap is
 * halved. No allocation, no clock, a few dozen bytes touched per call. */
#ifndef BITTERN_POOL_CLUES_H
#define BITTERN_POOL_CLUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bins of a time or an amount: half octaves from 16 us to 1 s, coarser ones for negative values,
 * one for what is not known yet. */
#define CLUE_BINS 44
#define CLUE_OPEN (CLUE_BINS - 1)

/* Jobs that a request has had: 0, 1, 2, 3 or more. */
#define POOL_STAGES 4

/* How many jobs a route's requests are assumed to have as long as little is known. */
enum pool_guess { POOL_GUESS_OPEN, POOL_GUESS_NONE, POOL_GUESS_ONE, POOL_GUESS_TWO, POOL_GUESSES };

struct clue {
	float weights[CLUE_BINS], total;
};

struct pool_clues {
	struct clue cpu, faults;
	/* From reading the request to the job's begin, from the job's end to that of the response:
	 * of jobs that are the request's own, and of others that ran while it was in flight. */
	struct clue lead[2], trail[2];
	enum pool_guess guess;
	/* Requests that had n jobs or more, and those of them that had another. */
	float had[POOL_STAGES - 1], had_more[POOL_STAGES - 1];
};

/* Whether a job is done by the worker of a request's job before: of so many how many were. */
struct clue_worker {
	float same, all;
};

enum clue_side { CLUE_OTHERS, CLUE_OWN };

size_t clue_bin(int64_t value_ns);
size_t clue_count_bin(uint64_t count); /* the same of a number, from 1 to 65,536 */
void clue_add(struct clue *clue, size_t bin, float weight);
/* How much more likely a value is for a request's own jobs than for others. */
float clue_ratio(const struct clue clue[2], size_t bin);
/* How much more likely it is here than commonly. */
float clue_against(const struct clue *clue, const struct clue *common, size_t bin);

void clue_worker_add(struct clue_worker *clue, bool same, float weight);
/* As clue_ratio(). */
float clue_worker_ratio(const struct clue_worker clue[2], bool same);

/* The probability that a request which has had so many jobs (by their probabilities) has another.
 */
float pool_clues_more(const struct pool_clues *clues, size_t stage);
/* A request has gone: the probabilities of its having had 0, 1, 2, 3 or more jobs. */
void pool_clues_retire(struct pool_clues *clues, const float stages[POOL_STAGES]);

#endif
