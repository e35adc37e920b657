// SPDX-License-Identifier: Apache-2.0
/* Requests inside TLS: their connection is known by its plaintext, its end by the socket's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exchange_bed.h"

#define NUMBER (7 | COOKIE_TLS | COOKIE_UNJOINED)

/* As bed_setup(), but for the connection's being a TLS session. */
static int setup(void **state)
{
	struct bed *bed;

	if (bed_setup(state))
		return -1;
	bed = *state;
	bed->wire.is_tls = true;
	return 0;
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, bed_teardown)

static void a_request_inside_tls_is_marked_so(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET / 200");
	assert_true(bed->last.is_tls);
	bed->wire.is_tls = false;
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET / 200");
	assert_false(bed->last.is_tls);
}

static void what_happens_to_the_socket_ends_what_is_open(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	expect(bed, "");
	wire_finish(&bed->wire);
	expect(bed, "GET / 0 aborted");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_reset_is_seen_without_positions(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 connection_reset");
}

static void an_answer_without_length_ends_with_the_socket(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, "GET / HTTP/1.0\r\n\r\n");
	wire_send_text(&bed->wire, "HTTP/1.0 200 OK\r\n\r\nall");
	wire_finish(&bed->wire);
	expect(bed, "GET / 200");
}

static void a_listing_of_all_keeps_it(void **state)
{
	struct bed *bed = *state;
	struct connection_state listed;

	wire_receive_text(&bed->wire, GET("/"));
	bed->wire.now_ns += WIRE_SECOND;
	listed = wire_listed(&bed->wire);
	list(bed, true, 1, &listed);
	exchanges_settle(bed->exchanges, bed->wire.now_ns + WIRE_SECOND);
	expect_open(bed, 1);
	list(bed, true, 0, NULL); /* its end was missed */
	exchanges_settle(bed->exchanges, bed->wire.now_ns + WIRE_SECOND);
	expect_open(bed, 0);
}

static struct record_tls end_of(const struct bed *bed)
{
	return (struct record_tls){
		.head = {.time_ns = bed->wire.now_ns, .kind = RECORD_TLS},
		.cookie = NUMBER,
		.event = TLS_ENDS,
	};
}

static void a_session_without_a_socket_ends_by_itself(void **state)
{
	struct bed *bed = *state;
	struct record_tls end;

	bed->wire.cookie = NUMBER;
	wire_receive_text(&bed->wire, GET("/1"));
	wire_send_text(&bed->wire, OK);
	wire_receive_text(&bed->wire, GET("/2"));
	expect(bed, "GET /1 200");
	bed->wire.now_ns += WIRE_SECOND;
	list(bed, true, 0, NULL); /* no listing can have it */
	expect(bed, "");
	end = end_of(bed);
	exchanges_session_end(bed->exchanges, &end);
	expect(bed, "GET /2 0 no_response");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
	exchanges_session_end(bed->exchanges, &end); /* of one that is not known */
}

static void a_client_that_gives_up_has_timed_out_before_its_socket_closes(void **state)
{
	struct bed *bed = *state;
	struct record_tls end;

	bed->wire.is_client = true;
	wire_send_text(&bed->wire, GET("/"));
	bed->wire.now_ns += WIRE_SECOND;
	end = end_of(bed);
	end.cookie = bed->wire.cookie | COOKIE_TLS;
	exchanges_session_end(bed->exchanges, &end);
	expect(bed, "GET / 0 timeout");
	wire_finish(&bed->wire);
	expect(bed, "");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_reset_behind_a_close_is_not_what_ends_a_client(void **state)
{
	struct bed *bed = *state;

	bed->wire.is_client = true;
	wire_send_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	wire_reset(&bed->wire); /* the answer to its goodbye */
	expect(bed, "GET / 0 no_response");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TLS_TEST(a_request_inside_tls_is_marked_so),
		TLS_TEST(what_happens_to_the_socket_ends_what_is_open),
		TLS_TEST(a_reset_is_seen_without_positions),
		TLS_TEST(an_answer_without_length_ends_with_the_socket),
		TLS_TEST(a_listing_of_all_keeps_it),
		TLS_TEST(a_session_without_a_socket_ends_by_itself),
		TLS_TEST(a_client_that_gives_up_has_timed_out_before_its_socket_closes),
		TLS_TEST(a_reset_behind_a_close_is_not_what_ends_a_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
