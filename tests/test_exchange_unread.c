// SPDX-License-Identifier: Apache-2.0
/* Listings of the kernel's connections: what waits unread, and what lost records did not tell. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

#define LIMIT_NS WIRE_SECOND

/* Bytes arrive now, on the bed's connection. */
static uint64_t arrive(struct bed *bed)
{
	bed->limit_ns = LIMIT_NS;
	bed->tells_all = true;
	bed->wire.arrival_ns = bed->wire.now_ns;
	return bed->wire.arrival_ns;
}

/* A listing of what waits and of unix sockets. */
static void list_one(struct bed *bed)
{
	struct connection_state listed = wire_listed(&bed->wire);

	list(bed, false, 1, &listed);
}

static void list_one_of_all(struct bed *bed)
{
	struct connection_state listed = wire_listed(&bed->wire);

	list(bed, true, 1, &listed);
}

static void list_none(struct bed *bed)
{
	list(bed, false, 0, NULL);
}

static void pass(struct bed *bed, uint64_t ns)
{
	bed->wire.now_ns += ns;
}

static size_t connection_count(const struct bed *bed)
{
	return exchanges_stats(bed->exchanges).connection_count;
}

/* --- what waits unread --- */

static void what_nobody_has_read_is_told_at_each_listing(void **state)
{
	struct bed *bed = *state;
	uint64_t arrival_ns = arrive(bed);

	list_one(bed);
	expect(bed, "unread 99:8000");
	assert_int_equal(bed->last_unread.arrival_ns, arrival_ns);
	assert_int_equal(bed->last_unread.seen_ns, bed->wire.now_ns);
	list_one(bed);
	expect(bed, "unread 99:8000");
	assert_int_equal(connection_count(bed), 0); /* nothing to be remembered */
	list_none(bed);
	expect(bed, "");
}

static void a_limit_that_passes_unread_is_counted_once(void **state)
{
	struct bed *bed = *state;

	arrive(bed);
	pass(bed, LIMIT_NS - WIRE_MILLISECOND);
	list_one(bed);
	expect(bed, "unread 99:8000");
	list_one(bed);
	expect(bed, "unread 99:8000; unread_ended 99:8000");
	assert_int_equal(bed->last_unread.arrival_ns, bed->wire.arrival_ns);
	for (int i = 0; i < 100; i++) {
		pass(bed, WIRE_SECOND);
		list_one(bed);
		expect(bed, "unread 99:8000");
		exchanges_expire(bed->exchanges, bed->wire.now_ns);
	}
	assert_int_equal(connection_count(bed), 1);
}

