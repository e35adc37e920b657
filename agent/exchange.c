// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "pairing.h"
#include "work.h"

#define SHUTDOWN_SENT 2 /* sk_shutdown: only sending is over */
#define CLOCK_SLACK_NS (10 * 1000000ull) /* a record can be so late behind what it tells of */

struct exchanges {
	struct pairing pairing;
	struct connections connections;
	uint64_t list_ns; /* when the current listing began */
	uint32_t work_list_id;
	struct work_loops loops;
};

static void connection_remove(struct exchanges *e, struct connection *c)
{
	pairing_release_held(&e->pairing, c, UINT64_MAX, NULL);
	connections_remove(&e->connections, c, &e->pairing.memory);
}

/* What ends requests that are open when their connection ends. */
static const char *cut_short_by(const struct connection *c)
{
	if (c->end == END_RESET && !(c->role == ROLE_CLIENT && c->peer_closed))
		return "connection_reset";
	if (c->role == ROLE_SERVER)
		return c->peer_closed ? "aborted" : "no_response";
	if (c->peer_closed)
		return "no_response";
	return c->end_ns >= c->active_ns + EXCHANGE_CLIENT_TIMEOUT_NS ? "timeout" : "aborted";
}

/* A response without length ends with its sender's close. */
static bool responder_closed(const struct connection *c)
{
	return c->end == END_LOCAL && (c->role == ROLE_SERVER || c->peer_closed);
}

/* The connection has ended: what is open ends now. A request that may have been answered by bytes
 * which were missed is given up. */
static void settle_end(struct exchanges *e, struct connection *c)
{
	struct feed feed = {.p = &e->pairing, .c = c};
	bool missed = c->late_response_end > c->response_end;
	bool answering = stream_in_message(&c->responses) && c->first;
	bool followed = !missed && (answering || (c->responses.state == STREAM_HEAD &&
						  c->responses.next == c->response_end));
	const char *cut_short = cut_short_by(c);

	if (!stream_finish(&c->responses, responder_closed(c) && !missed, &pairing_responses,
			   &feed) &&
	    answering && missed)
		pairing_finish_first(&e->pairing, c, c->responses.last_ns, NULL);
	while (c->first) {
		if (followed || c->first->answer_position == c->late_response_end)
			pairing_finish_first(&e->pairing, c, c->end_ns, cut_short);
		else
			pairing_give_up_first(&e->pairing, c);
	}
	stream_close(&c->requests, &e->pairing.memory);
	c->finished = true;
	c->end = END_NONE;
	connections_mark_settled(c);
	if (c->held)
		connections_mark_unsettled(&e->connections, c);
	if (c->forget)
		connection_remove(e, c);
}

/* A close whose last send is not yet reported waits for that record. */
static void connection_ends(struct exchanges *e, struct connection *c, enum connection_end how,
			    uint64_t response_end, uint64_t time_ns)
{
	c->end = how;
	c->end_ns = time_ns;
	c->late_response_end = response_end;
	if (c->first && response_end > c->response_end)
		connections_mark_unsettled(&e->connections, c);
	else
		settle_end(e, c);
}

static struct connection *connection_for(struct exchanges *e, const struct record_io *io)
{
	struct connection *c = connections_find(&e->connections, io->cookie);
	bool requests = io->head.direction ==
			(io->head.role == ROLE_SERVER ? DIRECTION_RECEIVED : DIRECTION_SENT);
	bool from_birth = io->head.flags & IO_FROM_BIRTH;

	if (c)
		return c;
	c = connections_add(&e->connections, io->cookie, &e->pairing.memory);
	if (!c)
		return NULL;
	c->role = io->head.role;
	c->is_unix = io->head.flags & IO_UNIX;
	c->is_tls = io->head.flags & IO_TLS;
	if (c->is_unix)
		e->connections.unix_count++;
	else
		c->port = io->head.role == ROLE_SERVER ? io->local_port : io->peer_port;
	c->response_end = requests ? io->other_end : io->begin;
	stream_begin(&c->requests, requests ? io->begin : io->other_end,
		     from_birth && requests && !io->begin);
	stream_begin(&c->responses, requests ? io->other_end : io->begin,
		     from_birth && !io->begin && (!requests || !io->other_end));
	if (!requests || (from_birth && io->begin))
		c->request_gap = GAP_LIKELY;
	return c;
}

/* Once the call with the first byte has been taken, and the response is still open. */
static void tell_first_byte(struct exchanges *e, struct connection *c)
{
	struct exchange *x = c->first;

	if (!x || !x->streamed || x->first_byte_told || !x->service)
		return;
	x->first_byte_told = true;
	e->pairing.sink.first_byte(e->pairing.sink.context, x);
}

