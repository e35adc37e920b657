// SPDX-License-Identifier: Apache-2.0
/* socket.bpf.c, connection.bpf.h, http.bpf.h, slices.bpf.h: what is recognised as HTTP, what is let
 * go, and how much of a call is copied. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks_bed.h"

#define GET "GET /a HTTP/1.1\r\nHost: bittern.example\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define RECEIVED .direction = DIRECTION_RECEIVED
#define SENT .direction = DIRECTION_SENT

/* As in http.bpf.h. */
#define REQUEST_BUDGET 8192
#define RESPONSE_BUDGET 2048
#define FIRST_BYTES 16
#define GATHER_MAX 2048

static char big[65536];

/* A message of len bytes in big: head, then bytes that differ, with their last eight as tail. */
static void fill(const char *head, size_t len, const char *end)
{
	size_t i;

	for (i = 0; i < len; i++)
		big[i] = 'a' + (i * i + i / 251) % 26;
	memcpy(big, head, strlen(head));
	memcpy(big + len - strlen(end), end, strlen(end));
}

#define TAIL(len) .tail = big + (len)-RECORD_TAIL_BYTES, .tail_len = RECORD_TAIL_BYTES

/* --- recognition --- */

static void exchange(struct bed *bed, struct pair *pair)
{
	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, RECEIVED, .data = GET);
	pair_response_text(pair, OK);
	EXPECT_IO(bed, pair, SENT, .data = OK);
}

static void a_request_and_its_response_are_two_records(void **state)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_open(bed, families[i]);

		exchange(bed, pair);
		exchange(bed, pair);
	}
}

static void each_form_of_request_begins_a_connection(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT example.com:443 HTTP/1.1\r\n\r\n",
		"GET http://example.com/ HTTP/1.1\r\n\r\n",
		"GET HTTP://example.com/ HTTP/1.1\r\n\r\n",
		"M-SEARCH * HTTP/1.1\r\n\r\n",
		"VERSION_CONTROL /a HTTP/1.1\r\n\r\n", /* the target is behind the first bytes */
		"\r\nGET / HTTP/1.1\r\n\r\n",
		"GET ",
		"P",
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct pair *pair = pair_open(bed, AF_INET);

		pair_request_text(pair, requests[i]);
		EXPECT_IO(bed, pair, RECEIVED, .data = requests[i]);
	}
}

/* The one test of what the client's end gives. */
static void a_clients_end_gives_records_of_its_own(void **state)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	struct bed *bed = *state;
	size_t i;
	int j;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_open(bed, families[i]);
		struct pair client = pair_reversed(pair);

		for (j = 0; j < 2; j++) {
			exchange(bed, pair);
			EXPECT_IO(bed, &client, SENT, .data = GET, .role = ROLE_CLIENT);
			EXPECT_IO(bed, &client, RECEIVED, .data = OK, .role = ROLE_CLIENT);
		}
		expect_none(bed, &client);
	}
}

static void an_older_connection_is_recognised_at_its_next_request(void **state)
{
	struct bed *bed = *state;
	struct pair *pair;

	capture_set_wanted(bed->capture, getpid(), false);
	pair = pair_open(bed, AF_INET);
	pair_request_text(pair, GET);
	pair_response_text(pair, OK);
	capture_set_wanted(bed->capture, getpid(), true);
	pair->from_birth = false;
	pair_response_text(pair, "the rest of a body"); /* of no use, but no reason to give up */
	expect_none(bed, pair);
	pair->sent = strlen("the rest of a body");
	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, RECEIVED, .data = GET);
	pair_response_text(pair, OK);
	EXPECT_IO(bed, pair, SENT, .data = OK);
}

static void an_unwanted_process_gives_no_record(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	capture_set_wanted(bed->capture, getpid(), false);
	pair_request_text(pair, GET);
	pair_response_text(pair, OK);
	pair_close_server(pair);
	pair_close_client(pair);
	expect_none(bed, pair);
	capture_set_wanted(bed->capture, getpid(), true);
}

static void what_does_not_begin_as_http_is_told_once_and_let_go(void **state)
{
	static const struct {
		const char *text, *first;
	} cases[] = {
		{"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n"},
		{"\x16\x03\x01", "\x16\x03\x01"},
		{"get / HTTP/1.1\r\n\r\n", "get / HTTP/1.1\r\n"},
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair *pair = pair_open(bed, i % 2 ? AF_INET : AF_INET6);

		pair_request_text(pair, cases[i].text);
		expect_undecoded(bed, pair, ROLE_SERVER, cases[i].first, strlen(cases[i].first));
		pair_request_text(pair, cases[i].text);
		pair_request_text(pair, GET);
		pair_response_text(pair, OK);
		pair_close_server(pair);
		expect_none(bed, pair);
	}
}

