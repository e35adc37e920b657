// SPDX-License-Identifier: Apache-2.0
#include "pool_jobs_sim.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool_jobs_told.h"

#define CLIENTS_MAX 64
#define WORKERS_MAX 64
#define BEGIN_NS 100000000000ull
#define DRAIN_NS 100000000ull
#define RUNNING_NS 200000000ull /* a running job is reported so often */
#define SWITCH_NS 5000000ull /* CPython's switch interval */
#define READ_NS 40000ull
#define TASK_NS 130000ull
#define RESUME_NS 60000ull
#define WAKE_NS 15000ull
#define TAIL_NS 20000ull
#define VAIN_NS 25000ull

enum activity {
	POLLING, /* the loop: blocked; a worker: asleep */
	READING,
	TASK,
	RESUMING, /* a job or whatever the request waited for has ended */
	JOB,
	TAIL,
};

struct sim_request {
	struct told_request told;
	enum { ARRIVED, CREATED, AWAITED, JOB_DONE } phase;
	size_t client, next_job;
	bool hands_over;
	int worker; /* that has finished its job; -1 */
	struct sim_request *next; /* in its queue */
	struct sim_request *older;
};

struct fifo {
	struct sim_request *first, **end;
	size_t count;
};

struct thread {
	enum activity activity;
	uint64_t left_ns; /* of what it does */
	bool waits_for_lock;
	uint64_t asked; /* order of asking for the lock */
	struct sim_request *request;
	/* A worker's job as the kernel has it. */
	bool has_job;
	struct pool_job job;
	uint64_t reported_ns;
	struct sim_request *handed; /* put before it slept */
};

struct timer {
	uint64_t at_ns;
	struct sim_request *request; /* NULL: a client sends */
	size_t client;
};

struct sim {
	const struct sim_mix *mix;
	struct sim_result *result;
	struct told told;
	struct thread threads[1 + WORKERS_MAX];
	uint64_t now_ns, random, asked, quantum_ns, drained_ns;
	int holder; /* of the lock; -1 */
	struct timer timers[2 * CLIENTS_MAX];
	size_t timer_count;
	/* arrived: on sockets, not read; tasks: their next step in the loop's next turn. */
	struct fifo arrived, ready, queue;
	size_t turn_left, tokens, open_count;
	int idle[WORKERS_MAX];
	size_t idle_count;
	struct sim_request *all; /* to be freed */
};

