// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"

struct exchanges {
	struct exchange_sink sink;
	struct connections connections;
	struct pool pool; /* of struct exchange */
	struct stream_memory memory;
	struct exchange_stats stats;
};

#define REQUEST_MIN 18 /* bytes: "GET / HTTP/1.1" and two line ends */

/* What the streams' callbacks need: the connection that is fed and the record it is fed from. */
struct feed {
	struct exchanges *e;
	struct connection *c;
	uint32_t pid;
};

static struct exchange *queue_pop(struct connection *c)
{
	struct exchange *x = c->first;

	c->first = x->next;
	if (!c->first)
		c->last = NULL;
	return x;
}

static void give_up_first(struct exchanges *e, struct connection *c)
{
	pool_give(&e->pool, queue_pop(c));
	e->stats.requests_lost++;
}

/* The first of the queue has ended. A head that never became complete was no request, unless it was answered. */
static void finish_first(struct exchanges *e, struct connection *c, uint64_t end_ns, const char *error_type)
{
	struct exchange *x = queue_pop(c);

	x->end_ns = end_ns > x->start_ns ? end_ns : x->start_ns;
	x->error_type = error_type;
	if (x->service && (x->head_complete || x->status))
		e->sink.done(e->sink.context, x);
	pool_give(&e->pool, x);
}

/* --- the stream of requests --- */

static struct exchange *request_add(struct feed *feed, const struct http_request_line *line,
				    uint64_t start_ns, uint64_t answer_position)
{
	struct exchanges *e = feed->e;
	struct connection *c = feed->c;
	struct exchange *x = pool_take(&e->pool);

	if (!x)
		return NULL;
	x->start_ns = start_ns;
	x->answer_position = answer_position;
	x->pid = feed->pid;
	x->port = c->port;
	x->role = c->role;
	x->gap = c->request_gap;
	c->request_gap = GAP_NONE;
	c->request_fragment = false;
	if ((c->last && c->last->answer_position >= answer_position) ||
	    (x->gap == GAP_LIKELY && !answer_position))
		c->pipelines = true; /* nothing was sent since the last request */
	x->certain = !c->pipelines || start_ns == c->quiet_ns;
	x->method = line->method;
	x->version = line->version;
	if (c->last)
		c->last->next = x;
	else
		c->first = x;
	c->last = x;
	e->sink.request(e->sink.context, x, line->path, line->path_len);
	return x;
}

/* False: not even the method is known. */
static bool request_line_cut(struct http_request_line *line, const char *text, size_t len)
{
	if (!len || !memchr(text, ' ', len))
		return false;
	http_request_line_cut(line, text, len);
	return true;
}

static int request_start_line(void *context, const char *text, size_t len, bool cut,
			      const struct slice *slice, uint64_t position, uint64_t start_ns)
{
	struct feed *feed = context;
	struct connection *c = feed->c;
	struct http_request_line line = {0};
	bool valid;

	(void)position;
	if (cut)
		valid = request_line_cut(&line, text, len);
	else
		valid = !http_request_line(&line, text, len);
	/* After missed bytes it may be the rest of a method. */
	if (line.method == HTTP_OTHER && (c->request_fragment || c->request_gap != GAP_NONE) &&
	    start_ns != c->quiet_ns)
		valid = false;
	if (!valid)
		feed->e->stats.malformed++;
	else if (request_add(feed, &line, start_ns, cut ? c->requests.start_other_end : slice->other_end))
		return 0;
	c->request_gap = GAP_LIKELY; /* it may be answered all the same */
	return -1;
}

static enum stream_body request_head_end(void *context, const struct http_fields *fields, bool cut,
					 uint64_t time_ns)
{
	struct feed *feed = context;

	(void)time_ns;
	if (feed->c->last)
		feed->c->last->head_complete = true;
	if (cut && feed->c->pipelines)
		feed->c->request_gap = GAP_LIKELY;
	if (cut)
		return STREAM_BODY_UNKNOWN;
	if (fields->chunked)
		return STREAM_BODY_CHUNKED;
	if (fields->transfer || fields->bad_length)
		return STREAM_BODY_UNKNOWN; /* the service answers 400 and closes (section 6.3) */
	return fields->has_length ? STREAM_BODY_LENGTH : STREAM_BODY_NONE;
}

