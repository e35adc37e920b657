/* SPDX-License-Identifier: Apache-2.0 */
/* hooks_bed - the kernel side, loaded and attached; connections of which this process is both ends;
 * and the records that the hooks make of its calls.
 *
 * Needs root (make check-bpf). Records are found by the cookie of the pair's server socket, or by
 * pid, so that neither the rest of the host nor the client's end disturbs. Each kind of record is a
 * sequence of its own. At the end of a test each RECORD_IO, RECORD_STATE and RECORD_UNDECODED of
 * its pairs must have been expected; a new kind needs its own expect_...() only. */
#ifndef BITTERN_TEST_HOOKS_BED_H
#define BITTERN_TEST_HOOKS_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "../agent/capture.h"
#include "../agent/decode.h"

/* A record that was seen. */
struct seen {
	struct seen *next;
	struct record record; /* points into bytes */
	bool expected;
	_Alignas(8) uint8_t bytes[];
};

/* A connection. Positions count what expect_io() was shown; a test moves them over what it knows to
 * be unseen. */
struct pair {
	int client, server, listener; /* -1: closed */
	int family; /* AF_INET, AF_INET6, AF_UNIX */
	uint64_t cookie, client_cookie;
	uint16_t port, client_port; /* 0 for AF_UNIX */
	uint64_t received, sent;
	bool from_birth; /* IO_FROM_BIRTH is expected */
	bool listener_unknown; /* it listened while it was not wanted */
	bool port_gone; /* reset during the call: its local port may read 0 then */
};

#define PAIRS_MAX 16

struct bed {
	struct capture *capture;
	struct seen *first, **end;
	uint64_t since_ns; /* the test's begin */
	struct pair pairs[PAIRS_MAX]; /* of this test */
	size_t pair_count;
	struct work work; /* of the last record that expect_io() found */
	const char *doing; /* which of many of a kind; printed if it is not NULL at the end */
};

/* Of a group of tests: loads and attaches once; a minute later the process ends itself. Of each
 * test: forgets what was seen; at its end fails if a record was not expected, and closes what is
 * open. */
int bed_open(void **state);
int bed_close(void **state);
int bed_setup(void **state);
int bed_teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
#define RUN_TESTS(tests) cmocka_run_group_tests(tests, bed_open, bed_close)

/* Fails the test when it cannot be made. */
struct pair *pair_open(struct bed *bed, int family);
/* The same in two steps: until the second there is no server and no cookie. */
struct pair *pair_connect(struct bed *bed, int family);
void pair_accept(struct pair *pair);
/* The client's end, seen as the service's is. */
struct pair pair_reversed(const struct pair *pair);
void pair_close_client(struct pair *pair);
void pair_close_server(struct pair *pair);
void pair_close_listener(struct pair *pair);
/* For the next close of either end: a reset instead of a FIN. */
void pair_reset_on_close(int fd);

/* One end sends all in one call, the other receives all in one call. */
void pair_request(struct pair *pair, const char *bytes, size_t len);
void pair_response(struct pair *pair, const char *bytes, size_t len);
void pair_request_text(struct pair *pair, const char *text);
void pair_response_text(struct pair *pair, const char *text);
/* The halves, when the call under test is the other one. */
void send_all(int fd, const char *bytes, size_t len); /* one call */
void receive_all(int fd, char *bytes, size_t len); /* one call */
void wait_readable(int fd, size_t len); /* until so many bytes can be read at once */

struct expected_io {
	enum direction direction;
	const void *data;
	size_t captured; /* of data; 0: it is a text */
	uint32_t len; /* of the call; 0: as captured */
	uint32_t offset;
	const void *tail; /* the last bytes of the call */
	size_t tail_len;
	bool more; /* not the call's last slice */
	uint8_t flags; /* besides IO_LAST, IO_UNIX and IO_FROM_BIRTH */
	enum role role; /* ROLE_NONE: ROLE_SERVER */
	pid_t pid; /* 0: this process */
	/* Of what a server receives: not before this, and not after the next, if not 0. */
	uint64_t arrival_from_ns, arrival_to_ns;
	bool arrival_unknown;
	bool arrival_any; /* its hook may have been passed over */
};

struct expected_state {
	uint8_t old_state, new_state, shutdown;
	uint32_t error;
	bool exiting;
	bool unread; /* arrival_ns is set */
	pid_t pid;
	uint8_t fin_sent; /* 1: sent_end counts the FIN, as write_seq does */
};

/* The next record of its kind is exactly so, its time that of this test. Waits for it. */
#define EXPECT_IO(bed, pair, ...) expect_io(bed, pair, &(struct expected_io){__VA_ARGS__})
#define EXPECT_STATE(bed, pair, ...) expect_state(bed, pair, &(struct expected_state){__VA_ARGS__})
void expect_io(struct bed *bed, struct pair *pair, const struct expected_io *expected);
void expect_state(struct bed *bed, struct pair *pair, const struct expected_state *expected);
void expect_undecoded(struct bed *bed, struct pair *pair, enum role role, const char *first,
		      size_t len);
void expect_hello(struct bed *bed, struct pair *pair); /* RECORD_UNDECODED of TLS */
const struct record_tls *expect_tls(struct bed *bed); /* the next of this process */
const struct record_connect_failed *expect_connect_failed(struct bed *bed, pid_t pid);
void expect_no_connect_failed(struct bed *bed, pid_t pid);
/* The next of a process that begins, is another program, or ends. */
const struct record_process *expect_process(struct bed *bed, pid_t pid, enum record_kind kind);
void expect_no_process(struct bed *bed, pid_t pid);
/* RECORD_REAPED, which comes after the others. */
const struct record_process *expect_reaped(struct bed *bed, pid_t pid);
void expect_not_reaped(struct bed *bed, pid_t pid);
/* The next of this process. */
const struct record_work *expect_work(struct bed *bed);
const struct record_job *expect_job(struct bed *bed);
void expect_no_job(struct bed *bed);
/* No record of the pair (of the socket with that cookie) beyond those that were expected. */
void expect_none(struct bed *bed, const struct pair *pair);
void expect_none_of(struct bed *bed, uint64_t cookie);

uint64_t now_ns(void);
void wait_ms(int ms);
uint64_t losses(const struct bed *bed, enum loss cause);
uint64_t cookie_of(int fd);

#endif
