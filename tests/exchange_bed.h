/* SPDX-License-Identifier: Apache-2.0 */
/* exchange_bed - exchanges, a connection with records into them, and what was reported. */
#ifndef BITTERN_TEST_EXCHANGE_BED_H
#define BITTERN_TEST_EXCHANGE_BED_H

#include "wire.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HOST "Host: x\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST

struct bed {
	struct exchanges *exchanges;
	struct wire wire;
	/* For the requests that follow; may be changed. */
	struct service *service; /* never looked into */
	uint64_t limit_ns; /* 0 at first: none; also for what waits unread */
	bool tells_all; /* the log has every callback but request, not only done */
	size_t done_count;
	struct exchange last; /* done; its pointers are not valid */
	struct exchange_unread last_unread; /* of either callback */
	/* The log has what threads worked for, in ms: "for /a 2", "before /a 0", "until wait /a 1",
	 * "until answer /a 3", "turn /a /b 5", "after 1". What takes 1 ms at most may be reading.
	 */
	bool tells_work;
	bool deferred; /* the requests that follow are of a loop that reads first */
	size_t read_count, gone_count;
	/* As far as it fits: "GET /a 200; POST - 0 aborted", and with tells_all
	 * "begun GET /a; first_byte GET /a; timed_out GET /a; host GET /a x:80; GET /a 200 counted;
	 * unread 99:8000; unread_ended 99:8000; unread_ended 99:8000 died". */
	char log[2048];
};

/* Each test begins with a bed of its own. */
int bed_setup(void **state);
int bed_teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

/* What was reported since the last call. */
void expect(struct bed *bed, const char *log);
void expect_open(const struct bed *bed, size_t count);
/* What is in flight: "/a; /b". */
void expect_in_flight(const struct bed *bed, const char *list);
/* A listing that finds these connections; all: every one, not only those that wait or are unix. */
void list(struct bed *bed, bool all, size_t count, const struct connection_state *listed);

#endif
