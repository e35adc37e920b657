// SPDX-License-Identifier: Apache-2.0
/* How connections end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

/* --- ends of connections --- */

static void a_close_without_answer_is_no_response(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1") GET("/2"));
	wire_finish(&bed->wire);
	expect(bed, "GET /1 0 no_response; GET /2 0 no_response");
	assert_int_equal(bed->last.end_ns, bed->wire.now_ns - WIRE_MILLISECOND);
}

static void a_close_within_an_answer_is_no_response(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	wire_finish(&bed->wire);
	expect(bed, "GET / 200 no_response");
}

static void a_close_after_the_client_has_closed_is_aborted(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	expect(bed, "");
	wire_finish(&bed->wire);
	expect(bed, "GET / 0 aborted");
}

static void a_half_close_decides_nothing(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	wire_send_text(&bed->wire, OK);
	expect(bed, ""); /* a reset may tell that nobody was there */
	wire_finish(&bed->wire);
	expect(bed, "GET / 200");
}

static void a_reset_ends_what_is_open(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 connection_reset");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_reset_within_a_body_until_close_is_no_end(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, "GET / HTTP/1.0\r\n\r\n");
	wire_send_text(&bed->wire, "HTTP/1.0 200 OK\r\n\r\nhalf");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 connection_reset");
}

static void a_reset_may_be_recorded_before_the_last_send(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/"));
	wire_send_begin(w, strlen(OK));
	wire_reset(w);
	expect(bed, "");
	w->role = ROLE_SERVER;
	wire_send_hook(w, OK, strlen(OK));
	expect(bed, "GET / 200");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_send_that_never_shows_up_leaves_no_invented_answer(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/"));
	w->lose_count = 1;
	wire_send_text(w, OK);
	wire_finish(w);
	exchanges_settle(bed->exchanges, w->now_ns);
	expect_open(bed, 1);
	exchanges_settle(bed->exchanges, w->now_ns + WIRE_SECOND);
	expect(bed, "");
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

/* --- unix sockets --- */

static void a_unix_socket_that_is_no_longer_listed_has_closed(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct connection_state listed = {.cookie = 1, .role = ROLE_SERVER};

	w->is_unix = true;
	w->from_birth = false;
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 200");
	assert_int_equal(bed->last.port, 0);
	wire_receive_text(w, GET("/2"));
	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	exchanges_listed(bed->exchanges, &listed);
	exchanges_list_end(bed->exchanges, false);
	expect(bed, "");
	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	exchanges_list_end(bed->exchanges, false);
	expect(bed, "GET /2 0 no_response");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_unix_socket_newer_than_the_listing_is_left_alone(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->is_unix = true;
	w->from_birth = false;
	exchanges_list_begin(bed->exchanges, w->now_ns - 1);
	wire_receive_text(w, GET("/"));
	exchanges_list_end(bed->exchanges, false);
	expect(bed, "");
}

static void the_peer_of_a_unix_socket_closes_first(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct connection_state listed = {.cookie = 2, .role = ROLE_SERVER, .shutdown = 3};

	w->is_unix = true;
	w->from_birth = false;
	wire_receive_text(w, GET("/eof"));
	wire_eof(w);
	expect(bed, "");
	wire_send_text(w, OK); /* a half-close */
	expect(bed, "GET /eof 200");
	wire_receive_text(w, GET("/eof"));
	wire_eof(w);
	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	exchanges_list_end(bed->exchanges, false);
	expect(bed, "GET /eof 0 aborted");

	wire_open(w, bed->exchanges, 2);
	w->is_unix = true;
	w->from_birth = false;
	wire_receive_text(w, GET("/gone"));
	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	exchanges_listed(bed->exchanges, &listed);
	exchanges_list_end(bed->exchanges, false);
	expect(bed, "");
	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	exchanges_list_end(bed->exchanges, false);
	expect(bed, "GET /gone 0 aborted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_close_without_answer_is_no_response),
		TEST(a_close_within_an_answer_is_no_response),
		TEST(a_close_after_the_client_has_closed_is_aborted),
		TEST(a_half_close_decides_nothing),
		TEST(a_reset_ends_what_is_open),
		TEST(a_reset_within_a_body_until_close_is_no_end),
		TEST(a_reset_may_be_recorded_before_the_last_send),
		TEST(a_send_that_never_shows_up_leaves_no_invented_answer),
		TEST(a_unix_socket_that_is_no_longer_listed_has_closed),
		TEST(a_unix_socket_newer_than_the_listing_is_left_alone),
		TEST(the_peer_of_a_unix_socket_closes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
