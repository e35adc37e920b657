// SPDX-License-Identifier: Apache-2.0
#include "charges.h"

#include <string.h>

#define USUAL_TIMES 4 /* so many times what is usual is still usual ... */
#define USUAL_MORE_NS 20000 /* ... and so much more */
#define USUAL_STEP_NS 1000
#define USUAL_FIRST 16 /* values that may be far off */
#define BURST_MIN_NS 500000 /* shorter ones pass for work */
#define AFTER_MAX_NS 50000000 /* from an answer to a job that may be for it */
#define LEARNING_SHARE 8 /* a turn moves what is learned by one part of so many */
#define TURN_FIRST_NS 100000 /* before anything is learned */
#define TURN_LEAST_NS 1000
#define FAULT 10000 /* an amount of faults is in parts of one */
#define TURN_FIRST_FAULTS FAULT
#define TURN_LEAST_FAULTS (FAULT / 100)

/* What is learned; those of a service stand with ROUTES_ID_MAX. */
enum learned {
	LEARNED_AFTER, /* median: what a thread does after it has answered */
	LEARNED_UNTIL_WAIT, /* median: what it does until it waits */
	LEARNED_UNTIL_ANSWER, /* median: what it does, perhaps since a wait, to answer */
	LEARNED_TURN, /* mean: a request's first turn */
	LEARNED_LATER_TURN, /* mean: its last turn, if it is another one */
	LEARNED_TURN_FAULTS, /* the same of page faults */
	LEARNED_LATER_TURN_FAULTS,
	LEARNED_BEFORE, /* of a service, median: before a request is read */
	LEARNED_READING, /* of a service, median: from one request read to the next */
	LEARNED_BURST, /* of a service, median: something else */
	LEARNED_ALONE, /* of a service, median: from wait to wait with no request */
};

static struct usual *learned_of(struct charges *c, const struct service *service, uint32_t route,
				enum learned what)
{
	uint32_t key = route | (uint32_t)what << 24;
	uint32_t hash = (service->id * 0x9e3779b1u) ^ (key * 0x85ebca6bu);
	struct usual *u = &c->usual[(hash ^ hash >> 15) & (CHARGES_USUAL_COUNT - 1)];

	if (u->service != service->id || u->route != key)
		*u = (struct usual){.service = service->id, .route = key};
	return u;
}

static struct usual *of_service(struct charges *c, const struct service *service, enum learned what)
{
	return learned_of(c, service, ROUTES_ID_MAX, what);
}

/* By a step; not beyond the value, so that it stands still where all are alike. */
static void move_median(struct usual *u, uint64_t ns)
{
	uint64_t step = u->amount / (u->count < USUAL_FIRST ? 2 : 8) + USUAL_STEP_NS;
	uint64_t off = ns > u->amount ? ns - u->amount : u->amount - ns;

	if (u->count < USUAL_FIRST)
		u->count++;
	if (step > off || !u->amount)
		step = off;
	if (ns > u->amount)
		u->amount += step;
	else
		u->amount -= step;
}

static uint64_t most_usual(const struct usual *u)
{
	return USUAL_TIMES * u->amount + USUAL_MORE_NS;
}

/* Faults go with the time: they were made by one thing or the other. */
static struct costs shortened(const struct costs *costs, uint64_t cpu_ns)
{
	return cpu_ns == costs->cpu_ns ? *costs : (struct costs){.cpu_ns = cpu_ns};
}

/* What is not unusual of it; if there is a burst of something else, what is usual. */
static struct costs usual_part(struct charges *c, const struct service *service, struct usual *u,
			       const struct costs *costs)
{
	uint64_t most;

	move_median(u, costs->cpu_ns);
	most = most_usual(u);
	if (costs->cpu_ns <= most)
		return *costs;
	if (costs->cpu_ns - most < BURST_MIN_NS)
		return shortened(costs, most);
	move_median(of_service(c, service, LEARNED_BURST), costs->cpu_ns - u->amount);
	return shortened(costs, u->amount);
}

/* The same where it is the request's own in general: only a burst as they are known is none. */
static struct costs without_burst(struct charges *c, const struct service *service, struct usual *u,
				  const struct costs *costs)
{
	uint64_t burst_ns = of_service(c, service, LEARNED_BURST)->amount, more;

	move_median(u, costs->cpu_ns);
	more = costs->cpu_ns > u->amount ? costs->cpu_ns - u->amount : 0;
	if (burst_ns < BURST_MIN_NS || more < burst_ns / 2 + u->amount / 4 || more > 2 * burst_ns)
		return *costs;
	return shortened(costs, costs->cpu_ns - (burst_ns < more ? burst_ns : more));
}

