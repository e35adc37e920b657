/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* maps - what the kernel side keeps, and the two ways out of it: records and counted losses. */
#ifndef BITTERN_MAPS_BPF_H
#define BITTERN_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "record.h"

#define PROCESSES_MAX 65536
#define UNIX_LISTENERS_MAX 4096
#define ARRIVALS 4 /* that wait to be read and are told apart; a power of two */

/* A connection, in the storage of its socket: freed with it, so it can neither leak nor be mistaken
 * for another. Threads of one process may use it at once: each direction is written by its own hook
 * only, and what both write (flags, budgets) decides how much is copied, never what is counted. */
struct connection {
	u64 cookie;
	u64 received_end, sent_end; /* stream positions */
	u32 copied_seq, write_seq; /* TCP: where the positions were taken */
	union {
		u32 request_left; /* bytes of the current request that may still be copied */
		u32 tls_hello; /* a server's, with TLS: bytes of what its client began with */
	};
	u32 response_left;
	u64 recheck_ns; /* not known to be HTTP: look again from then on */
	u32 batch; /* recvmmsg, sendmmsg: low bits of the vector's address */
	u16 batch_index;
	u16 tries;
	/* What has arrived: bytes before arrival_end[i] (TCP) at arrival_ns[i]. */
	u64 arrival_ns[ARRIVALS];
	u32 arrival_end[ARRIVALS];
	u32 pid; /* who listens, or connected */
	u16 flags;
	u8 role;
	u8 state; /* TCP: the last one reported */
	u8 arrival_newest;
	/* A server's, with TLS: something was received since it last sent; how often it has sent
	 * something then, or TURNS_SEEN. */
	u8 tls_heard;
	u16 tls_turns;
	/* A request, as struct work names it: of a server's connection the current one (the cookie
	 * is the connection's own), of any other the one that it was last sent to for. */
	u32 work_begin;
	u64 work_cookie;
};

enum connection_flags {
	CONNECTION_FROM_BIRTH = 1,
	CONNECTION_ACCEPTED = 2,
	CONNECTION_DISMISSED = 4, /* not HTTP, or no longer */
	CONNECTION_AWAITING = 8, /* a request was seen, no final response since */
	CONNECTION_TUNNEL = 16, /* that request was CONNECT */
	CONNECTION_UNIX = 32,
	CONNECTION_BODILESS =
		64, /* that request's method has no body: what follows it is a request */
	CONNECTION_BATCH = 128, /* pipelined: several responses may leave in one call */
	CONNECTION_LISTENER = 256, /* a listening socket; or a child of one, not looked at so far */
	CONNECTION_UNCHECKED = 512, /* whether its process is wanted was not asked so far */
	CONNECTION_CONNECTING = 1024, /* TCP: no answer to its SYN so far */
	CONNECTION_TLS = 2048, /* TLS records pass; while not dismissed as well, it only seems so */
	CONNECTION_HTTP2 = 4096, /* a server's SETTINGS passed first: the preface is to come */
};

/* A thread that has read requests, or was given work by one that has. Written by the thread itself
 * and by the switch to and from it; what wakes it up writes as well, while it sleeps. */
struct thread {
	u64 base_ns, on_ns; /* its CPU clock when it came to its CPU, and when that was */
	u64 marked_ns; /* its CPU clock when its work was last told; faults likewise */
	u64 slept_ns; /* THREAD_SLEPT: when it first waited for events since then; faults likewise
		       */
	u64 waited_ns; /* and when it last did */
	u32 marked_minor, marked_major, slept_minor, slept_major, waited_minor, waited_major;
	u64 owner_cookie; /* the request that it works for, as in struct work */
	u64 job_ns; /* THREAD_JOB: when it was given to it */
	u64 told_ns; /* when it last told the result of a job, or 0; and what it had used then */
	u64 told_cpu_ns;
	u32 told_minor, told_major;
	u32 owner_begin;
	u32 waker_tid; /* by whom */
	u8 flags; /* enum thread_flags */
	u8 unwoken; /* THREAD_JOB: as in record_job */
	u16 wait_count; /* THREAD_SLEPT: how often it has */
	u32 unused;
};

