/* SPDX-License-Identifier: Apache-2.0 */
/* service_table - the services there are, and which of them a name means.
 *
 * A name that somebody chose is one service. A name that was only guessed (a folder, a package,
 * a unit) can be that of several programs: these are told apart by their ports, and those that
 * never served by what they run. Owns its services,
 * their routes and addresses. Loop thread only. */
#ifndef BITTERN_SERVICE_TABLE_H
#define BITTERN_SERVICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packed_facts.h"
#include "service_name.h"
#include "services.h"

struct service_table {
	struct service_entry **entries; /* in order of creation */
	size_t count, capacity, max_count;
	size_t max_clients; /* of max_count, those that never served */
	uint32_t next_id;
	const char *host_id;
	const struct route_patterns *patterns;
	size_t max_routes;
	const struct service_match *matches;
	size_t match_count;
};

struct service_request {
	const struct service_identity *identity;
	const struct process_facts *facts; /* of the process that asks */
	uint64_t now_ns;
	uint16_t port;
	bool client; /* it makes requests: its port, should it have one, is not known */
	struct service *previous; /* what it was taken for so far, or NULL */
	/* Whether the process belongs to the family of one that is bound to service. */
	bool (*related)(void *context, const struct service *service);
	void *context;
};

/* The service of a process that is bound to none, at least not now: one that is there, or a new
 * one. NULL when the table is full or there is no memory. May rename another, which then shares
 * the name, but one that serves only for another that does. The port is added. process_count is
 * the caller's affair. */
struct service *service_table_get(struct service_table *table,
				  const struct service_request *request);
/* What serves on port: likely (may be NULL) if it does, else the only one that does; NULL: none, or
 * several. */
struct service *service_table_serving(const struct service_table *table, uint16_t port,
				      struct service *likely);
/* Of one that has served. */
void service_table_add_port(struct service *service, uint16_t port);
/* Remembers what the service is started as (shares the facts; NULL is fine). */
void service_table_set_command(struct service *service, struct packed_facts *facts);
/* The service that a process with these facts can only be, before it has done anything: it was
 * started as the same command in the same folder, and either its name was chosen or it has gone
 * and no other like it has. NULL otherwise. */
struct service *service_table_restarted(const struct service_table *table,
					const struct process_facts *facts,
					struct process_facts *scratch);
/* NULL for the first; NULL at the end. */
struct service *service_table_next(const struct service_table *table,
				   const struct service *previous);
void service_table_remove(struct service_table *table, struct service *service);
void service_table_free(struct service_table *table);

#endif