static void a_server_that_speaks_first_is_let_go_in_silence(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_response_text(pair, "220 mail.example ESMTP\r\n");
	pair_request_text(pair, GET);
	expect_none(bed, pair);
}

/* Either end may speak first. */
static void both_ends_of_http_2_are_told_once(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	static const char settings[] = "\0\0\6\4\0\0\0\0\0\0\3\0\0\0d";
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	struct bed *bed = *state;

	for (int i = 0; i < 6; i++) {
		struct pair *pair = pair_open(bed, families[i / 2]);
		struct pair client = pair_reversed(pair);

		if (i % 2) {
			pair_request(pair, preface, sizeof(preface));
			pair_response(pair, settings, sizeof(settings));
		} else {
			pair_response(pair, settings, sizeof(settings));
			pair_response_text(pair, "more of a server");
			pair_request(pair, preface, sizeof(preface));
		}
		expect_undecoded(bed, pair, ROLE_SERVER, preface, 16);
		expect_undecoded(bed, &client, ROLE_CLIENT, preface, 16);
		pair_request_text(pair, GET);
		pair_response_text(pair, OK);
		pair_close_server(pair);
		pair_close_client(pair);
		expect_none(bed, pair);
		expect_none(bed, &client);
	}
}

/* It has no first byte that is known as such. */
static void what_a_unix_connection_begins_with_is_not_told(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_UNIX);

	pair_request_text(pair, "\x01\x02\x03\x04");
	expect_none(bed, pair);
	pair->received = 4;
	exchange(bed, pair);
}

static void datagrams_are_not_looked_at(void **state)
{
	struct bed *bed = *state;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	char bytes[sizeof(GET)];

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	send_all(fd, GET, strlen(GET));
	receive_all(fd, bytes, strlen(GET));
	expect_none_of(bed, cookie_of(fd));
	close(fd);
}

static void after_an_upgrade_nothing_more_is_seen(void **state)
{
	static const char *const exchanges[][2] = {
		{"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"},
		{"CONNECT example.com:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		struct pair *pair = pair_open(bed, AF_INET);

		pair_request_text(pair, exchanges[i][0]);
		EXPECT_IO(bed, pair, RECEIVED, .data = exchanges[i][0]);
		pair_response_text(pair, exchanges[i][1]);
		EXPECT_IO(bed, pair, SENT, .data = exchanges[i][1]);
		pair_request_text(pair, GET);
		pair_response_text(pair, OK);
		pair_close_server(pair);
		expect_none(bed, pair);
	}
}

static void an_upgrade_may_have_a_long_head(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, RECEIVED, .data = GET);
	fill("HTTP/1.1 101 Switching Protocols\r\nX: ", 1500, "\r\n\r\n");
	pair_response(pair, big, 1500);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = 1500);
	pair_request_text(pair, GET);
	pair_response_text(pair, OK);
	expect_none(bed, pair);
}

static void an_interim_response_is_no_upgrade(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_request_text(pair, "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
	EXPECT_IO(bed, pair, RECEIVED, .data = "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
	pair_response_text(pair, "HTTP/1.1 100 Continue\r\n\r\n");
	EXPECT_IO(bed, pair, SENT, .data = "HTTP/1.1 100 Continue\r\n\r\n");
	pair_request_text(pair, "ab");
	EXPECT_IO(bed, pair, RECEIVED, .data = "ab");
	pair_response_text(pair, OK);
	EXPECT_IO(bed, pair, SENT, .data = OK);
}

/* --- how much is copied --- */

static void a_long_head_is_copied_whole_in_slices(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	fill("GET /long HTTP/1.1\r\nX: ", 10000, "\r\n\r\n");
	pair_request(pair, big, 10000);
	EXPECT_IO(bed, pair, RECEIVED, .data = big, .captured = 4096, .len = 10000, .more = true);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + 4096, .captured = 4096, .offset = 4096,
		  .len = 10000, .more = true);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + 8192, .captured = 10000 - 8192, .offset = 8192,
		  .len = 10000);
}

