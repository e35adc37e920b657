/* SPDX-License-Identifier: Apache-2.0 */
/* exchange - pairs the requests of a connection with their responses.
 *
 * Each connection has two streams (stream.h) and a queue of requests that wait for their response
 * or are receiving it. The kernel's records come in the order of the ring, which is not always that
 * of time: request N+1 may come before response N, and a reset before the record of a send that
 * succeeded.
 *
 * After a loss pairing goes on only where it is certain: a response that begins at the position up
 * to which the service had sent when it read a request answers that request; older ones in the
 * queue are given up and counted. That does not hold for clients that pipeline, since an older
 * request may be open then: on their connections pairing goes on after EXCHANGE_QUIET_NS without a
 * record.
 *
 * Bounds: EXCHANGE_CONNECTIONS_MAX, EXCHANGE_OPEN_MAX. Objects come from pools that grow in blocks
 * and are kept. Loop thread only. */
#ifndef BITTERN_EXCHANGE_H
#define BITTERN_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/record.h"
#include "http.h"
#include "routes.h"

#define EXCHANGE_CONNECTIONS_MAX 65536
#define EXCHANGE_OPEN_MAX 65536
#define EXCHANGE_SPLIT_BYTES_MAX (4 << 20) /* of split head lines, all connections together */
#define EXCHANGE_IDLE_NS (60 * 1000000000ull) /* a connection without open request is forgotten */
#define EXCHANGE_QUIET_NS (1000 * 1000000ull)
#define EXCHANGE_LATE_NS (100 * 1000000ull) /* a close waits so long for a late record */

struct service;

/* Whether requests were missed. */
enum exchange_gap { GAP_NONE, GAP_MAYBE, GAP_LIKELY };

struct exchange {
	struct exchange *next; /* in its connection's queue */
	uint64_t start_ns; /* the service read the request's first byte */
	uint64_t first_byte_ns; /* it wrote the response's first byte; 0: not yet */
	uint64_t end_ns; /* it wrote the last, or whatever ended the request */
	uint64_t answer_position; /* how far it had sent when it read the request */
	struct service *service; /* set by sink.request; NULL: not wanted */
	const char *error_type; /* when done: what ended it without a status; NULL */
	uint32_t pid;
	uint16_t port; /* the service's; 0: unix socket */
	uint16_t status; /* 0: none */
	uint8_t method; /* enum http_method */
	uint8_t version; /* 10 or 11 */
	uint8_t role; /* enum role */
	bool head_complete;
	uint8_t gap; /* enum exchange_gap: before it */
	bool certain; /* what begins at answer_position is its answer */
	bool has_path; /* template is set */
	uint16_t template_len;
	char template[ROUTES_TEMPLATE_MAX]; /* set by sink.request */
};

struct exchange_sink {
	/* A request line was read; path (path_len 0: none) is valid during the call. Sets service
	 * and template. */
	void (*request)(void *context, struct exchange *exchange, const char *path,
			size_t path_len);
	/* The exchange has ended; it is gone after the call. */
	void (*done)(void *context, const struct exchange *exchange);
	void *context;
};

struct exchange_stats {
	size_t connection_count, open_count;
	uint64_t connections_refused; /* the table was full and nothing in it idle */
	uint64_t connections_evicted; /* idle ones, for want of room */
	uint64_t requests_refused; /* EXCHANGE_OPEN_MAX */
	uint64_t requests_lost; /* read, but their response was missed */
	uint64_t responses_lost; /* seen, but it could not be told what they answer */
	uint64_t gaps; /* missed bytes that may have held messages */
	uint64_t malformed; /* what stood where a start line should was none */
	uint64_t lines_cut; /* lines of heads longer than what is kept */
};

struct exchanges;

/* 0 and *out, to be closed; -ENOMEM. */
int exchanges_open(struct exchanges **out, const struct exchange_sink *sink);
void exchanges_io(struct exchanges *e, const struct record_io *io);
void exchanges_state(struct exchanges *e, const struct record_state *state);
/* Settles what only seems to have ended: likely ends of chunked responses are taken as ends, and
 * closes that wait for a late record for more than EXCHANGE_LATE_NS are final. Call before a
 * snapshot. */
void exchanges_settle(struct exchanges *e, uint64_t now_ns);
/* Forgets idle connections. Call every second or less often. */
void exchanges_expire(struct exchanges *e, uint64_t now_ns);

/* Unix sockets have no close event: when any are known, the caller lists the living ones in
 * between, and those that are missing have closed. */
size_t exchanges_unix_count(const struct exchanges *e);
void exchanges_unix_begin(struct exchanges *e);
void exchanges_unix_alive(struct exchanges *e, const struct connection_state *state);
void exchanges_unix_end(struct exchanges *e, uint64_t now_ns);

struct exchange_stats exchanges_stats(const struct exchanges *e);
void exchanges_close(struct exchanges *e); /* NULL is fine; reports nothing */

#endif
