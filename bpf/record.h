/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* record - the contract between the kernel side and user space: what travels through the ring.
 *
 * Compiled by both sides, and alone under -Wpadded. Times are CLOCK_MONOTONIC in ns; pid is the
 * process (tgid) in the initial pid namespace; ports are host order; lengths and positions are
 * bytes.
 *
 * A stream position counts the bytes of one direction of one connection. Where counting starts is
 * arbitrary (the connection may be older than bittern), but from the first record on it only grows,
 * and on TCP it follows copied_seq and write_seq, so that a call that no hook saw shows as a gap.
 *
 * One call of send or receive gives one or more io records ("slices"): each holds captured bytes of
 * the call from an offset on; the last of a call is marked IO_LAST and, if the slices do not reach
 * the call's end, has the call's last bytes in tail. */
#ifndef BITTERN_RECORD_H
#define BITTERN_RECORD_H

#include <linux/types.h>

enum record_kind {
	RECORD_IO = 1, /* bytes read or written on an HTTP connection */
	RECORD_STATE, /* a TCP connection with HTTP changed its state */
	RECORD_UNDECODED, /* a connection begins as something else: accepted, or made for HTTP/2 */
	RECORD_CONNECT_FAILED, /* a TCP connection that a process wanted was not made */
	RECORD_EXEC,
	RECORD_FORK,
	RECORD_EXIT,
	RECORD_REAPED, /* an exited process has gone altogether: what it used is final */
	RECORD_TLS, /* what a process does with TLS */
	RECORD_WORK, /* a thread went over to another request, with no record that could tell */
	RECORD_JOB, /* a thread of a pool did what another thread gave it, and sleeps again */
};

enum role { ROLE_NONE, ROLE_SERVER, ROLE_CLIENT };
enum direction { DIRECTION_RECEIVED, DIRECTION_SENT };

enum io_flags {
	IO_LAST = 1, /* the last slice of its call */
	IO_UNREADABLE = 2, /* no bytes: the buffer could not be found or read */
	IO_UNIX = 4, /* AF_UNIX: no ports, no RECORD_STATE */
	IO_EOF = 8, /* unix sockets: the peer closed (len is 0) */
	IO_FROM_BIRTH = 16, /* the connection is known from its first byte */
	IO_PEER_CLOSED = 32, /* the first of a connection: its peer had sent a FIN before */
	IO_TLS = 64, /* plaintext of a TLS session */
};

enum exit_flags {
	EXIT_OOM_VICTIM = 1, /* the kernel had chosen it to free memory */
};

struct record_head {
	__u64 time_ns;
	__u32 pid;
	__u8 kind; /* enum record_kind */
	__u8 role; /* enum role; of RECORD_IO and RECORD_UNDECODED, else 0 */
	__u8 direction; /* enum direction; of RECORD_IO, else 0 */
	__u8 flags; /* enum io_flags; of RECORD_EXIT enum exit_flags */
};

/* CPU time and page faults of one thread. */
struct cost {
	__u64 cpu_ns;
	__u32 minor_faults, major_faults;
};

#define WORK_WAITS_MAX 1023

/* What a thread used since the last record of its work, and whom for: first the owner, the request
 * that it worked for, until its first wait for events; then between that and its last wait, if it
 * waited more than once; then, from there on (of a response: since the last record, if it did not
 * wait), own. Whom the latter is for is told by what the record tells: the request that is
 * answered, or nothing that is known. The owner is named by its connection and the stream position
 * of its first byte; a request that came in one call with others by theirs. */
struct work {
	__u64 owner_cookie; /* 0: none */
	__u32 owner_begin; /* the low bits */
	__u32 tid : 22; /* in the initial pid namespace; 0: nothing is told */
	__u32 wait_count : 10; /* for events; no more than WORK_WAITS_MAX */
	struct cost owner, own;
	__u32 between_us, between_faults;
};

#define RECORD_TAIL_BYTES 8

/* A TLS session is a connection of its own: its positions count plaintext. Its cookie is that of
 * its socket with the first of these bits, and what happens to the socket is told of it; or both
 * bits and a number of its own, when it is not known which its socket is. */