/* What a loop does by itself it also does while requests are open. */
static void learn_alone(struct charges *c, const struct service *service, uint64_t ns)
{
	move_median(of_service(c, service, LEARNED_ALONE), ns);
	if (ns >= BURST_MIN_NS)
		move_median(of_service(c, service, LEARNED_BURST), ns);
}

/* --- requests --- */

/* The route as things stand. */
static const struct route *route_now(const struct exchange *x)
{
	return x->has_path ? routes_find(x->service->routes, x->template, x->template_len) : NULL;
}

static void enter(struct charges *c, struct service *service, const struct route *route,
		  const struct costs *costs, uint64_t split_ns)
{
	struct series_key key = {
		.service = service,
		.route = route,
		.instrument = INSTRUMENT_COST,
	};

	costs_add(&service->attributed, costs);
	aggregate_cost(c->aggregate, &key, costs, split_ns);
}

void charges_worked(struct charges *c, struct exchange *x, enum exchange_work how,
		    const struct costs *costs)
{
	struct costs part = *costs;

	if (!x->service)
		return;
	if (how == WORKED_ALONE) {
		learn_alone(c, x->service, costs->cpu_ns);
		return;
	}
	if (how == WORKED_BETWEEN) {
		/* A loop that does other things by itself does them in between as well. */
		if (of_service(c, x->service, LEARNED_ALONE)->amount >= BURST_MIN_NS)
			return;
	} else if (how == WORKED_BEFORE) {
		part = usual_part(c, x->service, of_service(c, x->service, LEARNED_BEFORE), costs);
	} else if (how != WORKED_FOR) {
		part = without_burst(c, x->service,
				     learned_of(c, x->service, x->class_id,
						how == WORKED_UNTIL_WAIT ? LEARNED_UNTIL_WAIT
									 : LEARNED_UNTIL_ANSWER),
				     costs);
	}
	costs_add(&x->costs, &part);
}

void charges_worked_after(struct charges *c, const struct exchange_ended *ended, bool certain,
			  const struct costs *costs)
{
	uint32_t route = ended->route ? ended->route->id : ROUTES_ID_MAX - 1;
	struct costs part;

	if (certain) {
		enter(c, ended->service, ended->route, costs, 0);
		return;
	}
	part = usual_part(c, ended->service, learned_of(c, ended->service, route, LEARNED_AFTER),
			  costs);

	enter(c, ended->service, ended->route, &part, 0);
}

/* --- turns --- */

/* What of the request is expected: of its CPU time (LEARNED_TURN) or its faults. */
static struct usual *turn_of(struct charges *c, const struct exchange *x, enum learned what)
{
	enum learned later = what == LEARNED_TURN ? LEARNED_LATER_TURN : LEARNED_LATER_TURN_FAULTS;
	struct usual *u = learned_of(c, x->service, x->class_id, x->begun ? later : what);

	if (!u->amount)
		u->amount = what == LEARNED_TURN ? TURN_FIRST_NS : TURN_FIRST_FAULTS;
	return u;
}

/* One that seemed to have begun when the loop only took long to read may still have all to do: what
 * it has not used of what its first turn takes is yet to come. */
static uint64_t expected_of(struct charges *c, const struct exchange *x, enum learned what)
{
	uint64_t later = turn_of(c, x, what)->amount, first, had;

	if (!x->begun)
		return later;
	first = learned_of(c, x->service, x->class_id, what)->amount;
	had = what == LEARNED_TURN ? x->costs.cpu_ns
				   : FAULT * (x->costs.minor_faults + x->costs.major_faults);
	return first > had && first - had > later ? first - had : later;
}

static uint64_t expected(struct charges *c, struct exchange *const *list, size_t count,
			 enum learned what)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += expected_of(c, list[i], what);
	return sum;
}

/* Each one's estimate moves by its share of what all together were off, so that turns of different
 * routes tell what each costs. One turn that is far off does not move it far. */
static void learn(struct charges *c, struct exchange *const *list, size_t count, enum learned what,
		  double sum, uint64_t amount)
{
	double most = 4 * sum + 1000000;
	uint64_t least = what == LEARNED_TURN ? TURN_LEAST_NS : TURN_LEAST_FAULTS;
	double off = ((double)amount < most ? (double)amount : most) - sum;

	for (size_t i = 0; i < count; i++) {
		struct usual *u = turn_of(c, list[i], what);
		double moved = (double)u->amount + off / LEARNING_SHARE / (double)count;

		u->amount = moved > (double)least ? (uint64_t)moved : least;
	}
}

