// SPDX-License-Identifier: Apache-2.0
#include "pool_jobs.h"

#include <errno.h>
#include <stdlib.h>

#include "pool_rehearsal.h"

/* When all requests of a loop are answered its jobs are decided so soon. */
#define QUIET_NS (20 * 1000000ull)
/* Beyond what jobs took lately: for what comes late in the ring. */
#define MARGIN_NS (50 * 1000000ull)
/* A job that has ended is remembered for so long, since a report of it may come late. */
#define LATE_NS (100 * 1000000ull)
/* A running job that is not reported for so long has ended: its last report was lost. */
#define LOST_NS (60 * 1000000000ull)
/* Decisions are unsure when routes get less of a job than this, on the average of some dozens. They
 * are rehearsed again after this pause, and after twice the last one each time. */
#define UNSURE 0.9f
#define UNSURE_STEP (1.0f / 64)
#define PAUSE_NS (2 * 1000000000ull)

struct pool_jobs {
	struct pool_jobs_sink sink;
	struct pool_tables tables;
	struct pool_candidates candidates;
	struct pool_jobs_stats stats;
};

/* --- decisions --- */

static void charge(struct pool_jobs *p, struct pool_task *task)
{
	struct pool_amounts amounts = {
		.cpu_ns = task->used.cpu_ns - task->charged.cpu_ns,
		.minor_faults = task->used.minor_faults - task->charged.minor_faults,
		.major_faults = task->used.major_faults - task->charged.major_faults,
	};

	pool_shares_charge(&task->shares, task->loop->pid, &amounts, &p->sink);
	task->charged = task->used;
}

static void free_task(struct pool_jobs *p, struct pool_task *task)
{
	if (task->decided)
		pool_shares_release(&task->shares);
	pool_tables_remove_task(&p->tables, task);
}

/* Whose it is, and what it used so far is charged. */
static void decide(struct pool_jobs *p, struct pool_task *task)
{
	struct pool_loop *loop = task->loop;

	pool_owner_weigh(&loop->line, &task->work, &p->candidates);
	p->stats.orphans += !p->candidates.count;
	pool_shares_make(&task->shares, &p->candidates);
	if (!p->candidates.count)
		pool_shares_assign(&task->shares, task->service, task->route);
	if (!pool_owner_in_vain(&loop->line, &task->work))
		loop->sureness += UNSURE_STEP * (pool_shares_sure(&task->shares) - loop->sureness);
	pool_owner_learn(&loop->line, &task->work, &p->candidates);
	charge(p, task);
	pool_shares_hold(&task->shares);
	task->decided = true;
	links_remove(&task->place);
	links_add_last(&loop->decided, &task->place);
}

/* Everything that can be known of the job is, or it has waited for long enough. */
static bool is_due(const struct pool_task *task, uint64_t now_ns)
{
	const struct pool_loop *loop = task->loop;
	uint64_t wait_ns = loop->span_ns + loop->span_ns / 2 + MARGIN_NS;

	/* The longer they wait, the more can be rehearsed. */
	if (wait_ns > POOL_JOBS_DELAY_NS || loop->sureness < UNSURE)
		wait_ns = POOL_JOBS_DELAY_NS;
	return now_ns >= task->work.begin_ns + wait_ns ||
	       (!loop->open_count && task->work.ended && now_ns >= loop->active_ns + QUIET_NS);
}

/* Before its first jobs are decided, which have waited for as long as they may; and later, less and
 * less often, when decisions are unsure. */
static void rehearse(struct pool_jobs *p, struct pool_loop *loop, uint64_t now_ns)
{
	if (now_ns < loop->rehearse_ns)
		return;
	if (!loop->pause_ns)
		loop->sureness = 1;
	else if (loop->sureness > UNSURE)
		return;
	loop->pause_ns = loop->pause_ns ? 2 * loop->pause_ns : PAUSE_NS;
	loop->rehearse_ns = now_ns + loop->pause_ns;
	pool_rehearsal_hold(loop, &p->candidates);
}

static void free_request(struct pool_jobs *p, struct pool_request *request)
{
	request->known->request_count--;
	links_remove(&request->place);
	pool_give(&p->tables.requests, request);
}

/* No job of its own will come any more. */
static void retire(struct pool_jobs *p, struct pool_request *request)
{
	pool_clues_retire(&request->known->clues, request->stages);
	free_request(p, request);
}

/* What the jobs from begin_ns on need not look at any more: as far as it stands before all others,
 * and with time for a job that comes late. */
