// SPDX-License-Identifier: Apache-2.0
/* What a service's requests give: durations, outcomes, objectives, queue, what is in flight. */
#include "account_bed.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void a_request_gives_a_duration_an_outcome_and_an_event(void **state)
{
	struct account_bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/orders?q=1"));
	bed->wire.now_ns += 20 * WIRE_MILLISECOND;
	wire_send_text(&bed->wire, OK);
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "GET /orders 200 - 1.1 :8000 x1");
	assert_int_equal(account_sum_ns(bed, INSTRUMENT_SERVER_DURATION), 21 * WIRE_MILLISECOND);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /orders 1,0,0,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/orders 99@8s 1/1");
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ""); /* its arrival is not known */
	expect_series(bed, INSTRUMENT_TIME_TO_FIRST_BYTE, "");
	expect_series(bed, INSTRUMENT_CLIENT_DURATION, "");
	expect_series(bed, INSTRUMENT_CLIENT_REQUESTS, "");
}

static void each_end_has_its_outcome_and_its_error_type(void **state)
{
	static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
	static const struct {
		const char *answer; /* NULL: none */
		enum { OPEN, FINISH, FIN_FINISH, RESET, FIN_RESET } end;
		const char *duration, *requests, *slo;
	} cases[] = {
		{OK, OPEN, "GET /a 200 - 1.1", "1,0,0,0,0", "1/1"},
		{OK, FIN_FINISH, "GET /a 200 - 1.1", "1,0,0,0,0", "1/1"},
		{OK, FIN_RESET, "GET /a 200 - 1.1", "0,0,0,1,0", ""},
		{"HTTP/1.1 500 E\r\nContent-Length: 0\r\n\r\n", OPEN, "GET /a 500 500 1.1",
		 "0,1,0,0,0", "0/1"},
		{"HTTP/1.1 408 E\r\nContent-Length: 0\r\n\r\n", OPEN, "GET /a 408 - 1.1",
		 "0,0,1,0,0", "0/1"},
		{"HTTP/1.1 504 E\r\nContent-Length: 0\r\n\r\n", OPEN, "GET /a 504 504 1.1",
		 "0,0,1,0,0", "0/1"},
		{half, FINISH, "GET /a 200 - 1.1", "0,0,0,0,1", "0/1"},
		{half, RESET, "GET /a 200 - 1.1", "0,0,0,1,0", ""},
		{half, FIN_FINISH, "GET /a 200 - 1.1", "0,0,0,1,0", ""},
		{NULL, FINISH, "GET /a 0 no_response 1.1", "0,0,0,0,1", "0/1"},
		{NULL, RESET, "GET {unmatched} 0 connection_reset 1.1", "0,0,0,1,0", ""},
		{NULL, FIN_FINISH, "GET {unmatched} 0 aborted 1.1", "0,0,0,1,0", ""},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct account_bed *bed;
		const char *route;
		char wanted[128];

		assert_int_equal(account_teardown(state) || account_setup(state), 0);
		bed = *state;
		wire_receive_text(&bed->wire, GET("/a"));
		if (cases[i].end == FIN_FINISH || cases[i].end == FIN_RESET)
			wire_peer_fin(&bed->wire);
		if (cases[i].answer)
			wire_send_text(&bed->wire, cases[i].answer);
		if (cases[i].end == FINISH || cases[i].end == FIN_FINISH)
			wire_finish(&bed->wire);
		else if (cases[i].end != OPEN)
			wire_reset(&bed->wire);
		snprintf(wanted, sizeof(wanted), "%s :8000 x1", cases[i].duration);
		expect_series(bed, INSTRUMENT_SERVER_DURATION, wanted);
		route = strstr(cases[i].duration, "unmatched") ? "{unmatched}" : "/a";
		snprintf(wanted, sizeof(wanted), "GET %s %s", route, cases[i].requests);
		expect_series(bed, INSTRUMENT_SERVER_REQUESTS, wanted);
		snprintf(wanted, sizeof(wanted), "%s 99@8s %s", route, cases[i].slo);
		expect_series(bed, INSTRUMENT_SLO, cases[i].slo[0] ? wanted : "");
	}
}

