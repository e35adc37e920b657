/* SPDX-License-Identifier: Apache-2.0 */
/* process_table - processes by pid, living ones and those that have just exited; 56 bytes each.
 *
 * A pool with a chained hash over it, both grown on demand up to a bound. Adding may move the pool:
 * pointers are valid until the next add. */
#ifndef BITTERN_PROCESS_TABLE_H
#define BITTERN_PROCESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "packed_facts.h"

struct service;
struct usage_ledger;

struct process {
	pid_t pid; /* 0: an unused place */
	pid_t parent; /* 0: not known */
	struct service *service;
	struct packed_facts *facts; /* NULL: not read (not wanted, or not yet) */
	struct usage_ledger
		*ledger; /* what it uses: service_usage.h; NULL: not wanted, or not read */
	uint64_t exited_ns; /* 0: it lives */
	uint32_t next; /* place of the next in its chain or in the list of unused places */
	uint32_t refused_epoch; /* the services were full then: not asked again until one goes */
	uint8_t runtime; /* enum runtime */
	bool wanted;
	bool seen; /* by the scan that is going on */
	/* Bound by what it is, not by what it did: a fork, a worker, a restarted one, a client.
	 * Asked again when it first serves. */
	bool assumed;
	uint8_t exit; /* once it has exited: enum service_exit, EXIT_UNKNOWN or EXIT_SETTLED */
	bool refused_client; /* refused_epoch is of a client: it may still serve */
};

_Static_assert(sizeof(struct process) <= 56, "65,536 of them are to take 3.5 MiB");

struct process_table {
	struct process *pool;
	uint32_t used_count; /* places ever used: the pool's head */
	uint32_t capacity;
	uint32_t unused; /* first of the unused places below used_count */
	uint32_t *buckets; /* places, by hash of the pid */
	uint32_t bucket_count;
	uint32_t count; /* processes */
	uint32_t max_count;
};

void process_table_init(struct process_table *table, uint32_t max_count);
struct process *process_table_find(const struct process_table *table, pid_t pid); /* or NULL */
/* A new process, zeroed but for its pid, which must not be in the table; NULL when that is full
 * or there is no memory. */
struct process *process_table_add(struct process_table *table, pid_t pid);
/* Drops its facts and its ledger too. Other pointers stay valid. */
void process_table_remove(struct process_table *table, struct process *process);
void process_table_free(struct process_table *table);

/* For each living or exited process, in no order; removing the current one is fine. */
#define process_table_for_each(process, table)                                           \
	for ((process) = (table)->pool;                                                  \
	     (process) && (process) != (table)->pool + (table)->used_count; (process)++) \
		if ((process)->pid)

#endif
