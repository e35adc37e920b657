// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "pairing.h"

struct exchanges {
	struct pairing pairing;
	struct connections connections;
};

/* The connection has ended: what is open ends now. A request that may have been answered by bytes
 * which were missed is given up. */
static void settle_end(struct exchanges *e, struct connection *c)
{
	struct feed feed = {.p = &e->pairing, .c = c};
	bool missed = c->late_sent_end > c->sent_end;
	bool answering = stream_in_message(&c->responses) && c->first;
	bool followed = !missed && (answering || (c->responses.state == STREAM_HEAD &&
						  c->responses.next == c->sent_end));
	const char *error_type;

	if (c->end == END_RESET)
		error_type = "connection_reset";
	else
		error_type = c->peer_closed ? "aborted" : "no_response";
	if (!stream_finish(&c->responses, c->end == END_LOCAL && !missed, &pairing_responses,
			   &feed) &&
	    answering && missed)
		pairing_finish_first(&e->pairing, c, c->responses.last_ns, NULL);
	while (c->first) {
		if (followed || c->first->answer_position == c->late_sent_end)
			pairing_finish_first(&e->pairing, c, c->end_ns, error_type);
		else
			pairing_give_up_first(&e->pairing, c);
	}
	stream_close(&c->requests, &e->pairing.memory);
	c->finished = true;
	c->end = END_NONE;
	connections_mark_settled(c);
	if (c->forget)
		connections_remove(&e->connections, c, &e->pairing.memory);
}

/* A close whose last send is not yet reported waits for that record. */
static void connection_ends(struct exchanges *e, struct connection *c, enum connection_end how,
			    uint64_t sent_end, uint64_t time_ns)
{
	c->end = how;
	c->end_ns = time_ns;
	c->late_sent_end = sent_end;
	if (c->first && sent_end > c->sent_end)
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
	if (c->is_unix)
		e->connections.unix_count++;
	else
		c->port = io->head.role == ROLE_SERVER ? io->local_port : io->peer_port;
	c->sent_end = io->head.direction == DIRECTION_SENT ? io->begin : io->other_end;
	stream_begin(&c->requests, requests ? io->begin : io->other_end,
		     from_birth && requests && !io->begin);
	stream_begin(&c->responses, requests ? io->other_end : io->begin,
		     from_birth && !io->begin && (!requests || !io->other_end));
	if (!requests || (from_birth && io->begin))
		c->request_gap = GAP_LIKELY;
	return c;
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
		.position = io->begin + io->offset,
		.data = io->data,
		.len = io->captured,
		.tail = io->tail,
		.tail_len = io->tail_len,
		.last = io->head.flags & IO_LAST,
	};
	bool sent = io->head.direction == DIRECTION_SENT;

	if (!c)
		return; /* counted by the pool */
	if (c->active_ns && io->head.time_ns > c->active_ns + EXCHANGE_QUIET_NS)
		c->quiet_ns = io->head.time_ns;
	connections_touch(&e->connections, c, io->head.time_ns);
	if (io->head.flags & IO_EOF) {
		c->peer_closed = true;
		return;
	}
	if (sent && slice.end > c->sent_end)
		c->sent_end = slice.end;
	if (sent == (c->role == ROLE_CLIENT)) {
		stream_feed(&c->requests, &slice, &pairing_requests, &feed, &e->pairing.memory);
	} else {
		stream_feed(&c->responses, &slice, &pairing_responses, &feed, &e->pairing.memory);
		if (c->responses.state == STREAM_GUESS)
			connections_mark_unsettled(&e->connections, c);
	}
	if (c->end != END_NONE && c->sent_end >= c->late_sent_end)
		settle_end(e, c);
}

void exchanges_state(struct exchanges *e, const struct record_state *state)
{
	struct connection *c = connections_find(&e->connections, state->cookie);
	bool reset = state->error == ECONNRESET || state->error == EPIPE;

	if (!c)
		return;
	if (state->new_state == TCP_CLOSE_WAIT) {
		c->peer_closed = true;
		return;
	}
	if (state->new_state == TCP_CLOSE)
		c->forget = true;
	if (c->end == END_NONE && !c->finished)
		connection_ends(e, c, reset ? END_RESET : END_LOCAL, state->sent_end,
				state->head.time_ns);
	else if (c->forget && c->finished)
		connections_remove(&e->connections, c, &e->pairing.memory);
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
		if (c->responses.state != STREAM_GUESS)
			connections_mark_settled(c);
	}
}

void exchanges_expire(struct exchanges *e, uint64_t now_ns)
{
	struct connection *c;

	while ((c = connections_oldest(&e->connections)) &&
	       c->active_ns + EXCHANGE_IDLE_NS < now_ns) {
		if (connection_is_idle(c))
			connections_remove(&e->connections, c, &e->pairing.memory);
		else
			connections_touch(&e->connections, c, now_ns);
	}
}

/* --- unix sockets --- */

size_t exchanges_unix_count(const struct exchanges *e)
{
	return e->connections.unix_count;
}

void exchanges_unix_begin(struct exchanges *e)
{
	struct link_pair *list = &e->connections.by_activity, *item;

	for (item = list->next; item != list; item = item->next)
		connection_of(item, by_activity)->alive = false;
}

void exchanges_unix_alive(struct exchanges *e, const struct connection_state *state)
{
	struct connection *c = connections_find(&e->connections, state->cookie);

	if (!c)
		return;
	c->alive = true;
	if (state->shutdown == 3)
		c->peer_closed = true;
}

void exchanges_unix_end(struct exchanges *e, uint64_t now_ns)
{
	struct link_pair *list = &e->connections.by_activity, *item, *next;

	for (item = list->next; item != list; item = next) {
		struct connection *c = connection_of(item, by_activity);

		next = item->next;
		if (!c->is_unix || c->alive || c->active_ns >= now_ns)
			continue;
		c->forget = true;
		if (c->end == END_NONE && !c->finished)
			connection_ends(e, c, END_LOCAL, c->sent_end, now_ns);
	}
}

struct exchange_stats exchanges_stats(const struct exchanges *e)
{
	struct exchange_stats stats = e->pairing.stats;

	stats.connection_count = e->connections.pool.count;
	stats.connections_refused = e->connections.pool.refused;
	stats.connections_evicted = e->connections.evicted;
	stats.open_count = e->pairing.pool.count;
	stats.requests_refused = e->pairing.pool.refused;
	stats.lines_cut = e->pairing.memory.cut_count;
	return stats;
}

int exchanges_open(struct exchanges **out, const struct exchange_sink *sink)
{
	struct exchanges *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->pairing.sink = *sink;
	e->pairing.memory.limit_bytes = EXCHANGE_SPLIT_BYTES_MAX;
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
	pool_close(&e->pairing.pool);
	free(e);
}