#define COOKIE_TLS (1ull << 63)
#define COOKIE_UNJOINED (1ull << 62)

struct record_io {
	struct record_head head;
	__u64 cookie; /* the socket's; names the connection */
	__u64 begin; /* stream position of the call's first byte */
	__u64 other_end; /* position of the other direction so far */
	__u64 arrival_ns; /* received: when the first byte came in; 0: not known */
	__u32 len; /* what the call moved */
	__u32 offset; /* of data[0] within the call */
	__u16 captured; /* bytes in data */
	__u16 local_port, peer_port;
	__u8 tail_len; /* bytes in tail: 0 to RECORD_TAIL_BYTES */
	__u8 unused;
	__u8 tail[RECORD_TAIL_BYTES];
	struct work work; /* by then; 0 but in the first record of a call */
	__u8 data[];
};

struct record_state {
	struct record_head head; /* pid only when the process itself closed */
	__u64 cookie;
	__u64 received_end, sent_end; /* stream positions */
	__u64 arrival_ns; /* accepted connections: of the oldest byte that nobody read; 0: none */
	__u32 listener_pid; /* who listens there; 0: not known */
	__u16 local_port;
	__u16 unused;
	__u32 error; /* sk_err: ECONNRESET, EPIPE, ... or 0 */
	__u8 old_state, new_state; /* TCP_ESTABLISHED ... */
	__u8 shutdown; /* sk_shutdown: 1 receive, 2 send */
	__u8 exiting; /* 1: closed by the exit of its process */
};

#define TLS_HANDSHAKE 22 /* the first byte of a handshake's records: RFC 8446, section 5.1 */

struct record_undecoded {
	struct record_head head;
	__u64 cookie;
	__u16 local_port;
	__u8 len; /* bytes in first; 0: a connection with TLS, accepted, whose session is not seen
		   */
	__u8 unused[5];
	__u8 first[16];
};

struct record_connect_failed {
	struct record_head head; /* the process that called connect() */
	__u64 begin_ns; /* when it did */
	__u32 error; /* sk_err: ECONNREFUSED, ETIMEDOUT, ...; 0: the process gave up */
	__u16 peer_port;
	__u16 family; /* AF_INET, AF_INET6 */
	__u8 peer_address[16]; /* network order; AF_INET: the first four */
};

/* Part of the attach cookie of the program tls_plaintext: at which function it is. */
enum tls_plaintext {
	TLS_READ_EX_ENDS = 4,
	TLS_READ_ENDS = 8,
	TLS_WRITES = 12,
	TLS_PARSES = 16,
	TLS_PLAINTEXT_MASK = 28,
};

/* Of which groups (enum tls_group) a process has all probes for itself. */
enum tls_own {
	TLS_OWN_SERVER = 2,
	TLS_OWN_CLIENT = 4,
};

enum tls_event {
	TLS_CONNECTS, /* it makes a session as a client */
	TLS_BATCHES, /* a thread receives for several sessions before it turns to them */
	TLS_ENDS, /* a session has ended, before its socket or having none */
	TLS_SERVES, /* it takes a certificate of its own, as servers do */
	/* In node, where a function has no probe for the time being: */
	TLS_UNASKED, /* a response leaves whose request was not seen */
	TLS_UNHEARD, /* a request leaves whose response will not be seen */
	TLS_EVENTS,
};

struct record_tls {
	struct record_head head;
	__u64 cookie; /* TLS_ENDS */
	__u8 event;
	__u8 unused[7];
};

/* What a process used in its life, by all its threads, also before it became the program that it
 * is. In RECORD_REAPED it is complete: what wait4(2) told the parent, and the last instructions
 * that it can miss. In RECORD_EXIT what is still to come is missing: the rest of the exit (the
 * memory is freed after it), what other threads that die at the same moment did, and of run_ns up
 * to a tick.
 */
