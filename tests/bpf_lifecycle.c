// SPDX-License-Identifier: Apache-2.0
/* lifecycle.bpf.c: how connections end, over TCP and over unix sockets; those that are not made;
 * the listing of those there are. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks_bed.h"

#define GET "GET /a HTTP/1.1\r\nHost: bittern.example\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* sk_shutdown */
#define SHUT_RECEIVE 1
#define SHUT_SEND 2
#define SHUT_BOTH 3

static struct pair *pair_with_request(struct bed *bed, int family)
{
	struct pair *pair = pair_open(bed, family);

	pair_request_text(pair, GET);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET);
	return pair;
}

static void respond(struct bed *bed, struct pair *pair)
{
	pair_response_text(pair, OK);
	EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = OK);
}

static void a_service_that_closes_first_is_told_with_its_pid(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_with_request(bed, families[i]);

		respond(bed, pair);
		pair_close_server(pair);
		EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_FIN_WAIT1,
			     .shutdown = SHUT_BOTH, .pid = getpid());
		pair_close_client(pair);
		EXPECT_STATE(bed, pair, .old_state = TCP_FIN_WAIT2, .new_state = TCP_CLOSE,
			     .shutdown = SHUT_BOTH, .fin_sent = 1);
	}
}

static void a_client_that_closes_first_is_told_then_the_service(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);

	respond(bed, pair);
	pair_close_client(pair);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE_WAIT,
		     .shutdown = SHUT_RECEIVE);
	pair_close_server(pair);
	EXPECT_STATE(bed, pair, .old_state = TCP_CLOSE_WAIT, .new_state = TCP_LAST_ACK,
		     .shutdown = SHUT_BOTH, .pid = getpid());
	EXPECT_STATE(bed, pair, .old_state = TCP_LAST_ACK, .new_state = TCP_CLOSE,
		     .shutdown = SHUT_BOTH, .fin_sent = 1);
}

/* Until it is known to be HTTP no state of a connection is told. */
static void a_client_that_closed_before_its_request_was_read_is_told_with_it(void **state)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	struct bed *bed = *state;
	char bytes[256];
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_connect(bed, families[i]);

		send_all(pair->client, GET, strlen(GET));
		assert_int_equal(shutdown(pair->client, SHUT_WR), 0);
		pair_accept(pair);
		receive_all(pair->server, bytes, strlen(GET));
		EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET,
			  .flags = IO_PEER_CLOSED);
		respond(bed, pair);
		expect_none(bed, pair);
	}
}

static void a_half_closed_client_still_gets_its_answer(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);
	char byte;

	assert_int_equal(shutdown(pair->client, SHUT_WR), 0);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE_WAIT,
		     .shutdown = SHUT_RECEIVE);
	assert_int_equal(recv(pair->server, &byte, 1, 0), 0);
	expect_none(bed, pair);
	respond(bed, pair); /* its other_end does not count the FIN */
}

/* Its receive hook may still be to come when an answer is sent: here it never comes. */
static void a_fin_that_no_hook_saw_is_no_byte(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);
	char bytes[100];

	send_all(pair->client, "discarded", 9);
	assert_int_equal(shutdown(pair->client, SHUT_WR), 0);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE_WAIT,
		     .shutdown = SHUT_RECEIVE);
	assert_int_equal(recv(pair->server, bytes, sizeof(bytes), MSG_TRUNC), 9);
	pair->received += 9;
	respond(bed, pair);
}

static void a_service_that_only_shuts_down_has_not_shut_its_receiving_end(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);

	respond(bed, pair);
	assert_int_equal(shutdown(pair->server, SHUT_WR), 0);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_FIN_WAIT1,
		     .shutdown = SHUT_SEND, .pid = getpid());
}

static void a_reset_by_the_client_has_its_error(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);

	pair_reset_on_close(pair->client);
	pair_close_client(pair);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE,
		     .error = ECONNRESET);
	pair_close_server(pair);
}

static void a_reset_after_the_clients_fin_is_a_broken_pipe(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);

	pair_close_client(pair); /* all is read, so it sends a FIN */
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE_WAIT,
		     .shutdown = SHUT_RECEIVE);
	pair->port_gone = true;
	send_all(pair->server, OK, strlen(OK)); /* answered by a reset: nobody is there */
	EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = OK);
	EXPECT_STATE(bed, pair, .old_state = TCP_CLOSE_WAIT, .new_state = TCP_CLOSE,
		     .shutdown = SHUT_RECEIVE, .error = EPIPE);
}

