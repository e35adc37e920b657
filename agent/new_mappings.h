/* SPDX-License-Identifier: Apache-2.0 */
/* new_mappings - tells at once when a process maps a file that can be executed: a program that is
 * started, a library that is loaded late, whatever the loader.
 *
 * Perf events of the kernel tell of all processes of the host (CAP_PERFMON): some 1 us for each
 * mapping, on the CPU that makes it. So as not to be woken for each, the file descriptor rests for
 * NEW_MAPPINGS_REST_MS after it was readable. Threads begin and end in the same records, and are
 * skipped. 20 KB a CPU. CPUs that come online later are not watched. Loop thread only. */
#ifndef BITTERN_NEW_MAPPINGS_H
#define BITTERN_NEW_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NEW_MAPPINGS_REST_MS 10

struct new_mapping {
	pid_t pid;
	uint64_t begin, end; /* addresses */
	uint32_t major, minor; /* of the file's device */
	uint64_t inode;
	const char *path; /* as the process sees it; valid during the call */
};

struct new_mappings;

/* 0 and *out, to be closed; -errno. */
int new_mappings_open(struct new_mappings **out);
/* Readable when new_mappings_take() has something to do. */
int new_mappings_fd(const struct new_mappings *m);
/* Gives all there are, of one CPU after the other. false: some were lost, or may have been. */
bool new_mappings_take(struct new_mappings *m,
		       void (*mapped)(void *context, const struct new_mapping *mapping),
		       void *context);
/* The same of all that a process has already, from proc_path/PID/maps: 1 ms for 700 mappings. None
 * if it has gone. */
void new_mappings_read(const char *proc_path, pid_t pid,
		       void (*mapped)(void *context, const struct new_mapping *mapping),
		       void *context);
void new_mappings_close(struct new_mappings *m); /* NULL is fine */

#endif
