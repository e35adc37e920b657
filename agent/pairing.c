// SPDX-License-Identifier: Apache-2.0
#include "pairing.h"

#include <ctype.h>
#include <string.h>

#include "connection.h"

#define REQUEST_MIN 18 /* bytes: "GET / HTTP/1.1" and two line ends */

static struct exchange *queue_pop(struct connection *c)
{
	struct exchange *x = c->first;

	c->first = x->next;
	if (!c->first)
		c->last = NULL;
	return x;
}

static void drop(struct pairing *p, struct exchange *x)
{
	deadlines_remove(&p->deadlines, &x->deadline);
	if (x->tid)
		p->sink.gone(p->sink.context, x);
	if (x->thread_open)
		--*x->thread_open;
	links_remove(&x->open);
	if (x->turn.next)
		links_remove(&x->turn);
	pool_give(&p->pool, x);
}

static void tell_done(struct pairing *p, struct connection *c, struct exchange *x,
		      const char *cut_short)
{
	x->cut_short = cut_short;
	if (x->service && (x->head_complete || x->status)) {
		p->sink.done(p->sink.context, x);
		connections_done(p->connections, c,
				 &(struct exchange_ended){x->service, x->route, x->end_ns,
							  (uint32_t)x->begin, x->tid});
	}
	drop(p, x);
}

void pairing_give_up_first(struct pairing *p, struct connection *c)
{
	drop(p, queue_pop(c));
	p->stats.requests_lost++;
}

static void hold(struct connection *c, struct exchange *x)
{
	struct exchange **last = &c->held;

	while (*last)
		last = &(*last)->next;
	x->next = NULL;
	*last = x;
}

/* The first of the queue has ended. A head that never became complete was no request, unless it was
 * answered. */
void pairing_finish_first(struct pairing *p, struct connection *c, uint64_t end_ns,
			  const char *cut_short)
{
	struct exchange *x = queue_pop(c);

	x->end_ns = end_ns > x->start_ns ? end_ns : x->start_ns;
	deadlines_remove(&p->deadlines, &x->deadline); /* its end tells, also if it is held */
	if (!cut_short && c->role == ROLE_SERVER && c->peer_closed && !c->is_unix) {
		/* Whether the client was gone, the reset tells that its host answers with. */
		if (c->end == END_RESET) {
			cut_short = "aborted";
		} else if (!c->forget) {
			hold(c, x);
			return;
		}
	}
	tell_done(p, c, x, cut_short);
}

void pairing_release_held(struct pairing *p, struct connection *c, uint64_t until_ns,
			  const char *cut_short)
{
	struct exchange *x;

	while ((x = c->held) && x->end_ns <= until_ns) {
		c->held = x->next;
		tell_done(p, c, x, cut_short);
	}
}

/* --- the stream of requests --- */

static struct exchange *request_add(struct feed *feed, const struct http_request_line *line,
				    uint64_t begin, uint64_t start_ns, uint64_t answer_position)
{
	struct pairing *p = feed->p;
	struct connection *c = feed->c;
	struct exchange *x = pool_take(&p->pool);

	if (!x)
		return NULL;
	links_add_last(&p->open, &x->open);
	x->begin = begin;
	x->start_ns = start_ns;
	x->arrival_ns = c->requests.start_arrival_ns < start_ns ? c->requests.start_arrival_ns
								: start_ns; /* two clocks */
	x->counted = c->unread_counted;
	c->unread_counted = false;
	x->answer_position = answer_position;
	x->pid = feed->pid;
	x->port = c->port;
	x->role = c->role;
	x->is_tls = c->is_tls;
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
	p->sink.request(p->sink.context, x, line->path, line->path_len);
	return x;
}

/* Requests may have been missed before the next one. */
static void gap_suspected(struct connection *c, enum exchange_gap gap)
{
	if (c->request_gap < gap)
		c->request_gap = gap;
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

	if (cut)
		valid = request_line_cut(&line, text, len);
	else
		valid = !http_request_line(&line, text, len);
	/* After missed bytes it may be the rest of a method. */
	if (line.method == HTTP_OTHER && (c->request_fragment || c->request_gap != GAP_NONE) &&
	    start_ns != c->quiet_ns)
		valid = false;
	if (!valid)
		feed->p->stats.malformed++;
	else if (request_add(feed, &line, position, start_ns,
			     cut ? c->requests.start_other_end : slice->other_end))
		return 0;
	c->request_gap = GAP_LIKELY; /* it may be answered all the same */
	return -1;
}

static void request_field(void *context, const char *line, size_t len)
{
	struct feed *feed = context;
	size_t host_len;
	const char *host;

	if (feed->c->role != ROLE_CLIENT || !feed->c->last || !feed->c->last->service)
		return;
	host = http_host_value(line, len, &host_len);
	if (host)
		feed->p->sink.host(feed->p->sink.context, feed->c->last, host, host_len);
}

static void request_begun(struct pairing *p, struct exchange *x)
{
	uint64_t from_ns = x->arrival_ns ? x->arrival_ns : x->start_ns;

	x->head_complete = true;
	if (x->service)
		p->sink.begun(p->sink.context, x);
	if (x->limit_ns && !x->counted && !x->streamed)
		deadlines_add(&p->deadlines, &x->deadline, from_ns + x->limit_ns);
}