static void a_reset_by_the_service_has_no_error(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);

	pair_reset_on_close(pair->server);
	pair_close_server(pair);
	EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_CLOSE,
		     .shutdown = SHUT_BOTH);
}

static void ends_of_what_is_not_http_are_not_told(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_close_client(pair); /* nothing was ever sent */
	pair_close_server(pair);
	expect_none(bed, pair);
	pair = pair_open(bed, AF_INET);
	pair_response_text(pair, "220 mail.example ESMTP\r\n");
	pair_close_server(pair);
	pair_close_client(pair);
	expect_none(bed, pair);
}

/* A child with the server's end; it reads the request and exits as told: by itself, or by a signal
 * while it waits for more. */
static pid_t serve_in_child(struct bed *bed, struct pair *pair, int how)
{
	char bytes[sizeof(GET)];
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		close(pair->client);
		recv(pair->server, bytes, strlen(GET), MSG_WAITALL);
		if (how)
			pause();
		_exit(0);
	}
	pair_close_server(pair);
	send_all(pair->client, GET, strlen(GET));
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET, .pid = pid);
	if (how)
		kill(pid, how);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void a_service_that_exits_or_is_killed_closes_as_exiting(void **state)
{
	static const int hows[] = {0, SIGKILL, SIGTERM};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		struct pair *pair = pair_open(bed, AF_INET);
		pid_t pid = serve_in_child(bed, pair, hows[i]);

		EXPECT_STATE(bed, pair, .old_state = TCP_ESTABLISHED, .new_state = TCP_FIN_WAIT1,
			     .shutdown = SHUT_BOTH, .pid = pid, .exiting = true);
		pair_close_client(pair);
		EXPECT_STATE(bed, pair, .old_state = TCP_FIN_WAIT2, .new_state = TCP_CLOSE,
			     .shutdown = SHUT_BOTH, .fin_sent = 1);
	}
}

/* --- connecting --- */

/* A socket that connects to port of the loopback; its connect() gives error. */
static int connect_to(int family, uint16_t port, int flags, int error)
{
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), result;

	assert_true(fd >= 0);
	result = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
				   : connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	assert_int_equal(result ? errno : 0, error);
	return fd;
}

static void expect_failed(struct bed *bed, int family, uint16_t port, int error, uint64_t from_ns)
{
	const struct record_connect_failed *failed = expect_connect_failed(bed, getpid());
	uint32_t v4 = htonl(INADDR_LOOPBACK);

	assert_int_equal(failed->family, family);
	assert_int_equal(failed->peer_port, port);
	assert_int_equal(failed->error, error);
	assert_in_range(failed->begin_ns, from_ns, failed->head.time_ns);
	if (family == AF_INET)
		assert_memory_equal(failed->peer_address, &v4, sizeof(v4));
	else
		assert_memory_equal(failed->peer_address, &in6addr_loopback, 16);
}

static void a_refused_connection_is_told_with_its_address(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_open(bed, families[i]); /* whose port is then free */
		uint64_t from_ns;

		pair_close_server(pair);
		pair_close_client(pair);
		from_ns = now_ns();
		close(connect_to(families[i], pair->port, 0, ECONNREFUSED));
		expect_failed(bed, families[i], pair->port, ECONNREFUSED, from_ns);
		expect_no_connect_failed(bed, getpid());
	}
}

/* A listener whose backlog is full answers no SYN. */
static void giving_up_while_connecting_has_no_error(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_connect(bed, AF_INET);
	int second = connect_to(AF_INET, pair->port, 0, 0), third;
	uint64_t from_ns = now_ns();

	third = connect_to(AF_INET, pair->port, SOCK_NONBLOCK, EINPROGRESS);
	wait_ms(20);
	expect_no_connect_failed(bed, getpid());
	close(third);
	expect_failed(bed, AF_INET, pair->port, 0, from_ns);
	close(second);
}

static void what_an_unwanted_process_fails_to_connect_is_not_told(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	pair_close_server(pair);
	pair_close_client(pair);
	capture_set_wanted(bed->capture, getpid(), false);
	close(connect_to(AF_INET, pair->port, 0, ECONNREFUSED));
	capture_set_wanted(bed->capture, getpid(), true);
	expect_no_connect_failed(bed, getpid());
}

