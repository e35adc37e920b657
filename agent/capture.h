/* SPDX-License-Identifier: Apache-2.0 */
/* capture - loads and attaches the kernel side, and reads its ring.
 *
 * Everything it puts into the kernel hangs on its file descriptors: when the process ends, however
 * it ends, nothing is left behind. Loop thread only. */
#ifndef BITTERN_CAPTURE_H
#define BITTERN_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/record.h"
#include "uprobes.h"

#define CAPTURE_DRAIN_MAX 65536 /* records at once, so that other work gets its turn */
#define CAPTURE_WAKEUP_PART 8 /* from so much of the ring's fill on the reader is woken */

struct capture;
struct bpf_program;

struct capture_config {
	size_t ring_bytes; /* a power of two, a multiple of the page size */
	enum uprobe_mode tls; /* how TLS libraries are probed; UPROBE_NONE: not at all */
	bool cpu; /* what requests use is accounted */
};

/* Loads the programs; nothing is seen before capture_attach(). 0 and *out, to be closed; -errno
 * with a line in why (which stage failed, and what to do). */
int capture_open(struct capture **out, const struct capture_config *config, char *why,
		 size_t why_len);
/* One that is for uprobes_attach(); NULL: there is none of that name, or it is not loaded. */
struct bpf_program *capture_program(const struct capture *c, const char *name);
int capture_attach(struct capture *c, char *why, size_t why_len);
/* Readable when the ring wants to be drained before its time. */
int capture_fd(const struct capture *c);
/* Gives up to CAPTURE_DRAIN_MAX records, oldest first; their number. A record is valid during its
 * call. */
int capture_drain(struct capture *c, void (*record)(void *context, const void *bytes, size_t size),
		  void *context);
/* For when the loop does something that takes long: if the ring wants to be drained, makes room in
 * it; the next capture_drain() gives what was there. Not to be called by what that calls, and by
 * another thread only while the loop waits. */
void capture_set_aside(struct capture *c);
void capture_set_wanted(struct capture *c, pid_t pid, bool wanted);
/* groups: enum tls_group, those of which the process has all probes for itself. Which of two probes
 * at a place counts for it: that with TLS_COOKIE_OWN, or that without. */
void capture_set_own_probes(struct capture *c, pid_t pid, unsigned groups);
/* Lists unix sockets with HTTP and connections with unread bytes; all: every connection with HTTP.
 * 0 or -errno. Some 0.7 us for each of the host's connections that have storage. */
int capture_list(struct capture *c, bool all,
		 void (*connection)(void *context, const struct connection_state *state),
		 void *context);
/* Lists the threads that have used CPU for a request, or in a job, which no record has told. 0 or
 * -errno. Some 0.1 us for each of the host's threads. */
int capture_list_work(struct capture *c,
		      void (*thread)(void *context, const struct thread_state *state),
		      void *context);
/* Requests whose record found the ring full, by process, since the start. */
void capture_lost_requests(struct capture *c,
			   void (*lost)(void *context, pid_t pid, uint64_t count), void *context);

/* Bytes that wait in the ring. */
size_t capture_ring_used(const struct capture *c);

struct capture_stats {
	uint64_t losses[LOSS_COUNT];
	uint64_t tls_counts[TLS_COUNTS];
	uint64_t sessions_evicted; /* for want of room */
	uint64_t skipped_arrivals; /* what came in then has no time of its own */
	bool hooks_preempted; /* this kernel does that: the hooks on bytes have second copies */
	uint64_t preempted_runs; /* what their first copies were skipped for */
	size_t ring_bytes;
};
struct capture_stats capture_stats(struct capture *c);
void capture_close(struct capture *c); /* NULL is fine */

#endif
