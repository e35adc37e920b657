/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* tls - what is kept of TLS sessions and of the threads that use them (tls.bpf.c). */
#ifndef BITTERN_TLS_BPF_H
#define BITTERN_TLS_BPF_H

#include "maps.bpf.h"

#define SESSIONS_MAX 16384
#define TAGS_MAX 1024
#define OWN_PROBES_MAX 1024

/* A session is named by its SSL object; in node, where the parser of requests does not know it, by
 * its socket's cookie. */
struct session_key {
	u64 name;
	u32 pid;
	u32 unused;
};

/* Its plaintext is a connection like that of a socket. */
struct session {
	struct connection c;
	u64 socket; /* the socket's cookie; 0: not known */
	u64 ssl; /* node: 0 while it is not known */
	u64 arrival_ns; /* of the ciphertext that was last read for it */
	u16 local_port, peer_port;
	u8 peer_closed;
	u8 has_socket_inside; /* the library reads and writes the socket itself */
	u8 write_blocked; /* which did not take what was last written: that is written again */
	u8 has_parsed; /* node: what began no request, while none was known */
	u64 first_write; /* the first bytes of what was written first */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SESSIONS_MAX);
	__type(key, struct session_key);
	__type(value, struct session);
} sessions __weak SEC(".maps");

/* Which session a socket belongs to, by its cookie: no two have the same. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SESSIONS_MAX);
	__type(key, u64);
	__type(value, struct session_key);
} session_sockets __weak SEC(".maps");

/* In node: the socket of an SSL object. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SESSIONS_MAX);
	__type(key, struct session_key);
	__type(value, u64);
} session_aliases __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TLS_COUNTS);
	__type(key, u32);
	__type(value, u64);
} tls_counts __weak SEC(".maps");

static __always_inline void tls_count(enum tls_count what)
{
	u32 key = what;
	u64 *count = bpf_map_lookup_elem(&tls_counts, &key);

	if (count)
		(*count)++;
}

/* Ciphertext that passed a socket. */
struct tls_io {
	u64 arrival_ns; /* received */
	u32 len; /* sent, 0: the socket took nothing */
	u16 local_port, peer_port;
	u8 direction;
	u8 peer_closed;
	u8 unused[6];
};

/* What the last bytes of ciphertext came from, of sockets whose session is not known. */
struct tag_key {
	u64 last_bytes;
	u32 pid;
	u32 unused;
};

struct tag {
	u64 socket;
	u64 arrival_ns;
	u16 local_port, peer_port;
	u16 flags; /* enum connection_flags */
	u8 peer_closed;
	u8 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TAGS_MAX);
	__type(key, struct tag_key);
	__type(value, struct tag);
} tls_tags __weak SEC(".maps");

enum received {
	RECEIVED_NOTHING, /* or what it received was taken into account */
	RECEIVED_OUTSIDE, /* likely for the session that it turns to next (a memory BIO) */
	RECEIVED_TAGGED, /* surely: it has just put it into its memory BIO */
	RECEIVED_INSIDE, /* while it was in a call of the library for thread.ssl */
};

/* A thread that uses TLS. */
struct tls_thread {
	struct tag last; /* what it received last from a socket with TLS */
	u8 received; /* enum received */
	u8 batches; /* it receives for several sessions before it turns to them */
	u8 awaits_bio; /* nothing was put into a memory BIO since it last received */
	u8 bios_unseen; /* nor was there between that and the time before: it has no probe */
	u8 is_node;
	u8 write_unread; /* write_ssl: no SSL_read() was seen before */
	u8 unused_too[2];
	/* The library's function that it is in. */
	u64 ssl; /* 0: in none */
	u64 buffer;
	u64 len_at; /* where the function puts how much it read; 0: it returns it */
	/* In node: what it has written to a session whose socket is not known. */
	u64 write_ssl; /* 0: nothing */
	u64 write_buffer;
	u8 write_first[16]; /* by the time that it leaves node may have freed the buffer */
	u64 parsed; /* the same of a socket that has no session */
	u32 write_len;
	u8 parses; /* in node: what it parses next is plaintext of that socket */
	u8 awaits_read; /* no SSL_read() since it last received */
	u8 reads_unseen; /* nor was there between that and the time before: it has no probe */
	u8 reads_seen; /* any SSL_read(), ever */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tls_thread);
} tls_threads __weak SEC(".maps");

/* Processes that have probes of their own, and of which groups (enum tls_own). For a moment they
 * may be there beside those for all: where running twice for one hit would tell twice, one of them
 * does nothing. And one that is being taken off does nothing if what belongs to it has gone. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OWN_PROBES_MAX);
	__type(key, u32);
	__type(value, u8);
} tls_own_probes __weak SEC(".maps");

/* Ciphertext has passed a socket with TLS. */
int tls_moved(struct connection *socket, const struct tls_io *io);
/* Plain bytes were received: what is parsed next is not TLS. */
int tls_unmoved(void);

/* Whether a thread may be about to parse plaintext: until then nobody is told of plain bytes. Set
 * here, not by user space: the next bytes may be plain. */
volatile bool tls_parsers __weak = false;

#endif
