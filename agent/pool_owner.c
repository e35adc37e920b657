// SPDX-License-Identifier: Apache-2.0
#include "pool_owner.h"

#include <math.h>
#include <string.h>

/* Hand-overs out of order: what is assumed at first, bounds, and how fast it is learned. */
#define DISORDER 0.05f
#define DISORDER_MIN 0.01f
#define DISORDER_MAX 0.2f
#define DISORDER_STEP 0.01f
/* The probability that a request waits for a job lies between these. */
#define WAITS_MIN 0.0001f
#define WAITS_MAX 0.999f
#define PASSED_MIN 0.001f
/* One that waits as good as certainly not, for so long, is dormant. */
#define WAITS_DORMANT 0.002f
#define DORMANT_NS (1000 * 1000000ull)
/* A worker that finds nothing to do takes less than this, and less than a part of what jobs usually
 * take; if it does not tell its loop, which others do, more is allowed. */
#define VAIN_NS 60000
#define VAIN_PART 4
#define UNTOLD_VAIN_NS 100000
#define UNTOLD_VAIN_PART 2
#define TOLD_USUAL 0.8f
#define TOLD_STEP 0.05f
/* Less is not worth the time to learn it. */
#define WEIGHT_MIN 0.01f
/* Of what the cost says, in the score. */
#define FIT_WEIGHT 0.5f

/* Up to when a request may have been handed over that the worker works for. */
static uint64_t handed_ns(const struct pool_work *work)
{
	return work->unwoken ? work->end_ns : work->begin_ns;
}

/* The probability that it waits for a job, by its history and by how long it has waited. */
static float waits(struct pool_candidate *candidate, const struct pool_work *work)
{
	const struct pool_request *request = candidate->request;
	const struct pool_clues *clues = &request->known->clues;
	float probability = request->stages[0] * pool_clues_more(clues, 0), odds, timely;
	uint64_t since_ns = request->start_ns;
	size_t stage;

	if (handed_ns(work) >= request->turn_ns) { /* its last job has ended */
		since_ns = request->turn_ns;
		for (stage = 1; stage < POOL_STAGES; stage++)
			probability += request->stages[stage] * pool_clues_more(clues, stage);
	}
	candidate->lead = (uint8_t)clue_bin((int64_t)(work->begin_ns - since_ns));
	timely = clue_ratio(clues->lead, candidate->lead);
	odds = probability * request->passed * (timely < 1 ? timely : 1);
	probability = odds / (odds + 1 - probability);
	if (!(probability < WAITS_MAX))
		return WAITS_MAX;
	return probability > WAITS_MIN ? probability : WAITS_MIN;
}

/* How much more likely what is seen is if the job is this request's. */
static float evidence(struct pool_candidate *candidate, const struct pool_work *work)
{
	const struct pool_request *request = candidate->request;
	const struct pool_clues *clues = &request->known->clues;

	candidate->trail = request->end_ns
				   ? (uint8_t)clue_bin((int64_t)(request->end_ns - work->end_ns))
				   : CLUE_OPEN;
	return request->end_ns || work->ended ? clue_ratio(clues->trail, candidate->trail) : 1;
}

/* The same by who did its last job. */
static float by_worker(const struct pool_line *line, const struct pool_request *request,
		       const struct pool_work *work)
{
	if (!request->worker_tid)
		return 1;
	return clue_worker_ratio(line->worker, request->worker_tid == work->tid);
}

/* How much more likely the job's costs are on this route than on any. */
static float fit(const struct pool_line *line, const struct pool_clues *clues,
		 const struct pool_work *work)
{
	return clue_against(&clues->cpu, &line->cpu, clue_bin((int64_t)work->cpu_ns)) *
	       clue_against(&clues->faults, &line->faults, clue_count_bin(work->fault_count));
}

/* until_ns: no turn is later of requests that were read by then. */
static void find_candidates(const struct link_pair *requests, uint64_t until_ns,
			    const struct pool_work *work, struct pool_candidates *candidates)
{
	const struct link_pair *place;

	candidates->count = 0;
	for (place = requests->next;
	     place != requests && candidates->count < POOL_JOBS_CANDIDATES_MAX;
	     place = place->next) {
		struct pool_request *request = (struct pool_request *)place;

		if (request->turn_ns > until_ns)
			break;
		candidates->looked_at++;
		if (request->start_ns <= handed_ns(work) &&
		    (!request->end_ns || request->end_ns >= work->begin_ns))
			candidates->all[candidates->count++].request = request;
	}
}