/* --- routes --- */

static void a_path_has_its_place_once_it_was_found(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), NOT_FOUND);
	wire_receive_text(&bed->wire, GET("/a"));
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_ACTIVE, "GET {unmatched} :8000 x1");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET {unmatched} 1,0,0,0,0");
	wire_send_text(&bed->wire, OK);
	account_answer(bed, GET("/a"), NOT_FOUND);
	account_answer(bed, GET("/b"), "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET {unmatched} 2,0,0,0,0; GET /a 2,0,0,0,0");
	expect_series(bed, INSTRUMENT_SERVER_DURATION,
		      "GET {unmatched} 404 - 1.1 :8000 x1; GET /a 200 - 1.1 :8000 x1; "
		      "GET /a 404 - 1.1 :8000 x1; GET {unmatched} 405 - 1.1 :8000 x1");
	wire_receive_text(&bed->wire, GET("/a"));
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_ACTIVE, "GET {unmatched} :8000 x0; GET /a :8000 x1");
}

static void a_route_that_hangs_has_a_name(void **state)
{
	struct account_bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/hangs"));
	account_check(bed, LIMIT_NS + WIRE_SECOND);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /hangs 0,0,1,0,0");
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/crashes"));
	wire_finish(&bed->wire);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /hangs 0,0,1,0,0; GET /crashes 0,0,0,0,1");
	/* but that nothing is there is no name, however late one is told */
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/nothing"));
	bed->wire.now_ns += LIMIT_NS;
	wire_send_text(&bed->wire, NOT_FOUND);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /hangs 0,0,1,0,0; GET /crashes 0,0,0,0,1; GET {unmatched} 0,0,1,0,0");
}

static void all_outcomes_exist_from_a_known_routes_request_on(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), OK);
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, "POST /a HTTP/1.1\r\n\r\n");
	wire_receive_text(&bed->wire, "POST /new HTTP/1.1\r\n\r\n");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; POST /a 0,0,0,0,0");
}

static void what_has_no_path_has_no_route(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, "OPTIONS * HTTP/1.0\r\n\r\n", OK);
	account_answer(bed, "BREW /pot HTTP/1.1\r\n\r\n", OK);
	expect_series(bed, INSTRUMENT_SERVER_DURATION,
		      "OPTIONS - 200 - 1.0 :8000 x1; _OTHER /pot 200 - 1.1 :8000 x1");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "OPTIONS - 1,0,0,0,0; _OTHER /pot 1,0,0,0,0");
	expect_series(bed, INSTRUMENT_SLO, "- 99@8s 1/1; /pot 99@8s 1/1");
}

/* --- limits --- */

static void a_timeout_is_counted_while_it_runs_and_its_duration_when_it_ends(void **state)
{
	struct account_bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/slow"));
	account_check(bed, LIMIT_NS + WIRE_SECOND);
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /slow 0,0,1,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/slow 99@8s 0/1");
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "");
	expect_series(bed, INSTRUMENT_ACTIVE, "GET /slow :8000 x1");
	bed->wire.now_ns += 2 * LIMIT_NS;
	wire_send_text(&bed->wire, OK);
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /slow 0,0,1,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/slow 99@8s 0/1");
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "GET /slow 200 - 1.1 :8000 x1");
	expect_series(bed, INSTRUMENT_ACTIVE, "GET /slow :8000 x0");
}

static void a_late_end_is_a_timeout_whatever_it_is(void **state)
{
	struct account_bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/a"));
	bed->wire.now_ns += LIMIT_NS;
	wire_send_text(&bed->wire, OK);
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/a"));
	bed->wire.now_ns += LIMIT_NS;
	wire_reset(&bed->wire);
	account_connect(bed, 100, 8000, false);
	bed->wire.arrival_ns = bed->wire.now_ns - LIMIT_NS; /* it came late to be read */
	wire_receive_text(&bed->wire, GET("/a"));
	wire_send_text(&bed->wire, OK);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 0,0,3,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/a 99@8s 0/3");
	expect_series(bed, INSTRUMENT_SERVER_DURATION,
		      "GET /a 200 - 1.1 :8000 x2; GET /a 0 connection_reset 1.1 :8000 x1");
}

