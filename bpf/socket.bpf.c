// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* socket - sees bytes pass through sockets and recognises HTTP.
 *
 * One hook a direction, after delivery; each look starts with the socket's storage, so that what is
 * not HTTP costs one look-up. The kernel side decides a connection's role, by who sends the request
 * line, and how much to copy (http.bpf.h). Short calls, which nearly all heads are, go the short
 * way (whole.bpf.h): one record, copied straight into the ring; everything else the long way
 * (messages.bpf.h, slices.bpf.h).
 */
#define TCP_BY_CAST
#include "maps.bpf.h"
#include "arrivals.bpf.h"
#include "connection.bpf.h"
#include "http.bpf.h"
#include "messages.bpf.h"
#include "payload.bpf.h"
#include "slices.bpf.h"
#include "tls.bpf.h"
#include "whole.bpf.h"
#include "work.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

/* The short way is for one buffer, or a few pieces. What takes the long way gives false here. */
#define PIECES_MAX 4

struct pieces {
	struct iovec vector[PIECES_MAX];
	u64 count; /* 0: one buffer, at vector[0] */
};

static __always_inline bool find_pieces(struct pieces *pieces, struct task_struct *task)
{
	struct call_arguments arguments;
	u64 bytes;

	if (task->flags & PF_IO_WORKER || !call_arguments(&arguments, task))
		return false;
	if (syscall_has_buffer(arguments.number)) {
		pieces->count = 0;
		pieces->vector[0].iov_base = (void *)arguments.a1;
		return true;
	}
	if (!syscall_has_vector(arguments.number) || arguments.a2 - 1 >= PIECES_MAX)
		return false;
	bytes = arguments.a2 * sizeof(struct iovec);
	barrier_var(bytes); /* what the verifier of 6.12 knows must be about this register */
	if (bytes > sizeof(pieces->vector))
		return false;
	pieces->count = arguments.a2;
	__builtin_memset(pieces->vector, 0, sizeof(pieces->vector));
	return !bpf_probe_read_user(pieces->vector, bytes, (void *)arguments.a1);
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

static __noinline bool seen_whole(struct sock *sk, struct connection *c, u32 len, u8 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct whole whole = {.request = is_request_direction(c, direction)};
	struct pieces pieces;
	struct record_io *record;

	if (!find_pieces(&pieces, task))
		return false;
	if (pieces.count && len <= 256)
		WHOLE(256, 512, read_pieces, &pieces);
	else if (pieces.count)
		WHOLE(WHOLE_MAX, 2 * WHOLE_MAX, read_pieces, &pieces);
	else if (len <= 128)
		WHOLE(128, 128 + 8, read_buffer, (u64)pieces.vector[0].iov_base);
	else if (len <= 256)
		WHOLE(256, 256 + 8, read_buffer, (u64)pieces.vector[0].iov_base);
	else
		WHOLE(WHOLE_MAX, WHOLE_MAX + 8, read_buffer, (u64)pieces.vector[0].iov_base);
	if (!record) {
		count_lost(task->tgid, whole.request);
		return true;
	}
	record->head.flags = IO_LAST | connection_io_flags(c);
	record->other_end = other_end(c, sk, direction);
	record->arrival_ns = c->role == ROLE_SERVER && direction == DIRECTION_RECEIVED
				     ? arrival_of(c, c->copied_seq - len)
				     : 0;
	record->local_port = sk->__sk_common.skc_num;
	record->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	whole_told(record, c, task, len, direction, &whole);
	return true;
}

/* Ciphertext: what the thread does with TLS next may belong to it. */
static __always_inline void tls_seen(struct connection *c, struct sock *sk, u32 len, u8 direction)
{
	struct tls_io io = {
		.len = len,
		.local_port = sk->__sk_common.skc_num,
		.peer_port = bpf_ntohs(sk->__sk_common.skc_dport),
		.direction = direction,
		.peer_closed = fin_received(sk),
	};

	if (direction == DIRECTION_RECEIVED)
		io.arrival_ns = arrival_of(c, c->copied_seq - len);
	tls_moved(c, &io);
}

/* The long way: any call, in any pieces, of a connection that is known or not. True: it carries
 * TLS. It and the short way are functions of their own: the verifier of 6.12 allows 512 bytes of
 * stack on any path, and with what it calls this needs most of them, as tls_seen() does. */
static __noinline bool seen_in_pieces(struct sock *sk, struct connection *c, u32 len, u8 direction)
{
	struct call call = {
		.time_ns = bpf_ktime_get_ns(),
		.len = len,
		.cookie = c->cookie,
		.direction = direction,
		.role = c->role,
		.flags = connection_io_flags(c),
	};
	struct payload payload;

	call.begin = (direction == DIRECTION_RECEIVED ? c->received_end : c->sent_end) - len;
	call.other_end = other_end(c, sk, direction);
	if (direction == DIRECTION_RECEIVED && c->role != ROLE_CLIENT)
		call.arrival_ns = arrival_of(c, c->copied_seq - len);
	call.local_port = sk->__sk_common.skc_num;
	call.peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (!len) {
		emit_eof(c, &call);
		return false;
	}
	if (!look(c, &call, &payload)) {
		if (c->role != ROLE_NONE)
			emit_brief(&call);
		return false;
	}
	read_first(&call);
	if (c->role == ROLE_NONE) {
		identify(c, &call);
		if (c->role == ROLE_NONE) {
			if (!(c->flags & CONNECTION_ACCEPTED))
				work_untold(c, direction);
			return c->flags & CONNECTION_TLS;
		}
		if (fin_received(sk)) /* while it was not known to be HTTP, no state is told */
			call.flags |= IO_PEER_CLOSED;
	}
	call.role = c->role;
	tell_call(c, &call, &payload);
	return false;
}

/* A function of its own for its stack, as above. */
static __noinline struct connection *first_seen(struct sock *sk, u32 len, u8 direction)
{
	return connection_create(sk, len, direction);
}

static __always_inline int io_seen(struct sock *sk, int ret, int flags, u8 direction)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, NULL, 0);

	if (c && is_let_go(c)) {
		if (!(c->flags & CONNECTION_ACCEPTED) && ret > 0)
			work_untold(c, direction);
		return 0;
	}
	if (ret == -EAGAIN && direction == DIRECTION_SENT && c && c->flags & CONNECTION_TLS)
		tls_seen(c, sk, 0, direction);
	if (ret < 0 ||
	    (direction == DIRECTION_RECEIVED && flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_TRUNC)))
		return 0;
	if (c && c->flags & CONNECTION_DISMISSED) {
		if (ret) {
			positions_update(c, sk, ret, direction);
			tls_seen(c, sk, ret, direction);
		}
		return 0;
	}
	if (tls_parsers && direction == DIRECTION_RECEIVED)
		tls_unmoved();
	if (!c) {
		if (!ret)
			return 0;
		c = first_seen(sk, ret, direction);
		if (!c)
			return 0;
	} else if (c->flags & (CONNECTION_LISTENER | CONNECTION_UNCHECKED) &&
		   !connection_check(c, sk, ret, direction)) {
		return 0;
	}
	if (c->role == ROLE_NONE && c->recheck_ns && c->recheck_ns > bpf_ktime_get_ns()) {
		if (!(c->flags & CONNECTION_ACCEPTED))
			work_untold(c, direction);
		return 0;
	}
	positions_update(c, sk, ret, direction);
	if (c->role == ROLE_NONE || !ret || ret > WHOLE_MAX || !seen_whole(sk, c, ret, direction)) {
		if (seen_in_pieces(sk, c, ret, direction))
			tls_seen(c, sk, ret, direction);
	}
	return 0;
}