void pool_owner_weigh(const struct pool_line *line, const struct pool_work *work,
		      struct pool_candidates *candidates)
{
	float before = 1, all = 0, sum = 0, ordered = 0;
	size_t i, count;

	candidates->looked_at = 0;
	find_candidates(&line->requests,
			handed_ns(work) > line->moved_ns ? handed_ns(work) : line->moved_ns, work,
			candidates);
	if (!candidates->count)
		find_candidates(&line->dormant, UINT64_MAX, work, candidates);
	count = candidates->count;
	for (i = 0; i < count; i++) {
		struct pool_candidate *candidate = &candidates->all[i];

		candidate->waits = waits(candidate, work);
		candidate->ordered = before * candidate->waits;
		before *= 1 - candidate->waits;
		all += candidate->waits;
	}
	for (i = 0; i < count; i++) {
		struct pool_candidate *candidate = &candidates->all[i];
		float likelihood =
			evidence(candidate, work) * by_worker(line, candidate->request, work);

		candidate->fit =
			work->ended ? fit(line, &candidate->request->known->clues, work) : 1;
		likelihood *= candidate->fit;
		candidate->ordered *= (1 - line->disorder) / (1 - before + 1e-6f) * likelihood;
		candidate->probability =
			candidate->ordered + line->disorder * candidate->waits / all * likelihood;
		ordered += candidate->ordered;
		sum += candidate->probability;
	}
	for (i = 0; i < count; i++)
		candidates->all[i].probability /= sum;
	candidates->disorder = count ? 1 - ordered / sum : 0;
}

float pool_owner_score(const struct pool_candidates *candidates)
{
	float best = 0, fit = 0;
	size_t i;

	for (i = 0; i < candidates->count; i++) {
		const struct pool_candidate *candidate = &candidates->all[i];

		if (candidate->probability > best)
			best = candidate->probability;
		if (candidate->probability > WEIGHT_MIN)
			fit += candidate->probability * logf(candidate->fit);
	}
	return candidates->count ? logf(best) + FIT_WEIGHT * fit : 0;
}

static void add_sides(struct clue clue[2], size_t bin, float probability)
{
	if (probability > WEIGHT_MIN)
		clue_add(&clue[CLUE_OWN], bin, probability);
	if (1 - probability > WEIGHT_MIN)
		clue_add(&clue[CLUE_OTHERS], bin, 1 - probability);
}

static void advance(struct pool_request *request, float probability)
{
	float *stages = request->stages;
	size_t stage;

	stages[POOL_STAGES - 1] += probability * stages[POOL_STAGES - 2];
	for (stage = POOL_STAGES - 2; stage > 0; stage--)
		stages[stage] += probability * (stages[stage - 1] - stages[stage]);
	stages[0] -= probability * stages[0];
}

void pool_line_init(struct pool_line *line)
{
	links_init(&line->requests);
	links_init(&line->dormant);
	line->moved_ns = 0;
	pool_line_unlearn(line);
}

void pool_line_unlearn(struct pool_line *line)
{
	memset(&line->cpu, 0, sizeof(line->cpu));
	memset(&line->faults, 0, sizeof(line->faults));
	memset(line->worker, 0, sizeof(line->worker));
	line->disorder = DISORDER;
}

static void insert(struct pool_line *line, struct pool_request *request)
{
	struct link_pair *before = line->requests.previous;

	while (before != &line->requests &&
	       ((const struct pool_request *)before)->turn_ns > request->turn_ns)
		before = before->previous;
	request->place.previous = before;
	request->place.next = before->next;
	before->next->previous = &request->place;
	before->next = &request->place;
}

void pool_line_add(struct pool_line *line, struct pool_request *request)
{
	memset(request->stages, 0, sizeof(request->stages));
	request->stages[0] = 1;
	request->worker_tid = 0;
	request->passed = 1;
	request->turn_ns = request->start_ns;
	request->is_dormant = false;
	insert(line, request);
}

void pool_line_move(struct pool_line *line, struct pool_request *request, uint64_t turn_ns)
{
	request->turn_ns = turn_ns;
	request->is_dormant = false;
	links_remove(&request->place);
	insert(line, request);
	if (turn_ns > line->moved_ns)
		line->moved_ns = turn_ns;
}

