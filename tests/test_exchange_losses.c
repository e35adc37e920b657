// SPDX-License-Identifier: Apache-2.0
/* Lost records, and the bounds on what is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

/* --- losses --- */

static void a_lost_request_takes_only_its_response_with_it(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	w->lose_count = 1;
	wire_receive_text(w, GET("/lost"));
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200; GET /2 404");
	assert_int_equal(exchanges_stats(bed->exchanges).responses_lost, 1);
}

static void a_lost_first_request_takes_only_its_response_with_it(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->lose_count = 1;
	wire_receive_text(w, GET("/lost"));
	wire_receive_text(w, GET("/1")); /* pipelined behind it */
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	wire_send_text(w, OK);
	expect(bed, "");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
}

static void a_lost_response_takes_only_its_request_with_it(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/lost"));
	w->lose_count = 1;
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	expect_open(bed, 0);
}

static void a_lost_response_and_a_lost_request_do_not_stop_the_connection(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/lost"));
	w->lose_count = 3; /* its response, a request and that one's response */
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/lost"));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 404; GET /2 200");
	expect_open(bed, 0);
}

static void a_pipelined_request_that_is_lost_shifts_no_status(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1"));
	w->lose_count = 1;
	wire_receive_text(w, GET("/lost"));
	wire_receive_text(w, GET("/3"));
	wire_send_text(w, OK);
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 403 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/4"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w, GET("/5"));
	wire_send_text(w, OK);
	expect(bed, "GET /4 404; GET /5 200");
}

static void a_response_whose_last_bytes_were_lost_keeps_its_status(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	uint64_t last_ns;

	wire_receive_text(w, GET("/1"));
	wire_send_text(w, "HTTP/1.1 201 \r\nContent-Length: 4\r\n\r\n");
	wire_send_text(w, "ab");
	last_ns = w->now_ns;
	w->lose_count = 1;
	wire_send_text(w, "cd");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 201; GET /2 200");
	wire_receive_text(w, GET("/3"));
	wire_send_text(w, "HTTP/1.1 202 \r\nTransfer-Encoding: chunked\r\n\r\n");
	last_ns = w->now_ns;
	w->lose_count = 1;
	wire_send_text(w, "0\r\n\r\n");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, "POST /4 HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 101 \r\n\r\n");
	expect(bed, "GET /3 202; POST /4 101");
	assert_true(bed->last.start_ns - last_ns > 10 * WIRE_SECOND);
	/* the duration of what was lost is that of what was seen */
	wire_open(w, bed->exchanges, 2);
	wire_receive_text(w, GET("/5"));
	wire_send_text(w, "HTTP/1.1 202 \r\nContent-Length: 3\r\n\r\n");
	last_ns = w->now_ns;
	w->lose_count = 1;
	wire_send_text(w, "abc");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/6"));
	wire_send_text(w, "HTTP/1.1 200 \r\nContent-Length: 100\r\n\r\n");
	expect(bed, "GET /5 202");
	assert_int_equal(bed->last.end_ns, last_ns);
}

/* A batch whose second slice is lost: only what is certain is reported. */
static void a_lost_slice_shifts_no_status(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char batch[16384];
	size_t len = 0, i;

	for (i = 0; len < 12000; i++)
		len += sprintf(batch + len, "GET /%zu HTTP/1.1\r\nX: 0123456789\r\n\r\n", i);
	wire_hold(w);
	wire_receive(w, batch, len);
	struct wire_record *records = wire_take(w), *second = records->next;

	records->next = second->next;
	free(second);
	w->held = records;
	wire_release(w);
	w->held_end = &w->held;
	for (size_t j = 0; j < i; j++) {
		char response[80];

		sprintf(response, "HTTP/1.1 %zu \r\nContent-Length: 0\r\n\r\n", 200 + j);
		wire_send_text(w, response);
		if (j == 0)
			expect(bed, "GET /0 200");
		assert_true(bed->last.status == 200 + strtoul(bed->last.template + 1, NULL, 10) ||
			    bed->last.method == HTTP_OTHER);
		assert_true(!bed->last.has_path ||
			    bed->last.status == 200 + strtoul(bed->last.template + 1, NULL, 10));
	}
	assert_true(bed->done_count > 50);
	bed->log[0] = '\0';
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/after"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /after 404");
}

static void a_start_line_cut_by_a_loss_is_no_request_without_its_method(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "DEL");
	w->lose_count = 1;
	wire_receive_text(w, "ETE /1 HTTP/1.1\r\nHost:");
	wire_receive_text(w, " x\r\n\r\n");
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /2 200");
}

static void an_unreadable_send_is_a_loss_of_one_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1"));
	wire_send_unseen(w, 100, true);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /2 200");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
}

/* --- bounds --- */

static void idle_connections_are_forgotten_and_come_back(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire, other;

	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	wire_open(&other, bed->exchanges, 2);
	wire_receive_text(&other, GET("/open"));
	exchanges_expire(bed->exchanges, w->now_ns + EXCHANGE_IDLE_NS / 2);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 2);
	exchanges_expire(bed->exchanges, w->now_ns + 2 * EXCHANGE_IDLE_NS);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 1);
	expect(bed, "GET /1 200");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	wire_send_text(&other, OK);
	expect(bed, "GET /2 200; GET /open 200");
}

