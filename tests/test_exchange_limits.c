// SPDX-License-Identifier: Apache-2.0
/* Limits: when a request has waited too long, and when that is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

#define LIMIT_NS WIRE_SECOND
#define SLACK_NS (10 * WIRE_MILLISECOND) /* records can be so late behind what they tell of */
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* The first record is of time begin_ns + 1 ms. */
static uint64_t prepare(struct bed *bed)
{
	bed->limit_ns = LIMIT_NS;
	bed->tells_all = true;
	return bed->wire.now_ns + bed->wire.step_ns;
}

static void check_at(struct bed *bed, uint64_t now_ns)
{
	exchanges_check_limits(bed->exchanges, now_ns);
}

static void a_limit_is_told_once_and_while_the_request_is_open(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/a"));
	check_at(bed, start_ns + LIMIT_NS + SLACK_NS);
	expect(bed, "begun GET /a");
	check_at(bed, start_ns + LIMIT_NS + SLACK_NS + 1);
	expect(bed, "timed_out GET /a");
	expect_in_flight(bed, "/a");
	check_at(bed, start_ns + 100 * LIMIT_NS);
	expect(bed, "");
	bed->wire.now_ns = start_ns + 200 * LIMIT_NS;
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET /a 200 counted");
	expect_in_flight(bed, "");
}

static void no_limit_is_none(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	bed->limit_ns = 0;
	wire_receive_text(&bed->wire, GET("/a"));
	check_at(bed, start_ns + 1000 * LIMIT_NS);
	expect(bed, "begun GET /a");
}

static void each_request_has_its_own_limit(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	bed->limit_ns = 3 * LIMIT_NS;
	wire_receive_text(&bed->wire, GET("/slow"));
	bed->limit_ns = LIMIT_NS;
	wire_receive_text(&bed->wire, GET("/fast"));
	expect(bed, "begun GET /slow; begun GET /fast");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "timed_out GET /fast");
	check_at(bed, start_ns + 4 * LIMIT_NS);
	expect(bed, "timed_out GET /slow");
	expect_in_flight(bed, "/slow; /fast");
}

static void of_pipelined_requests_each_is_told(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/1") GET("/2"));
	wire_receive_text(&bed->wire, GET("/3"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /1; begun GET /2; begun GET /3; GET /1 200");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "timed_out GET /2; timed_out GET /3");
	wire_send_text(&bed->wire, OK OK);
	expect(bed, "GET /2 200 counted; GET /3 200 counted");
}

static void a_request_that_has_ended_is_judged_by_its_end(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/late"));
	bed->wire.now_ns = start_ns + LIMIT_NS + SLACK_NS / 2;
	wire_send_text(&bed->wire, OK);
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "begun GET /late; GET /late 200"); /* outcome.c knows what that is */
}

static void an_answer_that_is_held_has_ended_too(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	bed->wire.now_ns = start_ns + LIMIT_NS - 2 * WIRE_MILLISECOND;
	wire_send_text(&bed->wire, OK);
	check_at(bed, start_ns + LIMIT_NS + 100 * WIRE_MILLISECOND);
	expect_in_flight(bed, "");
	wire_finish(&bed->wire);
	expect(bed, "begun GET /; GET / 200");
	assert_int_equal(bed->last.end_ns, start_ns + LIMIT_NS - WIRE_MILLISECOND);
}

static void arrival_counts(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed), arrival_ns = start_ns - LIMIT_NS / 2;

	bed->wire.arrival_ns = arrival_ns;
	wire_receive_text(&bed->wire, GET("/"));
	check_at(bed, arrival_ns + LIMIT_NS + SLACK_NS);
	expect(bed, "begun GET /");
	check_at(bed, arrival_ns + LIMIT_NS + SLACK_NS + 1);
	expect(bed, "timed_out GET /");
	wire_send_text(&bed->wire, OK);
	assert_int_equal(bed->last.arrival_ns, arrival_ns);
	assert_int_equal(bed->last.start_ns, start_ns);
}

static void a_request_in_parts_arrived_with_its_first_byte(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	bed->wire.arrival_ns = start_ns - 7;
	wire_receive_text(&bed->wire, "GET / HT");
	bed->wire.arrival_ns = start_ns + 20;
	wire_receive_text(&bed->wire, "TP/1.1\r\n\r\n");
	wire_send_text(&bed->wire, OK);
	assert_int_equal(bed->last.arrival_ns, start_ns - 7);
	assert_int_equal(bed->last.start_ns, start_ns);
	/* the next one's is not known */
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	assert_int_equal(bed->last.arrival_ns, 0);
}

