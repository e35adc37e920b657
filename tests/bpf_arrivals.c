// SPDX-License-Identifier: Apache-2.0
/* arrivals.bpf.h, lifecycle.bpf.c: when bytes came in that wait to be read, and what becomes of
 * those that nobody reads. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks_bed.h"

#define GET "GET /a HTTP/1.1\r\nHost: bittern.example\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define ARRIVALS 4 /* as in maps.bpf.h */
#define WAIT_MS 5

static const int families[] = {AF_INET, AF_INET6, AF_UNIX};

/* Bytes on their way to the service, and when they came in. */
struct sent {
	uint64_t from_ns, to_ns;
};

static struct sent send_now(struct pair *pair, const char *text)
{
	struct sent sent = {.from_ns = now_ns()};

	send_all(pair->client, text, strlen(text));
	wait_ms(WAIT_MS);
	sent.to_ns = now_ns();
	wait_ms(WAIT_MS);
	return sent;
}

static void read_now(struct bed *bed, struct pair *pair, const char *text, struct sent sent)
{
	char bytes[256];

	receive_all(pair->server, bytes, strlen(text));
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = text,
		  .arrival_from_ns = sent.from_ns, .arrival_to_ns = sent.to_ns);
}

static void a_request_has_come_in_when_its_bytes_did_not_when_it_is_read(void **state)
{
	struct bed *bed = *state;
	size_t i, j;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_open(bed, families[i]);

		for (j = 0; j < ARRIVALS + 2; j++) {
			read_now(bed, pair, GET, send_now(pair, GET));
			pair_response_text(pair, OK);
			EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = OK);
		}
	}
}

static void a_request_comes_in_while_its_connection_waits_in_the_backlog(void **state)
{
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_connect(bed, families[i]);
		struct sent sent = send_now(pair, GET);

		pair_accept(pair);
		read_now(bed, pair, GET, sent);
	}
}

static void requests_that_wait_together_have_each_their_time(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct sent sent[ARRIVALS + 2];
	size_t i;

	for (i = 0; i < ARRIVALS + 2; i++)
		sent[i] = send_now(pair, GET);
	/* what comes in when none of the times is free counts to the newest */
	for (i = 0; i < ARRIVALS + 2; i++)
		read_now(bed, pair, GET, sent[i < ARRIVALS ? i : ARRIVALS - 1]);
	read_now(bed, pair, GET, send_now(pair, GET));
}

/* Unix sockets have no positions. */
static void what_waits_in_a_unix_socket_came_in_when_it_began_to_fill(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_UNIX);
	struct sent first = send_now(pair, GET);

	send_now(pair, GET);
	read_now(bed, pair, GET, first);
	read_now(bed, pair, GET, first);
	read_now(bed, pair, GET, send_now(pair, GET));
}

static void bytes_that_came_together_and_are_read_apart_have_one_time(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct sent sent = send_now(pair, GET "Host: more of it");

	read_now(bed, pair, GET, sent);
	wait_ms(WAIT_MS);
	read_now(bed, pair, "Host: more", sent);
}

/* --- unread --- */

struct found {
	const struct pair *pair;
	struct connection_state state;
	size_t count;
};

/* The pair's connection may not be accepted: it is told by its port, or as unix socket. */
static void on_connection(void *context, const struct connection_state *state)
{
	struct found *found = context;
	const struct pair *pair = found->pair;

	if (pair->cookie ? state->cookie != pair->cookie
			 : !state->arrival_ns || state->local_port != pair->port ||
				   state->listener_pid != (uint32_t)getpid())
		return;
	found->state = *state;
	found->count++;
}

static struct found list(struct bed *bed, const struct pair *pair)
{
	struct found found = {.pair = pair};

	assert_int_equal(capture_list(bed->capture, false, on_connection, &found), 0);
	return found;
}

