/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* arrivals - when bytes came in that wait to be read.
 *
 * TCP calls sk_data_ready for each segment that it can deliver; rcv_nxt is behind the segment then.
 * The last ARRIVALS of them are kept. While none of these has been read, what else comes in counts
 * as part of the newest: what is read first keeps its time. Only the arrival hook writes, under the
 * socket's lock; readers may meet an entry half written, which costs one wrong queue time at worst.
 * Unix sockets have no positions: kept is when the queue last began to fill. */
#ifndef BITTERN_ARRIVALS_BPF_H
#define BITTERN_ARRIVALS_BPF_H

#include "connection.bpf.h"

static __always_inline bool is_before(u32 seq, u32 end)
{
	return (s32)(end - seq) > 0;
}

static __always_inline void arrival_note(struct connection *c, struct sock *sk)
{
	struct tcp_sock *tcp;
	u32 newest = c->arrival_newest & (ARRIVALS - 1), oldest = (newest + 1) & (ARRIVALS - 1);
	u32 end;

	if (c->flags & CONNECTION_UNIX) {
		if (sk->sk_receive_queue.qlen <= 1)
			c->arrival_ns[0] = bpf_ktime_get_ns();
		return;
	}
	tcp = tcp_of(sk);
	if (!tcp)
		return;
	end = tcp->rcv_nxt;
	if (!is_before(c->arrival_end[newest], end))
		return;
	if (is_before(tcp->copied_seq, c->arrival_end[oldest])) {
		c->arrival_end[newest] = end;
		return;
	}
	c->arrival_ns[oldest] = bpf_ktime_get_ns();
	c->arrival_end[oldest] = end;
	c->arrival_newest = oldest;
}

/* When the byte at seq came in; 0: not known. */
static __always_inline u64 arrival_of(const struct connection *c, u32 seq)
{
	u32 i, at;

	if (c->flags & CONNECTION_UNIX)
		return c->arrival_ns[0];
	for (i = 1; i <= ARRIVALS; i++) {
		at = (c->arrival_newest + i) & (ARRIVALS - 1);
		if (is_before(seq, c->arrival_end[at]))
			return c->arrival_ns[at];
	}
	return 0;
}

/* When the oldest byte came in that nobody has read; 0: there is none, or it is not known. */
static __always_inline u64 arrival_unread(const struct connection *c, struct sock *sk)
{
	const struct tcp_sock *tcp;
	u32 unread, copied;

	if (c->flags & CONNECTION_UNIX)
		return sk->sk_receive_queue.qlen ? c->arrival_ns[0] : 0;
	tcp = (const struct tcp_sock *)sk; /* iterators trust no cast */
	copied = BPF_CORE_READ(tcp, copied_seq);
	unread = BPF_CORE_READ(tcp, rcv_nxt) - copied;
	if (unread && fin_received(sk))
		unread--; /* TCP counts the FIN as one */
	return unread ? arrival_of(c, copied) : 0;
}

#endif