/* What comes next from the client is a new request, not the rest of one. */
static bool awaits_request(const struct connection *c)
{
	if (c->role != ROLE_SERVER)
		return false;
	if (c->requests.state == STREAM_HEAD)
		return !c->requests.in_fields && !stream_has_partial_line(&c->requests);
	return !c->first && (c->requests.state == STREAM_LOST || c->requests.state == STREAM_GUESS);
}

void exchanges_io(struct exchanges *e, const struct record_io *io)
{
	struct connection *c = connection_for(e, io);
	struct feed feed = {.p = &e->pairing, .c = c, .pid = io->head.pid};
	struct slice slice = {
		.time_ns = io->head.time_ns,
		.begin = io->begin,
		.end = io->begin + io->len,
		.other_end = io->other_end,
		.arrival_ns = io->arrival_ns,
		.position = io->begin + io->offset,
		.data = io->data,
		.len = io->captured,
		.tail = io->tail,
		.tail_len = io->tail_len,
		.last = io->head.flags & IO_LAST,
	};
	bool requests = (io->head.direction == DIRECTION_SENT) == (io->head.role == ROLE_CLIENT);

	if (!c)
		return; /* counted by the pool */
	if (c->active_ns && io->head.time_ns > c->active_ns + EXCHANGE_QUIET_NS)
		c->quiet_ns = io->head.time_ns;
	connections_touch(&e->connections, c, io->head.time_ns);
	c->unread_since_ns = 0;
	c->pid = io->head.pid;
	c->peer_closed |= (io->head.flags & IO_PEER_CLOSED) != 0;
	if (io->work.tid)
		work_before_call(&e->pairing, &e->connections, &e->loops, c, io);
	if (io->head.flags & IO_EOF) {
		c->peer_closed = true;
		return;
	}
	if (requests) {
		stream_feed(&c->requests, &slice, &pairing_requests, &feed, &e->pairing.memory);
		if (io->work.tid)
			work_after_call(&e->pairing, &e->loops, c, io);
	} else {
		if (slice.end > c->response_end)
			c->response_end = slice.end;
		stream_feed(&c->responses, &slice, &pairing_responses, &feed, &e->pairing.memory);
		tell_first_byte(e, c);
		if (c->responses.state == STREAM_GUESS || c->held)
			connections_mark_unsettled(&e->connections, c);
	}
	if (c->end != END_NONE && c->response_end >= c->late_response_end)
		settle_end(e, c);
}

void exchanges_work(struct exchanges *e, const struct work *work)
{
	work_moved(&e->pairing, &e->connections, &e->loops, work);
}

void exchanges_job(struct exchanges *e, const struct work *work)
{
	work_of_job(&e->pairing, &e->connections, work);
}

static struct exchange_unread unread_of(const struct connection *c, uint32_t listener_pid,
					uint16_t port, uint64_t arrival_ns, uint64_t seen_ns)
{
	return (struct exchange_unread){
		.arrival_ns = arrival_ns,
		.seen_ns = seen_ns,
		.pid = listener_pid || !c ? listener_pid : c->pid,
		.port = port,
	};
}

/* A request that nobody read has died with its connection. */
static void unread_dies(struct exchanges *e, const struct connection *c,
			const struct record_state *state)
{
	struct exchange_unread unread = unread_of(c, state->listener_pid, state->local_port,
						  state->arrival_ns, state->head.time_ns);

	if (!state->arrival_ns || (c && (c->unread_counted || !awaits_request(c))))
		return;
	e->pairing.sink.unread_ended(e->pairing.sink.context, &unread, true);
}

/* A client may close its half when it has sent all. */
static bool is_half_close(const struct connection *c, const struct record_state *state)
{
	return c->role == ROLE_CLIENT && state->new_state == TCP_FIN_WAIT1 &&
	       state->shutdown == SHUTDOWN_SENT;
}

void exchanges_state(struct exchanges *e, const struct record_state *state)
{
	struct connection *c = connections_find(&e->connections, state->cookie);
	bool reset = state->error == ECONNRESET || state->error == EPIPE;

	if (state->new_state == TCP_CLOSE)
		unread_dies(e, c, state);
	if (!c)
		return;
	if (state->new_state == TCP_CLOSE_WAIT) {
		c->peer_closed = true;
		return;
	}
	if (is_half_close(c, state))
		return;
	if (state->new_state == TCP_CLOSE) {
		c->forget = true;
		pairing_release_held(&e->pairing, c, UINT64_MAX, state->error ? "aborted" : NULL);
		if (state->error && !reset && c->role == ROLE_SERVER)
			c->peer_closed = true; /* the client's host does not answer any more */
	}
	if (c->end == END_NONE && !c->finished)
		connection_ends(e, c, reset ? END_RESET : END_LOCAL,
				c->role == ROLE_SERVER ? state->sent_end : state->received_end,
				state->head.time_ns);
	else if (c->forget && c->finished)
		connection_remove(e, c);
}

