/* SPDX-License-Identifier: Apache-2.0 */
/* tls_libraries - which files with TLS wanted processes map, and probes on them.
 *
 * A file is found by its mapping, not by its path: the inode that a process runs is the one that
 * gets the probes, in whatever mount namespace, also when another file has taken its name since. It
 * gets them once, for all processes: those that map it later have them from their first
 * instruction. It loses them TLS_IDLE_NS after the last wanted process has gone.
 *
 * A library that is loaded late is told at once (new_mappings.h); /proc/PID/maps is read once for
 * each process, 1 ms for 700 mappings, and again when such news were lost; some in each run.
 *
 * With a process's wanting come the groups of probes that it asks for (all at first). A probe of
 * TLS_GROUP_BASE is on a file while any of its processes asks for it. One of another group hits,
 * where the kernel can tell processes apart, only those that ask for it, if they are TLS_OWN_MAX at
 * most: what an idle process may need some day costs the others nothing.
 *
 * A file that should have places for probes and has none, or where the kernel refuses them, is told
 * in one line, and counted. Loop thread only. */
#ifndef BITTERN_TLS_LIBRARIES_H
#define BITTERN_TLS_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tls_places.h"

#define TLS_PROCESSES_MAX 16384
#define TLS_FILES_MAX 256 /* with probes */
#define TLS_OWN_MAX 4 /* processes that have probes of their own on one file */
#define TLS_IDLE_NS (3 * 1000000000ull) /* a service that is restarted finds its probes there */

struct tls_libraries_config {
	const char *proc_path; /* "/proc" */
	enum uprobe_mode mode;
	/* In the order of attaching; must outlive the libraries. */
	const struct tls_probe *probes;
	size_t probe_count; /* at most TLS_PROBES_MAX */
	/* Of which groups the process has all probes for itself (tls_own.h). For a moment it has
	 * both these and those of all, and only those with TLS_COOKIE_OWN count, or those without.
	 * NULL: the kernel cannot tell processes apart. */
	void (*own)(void *context, pid_t pid, unsigned groups);
	/* Called again and again while something takes long, also by another thread, of which the
	 * caller then waits; it must not call anything here. NULL: nothing is to be done. */
	void (*meanwhile)(void *context);
	void *context; /* of both */
};

struct tls_libraries;

/* 0 and *out, to be closed; -errno. Without the privilege for new_mappings.h late libraries are not
 * seen, which is told in one line. */
int tls_libraries_open(struct tls_libraries **out, const struct tls_libraries_config *config);
/* Readable when there may be something for tls_libraries_run(). */
int tls_libraries_fd(const struct tls_libraries *t);

/* A process, at its start, its exec, and its end: costs nothing but memory; run() does the work. */
void tls_libraries_set_wanted(struct tls_libraries *t, pid_t pid, bool wanted);
/* Sets the groups of a wanted process (enum tls_group); no effect for others. */
void tls_libraries_set_groups(struct tls_libraries *t, pid_t pid, unsigned groups);
/* Looks at what has changed, and attaches and detaches. Call when the descriptor is readable, after
 * calls of the above, and some times a second. */
void tls_libraries_run(struct tls_libraries *t, uint64_t now_ns);

/* Whether a file that the process maps has probes: its TLS is seen. */
bool tls_libraries_cover(const struct tls_libraries *t, pid_t pid);

struct tls_libraries_stats {
	size_t file_count; /* with probes */
	size_t process_count; /* that map one */
	uint64_t refused_files; /* told in a line */
	uint64_t refused_processes; /* a table was full */
	uint64_t lost_mappings; /* times that news were lost, and all maps read again */
};
struct tls_libraries_stats tls_libraries_stats(const struct tls_libraries *t);
/* Detaches all, and waits for it: some 0.1 s. NULL is fine. */
void tls_libraries_close(struct tls_libraries *t);

#endif
