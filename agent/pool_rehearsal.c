// SPDX-License-Identifier: Apache-2.0
#include "pool_rehearsal.h"

#include <math.h>
#include <string.h>

#include "cleanup.h"

#define PASSES 6
#define LOOKS 16 /* at requests take the time of one candidate */

struct rehearsal {
	struct pool_loop *loop;
	struct pool_candidates *candidates;
	struct pool_route *routes[POOL_REHEARSAL_ROUTES];
	enum pool_guess guesses[POOL_REHEARSAL_ROUTES];
	size_t route_count;
	size_t seen_count; /* candidates weighed, and looks at requests in parts of one */
	/* The best so far. */
	struct pool_clues clues[POOL_REHEARSAL_ROUTES];
	struct clue cpu, faults;
	struct clue_worker worker[2];
	float disorder, score;
};

static void find_routes(struct rehearsal *r)
{
	const struct link_pair *requests = &r->loop->line.requests, *place;
	size_t i;

	for (place = requests->next; place != requests; place = place->next) {
		struct pool_route *known = ((struct pool_request *)place)->known;

		for (i = 0; i < r->route_count && r->routes[i] != known; i++)
			;
		if (i == r->route_count && i < POOL_REHEARSAL_ROUTES)
			r->routes[r->route_count++] = known;
	}
}

static float pass(struct rehearsal *r)
{
	struct pool_line *line = &r->loop->line;
	const struct link_pair *waiting = &r->loop->waiting, *place;
	float score = 0;
	size_t count = 0;

	for (place = waiting->next; place != waiting && count < POOL_REHEARSAL_JOBS;
	     place = place->next, count++) {
		const struct pool_work *work = &((const struct pool_task *)place)->work;

		pool_owner_weigh(line, work, r->candidates);
		r->seen_count += r->candidates->count + r->candidates->looked_at / LOOKS;
		if (!pool_owner_in_vain(line, work))
			score += pool_owner_score(r->candidates);
		pool_owner_learn(line, work, r->candidates);
	}
	pool_line_rewind(line, place == waiting ? UINT64_MAX
						: ((const struct pool_task *)place)->work.begin_ns);
	return score;
}

/* From what is known now. */
static float passes(struct rehearsal *r)
{
	float score = 0;
	size_t i;

	for (i = 0; i < PASSES && r->seen_count <= POOL_REHEARSAL_CANDIDATES; i++)
		score = pass(r);
	if (!i)
		return -INFINITY;
	if (score <= r->score)
		return score;
	r->score = score;
	r->cpu = r->loop->line.cpu;
	r->faults = r->loop->line.faults;
	memcpy(r->worker, r->loop->line.worker, sizeof(r->worker));
	r->disorder = r->loop->line.disorder;
	for (i = 0; i < r->route_count; i++)
		r->clues[i] = r->routes[i]->clues;
	return score;
}

/* From the guesses. */
static float try(struct rehearsal *r)
{
	size_t i;

	pool_line_unlearn(&r->loop->line);
	for (i = 0; i < r->route_count; i++)
		r->routes[i]->clues = (struct pool_clues){.guess = r->guesses[i]};
	return passes(r);
}

/* From one guess for all routes, each one's is changed as long as that makes it better. */
static void climb(struct rehearsal *r, enum pool_guess begin)
{
	enum pool_guess guess, best;
	float score, other;
	size_t i;

	for (i = 0; i < r->route_count; i++)
		r->guesses[i] = begin;
	score = try(r);
	for (i = 0; i < r->route_count; i++) {
		best = begin;
		for (guess = 0; guess < POOL_GUESSES; guess++) {
			if (guess == begin || r->seen_count > POOL_REHEARSAL_CANDIDATES)
				continue;
			r->guesses[i] = guess;
			other = try(r);
			if (other > score) {
				score = other;
				best = guess;
			}
		}
		r->guesses[i] = best;
	}
}

void pool_rehearsal_hold(struct pool_loop *loop, struct pool_candidates *candidates)
{
	cleanup_free struct rehearsal *r = calloc(1, sizeof(*r));
	size_t i;

	if (!r)
		return;
	r->loop = loop;
	r->candidates = candidates;
	r->score = -INFINITY;
	find_routes(r);
	passes(r); /* what was known, or learned from other loops, may be the best */
	/* Requests without a job show themselves soon if all are thought to have one, and those
	 * who have one if none is: both ways, and between them. */
	climb(r, POOL_GUESS_ONE);
	climb(r, POOL_GUESS_OPEN);
	climb(r, POOL_GUESS_NONE);
	loop->line.cpu = r->cpu;
	loop->line.faults = r->faults;
	memcpy(loop->line.worker, r->worker, sizeof(r->worker));
	loop->line.disorder = r->disorder;
	for (i = 0; i < r->route_count; i++)
		r->routes[i]->clues = r->clues[i];
}
