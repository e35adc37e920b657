/* SPDX-License-Identifier: Apache-2.0 */
/* account - from what happened to series: each exchange, connection failure and unread request goes
 * to the instruments of its service.
 *
 * A server's request gives: its queue time when its head is complete, its time to first byte if it
 * is streamed, its duration when it has ended, and its outcome (with the SLO's event) once, which
 * may be before that. A path takes its place among the routes by its status (routes.h) or, since
 * such a route is what one looks for, by a timeout or by having got no response.
 *
 * Borrows all that it is given. Loop thread only; some hash look-ups a request, no allocation but
 * for new series. */
#ifndef BITTERN_ACCOUNT_H
#define BITTERN_ACCOUNT_H

#include "../bpf/record.h"
#include "aggregate.h"
#include "charges.h"
#include "exchange.h"
#include "limits.h"
#include "services.h"

struct account {
	struct services *services;
	struct aggregate *aggregate;
	struct limits *limits;
	struct charges *charges; /* NULL: costs are not wanted */
};

/* What exchanges report goes to the account. */
struct exchange_sink account_sink(struct account *account);
/* library_is_seen: its process has a TLS library with probes. */
void account_undecoded(struct account *account, const struct record_undecoded *record,
		       bool library_is_seen);
void account_connect_failed(struct account *account, const struct record_connect_failed *record);
/* Before a listing of connections: nothing is unread. */
void account_list_begin(struct account *account);
/* What is in flight now, and what is charged to nobody. After a listing and
 * services_read_usage(), before a snapshot. */
void account_in_flight(struct account *account, struct exchanges *exchanges, uint64_t now_ns);

#endif
