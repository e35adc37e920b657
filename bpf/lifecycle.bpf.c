// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* lifecycle - what happens to a connection beside its bytes being read and written: its process
 * listens or connects, bytes arrive, one side closes; and the lists of those there are.
 *
 * A listener of a process that may be wanted gets storage, which the kernel copies to every
 * connection that it accepts: so their first byte's arrival is seen, also while they wait in the
 * backlog. Arrival runs in softirq for every socket of the host, so all that it does for one
 * without storage is to find that out. */
#include "arrivals.bpf.h"
#include "connection.bpf.h"
#include "maps.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by user space for one listing: every connection with HTTP. */
volatile bool list_all_connections = false;

static __always_inline void listener_mark(struct sock *sk, u32 pid)
{
	struct connection first = {.flags = CONNECTION_LISTENER, .pid = pid};
	struct connection *c = connection_make(sk, &first);

	if (c) { /* it may have had storage before */
		c->flags = CONNECTION_LISTENER;
		c->pid = pid;
	}
}

/* --- arrival --- */

/* A unix socket that has no storage: one that connects wakes the listener before it can send. */
static __always_inline struct connection *unix_accepted(struct sock *sk)
{
	struct unix_sock *un = (struct unix_sock *)bpf_skc_to_unix_sock(sk);
	struct connection first = {.flags = CONNECTION_UNCHECKED};
	u64 address;
	u32 pid, *listener;

	if (!un)
		return NULL;
	address = (u64)un->addr;
	if (!address)
		return NULL;
	if (sk->__sk_common.skc_state == TCP_LISTEN) {
		pid = BPF_CORE_READ(sk, sk_peer_pid, numbers[0].nr);
		if (wanted(pid))
			bpf_map_update_elem(&unix_listeners, &address, &pid, BPF_ANY);
		else
			bpf_map_delete_elem(&unix_listeners, &address);
		return NULL;
	}
	listener = bpf_map_lookup_elem(&unix_listeners, &address);
	if (!listener)
		return NULL;
	first.pid = *listener;
	connection_begin(&first, sk, NULL, 0, DIRECTION_RECEIVED);
	return connection_make(sk, &first);
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(socket_arrival, struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, NULL, 0);

	if (!c) {
		if (sk->__sk_common.skc_family != AF_UNIX || sk->sk_type != SOCK_STREAM)
			return 0;
		c = unix_accepted(sk);
		if (!c)
			return 0;
	}
	if (is_let_go(c) || c->role == ROLE_CLIENT)
		return 0;
	if (c->flags & CONNECTION_LISTENER) {
		if (sk->__sk_common.skc_state == TCP_LISTEN)
			return 0;
		connection_accepted(c, sk, 0, DIRECTION_RECEIVED);
	}
	if (c->flags & CONNECTION_ACCEPTED)
		arrival_note(c, sk);
	return 0;
}

/* --- connecting --- */

static __always_inline void connect_begins(struct sock *sk)
{
	struct connection *c;

	c = connection_create(sk, 0, DIRECTION_SENT);
	if (!c)
		return;
	c->flags |= CONNECTION_CONNECTING;
	c->pid = bpf_get_current_pid_tgid() >> 32;
	c->arrival_ns[0] = bpf_ktime_get_ns();
}

static __always_inline void connect_failed(struct sock *sk, const struct connection *c)
{
	u64 time_ns = bpf_ktime_get_ns();
	struct record_connect_failed *record =
		record_reserve(sizeof(*record), RECORD_CONNECT_FAILED, c->pid, time_ns);

	if (!record)
		return;
	record->begin_ns = c->arrival_ns[0];
	record->error = sk->sk_err;
	record->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record->family = sk->__sk_common.skc_family;
	if (record->family == AF_INET)
		*(u32 *)record->peer_address = sk->__sk_common.skc_daddr;
	else
		bpf_probe_read_kernel(record->peer_address, sizeof(record->peer_address),
				      &sk->__sk_common.skc_v6_daddr);
	bpf_ringbuf_submit(record, record_wakeup(time_ns));
}

/* True: there is nothing more to this change. */
static __always_inline bool connect_seen(struct sock *sk, int old_state, int new_state)
{
	struct connection *c;
	struct tcp_sock *tcp;

	if (new_state == TCP_LISTEN) {
		u32 pid = bpf_get_current_pid_tgid() >> 32;

		if (wanted(pid))
			listener_mark(sk, pid);
		return true;
	}
	if (new_state == TCP_SYN_SENT) {
		connect_begins(sk);
		return true;
	}
	if (old_state != TCP_SYN_SENT)
		return false;
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (!c || !(c->flags & CONNECTION_CONNECTING))
		return true;
	c->flags &= ~CONNECTION_CONNECTING;
	tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (new_state == TCP_CLOSE)
		connect_failed(sk, c);
	else if (tcp) /* only now the sequence numbers are those of the connection */
		connection_begin(c, sk, tcp, 0, DIRECTION_SENT);
	return true;
}

/* --- ends --- */