void exchanges_session_end(struct exchanges *e, const struct record_tls *end)
{
	struct connection *c = connections_find(&e->connections, end->cookie);

	if (!c)
		return;
	c->forget |= (end->cookie & COOKIE_UNJOINED) != 0; /* else the socket is still to tell */
	if (c->end == END_NONE && !c->finished)
		connection_ends(e, c, END_LOCAL, c->response_end, end->head.time_ns);
}

void exchanges_settle(struct exchanges *e, uint64_t now_ns)
{
	struct link_pair *list = &e->connections.unsettled, *item, *next;

	for (item = list->next; item != list; item = next) {
		struct connection *c = connection_of(item, unsettled);
		struct feed feed = {.p = &e->pairing, .c = c};

		next = item->next;
		if (c->end != END_NONE) {
			if (now_ns > c->end_ns + EXCHANGE_LATE_NS)
				settle_end(e, c);
			continue;
		}
		stream_commit(&c->responses, &pairing_responses, &feed);
		if (now_ns > EXCHANGE_HELD_NS)
			pairing_release_held(&e->pairing, c, now_ns - EXCHANGE_HELD_NS, NULL);
		if (c->responses.state != STREAM_GUESS && !c->held)
			connections_mark_settled(c);
	}
}

void exchanges_expire(struct exchanges *e, uint64_t now_ns)
{
	struct connection *c;

	while ((c = connections_oldest(&e->connections)) &&
	       c->active_ns + EXCHANGE_IDLE_NS < now_ns) {
		if (!c->alive) /* what waited unread was read, and was no request */
			c->unread_counted = false;
		if (connection_is_idle(c))
			connection_remove(e, c);
		else
			connections_touch(&e->connections, c, now_ns);
	}
}

/* --- limits and open requests --- */

#define exchange_of(link, member) \
	((struct exchange *)((char *)(link)-offsetof(struct exchange, member)))

void exchanges_check_limits(struct exchanges *e, uint64_t now_ns)
{
	uint64_t certain_ns = now_ns > CLOCK_SLACK_NS ? now_ns - CLOCK_SLACK_NS : 0;
	struct deadline *deadline;

	while ((deadline = deadlines_take(&e->pairing.deadlines, certain_ns))) {
		struct exchange *x = exchange_of(deadline, deadline);

		if (x->service)
			e->pairing.sink.timed_out(e->pairing.sink.context, x);
	}
}

void exchanges_each_open(struct exchanges *e,
			 void (*open)(void *context, struct exchange *exchange), void *context)
{
	struct link_pair *list = &e->pairing.open, *item;

	for (item = list->next; item != list; item = item->next) {
		struct exchange *x = exchange_of(item, open);

		if (x->service && x->head_complete && !x->end_ns)
			open(context, x);
	}
}

void exchanges_each(struct exchanges *e, void (*each)(void *context, struct exchange *exchange),
		    void *context)
{
	struct link_pair *list = &e->pairing.open, *item;

	for (item = list->next; item != list; item = item->next)
		each(context, exchange_of(item, open));
}

void exchanges_forget_service(struct exchanges *e, const struct service *service)
{
	struct link_pair *list = &e->pairing.open, *item;

	for (item = list->next; item != list; item = item->next) {
		struct exchange *x = exchange_of(item, open);

		if (x->service == service)
			x->service = NULL;
	}
	connections_forget_service(&e->connections, service);
}

const struct exchange_ended *exchanges_ended(const struct exchanges *e, const struct work *work)
{
	return connections_ended(&e->connections, work->owner_cookie, work->owner_begin);
}

void exchanges_list_work_begin(struct exchanges *e)
{
	e->work_list_id++;
}

void exchanges_list_work(struct exchanges *e, const struct thread_state *state)
{
	work_listed(&e->pairing, &e->connections, state, e->work_list_id);
}

/* --- listings --- */

void exchanges_list_begin(struct exchanges *e, uint64_t now_ns)
{
	struct link_pair *list = &e->connections.by_activity, *item;

	e->list_ns = now_ns;
	for (item = list->next; item != list; item = item->next)
		connection_of(item, by_activity)->alive = false;
}

/* A connection that has not been heard of because nobody reads what it sent. */
static struct connection *add_unread(struct exchanges *e, const struct connection_state *state)
{
	struct connection *c = connections_add(&e->connections, state->cookie, &e->pairing.memory);

	if (!c)
		return NULL;
	c->role = ROLE_SERVER;
	c->port = state->local_port;
	c->is_unix = state->is_unix;
	e->connections.unix_count += c->is_unix;
	c->response_end = state->sent_end;
	c->active_ns = state->arrival_ns;
	stream_begin(&c->requests, state->received_end, true);
	stream_begin(&c->responses, state->sent_end, true);
	return c;
}

