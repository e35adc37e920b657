// SPDX-License-Identifier: Apache-2.0
/* The requests that a process makes itself. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

#define HALF "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static int client_setup(void **state)
{
	int error = bed_setup(state);
	struct bed *bed = *state;

	if (!error)
		bed->wire.is_client = true;
	return error;
}

#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, client_setup, bed_teardown)

/* Another connection of the process. */
static void again(struct bed *bed)
{
	uint64_t cookie = bed->wire.cookie + 1;

	wire_open(&bed->wire, bed->exchanges, cookie);
	bed->wire.is_client = true;
}

static void expect_none_left(const struct bed *bed)
{
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

/* --- answered --- */

static void a_request_is_sent_and_its_response_received(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = bed->wire.now_ns + WIRE_MILLISECOND;

	wire_send_text(&bed->wire, "POST /a?q HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
	wire_send_text(&bed->wire, "body");
	wire_receive_text(&bed->wire, "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n");
	wire_receive_text(&bed->wire, "ab");
	expect(bed, "");
	wire_receive_text(&bed->wire, "cd");
	expect(bed, "POST /a 201");
	assert_int_equal(bed->last.role, ROLE_CLIENT);
	assert_int_equal(bed->last.port, 8000); /* the server's */
	assert_int_equal(bed->last.pid, 100);
	assert_int_equal(bed->last.start_ns, start_ns);
	assert_int_equal(bed->last.first_byte_ns, start_ns + 2 * WIRE_MILLISECOND);
	assert_int_equal(bed->last.end_ns, start_ns + 4 * WIRE_MILLISECOND);
	assert_int_equal(bed->last.arrival_ns, 0);
}

static void a_connection_takes_one_request_after_the_other(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_send_text(w, GET("/1"));
	wire_receive_text(w, OK);
	wire_send_text(w, "HEAD /2 HTTP/1.1\r\n" HOST);
	wire_receive_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
	wire_send_text(w, "PUT /3 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	wire_receive_text(w, "HTTP/1.1 100 Continue\r\n\r\n");
	wire_send_text(w, "ok");
	wire_receive_text(w, CHUNKED "2\r\nok\r\n");
	wire_receive_text(w, "0\r\n\r\n");
	wire_send_text(w, GET("/4"));
	wire_receive_text(w, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200; HEAD /2 200; PUT /3 200; GET /4 503");
	wire_finish(w);
	expect(bed, "");
	expect_none_left(bed);
}

static void a_connection_that_is_older_than_the_agent_is_taken_up(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->from_birth = false;
	w->received = w->received_seen = 3000;
	w->sent = w->sent_seen = 1000;
	wire_send_text(w, GET("/1"));
	wire_receive_text(w, OK);
	expect(bed, "GET /1 200");
}

static void a_body_without_length_ends_with_the_servers_close(void **state)
{
	struct bed *bed = *state;
	uint64_t last_ns;

	wire_send_text(&bed->wire, "GET /1 HTTP/1.0\r\n" HOST);
	wire_receive_text(&bed->wire, "HTTP/1.0 200 OK\r\n\r\nbo");
	wire_receive_text(&bed->wire, "dy");
	last_ns = bed->wire.now_ns;
	wire_peer_fin(&bed->wire);
	expect(bed, "");
	bed->wire.now_ns += WIRE_SECOND;
	wire_finish(&bed->wire);
	expect(bed, "GET /1 200");
	assert_int_equal(bed->last.end_ns, last_ns);
	expect_none_left(bed);
}

static void a_tunnel_ends_the_request_for_it(void **state)
{
	struct bed *bed = *state;

	wire_send_text(&bed->wire, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
	wire_receive_text(&bed->wire, "HTTP/1.1 200 Connected\r\n\r\n");
	expect(bed, "CONNECT - 200");
	wire_send_text(&bed->wire, GET("/not-ours"));
	wire_receive_text(&bed->wire, OK);
	expect(bed, "");
	expect_open(bed, 0);
}

/* --- not answered --- */

static void a_server_that_closes_without_an_answer_gives_none(void **state)
{
	struct bed *bed = *state;

	wire_send_text(&bed->wire, GET("/1"));
	wire_peer_fin(&bed->wire);
	expect(bed, "");
	bed->wire.now_ns += WIRE_SECOND;
	wire_finish(&bed->wire);
	expect(bed, "GET /1 0 no_response");
	again(bed);
	wire_send_text(&bed->wire, GET("/2"));
	wire_receive_text(&bed->wire, HALF);
	wire_peer_fin(&bed->wire);
	wire_finish(&bed->wire);
	expect(bed, "GET /2 200 no_response");
	expect_none_left(bed);
}

static void a_server_that_resets_has_reset(void **state)
{
	struct bed *bed = *state;

	wire_send_text(&bed->wire, GET("/1"));
	bed->wire.now_ns += WIRE_SECOND;
	wire_reset(&bed->wire);
	expect(bed, "GET /1 0 connection_reset");
	again(bed);
	wire_send_text(&bed->wire, GET("/2"));
	wire_receive_text(&bed->wire, "HTTP/1.0 200 OK\r\n\r\nbo");
	wire_reset(&bed->wire);
	expect(bed, "GET /2 200 connection_reset");
	expect_none_left(bed);
}

static void who_closes_after_a_while_without_a_byte_has_waited_long_enough(void **state)
{
	static const struct {
		uint64_t wait_ns;
		const char *cut_short;
	} cases[] = {
		{0, "aborted"},
		{EXCHANGE_CLIENT_TIMEOUT_NS - 1, "aborted"},
		{EXCHANGE_CLIENT_TIMEOUT_NS, "timeout"},
		{60 * WIRE_SECOND, "timeout"},
	};
	struct bed *bed = *state;
	char wanted[80];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wire_send_text(&bed->wire, GET("/1"));
		bed->wire.now_ns += cases[i].wait_ns - WIRE_MILLISECOND;
		wire_finish(&bed->wire);
		snprintf(wanted, sizeof(wanted), "GET /1 0 %s", cases[i].cut_short);
		expect(bed, wanted);
		again(bed);
		wire_send_text(&bed->wire, GET("/2"));
		bed->wire.now_ns += 10 * WIRE_SECOND;
		wire_receive_text(&bed->wire, HALF);
		bed->wire.now_ns += cases[i].wait_ns - WIRE_MILLISECOND;
		wire_finish(&bed->wire);
		snprintf(wanted, sizeof(wanted), "GET /2 200 %s", cases[i].cut_short);
		expect(bed, wanted);
		again(bed);
	}
	expect_none_left(bed);
}

static void a_server_that_vanishes_is_waited_for_in_vain(void **state)
{
	struct bed *bed = *state;

	wire_send_text(&bed->wire, GET("/1"));
	bed->wire.now_ns += 60 * WIRE_SECOND;
	wire_state(&bed->wire, TCP_CLOSE, ETIMEDOUT);
	expect(bed, "GET /1 0 timeout");
	expect_none_left(bed);
}

static void a_half_close_waits_for_the_answer(void **state)
{
	struct bed *bed = *state;

	wire_send_text(&bed->wire, GET("/1"));
	wire_half_close(&bed->wire);
	expect(bed, "");
	wire_receive_text(&bed->wire, OK);
	expect(bed, "GET /1 200");
	wire_state(&bed->wire, TCP_CLOSE, 0);
	expect_none_left(bed);
	again(bed);
	wire_send_text(&bed->wire, GET("/2"));
	wire_half_close(&bed->wire);
	bed->wire.now_ns += WIRE_SECOND;
	wire_state(&bed->wire, TCP_CLOSE, 0);
	expect(bed, "GET /2 0 timeout");
	expect_none_left(bed);
}

static void a_body_whose_last_record_comes_after_the_close_is_whole(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct wire_record *response;

	wire_send_text(w, GET("/1"));
	wire_hold(w);
	wire_receive_text(w, OK);
	response = wire_take(w);
	w->holding = false;
	wire_finish(w);
	expect(bed, "");
	wire_deliver(bed->exchanges, response);
	expect(bed, "GET /1 200");
	expect_none_left(bed);
}

/* --- the server's name --- */

static void the_host_field_names_the_server(void **state)
{
	static const struct {
		const char *fields, *log;
	} cases[] = {
		{"Host: api.example\r\n", "host /1 api.example; "},
		{"host:api.example:8080\r\n", "host /1 api.example:8080; "},
		{"HOST: \t API.example \t\r\n", "host /1 API.example; "},
		{"X-Host: a\r\nHost: b\r\nHostess: c\r\n", "host /1 b; "},
		{"Host: [::1]:80\r\n", "host /1 [::1]:80; "},
		{"Host:\r\n", ""},
		{"Host: \t \r\n", ""},
		{"Host : a\r\n", ""},
		{"Accept: */*\r\n", ""},
		{"Host: a\r\nHost: b\r\n", "host /1 a; host /1 b; "},
	};
	struct bed *bed = *state;
	char text[256];
	size_t i;

	bed->tells_all = true;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "GET /1 HTTP/1.1\r\n%s\r\n", cases[i].fields);
		wire_send_text(&bed->wire, text);
		wire_receive_text(&bed->wire, OK);
		snprintf(text, sizeof(text), "%sbegun GET /1; GET /1 200", cases[i].log);
		expect(bed, text);
	}
}

static void a_host_field_can_come_in_parts(void **state)
{
	struct bed *bed = *state;

	bed->tells_all = true;
	wire_send_text(&bed->wire, "GET /1 HTTP/1.1\r\nHo");
	wire_send_text(&bed->wire, "st: api.exa");
	wire_send_text(&bed->wire, "mple\r\n\r\n");
	expect(bed, "host /1 api.example; begun GET /1");
}

static void the_host_field_of_a_request_that_is_served_is_of_no_interest(void **state)
{
	struct bed *bed = *state;

	bed->wire.is_client = false;
	bed->tells_all = true;
	wire_receive_text(&bed->wire, GET("/1"));
	expect(bed, "begun GET /1");
}

/* --- what is only for servers --- */

static void what_waits_to_be_read_by_a_client_is_no_request(void **state)
{
	struct bed *bed = *state;
	struct connection_state listed;

	bed->tells_all = true;
	wire_send_text(&bed->wire, GET("/1"));
	wire_receive_text(&bed->wire, OK);
	expect(bed, "host /1 x; begun GET /1; GET /1 200");
	listed = wire_listed(&bed->wire);
	listed.arrival_ns = 1; /* which the kernel side does not say of a client */
	list(bed, true, 1, &listed);
	expect(bed, "");
}

static void a_listing_of_all_finds_lost_answers_of_clients(void **state)
{
	struct bed *bed = *state;
	struct connection_state listed;

	wire_send_text(&bed->wire, GET("/1"));
	listed = wire_listed(&bed->wire);
	list(bed, true, 1, &listed);
	expect_open(bed, 1);
	bed->wire.lose_count = 1;
	wire_receive_text(&bed->wire, OK);
	listed = wire_listed(&bed->wire);
	list(bed, true, 1, &listed);
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	wire_send_text(&bed->wire, GET("/2"));
	wire_receive_text(&bed->wire, OK);
	expect(bed, "GET /2 200");
}

/* --- unix sockets --- */

static void a_unix_socket_has_no_port(void **state)
{
	struct bed *bed = *state;

	bed->wire.is_unix = true;
	bed->wire.from_birth = false;
	wire_send_text(&bed->wire, GET("/1"));
	wire_receive_text(&bed->wire, OK);
	expect(bed, "GET /1 200");
	assert_int_equal(bed->last.port, 0);
	assert_int_equal(bed->last.role, ROLE_CLIENT);
	wire_send_text(&bed->wire, GET("/2"));
	wire_eof(&bed->wire);
	list(bed, false, 0, NULL);
	expect(bed, "GET /2 0 no_response");
	again(bed);
	bed->wire.is_unix = true;
	bed->wire.from_birth = false;
	wire_send_text(&bed->wire, "GET /3 HTTP/1.0\r\n" HOST);
	wire_receive_text(&bed->wire, "HTTP/1.0 200 OK\r\n\r\nbody");
	wire_eof(&bed->wire);
	list(bed, false, 0, NULL);
	expect(bed, "GET /3 200");
	expect_none_left(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(a_request_is_sent_and_its_response_received),
		CLIENT_TEST(a_connection_takes_one_request_after_the_other),
		CLIENT_TEST(a_connection_that_is_older_than_the_agent_is_taken_up),
		CLIENT_TEST(a_body_without_length_ends_with_the_servers_close),
		CLIENT_TEST(a_tunnel_ends_the_request_for_it),
		CLIENT_TEST(a_server_that_closes_without_an_answer_gives_none),
		CLIENT_TEST(a_server_that_resets_has_reset),
		CLIENT_TEST(who_closes_after_a_while_without_a_byte_has_waited_long_enough),
		CLIENT_TEST(a_server_that_vanishes_is_waited_for_in_vain),
		CLIENT_TEST(a_half_close_waits_for_the_answer),
		CLIENT_TEST(a_body_whose_last_record_comes_after_the_close_is_whole),
		CLIENT_TEST(the_host_field_names_the_server),
		CLIENT_TEST(a_host_field_can_come_in_parts),
		CLIENT_TEST(the_host_field_of_a_request_that_is_served_is_of_no_interest),
		CLIENT_TEST(what_waits_to_be_read_by_a_client_is_no_request),
		CLIENT_TEST(a_listing_of_all_finds_lost_answers_of_clients),
		CLIENT_TEST(a_unix_socket_has_no_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
