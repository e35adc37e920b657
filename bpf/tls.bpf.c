// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* tls - sees the plaintext of TLS sessions at the library that encrypts it, and finds out which
 * socket each belongs to.
 *
 * CPython reads by SSL_read_ex(); how much that read is known when it is back, so there is a second
 * probe behind the call. Node's reads pass its parser of HTTP, llhttp_execute(), which costs one
 * hit instead of four; but the parser knows nothing of the SSL object. What a session is written
 * is seen at SSL_write() before it is encrypted. */
#include "http.bpf.h"
#include "maps.bpf.h"
#include "messages.bpf.h"
#include "session.bpf.h"
#include "slices.bpf.h"
#include "tls.bpf.h"
#include "written.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The attach cookie. */
#define PROBE_END 1 /* the third argument is the end of the data, not its length */
#define PROBE_NODE 2
/* and enum tls_plaintext */
#define PROBE_OWN 32 /* a probe of this process alone */

#if defined(__TARGET_ARCH_x86)
#define ARGUMENT_1(context) ((context)->di)
#define ARGUMENT_2(context) ((context)->si)
#define ARGUMENT_3(context) ((context)->dx)
#define ARGUMENT_4(context) ((context)->cx)
#define RETURNED(context) ((context)->ax)
#else
#define ARGUMENT_1(context) ((context)->regs[0])
#define ARGUMENT_2(context) ((context)->regs[1])
#define ARGUMENT_3(context) ((context)->regs[2])
#define ARGUMENT_4(context) ((context)->regs[3])
#define RETURNED(context) ((context)->regs[0])
#endif

/* --- the library's functions --- */

static __always_inline struct tls_thread *begin_function(struct pt_regs *context)
{
	struct tls_thread *t = this_thread();

	if (!t)
		return NULL;
	t->ssl = ARGUMENT_1(context);
	t->buffer = ARGUMENT_2(context);
	t->len_at = 0;
	return t;
}

static __always_inline void read_done(struct tls_thread *t, u64 len, bool node)
{
	u64 ssl = t->ssl, name = ssl, *socket;
	struct session *s;

	t->ssl = 0;
	if (!len || len > 0x7fffffff)
		return;
	if (node) {
		struct session_key key = {.name = ssl, .pid = current_pid()};

		socket = bpf_map_lookup_elem(&session_aliases, &key);
		if (!socket)
			return;
		name = *socket;
	}
	s = session_find(name);
	if (!s)
		s = node ? NULL : session_create(name, 0);
	if (!s || (node && s->c.role != ROLE_CLIENT))
		return; /* a server's requests are seen at its parser */
	session_takes(s, name, t);
	session_moved(s, t->buffer, len, DIRECTION_RECEIVED);
}

SEC("uprobe")
int tls_read_ex(struct pt_regs *context)
{
	struct tls_thread *t = begin_function(context);

	if (t)
		t->len_at = ARGUMENT_4(context);
	return 0;
}

/* Behind the call, or at the return. What was there before the call is 0 in CPython. */
static __always_inline int read_ex_end(void)
{
	struct tls_thread *t =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);
	u64 len = 0;

	if (!t || !t->ssl || !t->len_at)
		return 0;
	if (bpf_probe_read_user(&len, sizeof(len), (void *)t->len_at))
		len = 0;
	read_done(t, len, false);
	return 0;
}

static __always_inline u8 own_groups(void)
{
	u32 pid = current_pid();
	const u8 *groups = bpf_map_lookup_elem(&tls_own_probes, &pid);

	return groups ? *groups : 0;
}

SEC("uprobe")
int tls_read(struct pt_regs *context)
{
	u64 cookie = bpf_get_attach_cookie(context);
	struct tls_thread *t;

	if (cookie & PROBE_OWN && !(own_groups() & TLS_OWN_CLIENT))
		return 0; /* what was asked now would be seen, and its response not */
	t = begin_function(context);
	if (!t)
		return 0;
	t->awaits_read = 0;
	t->reads_seen = 1;
	if (cookie & PROBE_NODE) {
		t->is_node = 1;
		node_takes(t, t->ssl);
	}
	return 0;
}

