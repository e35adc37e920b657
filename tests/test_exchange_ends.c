// SPDX-License-Identifier: Apache-2.0
/* How connections end. */
#include <errno.h>
#include <netinet/tcp.h>
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

/* --- answers behind the client's FIN --- */

static void answer_behind_a_fin(struct bed *bed)
{
	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	wire_send_text(&bed->wire, OK);
	expect(bed, "");
	expect_in_flight(bed, "");
	expect_open(bed, 1);
}

static void a_reset_after_the_answer_tells_that_the_client_was_gone(void **state)
{
	struct bed *bed = *state;

	answer_behind_a_fin(bed);
	wire_state(&bed->wire, TCP_CLOSE, EPIPE); /* what a reset is in CLOSE_WAIT */
	expect(bed, "GET / 200 aborted");
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void the_client_may_have_closed_before_its_request_was_read(void **state)
{
	struct bed *bed = *state;

	wire_peer_fin(&bed->wire); /* not told: so far it could be any connection */
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 aborted");
	wire_open(&bed->wire, bed->exchanges, 2);
	wire_peer_fin(&bed->wire);
	wire_receive_text(&bed->wire, GET("/"));
	wire_finish(&bed->wire);
	expect(bed, "GET / 0 aborted");
}

static void the_reset_may_come_after_the_service_has_closed(void **state)
{
	struct bed *bed = *state;

	answer_behind_a_fin(bed);
	wire_close_begins(&bed->wire);
	expect(bed, "");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 aborted");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_host_that_no_longer_answers_is_a_client_that_was_gone(void **state)
{
	struct bed *bed = *state;

	answer_behind_a_fin(bed);
	wire_close_begins(&bed->wire);
	wire_state(&bed->wire, TCP_CLOSE, ETIMEDOUT);
	expect(bed, "GET / 200 aborted");
	wire_open(&bed->wire, bed->exchanges, 2);
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	wire_state(&bed->wire, TCP_CLOSE, ETIMEDOUT);
	expect(bed, "GET / 200 aborted");
}

static void without_a_reset_for_a_second_it_was_a_half_close(void **state)
{
	struct bed *bed = *state;
	uint64_t end_ns;

	answer_behind_a_fin(bed);
	end_ns = bed->wire.now_ns;
	exchanges_settle(bed->exchanges, end_ns + EXCHANGE_HELD_NS - 1);
	expect(bed, "");
	exchanges_settle(bed->exchanges, end_ns + EXCHANGE_HELD_NS);
	expect(bed, "GET / 200");
	assert_int_equal(bed->last.end_ns, end_ns);
	wire_reset(&bed->wire);
	expect(bed, "");
	expect_open(bed, 0);
}

static void a_body_that_ends_with_the_close_is_held_as_well(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET / HTTP/1.0\r\n\r\n");
	wire_peer_fin(w);
	wire_send_text(w, "HTTP/1.0 200 OK\r\n\r\nbody");
	wire_close_begins(w);
	expect(bed, "");
	wire_reset(w);
	expect(bed, "GET / 200 aborted");
	wire_open(w, bed->exchanges, 2);
	wire_receive_text(w, "GET / HTTP/1.0\r\n\r\n");
	wire_peer_fin(w);
	wire_send_text(w, "HTTP/1.0 200 OK\r\n\r\nbody");
	wire_finish(w);
	expect(bed, "GET / 200");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void of_several_answers_all_are_held(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1") GET("/2") GET("/3"));
	wire_peer_fin(w);
	wire_send_text(w, OK);
	w->now_ns += EXCHANGE_HELD_NS / 2;
	wire_send_text(w, OK OK);
	exchanges_settle(bed->exchanges, w->now_ns + EXCHANGE_HELD_NS / 2);
	expect(bed, "GET /1 200");
	wire_reset(w);
	expect(bed, "GET /2 200 aborted; GET /3 200 aborted");
	expect_open(bed, 0);
}

static void a_reset_recorded_before_the_send_is_none_the_less_one(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/"));
	wire_peer_fin(w);
	wire_send_begin(w, strlen(OK));
	wire_reset(w);
	expect(bed, "");
	wire_send_hook(w, OK, strlen(OK));
	expect(bed, "GET / 200 aborted");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_close_recorded_before_the_send_is_clean(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/"));
	wire_peer_fin(w);
	wire_send_begin(w, strlen(OK));
	wire_finish(w);
	expect(bed, "");
	wire_send_hook(w, OK, strlen(OK));
	expect(bed, "GET / 200");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void an_idle_connection_with_an_answer_held_is_not_forgotten(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	answer_behind_a_fin(bed);
	exchanges_expire(bed->exchanges, w->now_ns + EXCHANGE_IDLE_NS + 1);
	expect(bed, "");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 1);
	wire_reset(w);
	expect(bed, "GET / 200 aborted");
}

static void a_full_table_drops_no_answer_that_is_held(void **state)
{
	struct bed *bed = *state;
	struct wire other;
	uint64_t cookie;

	answer_behind_a_fin(bed);
	for (cookie = 2; cookie <= EXCHANGE_CONNECTIONS_MAX + 1; cookie++) {
		wire_open(&other, bed->exchanges, cookie);
		wire_receive_text(&other, GET("/other"));
		wire_send_text(&other, OK);
	}
	assert_int_equal(exchanges_stats(bed->exchanges).connections_evicted, 1);
	assert_int_equal(exchanges_stats(bed->exchanges).connections_refused, 0);
	bed->log[0] = '\0';
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 aborted");
}

/* --- records that are lost --- */

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
		TEST(a_reset_after_the_answer_tells_that_the_client_was_gone),
		TEST(the_client_may_have_closed_before_its_request_was_read),
		TEST(the_reset_may_come_after_the_service_has_closed),
		TEST(a_host_that_no_longer_answers_is_a_client_that_was_gone),
		TEST(without_a_reset_for_a_second_it_was_a_half_close),
		TEST(a_body_that_ends_with_the_close_is_held_as_well),
		TEST(of_several_answers_all_are_held),
		TEST(a_reset_recorded_before_the_send_is_none_the_less_one),
		TEST(a_close_recorded_before_the_send_is_clean),
		TEST(an_idle_connection_with_an_answer_held_is_not_forgotten),
		TEST(a_full_table_drops_no_answer_that_is_held),
		TEST(a_send_that_never_shows_up_leaves_no_invented_answer),
		TEST(a_unix_socket_that_is_no_longer_listed_has_closed),
		TEST(a_unix_socket_newer_than_the_listing_is_left_alone),
		TEST(the_peer_of_a_unix_socket_closes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