static void request_end(void *context, uint64_t time_ns)
{
	(void)context;
	(void)time_ns;
}

/* Inside a body of unknown length bytes can look like a request: believe it once something was sent since the last
 * one. What is not believed may be answered all the same. */
static bool request_expected(void *context, const struct slice *slice, bool in_order)
{
	const struct feed *feed = context;
	const struct exchange *x = feed->c->last;

	if (in_order || !x || x->first_byte_ns || slice->other_end > x->answer_position)
		return true;
	feed->c->request_gap = GAP_LIKELY;
	return false;
}

static void request_resumed(void *context, uint64_t position, bool in_order)
{
	struct feed *feed = context;

	(void)position;
	if (!in_order && feed->c->requests.start_ns && feed->c->request_gap == GAP_NONE)
		feed->c->request_gap = GAP_MAYBE;
}

static void request_lost(void *context, uint64_t position, uint64_t len)
{
	struct feed *feed = context;

	(void)position;
	feed->e->stats.gaps++;
	if (len < REQUEST_MIN)
		feed->c->request_fragment = true;
	else
		feed->c->request_gap = GAP_LIKELY;
}

/* Upper-case letters and a space, as far as the bytes reach. */
static bool request_begins(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && i < 24; i++) {
		if (data[i] == ' ')
			return i >= 2;
		if ((data[i] < 'A' || data[i] > 'Z') && data[i] != '-' && data[i] != '_')
			return false;
	}
	return i < 24;
}

static const struct stream_owner requests_owner = {
	.start_line = request_start_line,
	.head_end = request_head_end,
	.message_end = request_end,
	.expects = request_expected,
	.resumed = request_resumed,
	.lost = request_lost,
	.begins = request_begins,
};

/* --- the stream of responses --- */

/* A response to a request whose head is not complete: 400, 408, 431. Its line is as far as it came. */
static struct exchange *request_from_part(struct feed *feed, const struct slice *slice,
					  uint64_t position)
{
	struct stream *s = &feed->c->requests;
	struct http_request_line line;
	struct exchange *x;

	if (!stream_has_partial_line(s) || s->start_other_end != position ||
	    feed->c->request_gap != GAP_NONE || slice->other_end > s->next)
		return NULL; /* its rest, or another request, was missed */
	http_request_line_cut(&line, s->line, s->line_len);
	x = request_add(feed, &line, s->start_ns, position);
	stream_pass_over(s, &feed->e->memory);
	return x;
}

static int response_start_line(void *context, const char *text, size_t len, bool cut,
			       const struct slice *slice, uint64_t position, uint64_t start_ns)
{
	struct feed *feed = context;
	struct connection *c = feed->c;
	struct http_status_line line;
	struct exchange *x;
	bool resumed;

	if (http_status_line(&line, text, cut && len > 12 ? 12 : len)) {
		feed->e->stats.malformed++;
		return -1;
	}
	resumed = c->response_resumed;
	c->response_resumed = false;
	/* All that was sent until here answers older requests: this answers one that was missed. */
	x = c->first;
	if (x && !resumed && x->gap != GAP_NONE &&
	    (x->gap == GAP_LIKELY || x->answer_position != position || !x->certain)) {
		if (x->answer_position <= position) { /* which was open when the first was read */
			c->pipelines = true;
			x->certain = false;
		}
		feed->e->stats.responses_lost++;
		return -1;
	}
	if (!c->first && !request_from_part(feed, slice, position)) {
		feed->e->stats.responses_lost++;
		if (c->requests.state != STREAM_LOST && slice->other_end > c->requests.next)
			feed->e->stats.gaps++; /* its request was read, but not seen */
		return -1; /* to a request read before the agent began, or lost and counted */
	}
	c->first->gap = GAP_NONE;
	c->informational = line.status < 200 && line.status != 101;
	if (!c->first->first_byte_ns)
		c->first->first_byte_ns = start_ns > c->first->start_ns ? start_ns : c->first->start_ns;
	if (!c->informational)
		c->first->status = line.status;
	return 0;
}

