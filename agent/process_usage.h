/* SPDX-License-Identifier: Apache-2.0 */
/* process_usage - what one process has used and holds: CPU time, context switches and page faults
 * since it began; memory, threads and descriptors now. From /proc, or from a record of its end.
 *
 * /proc tells CPU time in clock ticks (10 ms), user and system time each rounded down; their sum is
 * taken from the process's CPU clock, to the nanosecond. Context switches it tells for each thread:
 * those of threads that have ended are only in records. Memory is that of statm, as ps and psutil
 * show it. No state; 5 to 10 us a file: stat, statm, the size of fd/, and status of each thread.
 *
 * What cannot be read (not allowed, not understood, too many threads) is left out, never 0. */
#ifndef BITTERN_PROCESS_USAGE_H
#define BITTERN_PROCESS_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_USAGE_THREADS_MAX 256 /* of more threads the switches are not read */

enum usage_counter {
	USAGE_CPU_USER_NS,
	USAGE_CPU_SYSTEM_NS,
	USAGE_SWITCHES_VOLUNTARY,
	USAGE_SWITCHES_INVOLUNTARY,
	USAGE_FAULTS_MINOR,
	USAGE_FAULTS_MAJOR,
	USAGE_COUNTERS
};

enum usage_gauge {
	USAGE_RESIDENT_BYTES,
	USAGE_VIRTUAL_BYTES,
	USAGE_THREADS,
	USAGE_DESCRIPTORS,
	USAGE_GAUGES
};

struct usage {
	uint64_t counters[USAGE_COUNTERS];
	uint64_t gauges[USAGE_GAUGES];
	bool has_counter[USAGE_COUNTERS], has_gauge[USAGE_GAUGES]; /* false: not known */
};

struct record_usage;

struct usage_source {
	const char *proc_path; /* the caller's */
	bool size_is_count; /* of fd/ (Linux 6.2 and later); else its entries are counted */
	bool has_clocks; /* it is this system's own /proc: its processes have clocks */
};

void process_usage_open(struct usage_source *source, const char *proc_path);

struct usage_reading {
	struct usage usage;
	uint64_t begin_ticks; /* when the process began: another has another */
	size_t file_count; /* read, or tried: the cost */
	size_t refused_count; /* of these, that could not be read or understood */
};

/* 0; -ESRCH when the process is gone or a zombie, and then only file_count is set. */
int process_usage_read(struct usage_reading *out, const struct usage_source *source, pid_t pid);
/* Counters only. User and system time as /proc would show them, but to the nanosecond (the kernel's
 * cputime_adjust()). */
void process_usage_of_record(struct usage *out, const struct record_usage *record);

#endif
