// SPDX-License-Identifier: Apache-2.0
/* Request bodies, pipelining, and what is no request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

/* --- request bodies --- */

static void request_bodies_are_passed_over(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char body[50000];
	int i;

	memset(body, 'b', sizeof(body));
	wire_receive_text(w, "POST /small HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	wire_send_text(w, OK);
	wire_receive_text(w, "POST /two HTTP/1.1\r\nContent-Length: 3\r\n\r\n");
	wire_receive_text(w, "abc");
	wire_send_text(w, OK);
	wire_receive_text(w, "POST /large HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
	for (i = 0; i < 20; i++)
		wire_receive(w, body, sizeof(body));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "POST /small 200; POST /two 200; POST /large 200; GET /next 200");
}

static void a_chunked_request_body_may_be_longer_than_what_is_copied(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char chunk[1100];
	int i;

	sprintf(chunk, "400\r\n%01024d\r\n", 0);
	wire_receive_text(w, "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (i = 0; i < 30; i++)
		wire_receive_text(w, chunk);
	wire_receive_text(w, "0\r\n\r\n");
	wire_send_text(w, OK);
	for (i = 0; i < 3; i++) {
		wire_receive_text(w, GET("/next"));
		wire_send_text(w, OK);
	}
	expect(bed, "POST /up 200; GET /next 200; GET /next 200; GET /next 200");
}

static void a_body_that_looks_like_a_request_is_none(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "POST /log HTTP/1.1\r\nContent-Length: 200\r\n\r\n");
	wire_receive_text(w, GET("/inside"));
	wire_receive_text(w, "HTTP/1.1 200 OK\r\n\r\n");
	wire_send_text(w, OK);
	expect(bed, "POST /log 200");
	expect_open(bed, 0);
}

static void an_answer_may_come_before_the_body(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char body[50000];
	int i;

	memset(body, 'b', sizeof(body));
	wire_receive_text(w, "POST /early HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
	wire_receive(w, body, sizeof(body));
	wire_send_text(w, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "POST /early 413");
	for (i = 0; i < 19; i++)
		wire_receive(w, body, sizeof(body));
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

/* --- pipelining --- */

static void a_batch_in_one_call_is_many_exchanges(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1") GET("/2") "HEAD /3 HTTP/1.1\r\n" HOST GET("/4"));
	wire_send_text(w, OK "HTTP/1.1 404 \r\nContent-Length: 3\r\n\r\nabc"
			     "HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\n");
	expect(bed, "GET /1 200; GET /2 404; HEAD /3 200");
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /4 500");
}

static void a_batch_may_be_cut_anywhere(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const char *requests =
		GET("/1") "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" GET("/3");
	const char *responses =
		OK "HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		   "HTTP/1.1 204 \r\n\r\n";
	size_t cut;

	for (cut = 2; cut < strlen(requests); cut++) {
		wire_receive(w, requests, cut);
		wire_receive_text(w, requests + cut);
		wire_send_text(w, responses);
		expect(bed, "GET /1 200; POST /2 404; GET /3 204");
	}
	for (cut = 1; cut < strlen(responses); cut++) {
		wire_receive_text(w, requests);
		wire_send(w, responses, cut);
		wire_send_text(w, responses + cut);
		exchanges_settle(bed->exchanges, w->now_ns);
		expect(bed, "GET /1 200; POST /2 404; GET /3 204");
	}
}

static void a_batch_over_several_slices_is_counted_whole(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const char *request = "GET /many HTTP/1.1\r\nX: 01234567890123456789\r\n\r\n";
	const size_t count = 1000, len = strlen(request);
	char *batch = malloc(count * len + 1);
	size_t i;

	assert_non_null(batch);
	for (i = 0; i < count; i++)
		memcpy(batch + i * len, request, len);
	wire_receive(w, batch, count * len);
	expect_open(bed, count);
	for (i = 0; i < count; i++)
		wire_send_text(w, OK);
	assert_int_equal(bed->done_count, count);
	assert_int_equal(bed->last.status, 200);
	expect_open(bed, 0);
	free(batch);
}

static void a_request_may_be_recorded_before_the_last_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	uint64_t start_ns;

	w->is_unix = true; /* where the hooks know of a send only once it was seen */
	w->from_birth = false;
	wire_receive_text(w, GET("/1"));
	wire_send_begin(w, strlen(OK));
	start_ns = w->now_ns + w->step_ns;
	wire_receive_text(w, GET("/2"));
	wire_send_hook(w, OK, strlen(OK));
	expect(bed, "GET /1 200");
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	assert_int_equal(bed->last.start_ns, start_ns);
}

static void times_that_go_back_give_no_negative_duration(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	bed->wire.now_ns -= 2 * WIRE_MILLISECOND;
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET / 200");
	assert_int_equal(bed->last.end_ns, bed->last.start_ns);
	assert_int_equal(bed->last.first_byte_ns, bed->last.start_ns);
}

/* --- what is no request --- */

static void a_partial_head_counts_only_if_it_is_answered(void **state)
{
	static const char *const partial[] = {"GET /slow", "GET /slow HTTP/1.1\r\nHost:"};
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	size_t i;

	for (i = 0; i < 2; i++) {
		wire_open(w, bed->exchanges, 10 + i);
		wire_receive_text(w, partial[i]);
		wire_finish(w);
		expect(bed, "");
		expect_open(bed, 0);
		wire_open(w, bed->exchanges, 20 + i);
		wire_receive_text(w, partial[i]);
		wire_send_text(w, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
		wire_finish(w);
		expect(bed, i ? "GET /slow 408" : "GET - 408");
	}
}

static void a_partial_head_that_was_answered_counts_once(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET /xxxxxxxxxxxxxxxxx");
	wire_send_text(w, "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET - 431");
	wire_receive_text(w, "xxxxxxxx HTTP/1.1\r\n" HOST);
	wire_finish(w);
	expect(bed, "");
	expect_open(bed, 0);
}

static void garbage_is_no_request_and_what_follows_is_right(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET /garbage\x01\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "");
	assert_int_equal(exchanges_stats(bed->exchanges).malformed, 1);
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 200; GET /2 200");
}

static void a_connection_found_in_its_middle_is_picked_up_at_its_next_request(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->from_birth = false;
	w->received = w->received_seen = 1000;
	w->sent = w->sent_seen = 3000;
	wire_send_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
	wire_receive_text(w, "in the middle of a body");
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200; GET /2 404");
}

static void a_response_to_a_request_from_before_is_not_taken_for_the_next(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->from_birth = false;
	w->received = w->received_seen = 1000;
	w->sent = w->sent_seen = 3000;
	wire_receive_text(w, GET("/1")); /* while an older one is being answered */
	wire_send_text(w, "the rest of a body");
	wire_send_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	expect(bed, "");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(request_bodies_are_passed_over),
		TEST(a_chunked_request_body_may_be_longer_than_what_is_copied),
		TEST(a_body_that_looks_like_a_request_is_none),
		TEST(an_answer_may_come_before_the_body),
		TEST(a_batch_in_one_call_is_many_exchanges),
		TEST(a_batch_may_be_cut_anywhere),
		TEST(a_batch_over_several_slices_is_counted_whole),
		TEST(a_request_may_be_recorded_before_the_last_response),
		TEST(times_that_go_back_give_no_negative_duration),
		TEST(a_partial_head_counts_only_if_it_is_answered),
		TEST(a_partial_head_that_was_answered_counts_once),
		TEST(garbage_is_no_request_and_what_follows_is_right),
		TEST(a_connection_found_in_its_middle_is_picked_up_at_its_next_request),
		TEST(a_response_to_a_request_from_before_is_not_taken_for_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