static __always_inline int read_end(struct pt_regs *context, u64 cookie)
{
	struct tls_thread *t =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);
	s32 len = RETURNED(context);

	if (t && t->ssl && !t->len_at)
		read_done(t, len > 0 ? len : 0, cookie & PROBE_NODE);
	return 0;
}

/* A session that begins has received nothing yet. */
SEC("uprobe")
int tls_handshake(struct pt_regs *context)
{
	struct tls_thread *t = begin_function(context);
	struct session *s;

	if (!t)
		return 0;
	s = session_find(t->ssl);
	if (s)
		session_takes(s, t->ssl, t);
	else
		session_create(t->ssl, CONNECTION_FROM_BIRTH);
	t->received = RECEIVED_NOTHING;
	return 0;
}

SEC("uprobe")
int tls_handshake_end(struct pt_regs *context)
{
	struct tls_thread *t =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);
	struct session *s;

	if (!t || !t->ssl)
		return 0;
	s = session_find(t->ssl);
	if (s)
		session_takes(s, t->ssl, t);
	t->ssl = 0;
	return 0;
}

static __always_inline int write(struct pt_regs *context, u64 cookie)
{
	struct session_key key = {.name = ARGUMENT_1(context), .pid = current_pid()};
	u64 buffer = ARGUMENT_2(context), len = ARGUMENT_3(context), *socket;
	struct tls_thread *t;
	struct session *s;

	if (len - 1 >= 0x7fffffff)
		return 0;
	if (cookie & PROBE_NODE) {
		t = this_thread();
		if (!t)
			return 0;
		t->is_node = 1;
		if (t->reads_seen)
			node_takes(t, key.name);
		socket = bpf_map_lookup_elem(&session_aliases, &key);
		if (!socket) {
			t->write_ssl = key.name;
			t->write_buffer = buffer;
			t->write_len = len;
			t->write_unread = !t->reads_seen;
			if (len < sizeof(t->write_first) ||
			    bpf_probe_read_user(t->write_first, sizeof(t->write_first),
						(void *)buffer))
				__builtin_memset(t->write_first, 0, sizeof(t->write_first));
			return 0;
		}
		if (t->write_ssl == key.name)
			t->write_ssl = 0; /* it is repeated */
		key.name = *socket;
		s = bpf_map_lookup_elem(&sessions, &key);
	} else {
		s = bpf_map_lookup_elem(&sessions, &key);
		if (!s && this_thread())
			s = session_create(key.name, 0);
	}
	if (s && !s->write_blocked)
		session_moved(s, buffer, len, DIRECTION_SENT);
	if (s)
		s->write_blocked = 0;
	return 0;
}

/* BIO_write(bio, data, length), as Python calls it for its memory BIOs. */
SEC("uprobe")
int tls_bio(struct pt_regs *context)
{
	struct tls_thread *t =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);
	u64 data = ARGUMENT_2(context), len = (u32)ARGUMENT_3(context);
	struct tag_key key = {.pid = current_pid()};
	struct tag *tag;

	if (!t)
		return 0;
	t->awaits_bio = 0;
	if (len < sizeof(key.last_bytes) ||
	    bpf_probe_read_user(&key.last_bytes, sizeof(key.last_bytes),
				(void *)(data + len - sizeof(key.last_bytes))))
		return 0;
	tag = bpf_map_lookup_elem(&tls_tags, &key);
	if (!tag)
		return 0;
	t->last = *tag;
	t->received = RECEIVED_TAGGED;
	bpf_map_delete_elem(&tls_tags, &key);
	return 0;
}

/* A client that gives up says so, and may wait for the server to agree before it closes the socket;
 * what it still reads then it throws away. */
SEC("uprobe")
int tls_shutdown(struct pt_regs *context)
{
	struct session *s = session_find(ARGUMENT_1(context));

	if (!s || s->c.role != ROLE_CLIENT)
		return 0;
	s->c.role = ROLE_NONE;
	s->c.flags |= CONNECTION_DISMISSED;
	emit_event(s->c.cookie, TLS_ENDS);
	return 0;
}

