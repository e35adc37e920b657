// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include <stdlib.h>

/* Empty lines may stand before a request line (RFC 9112 section 2.2); no request is so short. */
#define BEGIN_SLACK 16
#define PROBES 8 /* places where a loop can be */

#define exchange_in_turn(link) ((struct exchange *)((char *)(link)-offsetof(struct exchange, turn)))

struct work_loop {
	uint32_t tid; /* 0: unused */
	uint32_t open_count; /* of requests that the thread has read */
	struct link_pair queue; /* those of them that it has not begun to work for */
};

/* --- finding --- */

static bool begins_by(const struct exchange *x, uint32_t begin)
{
	return (int32_t)(begin + BEGIN_SLACK - (uint32_t)x->begin) >= 0;
}

/* The last one that began there or before; NULL: it is not open. */
static struct exchange *exchange_at(const struct connection *c, uint32_t begin)
{
	struct exchange *x, *found = NULL;

	for (x = c->held; x; x = x->next)
		found = begins_by(x, begin) ? x : found;
	for (x = c->first; x; x = x->next)
		found = begins_by(x, begin) ? x : found;
	return found;
}

static struct connection *connection_at(const struct connections *t, uint64_t cookie)
{
	struct connection *c = cookie ? connections_find(t, cookie) : NULL;

	return c && c->role == ROLE_SERVER ? c : NULL;
}

static bool is_empty(const struct work_loop *loop)
{
	return !loop->queue.next || loop->queue.next == &loop->queue;
}

/* The thread's, or an empty one in its place; NULL: there is none and it is not wanted, or no room.
 */
static struct work_loop *loop_of(struct work_loops *loops, uint32_t tid, bool wanted)
{
	struct work_loop *unused = NULL;

	if (!loops->loops && (!wanted || !(loops->loops = calloc(WORK_LOOPS_MAX, sizeof(*unused)))))
		return NULL;
	for (uint32_t i = 0; i < PROBES; i++) {
		struct work_loop *loop = &loops->loops[(tid * 0x9e3779b1u + i) % WORK_LOOPS_MAX];

		if (loop->tid == tid)
			return loop;
		if (!loop->open_count && is_empty(loop) && !unused)
			unused = loop;
	}
	if (!wanted || !unused)
		return NULL;
	unused->tid = tid;
	links_init(&unused->queue);
	return unused;
}

void work_loops_close(struct work_loops *loops)
{
	free(loops->loops);
	loops->loops = NULL;
}

/* --- charging --- */

static struct costs costs_of(const struct cost *cost)
{
	return (struct costs){cost->cpu_ns, cost->minor_faults, cost->major_faults};
}

static struct cost cost_between(const struct work *work)
{
	return (struct cost){work->between_us * 1000ull, work->between_faults, 0};
}

static bool is_nothing(const struct cost *cost)
{
	return !cost->cpu_ns && !cost->minor_faults && !cost->major_faults;
}

/* What was charged ahead has been paid by this. */
static void charge(struct pairing *p, struct exchange *x, enum exchange_work how,
		   const struct cost *cost)
{
	struct costs costs = costs_of(cost), paid = costs_take(&x->ahead, &costs);

	costs_take(&costs, &paid);
	p->sink.worked(p->sink.context, x, how, &costs);
}

/* The first of the queue, which is not empty, up to last (NULL: all of them) have been worked for,
 * and then also. */
static void charge_turn(struct pairing *p, struct work_loop *loop, const struct exchange *last,
			struct exchange *also, const struct cost *cost)
{
	struct exchange *list[WORK_TURN_MAX + 1], *x;
	struct costs costs = costs_of(cost);
	size_t count = 0;

	do {
		x = exchange_in_turn(loop->queue.next);
		links_remove(&x->turn);
		if (x->service && count < WORK_TURN_MAX)
			list[count++] = x;
	} while (x != last && !is_empty(loop));
	if (also)
		list[count++] = also;
	for (size_t i = 0; i < count; i++) {
		struct costs paid = costs_take(&list[i]->ahead, &costs);

		costs_take(&costs, &paid);
	}
	if (count)
		p->sink.worked_turn(p->sink.context, list, count, &costs);
	for (size_t i = 0; i < count; i++)
		list[i]->begun = true;
}

static struct exchange *owner_of(const struct connections *t, const struct work *work)
{
	struct connection *c = connection_at(t, work->owner_cookie);

	return c ? exchange_at(c, work->owner_begin) : NULL;
}

static void charge_owner(struct pairing *p, const struct connections *t, const struct work *work,
			 enum exchange_work how, bool certain)
{
	const struct cost *cost = &work->owner;
	const struct exchange_ended *ended;
	struct exchange *x;
	struct costs costs;

	if (is_nothing(cost))
		return;
	x = owner_of(t, work);
	if (x) {
		if (x->deferred && !work->wait_count) /* what it read between turns */
			how = WORKED_FOR;
		charge(p, x, how, cost);
		return;
	}
	ended = connections_ended(t, work->owner_cookie, work->owner_begin);
	if (!ended)
		return;
	costs = costs_of(cost);
	p->sink.worked_after(p->sink.context, ended, certain, &costs);
}

