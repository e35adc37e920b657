// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* socket - sees bytes pass through sockets, recognises HTTP, copies heads and tails into the ring.
 *
 * One hook a direction, after delivery; each look starts with the socket's storage, so that what is not
 * HTTP costs one look-up. The kernel side decides a connection's role, by who sends the request line, and
 * how much to copy; framing is user space's. What is copied of a call:
 *  - in the direction of requests: a call that begins with a request line, and what follows it (more of
 *    the head, more of a pipelined batch) within a budget; the rest is body and only moves the position;
 *  - in the direction of responses: a call that begins with "HTTP/1." and what follows it within a
 *    budget; of the rest, body, the first 16 and the last 8 bytes, for chunked framing. */
#include "maps.bpf.h"
#include "payload.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define REQUEST_BUDGET	     8192  /* of a request that may have a body */
#define BODILESS_BUDGET	     (64 * RECORD_DATA_MAX) /* of each call: batches, long heads */
#define RESPONSE_BUDGET	     2048
#define BATCH_BUDGET	     65536 /* of a call that may hold several responses */
#define SLICES_MAX	     128 /* of one call */
#define WHOLE_MAX	     1024 /* a call in one buffer that is copied as it is */
#define GATHER_MAX	     2048 /* bytes of several pieces in one slice */
#define TRIES_MAX	     1000  /* calls looked at before an older connection rests ... */
#define RECHECK_NS	     1000000000ull /* ... and how long */
#define FIRST_BYTES	     16
#define BATCH_SCAN_MIN	     512
#define BATCH_SCAN_MAX	     1024

extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym;

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One call of send or receive. */
struct call {
	u64 time_ns, cookie, begin, other_end;
	u64 buffer;	       /* the user's memory: one buffer ... */
	u64 iovecs, iovec_count; /* ... or, iovecs not 0, a vector */
	u32 pid, len;
	u32 want;	/* bytes to copy */
	u32 last_end;	/* the slice that reaches it is the call's last */
	u16 local_port, peer_port;
	u8 role, direction, flags;
	u8 request;	/* begins as a request line might */
	u8 first_len, tail_len;
	u8 batch;	/* holds a second head */
	u8 unused[5];
	u8 first[2 * FIRST_BYTES]; /* half is used; the rest keeps the verifier content */
	u8 tail[2 * RECORD_TAIL_BYTES];
};

struct first_bytes {
	u8 bytes[FIRST_BYTES];
};

/* Whether a call's first bytes could begin a request line: upper-case letters, a space, and the beginning
 * of a target. Global functions like this one are walked by the verifier once, not at each call. */
__noinline int begins_request(const struct first_bytes *first, u32 len)
{
	u32 i, start = 0;
	const u8 *b;

	if (!first)
		return 0;
	b = first->bytes;
	if (len > 2 && b[0] == '\r' && b[1] == '\n')
		start = 2; /* RFC 9112 section 2.2: an empty line before the request line */
	for (i = start; i < FIRST_BYTES; i++) {
		if (i >= len)
			return i > start; /* all that was read: more may follow */
		if (b[i] == ' ')
			break;
		if ((b[i] < 'A' || b[i] > 'Z') && b[i] != '-' && b[i] != '_')
			return 0;
	}
	if (i < start + 2)
		return 0;
	if (i + 1 >= len || i >= FIRST_BYTES - 1)
		return 1;
	switch (b[i + 1]) {
	case '/':
	case 'h':
	case 'H':
		return 1;
	case '*': /* not "PRI * HTTP/2.0" */
		return b[start] != 'P' || b[start + 1] != 'R' || b[start + 2] != 'I';
	default:
		return b[start] == 'C' && b[start + 1] == 'O' && b[i + 1] != '{'; /* CONNECT */
	}
}

/* The usual case of begins_request(), without a call. */
static __always_inline bool is_get(const u8 *b, u32 len)
{
	return len > 4 && b[0] == 'G' && b[1] == 'E' && b[2] == 'T' && b[3] == ' ' && b[4] == '/';
}

static __always_inline bool begins_response(const u8 *b, u32 len)
{
	return len >= 7 && b[0] == 'H' && b[1] == 'T' && b[2] == 'T' && b[3] == 'P' && b[4] == '/' &&
	       b[5] == '1' && b[6] == '.';
}

/* Methods whose requests have no body in practice: GET, HEAD, DELETE, OPTIONS, TRACE. */
static __always_inline bool method_bodiless(const u8 *b)
{
	return b[0] == 'G' || b[0] == 'H' || b[0] == 'D' || b[0] == 'O' || b[0] == 'T';
}

#define CRLFCRLF 0x0a0d0a0d /* both architectures are little-endian */