struct record_usage {
	__u64 user_ns, system_ns; /* by looking which it was at each tick */
	__u64 run_ns; /* exact: /proc splits it as the two above are to each other */
	__u64 shown_user_ns, shown_system_ns; /* when it did so last: it never shows less */
	__u64 voluntary_switches, involuntary_switches;
	__u64 minor_faults, major_faults;
};

struct record_process {
	struct record_head head;
	__u32 parent; /* RECORD_FORK */
	__u32 exit_code; /* RECORD_EXIT: as wait(2) gives it: signal in the low 7 bits, exit code in
			    bits 8-15 */
	struct record_usage usage; /* 0 in RECORD_FORK */
};

struct record_work {
	struct record_head head;
	struct work work;
};

/* It began when the other thread woke this one, or began it, or where the job before it ended, and
 * ended at the record's time. The owner is the request which that thread worked for when it woke
 * this one: it may not be the one that the job is for. work.owner is the cost of the job. */
struct record_job {
	struct record_head head;
	struct work work;
	__u64 begin_ns;
	__u64 told_ns; /* when it last woke that thread, or sent to it: the result; 0: it did not */
	__u32 waker_tid;
	__u16 unwoken; /* 1: it began where the one before ended, without sleep */
	__u16 last; /* 1: the thread has ended with it */
};

/* Data slices come in these sizes: the verifier wants constants. */
#define RECORD_DATA_MAX 4096

/* What the kernel side could not deliver, by cause; index of the map `losses`. */
enum loss {
	LOSS_RING_FULL, /* no room for a record */
	LOSS_UNREADABLE_MEMORY, /* the user's page was not there */
	LOSS_UNREADABLE_IO_URING, /* completed by io_uring: no buffer to be found */
	LOSS_UNREADABLE_SYSCALL, /* in no system call known to move socket bytes (or a 32-bit one)
				  */
	LOSS_CONNECTION_STATE, /* no memory for socket storage */
	LOSS_SKIPPED_RUN, /* the kernel did not run a hook, and no second copy made up for it */
	LOSS_COUNT,
};

/* Index of the map `tls_counts`. */
enum tls_count {
	TLS_SESSIONS,
	TLS_SESSIONS_ENDED,
	TLS_UNJOINED, /* whose socket was not known when they first had something to tell */
	TLS_CONTRADICTIONS, /* a session seemed to have another socket, or a socket another session
			     */
	TLS_COUNTS,
};

/* What the iterator over connections writes: of each unix socket with HTTP, of each accepted
 * connection with bytes that nobody has read, and, if asked, of every one with HTTP. */
struct connection_state {
	__u64 cookie;
	__u64 received_end, sent_end;
	__u64 arrival_ns; /* of the oldest unread byte; 0: none, or not known */
	__u32 listener_pid; /* 0: not known */
	__u16 local_port; /* 0: unix socket */
	__u8 role;
	__u8 shutdown;
	__u8 is_unix;
	__u8 unused[7];
};

/* What the iterator over threads writes: of each that uses CPU for a request, or in a job, what it
 * has used that no record has told so far. */
struct thread_state {
	__u32 pid, tid;
	__u64 owner_cookie;
	__u32 owner_begin;
	__u32 waker_tid; /* 0: no job */
	__u64 begin_ns; /* of the job */
	__u64 told_ns; /* as in record_job */
	struct cost cost;
};

#define RECORD_ASSERT(type, size) _Static_assert(sizeof(struct type) == (size), #type)
RECORD_ASSERT(record_head, 16);
RECORD_ASSERT(work, 56);
RECORD_ASSERT(record_io, 128);
RECORD_ASSERT(record_work, 72);
RECORD_ASSERT(record_job, 96);
RECORD_ASSERT(thread_state, 56);
RECORD_ASSERT(record_state, 64);
RECORD_ASSERT(record_connect_failed, 48);
RECORD_ASSERT(record_undecoded, 48);
RECORD_ASSERT(record_tls, 32);
RECORD_ASSERT(record_usage, 72);
RECORD_ASSERT(record_process, 96);
RECORD_ASSERT(connection_state, 48);

#endif
