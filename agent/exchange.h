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
 * A server's request has a limit: sink.timed_out() tells when it has passed. What waits unread, and
 * what records could not tell since some were lost, the caller finds out by listing the kernel's
 * connections from time to time.
 *
 * Bounds: EXCHANGE_CONNECTIONS_MAX, EXCHANGE_OPEN_MAX. Objects come from pools that grow in blocks
 * and are kept. Loop thread only. */
#ifndef BITTERN_EXCHANGE_H
#define BITTERN_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/record.h"
#include "costs.h"
#include "deadlines.h"
#include "http.h"
#include "links.h"
#include "routes.h"

#define EXCHANGE_CONNECTIONS_MAX 65536
#define EXCHANGE_OPEN_MAX 65536
#define EXCHANGE_SPLIT_BYTES_MAX (4 << 20) /* of split head lines, all connections together */
#define EXCHANGE_IDLE_NS (60 * 1000000000ull) /* a connection without open request is forgotten */
#define EXCHANGE_QUIET_NS (1000 * 1000000ull)
#define EXCHANGE_LATE_NS (100 * 1000000ull) /* a close waits so long for a late record */
#define EXCHANGE_HELD_NS (1000 * 1000000ull) /* an answer behind a FIN so long for a reset */
/* A client that closes after so long without a byte has timed out; sooner, it has aborted. */
#define EXCHANGE_CLIENT_TIMEOUT_NS (100 * 1000000ull)

struct pool_request;
struct service;

/* What a thread did for a request. */
enum exchange_work {
	WORKED_FOR, /* that, for certain */
	WORKED_BEFORE, /* it waited, and then read it */
	WORKED_UNTIL_WAIT, /* it worked for it, and came to a wait, or to another request */
	WORKED_BETWEEN, /* it went from one wait to another, and then came to answer it */
	WORKED_UNTIL_ANSWER, /* it came, perhaps from a wait, to answer it */
	/* It went from one wait to another, on the average for so long, while no request that it
	 * had read was open, and then read it: no request's. */
	WORKED_ALONE,
};

/* Whether requests were missed. */
enum exchange_gap { GAP_NONE, GAP_MAYBE, GAP_LIKELY };

struct exchange {
	struct exchange *next; /* in its connection's queue */
	struct link_pair open; /* among all that are open */
	struct link_pair turn; /* among those that its thread has read, and not begun: work.h */
	struct deadline deadline;
	/* Role SERVER: the service read the request's first byte, wrote the response's first and
	 * last one. Role CLIENT: the process wrote the former and read the latter. */
	uint64_t start_ns;
	uint64_t first_byte_ns; /* 0: not yet */
	uint64_t end_ns; /* or whatever ended the request */
	uint64_t arrival_ns; /* its first byte reached the host; 0: not known */
	uint64_t limit_ns; /* set by sink.request: how long it may take from arrival; 0: no limit */
	uint64_t answer_position; /* how far it had sent when it read the request */
	struct service *service; /* set by sink.request; NULL: not wanted */
	const char *address; /* set by sink.host: server.address; NULL: not known */
	/* When done: what cut it short: "aborted", "no_response", "connection_reset", "timeout" (a
	 * client's own); NULL: nothing. */
	const char *cut_short;
	uint64_t begin; /* stream position of its first byte */
	struct costs costs; /* of role SERVER: what it is known to have used; set by sink.worked */
	/* The sink's: of these what may be another's; of both what is in a series; its place among
	 * those that pool jobs may be for. */
	uint64_t split_ns;
	struct costs entered;
	uint64_t entered_split_ns;
	struct pool_request *pool;
	struct costs ahead; /* of these, what was charged by a listing, and no record has told */
	struct costs listed; /* at the listing list_id */
	uint32_t list_id;
	uint32_t class_id; /* set by sink.request: of its route as far as it is known then */
	const struct route *route; /* set by sink.done: where its costs went */
	uint32_t pid;
	uint32_t tid; /* the thread that read it; 0: not known */
	uint32_t *thread_open; /* how many that it has read are open; NULL: not known */
	uint16_t port; /* the service's; 0: unix socket */
	uint16_t status; /* 0: none */
	uint8_t method; /* enum http_method */
	uint8_t version; /* 10 or 11 */
	uint8_t role; /* enum role */
	bool is_tls;
	bool head_complete;
	bool streamed; /* its response has no Content-Length: the limit ends at the first byte */
	bool first_byte_told;
	bool counted; /* its outcome is known: it timed out, here or before it was read */
	uint8_t gap; /* enum exchange_gap: before it */
	bool begun; /* its loop has begun to work for it */
	bool deferred; /* set by sink.request: its loop reads first and works then: work.h */
	bool certain; /* what begins at answer_position is its answer */
	bool has_path; /* template is set */
	uint16_t template_len;
	char template[ROUTES_TEMPLATE_MAX]; /* set by sink.request */
};

