// SPDX-License-Identifier: Apache-2.0
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BODY_MAX 30000
#define WINDOW_MAX 8000 /* bytes of requests sent at once: the kernel side's budget */

static uint64_t random_state;

uint64_t random_next(void) /* splitmix64 */
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

size_t below(size_t n)
{
	return random_next() % n;
}

bool one_in(size_t n)
{
	return below(n) == 0;
}

static void add(struct bytes *b, const void *data, size_t len)
{
	while (b->len + len > b->capacity) {
		b->capacity = b->capacity ? b->capacity * 2 : 1024;
		b->data = realloc(b->data, b->capacity);
		assert_non_null(b->data);
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void add_text(struct bytes *b, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	add(b, text, strlen(text));
}

static const char *const hostile[] = {
	"0\r\n\r\n",
	"\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
	"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n",
	"\r\n\r\n",
	"POST /evil HTTP/1.1\r\n",
};

static void add_body(struct play *p, struct bytes *b, size_t len)
{
	size_t end = b->len + len;

	while (b->len < end) {
		const char *piece = "abcdefghijklmnopqrstuvwxyz\r\n";
		size_t n;

		if (p->hostile_bodies && one_in(3))
			piece = hostile[below(sizeof(hostile) / sizeof(hostile[0]))];
		n = strlen(piece);
		add(b, piece, n < end - b->len ? n : end - b->len);
	}
}

static size_t body_len(size_t max)
{
	size_t len = below(4) ? below(200) : below(BODY_MAX);

	return len < max ? len : max;
}

static void add_chunks(struct play *p, struct bytes *b, size_t len, bool trailer)
{
	while (len) {
		size_t n = 1 + below(one_in(3) ? 5000 : 60);

		n = n < len ? n : len;
		add_text(b, one_in(4) ? "%zX;ext=1\r\n" : "%zx\r\n", n);
		add_body(p, b, n);
		add_text(b, "\r\n");
		len -= n;
	}
	add_text(b, trailer ? "0\r\nX-Sum: 1\r\n\r\n" : "0\r\n\r\n");
}

/* --- messages --- */

static void make_request(struct play *p, struct message *m, size_t max)
{
	static const enum http_method methods[] = {HTTP_GET, HTTP_GET,    HTTP_HEAD,    HTTP_POST,
						   HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_PATCH};
	struct bytes *b = &m->request;
	bool has_body;

	m->method = methods[below(sizeof(methods) / sizeof(methods[0]))];
	has_body = m->method == HTTP_POST || m->method == HTTP_PUT || m->method == HTTP_PATCH;
	sprintf(m->path, "/m%zu", p->count);
	add_text(b, "%s %s%s HTTP/1.1\r\nHost: x\r\n", http_method_name(m->method), m->path,
		 one_in(3) ? "?q=1" : "");
	while (one_in(3))
		add_text(b, "X-Header-%zu: %0*d\r\n", below(100), (int)below(100) + 1, 0);
	if (has_body && one_in(3)) {
		size_t len = body_len(p->short_uploads && max > 2000 ? 2000 : max);

		m->long_upload = len > 2000;
		add_text(b, "Transfer-Encoding: chunked\r\n\r\n");
		add_chunks(p, b, len, one_in(4));
	} else if (has_body) {
		size_t len = body_len(max);

		add_text(b, "Content-Length: %zu\r\n\r\n", len);
		add_body(p, b, len);
	} else {
		add_text(b, "\r\n");
	}
}

static void make_response(struct play *p, struct message *m)
{
	struct bytes *b = &m->response;
	bool bodiless;
	size_t len = body_len(BODY_MAX);

	while (one_in(6))
		add_text(b, one_in(2) ? "HTTP/1.1 100 Continue\r\n\r\n"
				      : "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n");
	m->final_begin = b->len;
	m->status = one_in(8) ? 204 : one_in(8) ? 304 : 200 + below(400);
	bodiless = m->status == 204 || m->status == 304 || m->method == HTTP_HEAD;
	add_text(b, "HTTP/1.%d %u Reason\r\nServer: test\r\n", m->until_close ? 0 : 1, m->status);
	while (one_in(3))
		add_text(b, "X-Header-%zu: %0*d\r\n", below(100), (int)below(100) + 1, 0);
	if (bodiless) {
		add_text(b, one_in(2) ? "Content-Length: 77\r\n\r\n" : "\r\n");
		m->until_close = false;
	} else if (m->until_close) {
		add_text(b, "\r\n");
		add_body(p, b, len);
	} else if (one_in(2)) {
		add_text(b, "Content-Length: %zu\r\n\r\n", len);
		add_body(p, b, len);
	} else {
		add_text(b, "Transfer-Encoding: chunked\r\n\r\n");
		add_chunks(p, b, len, one_in(5) && len < 50);
	}
}

/* Ends of calls anywhere; now and then one for each byte. */
static void cut_anywhere(struct bytes *b, bool bytewise)
{
	size_t at = 0;

	b->cut_count = 0;
	if (bytewise && b->len < CALLS_MAX && one_in(10)) {
		while (at < b->len)
			b->cuts[b->cut_count++] = ++at;
		return;
	}
	while (b->cut_count < CALLS_MAX - 1 && one_in(2)) {
		at += 1 + below(one_in(2) ? 40 : 4000);
		if (at >= b->len)
			break;
		b->cuts[b->cut_count++] = at;
	}
	b->cuts[b->cut_count++] = b->len;
}

/* A service writes heads whole, or in calls small enough to be copied whole, and the end of its
 * chunks in one. */
static void cut_response(struct message *m, bool bytewise)
{
	struct bytes *b = &m->response;
	size_t i, kept = 0, head = 0, begin = 0;

	if (!b->cut_count)
		cut_anywhere(b, bytewise);
	head = (char *)memmem(b->data + m->final_begin, b->len - m->final_begin, "\r\n\r\n", 4) -
	       b->data + 4;
	for (i = 0; i + 1 < b->cut_count; i++) {
		bool short_call = b->cuts[i] < head && begin && b->cuts[i] - begin > 1000;

		if (b->cuts[i] + 16 <= b->len && !short_call)
			b->cuts[kept++] = begin = b->cuts[i];
	}
	/* the call that ends the head begins with it, or is short */
	while (kept && b->cuts[kept - 1] >= head)
		kept--;
	if (kept && (i < b->cut_count ? b->len : 0) - b->cuts[kept - 1] > 1000)
		kept = 0;
	for (i = 0; i + 1 < b->cut_count; i++) {
		if (b->cuts[i] >= head && b->cuts[i] + 16 <= b->len)
			b->cuts[kept++] = b->cuts[i];
	}
	b->cuts[kept++] = b->len;
	b->cut_count = kept;
}

static struct message *make_message(struct play *p, size_t max_request, bool until_close)
{
	struct message *m = &p->messages[p->count];

	assert_true(p->count < MESSAGES_MAX);
	memset(m, 0, sizeof(*m));
	m->until_close = until_close;
	make_request(p, m, max_request);
	make_response(p, m);
	cut_anywhere(&m->request, !p->lossy);
	cut_response(m, !p->lossy);
	p->count++;
	return m;
}

/* --- what is reported --- */

void play_on_request(void *context, struct exchange *x, const char *path, size_t path_len)
{
	(void)context;
	x->service = (struct service *)x;
	x->has_path = path_len > 0 && path_len < sizeof(x->template);
	if (x->has_path) {
		memcpy(x->template, path, path_len);
		x->template[path_len] = '\0';
	}
}

void play_describe(const struct play *p, const struct message *m, const char *what)
{
	print_error("case %u: %s: %s %s %u in %zu and %zu calls\n", p->seed, what,
		    http_method_name(m->method), m->path, m->status, m->request.cut_count,
		    m->response.cut_count);
}

static void check(struct play *p, const struct exchange *x, const struct message *m)
{
	if (x->status != m->status || x->method != m->method || x->cut_short ||
	    x->start_ns != m->start_ns || (x->has_path && strcmp(x->template, m->path))) {
		print_error("%s %s %u %s\n", http_method_name(x->method),
			    x->has_path ? x->template : "-", x->status,
			    x->cut_short ? x->cut_short : "");
		play_describe(p, m, "is the truth");
	}
	assert_int_equal(x->status, m->status);
	assert_int_equal(x->method, m->method);
	assert_null(x->cut_short);
	assert_int_equal(x->version, 11);
	assert_int_equal(x->start_ns, m->start_ns);
	if (x->has_path)
		assert_string_equal(x->template, m->path);
}

void play_on_done(void *context, struct exchange *x)
{
	struct play *p = context;
	struct message *m = NULL;
	size_t i;

	if (p->lossy) {
		for (i = 0; i < p->count && !m; i++) {
			struct message *candidate = &p->messages[i];

			if (x->has_path
				    ? !strcmp(candidate->path, x->template)
				    : candidate->start_ns == x->start_ns && !candidate->reported &&
					      candidate->status == x->status)
				m = candidate;
		}
		if (!m)
			print_error("case %u: there was no such exchange: %s %s %u\n", p->seed,
				    http_method_name(x->method), x->has_path ? x->template : "-",
				    x->status);
		assert_non_null(m);
		assert_false(m->reported);
		m->reported = true;
		check(p, x, m);
		return;
	}
	assert_true(p->done_count < p->count);
	m = &p->messages[p->done_count++];
	check(p, x, m);
	assert_true(x->has_path);
	assert_int_equal(x->first_byte_ns, m->first_byte_ns);
	m->reported = true;
	/* the end is known when its hook has run: compared later */
	m->end_ns = x->end_ns;
}

static bool loses(void *context, const struct record_io *io)
{
	struct play *p = context;

	(void)io;
	return p->losing && one_in(8);
}

/* --- calls --- */

/* The first byte's hook sets start_ns before the record is delivered, so the time is told
 * beforehand. */
static uint64_t next_time(const struct play *p)
{
	return p->wire.now_ns + p->wire.step_ns;
}

/* A server reads requests and writes responses, a client the other way round. */
static void move_request(struct play *p, const char *data, size_t len)
{
	if (p->wire.is_client)
		wire_send(&p->wire, data, len);
	else
		wire_receive(&p->wire, data, len);
}

static void move_response(struct play *p, const char *data, size_t len, bool begun)
{
	if (p->wire.is_client && !begun)
		wire_receive_begin(&p->wire, len);
	else if (!begun)
		wire_send_begin(&p->wire, len);
	if (p->wire.is_client)
		wire_receive_hook(&p->wire, data, len);
	else
		wire_send_hook(&p->wire, data, len);
}

static void receive_message(struct play *p, struct message *m)
{
	size_t i, at = 0;

	m->start_ns = next_time(p);
	for (i = 0; i < m->request.cut_count; at = m->request.cuts[i++])
		move_request(p, m->request.data + at, m->request.cuts[i] - at);
}

/* One call of a response; true: it was the last. */
static bool send_call(struct play *p, struct message *m, size_t i, bool begun)
{
	size_t begin = i ? m->response.cuts[i - 1] : 0, end = m->response.cuts[i];

	if (begin <= m->final_begin && end > m->final_begin)
		m->first_byte_ns = next_time(p);
	move_response(p, m->response.data + begin, end - begin, begun);
	return i + 1 == m->response.cut_count;
}

static uint64_t expected_end(struct play *p, const struct message *m)
{
	if (m->reported && !p->lossy)
		return m->end_ns;
	return p->wire.now_ns;
}

void play_alternating(struct play *p, size_t messages, bool close)
{
	struct message *late = NULL;
	size_t i, j;

	for (j = 0; j < messages; j++) {
		struct message *m =
			make_message(p, BODY_MAX, close && j + 1 == messages && one_in(3));

		receive_message(p, m);
		if (late) {
			send_call(p, late, late->response.cut_count - 1, true);
			assert_int_equal(expected_end(p, late), p->wire.now_ns);
			late = NULL;
		}
		for (i = 0; i + 1 < m->response.cut_count; i++)
			send_call(p, m, i, false);
		/* unix: nothing tells that a send is over but its hook */
		if (j + 1 < messages && one_in(3) && !(p->wire.is_unix && m->long_upload)) {
			size_t len = m->response.len - (i ? m->response.cuts[i - 1] : 0);

			late = m;
			if (p->wire.is_client)
				wire_receive_begin(&p->wire, len);
			else
				wire_send_begin(&p->wire, len);
			continue;
		}
		send_call(p, m, i, false);
		assert_int_equal(expected_end(p, m), p->wire.now_ns);
	}
}

void play_window(struct play *p, size_t messages)
{
	struct bytes window = {0};
	size_t ends[MESSAGES_MAX], first = p->count, received = 0, sent = 0, call = 0, at = 0, i,
				   next = 0;

	for (i = 0; i < messages; i++) {
		struct message *m = make_message(p, 300, false);

		if (window.len + m->request.len > WINDOW_MAX && i) {
			p->count--;
			free(m->request.data);
			free(m->response.data);
			messages = i;
			break;
		}
		add(&window, m->request.data, m->request.len);
		ends[i] = window.len;
	}
	cut_anywhere(&window, !p->lossy);
	while (sent < messages) {
		if (call < window.cut_count && (sent == received || one_in(2))) {
			size_t end = window.cuts[call++];

			for (; next < messages && (next ? ends[next - 1] : 0) < end; next++)
				p->messages[first + next].start_ns = next_time(p);
			move_request(p, window.data + at, end - at);
			at = end;
			while (received < messages && ends[received] <= at)
				received++;
		} else if (sent < received) {
			struct message *m = &p->messages[first + sent];

			for (i = 0; !send_call(p, m, i, false); i++)
				;
			assert_int_equal(expected_end(p, m), p->wire.now_ns);
			sent++;
		}
	}
	free(window.data);
}

void play_open(struct play *p, unsigned int seed, struct exchanges *e)
{
	memset(p, 0, sizeof(*p));
	random_state = seed * 0x2545f4914f6cdd1dull;
	p->seed = seed;
	p->exchanges = e;
	wire_open(&p->wire, e, seed);
	p->wire.loses = loses;
	p->wire.context = p;
	p->hostile_bodies = one_in(3);
	p->wire.is_client = one_in(3);
}

void play_finish(struct play *p)
{
	if (p->wire.is_client) /* which ends a body without length */
		wire_peer_fin(&p->wire);
	wire_finish(&p->wire);
}

void play_close(struct play *p)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		free(p->messages[i].request.data);
		free(p->messages[i].response.data);
	}
	wire_close(&p->wire);
}