static void of_an_upload_the_budget_is_copied_and_the_rest_moves_the_position(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	fill("POST /up HTTP/1.1\r\nContent-Length: 19959\r\n\r\n", 20000, "the end.");
	pair_request(pair, big, 20000);
	EXPECT_IO(bed, pair, RECEIVED, .data = big, .captured = 4096, .len = 20000, .more = true);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + 4096, .captured = REQUEST_BUDGET - 4096,
		  .offset = 4096, .len = 20000, TAIL(20000));
	pair_request_text(pair, "more of it"); /* body beyond the budget */
	expect_none(bed, pair);
	pair->received += strlen("more of it");
	pair_response_text(pair, OK);
	EXPECT_IO(bed, pair, SENT, .data = OK);
	exchange(bed, pair);
}

/* Another request may follow the body in the same call. */
static void body_that_ends_as_a_head_does_is_copied_at_its_end(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	fill("POST /up HTTP/1.1\r\nContent-Length: 8151\r\n\r\n", REQUEST_BUDGET, "the end.");
	pair_request(pair, big, REQUEST_BUDGET);
	EXPECT_IO(bed, pair, RECEIVED, .data = big, .captured = 4096, .len = REQUEST_BUDGET,
		  .more = true);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + 4096, .captured = 4096, .offset = 4096,
		  .len = REQUEST_BUDGET);
	fill("", 6000, "GET /b HTTP/1.1\r\n\r\n");
	pair_request(pair, big, 6000);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + 6000 - 4096, .captured = 4096,
		  .offset = 6000 - 4096, .len = 6000);
	fill("", 500, "GET /c HTTP/1.1\r\n\r\n");
	pair_request(pair, big, 500);
	EXPECT_IO(bed, pair, RECEIVED, .data = big, .captured = 500);
}

static void of_a_response_two_kilobytes_are_copied_and_of_its_body_both_ends(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, RECEIVED, .data = GET);
	fill("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 5000, "\r\n1000\r\n");
	pair_response(pair, big, 5000);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = RESPONSE_BUDGET, .len = 5000,
		  TAIL(5000));
	fill("", 4096, "tail one");
	pair_response(pair, big, 4096);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = FIRST_BYTES, .len = 4096, TAIL(4096));
	fill("", 600, "tail two"); /* a short call goes whole */
	pair_response(pair, big, 600);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = 600);
}

static void a_head_that_ends_with_its_call_leaves_the_body_to_its_ends(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, RECEIVED, .data = GET);
	pair_response_text(pair, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
	EXPECT_IO(bed, pair, SENT, .data = "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
	fill("", 3000, "the end.");
	pair_response(pair, big, 3000);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = FIRST_BYTES, .len = 3000, TAIL(3000));
}

static void a_batch_of_requests_makes_room_for_several_responses_in_a_call(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	fill("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nX: ", 600, "\r\n\r\n");
	pair_request(pair, big, 600);
	EXPECT_IO(bed, pair, RECEIVED, .data = big, .captured = 600);
	fill("HTTP/1.1 200 OK\r\nContent-Length: 2900\r\n\r\n", 6000, "the end.");
	pair_response(pair, big, 6000);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = 4096, .len = 6000, .more = true);
	EXPECT_IO(bed, pair, SENT, .data = big + 4096, .captured = 6000 - 4096, .offset = 4096,
		  .len = 6000);
}

static void pieces_of_a_long_call_are_gathered(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct iovec pieces[64];
	size_t i, len = 0;

	fill("GET /long HTTP/1.1\r\nX: ", 64 * 80, "\r\n\r\n");
	for (i = 0; i < 64; i++, len += 80)
		pieces[i] = (struct iovec){.iov_base = big + len, .iov_len = 80};
	send_all(pair->client, big, len);
	wait_readable(pair->server, len);
	memset(big, 0, len);
	assert_int_equal(readv(pair->server, pieces, 64), len);
	EXPECT_IO(bed, pair, RECEIVED, .data = big, .captured = GATHER_MAX, .len = len,
		  .more = true);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + GATHER_MAX, .captured = GATHER_MAX,
		  .offset = GATHER_MAX, .len = len, .more = true);
	EXPECT_IO(bed, pair, RECEIVED, .data = big + 2 * GATHER_MAX,
		  .captured = len - 2 * GATHER_MAX, .offset = 2 * GATHER_MAX, .len = len);
}

/* node writes up to 1,024 pieces in one call. */
static void the_last_bytes_are_found_in_many_pieces(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct iovec pieces[1024];
	size_t i, len = 0, n;

	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, RECEIVED, .data = GET);
	fill("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", 8192, "the end.");
	for (i = 0; i < 1024; i++, len += n) {
		n = i < 1021 ? 8 : i == 1021 ? 17 : i == 1023 ? 7 : 0;
		pieces[i] = (struct iovec){.iov_base = big + len, .iov_len = n};
	}
	assert_int_equal(len, 8192);
	assert_int_equal(writev(pair->server, pieces, 1024), len);
	EXPECT_IO(bed, pair, SENT, .data = big, .captured = RESPONSE_BUDGET, .len = len, TAIL(len));
}