SEC("uprobe")
int tls_free(struct pt_regs *context)
{
	struct session_key key = {.name = ARGUMENT_1(context), .pid = current_pid()}, alias = key;
	struct session *s;
	u64 *socket;

	if (bpf_get_attach_cookie(context) & PROBE_NODE) {
		socket = bpf_map_lookup_elem(&session_aliases, &alias);
		if (!socket)
			return 0;
		key.name = *socket;
		bpf_map_delete_elem(&session_aliases, &alias);
	}
	s = bpf_map_lookup_elem(&sessions, &key);
	if (!s)
		return 0;
	if (s->c.cookie & COOKIE_UNJOINED)
		emit_event(s->c.cookie, TLS_ENDS);
	if (s->socket)
		bpf_map_delete_elem(&session_sockets, &s->socket);
	bpf_map_delete_elem(&sessions, &key);
	tls_count(TLS_SESSIONS_ENDED);
	return 0;
}

SEC("uprobe")
int tls_connect(struct pt_regs *context)
{
	if (this_thread())
		emit_event(0, TLS_CONNECTS);
	return 0;
}

SEC("uprobe")
int tls_certificate(struct pt_regs *context)
{
	if (this_thread())
		emit_event(0, TLS_SERVES);
	return 0;
}

/* --- node --- */

/* Whether this run is the one that counts. The other programs do nothing when they run again. */
static __always_inline bool counts(u64 cookie)
{
	return !(own_groups() & TLS_OWN_SERVER) == !(cookie & PROBE_OWN);
}

/* llhttp_execute(parser, data, length). */
static __always_inline int parse(struct pt_regs *context, u64 cookie)
{
	struct tls_thread *t =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);
	u64 data = ARGUMENT_2(context), len = ARGUMENT_3(context);
	struct first_bytes first = {};
	struct session *s;

	if (!t || !t->parses || !t->last.socket || !counts(cookie))
		return 0;
	t->is_node = 1;
	if (cookie & PROBE_END)
		len -= data;
	if (len - 1 >= 0x7fffffff)
		return 0;
	s = session_find(t->last.socket);
	if (!s || s->c.role == ROLE_NONE) {
		/* Where the probe is new it may be the rest of a body. */
		if (!(t->last.flags & CONNECTION_ACCEPTED) ||
		    bpf_probe_read_user(&first, sizeof(first), (void *)data) ||
		    !begins_request(&first, len < FIRST_BYTES ? len : FIRST_BYTES)) {
			if (s)
				s->has_parsed = 1;
			else
				t->parsed = t->last.socket;
			return 0;
		}
		if (!s)
			s = session_of_socket(&t->last);
	}
	if (!s || s->c.role == ROLE_CLIENT)
		return 0;
	s->arrival_ns = t->last.arrival_ns;
	session_moved(s, data, len, DIRECTION_RECEIVED);
	return 0;
}

/* One program for all that tells plaintext: the verifier takes its time over what they share. */
SEC("uprobe")
int tls_plaintext(struct pt_regs *context)
{
	u64 cookie = bpf_get_attach_cookie(context);

	switch (cookie & TLS_PLAINTEXT_MASK) {
	case TLS_READ_EX_ENDS:
		return read_ex_end();
	case TLS_READ_ENDS:
		return read_end(context, cookie);
	case TLS_WRITES:
		return write(context, cookie);
	default:
		return parse(context, cookie);
	}
}

/* --- sockets --- */

/* The library gives up the whole call, and is called with the same again. */
static __always_inline void blocked(const struct connection *socket)
{
	u64 name = socket->cookie;
	struct session_key *key = bpf_map_lookup_elem(&session_sockets, &name);
	struct session *s = key ? bpf_map_lookup_elem(&sessions, key) : NULL;

	if (s && s->has_socket_inside)
		s->write_blocked = 1;
}

/* The last bytes of what is being received. 0: there are too few. A function of its own: 6.12
 * counts what stands on the stack of its caller on the way to session_moved(). */
__noinline u64 last_bytes(struct connection *socket, u32 len)
{
	struct payload p = {};
	u64 bytes = 0;

	if (!socket || len < sizeof(bytes) || payload_find(&p, socket) != PAYLOAD_FOUND ||
	    (p.iovecs && !payload_next(&p)) || p.len < len)
		return 0;
	if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)(p.base + len - sizeof(bytes))))
		return 0;
	return bytes;
}

