/* SPDX-License-Identifier: Apache-2.0 */
/* service_usage - what the processes of each service have used and hold, summed.
 *
 * A process has a ledger from when it is first seen: what it used before is not its service's. What
 * it used since enters the sums of the service it is bound to, once: as soon as it is bound, after
 * each reading, and after its end by a record. So the sums of a service never go back when its
 * processes come and go. What a process holds (memory, threads, descriptors) is of its last
 * reading; a service has no sum while one of its processes does not let itself be read.
 *
 * Loop thread only. Some 300 bytes a process. */
#ifndef BITTERN_SERVICE_USAGE_H
#define BITTERN_SERVICE_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include "process_table.h"
#include "process_usage.h"

/* A reading is as good as a new one for so long. */
#define SERVICE_USAGE_KEEP_NS (1000 * 1000000ull)

struct service_table;
struct service_process;

/* What a process has, and from where it counts. */
struct usage_ledger {
	struct usage now; /* as read last; counters also by a record of its end */
	uint64_t begin[USAGE_COUNTERS]; /* when it was first seen ... */
	uint64_t begin_ns; /* ... which was then */
	uint64_t entered[USAGE_COUNTERS]; /* up to this they are in its service's sums */
	uint64_t read_ns; /* 0: never */
	uint64_t begin_ticks; /* 0: not known */
};

struct usage_reader {
	struct usage_source source;
	uint32_t cursor; /* place in the process table where the next reading begins */
	uint64_t refused_count; /* files that could not be read */
	size_t waiting_count; /* processes left over for want of time by the last call */
};

/* A process is first seen: reads what it has used so far; without memory or /proc it has none of
 * that, and will not. */
void service_usage_begin(struct usage_reader *reader, struct process *process, uint64_t now_ns);
/* The same of a new process, which has used nothing. */
void service_usage_begin_new(struct process *process, uint64_t now_ns);
/* The same of one that had used that much when it became another program. */
void service_usage_begin_at(struct process *process, const struct usage *used, uint64_t now_ns);
/* A record tells what it has used by now. */
void service_usage_add(struct process *process, const struct usage *used);
/* Enters what is known into its service's sums. To be called when it is bound. */
void service_usage_enter(struct process *process);
/* Reads the living processes that are bound and were not read within SERVICE_USAGE_KEEP_NS, those
 * first that waited longest, and sums up what they hold. After about file_max files (5 to 10 us
 * each) the rest waits for the next call. */
void service_usage_read(struct usage_reader *reader, const struct process_table *processes,
			const struct service_table *services, size_t file_max, uint64_t now_ns);
/* services_list_processes() */
size_t service_usage_list(const struct process_table *processes, struct service_process *out,
			  size_t max);

#endif