static __always_inline bool ends_head(const struct call *call)
{
	return call->tail_len == RECORD_TAIL_BYTES && *(u32 *)(call->tail + 4) == CRLFCRLF;
}

/* The last bytes of a call may lie in several iovecs. The last one with bytes of the call is found in
 * steps of eight; from there back at most eight pieces hold the tail, as empty ones are rare. */
struct tail_walk {
	u64 iovecs, count;
	u64 left;	/* bytes of the call from here on */
	u64 index;	/* of the piece with the last byte */
	u64 last_len;	/* bytes of the call in it */
	bool found;
};

static long tail_step(u32 step, struct tail_walk *walk)
{
	struct iovec batch[8];
	u64 n = sizeof(batch), left = walk->count - (u64)step * 8;
	u32 i;

	if (left < 8)
		n = left * sizeof(struct iovec);
	barrier_var(n);
	if (!n || n > sizeof(batch))
		return 1;
	__builtin_memset(batch, 0, sizeof(batch));
	if (bpf_probe_read_user(batch, n, (void *)(walk->iovecs + (u64)step * sizeof(batch))))
		return 1;
	for (i = 0; i < 8; i++) {
		if (batch[i].iov_len >= walk->left) {
			walk->index = (u64)step * 8 + i;
			walk->last_len = walk->left;
			walk->found = true;
			return 1;
		}
		walk->left -= batch[i].iov_len;
	}
	return 0;
}

__noinline int tail_of_iovecs(struct call *call)
{
	struct tail_walk walk = {};
	u64 iovecs, index, len, missing;
	struct iovec piece;
	u32 i;

	if (!call)
		return 0;
	iovecs = call->iovecs;
	missing = call->len < RECORD_TAIL_BYTES ? call->len : RECORD_TAIL_BYTES;
	walk.iovecs = iovecs;
	walk.count = call->iovec_count;
	walk.left = call->len;
	bpf_loop(PAYLOAD_IOVECS_MAX / 8, tail_step, &walk, 0);
	if (!walk.found)
		return 0;
	call->tail_len = missing;
	index = walk.index;
	len = walk.last_len;
	for (i = 0; i < 8; i++) {
		u64 take = len < missing ? len : missing;

		if (bpf_probe_read_user(&piece, sizeof(piece), (void *)(iovecs + index * sizeof(piece))))
			break;
		missing -= take;
		if (missing > 8 || take > 8)
			break;
		if (take && bpf_probe_read_user(call->tail + missing, take,
						(void *)((u64)piece.iov_base + len - take)))
			break;
		if (!missing)
			return 0;
		if (!index--)
			break;
		if (bpf_probe_read_user(&piece, sizeof(piece), (void *)(iovecs + index * sizeof(piece))))
			break;
		len = piece.iov_len;
	}
	call->tail_len = 0;
	return 0;
}

static __always_inline void read_tail(struct call *call)
{
	u64 n = call->len < RECORD_TAIL_BYTES ? call->len : RECORD_TAIL_BYTES;

	call->tail_len = 0;
	if (call->iovecs) {
		tail_of_iovecs(call);
		return;
	}
	if (!bpf_probe_read_user(call->tail, n, (void *)(call->buffer + call->len - n)))
		call->tail_len = n;
}

static __always_inline void fill(struct record_io *record, const struct call *call, u32 offset,
				 u32 captured)
{
	record->head.time_ns = call->time_ns;
	record->head.pid = call->pid;
	record->head.kind = RECORD_IO;
	record->head.role = call->role;
	record->head.direction = call->direction;
	record->head.flags = call->flags;
	record->cookie = call->cookie;
	record->begin = call->begin;
	record->other_end = call->other_end;
	record->len = call->len;
	record->offset = offset;
	record->captured = captured;
	record->local_port = call->local_port;
	record->peer_port = call->peer_port;
	record->tail_len = 0;
	record->unused = 0;
	__builtin_memset(record->tail, 0, sizeof(record->tail));
}

static __always_inline void put_tail(struct record_io *record, const struct call *call)
{
	record->head.flags |= IO_LAST;
	record->tail_len = call->tail_len;
	__builtin_memcpy(record->tail, call->tail, RECORD_TAIL_BYTES);
}

/* Requests are counted even when there is no room to report them. */
__noinline int count_lost(u32 pid, bool request)
{
	u64 one = 1, *count;

	loss_count(LOSS_RING_FULL);
	if (!request)
		return 0;
	count = bpf_map_lookup_elem(&lost_requests, &pid);
	if (count)
		(*count)++;
	else
		bpf_map_update_elem(&lost_requests, &pid, &one, BPF_NOEXIST);
	return 0;
}