void charges_worked_turn(struct charges *c, struct exchange *const *list, size_t count,
			 const struct costs *costs)
{
	double ns = (double)expected(c, list, count, LEARNED_TURN);
	double faults = (double)expected(c, list, count, LEARNED_TURN_FAULTS);
	struct costs left = *costs;
	size_t i;

	for (i = 0; i + 1 < count; i++) {
		double cpu_share = (double)expected_of(c, list[i], LEARNED_TURN) / ns;
		double faults_share = (double)expected_of(c, list[i], LEARNED_TURN_FAULTS) / faults;
		struct costs part = {
			.cpu_ns = (uint64_t)(cpu_share * (double)costs->cpu_ns),
			.minor_faults = (uint64_t)(faults_share * (double)costs->minor_faults),
			.major_faults = (uint64_t)(faults_share * (double)costs->major_faults),
		};

		part = costs_take(&left, &part);
		costs_add(&list[i]->costs, &part);
	}
	costs_add(&list[i]->costs, &left);
	learn(c, list, count, LEARNED_TURN, ns, costs->cpu_ns);
	learn(c, list, count, LEARNED_TURN_FAULTS, faults,
	      FAULT * (costs->minor_faults + costs->major_faults));
}

bool charges_begun_turn(struct charges *c, const struct exchange *x, uint64_t cpu_ns)
{
	struct usual *u;

	if (!x->service)
		return true;
	u = of_service(c, x->service, LEARNED_READING);
	move_median(u, cpu_ns);
	return cpu_ns > most_usual(u);
}

void charges_enter(struct charges *c, struct exchange *x, const struct route *route)
{
	struct costs more = {
		.cpu_ns = x->costs.cpu_ns - x->entered.cpu_ns,
		.minor_faults = x->costs.minor_faults - x->entered.minor_faults,
		.major_faults = x->costs.major_faults - x->entered.major_faults,
	};

	enter(c, x->service, route, &more, x->split_ns - x->entered_split_ns);
	x->entered = x->costs;
	x->entered_split_ns = x->split_ns;
}

/* --- jobs of pools --- */

void charges_read(struct charges *c, struct exchange *x)
{
	if (!x->deferred)
		return;
	x->pool = pool_jobs_request(c->jobs, x->pid, x->tid, x, x->start_ns);
	if (x->pool)
		pool_jobs_route(c->jobs, x->pool, x->service, route_now(x));
}

void charges_gone(struct charges *c, struct exchange *x)
{
	if (!x->pool)
		return;
	if (x->route)
		pool_jobs_route(c->jobs, x->pool, x->service, x->route);
	pool_jobs_answered(c->jobs, x->pool, x->end_ns ? x->end_ns : x->start_ns);
	x->pool = NULL;
}

static void on_job_charge(void *context, const struct pool_charge *charge)
{
	struct charges *c = context;
	struct exchange *x = charge->exchange;
	uint64_t split_ns = charge->split ? charge->cpu_ns : 0;
	struct service *worked = services_of(c->services, (pid_t)charge->pid);
	struct costs costs = {charge->cpu_ns, charge->minor_faults, charge->major_faults};

	if (worked)
		worked->undecided_ns -= (int64_t)charge->cpu_ns;
	if (x) {
		costs_add(&x->costs, &costs);
		x->split_ns += split_ns;
	} else if (charge->service) {
		enter(c, (struct service *)charge->service, charge->route, &costs, split_ns);
	}
}

struct tracking {
	struct charges *charges;
	uint32_t pid, tid; /* tid 0: forgets those of the process */
};

static void track_one(void *context, struct exchange *x)
{
	const struct tracking *t = context;

	if (x->pid != t->pid || (t->tid && x->tid != t->tid) || !x->tid)
		return;
	if (!t->tid)
		x->pool = NULL;
	else if (!x->pool)
		charges_read(t->charges, x);
}

static void on_job_track(void *context, uint32_t pid, uint32_t tid)
{
	struct charges *c = context;

	exchanges_each_open(c->exchanges, track_one, &(struct tracking){c, pid, tid});
}

void charges_job(struct charges *c, const struct record_job *record)
{
	struct service *service = services_of(c->services, (pid_t)record->head.pid);
	const struct exchange_ended *ended;

	if (!service || service->runtime != RUNTIME_PYTHON) {
		exchanges_job(c->exchanges, &record->work);
		return;
	}
	service->undecided_ns += (int64_t)record->work.owner.cpu_ns;
	ended = exchanges_ended(c->exchanges, &record->work);
	if (ended && record->begin_ns > ended->end_ns + AFTER_MAX_NS)
		ended = NULL;
	pool_jobs_job(c->jobs, &(struct pool_job){
				       .pid = record->head.pid,
				       .tid = record->work.tid,
				       .loop_tid = record->waker_tid,
				       .begin_ns = record->begin_ns,
				       .seen_ns = record->head.time_ns,
				       .told_ns = record->told_ns,
				       .cpu_ns = record->work.owner.cpu_ns,
				       .minor_faults = record->work.owner.minor_faults,
				       .major_faults = record->work.owner.major_faults,
				       .ended = true,
				       .unwoken = record->unwoken,
				       .last = record->last,
				       .service = ended ? ended->service : NULL,
				       .route = ended ? ended->route : NULL,
			       });
}