static void retire_first(struct pool_jobs *p, struct pool_loop *loop, uint64_t begin_ns)
{
	for (;;) {
		struct pool_request *request = (struct pool_request *)loop->line.requests.next;

		if (&request->place == &loop->line.requests || !request->end_ns ||
		    request->held_count || request->end_ns + loop->span_ns >= begin_ns)
			return;
		retire(p, request);
	}
}

/* Requests that were answered before any job began which may still come. */
static void retire_answered(struct pool_jobs *p, struct pool_loop *loop, uint64_t now_ns)
{
	uint64_t horizon_ns = now_ns > loop->span_ns ? now_ns - loop->span_ns : 0;
	struct link_pair *place, *next;

	if (loop->waiting.next != &loop->waiting) {
		const struct pool_task *first = (struct pool_task *)loop->waiting.next;

		if (first->work.begin_ns < horizon_ns)
			horizon_ns = first->work.begin_ns;
	}
	for (place = loop->line.requests.next; place != &loop->line.requests; place = next) {
		struct pool_request *request = (struct pool_request *)place;

		next = place->next;
		if (!request->end_ns || request->end_ns >= horizon_ns || request->held_count)
			continue;
		retire(p, request);
	}
}

static void forget_decided(struct pool_jobs *p, struct pool_loop *loop, uint64_t now_ns)
{
	struct link_pair *place, *next;

	for (place = loop->decided.next; place != &loop->decided; place = next) {
		struct pool_task *task = (struct pool_task *)place;

		next = place->next;
		if (task->seen_ns + (task->work.ended ? LATE_NS : LOST_NS) < now_ns)
			free_task(p, task);
	}
}

void pool_jobs_settle(struct pool_jobs *p, uint64_t now_ns)
{
	struct link_pair *place;

	for (place = p->tables.all_loops.next; place != &p->tables.all_loops; place = place->next) {
		struct pool_loop *loop = (struct pool_loop *)place;

		while (loop->waiting.next != &loop->waiting) {
			struct pool_task *task = (struct pool_task *)loop->waiting.next;

			if (!is_due(task, now_ns))
				break;
			rehearse(p, loop, now_ns);
			retire_first(p, loop, task->work.begin_ns);
			decide(p, task);
		}
		forget_decided(p, loop, now_ns);
		retire_answered(p, loop, now_ns);
	}
}

/* --- jobs --- */

/* Amounts are totals: they never fall. */
static void raise_to(uint64_t *amount, uint64_t total)
{
	if (total > *amount)
		*amount = total;
}

static void update(struct pool_task *task, const struct pool_job *report)
{
	struct pool_work *work = &task->work;

	raise_to(&task->seen_ns, report->seen_ns);
	raise_to(&task->used.cpu_ns, report->cpu_ns);
	raise_to(&task->used.minor_faults, report->minor_faults);
	raise_to(&task->used.major_faults, report->major_faults);
	work->end_ns = report->told_ns > work->begin_ns && report->told_ns < report->seen_ns
			       ? report->told_ns
			       : task->seen_ns;
	work->cpu_ns = task->used.cpu_ns - task->charged.cpu_ns;
	work->fault_count = task->used.minor_faults - task->charged.minor_faults;
	work->ended |= report->ended;
	work->unwoken |= report->unwoken;
	work->told = report->told_ns != 0;
}

/* In the order of their begin. */
static void queue(struct pool_loop *loop, struct pool_task *task)
{
	struct link_pair *before = loop->waiting.previous;

	while (before != &loop->waiting &&
	       ((const struct pool_task *)before)->work.begin_ns > task->work.begin_ns)
		before = before->previous;
	task->place.previous = before;
	task->place.next = before->next;
	before->next->previous = &task->place;
	before->next = &task->place;
}

/* How long jobs take; falls by a 64th with each. */
static void note_span(struct pool_task *task)
{
	struct pool_loop *loop = task->loop;
	uint64_t took_ns = task->seen_ns > task->id_ns ? task->seen_ns - task->id_ns : 0;

	if (!task->work.ended)
		return;
	loop->span_ns -= loop->span_ns / 64;
	if (took_ns > loop->span_ns)
		loop->span_ns = took_ns < POOL_JOBS_DELAY_NS ? took_ns : POOL_JOBS_DELAY_NS;
}

/* The request was answered while the worker went on: what comes now is another's. */
static void reopen(struct pool_task *task)
{
	pool_shares_release(&task->shares);
	task->decided = false;
	task->work.unwoken = true;
	task->work.begin_ns = task->seen_ns;
	links_remove(&task->place);
	queue(task->loop, task);
}