static void a_request_does_not_arrive_after_it_was_read(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	bed->wire.arrival_ns = start_ns + 5; /* the clocks of two CPUs */
	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, OK);
	assert_int_equal(bed->last.start_ns, start_ns);
	assert_int_equal(bed->last.arrival_ns, start_ns);
}

/* A head that never becomes complete is no request; until it is, none is in flight. */
static void a_head_that_is_complete_only_after_the_limit_is_told_then(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, "GET /drip HTTP/1.1\r\nHost: x\r\n");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "");
	expect_in_flight(bed, "");
	wire_receive_text(&bed->wire, "\r\n");
	expect(bed, "begun GET /drip");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "timed_out GET /drip");
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET /drip 200 counted");
}

static void a_body_that_comes_slowly_passes_the_limit(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, "PUT /up HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "begun PUT /up; timed_out PUT /up");
}

/* --- streams --- */

static void a_stream_may_last(void **state)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n",
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		uint64_t start_ns;

		wire_open(&bed->wire, bed->exchanges, 1 + i);
		start_ns = prepare(bed);
		wire_receive_text(&bed->wire, GET("/stream"));
		wire_send_text(&bed->wire, heads[i]);
		check_at(bed, start_ns + 100 * LIMIT_NS);
		expect(bed, "begun GET /stream; first_byte GET /stream");
		expect_in_flight(bed, "/stream");
		bed->wire.now_ns = start_ns + 100 * LIMIT_NS;
		wire_send_text(&bed->wire, "5\r\nabcde\r\n");
		wire_finish(&bed->wire);
		check_at(bed, start_ns + 200 * LIMIT_NS);
		expect(bed, i == 1 ? "GET /stream 200" : "GET /stream 200 no_response");
		assert_true(bed->last.streamed);
		assert_int_equal(bed->last.first_byte_ns, start_ns + WIRE_MILLISECOND);
	}
}

static void a_body_of_known_length_has_to_end_in_time(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/file"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "begun GET /file; timed_out GET /file");
	wire_send_text(&bed->wire, "cd");
	expect(bed, "GET /file 200 counted");
	assert_false(bed->last.streamed);
}

static void a_stream_that_begins_late_is_told_while_it_lasts(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/stream"));
	bed->wire.now_ns = start_ns + LIMIT_NS;
	wire_send_text(&bed->wire, CHUNKED);
	expect(bed, "begun GET /stream; first_byte GET /stream");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "timed_out GET /stream");
	wire_send_text(&bed->wire, "0\r\n\r\n");
	expect(bed, "GET /stream 200 counted");
}

static void a_stream_that_begins_before_its_head_is_complete_may_last_too(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, "GET /early HTTP/1.1\r\nHost: x\r\n");
	wire_send_text(&bed->wire, CHUNKED);
	wire_receive_text(&bed->wire, "\r\n");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "first_byte GET /early; begun GET /early");
	wire_send_text(&bed->wire, "0\r\n\r\n");
	expect(bed, "GET /early 200");
}

static void a_stream_in_one_call_has_no_first_byte_of_its_own(void **state)
{
	struct bed *bed = *state;

	prepare(bed);
	wire_receive_text(&bed->wire, GET("/1"));
	wire_send_text(&bed->wire, CHUNKED "2\r\nok\r\n0\r\n\r\n");
	wire_receive_text(&bed->wire, GET("/2"));
	wire_send_text(&bed->wire, "HTTP/1.1 204 No\r\n\r\n");
	expect(bed, "begun GET /1; GET /1 200; begun GET /2; GET /2 204");
	assert_false(bed->last.streamed);
}

static void hints_are_no_first_byte(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "begun GET /; timed_out GET /");
	wire_send_text(&bed->wire, CHUNKED);
	expect(bed, "first_byte GET /");
	wire_send_text(&bed->wire, "0\r\n\r\n");
	expect(bed, "GET / 200 counted");
	assert_int_equal(bed->last.first_byte_ns, start_ns + 2 * WIRE_MILLISECOND);
}