/* Section 6.3. */
static enum stream_body response_head_end(void *context, const struct http_fields *fields, bool cut,
					  uint64_t time_ns)
{
	struct feed *feed = context;
	struct connection *c = feed->c;
	struct exchange *x = c->first;

	if (!x)
		return STREAM_BODY_UNKNOWN;
	if (c->informational) {
		x->first_byte_ns = 0;
		if (!cut)
			x->answer_position = c->responses.next;
		return STREAM_BODY_NONE;
	}
	if (x->status == 101 || (x->method == HTTP_CONNECT && x->status / 100 == 2)) {
		finish_first(feed->e, c, time_ns, NULL);
		while (c->first)
			give_up_first(feed->e, c);
		stream_close(&c->requests, &feed->e->memory);
		return STREAM_BODY_OFF;
	}
	if (x->method == HTTP_HEAD || x->status == 204 || x->status == 304)
		return STREAM_BODY_NONE;
	if (cut)
		return STREAM_BODY_UNKNOWN;
	if (fields->chunked)
		return STREAM_BODY_CHUNKED;
	if (fields->transfer || !fields->has_length)
		return STREAM_BODY_CLOSE;
	return STREAM_BODY_LENGTH;
}

static void response_end(void *context, uint64_t time_ns)
{
	struct feed *feed = context;

	if (feed->c->first && !feed->c->informational)
		finish_first(feed->e, feed->c, time_ns, NULL);
	feed->c->informational = false;
}

/* The request that is answered from position on; NULL: none for certain. In GUESS the first of the queue is being
 * answered and is not meant; if its answer ended just before position, the next one's follows. */
static struct exchange *answered_at(const struct connection *c, uint64_t position, bool in_order)
{
	struct exchange *x = c->first;

	if (x && c->responses.state == STREAM_GUESS)
		x = x->next;
	if (x && in_order && x->gap == GAP_NONE)
		return x;
	while (x && (x->answer_position != position || !x->certain))
		x = x->next;
	return x;
}

static bool response_expected(void *context, const struct slice *slice, bool in_order)
{
	const struct feed *feed = context;

	return answered_at(feed->c, slice->begin, in_order) != NULL;
}

/* Requests before the one that is answered here will not be. */
static void response_resumed(void *context, uint64_t position, bool in_order)
{
	const struct feed *feed = context;
	struct connection *c = feed->c;
	const struct exchange *x = answered_at(c, position, in_order);

	while (c->first != x)
		give_up_first(feed->e, c);
	c->response_resumed = true;
}

static void response_lost(void *context, uint64_t position, uint64_t len)
{
	struct feed *feed = context;

	(void)position;
	(void)len;
	feed->e->stats.gaps++;
}

static bool response_begins(const uint8_t *data, size_t len)
{
	return !memcmp(data, "HTTP/1.", len < 7 ? len : 7);
}

static const struct stream_owner responses_owner = {
	.start_line = response_start_line,
	.head_end = response_head_end,
	.message_end = response_end,
	.expects = response_expected,
	.resumed = response_resumed,
	.lost = response_lost,
	.begins = response_begins,
};

/* --- connections --- */

/* The connection has ended: what is open ends now. A request that may have been answered by bytes which were missed
 * is given up. */