/* A record without a slice of the user's buffer: its first bytes at most. */
__noinline int emit_brief(struct call *call)
{
	struct record_io *record;

	if (!call)
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record) + FIRST_BYTES, 0);
	if (!record) {
		count_lost(call->pid, call->request);
		return 0;
	}
	fill(record, call, 0, call->first_len);
	put_tail(record, call);
	__builtin_memcpy(record->data, call->first, FIRST_BYTES);
	bpf_ringbuf_submit(record, record_wakeup(call->time_ns));
	return 0;
}

struct scan_window {
	u8 bytes[BATCH_SCAN_MAX];
};

/* 1 if a head ends before the last of len bytes, so that another follows in the same call. */
__noinline int holds_second_head(const struct scan_window *window, u32 len)
{
	u32 i;

	if (!window)
		return 0;
	for (i = 0; i < BATCH_SCAN_MAX - 4; i += 2) {
		if (i + 4 >= len)
			return 0;
		if (*(u16 *)(window->bytes + i) == 0x0d0a) /* "\n\r": inside "\r\n\r\n" */
			return 1;
		if (*(u32 *)(window->bytes + i) == CRLFCRLF)
			return 1;
	}
	return 0;
}

/* Copies len bytes at address, the call's from offset on, into one record; size is the record's. */
#define EMIT_SLICE(size)                                                                           \
	do {                                                                                       \
		record = bpf_ringbuf_reserve(&records, sizeof(*record) + (size), 0);               \
		if (!record)                                                                       \
			return -1;                                                                 \
		fill(record, call, offset, n);                                                     \
		barrier_var(n); /* or the compiler, but not the verifier, knows */                 \
		if (n > (size))                                                                    \
			n = (size);                                                                \
		if (bpf_probe_read_user(record->data, n, (void *)address)) {                       \
			record->captured = 0;                                                      \
			record->head.flags |= IO_UNREADABLE;                                            \
			loss_count(LOSS_UNREADABLE_MEMORY);                                        \
		} else if ((size) >= BATCH_SCAN_MAX && call->request && n > BATCH_SCAN_MIN &&      \
			   !offset) {                                                              \
			call->batch = holds_second_head((void *)record->data, n);                  \
		}                                                                                  \
		if (offset + len >= call->last_end)                                                \
			put_tail(record, call);                                                    \
		bpf_ringbuf_submit(record, record_wakeup(call->time_ns));                                       \
	} while (0)

/* 0, or -1: the ring is full. */
__noinline int emit_slice(struct call *call, u64 address, u32 offset, u32 len)
{
	struct record_io *record;
	u64 n = len;

	if (!call)
		return -1;
	if (n <= 256)
		EMIT_SLICE(256);
	else if (n <= 1024)
		EMIT_SLICE(1024);
	else if (n <= 2048)
		EMIT_SLICE(2048);
	else
		EMIT_SLICE(RECORD_DATA_MAX);
	return 0;
}

/* Several pieces in one record: GATHER_MAX bytes at most, in a slice of twice that for the verifier's sake. */
struct gather {
	struct payload *payload;
	u8 *to;
	u32 len, max;
	bool unreadable;
};

static long gather_piece(u32 step, struct gather *g)
{
	struct payload *p = g->payload;
	u64 n = g->max - g->len, at = g->len;

	if (!p->len)
		return payload_next(p) ? 0 : 1;
	if (n > p->len)
		n = p->len;
	barrier_var(n);
	barrier_var(at);
	if (n > GATHER_MAX || at > GATHER_MAX)
		return 1;
	if (bpf_probe_read_user(g->to + at, n, (void *)p->base)) {
		g->unreadable = true;
		return 1;
	}
	p->base += n;
	p->len -= n;
	g->len += n;
	return g->len >= g->max;
}

/* Bytes copied from offset on; 0 when there is no more to be had, or -1: the ring is full. */
static __noinline int emit_gathered(struct call *call, struct payload *p, u32 offset)
{
	struct record_io *record;
	struct gather g = {.payload = p, .max = call->want - offset};

	if (g.max > GATHER_MAX)
		g.max = GATHER_MAX;
	record = bpf_ringbuf_reserve(&records, sizeof(*record) + 2 * GATHER_MAX, 0);
	if (!record)
		return -1;
	g.to = record->data;
	bpf_loop(PAYLOAD_IOVECS_MAX, gather_piece, &g, 0);
	fill(record, call, offset, g.len);
	if (g.unreadable) {
		record->head.flags |= IO_UNREADABLE;
		loss_count(LOSS_UNREADABLE_MEMORY);
	}
	if (call->request && g.len > BATCH_SCAN_MIN && !offset)
		call->batch = holds_second_head((void *)record->data, g.len);
	if (offset + g.len >= call->last_end || g.len < g.max)
		put_tail(record, call);
	bpf_ringbuf_submit(record, record_wakeup(call->time_ns));
	return g.len < g.max ? 0 : g.len;
}