static void what_was_counted_unread_is_not_counted_when_read(void **state)
{
	struct bed *bed = *state;
	uint64_t arrival_ns = arrive(bed), start_ns;

	pass(bed, 2 * LIMIT_NS);
	list_one(bed);
	expect(bed, "unread 99:8000; unread_ended 99:8000");
	start_ns = bed->wire.now_ns + bed->wire.step_ns;
	wire_receive_text(&bed->wire, GET("/late"));
	exchanges_check_limits(bed->exchanges, bed->wire.now_ns + LIMIT_NS);
	expect_in_flight(bed, "/late");
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /late; GET /late 200 counted");
	assert_int_equal(bed->last.arrival_ns, arrival_ns);
	assert_int_equal(bed->last.start_ns, start_ns);
	assert_int_equal(bed->last.port, 8000);
	/* the next one is */
	arrive(bed);
	wire_receive_text(&bed->wire, GET("/next"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /next; GET /next 200");
	arrive(bed);
	pass(bed, 2 * LIMIT_NS);
	list_one(bed);
	expect(bed, "unread 99:8000; unread_ended 99:8000");
	assert_int_equal(connection_count(bed), 1);
}

static void between_two_requests_what_waits_is_one(void **state)
{
	struct bed *bed = *state;

	bed->tells_all = true;
	wire_receive_text(&bed->wire, GET("/1"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /1; GET /1 200");
	arrive(bed);
	list_one(bed);
	expect(bed, "unread 99:8000");
	bed->wire.listener_pid = 0; /* not known: then who read last */
	list_one(bed);
	expect(bed, "unread 100:8000");
	pass(bed, LIMIT_NS);
	list_one(bed);
	expect(bed, "unread 100:8000; unread_ended 100:8000");
	list_one(bed);
	expect(bed, "unread 100:8000");
	wire_receive_text(&bed->wire, GET("/2"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /2; GET /2 200 counted");
}

static void a_pipelined_request_waits_behind_one_that_is_open(void **state)
{
	struct bed *bed = *state;

	bed->tells_all = true;
	wire_receive_text(&bed->wire, GET("/1"));
	arrive(bed);
	pass(bed, LIMIT_NS);
	list_one(bed);
	expect(bed, "begun GET /1; unread 99:8000; unread_ended 99:8000");
	wire_receive_text(&bed->wire, GET("/2"));
	wire_send_text(&bed->wire, OK OK);
	expect(bed, "begun GET /2; GET /1 200; GET /2 200 counted");
}

static void the_rest_of_a_request_is_none(void **state)
{
	static const char *const parts[] = {
		"PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"GET / HTTP/1.1\r\nHost: x\r\n",
		"GET / HT",
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		wire_open(&bed->wire, bed->exchanges, 1 + i);
		bed->tells_all = false;
		wire_receive_text(&bed->wire, parts[i]);
		arrive(bed);
		pass(bed, 2 * LIMIT_NS);
		list_one(bed);
		wire_reset(&bed->wire); /* and it dies unread */
		expect(bed, i < 2 ? "PUT / 0 connection_reset" : "");
	}
	expect_open(bed, 0);
}

static void a_body_that_an_answer_made_obsolete_is_none_either(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, "PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf");
	wire_send_text(&bed->wire, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "PUT / 413");
	arrive(bed);
	pass(bed, 2 * LIMIT_NS);
	list_one(bed);
	wire_finish(&bed->wire);
	expect(bed, "");
}

static void after_another_protocol_has_begun_there_is_none(void **state)
{
	struct bed *bed = *state;
	struct connection_state listed;

	wire_receive_text(&bed->wire, GET("/ws"));
	wire_send_text(&bed->wire, "HTTP/1.1 101 Switching\r\n\r\n");
	expect(bed, "GET /ws 101");
	arrive(bed);
	pass(bed, 2 * LIMIT_NS);
	listed = wire_listed(&bed->wire);
	listed.role = ROLE_SERVER; /* it was listed before the kernel side knew */
	list(bed, false, 1, &listed);
	expect(bed, "");
}

/* --- what dies unread --- */

static void what_dies_unread_has_ended(void **state)
{
	struct bed *bed = *state;
	uint64_t arrival_ns = arrive(bed);

	wire_finish(&bed->wire);
	expect(bed, "unread_ended 99:8000 died");
	assert_int_equal(bed->last_unread.arrival_ns, arrival_ns);
	assert_int_equal(bed->last_unread.seen_ns, bed->wire.now_ns);
	wire_open(&bed->wire, bed->exchanges, 2);
	arrive(bed);
	list_one(bed);
	wire_reset(&bed->wire);
	expect(bed, "unread 99:8000; unread_ended 99:8000 died");
	assert_int_equal(connection_count(bed), 0);
}

static void what_dies_unread_after_it_was_counted_is_not_counted_again(void **state)
{
	struct bed *bed = *state;

	arrive(bed);
	pass(bed, 2 * LIMIT_NS);
	list_one(bed);
	expect(bed, "unread 99:8000; unread_ended 99:8000");
	wire_reset(&bed->wire);
	expect(bed, "");
	assert_int_equal(connection_count(bed), 0);
}

static void a_known_connection_can_die_with_a_request_unread(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET /1 200");
	arrive(bed);
	wire_state(&bed->wire, TCP_CLOSE, 0); /* the service closes and throws it away */
	expect(bed, "unread_ended 99:8000 died");
	assert_int_equal(connection_count(bed), 0);
}

static void what_comes_after_the_service_has_closed_is_no_request(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1"));
	wire_send_text(&bed->wire, OK);
	wire_close_begins(&bed->wire);
	expect(bed, "GET /1 200");
	arrive(bed);
	list_one(bed);
	wire_reset(&bed->wire);
	expect(bed, "");
	assert_int_equal(connection_count(bed), 0);
}

/* --- what cannot be known for sure --- */

static void what_was_counted_and_turns_out_to_be_no_http_is_forgotten(void **state)
{
	struct bed *bed = *state;

	arrive(bed);
	pass(bed, 2 * LIMIT_NS);
	list_one(bed);
	expect(bed, "unread 99:8000; unread_ended 99:8000");
	/* it is read, and there are no records of what is no HTTP */
	list_none(bed);
	assert_int_equal(connection_count(bed), 1);
	exchanges_expire(bed->exchanges, bed->wire.now_ns + EXCHANGE_IDLE_NS + 1);
	assert_int_equal(connection_count(bed), 0);
}

static void a_request_that_was_counted_and_then_lost_is_not_the_next_one(void **state)
{
	struct bed *bed = *state;

	arrive(bed);
	pass(bed, 2 * LIMIT_NS);
	list_one(bed);
	wire_open(&bed->wire, bed->exchanges, 1);
	bed->wire.role = ROLE_SERVER;
	bed->wire.lose_count = 2;
	pass(bed, 3 * LIMIT_NS);
	wire_receive_text(&bed->wire, GET("/lost"));
	wire_send_text(&bed->wire, OK);
	wire_receive_text(&bed->wire, GET("/next"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "unread 99:8000; unread_ended 99:8000; begun GET /next; GET /next 200");
}

/* --- unix sockets --- */

static void a_unix_socket_waits_and_is_gone(void **state)
{
	struct bed *bed = *state;

	bed->wire.is_unix = true;
	bed->wire.from_birth = false;
	arrive(bed);
	list_one(bed);
	expect(bed, "unread 99:0");
	pass(bed, LIMIT_NS);
	list_one(bed);
	list_one(bed);
	expect(bed, "unread 99:0; unread_ended 99:0; unread 99:0");
	assert_int_equal(connection_count(bed), 1);
	list_none(bed);
	expect(bed, "");
	assert_int_equal(connection_count(bed), 0);
}

static void a_unix_socket_that_is_gone_unread_was_not_answered(void **state)
{
	struct bed *bed = *state;

	bed->wire.is_unix = true;
	bed->wire.from_birth = false;
	arrive(bed);
	list_one(bed);
	list_none(bed);
	expect(bed, "unread 99:0; unread_ended 99:0 died");
	assert_int_equal(connection_count(bed), 0);
}

static void a_unix_socket_that_is_read_before_it_goes_is_no_loss(void **state)
{
	struct bed *bed = *state;

	bed->wire.is_unix = true;
	bed->wire.from_birth = false;
	arrive(bed);
	list_one(bed);
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	list_none(bed);
	expect(bed, "unread 99:0; begun GET /; GET / 200");
}

/* --- after lost records --- */

static void a_connection_that_is_gone_took_its_requests_along(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1") GET("/2"));
	list(bed, false, 0, NULL);
	expect_in_flight(bed, "/1; /2"); /* who answers without delay is in no such list */
	list(bed, true, 0, NULL);
	expect_in_flight(bed, "/1; /2"); /* the record of its end may be late */
	exchanges_settle(bed->exchanges, bed->wire.now_ns + 2 * EXCHANGE_LATE_NS);
	expect_in_flight(bed, "");
	expect(bed, "");
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 2);
	assert_int_equal(connection_count(bed), 0);
}

static void a_connection_whose_end_comes_late_is_not_given_up(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	list(bed, true, 0, NULL);
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET / 200");
	wire_finish(&bed->wire);
	exchanges_settle(bed->exchanges, bed->wire.now_ns + 2 * EXCHANGE_LATE_NS);
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 0);
	assert_int_equal(connection_count(bed), 0);
}

static void an_idle_connection_that_is_gone_is_forgotten(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	wire_open(&bed->wire, bed->exchanges, 2);
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	wire_close_begins(&bed->wire);
	wire_open(&bed->wire, bed->exchanges, 3);
	wire_receive_text(&bed->wire, "GET / HT");
	assert_int_equal(connection_count(bed), 3);
	list(bed, false, 0, NULL);
	assert_int_equal(connection_count(bed), 3);
	list(bed, true, 0, NULL);
	assert_int_equal(connection_count(bed), 0);
	expect(bed, "GET / 200; GET / 200");
}

static void what_was_answered_by_lost_records_is_given_up(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1"));
	bed->wire.lose_count = 1;
	wire_send_text(&bed->wire, OK);
	list_one(bed);
	expect_in_flight(bed, "/1");
	list_one_of_all(bed);
	expect_in_flight(bed, "");
	expect(bed, "");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	/* the connection goes on */
	wire_receive_text(&bed->wire, GET("/2"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET /2 200");
}

static void what_was_read_after_the_lost_answer_stays(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1"));
	bed->wire.lose_count = 1;
	wire_send_text(&bed->wire, OK);
	wire_receive_text(&bed->wire, GET("/hangs"));
	list_one_of_all(bed);
	expect_in_flight(bed, "/hangs");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET /hangs 200");
	expect_open(bed, 0);
}

static void a_long_answer_is_not_given_up_for_a_lost_part(void **state)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n",
	};
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	size_t i;

	for (i = 0; i < 2; i++) {
		wire_open(w, bed->exchanges, 1 + i);
		wire_receive_text(w, GET("/"));
		wire_send_text(w, heads[i]);
		w->lose_count = 1;
		wire_send_text(w, "12345");
		list_one_of_all(bed);
		expect_in_flight(bed, "/");
		wire_send_text(w, "67890");
		wire_finish(w);
		expect(bed, "GET / 200");
		assert_int_equal(bed->last.end_ns, w->now_ns - 2 * WIRE_MILLISECOND);
	}
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 0);
}

static void nothing_is_given_up_when_records_are_merely_late(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct connection_state listed;

	wire_receive_text(w, GET("/"));
	wire_hold(w);
	wire_send_text(w, OK);
	listed = wire_listed(w);
	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	exchanges_listed(bed->exchanges, &listed);
	wire_release(w); /* the ring is drained between listing and end */
	exchanges_list_end(bed->exchanges, true);
	expect(bed, "GET / 200");

	exchanges_list_begin(bed->exchanges, w->now_ns + 1);
	listed = wire_listed(w);
	exchanges_listed(bed->exchanges, &listed);
	wire_receive_text(w, GET("/after"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	exchanges_list_end(bed->exchanges, true);
	expect_in_flight(bed, "/after");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 0);
}

static void what_is_open_at_a_listing_stays_open(void **state)
{
	struct bed *bed = *state;
	int i;

	wire_receive_text(&bed->wire, GET("/hangs"));
	for (i = 0; i < 10; i++)
		list_one_of_all(bed);
	expect_in_flight(bed, "/hangs");
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET /hangs 200");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_nobody_has_read_is_told_at_each_listing),
		TEST(a_limit_that_passes_unread_is_counted_once),
		TEST(what_was_counted_unread_is_not_counted_when_read),
		TEST(between_two_requests_what_waits_is_one),
		TEST(a_pipelined_request_waits_behind_one_that_is_open),
		TEST(the_rest_of_a_request_is_none),
		TEST(a_body_that_an_answer_made_obsolete_is_none_either),
		TEST(after_another_protocol_has_begun_there_is_none),
		TEST(what_dies_unread_has_ended),
		TEST(what_dies_unread_after_it_was_counted_is_not_counted_again),
		TEST(a_known_connection_can_die_with_a_request_unread),
		TEST(what_comes_after_the_service_has_closed_is_no_request),
		TEST(what_was_counted_and_turns_out_to_be_no_http_is_forgotten),
		TEST(a_request_that_was_counted_and_then_lost_is_not_the_next_one),
		TEST(a_unix_socket_waits_and_is_gone),
		TEST(a_unix_socket_that_is_gone_unread_was_not_answered),
		TEST(a_unix_socket_that_is_read_before_it_goes_is_no_loss),
		TEST(a_connection_that_is_gone_took_its_requests_along),
		TEST(a_connection_whose_end_comes_late_is_not_given_up),
		TEST(an_idle_connection_that_is_gone_is_forgotten),
		TEST(what_was_answered_by_lost_records_is_given_up),
		TEST(what_was_read_after_the_lost_answer_stays),
		TEST(a_long_answer_is_not_given_up_for_a_lost_part),
		TEST(nothing_is_given_up_when_records_are_merely_late),
		TEST(what_is_open_at_a_listing_stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
