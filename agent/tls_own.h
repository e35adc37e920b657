/* SPDX-License-Identifier: Apache-2.0 */
/* tls_own - probes on files of which only one process is hit, whoever else maps them.
 *
 * A probe costs all processes that map its file; some are needed for few of them. Each link more at
 * a place costs every hit there some 10 ns, so this is for a few processes a file. Takes
 * uprobe_multi links that tell the threads of a process (Linux 6.10). Loop thread only. */
#ifndef BITTERN_TLS_OWN_H
#define BITTERN_TLS_OWN_H

#include <stddef.h>
#include <sys/types.h>

#include "tls_places.h"
#include "uprobes.h"

struct tls_own_config {
	struct uprobes *uprobes;
	const struct tls_probe *probes;
	size_t probe_count; /* at most TLS_PROBES_MAX */
	/* Of which groups (enum tls_group) the process now has all probes that it wants: told once
	 * they are attached, and before any of them is detached, as that takes a while in which the
	 * others may have gone. */
	void (*changed)(void *context, pid_t pid, unsigned groups);
	void *context;
};

/* Where a process wants one of the probes. */
struct tls_own_place {
	int fd; /* the file, open for reading; not needed any more afterwards */
	const struct uprobe_places *places; /* NULL: nowhere */
};

struct tls_own;

/* Attaches what is missing of the probes, and detaches what is not wanted any more; *own is NULL
 * while there is none, as in a process that has just ended. Their cookies have TLS_COOKIE_OWN. 0;
 * -errno: *own is NULL. config: outlives *own. wanted: for each probe. */
int tls_own_update(struct tls_own **own, const struct tls_own_config *config, pid_t pid,
		   const struct tls_own_place *wanted);
/* Detaches all. NULL is fine. */
void tls_own_close(struct tls_own *own);

#endif