struct slice_walk {
	struct call *call;
	struct payload *payload;
	u32 done;
	int error;
};

static long slice_step(u32 step, struct slice_walk *walk)
{
	u32 left = walk->call->want - walk->done, n = left < RECORD_DATA_MAX ? left : RECORD_DATA_MAX;

	walk->error = emit_slice(walk->call, walk->call->buffer + walk->done, walk->done, n);
	walk->done += n;
	return walk->error || walk->done >= walk->call->want;
}

static long gather_step(u32 step, struct slice_walk *walk)
{
	int n = emit_gathered(walk->call, walk->payload, walk->done);

	if (n < 0)
		walk->error = n;
	if (n <= 0)
		return 1;
	walk->done += n;
	return walk->done >= walk->call->want;
}

/* Copies the first call->want bytes. -1: the ring is full. */
static __always_inline int emit_slices(struct call *call, struct payload *p)
{
	struct slice_walk walk = {.call = call, .payload = p};

	if (call->iovecs)
		bpf_loop(SLICES_MAX, gather_step, &walk, 0);
	else if (call->want <= RECORD_DATA_MAX) /* the usual case */
		return emit_slice(call, call->buffer, 0, call->want);
	else
		bpf_loop(SLICES_MAX, slice_step, &walk, 0);
	return walk.error;
}

static __always_inline bool wanted(u32 pid)
{
	return !bpf_map_lookup_elem(&unwanted_processes, &pid);
}

/* Whether this process accepted the connection: a child socket keeps its listener's backlog limit, or, on
 * unix sockets, its address. */
static __always_inline bool was_accepted(struct sock *sk, bool is_unix)
{
	struct unix_sock *un;

	if (!is_unix)
		return sk->sk_max_ack_backlog != 0;
	un = (struct unix_sock *)bpf_skc_to_unix_sock(sk);
	return un && un->addr;
}

/* Bytes read and written before this call, as TCP counts them (a SYN or FIN may count as one). */
static __always_inline bool is_from_birth(struct tcp_sock *tcp, u32 len, u8 direction)
{
	u64 received = tcp->bytes_received - (u32)(tcp->rcv_nxt - tcp->copied_seq);
	u64 sent = tcp->bytes_acked + (u32)(tcp->write_seq - tcp->snd_una);

	return received + sent <= (u64)len + 2 && (direction == DIRECTION_SENT ? sent : received) >= len;
}

static __always_inline u8 connection_io_flags(const struct connection *c)
{
	return (c->flags & CONNECTION_UNIX ? IO_UNIX : 0) |
	       (c->flags & CONNECTION_FROM_BIRTH ? IO_FROM_BIRTH : 0);
}

/* Storage for a stream socket of a process that may be wanted. */
static __always_inline struct connection *connection_create(struct sock *sk, u32 len, u8 direction)
{
	u16 family = sk->__sk_common.skc_family;
	struct connection *c;
	struct tcp_sock *tcp = NULL;

	if (sk->sk_type != SOCK_STREAM)
		return NULL;
	if (family == AF_INET || family == AF_INET6) {
		if (sk->sk_protocol != IPPROTO_TCP)
			return NULL;
		tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
		if (!tcp)
			return NULL;
	} else if (family != AF_UNIX) {
		return NULL;
	}
	if (!wanted(bpf_get_current_pid_tgid() >> 32))
		return NULL;
	c = bpf_sk_storage_get(&connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c) {
		loss_count(LOSS_CONNECTION_STATE);
		return NULL;
	}
	c->cookie = bpf_get_socket_cookie(sk);
	if (was_accepted(sk, !tcp))
		c->flags |= CONNECTION_ACCEPTED;
	if (!tcp) {
		c->flags |= CONNECTION_UNIX;
		return c;
	}
	if (is_from_birth(tcp, len, direction))
		c->flags |= CONNECTION_FROM_BIRTH;
	c->copied_seq = tcp->copied_seq - (direction == DIRECTION_RECEIVED ? len : 0);
	c->write_seq = tcp->write_seq - (direction == DIRECTION_SENT ? len : 0);
	return c;
}

/* A sequence number that did not go back. */
static __always_inline u32 forward(u32 from, u32 to)
{
	return (s32)(to - from) > 0 ? to - from : 0;
}