void charges_list_begin(struct charges *c, uint64_t now_ns)
{
	struct service *service = NULL;

	while ((service = services_next(c->services, service)))
		service->running_ns = 0;
	c->list_ns = now_ns;
	exchanges_list_work_begin(c->exchanges);
}

void charges_listed(struct charges *c, const struct thread_state *state)
{
	struct service *service;

	service = services_of(c->services, (pid_t)state->pid);
	if (!state->waker_tid || !service || service->runtime != RUNTIME_PYTHON) {
		exchanges_list_work(c->exchanges, state);
		return;
	}
	service->running_ns += state->cost.cpu_ns;
	pool_jobs_job(c->jobs, &(struct pool_job){
				       .pid = state->pid,
				       .tid = state->tid,
				       .loop_tid = state->waker_tid,
				       .begin_ns = state->begin_ns,
				       .seen_ns = c->list_ns,
				       .told_ns = state->told_ns,
				       .cpu_ns = state->cost.cpu_ns,
				       .minor_faults = state->cost.minor_faults,
				       .major_faults = state->cost.major_faults,
			       });
}

void charges_settle(struct charges *c, uint64_t now_ns)
{
	pool_jobs_settle(c->jobs, now_ns);
}

void charges_forget_process(struct charges *c, uint32_t pid)
{
	exchanges_each(c->exchanges, track_one, &(struct tracking){c, pid, 0});
	pool_jobs_forget(c->jobs, pid);
}

void charges_forget_service(struct charges *c, const struct service *service)
{
	pool_jobs_forget_service(c->jobs, service);
}

int charges_open(struct charges *c, struct services *services, struct aggregate *aggregate)
{
	struct pool_jobs_sink sink = {
		.charge = on_job_charge,
		.track = on_job_track,
		.context = c,
	};

	memset(c, 0, sizeof(*c));
	c->services = services;
	c->aggregate = aggregate;
	return pool_jobs_open(&c->jobs, &sink);
}

void charges_close(struct charges *c)
{
	pool_jobs_close(c->jobs);
	c->jobs = NULL;
}

/* --- before a snapshot --- */

void charges_in_flight_begin(struct charges *c)
{
	struct service *service = NULL;

	while ((service = services_next(c->services, service)))
		service->charged = (struct costs){0};
}

void charges_in_flight(struct charges *c, struct exchange *x, bool certain,
		       const struct route *route)
{
	if (certain) {
		charges_enter(c, x, route);
		return;
	}
	x->service->charged.cpu_ns += x->costs.cpu_ns - x->entered.cpu_ns;
	x->service->charged.minor_faults += x->costs.minor_faults - x->entered.minor_faults;
	x->service->charged.major_faults += x->costs.major_faults - x->entered.major_faults;
}

/* What all have used beyond what is known of each; it never goes back, and when readings of /proc
 * are older than what is charged it waits for them. */
static uint64_t rest(uint64_t used, uint64_t known)
{
	return used > known ? used - known : 0;
}

/* What some of a job was charged for while it ran makes it less. */
static uint64_t undecided_ns(const struct service *s)
{
	int64_t ns = s->undecided_ns + (int64_t)s->running_ns;

	return ns > 0 ? (uint64_t)ns : 0;
}

void charges_unattributed(struct charges *c)
{
	struct service *s = NULL;

	while ((s = services_next(c->services, s))) {
		const uint64_t *used = s->usage.counters;
		struct costs more;

		if (!s->served || !s->usage.has_counter[USAGE_CPU_USER_NS])
			continue;
		more = (struct costs){
			rest(used[USAGE_CPU_USER_NS] + used[USAGE_CPU_SYSTEM_NS],
			     s->attributed.cpu_ns + s->charged.cpu_ns + undecided_ns(s)),
			rest(used[USAGE_FAULTS_MINOR],
			     s->attributed.minor_faults + s->charged.minor_faults),
			rest(used[USAGE_FAULTS_MAJOR],
			     s->attributed.major_faults + s->charged.major_faults),
		};
		enter(c, s, routes_unattributed(s->routes), &more, 0);
	}
}