static void list_unread(struct exchanges *e, struct connection *c,
			const struct connection_state *state)
{
	struct exchange_sink *sink = &e->pairing.sink;
	struct exchange_unread unread =
		unread_of(c, state->listener_pid, state->local_port, state->arrival_ns, e->list_ns);
	bool late;

	if (c && !awaits_request(c))
		return;
	late = sink->unread(sink->context, &unread);
	if (!c && (late || state->is_unix))
		c = add_unread(e, state);
	if (!c)
		return; /* if the pool was full, counted there and tried again at the next listing
			 */
	c->alive = true;
	if (state->is_unix) {
		c->pid = unread.pid;
		c->unread_since_ns = state->arrival_ns;
	}
	if (!late || c->unread_counted)
		return;
	c->unread_counted = true;
	sink->unread_ended(sink->context, &unread, false);
}

void exchanges_listed(struct exchanges *e, const struct connection_state *state)
{
	struct connection *c = connections_find(&e->connections, state->cookie);

	if (state->arrival_ns)
		list_unread(e, c, state);
	if (!c)
		return;
	c->alive = true;
	c->listed_response_end = c->role == ROLE_SERVER ? state->sent_end : state->received_end;
	if (c->is_unix && state->shutdown == 3)
		c->peer_closed = true;
}

/* A response whose end is known lies further on, whatever was missed of it. */
static bool reaches_beyond(const struct stream *s, uint64_t position)
{
	return s->state == STREAM_CLOSE || (s->state == STREAM_LENGTH && s->next > position);
}

/* What was sent by the time of the listing is in no record: requests that waited then may have an
 * answer that was missed, and there may be no further record to tell so. */
static void resynchronise(struct exchanges *e, struct connection *c)
{
	if (!c->first || c->listed_response_end <= c->response_end ||
	    reaches_beyond(&c->responses, c->listed_response_end))
		return;
	while (c->first && c->first->answer_position < c->listed_response_end)
		pairing_give_up_first(&e->pairing, c);
	c->response_end = c->listed_response_end;
	stream_begin(&c->responses, c->listed_response_end, false);
}

/* A unix socket has gone whose request was unread at an earlier listing, and has not been read
 * since. */
static void unix_unread_dies(struct exchanges *e, const struct connection *c)
{
	struct exchange_unread unread = unread_of(c, 0, c->port, c->unread_since_ns, e->list_ns);

	if (c->unread_since_ns && !c->unread_counted)
		e->pairing.sink.unread_ended(e->pairing.sink.context, &unread, true);
}

void exchanges_list_end(struct exchanges *e, bool all)
{
	struct link_pair *list = &e->connections.by_activity, *item, *next;

	for (item = list->next; item != list; item = next) {
		struct connection *c = connection_of(item, by_activity);

		next = item->next;
		if (c->active_ns >= e->list_ns)
			continue;
		if (c->alive) {
			if (all)
				resynchronise(e, c);
			continue;
		}
		if ((!c->is_unix && !all) || c->cookie & COOKIE_UNJOINED)
			continue;
		c->forget = true;
		unix_unread_dies(e, c);
		if (c->end == END_NONE)
			connection_ends(e, c, END_LOCAL, c->is_unix ? c->response_end : UINT64_MAX,
					e->list_ns);
	}
}

struct exchange_stats exchanges_stats(const struct exchanges *e)
{
	struct exchange_stats stats = e->pairing.stats;

	stats.connection_count = e->connections.pool.count;
	stats.connections_refused = e->connections.pool.refused;
	stats.connections_evicted = e->connections.evicted;
	stats.open_count = e->pairing.pool.count;
	stats.requests_refused = e->pairing.pool.refused + e->pairing.deadlines.refused;
	stats.lines_cut = e->pairing.memory.cut_count;
	return stats;
}

int exchanges_open(struct exchanges **out, const struct exchange_sink *sink)
{
	struct exchanges *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->pairing.sink = *sink;
	e->pairing.connections = &e->connections;
	e->pairing.memory.limit_bytes = EXCHANGE_SPLIT_BYTES_MAX;
	links_init(&e->pairing.open);
	pool_init(&e->pairing.pool, sizeof(struct exchange), EXCHANGE_OPEN_MAX);
	if (connections_open(&e->connections, EXCHANGE_CONNECTIONS_MAX)) {
		free(e);
		return -ENOMEM;
	}
	*out = e;
	return 0;
}

void exchanges_close(struct exchanges *e)
{
	if (!e)
		return;
	connections_close(&e->connections);
	deadlines_close(&e->pairing.deadlines);
	pool_close(&e->pairing.pool);
	work_loops_close(&e->loops);
	free(e);
}