static __always_inline void positions_update(struct connection *c, struct sock *sk, u32 len,
					     u8 direction)
{
	struct tcp_sock *tcp;
	u32 delta;

	if (c->flags & CONNECTION_UNIX) {
		if (direction == DIRECTION_RECEIVED)
			c->received_end += len;
		else
			c->sent_end += len;
		return;
	}
	tcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	if (direction == DIRECTION_RECEIVED) {
		delta = forward(c->copied_seq, tcp->copied_seq);
		c->copied_seq += delta;
		c->received_end += delta;
	} else {
		delta = forward(c->write_seq, tcp->write_seq);
		c->write_seq += delta;
		c->sent_end += delta;
	}
}

/* How far the other direction has come. Its own hook keeps the position and may not have run yet, so the socket is
 * asked; nothing is stored, as that hook may be running. */
static __always_inline u64 other_end(const struct connection *c, struct sock *sk, u8 direction)
{
	struct tcp_sock *tcp;

	if (c->flags & CONNECTION_UNIX)
		return direction == DIRECTION_RECEIVED ? c->sent_end : c->received_end;
	tcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	if (direction == DIRECTION_RECEIVED)
		return c->sent_end + forward(c->write_seq, tcp->write_seq);
	return c->received_end + forward(c->copied_seq, tcp->copied_seq);
}

static __always_inline void emit_undecoded(const struct call *call)
{
	struct record_undecoded *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		loss_count(LOSS_RING_FULL);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->head.time_ns = call->time_ns;
	record->head.pid = call->pid;
	record->head.kind = RECORD_UNDECODED;
	record->cookie = call->cookie;
	record->local_port = call->local_port;
	record->len = call->first_len;
	__builtin_memcpy(record->first, call->first, FIRST_BYTES);
	bpf_ringbuf_submit(record, record_wakeup(call->time_ns));
}

/* Gives a connection its role, or marks it: for good if it did not begin as HTTP; an older one may be
 * inside a body and is looked at again. */
static __always_inline void identify(struct connection *c, struct call *call)
{
	if (call->request && call->direction == DIRECTION_RECEIVED) {
		c->role = ROLE_SERVER;
		return;
	}
	if (call->request && call->direction == DIRECTION_SENT) {
		c->flags |= CONNECTION_DISMISSED; /* a client's: not reported so far */
		return;
	}
	if (!call->first_len)
		return; /* unreadable, counted */
	if (c->flags & CONNECTION_FROM_BIRTH) {
		c->flags |= CONNECTION_DISMISSED;
		if (c->flags & CONNECTION_ACCEPTED && call->direction == DIRECTION_RECEIVED)
			emit_undecoded(call);
		return;
	}
	if (++c->tries > TRIES_MAX) {
		c->tries = TRIES_MAX;
		c->recheck_ns = call->time_ns + RECHECK_NS;
	}
}

static __always_inline void request_begins(struct connection *c, const u8 *first)
{
	u8 flags = c->flags & ~(CONNECTION_BODILESS | CONNECTION_TUNNEL | CONNECTION_BATCH);

	if (flags & CONNECTION_AWAITING)
		flags |= CONNECTION_BATCH;
	if (method_bodiless(first))
		flags |= CONNECTION_BODILESS;
	if (first[0] == 'C' && first[1] == 'O')
		flags |= CONNECTION_TUNNEL;
	c->flags = flags | CONNECTION_AWAITING;
	c->request_left = REQUEST_BUDGET;
}

/* How much to copy of a call in the direction of requests: 0 when it is body. */
static __always_inline u32 request_want(struct connection *c, u32 len)
{
	u32 left = c->flags & CONNECTION_BODILESS ? BODILESS_BUDGET : c->request_left;
	u32 want = len < left ? len : left;

	c->request_left = left - want;
	return want;
}

/* After 101, or 2xx to CONNECT, the connection speaks something else. */
static __always_inline bool ends_http(const struct connection *c, const u8 *first, u32 len)
{
	if (!(c->flags & CONNECTION_AWAITING) || len < 12)
		return false;
	if (first[9] == '1' && first[10] == '0' && first[11] == '1')
		return true;
	return c->flags & CONNECTION_TUNNEL && first[9] == '2';
}

/* How much to copy of a call in the direction of responses, of which len bytes are at first. */
static __always_inline u32 response_want(struct connection *c, const u8 *first, u32 first_len, u32 len,
					 bool *ends)
{
	u32 want;

	if (begins_response(first, first_len)) {
		*ends = ends_http(c, first, first_len);
		c->response_left = c->flags & CONNECTION_BATCH ? BATCH_BUDGET : RESPONSE_BUDGET;
		if (first_len >= 10 && first[9] != '1')
			c->flags &= ~CONNECTION_AWAITING;
	}
	want = len < c->response_left ? len : c->response_left;
	c->response_left -= want;
	return want;
}

/* A head that ends with its call: what follows is body and not copied. */
static __always_inline void response_copied(struct connection *c, u32 last_bytes)
{
	if (last_bytes == CRLFCRLF && !(c->flags & CONNECTION_BATCH))
		c->response_left = 0;
}