/* --- losses --- */

struct count {
	uint64_t cookie, requests, lost;
	pid_t pid;
};

static void on_lost(void *context, pid_t pid, uint64_t lost)
{
	struct count *count = context;

	if (pid == count->pid)
		count->lost += lost;
}

static void on_record(void *context, const void *bytes, size_t size)
{
	struct count *count = context;
	struct record record;

	assert_int_equal(decode_record(&record, bytes, size), 0);
	if (record.kind == RECORD_IO && record.io->cookie == count->cookie &&
	    record.head->direction == DIRECTION_RECEIVED)
		count->requests++;
}

#define EXCHANGES 200

/* A ring of one page, in a second copy of the kernel side; the service is a process of its own. */
static void requests_that_find_the_ring_full_are_counted_by_process(void **state)
{
	struct pair *pair = pair_open(*state, AF_INET);
	struct count count = {.cookie = pair->cookie};
	const struct capture_config config = {.ring_bytes = 4096, .cpu = true};
	struct capture *small;
	char why[256], bytes[64];
	int i;

	count.pid = fork();
	assert_true(count.pid >= 0);
	if (!count.pid) {
		close(pair->client);
		while (recv(pair->server, bytes, strlen(GET), MSG_WAITALL) > 0)
			send_all(pair->server, OK, strlen(OK));
		_exit(0);
	}
	pair_close_server(pair);
	assert_int_equal(capture_open(&small, &config, why, sizeof(why)), 0);
	assert_int_equal(capture_attach(small, why, sizeof(why)), 0);
	for (i = 0; i < EXCHANGES; i++) {
		send_all(pair->client, GET, strlen(GET));
		EXPECT_IO(*state, pair, RECEIVED, .data = GET, .pid = count.pid);
		receive_all(pair->client, bytes, strlen(OK));
		EXPECT_IO(*state, pair, SENT, .data = OK, .pid = count.pid);
	}
	capture_drain(small, on_record, &count);
	capture_lost_requests(small, on_lost, &count);
	assert_true(count.lost > 0);
	assert_int_equal(count.requests + count.lost, EXCHANGES);
	assert_true(capture_stats(small).losses[LOSS_RING_FULL] >= count.lost);
	capture_close(small);
	pair_close_client(pair);
	assert_int_equal(waitpid(count.pid, NULL, 0), count.pid);
	EXPECT_STATE(*state, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE_WAIT,
		     .shutdown = 1);
	EXPECT_STATE(*state, pair, .old_state = TCP_CLOSE_WAIT, .new_state = TCP_LAST_ACK,
		     .shutdown = 3, .exiting = true, .pid = count.pid);
	EXPECT_STATE(*state, pair, .old_state = TCP_LAST_ACK, .new_state = TCP_CLOSE, .shutdown = 3,
		     .fin_sent = 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_response_are_two_records),
		TEST(each_form_of_request_begins_a_connection),
		TEST(a_clients_end_gives_records_of_its_own),
		TEST(an_older_connection_is_recognised_at_its_next_request),
		TEST(an_unwanted_process_gives_no_record),
		TEST(what_does_not_begin_as_http_is_told_once_and_let_go),
		TEST(a_server_that_speaks_first_is_let_go_in_silence),
		TEST(both_ends_of_http_2_are_told_once),
		TEST(what_a_unix_connection_begins_with_is_not_told),
		TEST(datagrams_are_not_looked_at),
		TEST(after_an_upgrade_nothing_more_is_seen),
		TEST(an_upgrade_may_have_a_long_head),
		TEST(an_interim_response_is_no_upgrade),
		TEST(a_long_head_is_copied_whole_in_slices),
		TEST(of_an_upload_the_budget_is_copied_and_the_rest_moves_the_position),
		TEST(body_that_ends_as_a_head_does_is_copied_at_its_end),
		TEST(of_a_response_two_kilobytes_are_copied_and_of_its_body_both_ends),
		TEST(a_head_that_ends_with_its_call_leaves_the_body_to_its_ends),
		TEST(a_batch_of_requests_makes_room_for_several_responses_in_a_call),
		TEST(pieces_of_a_long_call_are_gathered),
		TEST(the_last_bytes_are_found_in_many_pieces),
		TEST(requests_that_find_the_ring_full_are_counted_by_process),
	};

	return RUN_TESTS(tests);
}