static void a_route_has_a_limit_of_its_own_before_it_has_a_place(void **state)
{
	struct account_bed *bed = *state;

	assert_int_equal(limits_add_timeout(bed->limits, "shop=1s"), 0);
	assert_int_equal(limits_add_timeout(bed->limits, "shop:/reports/{id}=1m"), 0);
	wire_receive_text(&bed->wire, GET("/reports/42"));
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/orders"));
	account_check(bed, 2 * WIRE_SECOND);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /orders 0,0,1,0,0");
	account_check(bed, 61 * WIRE_SECOND);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /orders 0,0,1,0,0; GET /reports/{id} 0,0,1,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/orders 99@1s 0/1; /reports/{id} 99@1m 0/1");
}

static void every_outcome_but_aborted_is_an_event_of_each_objective(void **state)
{
	struct account_bed *bed = *state;

	assert_int_equal(limits_add_slo(bed->limits, "shop:/a=99.9@300ms"), 0);
	assert_int_equal(limits_add_slo(bed->limits, "shop:/a=90@2s"), 0);
	account_answer(bed, GET("/health"), OK);
	account_answer(bed, GET("/a"), OK);
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/a"));
	bed->wire.now_ns += WIRE_SECOND;
	wire_send_text(&bed->wire, OK);
	account_connect(bed, 100, 8000, false);
	bed->wire.arrival_ns = bed->wire.now_ns - 3 * WIRE_SECOND; /* its queue counts */
	wire_receive_text(&bed->wire, GET("/a"));
	wire_send_text(&bed->wire, OK);
	account_answer(bed, GET("/a"), "HTTP/1.1 500 E\r\nContent-Length: 0\r\n\r\n");
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/a"));
	wire_reset(&bed->wire);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /health 1,0,0,0,0; GET /a 3,1,0,1,0");
	expect_series(bed, INSTRUMENT_SLO, "/a 99.9@300ms 1/4; /a 90@2s 2/4");
}

/* --- streams --- */

static void time_to_first_byte_is_of_streams(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/whole"), CHUNKED "2\r\nok\r\n0\r\n\r\n");
	account_answer(bed, GET("/file"), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
	wire_send_text(&bed->wire, "cd");
	expect_series(bed, INSTRUMENT_TIME_TO_FIRST_BYTE, "");
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, GET("/events"));
	bed->wire.now_ns += 5 * WIRE_MILLISECOND;
	wire_send_text(&bed->wire, CHUNKED);
	expect_series(bed, INSTRUMENT_TIME_TO_FIRST_BYTE, "GET /events 200 - 1.1 :8000 x1");
	assert_int_equal(account_sum_ns(bed, INSTRUMENT_TIME_TO_FIRST_BYTE), 6 * WIRE_MILLISECOND);
	bed->wire.now_ns += 10 * LIMIT_NS;
	account_check(bed, 0);
	wire_send_text(&bed->wire, "1\r\nx\r\n");
	wire_send_text(&bed->wire, "0\r\n\r\n");
	expect_series(bed, INSTRUMENT_TIME_TO_FIRST_BYTE, "GET /events 200 - 1.1 :8000 x1");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /whole 1,0,0,0,0; GET /file 1,0,0,0,0; GET /events 1,0,0,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/whole 99@8s 1/1; /file 99@8s 1/1; /events 99@8s 1/1");
}

static void switching_protocols_is_an_answer(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/ws"), "HTTP/1.1 101 Switching\r\n\r\n");
	account_check(bed, 10 * LIMIT_NS);
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "GET /ws 101 - 1.1 :8000 x1");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /ws 1,0,0,0,0");
	expect_series(bed, INSTRUMENT_TIME_TO_FIRST_BYTE, "");
	expect_series(bed, INSTRUMENT_ACTIVE, "");
}

/* --- queue --- */

