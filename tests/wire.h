/* SPDX-License-Identifier: Apache-2.0 */
/* wire - plays the traced process's end of a connection for tests, a server's or a client's: what
 * its calls of send and receive would make the kernel side (socket.bpf.c) put into the ring.
 *
 * Bytes go through the same plan as there: which calls are recorded at all, how much of them, in
 * which slices, with which tail. Each record passes through decode, as in the agent, or is held
 * back, reordered or lost by the test. */
#ifndef BITTERN_TEST_WIRE_H
#define BITTERN_TEST_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/exchange.h"

#define WIRE_MICROSECOND 1000ull
#define WIRE_MILLISECOND 1000000ull
#define WIRE_SECOND 1000000000ull

/* Records on their way: one allocation each. */
struct wire_record {
	struct wire_record *next;
	size_t size;
	_Alignas(8) uint8_t bytes[];
};

struct wire {
	/* Set by wire_open(), to be changed before the first call. */
	struct exchanges *exchanges;
	uint64_t cookie, now_ns, step_ns; /* each call takes place step_ns after the last */
	uint32_t pid, listener_pid;
	uint16_t port; /* the server's */
	bool is_unix, is_client;
	bool from_birth;
	/* Its plaintext is seen: the socket is known by its cookie with COOKIE_TLS, and has no
	 * positions. */
	bool is_tls;
	/* What becomes of the next record: true, it is lost. NULL: none is. */
	bool (*loses)(void *context, const struct record_io *io);
	void *context;

	/* When what is received next arrived; until then it waits unread. 0: not known, or nothing
	 * does. */
	uint64_t arrival_ns;

	struct work work; /* goes with the next record */

	/* The connection: bytes that were moved, and as far as the hooks have run. */
	uint64_t received, received_seen, sent, sent_seen;
	uint8_t shutdown; /* sk_shutdown: 1 the peer's half is closed, 2 our own */
	size_t lose_count; /* so many records from now on are lost */
	/* As in struct connection of the kernel side. */
	uint8_t role;
	bool awaiting, bodiless, tunnel, batch, dismissed;
	uint32_t request_left, response_left;
	/* Records are kept here instead of being delivered. */
	bool holding;
	struct wire_record *held, **held_end;
	size_t record_count; /* made, lost ones included */
};

/* A connection from its birth, over TCP, on port 8000, of process 100. */
void wire_open(struct wire *w, struct exchanges *e, uint64_t cookie);
void wire_close(struct wire *w); /* drops what is held */

/* One call each. */
void wire_receive(struct wire *w, const void *bytes, size_t len);
void wire_send(struct wire *w, const void *bytes, size_t len);
/* A call in two steps: the bytes are moved; later its hook runs (after other calls). */
void wire_receive_begin(struct wire *w, size_t len);
void wire_receive_hook(struct wire *w, const void *bytes, size_t len);
void wire_send_begin(struct wire *w, size_t len);
void wire_send_hook(struct wire *w, const void *bytes, size_t len);
/* A send whose bytes have no user buffer (sendfile), or could not be read. */
void wire_send_unseen(struct wire *w, size_t len, bool unreadable);

void wire_receive_text(struct wire *w, const char *text);
void wire_send_text(struct wire *w, const char *text);

/* A unix socket's peer closed: a receive of 0. */
void wire_eof(struct wire *w);
/* A change of TCP state, as inet_sock_set_state tells. */
void wire_state(struct wire *w, uint8_t new_state, uint32_t error);
void wire_peer_fin(struct wire *w); /* to CLOSE_WAIT */
void wire_half_close(struct wire *w); /* shutdown(SHUT_WR): to FIN_WAIT1 */
void wire_close_begins(struct wire *w); /* the process closes: to FIN_WAIT1 or LAST_ACK */
void wire_finish(struct wire *w); /* it closes, and the peer has taken it: then to CLOSE */
void wire_reset(struct wire *w); /* the peer resets: CLOSE with ECONNRESET */

/* What a listing of the kernel's connections says of it. */
struct connection_state wire_listed(const struct wire *w);

/* From now on records are held back; wire_release() delivers them. */
void wire_hold(struct wire *w);
void wire_release(struct wire *w);
/* Takes the records held so far, oldest first; to be given back by wire_deliver(). */
struct wire_record *wire_take(struct wire *w);
/* Through decode into e, then freed. */
void wire_deliver(struct exchanges *e, struct wire_record *record);

#endif
