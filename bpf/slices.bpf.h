/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* slices - copies parts of a call out of the user's memory into records. */
#ifndef BITTERN_SLICES_BPF_H
#define BITTERN_SLICES_BPF_H

#include "http.bpf.h"
#include "payload.bpf.h"

#define SLICES_MAX 128 /* of one call */
#define GATHER_MAX 2048 /* bytes of several pieces in one slice */

/* One call of send or receive. */
struct call {
	u64 time_ns, cookie, begin, other_end, arrival_ns;
	u64 buffer; /* the user's memory: one buffer ... */
	u64 iovecs, iovec_count; /* ... or, iovecs not 0, a vector */
	u32 len;
	u32 want; /* bytes to copy */
	u32 last_end; /* the slice that reaches it is the call's last */
	u16 local_port, peer_port;
	u8 role, direction, flags;
	u8 request; /* begins as a request line might */
	u8 first_len, tail_len;
	u8 batch; /* holds a second head */
	u8 unused;
	u8 first[2 * FIRST_BYTES]; /* half is used; the rest keeps the verifier content */
	u8 tail[2 * RECORD_TAIL_BYTES];
	struct work work; /* until a record has told it */
};

static __always_inline bool ends_head(const struct call *call)
{
	return call->tail_len == RECORD_TAIL_BYTES && *(u32 *)(call->tail + 4) == CRLFCRLF;
}

/* The last bytes of a call may lie in several iovecs. The last one with bytes of the call is found
 * in steps of four; from there back at most eight pieces hold the tail, as empty ones are rare. */
struct tail_walk {
	u64 iovecs, count;
	u64 left; /* bytes of the call from here on */
	u64 index; /* of the piece with the last byte */
	u64 last_len; /* bytes of the call in it */
	bool found;
};

static long tail_step(u32 step, struct tail_walk *walk)
{
	struct iovec batch[4];
	u64 n = sizeof(batch), left = walk->count - (u64)step * 4;
	u32 i;

	if (left < 4)
		n = left * sizeof(struct iovec);
	barrier_var(n);
	if (!n || n > sizeof(batch))
		return 1;
	__builtin_memset(batch, 0, sizeof(batch));
	if (bpf_probe_read_user(batch, n, (void *)(walk->iovecs + (u64)step * sizeof(batch))))
		return 1;
	for (i = 0; i < 4; i++) {
		if (batch[i].iov_len >= walk->left) {
			walk->index = (u64)step * 4 + i;
			walk->last_len = walk->left;
			walk->found = true;
			return 1;
		}
		walk->left -= batch[i].iov_len;
	}
	return 0;
}

__weak __noinline int tail_of_iovecs(struct call *call)
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
	bpf_loop(PAYLOAD_IOVECS_MAX / 4, tail_step, &walk, 0);
	if (!walk.found)
		return 0;
	call->tail_len = missing;
	index = walk.index;
	len = walk.last_len;
	for (i = 0; i < 8; i++) {
		u64 take = len < missing ? len : missing;

		if (bpf_probe_read_user(&piece, sizeof(piece),
					(void *)(iovecs + index * sizeof(piece))))
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
		if (bpf_probe_read_user(&piece, sizeof(piece),
					(void *)(iovecs + index * sizeof(piece))))
			break;
		len = piece.iov_len;
	}
	call->tail_len = 0;
	return 0;
}

static __always_inline void read_tail(struct call *call, const struct payload *p)
{
	u64 n = call->len < RECORD_TAIL_BYTES ? call->len : RECORD_TAIL_BYTES;

	call->tail_len = 0;
	if (p && call->iovecs) {
		tail_of_iovecs(call);
		return;
	}
	if (!bpf_probe_read_user(call->tail, n, (void *)(call->buffer + call->len - n)))
		call->tail_len = n;
}

static __always_inline void fill(struct record_io *record, struct call *call, u32 offset,
				 u32 captured)
{
	record->head.time_ns = call->time_ns;
	record->head.pid = current_pid();
	record->head.kind = RECORD_IO;
	record->head.role = call->role;
	record->head.direction = call->direction;
	record->head.flags = call->flags;
	record->cookie = call->cookie;
	record->begin = call->begin;
	record->other_end = call->other_end;
	record->arrival_ns = call->arrival_ns;
	record->len = call->len;
	record->offset = offset;
	record->captured = captured;
	record->local_port = call->local_port;
	record->peer_port = call->peer_port;
	record->tail_len = 0;
	record->unused = 0;
	__builtin_memset(record->tail, 0, sizeof(record->tail));
	record->work = call->work;
	__builtin_memset(&call->work, 0, sizeof(call->work));
}