static enum stream_body request_head_end(void *context, const struct http_fields *fields, bool cut,
					 uint64_t time_ns)
{
	struct feed *feed = context;
	struct exchange *x = feed->c->last;

	(void)time_ns;
	if (x && !x->head_complete)
		request_begun(feed->p, x);
	if (cut && feed->c->pipelines)
		gap_suspected(feed->c, GAP_MAYBE);
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

/* Inside a body of unknown length bytes can look like a request: believe it once something was sent
 * since the last one. What is not believed may be a request all the same, if the client pipelines.
 */
static bool request_expected(void *context, const struct slice *slice, bool in_order)
{
	const struct feed *feed = context;
	const struct exchange *x = feed->c->last;

	if (in_order || !x || x->first_byte_ns || slice->other_end > x->answer_position)
		return true;
	gap_suspected(feed->c, GAP_MAYBE);
	return false;
}

static void request_resumed(void *context, uint64_t position, bool in_order)
{
	struct feed *feed = context;

	(void)position;
	if (!in_order && feed->c->requests.start_ns)
		gap_suspected(feed->c, GAP_MAYBE);
}

static void request_lost(void *context, uint64_t position, uint64_t len)
{
	struct feed *feed = context;

	(void)position;
	feed->p->stats.gaps++;
	feed->c->unread_counted = false; /* it was read, and missed */
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

const struct stream_owner pairing_requests = {
	.start_line = request_start_line,
	.field = request_field,
	.head_end = request_head_end,
	.message_end = request_end,
	.expects = request_expected,
	.resumed = request_resumed,
	.lost = request_lost,
	.begins = request_begins,
};

/* --- the stream of responses --- */

/* A response to a request whose head is not complete: 400, 408, 431. Its line is as far as it came.
 */
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
	x = request_add(feed, &line, s->start_position, s->start_ns, position);
	stream_pass_over(s, &feed->p->memory);
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
		feed->p->stats.malformed++;
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
		feed->p->stats.responses_lost++;
		return -1;
	}
	if (!c->first && !request_from_part(feed, slice, position)) {
		feed->p->stats.responses_lost++;
		if (c->requests.state != STREAM_LOST && slice->other_end > c->requests.next)
			feed->p->stats.gaps++; /* its request was read, but not seen */
		return -1; /* to a request read before the agent began, or lost and counted */
	}
	c->first->gap = GAP_NONE;
	c->informational = line.status < 200 && line.status != 101;
	if (!c->first->first_byte_ns)
		c->first->first_byte_ns =
			start_ns > c->first->start_ns ? start_ns : c->first->start_ns;
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
		pairing_finish_first(feed->p, c, time_ns, NULL);
		while (c->first)
			pairing_give_up_first(feed->p, c);
		stream_close(&c->requests, &feed->p->memory);
		return STREAM_BODY_OFF;
	}
	if (x->method == HTTP_HEAD || x->status == 204 || x->status == 304)
		return STREAM_BODY_NONE;
	if (cut || fields->transfer || fields->chunked || !fields->has_length ||
	    fields->event_stream) {
		x->streamed = true;
		if (x->first_byte_ns <= x->deadline.at_ns) /* else it has passed, and is told */
			deadlines_remove(&feed->p->deadlines, &x->deadline);
	}
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
		pairing_finish_first(feed->p, feed->c, time_ns, NULL);
	feed->c->informational = false;
}

/* The request that is answered from position on; NULL: none for certain. In GUESS the first of the
 * queue is being answered and is not meant; if its answer ended just before position, the next
 * one's follows, unless more had been sent when that one was read. */
static struct exchange *answered_at(const struct connection *c, uint64_t position, bool in_order)
{
	struct exchange *x = c->first;

	if (x && c->responses.state == STREAM_GUESS)
		x = x->next;
	if (x && in_order && x->gap == GAP_NONE && x->answer_position <= position)
		return x;
	while (x && (x->answer_position != position || !x->certain))
		x = x->next;
	return x;
}

/* Inside a body of unknown length bytes can look like a response too. What is not believed may be
 * one all the same, if a request waits for it, known or missed. */
static bool response_expected(void *context, const struct slice *slice, bool in_order)
{
	const struct feed *feed = context;
	struct connection *c = feed->c;

	if (answered_at(c, slice->begin, in_order))
		return true;
	if ((c->first && c->first->next && c->first->next->answer_position <= slice->begin) ||
	    c->request_gap != GAP_NONE || slice->other_end > c->requests.next)
		c->responses.missed = true;
	return false;
}

/* Requests before the one that is answered here will not be. */
static void response_resumed(void *context, uint64_t position, bool in_order)
{
	const struct feed *feed = context;
	struct connection *c = feed->c;
	const struct exchange *x = answered_at(c, position, in_order);

	while (c->first != x)
		pairing_give_up_first(feed->p, c);
	c->response_resumed = true;
}

static void response_lost(void *context, uint64_t position, uint64_t len)
{
	struct feed *feed = context;

	(void)position;
	(void)len;
	feed->p->stats.gaps++;
}

/* A status line, as far as the bytes reach. */
static bool response_begins(const uint8_t *data, size_t len)
{
	static const char begin[] = "HTTP/1.1 200";
	size_t i;

	for (i = 0; i < len && i < sizeof(begin) - 1; i++) {
		if (begin[i] != data[i] && (i < 7 || begin[i] == ' ' || !isdigit(data[i])))
			return false;
	}
	return true;
}

const struct stream_owner pairing_responses = {
	.start_line = response_start_line,
	.head_end = response_head_end,
	.message_end = response_end,
	.expects = response_expected,
	.resumed = response_resumed,
	.lost = response_lost,
	.begins = response_begins,
};