enum thread_flags {
	THREAD_SERVES = 1, /* it has read requests, or answered them: it is no pool's */
	THREAD_ANSWERS = 2, /* it has begun to answer the last one that it read */
	THREAD_SLEPT = 4,
	THREAD_JOB = 8,
	THREAD_FRESH = 16, /* it had no storage when it came to its CPU */
	THREAD_TOLD = 32, /* THREAD_JOB: told_ns is certain */
	THREAD_HANDS_ON = 64, /* it reads none itself, and wakes others that do */
	THREAD_ENDS = 128,
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads __weak SEC(".maps");

/* Where the interpreter lock of a process is, by what its threads wait for: cpu.bpf.c. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u64);
} interpreter_locks __weak SEC(".maps");

/* A TCP listener's storage is copied to each connection that it accepts, before its first byte. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct connection);
} connections __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} records __weak SEC(".maps");

/* Unix sockets that wanted processes listen on, by the address (struct unix_address) that they
 * share with the connections they accept; the value is the process. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, UNIX_LISTENERS_MAX);
	__type(key, u64);
	__type(value, u32);
} unix_listeners __weak SEC(".maps");

/* Processes that user space does not want; any other is eligible. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, u8);
} unwanted_processes __weak SEC(".maps");

/* Those that have exited and are not yet gone, as parents may take their time; the value is whether
 * they were wanted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, u8);
} exited_processes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_COUNT);
	__type(key, u32);
	__type(value, u64);
} losses __weak SEC(".maps");

/* Requests whose record found the ring full, by process: rates stay right when details do not. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} lost_requests __weak SEC(".maps");

/* The last run of a hook on bytes on this CPU, by direction. */
struct hook_mark {
	u64 task, sk; /* addresses, only to be compared */
	u64 passed_over; /* runs of the second copy for which there was none */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct hook_mark);
} hook_marks __weak SEC(".maps");

/* Whether this kernel may preempt a process inside a tracepoint's hooks, as Linux does since 7.0:
 * they then run under a guard of this type ("tracing: Guard __DECLARE_TRACE() use of
 * __DO_TRACE_CALL() with SRCU-fast"). Known when the programs are loaded: what the answer rules out
 * is gone from them. */
#define hooks_preemptible() bpf_core_type_exists(class_srcu_fast_notrace_t)

/* The same, for user space to read after attaching. */
volatile bool hooks_preempted __weak = false;

/* Set before loading. */
const volatile __u64 ring_wakeup_bytes __weak = 512 * 1024;

/* Set before loading: whether TLS is looked into (--no-tls). */
const volatile bool tls_wanted __weak = true;
/* Set before loading: whether work is accounted (--no-cpu). */
const volatile bool cpu_wanted __weak = true;

/* Set by user space once all hooks are attached: a client's request that was sent before might be
 * one whose response is missed. (A server's are safe: what receives is attached last.) */
volatile bool clients_wanted __weak = false;

static __always_inline u32 current_pid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline void loss_count(enum loss cause)
{
	u32 key = cause;
	u64 *count = bpf_map_lookup_elem(&losses, &key);

	if (count)
		(*count)++;
}

/* A record of this size, all 0 but its head. NULL: the ring is full, and that is counted. */
static __always_inline void *record_reserve(u64 size, enum record_kind kind, u32 pid, u64 time_ns)
{
	struct record_head *head = bpf_ringbuf_reserve(&records, size, 0);

	if (!head) {
		loss_count(LOSS_RING_FULL);
		return NULL;
	}
	__builtin_memset(head, 0, size);
	head->time_ns = time_ns;
	head->pid = pid;
	head->kind = kind;
	return head;
}

/* The reader drains on a timer; from an eighth's fill on it is woken. The fill is asked for at
 * every eighth record or so, as the clock's low bits have it: each call from here into the kernel
 * counts on the hot path. */
static __always_inline u64 record_wakeup(u64 time_ns)
{
	if (time_ns & 7)
		return BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) < ring_wakeup_bytes)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

#endif