/* The last request of a connection that is done. */
struct exchange_ended {
	struct service *service; /* NULL: there is none */
	const struct route *route;
	uint64_t end_ns;
	uint32_t begin; /* stream position, the low bits */
	uint32_t tid; /* the thread that read it; 0: not known */
};

/* A request of which nothing is known but that it is there. */
struct exchange_unread {
	uint64_t arrival_ns;
	uint64_t seen_ns; /* now, as far as it is known */
	uint32_t pid; /* who listens, or read last; 0: not known */
	uint16_t port; /* 0: unix socket */
};

struct exchange_sink {
	/* A request line was read; path (path_len 0: none) is valid during the call. Sets service
	 * and template. */
	void (*request)(void *context, struct exchange *exchange, const char *path,
			size_t path_len);
	/* A client's request: its Host. May set address. */
	void (*host)(void *context, struct exchange *exchange, const char *host, size_t host_len);
	/* Its head is complete: it is in flight. Not told of one that is answered before. */
	void (*begun)(void *context, struct exchange *exchange);
	/* The first byte of a streamed response was sent, and more is to come. */
	void (*first_byte)(void *context, const struct exchange *exchange);
	/* Its limit has passed; sets exchange->counted. */
	void (*timed_out)(void *context, struct exchange *exchange);
	/* The exchange has ended; it is gone after the call. Sets route. */
	void (*done)(void *context, struct exchange *exchange);
	/* Its tid is known. */
	void (*read)(void *context, struct exchange *exchange);
	/* It goes, done or not; only if read() was told. */
	void (*gone)(void *context, struct exchange *exchange);
	/* A thread has worked for the server's request. Adds to costs what it believes. */
	void (*worked)(void *context, struct exchange *exchange, enum exchange_work how,
		       const struct costs *costs);
	/* The same for several, one after the other: it was theirs together. */
	void (*worked_turn)(void *context, struct exchange *const *list, size_t count,
			    const struct costs *costs);
	/* Whether so much is more than to read a request like this one costs. */
	bool (*begun_turn)(void *context, const struct exchange *exchange, uint64_t cpu_ns);
	/* A thread worked on after the request that it was for was done; certain: it did. */
	void (*worked_after)(void *context, const struct exchange_ended *ended, bool certain,
			     const struct costs *costs);
	/* A listing found a request that waits unread. True: longer than its limit. */
	bool (*unread)(void *context, const struct exchange_unread *unread);
	/* It is counted now, once: its limit has passed, or (died) it will never be read. */
	void (*unread_ended)(void *context, const struct exchange_unread *unread, bool died);
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
void exchanges_work(struct exchanges *e, const struct work *work);
/* A pool's thread did this for the request that its loop worked for when it gave it the job. */
void exchanges_job(struct exchanges *e, const struct work *work);
/* The owner, if it is done; NULL: that is not known. */
const struct exchange_ended *exchanges_ended(const struct exchanges *e, const struct work *work);
void exchanges_state(struct exchanges *e, const struct record_state *state);
/* A TLS session has ended: one that no socket tells of, or one that its client gave up. */
void exchanges_session_end(struct exchanges *e, const struct record_tls *end);
/* Tells of limits that have passed: those before now_ns whose end may be among records that are
 * not drained are not passed yet. */
void exchanges_check_limits(struct exchanges *e, uint64_t now_ns);
/* Each request that is open and whose head is complete. */
void exchanges_each_open(struct exchanges *e,
			 void (*open)(void *context, struct exchange *exchange), void *context);
/* Each that there is, also those that have ended and are held back, or are nobody's. */
void exchanges_each(struct exchanges *e, void (*each)(void *context, struct exchange *exchange),
		    void *context);
/* A listing of the threads that are at work: what they have used so far is charged. */
void exchanges_list_work_begin(struct exchanges *e);
void exchanges_list_work(struct exchanges *e, const struct thread_state *state);
/* The service goes: requests that are still open are not its own any more. */
void exchanges_forget_service(struct exchanges *e, const struct service *service);
/* Settles what only seems to have ended: likely ends of chunked responses are taken as ends, and
 * closes that wait for a late record for more than EXCHANGE_LATE_NS are final. Call before a
 * snapshot. */
void exchanges_settle(struct exchanges *e, uint64_t now_ns);
/* Forgets idle connections. Call every second or less often. */
void exchanges_expire(struct exchanges *e, uint64_t now_ns);

/* A listing of the kernel's connections: begin, exchanges_listed() for each, then draining the
 * ring, then end. It finds requests that wait unread, unix sockets that have closed, for which
 * there is no hook, and, if all are listed, requests whose end was in a lost record. */
void exchanges_list_begin(struct exchanges *e, uint64_t now_ns);
void exchanges_listed(struct exchanges *e, const struct connection_state *state);
void exchanges_list_end(struct exchanges *e, bool all);

struct exchange_stats exchanges_stats(const struct exchanges *e);
void exchanges_close(struct exchanges *e); /* NULL is fine; reports nothing */

#endif