static void go_on(struct pool_jobs *p, struct pool_task *task, const struct pool_job *report)
{
	struct pool_request *request = task->decided ? task->shares.all[0].request : NULL;

	if (task->work.ended) /* this one came late */
		return;
	if (request && request->end_ns && request->end_ns < task->seen_ns) {
		reopen(task);
		request = NULL;
	}
	update(task, report);
	note_span(task);
	if (!task->decided)
		return;
	charge(p, task);
	if (request)
		pool_line_move(&task->loop->line, request, task->work.end_ns);
}

static void charge_nobody(struct pool_jobs *p, const struct pool_job *report)
{
	struct pool_charge nobody = {
		.pid = report->pid,
		.cpu_ns = report->cpu_ns,
		.minor_faults = report->minor_faults,
		.major_faults = report->major_faults,
	};

	p->sink.charge(p->sink.context, &nobody);
}

/* If there is no room, the oldest job of the loop is decided early. */
static struct pool_task *add_task(struct pool_jobs *p, struct pool_loop *loop, uint32_t tid)
{
	struct pool_task *task = pool_tables_add_task(&p->tables, loop, tid);
	struct pool_task *oldest = (struct pool_task *)loop->waiting.next;

	if (task)
		return task;
	p->stats.jobs_refused++;
	if (loop->waiting.next == &loop->waiting || !oldest->work.ended)
		return NULL;
	decide(p, oldest);
	free_task(p, oldest);
	return pool_tables_add_task(&p->tables, loop, tid);
}

static struct pool_loop *find_loop(struct pool_jobs *p, uint32_t pid, uint32_t tid)
{
	struct pool_loop *loop = pool_tables_loop(&p->tables, pid, tid);

	if (loop)
		return loop;
	loop = pool_tables_add_loop(&p->tables, pid, tid);
	if (loop)
		p->sink.track(p->sink.context, pid, tid);
	else
		p->stats.loops_refused++;
	return loop;
}

/* A thread that ends so soon was begun for one request (Django does that): what it did is one job,
 * and when that began it was the next one's turn. */
static void join_jobs(struct pool_jobs *p, struct pool_task *last)
{
	struct pool_task *first = last, *task, *next;

	for (task = last; task; task = pool_tables_earlier(task))
		if (!task->decided && task->loop == last->loop &&
		    task->work.begin_ns < first->work.begin_ns)
			first = task;
	for (task = last; task; task = next) {
		next = pool_tables_earlier(task);
		if (task == first || task->decided || task->loop != last->loop)
			continue;
		first->used.cpu_ns += task->used.cpu_ns;
		first->used.minor_faults += task->used.minor_faults;
		first->used.major_faults += task->used.major_faults;
		raise_to(&first->seen_ns, task->seen_ns);
		raise_to(&first->work.end_ns, task->work.end_ns);
		free_task(p, task);
	}
	first->work.cpu_ns = first->used.cpu_ns;
	first->work.fault_count = first->used.minor_faults;
	first->work.ended = true;
}

void pool_jobs_job(struct pool_jobs *p, const struct pool_job *report)
{
	struct pool_task *task =
		pool_tables_task(&p->tables, report->pid, report->tid, report->begin_ns);
	struct pool_loop *loop;

	if (task) {
		raise_to(&task->loop->active_ns, report->seen_ns);
		go_on(p, task, report);
		return;
	}
	/* The worker has another job now: if the last report of the one before was lost, it has
	 * ended all the same. */
	task = pool_tables_running(&p->tables, report->pid, report->tid);
	if (task)
		task->work.ended = true;
	loop = find_loop(p, report->pid, report->loop_tid);
	task = loop ? add_task(p, loop, report->tid) : NULL;
	if (!task) {
		charge_nobody(p, report);
		return;
	}
	raise_to(&loop->active_ns, report->seen_ns);
	task->work.tid = report->tid;
	task->service = report->service;
	task->route = report->route;
	task->id_ns = task->work.begin_ns = report->begin_ns;
	update(task, report);
	note_span(task);
	queue(loop, task);
	if (report->last)
		join_jobs(p, task);
}

/* --- requests --- */

