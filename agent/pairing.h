/* SPDX-License-Identifier: Apache-2.0 */
/* pairing - which response answers which request of a connection.
 *
 * The owners of a connection's two streams: what they are told of start lines, heads and ends
 * becomes exchanges in the connection's queue. Responses answer requests in order; after a loss a
 * response is paired only where it is certain (see exchange.h). */
#ifndef BITTERN_PAIRING_H
#define BITTERN_PAIRING_H

#include "exchange.h"
#include "pool.h"
#include "stream.h"

struct connection;
struct connections;

struct pairing {
	struct exchange_sink sink;
	struct connections *connections; /* borrowed */
	struct pool pool; /* of struct exchange */
	struct link_pair open;
	struct deadlines deadlines;
	struct stream_memory memory;
	struct exchange_stats stats;
};

/* What the owners need as their context: the connection that is fed and the process that made the
 * call. */
struct feed {
	struct pairing *p;
	struct connection *c;
	uint32_t pid;
};

extern const struct stream_owner pairing_requests, pairing_responses;

/* The first of the queue has ended. A head that never became complete was no request, unless it was
 * answered. */
void pairing_finish_first(struct pairing *p, struct connection *c, uint64_t end_ns,
			  const char *cut_short);
/* What was answered behind the client's FIN, up to until_ns, is done. */
void pairing_release_held(struct pairing *p, struct connection *c, uint64_t until_ns,
			  const char *cut_short);
/* The first of the queue was read, but its answer was missed: counted, not reported. */
void pairing_give_up_first(struct pairing *p, struct connection *c);

#endif