/* A connection that only waits is opened by its first request. */
static void open_idle(struct bed *bed, uint64_t cookie, bool answer)
{
	struct wire w;

	wire_open(&w, bed->exchanges, cookie);
	wire_receive_text(&w, GET("/"));
	if (answer)
		wire_send_text(&w, OK);
}

static void seventy_thousand_connections_fit_by_forgetting_idle_ones(void **state)
{
	struct bed *bed = *state;
	struct exchange_stats stats;
	uint64_t i;

	for (i = 0; i < 70000; i++)
		open_idle(bed, 1000 + i, true);
	stats = exchanges_stats(bed->exchanges);
	assert_int_equal(bed->done_count, 70000);
	assert_int_equal(stats.connection_count, EXCHANGE_CONNECTIONS_MAX);
	assert_int_equal(stats.connections_evicted, 70000 - EXCHANGE_CONNECTIONS_MAX);
	assert_int_equal(stats.connections_refused, 0);
	exchanges_expire(bed->exchanges, 1000 * WIRE_SECOND);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_few_hundred_silent_open_requests_do_not_stop_new_connections(void **state)
{
	struct bed *bed = *state;
	uint64_t i;

	for (i = 0; i < 500; i++)
		open_idle(bed, 1000 + i, false);
	for (; i < EXCHANGE_CONNECTIONS_MAX + 10; i++)
		open_idle(bed, 1000 + i, true); /* the last few find no room */
	bed->done_count = 0;
	for (i = 0; i < 1000; i++)
		open_idle(bed, 100000 + i, true);
	assert_int_equal(bed->done_count, 1000);
	expect_open(bed, 500);
}

static void a_table_full_of_open_requests_refuses_more_and_counts_them(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct exchange_stats stats;
	uint64_t i;

	wire_receive_text(w, GET("/first"));
	for (i = 0; i < 70000; i++)
		open_idle(bed, 1000 + i, false);
	stats = exchanges_stats(bed->exchanges);
	assert_int_equal(stats.connection_count, EXCHANGE_CONNECTIONS_MAX);
	assert_int_equal(stats.open_count, EXCHANGE_OPEN_MAX);
	assert_true(stats.connections_refused > 0);
	wire_send_text(w, OK);
	expect(bed, "GET /first 200");
}

static void requests_past_the_bound_take_only_their_responses_with_them(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire, *flood;
	uint64_t i;

	flood = malloc(sizeof(*flood));
	assert_non_null(flood);
	wire_open(flood, bed->exchanges, 2);
	wire_receive_text(w, GET("/1"));
	for (i = 0; i < EXCHANGE_OPEN_MAX; i++)
		wire_receive_text(flood, GET("/flood"));
	wire_receive_text(w, GET("/refused"));
	assert_true(exchanges_stats(bed->exchanges).requests_refused > 0);
	wire_send_text(w, OK);
	expect(bed, "GET /1 200");
	wire_finish(flood);
	bed->log[0] = '\0';
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	free(flood);
}

static void split_lines_are_bounded_together(void **state)
{
	struct bed *bed = *state;
	struct exchange_stats stats;
	char line[9000];
	uint64_t i;

	memset(line, 'x', sizeof(line));
	memcpy(line, "GET /", 5);
	for (i = 0; i < 2000; i++) {
		struct wire w;

		wire_open(&w, bed->exchanges, 1000 + i);
		wire_receive(&w, line, 8000);
		if (i == 1999) { /* the memory is used up: its line cannot be kept */
			wire_receive_text(&w, " HTTP/1.1\r\n" HOST);
			wire_send_text(&w, OK);
			wire_receive_text(&w, GET("/next"));
			wire_send_text(&w, OK);
		}
	}
	stats = exchanges_stats(bed->exchanges);
	assert_true(stats.lines_cut > 0);
	assert_non_null(strstr(bed->log, "GET /next 200"));
	assert_int_equal(bed->done_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lost_request_takes_only_its_response_with_it),
		TEST(a_lost_first_request_takes_only_its_response_with_it),
		TEST(a_lost_response_takes_only_its_request_with_it),
		TEST(a_lost_response_and_a_lost_request_do_not_stop_the_connection),
		TEST(a_pipelined_request_that_is_lost_shifts_no_status),
		TEST(a_response_whose_last_bytes_were_lost_keeps_its_status),
		TEST(a_lost_slice_shifts_no_status),
		TEST(a_start_line_cut_by_a_loss_is_no_request_without_its_method),
		TEST(an_unreadable_send_is_a_loss_of_one_response),
		TEST(idle_connections_are_forgotten_and_come_back),
		TEST(seventy_thousand_connections_fit_by_forgetting_idle_ones),
		TEST(a_few_hundred_silent_open_requests_do_not_stop_new_connections),
		TEST(a_table_full_of_open_requests_refuses_more_and_counts_them),
		TEST(requests_past_the_bound_take_only_their_responses_with_them),
		TEST(split_lines_are_bounded_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