static __always_inline bool is_request_direction(const struct connection *c, u8 direction)
{
	return direction == (c->role == ROLE_SERVER ? DIRECTION_RECEIVED : DIRECTION_SENT);
}

static __always_inline void dismiss(struct connection *c)
{
	c->role = ROLE_NONE;
	c->flags |= CONNECTION_DISMISSED;
}

/* The call's first bytes, from as many pieces as they lie in; p itself stays where it is. */
__noinline int read_first(struct call *call, const struct payload *start)
{
	struct payload piece, *p = &piece;
	u64 n, at;
	u32 i;

	if (!call || !start)
		return 0;
	piece = *start;
	call->first_len = 0;
	for (i = 0; i < 24 && call->first_len < FIRST_BYTES && call->first_len < call->len; i++) {
		if (!p->len) {
			if (!payload_next(p))
				break;
			continue;
		}
		at = call->first_len;
		n = p->len < call->len - at ? p->len : call->len - at;
		if (n > FIRST_BYTES - at)
			n = FIRST_BYTES - at;
		barrier_var(n);
		barrier_var(at);
		if (n > FIRST_BYTES || at > FIRST_BYTES)
			break;
		if (bpf_probe_read_user(call->first + at, n, (void *)p->base))
			break;
		call->first_len += n;
		p->len = 0;
	}
	if (!call->first_len) {
		loss_count(LOSS_UNREADABLE_MEMORY);
		call->flags |= IO_UNREADABLE;
		return 0;
	}
	call->request = begins_request((void *)call->first, call->first_len);
	return 0;
}

/* Finds the user's memory; false when there is none to be had: then call->flags says whether that is a loss. */
static __always_inline bool look(struct connection *c, struct call *call, struct payload *p)
{
	switch (payload_find(p, c)) {
	case PAYLOAD_FOUND:
		break;
	case PAYLOAD_LOST:
		call->flags |= IO_UNREADABLE;
		return false;
	default:
		return false;
	}
	if (p->iovec_count == 1 && payload_next(p))
		p->iovecs = 0; /* a vector of one is a buffer */
	call->buffer = p->base;
	call->iovecs = p->iovecs;
	call->iovec_count = p->iovec_count;
	return true;
}

/* The end of a call whose middle is body, when it looks like that of a head: another request may follow the body. */
static __always_inline int emit_end(struct call *call)
{
	u32 n = call->len - call->want;

	if (n > RECORD_DATA_MAX)
		n = RECORD_DATA_MAX;
	call->last_end = call->len;
	call->tail_len = 0;
	return emit_slice(call, call->buffer + call->len - n, call->len - n, n);
}

static __always_inline bool plan_request(struct connection *c, struct call *call, bool *end_too)
{
	if (call->request) {
		request_begins(c, call->first);
		if (!(c->flags & CONNECTION_BODILESS) && call->len > REQUEST_BUDGET) {
			read_tail(call);
			if (ends_head(call)) /* a batch, or a very long head */
				c->request_left = BODILESS_BUDGET;
		}
	}
	call->want = request_want(c, call->len);
	if (call->want < call->len) {
		if (!call->tail_len)
			read_tail(call);
		*end_too = ends_head(call) && !call->iovecs;
	}
	return call->want || *end_too;
}

static __always_inline void emit(struct connection *c, struct call *call, struct payload *p)
{
	bool ends = false, end_too = false;

	if (is_request_direction(c, call->direction)) {
		if (!plan_request(c, call, &end_too))
			return;
	} else {
		call->request = 0;
		call->want = response_want(c, call->first, call->first_len, call->len, &ends);
		read_tail(call);
		if (call->tail_len == RECORD_TAIL_BYTES)
			response_copied(c, *(u32 *)(call->tail + 4));
	}
	call->last_end = end_too ? ~0u : call->want;
	if ((call->want < FIRST_BYTES && !end_too) || call->first_len == call->len) {
		emit_brief(call);
	} else {
		if (call->want == call->len)
			call->tail_len = 0;
		if ((call->want && emit_slices(call, p)) || (end_too && emit_end(call)))
			count_lost(call->pid, call->request);
	}
	if (call->batch)
		c->flags |= CONNECTION_BATCH;
	if (ends)
		dismiss(c);
}

/* A unix socket's peer has closed: no other hook tells. */
static __always_inline void emit_eof(struct connection *c, struct call *call)
{
	c->batch = 0;
	if (!(c->flags & CONNECTION_UNIX) || c->role == ROLE_NONE)
		return;
	call->role = c->role;
	call->flags |= IO_EOF;
	emit_brief(call);
}

