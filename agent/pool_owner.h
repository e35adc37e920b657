/* SPDX-License-Identifier: Apache-2.0 */
/* pool_owner - whose is a job? The decision of pool_jobs, and what it learns from it.
 *
 * Each request on a loop carries the probabilities of having had 0, 1, 2, ... jobs. Those in flight
 * when a job began are looked at in the order in which they would be handed over, and each is
 * weighed by
 *  - the probability that it waited for a job while those before it did not;
 *  - whether the worker is the one that did the request's last job: Django has a thread for each;
 *  - the clues: the job's CPU and page faults against the route's, and how long after reading and
 * before the answer it lay, own jobs against others'. The weights, normalised, are the posterior of
 * this request. It moves the request to its next stage, and is added to the clues: an
 * expectation-maximisation step for each job.
 *
 * Lists and numbers only: no clock, no allocation, O(candidates) a job, and a look at each request
 * of the line up to those whose turn comes after the job. */
#ifndef BITTERN_POOL_OWNER_H
#define BITTERN_POOL_OWNER_H

#include <stdbool.h>

#include "links.h"
#include "pool_clues.h"
#include "pool_jobs.h"

/* A route as the learner knows it. */
struct pool_route {
	struct pool_route *next; /* in its bucket */
	const void *service, *route;
	struct pool_clues clues;
	uint32_t request_count; /* that point to it */
};

struct pool_request {
	struct link_pair place; /* first: in its loop's list, by turn_ns */
	struct pool_loop *loop;
	struct pool_route *known; /* what is known of its route */
	const void *service, *route;
	void *exchange;
	uint64_t start_ns, end_ns; /* end_ns 0: in flight */
	uint64_t turn_ns; /* since when it may wait for a job: its start, or the end of its last */
	float stages[POOL_STAGES]; /* probabilities of having had 0, 1, 2, 3 or more jobs */
	float passed; /* how the odds of waiting fell since others behind it were handed over */
	uint32_t worker_tid; /* who did its last job; 0: not known, or it had none */
	uint32_t held_count; /* by running jobs that were decided for it */
	bool is_dormant;
};

/* The requests of a loop, in the order of their turns, and what is common to all its jobs. */
struct pool_line {
	struct link_pair requests;
	/* Those that have been in flight for long and had no job when others had: candidates only
	 * if there is no other. Streams and long polls are many, and would bury the rest. */
	struct link_pair dormant;
	struct clue cpu, faults;
	struct clue_worker worker[2];
	uint64_t moved_ns; /* the last turn of a request that is not its start */
	float disorder; /* how many hand-overs are out of order, as it seems */
	uint64_t usual_ns; /* median of the jobs' CPU; 0: not known */
	float told; /* how many workers are seen to tell their loop that they have finished */
};

struct pool_work {
	uint64_t begin_ns, end_ns, cpu_ns, fault_count;
	uint32_t tid; /* the worker */
	bool ended, unwoken, told;
};

struct pool_candidate {
	struct pool_request *request;
	float waits, probability;
	float fit; /* how much the job's costs speak for it */
	float ordered; /* what part of the probability is that of its turn */
	uint8_t lead, trail; /* bins */
};

struct pool_candidates {
	struct pool_candidate all[POOL_JOBS_CANDIDATES_MAX];
	size_t count;
	size_t looked_at; /* requests of the line */
	float disorder; /* the probability that this hand-over was out of order */
};

void pool_line_init(struct pool_line *line);
/* Forgets what was learned of the line, not its requests. */
void pool_line_unlearn(struct pool_line *line);
/* The candidates for the job, in their turns, and their probabilities: these add up to 1, unless
 * there is no candidate. */
void pool_owner_weigh(const struct pool_line *line, const struct pool_work *work,
		      struct pool_candidates *candidates);
/* Was the worker woken in vain? Another one, which had not slept, took the work: no job. */
bool pool_owner_in_vain(const struct pool_line *line, const struct pool_work *work);
/* How good a decision this is, higher if better: how sure, and how well the cost fits. */
float pool_owner_score(const struct pool_candidates *candidates);
/* Learns from what was weighed. Whose job it most likely is waits for another from its end on. */
void pool_owner_learn(struct pool_line *line, const struct pool_work *work,
		      struct pool_candidates *candidates);
/* As if the request had just been read; it may be in no list. */
void pool_line_add(struct pool_line *line, struct pool_request *request);
/* The request, which is in the line, has a new turn. */
void pool_line_move(struct pool_line *line, struct pool_request *request, uint64_t turn_ns);
/* All requests as if no job had been decided yet; routes learn from those that were answered
 * before until_ns. */
void pool_line_rewind(struct pool_line *line, uint64_t until_ns);

#endif
