/* SPDX-License-Identifier: Apache-2.0 */
/* tls - which functions of TLS libraries are probed, and for which processes.
 *
 * A library is probed while a wanted process maps it (tls_libraries.h). Node's binary holds more
 * than TLS: its parser of HTTP, at which the requests of its TLS servers are seen, is on the way of
 * plain HTTP as well, and its SSL_read() is needed for what it asks of others only. What Python
 * writes into memory BIOs is needed only of programs that first receive for several sessions, and
 * then turn to them one by one; so may each that has asked others. So a process that has served
 * TLS_DECIDE_REQUESTS requests is free of the probes that it had no use for, until it has. It has
 * when it takes a certificate of its own, as a server does before it listens; if it did before it
 * was watched, at its first session; as a client when it makes one, before it connects. Probes are
 * back some milliseconds later. What has passed by then, of a process that had lost its probe, is
 * counted: the kernel side sees responses whose request it has not seen, and requests whose
 * response it will not see.
 *
 * Loop thread only; per record a look at a few processes at most. */
#ifndef BITTERN_TLS_H
#define BITTERN_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture.h"
#include "decode.h"
#include "tls_libraries.h"

#define TLS_DECIDE_REQUESTS 100
#define TLS_PROCESSES_LOOKED_AT 512 /* undecided, and decided; those beyond keep all probes */

/* NULL is fine everywhere: TLS is not looked into. */
struct tls;

/* mode: as the capture was opened with; not UPROBE_NONE. 0 and *out, to be closed before the
 * capture; -errno. What is done later by tls_set_wanted() and tls_record() takes effect at the next
 * tls_run(). */
int tls_open(struct tls **out, struct capture *capture, enum uprobe_mode mode);
int tls_fd(const struct tls *t); /* readable: tls_run() has work; -1: there is none */
void tls_run(struct tls *t, uint64_t now_ns); /* also once a second */
void tls_set_wanted(struct tls *t, pid_t pid, bool wanted);
/* Every record, for what it tells of processes. */
void tls_record(struct tls *t, const struct record *record);
/* Whether what the process does with TLS is seen. */
bool tls_covers(const struct tls *t, pid_t pid);

struct tls_stats {
	struct tls_libraries_stats libraries;
	uint64_t missed_requests; /* whose probe was not back yet */
};
struct tls_stats tls_stats(const struct tls *t);
void tls_close(struct tls *t);

#endif