static __always_inline void put_tail(struct record_io *record, const struct call *call)
{
	record->head.flags |= IO_LAST;
	record->tail_len = call->tail_len;
	__builtin_memcpy(record->tail, call->tail, RECORD_TAIL_BYTES);
}

/* Requests are counted even when there is no room to report them. */
__weak __noinline int count_lost(u32 pid, bool request)
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
__weak __noinline int emit_brief(struct call *call)
{
	struct record_io *record;

	if (!call)
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record) + FIRST_BYTES, 0);
	if (!record) {
		count_lost(current_pid(), call->request);
		return 0;
	}
	fill(record, call, 0, call->first_len);
	put_tail(record, call);
	__builtin_memcpy(record->data, call->first, FIRST_BYTES);
	bpf_ringbuf_submit(record, record_wakeup(call->time_ns));
	return 0;
}

/* Copies len bytes at address, the call's from offset on, into one record; size is the record's. */
#define EMIT_SLICE(size)                                                                      \
	do {                                                                                  \
		record = bpf_ringbuf_reserve(&records, sizeof(*record) + (size), 0);          \
		if (!record)                                                                  \
			return -1;                                                            \
		fill(record, call, offset, n);                                                \
		barrier_var(n); /* or the compiler, but not the verifier, knows */            \
		if (n > (size))                                                               \
			n = (size);                                                           \
		if (bpf_probe_read_user(record->data, n, (void *)address)) {                  \
			record->captured = 0;                                                 \
			record->head.flags |= IO_UNREADABLE;                                  \
			loss_count(LOSS_UNREADABLE_MEMORY);                                   \
		} else if ((size) >= BATCH_SCAN_MAX && call->request && n > BATCH_SCAN_MIN && \
			   !offset) {                                                         \
			call->batch = holds_second_head((void *)record->data, n);             \
		}                                                                             \
		if (offset + len >= call->last_end)                                           \
			put_tail(record, call);                                               \
		bpf_ringbuf_submit(record, record_wakeup(call->time_ns));                     \
	} while (0)

/* 0, or -1: the ring is full. */
__weak __noinline int emit_slice(struct call *call, u64 address, u32 offset, u32 len)
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

/* Several pieces in one record: GATHER_MAX bytes at most, in a slice of twice that for the
 * verifier's sake. */
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

/* Bytes copied from offset on; 0 when there is no more to be had, or -1: the ring is full. Global,
 * though one place calls it: inside that loop the verifier would walk this one a hundred times. */
__weak __noinline int emit_gathered(struct call *call, struct payload *p, u32 offset)
{
	struct record_io *record;
	struct gather g = {.payload = p};

	if (!call || !p)
		return 0;
	g.max = call->want - offset;
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
	u32 left = walk->call->want - walk->done,
	    n = left < RECORD_DATA_MAX ? left : RECORD_DATA_MAX;

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

	if (p && call->iovecs)
		bpf_loop(SLICES_MAX, gather_step, &walk, 0);
	else if (call->want <= RECORD_DATA_MAX) /* the usual case */
		return emit_slice(call, call->buffer, 0, call->want);
	else
		bpf_loop(SLICES_MAX, slice_step, &walk, 0);
	return walk.error;
}

/* The call's first bytes, from as many pieces as they lie in. */
__weak __noinline int read_first(struct call *call)
{
	struct payload piece, *p = &piece;
	u64 n, at;
	u32 i;

	if (!call)
		return 0;
	piece.base = call->buffer;
	piece.len = call->iovecs ? 0 : call->len;
	piece.iovecs = call->iovecs;
	piece.iovec_count = call->iovec_count;
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

/* Finds the user's memory; false when there is none to be had: then call->flags says whether that
 * is a loss. */
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

/* The end of a call whose middle is body, when it looks like that of a head: another request may
 * follow the body. */
static __always_inline int emit_end(struct call *call)
{
	u32 n = call->len - call->want;

	if (n > RECORD_DATA_MAX)
		n = RECORD_DATA_MAX;
	call->last_end = call->len;
	call->tail_len = 0;
	return emit_slice(call, call->buffer + call->len - n, call->len - n, n);
}

#endif