/* A connection that gets to CLOSE has already given back skc_num. */
static __always_inline u16 local_port(struct sock *sk)
{
	return bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/* Closes and resets. In CLOSE_WAIT the peer has sent its FIN, in any other new state of interest
 * this side closed or the connection broke; sk_err and sk_shutdown tell which. A connection of
 * which nothing is known but that it dies unread is told too. */
static __always_inline int state_seen(struct sock *sk, int old_state, int new_state)
{
	struct connection *c;
	struct record_state *record;
	struct task_struct *task;
	struct tcp_sock *tcp;
	u64 time_ns, arrival_ns = 0;
	bool tls;

	if (connect_seen(sk, old_state, new_state))
		return 0;
	if (new_state != TCP_CLOSE && new_state != TCP_FIN_WAIT1 && new_state != TCP_CLOSE_WAIT &&
	    new_state != TCP_LAST_ACK)
		return 0;
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (!c || is_let_go(c) || c->flags & CONNECTION_LISTENER || c->state == new_state)
		return 0;
	tls = c->flags & CONNECTION_TLS && c->role == ROLE_NONE;
	if (c->flags & CONNECTION_ACCEPTED && new_state == TCP_CLOSE && !tls)
		arrival_ns = arrival_unread(c, sk);
	if (c->role == ROLE_NONE && !arrival_ns && !tls)
		return 0;
	c->state = new_state;
	time_ns = bpf_ktime_get_ns();
	record = record_reserve(sizeof(*record), RECORD_STATE, 0, time_ns);
	if (!record)
		return 0;
	task = bpf_get_current_task_btf();
	record->cookie = c->cookie;
	record->received_end = c->received_end;
	record->sent_end = c->sent_end;
	tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (tls) { /* positions are those of the plaintext */
		record->cookie |= COOKIE_TLS;
		record->received_end = record->sent_end = 0;
	} else if (tcp) { /* a send may be over whose hook is still to come */
		record->sent_end += forward(c->write_seq, tcp->write_seq);
	}
	record->arrival_ns = arrival_ns;
	record->listener_pid = c->pid;
	record->local_port = local_port(sk);
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

/* The kernel does not run a program inside itself: a close that softirq finds while this one runs
 * on the same CPU passes it over. The second copy takes what the first has not. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old_state, int new_state)
{
	return state_seen(sk, old_state, new_state);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state_2, struct sock *sk, int old_state, int new_state)
{
	return state_seen(sk, old_state, new_state);
}

/* --- lists --- */

/* Connections that user space cannot know all about from records: unix sockets close without a
 * hook, and what nobody reads is in none. */
SEC("iter/bpf_sk_storage_map")
int socket_list(struct bpf_iter__bpf_sk_storage_map *context)
{
	struct connection_state state = {};
	struct connection *value = context->value, copy, *c = &copy;
	struct sock *sk = context->sk;
	bool tls;

	if (!value || !sk)
		return 0;
	copy = *value; /* the verifier wants constant offsets into what the iterator gives */
	if (is_let_go(c) || c->flags & CONNECTION_LISTENER)
		return 0;
	tls = c->flags & CONNECTION_TLS && c->role == ROLE_NONE;
	if (c->flags & CONNECTION_ACCEPTED && !tls)
		state.arrival_ns = arrival_unread(c, sk);
	if (!state.arrival_ns && ((c->role == ROLE_NONE && !tls) ||
				  !(c->flags & CONNECTION_UNIX || list_all_connections)))
		return 0;
	state.cookie = c->cookie;
	if (tls) {
		state.cookie |= COOKIE_TLS;
	} else {
		state.received_end = c->received_end;
		state.sent_end = c->sent_end;
	}
	state.listener_pid = c->pid;
	state.local_port = c->flags & CONNECTION_UNIX ? 0 : sk->__sk_common.skc_num;
	state.role = c->role;
	state.shutdown = sk->sk_shutdown;
	state.is_unix = c->flags & CONNECTION_UNIX ? 1 : 0;
	bpf_seq_write(context->meta->seq, &state, sizeof(state));
	return 0;
}

/* Run once at the start, for what is older than the hooks: listeners, and the connections that were
 * accepted before, whose next request's arrival would not be seen otherwise. */
SEC("iter/task_file")
int socket_adopt(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct connection first = {};
	struct socket *socket;
	struct tcp_sock *tcp;
	struct sock *sk;

	hooks_preempted = hooks_preemptible();
	if (!task || !file || !wanted(task->tgid))
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !is_stream(sk, &tcp) || !tcp)
		return 0;
	if (sk->__sk_common.skc_state == TCP_LISTEN) {
		listener_mark(sk, task->tgid);
	} else if (sk->__sk_common.skc_state == TCP_ESTABLISHED && was_accepted(sk, false)) {
		if (bpf_sk_storage_get(&connections, sk, NULL, 0))
			return 0;
		first.pid = task->tgid;
		connection_begin(&first, sk, tcp, 0, DIRECTION_RECEIVED);
		connection_make(sk, &first);
	}
	return 0;
}