/* The short way: a call of known HTTP in one short buffer, or in a few pieces, as nearly all heads are. Each piece of
 * the user's memory is read once, straight into the ring. What takes the long way gives false here. */
#define PIECES_MAX 4

struct pieces {
	struct iovec vector[PIECES_MAX];
	u64 count; /* 0: one buffer, at vector[0] */
};

static __always_inline bool find_pieces(struct pieces *pieces, struct task_struct *task)
{
	struct call_arguments arguments;

	if (task->flags & PF_IO_WORKER || !call_arguments(&arguments, task))
		return false;
	if (syscall_has_buffer(arguments.number)) {
		pieces->count = 0;
		pieces->vector[0].iov_base = (void *)arguments.a1;
		return true;
	}
	if (!syscall_has_vector(arguments.number) || arguments.a2 - 1 >= PIECES_MAX)
		return false;
	pieces->count = arguments.a2;
	__builtin_memset(pieces->vector, 0, sizeof(pieces->vector));
	return !bpf_probe_read_user(pieces->vector, arguments.a2 * sizeof(struct iovec),
				    (void *)arguments.a1);
}

/* to has room for twice size bytes, so that the verifier can follow. */
static __always_inline long read_pieces(u8 *to, u64 size, const struct pieces *pieces, u64 len)
{
	u64 at = 0;
	u32 i;

	for (i = 0; i < PIECES_MAX; i++) {
		u64 n = pieces->vector[i].iov_len;

		if (n > len - at)
			n = len - at;
		if (!n)
			continue;
		barrier_var(n);
		barrier_var(at);
		if (n > size || at > size ||
		    bpf_probe_read_user(to + at, n, pieces->vector[i].iov_base))
			return -1;
		at += n;
	}
	return at == len ? 0 : -1;
}

static __always_inline long read_buffer(u8 *to, u64 size, const struct pieces *pieces, u64 len)
{
	barrier_var(len); /* or the compiler, but not the verifier, knows */
	if (len > size)
		len = size;
	return bpf_probe_read_user(to, len, pieces->vector[0].iov_base);
}

#define WHOLE(size, room, read)                                                                    \
	do {                                                                                       \
		record = bpf_ringbuf_reserve(&records, sizeof(*record) + (room), 0);               \
		if (!record)                                                                       \
			break;                                                                     \
		if (read(record->data, size, &pieces, len)) {                                      \
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                             \
			return false; /* which counts it */                                        \
		}                                                                                  \
		last_bytes = len >= 4 ? *(u32 *)(record->data + ((len - 4) & ((size) - 1))) : 0;   \
		if ((size) >= BATCH_SCAN_MAX && len > BATCH_SCAN_MIN && request)                   \
			batch = holds_second_head((void *)record->data, len);                      \
	} while (0)

static __always_inline bool seen_whole(struct sock *sk, struct connection *c, u32 len, u8 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool request = is_request_direction(c, direction), ends = false, batch = false;
	struct pieces pieces;
	struct record_io *record;
	u32 last_bytes = 0, want;
	u64 time_ns;

	if (!find_pieces(&pieces, task))
		return false;
	if (pieces.count && len <= 256)
		WHOLE(256, 512, read_pieces);
	else if (pieces.count)
		WHOLE(WHOLE_MAX, 2 * WHOLE_MAX, read_pieces);
	else if (len <= 128)
		WHOLE(128, 128 + 8, read_buffer);
	else if (len <= 256)
		WHOLE(256, 256 + 8, read_buffer);
	else
		WHOLE(WHOLE_MAX, WHOLE_MAX + 8, read_buffer);
	if (!record) {
		count_lost(task->tgid, request);
		return true;
	}
	if (!request) {
		want = response_want(c, record->data, len, len, &ends);
		response_copied(c, last_bytes);
	} else {
		if (is_get(record->data, len) || begins_request((void *)record->data, len))
			request_begins(c, record->data);
		if (batch)
			c->flags |= CONNECTION_BATCH;
		want = request_want(c, len);
		if (!want && last_bytes != CRLFCRLF) {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
			return true;
		}
	}
	time_ns = bpf_ktime_get_ns();
	record->head.time_ns = time_ns;
	record->head.pid = task->tgid;
	record->head.kind = RECORD_IO;
	record->head.role = c->role;
	record->head.direction = direction;
	record->head.flags = IO_LAST | connection_io_flags(c);
	record->cookie = c->cookie;
	record->begin = (direction == DIRECTION_RECEIVED ? c->received_end : c->sent_end) - len;
	record->other_end = other_end(c, sk, direction);
	record->len = len;
	record->offset = 0;
	record->captured = len;
	record->local_port = sk->__sk_common.skc_num;
	record->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record->tail_len = 0;
	record->unused = 0;
	bpf_ringbuf_submit(record, record_wakeup(time_ns));
	if (ends)
		dismiss(c);
	return true;
}