struct pool_request *pool_jobs_request(struct pool_jobs *p, uint32_t pid, uint32_t tid,
				       void *exchange, uint64_t start_ns)
{
	struct pool_loop *loop = pool_tables_loop(&p->tables, pid, tid);
	struct pool_request *request = loop ? pool_take(&p->tables.requests) : NULL;

	if (!request)
		return NULL;
	*request = (struct pool_request){
		.loop = loop,
		.known = &p->tables.unknown,
		.exchange = exchange,
		.start_ns = start_ns,
	};
	p->tables.unknown.request_count++;
	loop->open_count++;
	raise_to(&loop->active_ns, start_ns);
	pool_line_add(&loop->line, request);
	return request;
}

void pool_jobs_route(struct pool_jobs *p, struct pool_request *request, const void *service,
		     const void *route)
{
	if (!request)
		return;
	request->known->request_count--;
	request->service = service;
	request->route = route;
	request->known = pool_tables_route(&p->tables, service, route);
	request->known->request_count++;
}

void pool_jobs_answered(struct pool_jobs *p, struct pool_request *request, uint64_t end_ns)
{
	if (!request || request->end_ns)
		return;
	request->end_ns = end_ns ? end_ns : 1; /* 0: in flight */
	request->exchange = NULL;
	request->loop->open_count--;
	raise_to(&request->loop->active_ns, end_ns);
	if (!request->is_dormant)
		return;
	if (request->held_count) /* retired like others, then */
		pool_line_move(&request->loop->line, request, request->turn_ns);
	else
		retire(p, request);
}

/* --- the rest --- */

static void free_loop(struct pool_jobs *p, struct pool_loop *loop)
{
	while (loop->waiting.next != &loop->waiting)
		decide(p, (struct pool_task *)loop->waiting.next);
	while (loop->decided.next != &loop->decided)
		free_task(p, (struct pool_task *)loop->decided.next);
	while (loop->line.requests.next != &loop->line.requests)
		free_request(p, (struct pool_request *)loop->line.requests.next);
	while (loop->line.dormant.next != &loop->line.dormant)
		free_request(p, (struct pool_request *)loop->line.dormant.next);
	pool_tables_remove_loop(&p->tables, loop);
}

void pool_jobs_forget(struct pool_jobs *p, uint32_t pid)
{
	struct link_pair *place, *next;

	for (place = p->tables.all_loops.next; place != &p->tables.all_loops; place = next) {
		next = place->next;
		if (((struct pool_loop *)place)->pid == pid)
			free_loop(p, (struct pool_loop *)place);
	}
}

static void forget_requests(struct pool_jobs *p, const struct link_pair *requests,
			    const void *service)
{
	struct link_pair *place;

	for (place = requests->next; place != requests; place = place->next) {
		struct pool_request *request = (struct pool_request *)place;

		if (request->service == service)
			pool_jobs_route(p, request, NULL, NULL);
	}
}

static void forget_tasks(const struct pool_loop *loop, const void *service)
{
	struct link_pair *place;
	size_t i;

	for (place = loop->waiting.next; place != &loop->waiting; place = place->next) {
		struct pool_task *task = (struct pool_task *)place;

		if (task->service == service)
			task->service = task->route = NULL;
	}
	for (place = loop->decided.next; place != &loop->decided; place = place->next) {
		struct pool_shares *shares = &((struct pool_task *)place)->shares;

		for (i = 0; i < shares->count; i++)
			if (shares->all[i].service == service)
				shares->all[i].service = shares->all[i].route = NULL;
	}
}

void pool_jobs_forget_service(struct pool_jobs *p, const void *service)
{
	struct link_pair *place;

	for (place = p->tables.all_loops.next; place != &p->tables.all_loops; place = place->next) {
		const struct pool_loop *loop = (struct pool_loop *)place;

		forget_requests(p, &loop->line.requests, service);
		forget_requests(p, &loop->line.dormant, service);
		forget_tasks(loop, service);
	}
	pool_tables_remove_routes(&p->tables, service);
}

int pool_jobs_open(struct pool_jobs **out, const struct pool_jobs_sink *sink)
{
	struct pool_jobs *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->sink = *sink;
	pool_tables_init(&p->tables);
	*out = p;
	return 0;
}

struct pool_jobs_stats pool_jobs_stats(const struct pool_jobs *p)
{
	struct pool_jobs_stats stats = p->stats;

	stats.loop_count = p->tables.loops.count;
	stats.request_count = p->tables.requests.count;
	stats.waiting_count = p->tables.tasks.count;
	stats.route_count = p->tables.routes.count;
	stats.requests_refused = p->tables.requests.refused;
	return stats;
}

void pool_jobs_close(struct pool_jobs *p)
{
	if (!p)
		return;
	pool_tables_close(&p->tables);
	free(p);
}