/* The first part of a work: up to a wait, or up to another request; certain: or up to a call for
 * the owner itself. */
static void owner_worked(struct pairing *p, const struct connections *t, struct work_loop *loop,
			 const struct work *work, bool certain)
{
	struct exchange *x;

	if (is_nothing(&work->owner))
		return;
	x = loop && !is_empty(loop) ? owner_of(t, work) : NULL;
	/* While it only reads, each costs little more than the other. */
	if (!loop || is_empty(loop) ||
	    (!work->wait_count && x &&
	     !p->sink.begun_turn(p->sink.context, x, work->owner.cpu_ns))) {
		certain &= !work->wait_count;
		charge_owner(p, t, work, certain ? WORKED_FOR : WORKED_UNTIL_WAIT, false);
		return;
	}
	charge_turn(p, loop, NULL, x && !x->turn.next && x->service ? x : NULL, &work->owner);
}

/* The other parts, of an answer of x, or of what was sent for it. certain: it did nothing else. */
static void own_worked(struct pairing *p, struct work_loop *loop, struct exchange *x, bool certain,
		       const struct work *work)
{
	const struct cost *own = &work->own, between = cost_between(work);

	if (!x || !x->service)
		return;
	if (!is_nothing(&between))
		charge(p, x, WORKED_BETWEEN, &between);
	if (is_nothing(own))
		return;
	if (!loop || is_empty(loop) || x->first_byte_ns)
		charge(p, x, certain ? WORKED_FOR : WORKED_UNTIL_ANSWER, own);
	else if (x->turn.next)
		charge_turn(p, loop, x, NULL, own);
	else
		charge_turn(p, loop, NULL, x, own);
}

/* --- what records and listings tell --- */

void work_moved(struct pairing *p, const struct connections *t, struct work_loops *loops,
		const struct work *work)
{
	owner_worked(p, t, loop_of(loops, work->tid, false), work, false);
}

void work_of_job(struct pairing *p, const struct connections *t, const struct work *work)
{
	charge_owner(p, t, work, WORKED_FOR, true);
}

void work_before_call(struct pairing *p, const struct connections *t, struct work_loops *loops,
		      struct connection *c, const struct record_io *io)
{
	struct work_loop *loop = loop_of(loops, io->work.tid, false);
	bool sends = io->head.direction == DIRECTION_SENT, is_owners;

	is_owners = io->work.owner_cookie == io->cookie;
	owner_worked(p, t, loop, &io->work, is_owners || (c->role == ROLE_CLIENT && sends));
	if (!sends)
		return;
	/* certain: it has waited for nothing since it read this request, or began to answer it. */
	if (c->role == ROLE_SERVER)
		own_worked(p, loop, c->first, is_owners && !io->work.wait_count, &io->work);
	else
		own_worked(p, NULL, owner_of(t, &io->work), false, &io->work);
}

/* It is open from now on. */
static void is_read(struct pairing *p, struct work_loop *loop, struct exchange *x,
		    const struct work *work)
{
	x->tid = work->tid;
	p->sink.read(p->sink.context, x);
	if (!loop)
		return;
	/* Of more waits than are counted it is not known how long each was. */
	if (!loop->open_count && work->wait_count > 1 && work->wait_count < WORK_WAITS_MAX) {
		struct costs each = {.cpu_ns = cost_between(work).cpu_ns / (work->wait_count - 1)};

		p->sink.worked(p->sink.context, x, WORKED_ALONE, &each);
	}
	x->thread_open = &loop->open_count;
	loop->open_count++;
}

void work_after_call(struct pairing *p, struct work_loops *loops, struct connection *c,
		     const struct record_io *io)
{
	struct exchange *x = c->last;
	struct work_loop *loop;

	if (io->head.direction != DIRECTION_RECEIVED || c->role != ROLE_SERVER || !x ||
	    x->begin < io->begin || !x->service)
		return;
	loop = io->work.tid ? loop_of(loops, io->work.tid, true) : NULL;
	if (!x->tid && io->work.tid)
		is_read(p, loop, x, &io->work);
	if (!is_nothing(&io->work.own))
		charge(p, x, WORKED_BEFORE, &io->work.own);
	if (loop && x->deferred && !x->turn.next)
		links_add_last(&loop->queue, &x->turn);
}

void work_listed(struct pairing *p, const struct connections *t, const struct thread_state *state,
		 uint32_t list_id)
{
	struct connection *c = connection_at(t, state->owner_cookie);
	struct exchange *x = c ? exchange_at(c, state->owner_begin) : NULL;
	struct costs costs = costs_of(&state->cost), known;

	if (!x)
		return;
	if (x->list_id != list_id)
		x->listed = (struct costs){0};
	x->list_id = list_id;
	costs_add(&x->listed, &costs);
	known = x->ahead; /* of these threads, or of others whose records came since: then less */
	costs = x->listed;
	costs_take(&costs, &known);
	costs_add(&x->ahead, &costs);
	p->sink.worked(p->sink.context, x, WORKED_FOR, &costs);
}