static void switching_protocols_ends_the_request(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
	wire_send_text(&bed->wire, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n");
	expect(bed, "begun GET /ws; GET /ws 101");
	assert_int_equal(bed->last.end_ns, start_ns + WIRE_MILLISECOND);
	check_at(bed, start_ns + 100 * LIMIT_NS);
	wire_reset(&bed->wire);
	expect(bed, "");
	expect_open(bed, 0);
}

/* --- other ends --- */

static void what_has_ended_in_any_way_passes_no_limit(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/1"));
	wire_reset(&bed->wire);
	wire_open(&bed->wire, bed->exchanges, 2);
	wire_receive_text(&bed->wire, GET("/2"));
	wire_finish(&bed->wire);
	expect(bed, "begun GET /1; GET /1 0 connection_reset; begun GET /2; GET /2 0 no_response");
	check_at(bed, start_ns + 100 * LIMIT_NS);
	expect(bed, "");
}

static void what_was_given_up_passes_no_limit(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	wire_receive_text(&bed->wire, GET("/1"));
	bed->wire.lose_count = 1;
	wire_send_text(&bed->wire, OK);
	wire_receive_text(&bed->wire, GET("/2"));
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /1; begun GET /2; GET /2 200");
	check_at(bed, start_ns + 100 * LIMIT_NS);
	expect(bed, "");
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
}

static void requests_of_a_service_that_goes_are_told_no_more(void **state)
{
	struct bed *bed = *state;
	struct service *goes = (struct service *)&bed->log;
	uint64_t start_ns = prepare(bed);

	bed->service = goes;
	wire_receive_text(&bed->wire, GET("/goes"));
	wire_open(&bed->wire, bed->exchanges, 2);
	bed->service = (struct service *)bed;
	wire_receive_text(&bed->wire, GET("/stays"));
	expect(bed, "begun GET /goes; begun GET /stays");
	exchanges_forget_service(bed->exchanges, goes);
	expect_in_flight(bed, "/stays");
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect(bed, "timed_out GET /stays");
	wire_finish(&bed->wire);
	expect(bed, "GET /stays 0 no_response counted");
	wire_open(&bed->wire, bed->exchanges, 1);
	bed->wire.role = ROLE_SERVER;
	wire_reset(&bed->wire);
	expect(bed, "");
	expect_open(bed, 0);
}

static void an_answer_that_is_held_of_a_service_that_goes_is_told_no_more(void **state)
{
	struct bed *bed = *state;

	prepare(bed);
	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	wire_send_text(&bed->wire, OK);
	expect(bed, "begun GET /");
	exchanges_forget_service(bed->exchanges, bed->service);
	wire_finish(&bed->wire);
	expect(bed, "");
	expect_open(bed, 0);
}

static void requests_of_an_unwanted_process_are_not_told(void **state)
{
	struct bed *bed = *state;
	uint64_t start_ns = prepare(bed);

	bed->service = NULL;
	wire_receive_text(&bed->wire, GET("/"));
	check_at(bed, start_ns + 2 * LIMIT_NS);
	expect_in_flight(bed, "");
	wire_send_text(&bed->wire, CHUNKED);
	wire_send_text(&bed->wire, "0\r\n\r\n");
	expect(bed, "");
	expect_open(bed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_limit_is_told_once_and_while_the_request_is_open),
		TEST(no_limit_is_none),
		TEST(each_request_has_its_own_limit),
		TEST(of_pipelined_requests_each_is_told),
		TEST(a_request_that_has_ended_is_judged_by_its_end),
		TEST(an_answer_that_is_held_has_ended_too),
		TEST(arrival_counts),
		TEST(a_request_in_parts_arrived_with_its_first_byte),
		TEST(a_request_does_not_arrive_after_it_was_read),
		TEST(a_head_that_is_complete_only_after_the_limit_is_told_then),
		TEST(a_body_that_comes_slowly_passes_the_limit),
		TEST(a_stream_may_last),
		TEST(a_body_of_known_length_has_to_end_in_time),
		TEST(a_stream_that_begins_late_is_told_while_it_lasts),
		TEST(a_stream_that_begins_before_its_head_is_complete_may_last_too),
		TEST(a_stream_in_one_call_has_no_first_byte_of_its_own),
		TEST(hints_are_no_first_byte),
		TEST(switching_protocols_ends_the_request),
		TEST(what_has_ended_in_any_way_passes_no_limit),
		TEST(what_was_given_up_passes_no_limit),
		TEST(requests_of_a_service_that_goes_are_told_no_more),
		TEST(an_answer_that_is_held_of_a_service_that_goes_is_told_no_more),
		TEST(requests_of_an_unwanted_process_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
