/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* messages - what becomes of a call whose first bytes are known: the connection's role, and the
 * records that tell of it. */
#ifndef BITTERN_MESSAGES_BPF_H
#define BITTERN_MESSAGES_BPF_H

#include "connection.bpf.h"
#include "http.bpf.h"
#include "slices.bpf.h"
#include "work.bpf.h"

#define TRIES_MAX 1000 /* calls looked at before an older connection rests ... */
#define RECHECK_NS 1000000000ull /* ... and how long */
#define HELLO_WAKEUP_NS 1000000000ull

/* A session of TLS that begins may need probes that user space has taken off: they are to be there
 * before its first request. Under many new sessions a wake-up a second is enough. */
static volatile u64 hello_woken_ns;

static __always_inline u64 hello_wakeup(u64 time_ns)
{
	if (time_ns - hello_woken_ns < HELLO_WAKEUP_NS)
		return record_wakeup(time_ns);
	hello_woken_ns = time_ns;
	return BPF_RB_FORCE_WAKEUP;
}

/* What a client of HTTP/2 begins with, and nothing else does (RFC 9113, section 3.4). */
#define PREFACE "PRI * HTTP/2.0\r\n"

static __always_inline bool begins_preface(const u8 *first)
{
	return !__builtin_memcmp(first, PREFACE, FIRST_BYTES);
}

/* The frame SETTINGS, a server's first. */
static __always_inline bool begins_settings(const struct call *call)
{
	const u8 *b = call->first;

	return call->first_len >= 9 && b[3] == 4 && !(b[4] | b[5] | b[6] | b[7] | b[8]);
}

/* Which role the process has in HTTP/2, by the client's preface. */
static __always_inline enum role preface_role(const struct call *call)
{
	if (call->first_len < FIRST_BYTES || !begins_preface(call->first))
		return ROLE_NONE;
	return call->direction == DIRECTION_SENT ? ROLE_CLIENT : ROLE_SERVER;
}

/* role: of the process. */
static __always_inline void emit_undecoded(const struct call *call, enum role role)
{
	struct record_undecoded *record =
		record_reserve(sizeof(*record), RECORD_UNDECODED, current_pid(), call->time_ns);

	if (!record)
		return;
	record->head.role = role;
	record->cookie = call->cookie;
	record->local_port = call->local_port;
	record->len = call->first_len;
	__builtin_memcpy(record->first, call->first, FIRST_BYTES);
	bpf_ringbuf_submit(record, call->first[0] == TLS_HANDSHAKE && tls_wanted
					   ? hello_wakeup(call->time_ns)
					   : record_wakeup(call->time_ns));
}

/* Bytes that begin as a record of TLS does (RFC 8446, section 5.1). */
static __always_inline bool begins_tls(const u8 *b, u32 len)
{
	return len >= 5 && b[0] >= 20 && b[0] <= 23 && b[1] == 3 && b[2] <= 4;
}

/* Marks a connection with TLS. One whose begin was not seen may be inside a body that looks so: it
 * is believed when a call holds a record's head alone or a whole record, or two in a row look so.
 */
static __always_inline void identify_tls(struct connection *c, const struct call *call)
{
	u32 record_len = 5 + (call->first[3] << 8 | call->first[4]);

	if (!begins_tls(call->first, call->first_len)) {
		c->flags &= ~CONNECTION_TLS;
		return;
	}
	if (c->flags & CONNECTION_TLS || call->len == 5 || call->len == record_len)
		c->flags |= CONNECTION_DISMISSED;
	c->flags |= CONNECTION_TLS;
}

/* A server may speak first; it is only told of when the client's preface is seen. */
static __always_inline bool awaits_preface(struct connection *c, const struct call *call)
{
	if ((call->direction == DIRECTION_SENT) != !!(c->flags & CONNECTION_ACCEPTED))
		return false;
	if (begins_settings(call))
		c->flags |= CONNECTION_HTTP2;
	return c->flags & CONNECTION_HTTP2;
}

/* Gives a connection its role, or marks it: for good if it did not begin as HTTP; an older one may
 * be inside a body and is looked at again. */
static __always_inline void identify(struct connection *c, struct call *call)
{
	enum role http2;

	if (call->request && call->direction == DIRECTION_RECEIVED) {
		c->role = ROLE_SERVER;
		return;
	}
	if (call->request && !(c->flags & CONNECTION_ACCEPTED)) {
		if (clients_wanted)
			c->role = ROLE_CLIENT;
		return;
	}
	if (!call->first_len)
		return; /* unreadable, counted */
	http2 = call->begin ? ROLE_NONE : preface_role(call);
	if (http2) {
		c->flags |= CONNECTION_DISMISSED;
		emit_undecoded(call, http2);
		return;
	}
	if (tls_wanted && !(call->flags & IO_TLS))
		identify_tls(c, call);
	if (c->flags & CONNECTION_FROM_BIRTH) {
		if (awaits_preface(c, call))
			return;
		c->flags |= CONNECTION_DISMISSED;
		if (c->flags & CONNECTION_ACCEPTED && call->direction == DIRECTION_RECEIVED)
			emit_undecoded(call, ROLE_SERVER);
		return;
	}
	if (++c->tries > TRIES_MAX) {
		c->tries = TRIES_MAX;
		c->recheck_ns = call->time_ns + RECHECK_NS;
	}
}

static __always_inline bool plan_request(struct connection *c, struct call *call, struct payload *p,
					 bool *end_too)
{
	if (call->request) {
		request_begins(c, call->first);
		if (!(c->flags & CONNECTION_BODILESS) && call->len > REQUEST_BUDGET) {
			read_tail(call, p);
			if (ends_head(call)) /* a batch, or a very long head */
				c->request_left = BODILESS_BUDGET;
		}
	}
	call->want = request_want(c, call->len);
	if (call->want < call->len) {
		if (!call->tail_len)
			read_tail(call, p);
		*end_too = ends_head(call) && !(p && call->iovecs);
	}
	return call->want || *end_too;
}

/* p: NULL if the call has one buffer, not a vector; nothing that walks one is on the stack then. */
static __always_inline void emit(struct connection *c, struct call *call, struct payload *p)
{
	bool ends = false, end_too = false;

	if (is_request_direction(c, call->direction)) {
		if (!plan_request(c, call, p, &end_too))
			return;
	} else {
		call->request = 0;
		call->want = response_want(c, call->first, call->first_len, call->len, &ends);
		read_tail(call, p);
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
			count_lost(current_pid(), call->request);
	}
	if (call->batch)
		c->flags |= CONNECTION_BATCH;
	if (ends)
		dismiss(c);
}

static __always_inline void work_of_call(struct connection *c, struct call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool received = c->role == ROLE_SERVER && call->direction == DIRECTION_RECEIVED;

	if (!cpu_wanted)
		return;
	if (received && !call->request)
		work_untold(c, call->direction);
	else
		work_told(c, task, thread_of(task, call->time_ns, received), call->direction,
			  received, call->begin, call->time_ns, &call->work);
}

/* A call on a connection whose role is known. */
static __always_inline void tell_call(struct connection *c, struct call *call, struct payload *p)
{
	work_of_call(c, call);
	if (call->first_len)
		emit(c, call, p);
	else
		emit_brief(call);
	if (call->work.tid) /* no record took it along */
		emit_work(&call->work, current_pid(), call->time_ns);
}

#endif