/* Whose job it most likely is may have another from its end on. */
static void take_turn(struct pool_line *line, const struct pool_work *work,
		      const struct pool_candidate *candidate)
{
	struct pool_request *request = candidate->request;

	if (candidate->probability > 0.5f) {
		request->passed = 1;
		request->worker_tid = work->tid;
		pool_line_move(line, request, work->end_ns);
	} else if (candidate->waits < WAITS_DORMANT && !request->end_ns &&
		   work->begin_ns > request->turn_ns + DORMANT_NS) {
		request->is_dormant = true;
		links_remove(&request->place);
		links_add_last(&line->dormant, &request->place);
	}
}

bool pool_owner_in_vain(const struct pool_line *line, const struct pool_work *work)
{
	bool untold = !work->told && line->told > TOLD_USUAL;
	uint64_t most_ns = untold ? UNTOLD_VAIN_NS : VAIN_NS;
	uint64_t part_ns = line->usual_ns / (untold ? UNTOLD_VAIN_PART : VAIN_PART);

	return work->ended && !work->unwoken && work->cpu_ns < most_ns && work->cpu_ns < part_ns;
}

/* What jobs usually take, of those that did something. */
static void learn_usual(struct pool_line *line, const struct pool_work *work)
{
	uint64_t step_ns = line->usual_ns / 16 + 1;

	if (!line->usual_ns)
		line->usual_ns = work->cpu_ns;
	else if (work->cpu_ns > line->usual_ns)
		line->usual_ns += step_ns;
	else
		line->usual_ns -= step_ns;
	line->told += TOLD_STEP * ((float)work->told - line->told);
}

static void learn_order(struct pool_line *line, const struct pool_candidates *candidates)
{
	if (candidates->count < 2)
		return;
	line->disorder += DISORDER_STEP * (candidates->disorder - line->disorder);
	if (line->disorder < DISORDER_MIN)
		line->disorder = DISORDER_MIN;
	if (line->disorder > DISORDER_MAX)
		line->disorder = DISORDER_MAX;
}

void pool_owner_learn(struct pool_line *line, const struct pool_work *work,
		      struct pool_candidates *candidates)
{
	float behind = 0; /* the probability that it was handed over behind this one */
	size_t cpu = clue_bin((int64_t)work->cpu_ns), faults = clue_count_bin(work->fault_count);
	size_t i;

	if (pool_owner_in_vain(line, work))
		return;
	for (i = candidates->count; i-- > 0;) {
		struct pool_candidate *candidate = &candidates->all[i];
		struct pool_request *request = candidate->request;
		struct pool_clues *clues = &request->known->clues;
		float probability = candidate->probability;

		add_sides(clues->lead, candidate->lead, probability);
		if (request->worker_tid) {
			bool same = request->worker_tid == work->tid;

			clue_worker_add(&line->worker[CLUE_OWN], same, probability);
			clue_worker_add(&line->worker[CLUE_OTHERS], same, 1 - probability);
		}
		if (work->ended) {
			add_sides(clues->trail, candidate->trail, probability);
			if (probability > WEIGHT_MIN) {
				clue_add(&clues->cpu, cpu, probability);
				clue_add(&clues->faults, faults, probability);
			}
		}
		advance(request, probability);
		request->passed *= 1 - (1 - line->disorder) * behind;
		if (request->passed < PASSED_MIN)
			request->passed = PASSED_MIN;
		behind += probability;
	}
	for (i = 0; i < candidates->count; i++)
		take_turn(line, work, &candidates->all[i]);
	if (work->ended && candidates->count) {
		clue_add(&line->cpu, cpu, 1);
		clue_add(&line->faults, faults, 1);
	}
	learn_order(line, candidates);
	if (work->ended)
		learn_usual(line, work);
}

void pool_line_rewind(struct pool_line *line, uint64_t until_ns)
{
	struct link_pair *place = line->requests.next, *next;

	line->requests.previous->next = NULL;
	links_init(&line->requests);
	line->moved_ns = 0;
	for (; place && place != &line->requests; place = next) {
		struct pool_request *request = (struct pool_request *)place;

		next = place->next;
		if (request->end_ns && request->end_ns < until_ns)
			pool_clues_retire(&request->known->clues, request->stages);
		pool_line_add(line, request);
	}
}
