/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* session - which session a thread uses, which socket it has, and what its plaintext tells.
 *
 * Which socket? A library that reads the socket itself does so inside its function: what the
 * thread receives there belongs to the session. With memory BIOs a program receives the ciphertext
 * first, puts it into the session's BIO, and turns to the session, at once. The last bytes of
 * ciphertext, which no other has, tell which socket it came from. Where BIOs have no probe, since
 * the program was seen to turn to the session as soon as it has received, the session takes what
 * was received last, if no other session has that socket. In node the parser is called from within
 * the receiving callback, so the socket is known and names the session; the SSL object becomes
 * known when node turns to it, or, where SSL_read() has no probe, when what was written to it
 * leaves by a socket whose request waits for an answer. */
#ifndef BITTERN_SESSION_BPF_H
#define BITTERN_SESSION_BPF_H

#include "connection.bpf.h"
#include "http.bpf.h"
#include "messages.bpf.h"
#include "slices.bpf.h"
#include "tls.bpf.h"
#include "whole.bpf.h"

static const struct session no_session;

/* The thread's storage, made at its first use of TLS; NULL: it is of an unwanted process. */
static __always_inline struct tls_thread *this_thread(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_thread *t = bpf_task_storage_get(&tls_threads, task, NULL, 0);

	if (t || !wanted(task->tgid))
		return t;
	t = bpf_task_storage_get(&tls_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		loss_count(LOSS_CONNECTION_STATE);
	return t;
}

/* --- sessions --- */

static __always_inline struct session *session_find(u64 name)
{
	struct session_key key = {.name = name, .pid = current_pid()};

	return bpf_map_lookup_elem(&sessions, &key);
}

static __always_inline struct session *session_create(u64 name, u16 flags)
{
	struct session_key key = {.name = name, .pid = current_pid()};
	struct session *s;

	if (bpf_map_update_elem(&sessions, &key, &no_session, BPF_NOEXIST)) {
		loss_count(LOSS_CONNECTION_STATE);
		return NULL;
	}
	s = bpf_map_lookup_elem(&sessions, &key);
	if (!s)
		return NULL;
	s->c.flags = flags;
	tls_count(TLS_SESSIONS);
	return s;
}

/* Until its first record a session can take its socket's name. */
static __always_inline void session_name(struct session *s)
{
	if (s->c.cookie)
		return;
	if (s->socket) {
		s->c.cookie = s->socket | COOKIE_TLS;
		return;
	}
	s->c.cookie = (bpf_ktime_get_ns() & (COOKIE_UNJOINED - 1)) | COOKIE_UNJOINED | COOKIE_TLS;
	tls_count(TLS_UNJOINED);
}

static __always_inline void session_has_socket(struct session *s, const struct tag *from)
{
	s->socket = from->socket;
	s->arrival_ns = from->arrival_ns;
	s->local_port = from->local_port;
	s->peer_port = from->peer_port;
	s->peer_closed = from->peer_closed;
	s->c.flags |= from->flags & CONNECTION_ACCEPTED;
}

/* False: another session that is still there has this socket. */
static __always_inline bool socket_is_free(u64 socket, const struct session_key *key)
{
	struct session_key *owner = bpf_map_lookup_elem(&session_sockets, &socket);
	struct session *other;

	if (!owner || (owner->name == key->name && owner->pid == key->pid))
		return true;
	other = bpf_map_lookup_elem(&sessions, owner);
	return !other || other->socket != socket;
}

/* The thread has turned to a session: what it has received belongs to it. */
static __always_inline void session_takes(struct session *s, u64 name, struct tls_thread *t)
{
	struct session_key key = {.name = name, .pid = current_pid()};
	u64 socket = t->last.socket;
	u8 received = t->received;

	if (received == RECEIVED_NOTHING)
		return;
	t->received = RECEIVED_NOTHING;
	s->has_socket_inside = received == RECEIVED_INSIDE;
	if (s->socket == socket)
		return;
	if (received == RECEIVED_OUTSIDE && (t->batches || !t->bios_unseen))
		return;
	if (s->socket || !socket_is_free(socket, &key)) {
		tls_count(TLS_CONTRADICTIONS);
		return;
	}
	session_has_socket(s, &t->last);
	bpf_map_update_elem(&session_sockets, &socket, &key, BPF_ANY);
}

static __always_inline struct session *session_of_socket(const struct tag *from)
{
	struct session *s = session_create(from->socket, from->flags & CONNECTION_FROM_BIRTH);

	if (s)
		session_has_socket(s, from);
	return s;
}

static __always_inline void session_has_ssl(struct session *s, u64 ssl)
{
	struct session_key alias = {.name = ssl, .pid = current_pid()};
	u64 socket = s->socket;

	s->ssl = ssl;
	bpf_map_update_elem(&session_aliases, &alias, &socket, BPF_ANY);
}

/* Node has turned to an SSL object: it is that of the socket of which it has received, if all
 * objects that it turns to are seen. */
static __always_inline void node_takes(struct tls_thread *t, u64 ssl)
{
	struct session_key alias = {.name = ssl, .pid = current_pid()};
	u8 received = t->received;
	struct session *s;

	t->received = RECEIVED_NOTHING;
	if (received != RECEIVED_OUTSIDE || t->reads_unseen ||
	    bpf_map_lookup_elem(&session_aliases, &alias))
		return;
	s = session_find(t->last.socket);
	if (!s)
		s = session_of_socket(&t->last);
	if (!s)
		return;
	if (!s->ssl)
		session_has_ssl(s, ssl);
	else if (s->ssl != ssl)
		tls_count(TLS_CONTRADICTIONS);
}

static __noinline void emit_event(u64 cookie, enum tls_event event)
{
	u64 time_ns = bpf_ktime_get_ns();
	struct record_tls *record =
		record_reserve(sizeof(*record), RECORD_TLS, current_pid(), time_ns);

	if (!record)
		return;
	record->cookie = cookie;
	record->event = event;
	bpf_ringbuf_submit(record, event == TLS_CONNECTS || event == TLS_SERVES
					   ? BPF_RB_FORCE_WAKEUP
					   : record_wakeup(time_ns));
}

/* --- plaintext --- */

/* Which role the process has in HTTP/2, by a server's first frame: of node's servers what the
 * client begins with is not seen. */
static __always_inline enum role settings_role(const struct connection *c, const struct call *call)
{
	bool is_server = c->flags & CONNECTION_ACCEPTED, is_new = c->flags & CONNECTION_FROM_BIRTH;

	if (!begins_settings(call))
		return ROLE_NONE;
	if (call->direction == DIRECTION_SENT)
		return is_server || is_new ? ROLE_SERVER : ROLE_NONE;
	return is_new && !is_server ? ROLE_CLIENT : ROLE_NONE;
}

/* The head of a final response. */
static __always_inline bool is_answer(const u8 *first)
{
	return begins_response(first, FIRST_BYTES) && first[9] != '1';
}

/* The answer to a request that was not seen: not node's own to what its parser found to be none. */
static __always_inline bool is_unasked(const u8 *first, bool has_parsed)
{
	bool is_bad_request = first[9] == '4' && first[10] == '0' && first[11] == '0';

	return is_answer(first) && !(has_parsed && is_bad_request);
}

/* What a client in node is given to write before the handshake's end it writes again and again
 * until then. */
static __always_inline bool is_repeated(struct session *s, const struct call *call)
{
	u64 first = *(u64 *)call->first;

	if (call->direction != DIRECTION_SENT || s->c.received_end ||
	    s->c.flags & CONNECTION_ACCEPTED)
		return false;
	if (s->c.sent_end == call->len)
		s->first_write = first;
	else if (s->ssl && s->c.sent_end == 2ull * call->len && s->first_write == first)
		return true;
	return false;
}

/* The short way. What takes the long way gives false here. */
__noinline int session_moved_whole(struct session *s, u64 buffer, u32 len, u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool received = direction == DIRECTION_RECEIVED;
	struct record_io *record;
	struct connection *c;
	struct whole whole = {};

	if (!s)
		return false;
	c = &s->c;
	whole.request = is_request_direction(c, direction);
	if (len <= 128)
		WHOLE(128, 128 + 8, read_buffer, buffer);
	else if (len <= 256)
		WHOLE(256, 256 + 8, read_buffer, buffer);
	else
		WHOLE(WHOLE_MAX, WHOLE_MAX + 8, read_buffer, buffer);
	if (!record) {
		count_lost(task->tgid, whole.request);
		return true;
	}
	record->head.flags = IO_LAST | IO_TLS | connection_io_flags(c);
	record->other_end = received ? c->sent_end : c->received_end;
	record->arrival_ns = c->role == ROLE_SERVER && received ? s->arrival_ns : 0;
	record->local_port = s->local_port;
	record->peer_port = s->peer_port;
	whole_told(record, c, task, len, direction, &whole);
	return true;
}

/* The long way: any call, of a session that is known to speak HTTP or not. */
__noinline int session_moved_any(struct session *s, u64 buffer, u32 len, u32 direction)
{
	struct call call = {
		.time_ns = bpf_ktime_get_ns(),
		.len = len,
		.direction = direction,
		.buffer = buffer,
	};
	struct connection *c;
	enum role http2;

	if (!s)
		return 0;
	c = &s->c;
	session_name(s);
	call.cookie = c->cookie;
	call.flags = connection_io_flags(c) | IO_TLS;
	call.begin = (direction == DIRECTION_RECEIVED ? c->received_end : c->sent_end) - len;
	call.other_end = direction == DIRECTION_RECEIVED ? c->sent_end : c->received_end;
	call.arrival_ns = direction == DIRECTION_RECEIVED ? s->arrival_ns : 0;
	call.local_port = s->local_port;
	call.peer_port = s->peer_port;
	read_first(&call);
	if (is_repeated(s, &call)) {
		c->sent_end -= len;
		return 0;
	}
	if (c->role == ROLE_NONE) {
		http2 = settings_role(c, &call);
		if (http2) {
			c->flags |= CONNECTION_DISMISSED;
			emit_undecoded(&call, http2);
			return 0;
		}
		if (s->ssl && c->flags & CONNECTION_ACCEPTED && direction == DIRECTION_SENT &&
		    is_answer(call.first)) {
			if (is_unasked(call.first, s->has_parsed))
				emit_event(c->cookie, TLS_UNASKED);
			return 0;
		}
		identify(c, &call);
		if (c->role == ROLE_NONE)
			return 0;
		if (s->peer_closed)
			call.flags |= IO_PEER_CLOSED;
	}
	call.role = c->role;
	if (c->role == ROLE_CLIENT)
		call.arrival_ns = 0;
	tell_call(c, &call, NULL);
	return 0;
}

/* A call that moved len bytes of plaintext at buffer. What is_repeated() is about goes the long
 * way: until something was received. */
static __always_inline void session_moved(struct session *s, u64 buffer, u32 len, u8 direction)
{
	struct connection *c = &s->c;

	if (!len)
		return;
	if (direction == DIRECTION_RECEIVED)
		c->received_end += len;
	else
		c->sent_end += len;
	if (c->flags & CONNECTION_DISMISSED)
		return;
	if (c->role == ROLE_NONE || !c->received_end || len > WHOLE_MAX ||
	    !session_moved_whole(s, buffer, len, direction))
		session_moved_any(s, buffer, len, direction);
}

#endif