static void settle_end(struct exchanges *e, struct connection *c)
{
	struct feed feed = {.e = e, .c = c};
	bool missed = c->late_sent_end > c->sent_end;
	bool answering = stream_in_message(&c->responses) && c->first;
	bool followed = !missed && (answering || (c->responses.state == STREAM_HEAD &&
						  c->responses.next == c->sent_end));
	const char *error_type;

	if (c->end == END_RESET)
		error_type = "connection_reset";
	else
		error_type = c->peer_closed ? "aborted" : "no_response";
	if (!stream_finish(&c->responses, c->end == END_LOCAL && !missed, &responses_owner, &feed) &&
	    answering && missed)
		finish_first(e, c, c->responses.last_ns, NULL);
	while (c->first) {
		if (followed || c->first->answer_position == c->late_sent_end)
			finish_first(e, c, c->end_ns, error_type);
		else
			give_up_first(e, c);
	}
	stream_close(&c->requests, &e->memory);
	c->finished = true;
	c->end = END_NONE;
	connections_mark_settled(c);
	if (c->forget)
		connections_remove(&e->connections, c, &e->memory);
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
	bool requests = io->head.direction == (io->head.role == ROLE_SERVER ? DIRECTION_RECEIVED : DIRECTION_SENT);
	bool from_birth = io->head.flags & IO_FROM_BIRTH;

	if (c)
		return c;
	c = connections_add(&e->connections, io->cookie, &e->memory);
	if (!c)
		return NULL;
	c->role = io->head.role;
	c->is_unix = io->head.flags & IO_UNIX;
	if (c->is_unix)
		e->connections.unix_count++;
	else
		c->port = io->head.role == ROLE_SERVER ? io->local_port : io->peer_port;
	c->sent_end = io->head.direction == DIRECTION_SENT ? io->begin : io->other_end;
	stream_begin(&c->requests, requests ? io->begin : io->other_end, from_birth && requests && !io->begin);
	stream_begin(&c->responses, requests ? io->other_end : io->begin,
		     from_birth && !io->begin && (!requests || !io->other_end));
	if (!requests || (from_birth && io->begin))
		c->request_gap = GAP_LIKELY;
	return c;
}

void exchanges_io(struct exchanges *e, const struct record_io *io)
{
	struct connection *c = connection_for(e, io);
	struct feed feed = {.e = e, .c = c, .pid = io->head.pid};
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
		stream_feed(&c->requests, &slice, &requests_owner, &feed, &e->memory);
	} else {
		stream_feed(&c->responses, &slice, &responses_owner, &feed, &e->memory);
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
		connections_remove(&e->connections, c, &e->memory);
}

void exchanges_settle(struct exchanges *e, uint64_t now_ns)
{
	struct link_pair *list = &e->connections.unsettled, *item, *next;

	for (item = list->next; item != list; item = next) {
		struct connection *c = connection_of(item, unsettled);
		struct feed feed = {.e = e, .c = c};

		next = item->next;
		if (c->end != END_NONE) {
			if (now_ns > c->end_ns + EXCHANGE_LATE_NS)
				settle_end(e, c);
			continue;
		}
		stream_commit(&c->responses, &responses_owner, &feed);
		if (c->responses.state != STREAM_GUESS)
			connections_mark_settled(c);
	}
}

void exchanges_expire(struct exchanges *e, uint64_t now_ns)
{
	struct connection *c;

	while ((c = connections_oldest(&e->connections)) && c->active_ns + EXCHANGE_IDLE_NS < now_ns) {
		if (connection_is_idle(c))
			connections_remove(&e->connections, c, &e->memory);
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
	struct exchange_stats stats = e->stats;

	stats.connection_count = e->connections.pool.count;
	stats.connections_refused = e->connections.pool.refused;
	stats.connections_evicted = e->connections.evicted;
	stats.open_count = e->pool.count;
	stats.requests_refused = e->pool.refused;
	stats.lines_cut = e->memory.cut_count;
	return stats;
}

int exchanges_open(struct exchanges **out, const struct exchange_sink *sink)
{
	struct exchanges *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->sink = *sink;
	e->memory.limit_bytes = EXCHANGE_SPLIT_BYTES_MAX;
	pool_init(&e->pool, sizeof(struct exchange), EXCHANGE_OPEN_MAX);
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
	pool_close(&e->pool);
	free(e);
}