static void expect_unread(struct bed *bed, const struct pair *pair, struct sent sent)
{
	struct found found = list(bed, pair);

	assert_int_equal(found.count, 1);
	assert_in_range(found.state.arrival_ns, sent.from_ns, sent.to_ns);
	assert_int_equal(found.state.listener_pid, getpid());
	assert_int_equal(found.state.local_port, pair->port);
	assert_int_equal(found.state.is_unix, pair->family == AF_UNIX);
}

static void what_nobody_reads_is_listed_accepted_or_not(void **state)
{
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_connect(bed, families[i]);
		struct sent sent;

		assert_int_equal(list(bed, pair).count, 0);
		sent = send_now(pair, GET);
		expect_unread(bed, pair, sent);
		pair_accept(pair);
		expect_unread(bed, pair, sent);
		read_now(bed, pair, GET, sent);
		if (families[i] == AF_UNIX)
			assert_int_equal(list(bed, pair).state.arrival_ns, 0);
		else
			assert_int_equal(list(bed, pair).count, 0);
	}
}

static void a_connection_that_dies_unread_is_told(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	send_now(pair, GET);
	pair_close_server(pair); /* by a reset: there are unread bytes */
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE, .shutdown = 3,
		     .unread = true);
}

static void so_is_one_that_dies_in_the_backlog(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_connect(bed, AF_INET);

	send_now(pair, GET);
	pair->cookie = list(bed, pair).state.cookie;
	assert_true(pair->cookie != 0);
	pair_reset_on_close(pair->client);
	pair_close_client(pair);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE,
		     .error = ECONNRESET, .unread = true);
}

static void a_listener_of_an_unwanted_process_sees_no_arrival(void **state)
{
	struct bed *bed = *state;
	struct pair *pair;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		capture_set_wanted(bed->capture, getpid(), false);
		pair = pair_connect(bed, families[i]);
		send_now(pair, GET);
		assert_int_equal(list(bed, pair).count, 0);
		pair_accept(pair);
		pair_close_server(pair);
		pair_close_client(pair);
		capture_set_wanted(bed->capture, getpid(), true);
	}
}

/* --- what is older than the hooks --- */

/* The pair's listener lets its connection go and accepts another. */
static void connect_again(struct pair *pair)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	close(accept(pair->listener, NULL, NULL));
	pair_close_client(pair);
	pair->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getsockname(pair->listener, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(pair->client, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(pair->client, (struct sockaddr *)&a, &len), 0);
	pair->client_port = ntohs(a.sin_port);
}

/* A second copy of the kernel side comes when a connection and a listener are there. */
static void older_connections_and_listeners_are_adopted(void **state)
{
	struct bed *first = *state, *second;
	struct pair *accepted = pair_open(first, AF_INET),
		    *listening = pair_connect(first, AF_INET);
	struct pair *pairs[] = {accepted, listening};
	void *opened;
	size_t i;

	assert_int_equal(bed_open(&opened), 0);
	bed_setup(&opened);
	second = opened;
	connect_again(listening);
	for (i = 0; i < 2; i++) {
		struct sent sent = send_now(pairs[i], GET);
		struct pair same;

		if (pairs[i] == listening)
			pair_accept(listening);
		same = *pairs[i];
		read_now(first, pairs[i], GET, sent);
		EXPECT_IO(second, &same, .direction = DIRECTION_RECEIVED, .data = GET,
			  .arrival_from_ns = sent.from_ns, .arrival_to_ns = sent.to_ns);
	}
	bed_close(&opened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_has_come_in_when_its_bytes_did_not_when_it_is_read),
		TEST(a_request_comes_in_while_its_connection_waits_in_the_backlog),
		TEST(requests_that_wait_together_have_each_their_time),
		TEST(what_waits_in_a_unix_socket_came_in_when_it_began_to_fill),
		TEST(bytes_that_came_together_and_are_read_apart_have_one_time),
		TEST(what_nobody_reads_is_listed_accepted_or_not),
		TEST(a_connection_that_dies_unread_is_told),
		TEST(so_is_one_that_dies_in_the_backlog),
		TEST(a_listener_of_an_unwanted_process_sees_no_arrival),
		TEST(older_connections_and_listeners_are_adopted),
	};

	return RUN_TESTS(tests);
}