/* --- unix sockets --- */

static void the_end_of_a_unix_connection_is_a_receive_of_nothing(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_UNIX);
	char byte;

	respond(bed, pair);
	pair_close_client(pair);
	expect_none(bed, pair); /* nothing tells until it is looked at */
	assert_int_equal(recv(pair->server, &byte, 1, 0), 0);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .flags = IO_EOF);
	pair_close_server(pair);
	expect_none(bed, pair);
}

static void on_connection(void *context, const struct connection_state *state)
{
	struct connection_state *wanted = context;

	if (state->cookie == wanted->cookie)
		*wanted = *state;
}

/* How the listing has the pair's server; received_end UINT64_MAX: it is not in it. */
static struct connection_state listed(struct bed *bed, const struct pair *pair, bool all)
{
	struct connection_state state = {.cookie = pair->cookie, .received_end = UINT64_MAX};

	assert_int_equal(capture_list(bed->capture, all, on_connection, &state), 0);
	return state;
}

static void expect_listed(struct bed *bed, const struct pair *pair, bool all, enum role role)
{
	struct connection_state state = listed(bed, pair, all);

	assert_int_equal(state.received_end, pair->received);
	assert_int_equal(state.sent_end, pair->sent);
	assert_int_equal(state.role, role);
	assert_int_equal(state.is_unix, pair->family == AF_UNIX);
	assert_int_equal(state.local_port, pair->port);
	assert_int_equal(state.listener_pid, getpid());
}

static void expect_not_listed(struct bed *bed, const struct pair *pair, bool all)
{
	assert_int_equal(listed(bed, pair, all).received_end, UINT64_MAX);
}

static void unix_connections_with_http_are_listed_until_they_are_gone(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_UNIX);

	expect_listed(bed, pair, false, ROLE_SERVER);
	respond(bed, pair);
	expect_listed(bed, pair, false, ROLE_SERVER);
	assert_int_equal(listed(bed, pair, false).shutdown, 0);
	pair_close_client(pair);
	assert_int_equal(listed(bed, pair, false).shutdown, SHUT_BOTH);
	pair_close_server(pair);
	expect_not_listed(bed, pair, false);
}

static void tcp_connections_with_http_are_listed_when_all_are_asked_for(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_with_request(bed, AF_INET);

	expect_not_listed(bed, pair, false);
	expect_listed(bed, pair, true, ROLE_SERVER);
	respond(bed, pair);
	expect_listed(bed, pair, true, ROLE_SERVER);
}

static void what_is_not_http_is_not_listed(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_UNIX);

	pair_request_text(pair, "\x01\x02\x03\x04");
	expect_not_listed(bed, pair, true);
	pair = pair_open(bed, AF_INET);
	pair_response_text(pair, "220 mail.example ESMTP\r\n");
	expect_not_listed(bed, pair, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_service_that_closes_first_is_told_with_its_pid),
		TEST(a_client_that_closes_first_is_told_then_the_service),
		TEST(a_client_that_closed_before_its_request_was_read_is_told_with_it),
		TEST(a_half_closed_client_still_gets_its_answer),
		TEST(a_fin_that_no_hook_saw_is_no_byte),
		TEST(a_service_that_only_shuts_down_has_not_shut_its_receiving_end),
		TEST(a_reset_by_the_client_has_its_error),
		TEST(a_reset_after_the_clients_fin_is_a_broken_pipe),
		TEST(a_reset_by_the_service_has_no_error),
		TEST(ends_of_what_is_not_http_are_not_told),
		TEST(a_service_that_exits_or_is_killed_closes_as_exiting),
		TEST(a_refused_connection_is_told_with_its_address),
		TEST(giving_up_while_connecting_has_no_error),
		TEST(what_an_unwanted_process_fails_to_connect_is_not_told),
		TEST(the_end_of_a_unix_connection_is_a_receive_of_nothing),
		TEST(unix_connections_with_http_are_listed_until_they_are_gone),
		TEST(tcp_connections_with_http_are_listed_when_all_are_asked_for),
		TEST(what_is_not_http_is_not_listed),
	};

	return RUN_TESTS(tests);
}