/* The long way: any call, in any pieces, of a connection that is known or not. */
static __always_inline void seen_in_pieces(struct sock *sk, struct connection *c, u32 len, u8 direction)
{
	struct call call = {
		.time_ns = bpf_ktime_get_ns(),
		.len = len,
		.cookie = c->cookie,
		.direction = direction,
		.role = c->role,
		.flags = connection_io_flags(c),
		.pid = bpf_get_current_pid_tgid() >> 32,
	};
	struct payload payload;

	call.begin = (direction == DIRECTION_RECEIVED ? c->received_end : c->sent_end) - len;
	call.other_end = other_end(c, sk, direction);
	call.local_port = sk->__sk_common.skc_num;
	call.peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (!len) {
		emit_eof(c, &call);
		return;
	}
	if (!look(c, &call, &payload)) {
		if (c->role != ROLE_NONE)
			emit_brief(&call);
		return;
	}
	read_first(&call, &payload);
	if (c->role == ROLE_NONE)
		identify(c, &call);
	if (c->role == ROLE_NONE)
		return;
	call.role = c->role;
	if (call.first_len)
		emit(c, &call, &payload);
	else
		emit_brief(&call);
}

static __always_inline int io_seen(struct sock *sk, int ret, int flags, u8 direction)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, NULL, 0);

	if (c && c->flags & CONNECTION_DISMISSED)
		return 0;
	if (ret < 0 || (direction == DIRECTION_RECEIVED && flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_TRUNC)))
		return 0;
	if (!c) {
		if (!ret)
			return 0;
		c = connection_create(sk, ret, direction);
		if (!c)
			return 0;
	}
	if (c->role == ROLE_NONE && c->recheck_ns && c->recheck_ns > bpf_ktime_get_ns())
		return 0;
	positions_update(c, sk, ret, direction);
	if (c->role == ROLE_NONE || !ret || ret > WHOLE_MAX || !seen_whole(sk, c, ret, direction))
		seen_in_pieces(sk, c, ret, direction);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_receive, struct sock *sk, int ret, int flags)
{
	return io_seen(sk, ret, flags, DIRECTION_RECEIVED);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_send, struct sock *sk, int ret, int flags)
{
	return io_seen(sk, ret, flags, DIRECTION_SENT);
}

/* Closes and resets. In CLOSE_WAIT the peer has sent its FIN, in any other new state of interest this side
 * closed or the connection broke; sk_err and sk_shutdown tell which. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old_state, int new_state)
{
	struct connection *c;
	struct record_state *record;
	struct task_struct *task;
	struct tcp_sock *tcp;
	u64 time_ns;

	if (new_state != TCP_CLOSE && new_state != TCP_FIN_WAIT1 && new_state != TCP_CLOSE_WAIT &&
	    new_state != TCP_LAST_ACK)
		return 0;
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (!c || c->role == ROLE_NONE)
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record) {
		loss_count(LOSS_RING_FULL);
		return 0;
	}
	task = bpf_get_current_task_btf();
	__builtin_memset(record, 0, sizeof(*record));
	time_ns = bpf_ktime_get_ns();
	record->head.time_ns = time_ns;
	record->head.kind = RECORD_STATE;
	record->cookie = c->cookie;
	record->received_end = c->received_end;
	record->sent_end = c->sent_end;
	tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (tcp) /* a send may be over whose hook is still to come */
		record->sent_end += forward(c->write_seq, tcp->write_seq);
	record->error = sk->sk_err;
	record->old_state = old_state;
	record->new_state = new_state;
	record->shutdown = sk->sk_shutdown;
	if (new_state == TCP_FIN_WAIT1 || new_state == TCP_LAST_ACK) { /* in the closer's context */
		record->head.pid = task->tgid;
		record->exiting = task->flags & PF_EXITING ? 1 : 0;
	}
	bpf_ringbuf_submit(record, record_wakeup(time_ns));
	return 0;
}

/* Unix sockets have no state hook: user space lists those with HTTP from time to time. */
SEC("iter/bpf_sk_storage_map")
int socket_list(struct bpf_iter__bpf_sk_storage_map *context)
{
	struct connection_state state = {};
	struct connection *c = context->value;
	struct sock *sk = context->sk;

	if (!c || !sk || !(c->flags & CONNECTION_UNIX) || c->role == ROLE_NONE)
		return 0;
	state.cookie = c->cookie;
	state.received_end = c->received_end;
	state.sent_end = c->sent_end;
	state.role = c->role;
	state.shutdown = sk->sk_shutdown;
	bpf_seq_write(context->meta->seq, &state, sizeof(state));
	return 0;
}