static __always_inline void received_outside(struct tls_thread *t, const struct connection *socket)
{
	if (t->received == RECEIVED_OUTSIDE && t->last.socket != socket->cookie && !t->is_node &&
	    !t->batches) {
		t->batches = 1;
		emit_event(0, TLS_BATCHES);
	}
	t->received = RECEIVED_OUTSIDE;
	t->reads_unseen = t->awaits_read;
	t->awaits_read = 1;
	t->bios_unseen = t->awaits_bio;
	t->awaits_bio = 1;
}

/* Something was received from a socket whose session is known, and is not named by it. */
static __always_inline bool received_for(struct tls_thread *t, const struct connection *socket,
					 const struct tls_io *io)
{
	u64 name = socket->cookie;
	struct session_key *key = bpf_map_lookup_elem(&session_sockets, &name);
	struct session *s = key ? bpf_map_lookup_elem(&sessions, key) : NULL;

	if (!s || s->socket != name)
		return false;
	/* A library that reads the socket itself asks for a record's head and body one by one. */
	if (!t->ssl || t->received != RECEIVED_INSIDE)
		s->arrival_ns = io->arrival_ns;
	if (t->ssl)
		t->received = RECEIVED_INSIDE;
	t->last.socket = name;
	t->parses = 0;
	return true;
}

/* A handshake is two turns of a server (RFC 8446, section 2): at the third it answers, or at the
 * second if the client's end of the handshake, 80 bytes by TLS 1.3, came with a request. If no
 * session has this socket by then, another library reads it, or none that has probes. Told again as
 * turns double: the probes may have only just come. */
#define HANDSHAKE_END_MAX 160
#define TURNS_SEEN 0xffff

static __always_inline bool is_answering(const struct connection *socket, u16 turns)
{
	if (turns < 3)
		return turns == 2 && socket->received_end - socket->tls_hello > HANDSHAKE_END_MAX;
	return turns == 3 || !(turns & (turns - 1));
}

static __always_inline void server_turns(struct connection *socket, u32 local_port)
{
	u64 name = socket->cookie;
	u16 turns = ++socket->tls_turns;

	socket->tls_heard = 0;
	if (turns == 1)
		socket->tls_hello = socket->received_end;
	if (!is_answering(socket, turns))
		return;
	if (bpf_map_lookup_elem(&session_sockets, &name))
		socket->tls_turns = TURNS_SEEN;
	else
		emit_unknown(name, local_port, ROLE_SERVER);
}

__noinline int tls_moved(struct connection *socket, const struct tls_io *io)
{
	struct tag_key key = {};
	struct tls_thread *t;

	if (!socket || !io)
		return 0;
	t = this_thread();
	if (!t)
		return 0;
	if (t->is_node)
		t->ssl = 0; /* its end was not seen: the probe there was taken off meanwhile */
	if (io->direction == DIRECTION_SENT) {
		if (!io->len)
			blocked(socket);
		else if (t->write_ssl)
			written(t, socket, io);
		else if (socket->tls_heard && !t->is_node)
			server_turns(socket, io->local_port);
		return 0;
	}
	if (socket->flags & CONNECTION_ACCEPTED && socket->tls_turns < TURNS_SEEN - 1)
		socket->tls_heard = 1;
	if (!t->is_node && received_for(t, socket, io))
		return 0;
	if (!t->ssl)
		received_outside(t, socket);
	if (!t->ssl || t->received != RECEIVED_INSIDE || t->last.socket != socket->cookie)
		t->last.arrival_ns = io->arrival_ns;
	t->last.socket = socket->cookie;
	t->last.local_port = io->local_port;
	t->last.peer_port = io->peer_port;
	t->last.flags = socket->flags;
	t->last.peer_closed = io->peer_closed;
	if (t->ssl)
		t->received = RECEIVED_INSIDE;
	t->parses = 1;
	if (!tls_parsers)
		tls_parsers = true;
	if (t->ssl || t->is_node)
		return 0;
	key.last_bytes = last_bytes(socket, io->len);
	key.pid = current_pid();
	if (key.last_bytes)
		bpf_map_update_elem(&tls_tags, &key, &t->last, BPF_ANY);
	return 0;
}

__noinline int tls_unmoved(void)
{
	struct tls_thread *t =
		bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);

	if (t)
		t->parses = 0;
	return 0;
}
