/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* written - what node has written to a session whose socket is not known: told when it leaves by
 * one. */
#ifndef BITTERN_WRITTEN_BPF_H
#define BITTERN_WRITTEN_BPF_H

#include "http.bpf.h"
#include "maps.bpf.h"
#include "messages.bpf.h"
#include "payload.bpf.h"
#include "session.bpf.h"
#include "tls.bpf.h"

#define RECORD_OVERHEAD 17 /* the least that a TLS record adds to its plaintext */

/* Whether what is being sent begins as a handshake does. */
__noinline int sends_handshake(struct connection *socket)
{
	struct payload p = {};
	u8 first = 0;

	if (!socket || payload_find(&p, socket) != PAYLOAD_FOUND || (p.iovecs && !payload_next(&p)))
		return 0;
	bpf_probe_read_user(&first, sizeof(first), (void *)p.base);
	return first == TLS_HANDSHAKE;
}

/* Of a socket whose session is not known: a client speaks HTTP/2; a server cannot be read. */
static __noinline void emit_unknown(u64 cookie, u32 local_port, enum role role)
{
	u64 time_ns = bpf_ktime_get_ns();
	struct record_undecoded *record =
		record_reserve(sizeof(*record), RECORD_UNDECODED, current_pid(), time_ns);

	if (!record)
		return;
	record->head.role = role;
	record->cookie = cookie;
	record->local_port = local_port;
	if (role == ROLE_CLIENT) {
		record->len = sizeof(record->first);
		__builtin_memcpy(record->first, PREFACE, sizeof(record->first));
	}
	bpf_ringbuf_submit(record, record_wakeup(time_ns));
}

static __always_inline bool is_asked(const struct tls_thread *t, const struct connection *socket)
{
	struct first_bytes first;

	__builtin_memcpy(&first, t->write_first, sizeof(first));
	return !(socket->flags & CONNECTION_ACCEPTED) && begins_request(&first, FIRST_BYTES);
}

/* What was written leaves by a socket that has no session: a server's whose parser has no probe, a
 * client's whose SSL_read() has none (node calls it after each time that it has received). */
static __always_inline bool is_missed(const struct tls_thread *t, const struct connection *socket,
				      const struct tls_io *io)
{
	if (socket->flags & CONNECTION_ACCEPTED) {
		if (is_unasked(t->write_first, t->parsed == socket->cookie))
			emit_event(0, TLS_UNASKED);
		return true;
	}
	if (!t->awaits_read)
		return false;
	if (is_asked(t, socket))
		emit_event(0, TLS_UNHEARD);
	else if (begins_preface(t->write_first))
		emit_unknown(socket->cookie | COOKIE_TLS, io->local_port, ROLE_CLIENT);
	return true;
}

/* Node may have freed what it wrote, when it could not be sent at once. What frees memory writes to
 * its beginning. */
static __always_inline bool is_still_there(const struct tls_thread *t)
{
	const u64 *then = (const u64 *)t->write_first;
	u64 now[2];

	if (!then[0])
		return true; /* too short to be told */
	return !bpf_probe_read_user(now, sizeof(now), (void *)t->write_buffer) &&
	       now[0] == then[0] && now[1] == then[1];
}

/* What was written to an SSL object leaves by this socket. Before the handshake a write only begins
 * that, and is repeated later. */
static __always_inline void written(struct tls_thread *t, struct connection *socket,
				    const struct tls_io *io)
{
	u64 ssl = t->write_ssl, name = socket->cookie;
	struct session *s;

	if (io->len < t->write_len + RECORD_OVERHEAD)
		return; /* of another: this one still has to come */
	s = session_find(name);
	/* Its own if the probe on reading has come in between. */
	if (s && (s->ssl ? s->ssl != ssl || !t->write_unread : !(s->c.flags & CONNECTION_AWAITING)))
		return; /* another's */
	t->write_ssl = 0;
	if (sends_handshake(socket) || (!s && is_missed(t, socket, io)))
		return;
	if (!s && !(socket->flags & CONNECTION_ACCEPTED)) {
		struct tag as_socket = {
			.socket = name,
			.local_port = io->local_port,
			.peer_port = io->peer_port,
			.flags = socket->flags,
		};

		s = session_of_socket(&as_socket);
	}
	if (!s)
		return;
	session_has_ssl(s, ssl);
	if (begins_preface(t->write_first)) {
		s->c.flags |= CONNECTION_DISMISSED;
		emit_unknown(name | COOKIE_TLS, io->local_port, ROLE_CLIENT);
	} else if (is_still_there(t)) {
		session_moved(s, t->write_buffer, t->write_len, DIRECTION_SENT);
	} else if (t->write_unread && is_asked(t, socket)) {
		emit_event(0, TLS_UNHEARD);
	} else {
		loss_count(LOSS_UNREADABLE_MEMORY);
		s->c.sent_end += t->write_len;
	}
}

#endif
