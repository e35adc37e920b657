/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* whole - the short way: a short call of known HTTP, as nearly all heads are, is one record, and
 * the user's memory is read once, straight into the ring. Sockets and TLS sessions find that memory
 * each in their way; what it means and what is told of it is the same. What takes the long way
 * (messages.bpf.h) is left alone. */
#ifndef BITTERN_WHOLE_BPF_H
#define BITTERN_WHOLE_BPF_H

#include "connection.bpf.h"
#include "http.bpf.h"
#include "slices.bpf.h"
#include "work.bpf.h"

#define WHOLE_MAX 1024 /* bytes of a call */

/* What is known of its bytes once they are copied. */
struct whole {
	u32 last_bytes;
	bool request; /* it goes in the direction of requests */
	bool batch; /* holds a second head */
};

static __always_inline long read_buffer(u8 *to, u64 size, u64 address, u64 len)
{
	barrier_var(len); /* or the compiler, but not the verifier, knows */
	if (len > size)
		len = size;
	return bpf_probe_read_user(to, len, (void *)address);
}

/* Makes the record of a call of at most size bytes, with room for room, as read() needs it to be
 * understood; it is NULL when the ring is full. */
#define WHOLE(size, room, read, from)                                                         \
	do {                                                                                  \
		record = bpf_ringbuf_reserve(&records, sizeof(*record) + (room), 0);          \
		if (!record)                                                                  \
			break;                                                                \
		if (read(record->data, size, from, len)) {                                    \
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                        \
			return false; /* which counts it */                                   \
		}                                                                             \
		if (len >= 4)                                                                 \
			whole.last_bytes = *(u32 *)(record->data + ((len - 4) & ((size)-1))); \
		if ((size) >= BATCH_SCAN_MAX && len > BATCH_SCAN_MIN && whole.request)        \
			whole.batch = holds_second_head((void *)record->data, len);           \
	} while (0)

static __always_inline void whole_fill(struct record_io *record, struct connection *c,
				       struct task_struct *task, u32 len, u8 direction, bool begins)
{
	bool received = direction == DIRECTION_RECEIVED;
	u64 time_ns = bpf_ktime_get_ns();

	record->head.time_ns = time_ns;
	record->head.pid = task->tgid;
	record->head.kind = RECORD_IO;
	record->head.role = c->role;
	record->head.direction = direction;
	record->cookie = c->cookie;
	record->begin = (received ? c->received_end : c->sent_end) - len;
	record->len = len;
	record->offset = 0;
	record->captured = len;
	record->tail_len = 0;
	record->unused = 0;
	if (cpu_wanted)
		work_told(c, task, thread_of(task, time_ns, c->role == ROLE_SERVER && received),
			  direction, begins, record->begin, time_ns, &record->work);
	else
		__builtin_memset(&record->work, 0, sizeof(record->work));
	bpf_ringbuf_submit(record, record_wakeup(time_ns));
}

/* Tells of the call, or gives the record back when it is the middle of a request's body. What only
 * its kind of connection knows is in the record: the flags, other_end, arrival_ns and the ports. */
static __always_inline void whole_told(struct record_io *record, struct connection *c,
				       struct task_struct *task, u32 len, u8 direction,
				       const struct whole *whole)
{
	bool begins = false, ends = false;
	u32 want;

	if (!whole->request) {
		response_want(c, record->data, len, len, &ends);
		response_copied(c, whole->last_bytes);
	} else {
		if (is_get(record->data, len) || begins_request((void *)record->data, len)) {
			request_begins(c, record->data);
			begins = true;
		}
		if (whole->batch)
			c->flags |= CONNECTION_BATCH;
		want = request_want(c, len);
		if (!want && whole->last_bytes != CRLFCRLF) {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
			if (c->role == ROLE_SERVER)
				work_untold(c, direction);
			return;
		}
	}
	whole_fill(record, c, task, len, direction, begins);
	if (ends)
		dismiss(c);
}

#endif
