/* SPDX-License-Identifier: Apache-2.0 */
/* connection - the table of connections with HTTP, by socket cookie.
 *
 * Two lists run through it: all of them by their last activity, oldest first, and those that wait
 * for something to be settled. When the table is full the oldest idle connection makes room: if it
 * comes back it is picked up at its next request. Requests that are done are known for a while when
 * the connection has gone, or another thread has read the next one: the thread that answered tells
 * only later what it used after that. */
#ifndef BITTERN_CONNECTION_H
#define BITTERN_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"
#include "links.h"
#include "pool.h"
#include "stream.h"

enum connection_end { END_NONE, END_LOCAL, END_RESET };

struct connection {
	struct link_pair by_activity, unsettled; /* unsettled.next NULL: not in that list */
	struct connection *hash_next;
	uint64_t cookie;
	uint64_t active_ns;
	uint64_t quiet_ns; /* the record that came at this time was the first for EXCHANGE_QUIET_NS
			    */
	uint64_t response_end; /* as far as records of the direction of responses were seen */
	uint64_t late_response_end; /* END_*: one up to here is still to be reported */
	uint64_t listed_response_end; /* as the kernel said at the current listing */
	uint64_t end_ns; /* when END_* happened */
	struct stream requests, responses;
	struct exchange *first, *last; /* requests in order of arrival; first is being answered */
	/* Answered after the client's FIN, oldest first: a reset that follows tells that the client
	 * was gone. */
	struct exchange *held;
	struct exchange_ended ended;
	uint32_t pid; /* who read or wrote last */
	uint16_t port;
	uint8_t role;
	uint8_t end; /* enum connection_end: seen, not settled */
	bool is_unix, alive; /* alive: seen by the current listing */
	bool is_tls; /* plaintext of a TLS session */
	bool peer_closed;
	bool informational; /* the response under way is 1xx */
	bool pipelines; /* has sent a request before the last was answered */
	uint8_t request_gap; /* enum exchange_gap: before the next request */
	bool request_fragment; /* a few bytes were missed: too few for a request */
	bool response_resumed; /* the response that begins was found again after a loss */
	/* Unix sockets: a request waits unread since then, as a listing told; 0: none. */
	uint64_t unread_since_ns;
	bool unread_counted; /* the request that waits unread has been counted */
	bool finished; /* nothing more can come; waits for TCP_CLOSE */
	bool forget; /* closed: to be removed once settled */
};

#define CONNECTIONS_DONE 4096 /* a power of two; a later one may take the place of another */

struct connection_done {
	uint64_t cookie;
	struct exchange_ended ended;
};

struct connections {
	struct pool pool;
	struct connection_done *done; /* of CONNECTIONS_DONE, by cookie and begin */
	struct connection **buckets;
	size_t bucket_count; /* a power of two */
	struct link_pair by_activity, unsettled;
	size_t unix_count;
	uint64_t evicted;
};

int connections_open(struct connections *t, size_t max_count); /* 0, -ENOMEM */
struct connection *connections_find(const struct connections *t, uint64_t cookie);
/* NULL when the table is full of connections that are not idle. */
struct connection *connections_add(struct connections *t, uint64_t cookie,
				   struct stream_memory *memory);
/* Its queue must be empty. */
void connections_remove(struct connections *t, struct connection *c, struct stream_memory *memory);
/* A request of the connection is done. */
void connections_done(struct connections *t, struct connection *c,
		      const struct exchange_ended *ended);
/* The request of a server's connection that began there, if it is done; NULL: not known. */
const struct exchange_ended *connections_ended(const struct connections *t, uint64_t cookie,
					       uint32_t begin);
void connections_forget_service(struct connections *t, const struct service *service);
void connections_touch(struct connections *t, struct connection *c, uint64_t now_ns);
void connections_mark_unsettled(struct connections *t, struct connection *c);
void connections_mark_settled(struct connection *c);
/* The connection longest without activity; NULL when there is none. */
struct connection *connections_oldest(const struct connections *t);
void connections_close(struct connections *t);

bool connection_is_idle(const struct connection *c);

#define connection_of(link, member) \
	((struct connection *)((char *)(link)-offsetof(struct connection, member)))

#endif