/* From Linux 7.0 on a hook can be preempted, and the kernel does not run it inside itself: until it
 * goes on, what any other process on its CPU receives (or sends) passes it over. A second copy,
 * attached only there, takes this. That the first has run for the same call is read off its mark;
 * without that (this process may have changed its CPU in between) off the positions. Unix sockets
 * have none: there it is a loss. */
static __always_inline struct hook_mark *mark_of(u8 direction)
{
	u32 key = direction;

	return bpf_map_lookup_elem(&hook_marks, &key);
}

static __always_inline int first_copy(struct sock *sk, int ret, int flags, u8 direction)
{
	struct hook_mark *mark;

	if (hooks_preemptible()) {
		mark = mark_of(direction);
		if (mark) {
			mark->task = bpf_get_current_task();
			mark->sk = (u64)sk;
		}
	}
	return io_seen(sk, ret, flags, direction);
}

static __always_inline int second_copy(struct sock *sk, int ret, int flags, u8 direction)
{
	struct hook_mark *mark = mark_of(direction);
	struct connection *c;
	struct tcp_sock *tcp;
	bool is_seen = false;

	if (!mark)
		return 0;
	if (mark->sk == (u64)sk && mark->task == bpf_get_current_task()) {
		mark->sk = 0;
		return 0;
	}
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (c && !(c->flags & (CONNECTION_LISTENER | CONNECTION_UNIX))) {
		tcp = tcp_of(sk);
		is_seen = direction == DIRECTION_RECEIVED ? c->copied_seq == tcp->copied_seq
							  : c->write_seq == tcp->write_seq;
	}
	if (is_seen && ret > 0)
		return 0; /* by the first copy, on another CPU */
	mark->passed_over++;
	if (is_seen)
		return 0;
	if (c && c->flags & CONNECTION_UNIX) {
		if (c->role != ROLE_NONE && ret > 0)
			loss_count(LOSS_SKIPPED_RUN);
		return 0;
	}
	return io_seen(sk, ret, flags, direction);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_receive, struct sock *sk, int ret, int flags)
{
	return first_copy(sk, ret, flags, DIRECTION_RECEIVED);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_receive_2, struct sock *sk, int ret, int flags)
{
	return hooks_preemptible() ? second_copy(sk, ret, flags, DIRECTION_RECEIVED) : 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_send, struct sock *sk, int ret, int flags)
{
	return first_copy(sk, ret, flags, DIRECTION_SENT);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_send_2, struct sock *sk, int ret, int flags)
{
	return hooks_preemptible() ? second_copy(sk, ret, flags, DIRECTION_SENT) : 0;
}
