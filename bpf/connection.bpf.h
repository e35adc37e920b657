/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* connection - a socket's storage: when it is made, and the positions of its two streams. */
#ifndef BITTERN_CONNECTION_BPF_H
#define BITTERN_CONNECTION_BPF_H

#include "maps.bpf.h"
#include <bpf/bpf_core_read.h>

/* The TCP side of a socket that is known to be one. A cast costs nothing, but bpftool 7.5 can only
 * link a kernel function that one object uses: that with the hot path. */
#ifdef TCP_BY_CAST
extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym;
#define tcp_of(sk) \
	((struct tcp_sock *)bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock)))
#else
#define tcp_of(sk) ((struct tcp_sock *)bpf_skc_to_tcp_sock(sk))
#endif

static __always_inline bool wanted(u32 pid)
{
	return !bpf_map_lookup_elem(&unwanted_processes, &pid);
}

/* Whether this process accepted the connection: a child socket keeps its listener's backlog limit,
 * or, on unix sockets, its address. */
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

	return received + sent <= (u64)len + 2 &&
	       (direction == DIRECTION_SENT ? sent : received) >= len;
}

/* Neither HTTP nor TLS passes it. */
static __always_inline bool is_let_go(const struct connection *c)
{
	return (c->flags & (CONNECTION_DISMISSED | CONNECTION_TLS)) == CONNECTION_DISMISSED;
}

static __always_inline u8 connection_io_flags(const struct connection *c)
{
	return (c->flags & CONNECTION_UNIX ? IO_UNIX : 0) |
	       (c->flags & CONNECTION_FROM_BIRTH ? IO_FROM_BIRTH : 0);
}

/* What is known of a socket so far. len: bytes of the call that is being looked at. */
static __always_inline void connection_begin(struct connection *c, struct sock *sk,
					     struct tcp_sock *tcp, u32 len, u8 direction)
{
	u32 i;

	c->cookie = bpf_get_socket_cookie(sk);
	if (was_accepted(sk, !tcp))
		c->flags |= CONNECTION_ACCEPTED;
	if (!tcp) {
		c->flags |= CONNECTION_UNIX;
		return;
	}
	if (is_from_birth(tcp, len, direction))
		c->flags |= CONNECTION_FROM_BIRTH;
	c->copied_seq = tcp->copied_seq - (direction == DIRECTION_RECEIVED ? len : 0);
	c->write_seq = tcp->write_seq - (direction == DIRECTION_SENT ? len : 0);
	for (i = 0; i < ARRIVALS; i++)
		c->arrival_end[i] = c->copied_seq;
}

/* NULL for what is neither a TCP nor a unix stream socket; *tcp is NULL for the latter. */
static __always_inline bool is_stream(struct sock *sk, struct tcp_sock **tcp)
{
	u16 family = sk->__sk_common.skc_family;

	*tcp = NULL;
	if (sk->sk_type != SOCK_STREAM)
		return false;
	if (family == AF_UNIX)
		return true;
	if ((family != AF_INET && family != AF_INET6) || sk->sk_protocol != IPPROTO_TCP)
		return false;
	*tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	return *tcp != NULL;
}

/* A socket's storage, which begins as first unless it is there already: another hook may look at
 * it, or copy a listener's, as soon as it is. Of two that make it at once the kernel refuses one.
 * NULL: there is no memory, and that is counted. */
static __always_inline struct connection *connection_make(struct sock *sk, struct connection *first)
{
	struct connection *c =
		bpf_sk_storage_get(&connections, sk, first, BPF_SK_STORAGE_GET_F_CREATE);

	if (!c)
		c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (!c)
		loss_count(LOSS_CONNECTION_STATE);
	return c;
}

/* Storage for a stream socket of a process that may be wanted. */
static __always_inline struct connection *connection_create(struct sock *sk, u32 len, u8 direction)
{
	struct connection first = {};
	struct tcp_sock *tcp;

	/* Of unwanted processes each call comes here: the helper call in is_stream() is not theirs.
	 */
	if (sk->sk_type != SOCK_STREAM || !wanted(current_pid()) || !is_stream(sk, &tcp))
		return NULL;
	connection_begin(&first, sk, tcp, len, direction);
	return connection_make(sk, &first);
}

/* The first look at a connection that has its listener's storage. */
static __always_inline void connection_accepted(struct connection *c, struct sock *sk, u32 len,
						u8 direction)
{
	struct tcp_sock *tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);

	c->flags = CONNECTION_UNCHECKED;
	if (tcp)
		connection_begin(c, sk, tcp, len, direction);
}

/* The first call of a process on a connection that was known before it. */
static __always_inline bool connection_check(struct connection *c, struct sock *sk, u32 len,
					     u8 direction)
{
	if (c->flags & CONNECTION_LISTENER)
		connection_accepted(c, sk, len, direction);
	c->flags &= ~CONNECTION_UNCHECKED;
	if (wanted(current_pid()))
		return true;
	c->flags |= CONNECTION_DISMISSED;
	return false;
}

/* A sequence number that did not go back. */
static __always_inline u32 forward(u32 from, u32 to)
{
	return (s32)(to - from) > 0 ? to - from : 0;
}

static __always_inline bool fin_received(const struct sock *sk)
{
	return sk->sk_shutdown & RCV_SHUTDOWN;
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
	tcp = tcp_of(sk);
	if (direction == DIRECTION_RECEIVED) {
		delta = forward(c->copied_seq, tcp->copied_seq);
		c->copied_seq += delta;
		if (delta > len && fin_received(sk))
			delta--; /* read with the last bytes, and counted by TCP as one */
		c->received_end += delta;
		if (c->received_end < len)
			c->received_end = len; /* it began while this call was under way */
	} else {
		delta = forward(c->write_seq, tcp->write_seq);
		c->write_seq += delta;
		c->sent_end += delta;
		if (c->sent_end < len)
			c->sent_end = len;
	}
}

/* How far the other direction has come. Its own hook keeps the position and may not have run yet,
 * so the socket is asked; nothing is stored, as that hook may be running. */
static __always_inline u64 other_end(const struct connection *c, struct sock *sk, u8 direction)
{
	struct tcp_sock *tcp;
	u32 delta;

	if (c->flags & CONNECTION_UNIX)
		return direction == DIRECTION_RECEIVED ? c->sent_end : c->received_end;
	tcp = tcp_of(sk);
	if (direction == DIRECTION_RECEIVED)
		return c->sent_end + forward(c->write_seq, tcp->write_seq);
	delta = forward(c->copied_seq, tcp->copied_seq);
	return c->received_end + (delta && fin_received(sk) ? delta - 1 : delta);
}

#endif
