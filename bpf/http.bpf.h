/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* http - what of HTTP/1.x the kernel side has to know: how messages begin, and how much of them to
 * copy.
 *
 * Framing is user space's. What is copied of a call:
 *  - in the direction of requests: a call that begins with a request line, and what follows it
 * (more of the head, more of a pipelined batch) within a budget; the rest is body and only moves
 * the position;
 *  - in the direction of responses: a call that begins with "HTTP/1." and what follows it within a
 *    budget; of the rest, body, the first 16 and the last 8 bytes, for chunked framing. */
#ifndef BITTERN_HTTP_BPF_H
#define BITTERN_HTTP_BPF_H

#include "maps.bpf.h"

#define REQUEST_BUDGET 8192 /* of a request that may have a body */
#define BODILESS_BUDGET (64 * RECORD_DATA_MAX) /* of each call: batches, long heads */
#define RESPONSE_BUDGET 2048
#define BATCH_BUDGET 65536 /* of a call that may hold several responses */
#define FIRST_BYTES 16
#define BATCH_SCAN_MIN 512
#define BATCH_SCAN_MAX 1024
#define CRLFCRLF 0x0a0d0a0d /* both architectures are little-endian */

struct first_bytes {
	u8 bytes[FIRST_BYTES];
};

/* Whether a call's first bytes could begin a request line: upper-case letters, a space, and the
 * beginning of a target. Global functions like this one are walked by the verifier once, not at
 * each call. (Weak: several objects have them.) */
__weak __noinline int begins_request(const struct first_bytes *first, u32 len)
{
	u32 i, start = 0;
	const u8 *b;

	if (!first)
		return 0;
	b = first->bytes;
	if (len > 2 && b[0] == '\r' && b[1] == '\n')
		start = 2; /* RFC 9112 section 2.2: an empty line before the request line */
	for (i = start; i < FIRST_BYTES; i++) {
		if (i >= len)
			return i > start; /* all that was read: more may follow */
		if (b[i] == ' ')
			break;
		if ((b[i] < 'A' || b[i] > 'Z') && b[i] != '-' && b[i] != '_')
			return 0;
	}
	if (i < start + 2)
		return 0;
	if (i + 1 >= len || i >= FIRST_BYTES - 1)
		return 1;
	switch (b[i + 1]) {
	case '/':
	case 'h':
	case 'H':
		return 1;
	case '*': /* not "PRI * HTTP/2.0" */
		return b[start] != 'P' || b[start + 1] != 'R' || b[start + 2] != 'I';
	default:
		return b[start] == 'C' && b[start + 1] == 'O' && b[i + 1] != '{'; /* CONNECT */
	}
}

/* The usual case of begins_request(), without a call. */
static __always_inline bool is_get(const u8 *b, u32 len)
{
	return len > 4 && b[0] == 'G' && b[1] == 'E' && b[2] == 'T' && b[3] == ' ' && b[4] == '/';
}

static __always_inline bool begins_response(const u8 *b, u32 len)
{
	return len >= 7 && b[0] == 'H' && b[1] == 'T' && b[2] == 'T' && b[3] == 'P' &&
	       b[4] == '/' && b[5] == '1' && b[6] == '.';
}

/* Methods whose requests have no body in practice: GET, HEAD, DELETE, OPTIONS, TRACE. */
static __always_inline bool method_bodiless(const u8 *b)
{
	return b[0] == 'G' || b[0] == 'H' || b[0] == 'D' || b[0] == 'O' || b[0] == 'T';
}

struct scan_window {
	u8 bytes[BATCH_SCAN_MAX];
};

/* 1 if a head ends before the last of len bytes, so that another follows in the same call. */
__weak __noinline int holds_second_head(const struct scan_window *window, u32 len)
{
	u32 i;

	if (!window)
		return 0;
	for (i = 0; i < BATCH_SCAN_MAX - 4; i += 2) {
		if (i + 4 >= len)
			return 0;
		if (*(u16 *)(window->bytes + i) == 0x0d0a) /* "\n\r": inside "\r\n\r\n" */
			return 1;
		if (*(u32 *)(window->bytes + i) == CRLFCRLF)
			return 1;
	}
	return 0;
}

static __always_inline void request_begins(struct connection *c, const u8 *first)
{
	u8 flags = c->flags & ~(CONNECTION_BODILESS | CONNECTION_TUNNEL | CONNECTION_BATCH);

	if (flags & CONNECTION_AWAITING)
		flags |= CONNECTION_BATCH;
	if (method_bodiless(first))
		flags |= CONNECTION_BODILESS;
	if (first[0] == 'C' && first[1] == 'O')
		flags |= CONNECTION_TUNNEL;
	c->flags = flags | CONNECTION_AWAITING;
	c->request_left = REQUEST_BUDGET;
}

/* How much to copy of a call in the direction of requests: 0 when it is body. */
static __always_inline u32 request_want(struct connection *c, u32 len)
{
	u32 left = c->flags & CONNECTION_BODILESS ? BODILESS_BUDGET : c->request_left;
	u32 want = len < left ? len : left;

	c->request_left = left - want;
	return want;
}

/* After 101, or 2xx to CONNECT, the connection speaks something else. */
static __always_inline bool ends_http(const struct connection *c, const u8 *first, u32 len)
{
	if (!(c->flags & CONNECTION_AWAITING) || len < 12)
		return false;
	if (first[9] == '1' && first[10] == '0' && first[11] == '1')
		return true;
	return c->flags & CONNECTION_TUNNEL && first[9] == '2';
}

/* How much to copy of a call in the direction of responses, of which len bytes are at first. */
static __always_inline u32 response_want(struct connection *c, const u8 *first, u32 first_len,
					 u32 len, bool *ends)
{
	u32 want;

	if (begins_response(first, first_len)) {
		*ends = ends_http(c, first, first_len);
		c->response_left = c->flags & CONNECTION_BATCH ? BATCH_BUDGET : RESPONSE_BUDGET;
		if (first_len >= 10 && first[9] != '1')
			c->flags &= ~CONNECTION_AWAITING;
	}
	want = len < c->response_left ? len : c->response_left;
	c->response_left -= want;
	return want;
}

/* A head that ends with its call: what follows is body and not copied. */
static __always_inline void response_copied(struct connection *c, u32 last_bytes)
{
	if (last_bytes == CRLFCRLF && !(c->flags & CONNECTION_BATCH))
		c->response_left = 0;
}

static __always_inline bool is_request_direction(const struct connection *c, u8 direction)
{
	return direction == (c->role == ROLE_SERVER ? DIRECTION_RECEIVED : DIRECTION_SENT);
}

static __always_inline void dismiss(struct connection *c)
{
	c->role = ROLE_NONE;
	c->flags |= CONNECTION_DISMISSED;
}

#endif