static void each_request_that_is_read_has_waited(void **state)
{
	struct account_bed *bed = *state;

	bed->wire.arrival_ns = bed->wire.now_ns - 2 * WIRE_MILLISECOND;
	wire_receive_text(&bed->wire, GET("/open"));
	bed->wire.arrival_ns = bed->wire.now_ns;
	wire_receive_text(&bed->wire, "POST /part HTTP/1.1\r\n"); /* not yet */
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ":8000 x1");
	assert_int_equal(account_sum_ns(bed, INSTRUMENT_QUEUE_DURATION), 3 * WIRE_MILLISECOND);
	wire_receive_text(&bed->wire, "\r\n");
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ":8000 x2");
	assert_int_equal(account_sum_ns(bed, INSTRUMENT_QUEUE_DURATION), 4 * WIRE_MILLISECOND);
	wire_send_text(&bed->wire, OK NOT_FOUND);
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ":8000 x2");
	account_connect(bed, 100, 8001, false);
	bed->wire.arrival_ns = bed->wire.now_ns;
	wire_receive_text(&bed->wire, "GARBAGE /x HTTP/1.1\r\nno");
	wire_send_text(&bed->wire, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ":8000 x2; :8001 x1");
}

static void a_request_that_arrived_as_it_was_read_has_waited_for_no_time(void **state)
{
	struct account_bed *bed = *state;

	bed->wire.arrival_ns = bed->wire.now_ns + WIRE_SECOND;
	wire_receive_text(&bed->wire, GET("/a"));
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ":8000 x1");
	assert_int_equal(account_sum_ns(bed, INSTRUMENT_QUEUE_DURATION), 0);
}

/* --- in flight --- */

static void what_is_in_flight_is_shown_and_then_is_none(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), OK);
	wire_receive_text(&bed->wire, GET("/a"));
	bed->wire.now_ns += 10 * WIRE_MILLISECOND;
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, "POST /a HTTP/1.1\r\n\r\n");
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, "GET /part HTTP/1.1\r\n");
	account_connect(bed, 100, 8000, true);
	wire_send_text(&bed->wire, GET("/asked"));
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_ACTIVE, "GET /a :8000 x1; POST /a :8000 x1");
	expect_series(bed, INSTRUMENT_OLDEST, "/a 13ms");
	wire_open(&bed->wire, bed->exchanges, 2);
	bed->wire.role = ROLE_SERVER;
	bed->wire.now_ns = 2000 * WIRE_SECOND;
	wire_reset(&bed->wire);
	bed->wire.cookie = 3;
	wire_reset(&bed->wire);
	account_look(bed, false);
	expect_series(bed, INSTRUMENT_ACTIVE, "GET /a :8000 x0; POST /a :8000 x0");
	expect_series(bed, INSTRUMENT_OLDEST, "/a none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ACCOUNT_TEST(a_request_gives_a_duration_an_outcome_and_an_event),
		ACCOUNT_TEST(each_end_has_its_outcome_and_its_error_type),
		ACCOUNT_TEST(a_path_has_its_place_once_it_was_found),
		ACCOUNT_TEST(a_route_that_hangs_has_a_name),
		ACCOUNT_TEST(all_outcomes_exist_from_a_known_routes_request_on),
		ACCOUNT_TEST(what_has_no_path_has_no_route),
		ACCOUNT_TEST(a_timeout_is_counted_while_it_runs_and_its_duration_when_it_ends),
		ACCOUNT_TEST(a_late_end_is_a_timeout_whatever_it_is),
		ACCOUNT_TEST(a_route_has_a_limit_of_its_own_before_it_has_a_place),
		ACCOUNT_TEST(every_outcome_but_aborted_is_an_event_of_each_objective),
		ACCOUNT_TEST(time_to_first_byte_is_of_streams),
		ACCOUNT_TEST(switching_protocols_is_an_answer),
		ACCOUNT_TEST(each_request_that_is_read_has_waited),
		ACCOUNT_TEST(a_request_that_arrived_as_it_was_read_has_waited_for_no_time),
		ACCOUNT_TEST(what_is_in_flight_is_shown_and_then_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