static double uniform(struct sim *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return ((double)(s->random >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(struct sim *s)
{
	return sqrt(-2 * log(uniform(s))) * cos(6.283185307179586 * uniform(s));
}

static void fifo_init(struct fifo *f)
{
	f->first = NULL;
	f->end = &f->first;
	f->count = 0;
}

static void fifo_put(struct fifo *f, struct sim_request *r)
{
	r->next = NULL;
	*f->end = r;
	f->end = &r->next;
	f->count++;
}

static struct sim_request *fifo_take(struct fifo *f)
{
	struct sim_request *r = f->first;

	f->first = r->next;
	if (!f->first)
		f->end = &f->first;
	f->count--;
	return r;
}

static void report(struct sim *s, struct thread *worker, bool ended)
{
	worker->job.seen_ns = s->now_ns;
	worker->job.ended = ended;
	worker->reported_ns = s->now_ns;
	worker->has_job = !ended;
	told_job(&s->told, &worker->job, s->now_ns);
}

/* --- clients --- */

static void set_timer(struct sim *s, double after_ns, struct sim_request *request, size_t client)
{
	assert(s->timer_count < 2 * CLIENTS_MAX);
	s->timers[s->timer_count++] =
		(struct timer){s->now_ns + (uint64_t)after_ns, request, client};
}

static void think(struct sim *s, size_t client)
{
	if (s->now_ns > BEGIN_NS + (uint64_t)(s->mix->seconds * 1e9))
		return;
	set_timer(s, -log(uniform(s)) * s->mix->think_ms * 1e6, NULL, client);
}

static size_t count_routes(const struct sim_mix *mix)
{
	size_t count = 0;

	while (count < SIM_ROUTES_MAX && mix->routes[count].name)
		count++;
	return count;
}

static size_t choose(struct sim *s)
{
	const struct sim_route *routes = s->mix->routes;
	double sum = 0, at;
	size_t i, count = count_routes(s->mix);

	for (i = 0; i < count; i++)
		sum += routes[i].weight;
	at = uniform(s) * sum;
	for (i = 0; i + 1 < count && at >= routes[i].weight; i++)
		at -= routes[i].weight;
	if (s->mix->swap && s->now_ns > BEGIN_NS + (uint64_t)(s->mix->seconds * 0.5e9))
		i = count - 1 - i;
	return i;
}

static struct sim_request *add_request(struct sim *s, size_t client, size_t route)
{
	struct sim_request *r = calloc(1, sizeof(*r));

	assert(r);
	r->client = client;
	r->told.route = route;
	r->worker = -1;
	r->older = s->all;
	s->all = r;
	s->result->routes[r->told.route].request_count++;
	return r;
}

static void client_sends(struct sim *s, size_t client)
{
	struct sim_request *r = add_request(s, client, choose(s));
	const struct sim_route *route = &s->mix->routes[r->told.route];

	r->hands_over = route->job_count && (route->handed == 0 || uniform(s) < route->handed);
	s->open_count++;
	fifo_put(&s->arrived, r);
}

static void open_streams(struct sim *s)
{
	size_t i;

	for (i = 0; i < s->mix->stream_count; i++) {
		struct sim_request *r = add_request(s, 0, count_routes(s->mix) - 1);

		r->told.start_ns = s->now_ns - (i + 1) * 50000000;
		told_request(&s->told, &r->told, s->now_ns);
	}
}

/* --- threads --- */

static void begin(struct sim *s, struct thread *t, enum activity activity, uint64_t ns)
{
	t->activity = activity;
	t->left_ns = ns;
	if (!t->waits_for_lock && s->holder != (int)(t - s->threads)) {
		t->waits_for_lock = true;
		t->asked = s->asked++;
	}
}

/* Others may take the lock: the thread is in a system call. */
static void release(struct sim *s)
{
	struct thread *t = &s->threads[s->holder];

	t->waits_for_lock = true;
	t->asked = s->asked++;
	s->holder = -1;
}

static void start_job(struct sim *s, struct thread *worker, struct sim_request *r)
{
	const struct sim_route *route = &s->mix->routes[r->told.route];
	double us = route->job_us[r->next_job] *
		    exp(route->spread * normal(s) - route->spread * route->spread / 2);
	uint64_t ns = WAKE_NS + (uint64_t)(us * 1000);

	s->result->routes[r->told.route].job_count++;
	s->result->routes[r->told.route].true_ns += ns + TAIL_NS;
	s->result->true_ns += ns + TAIL_NS;
	r->next_job++;
	worker->request = r;
	begin(s, worker, JOB, ns);
}

static void wake(struct sim *s, struct thread *worker, struct sim_request *r)
{
	worker->has_job = true;
	worker->job = (struct pool_job){.pid = TOLD_PID,
					.tid = 200 + (uint32_t)(worker - s->threads),
					.loop_tid = TOLD_LOOP,
					.begin_ns = s->now_ns};
	worker->reported_ns = s->now_ns;
	start_job(s, worker, r);
}

/* The last idle worker looks for work, and sleeps again. */
static void wake_in_vain(struct sim *s, const struct sim_request *r)
{
	struct pool_job job = {.pid = TOLD_PID,
			       .tid = 200 + (uint32_t)s->idle[0],
			       .loop_tid = TOLD_LOOP,
			       .begin_ns = s->now_ns,
			       .seen_ns = s->now_ns + 2 * VAIN_NS,
			       .cpu_ns = VAIN_NS,
			       .ended = true};

	s->result->true_ns += VAIN_NS;
	s->result->routes[r->told.route].true_ns += VAIN_NS;
	told_job(&s->told, &job, job.seen_ns);
}

static void hand_over(struct sim *s, struct sim_request *r)
{
	struct thread *worker;

	if (s->mix->pool == SIM_ANYIO && s->tokens == s->mix->worker_count) {
		fifo_put(&s->queue, r);
		return;
	}
	if (!s->idle_count) {
		fifo_put(&s->queue, r);
		return;
	}
	if (s->mix->vain && s->idle_count > 1 && uniform(s) < 0.5)
		wake_in_vain(s, r);
	s->tokens++;
	worker = &s->threads[s->idle[--s->idle_count]];
	if (worker->activity == POLLING)
		wake(s, worker, r);
	else
		worker->handed = r; /* it did not sleep yet */
}

static void answer(struct sim *s, struct sim_request *r)
{
	told_answered(&s->told, &r->told, s->now_ns);
	s->open_count--;
	think(s, r->client);
}

static void go_on(struct sim *s, struct sim_request *r)
{
	const struct sim_route *route = &s->mix->routes[r->told.route];

	if (r->hands_over && r->next_job < route->job_count)
		hand_over(s, r);
	else
		answer(s, r);
}

/* The loop's next piece of work, or it polls. */
static void next_callback(struct sim *s)
{
	struct thread *loop = &s->threads[0];
	struct sim_request *r;
	size_t i;

	if (!s->turn_left) {
		for (i = s->arrived.count; i > 0; i--)
			fifo_put(&s->ready, fifo_take(&s->arrived));
		s->turn_left = s->ready.count;
	}
	loop->request = NULL;
	if (!s->turn_left) {
		loop->activity = POLLING;
		loop->waits_for_lock = false;
		if (s->holder == 0)
			s->holder = -1;
		return;
	}
	s->turn_left--;
	r = loop->request = fifo_take(&s->ready);
	if (r->phase == ARRIVED) {
		r->told.start_ns = s->now_ns;
		told_request(&s->told, &r->told, s->now_ns);
		begin(s, loop, READING, READ_NS);
	} else if (r->phase == CREATED) {
		begin(s, loop, TASK,
		      TASK_NS + (uint64_t)(s->mix->routes[r->told.route].loop_us * 1000));
	} else {
		begin(s, loop, RESUMING, RESUME_NS);
	}
}

static void worker_is_idle(struct sim *s, struct sim_request *r)
{
	if (r->worker < 0 || s->mix->pool != SIM_ANYIO)
		return;
	s->idle[s->idle_count++] = r->worker;
	s->tokens--;
	r->worker = -1;
	if (s->queue.count)
		hand_over(s, fifo_take(&s->queue));
}

static void loop_did(struct sim *s)
{
	struct sim_request *r = s->threads[0].request;
	double await_ms = s->mix->routes[r->told.route].await_ms;

	if (r->phase == ARRIVED) {
		r->phase = CREATED;
		fifo_put(&s->ready, r);
	} else if (r->phase == CREATED && await_ms > 0) {
		r->phase = AWAITED;
		set_timer(s, await_ms * 1e6 * (0.5 + uniform(s)), r, 0);
	} else {
		worker_is_idle(s, r);
		go_on(s, r);
		if (uniform(s) < 0.3)
			release(s);
	}
	next_callback(s);
}

static void worker_sleeps(struct sim *s, struct thread *worker)
{
	int index = (int)(worker - s->threads);

	if (s->mix->pool == SIM_EXECUTOR && s->queue.count) {
		worker->handed = fifo_take(&s->queue);
	}
	if (worker->handed) {
		struct sim_request *r = worker->handed;
		uint64_t told_ns = worker->job.told_ns;

		worker->handed = NULL;
		if (!s->mix->silent) { /* the kernel takes it for another job */
			report(s, worker, true);
			worker->has_job = true;
			worker->job.begin_ns = told_ns;
			worker->job.cpu_ns = worker->job.told_ns = 0;
			worker->job.unwoken = true;
		}
		start_job(s, worker, r);
		return;
	}
	report(s, worker, true);
	worker->activity = POLLING;
	worker->waits_for_lock = false;
	if (s->holder == index)
		s->holder = -1;
	if (s->mix->pool == SIM_EXECUTOR)
		s->idle[s->idle_count++] = index;
}

static void worker_did(struct sim *s, struct thread *worker)
{
	struct sim_request *r = worker->request;

	if (worker->activity == TAIL) {
		worker_sleeps(s, worker);
		return;
	}
	worker->job.told_ns = s->now_ns;
	r->worker = (int)(worker - s->threads);
	r->phase = JOB_DONE;
	fifo_put(&s->ready, r); /* call_soon_threadsafe */
	if (s->threads[0].activity == POLLING)
		next_callback(s);
	begin(s, worker, TAIL, TAIL_NS);
	if (s->holder == (int)(worker - s->threads) && uniform(s) < 0.6)
		release(s); /* it sends to the loop's socket pair */
}

/* --- time --- */

static void fire_timers(struct sim *s)
{
	size_t i = 0;

	while (i < s->timer_count) {
		struct timer timer = s->timers[i];

		if (timer.at_ns > s->now_ns) {
			i++;
			continue;
		}
		s->timers[i] = s->timers[--s->timer_count];
		if (timer.request)
			fifo_put(&s->ready, timer.request);
		else
			client_sends(s, timer.client);
		if (s->threads[0].activity == POLLING)
			next_callback(s);
	}
}

static bool needs_lock(const struct sim *s, size_t thread)
{
	return !(s->mix->unlocked && thread && s->threads[thread].activity == JOB);
}

static void give_lock(struct sim *s)
{
	int best = -1;
	size_t i;

	for (i = 0; i <= s->mix->worker_count; i++) {
		const struct thread *t = &s->threads[i];

		if (t->activity != POLLING && t->waits_for_lock && needs_lock(s, i) &&
		    (best < 0 || t->asked < s->threads[best].asked))
			best = (int)i;
	}
	s->holder = best;
	s->quantum_ns = SWITCH_NS;
	if (best >= 0)
		s->threads[best].waits_for_lock = false;
}

static bool runs(const struct sim *s, size_t i)
{
	return s->threads[i].activity != POLLING && (s->holder == (int)i || !needs_lock(s, i));
}

static uint64_t step_ns(const struct sim *s)
{
	uint64_t step = s->holder >= 0 ? s->quantum_ns : DRAIN_NS;
	size_t i;

	for (i = 0; i <= s->mix->worker_count; i++)
		if (runs(s, i) && s->threads[i].left_ns < step)
			step = s->threads[i].left_ns;
	for (i = 0; i < s->timer_count; i++)
		if (s->timers[i].at_ns < s->now_ns + step)
			step = s->timers[i].at_ns - s->now_ns;
	if (s->drained_ns + DRAIN_NS < s->now_ns + step)
		step = s->drained_ns + DRAIN_NS - s->now_ns;
	return step;
}

static void step(struct sim *s)
{
	bool ended[1 + WORKERS_MAX] = {false};
	uint64_t ns;
	size_t i;

	if (s->holder < 0)
		give_lock(s);
	ns = step_ns(s);
	for (i = 0; i <= s->mix->worker_count; i++) {
		struct thread *t = &s->threads[i];

		if (!runs(s, i))
			continue;
		t->left_ns -= ns;
		t->job.cpu_ns += ns;
		ended[i] = !t->left_ns;
	}
	s->now_ns += ns;
	s->quantum_ns -= ns;
	for (i = 0; i <= s->mix->worker_count; i++) {
		struct thread *t = &s->threads[i];

		if (ended[i] && i)
			worker_did(s, t);
		else if (ended[i])
			loop_did(s);
		if (i && t->has_job && s->now_ns - t->reported_ns >= RUNNING_NS)
			report(s, t, false);
	}
	if (s->holder >= 0 && !s->quantum_ns)
		release(s);
	fire_timers(s);
	if (s->now_ns >= s->drained_ns + DRAIN_NS) {
		told_drain(&s->told, s->now_ns);
		s->drained_ns = s->now_ns;
	}
}

static bool sleeps(const struct sim *s)
{
	size_t i;

	for (i = 1; i <= s->mix->worker_count; i++)
		if (s->threads[i].activity != POLLING)
			return false;
	return true;
}

void sim_run(const struct sim_mix *mix, struct sim_result *result)
{
	struct sim *s = calloc(1, sizeof(*s));
	size_t i;

	assert(s && mix->client_count <= CLIENTS_MAX && mix->worker_count <= WORKERS_MAX);
	memset(result, 0, sizeof(*result));
	s->mix = mix;
	s->result = result;
	s->random = mix->seed * 0x9e3779b97f4a7c15ull + 1;
	s->holder = -1;
	s->now_ns = s->drained_ns = BEGIN_NS;
	fifo_init(&s->arrived);
	fifo_init(&s->ready);
	fifo_init(&s->queue);
	told_open(&s->told, mix, result);
	for (i = mix->worker_count; i > 0; i--)
		s->idle[s->idle_count++] = (int)i;
	open_streams(s);
	for (i = 0; i < mix->client_count; i++)
		think(s, i);
	while (s->open_count || s->timer_count || !sleeps(s))
		step(s);
	told_close(&s->told, s->now_ns);
	while (s->all) {
		struct sim_request *r = s->all;

		s->all = r->older;
		free(r);
	}
	free(s);
}
