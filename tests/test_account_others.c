// SPDX-License-Identifier: Apache-2.0
/* What nobody reads, what a process asks of others, what cannot be decoded; and that it all adds
 * up. */
#include "account_bed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

static struct service *shop(const struct account_bed *bed)
{
	return services_next(bed->bench->services, NULL);
}

/* A connection to a port on which something waits. */
static void wait_unread(struct account_bed *bed, uint32_t listener, uint16_t port)
{
	account_connect(bed, listener, port, false);
	bed->wire.arrival_ns = bed->wire.now_ns;
}

/* --- what nobody reads --- */

static void what_waits_on_a_known_port_is_shown_and_then_timed_out(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), OK);
	wait_unread(bed, 100, 8000);
	bed->wire.now_ns += WIRE_SECOND;
	account_look(bed, true);
	assert_int_equal(shop(bed)->unread_count, 1);
	expect_series(bed, INSTRUMENT_OLDEST, "{unread} 1000ms");
	expect_series(bed, INSTRUMENT_ACTIVE, "");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0");
	bed->wire.now_ns += LIMIT_NS;
	account_look(bed, true);
	account_look(bed, true);
	assert_int_equal(shop(bed)->unread_count, 1);
	expect_series(bed, INSTRUMENT_OLDEST, "{unread} 9000ms");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; - {unread} 0,0,1,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/a 99@8s 1/1; {unread} 99@8s 0/1");
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, "");
	/* read at last: its time is of interest, but it was counted */
	wire_receive_text(&bed->wire, GET("/a"));
	wire_send_text(&bed->wire, OK);
	account_look(bed, false);
	assert_int_equal(shop(bed)->unread_count, 0);
	expect_series(bed, INSTRUMENT_OLDEST, "{unread} none");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; - {unread} 0,0,1,0,0");
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "GET /a 200 - 1.1 :8000 x2");
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, ":8000 x1");
}

static void of_all_that_waits_the_oldest_has_its_age(void **state)
{
	struct account_bed *bed = *state;
	struct connection_state listed[3];
	size_t i;

	account_answer(bed, GET("/a"), OK);
	for (i = 0; i < 3; i++) {
		wait_unread(bed, 100, 8000);
		bed->wire.arrival_ns -= (1 + i) % 3 * WIRE_SECOND; /* the second is the oldest */
		listed[i] = wire_listed(&bed->wire);
	}
	account_list_begin(&bed->account);
	exchanges_list_begin(bed->exchanges, bed->wire.now_ns);
	for (i = 0; i < 3; i++)
		exchanges_listed(bed->exchanges, &listed[i]);
	exchanges_list_end(bed->exchanges, false);
	account_in_flight(&bed->account, bed->exchanges, bed->wire.now_ns);
	assert_int_equal(shop(bed)->unread_count, 3);
	expect_series(bed, INSTRUMENT_OLDEST, "{unread} 2000ms");
}

static void what_waits_on_a_port_that_never_served_is_nobodys(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), OK);
	wait_unread(bed, 100, 9999);
	bed->wire.now_ns += 2 * LIMIT_NS;
	account_look(bed, true);
	wire_reset(&bed->wire);
	assert_int_equal(shop(bed)->unread_count, 0);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 1);
}

static void of_several_services_on_a_port_who_listens_has_it(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), OK);
	exec_python(bed->bench, 200, "auth");
	assert_string_equal(serve(bed->bench, 200, 8000)->name, "auth");
	wait_unread(bed, 200, 8000);
	bed->wire.now_ns += 2 * LIMIT_NS;
	account_look(bed, true);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /a 1,0,0,0,0; auth: - {unread} 0,0,1,0,0");
	wait_unread(bed, 0, 8000); /* who listens is not known */
	bed->wire.now_ns += 2 * LIMIT_NS;
	account_look(bed, true);
	assert_int_equal(shop(bed)->unread_count, 0);
	wire_reset(&bed->wire);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /a 1,0,0,0,0; auth: - {unread} 0,0,1,0,0");
	serve(bed->bench, 200, 9000); /* a port that one of them has alone */
	wait_unread(bed, 0, 9000);
	wire_reset(&bed->wire);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /a 1,0,0,0,0; auth: - {unread} 0,0,1,0,1");
}

static void what_waits_has_a_limit_of_its_own(void **state)
{
	struct account_bed *bed = *state;

	assert_int_equal(limits_add_timeout(bed->limits, "shop:{unread}=1s"), 0);
	account_answer(bed, GET("/a"), OK);
	wait_unread(bed, 100, 8000);
	bed->wire.now_ns += WIRE_SECOND;
	account_look(bed, true);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; - {unread} 0,0,1,0,0");
	expect_series(bed, INSTRUMENT_SLO, "/a 99@8s 1/1; {unread} 99@1s 0/1");
}

static void what_dies_unread_got_no_response_or_had_timed_out(void **state)
{
	struct account_bed *bed = *state;

	account_answer(bed, GET("/a"), OK);
	wait_unread(bed, 100, 8000);
	wire_finish(&bed->wire);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; - {unread} 0,0,0,0,1");
	wait_unread(bed, 100, 8000);
	bed->wire.now_ns += 2 * LIMIT_NS;
	wire_finish(&bed->wire); /* between two listings */
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; - {unread} 0,0,1,0,1");
	wait_unread(bed, 100, 8000);
	bed->wire.now_ns += 2 * LIMIT_NS;
	account_look(bed, true);
	wire_reset(&bed->wire);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /a 1,0,0,0,0; - {unread} 0,0,2,0,1");
	expect_series(bed, INSTRUMENT_SLO, "/a 99@8s 1/1; {unread} 99@8s 0/3");
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "GET /a 200 - 1.1 :8000 x1");
}

/* --- connections that were not made --- */

/* address: as text. */
static void not_made(struct account_bed *bed, const char *address, uint32_t error,
		     uint64_t after_ns)
{
	struct record_connect_failed record = {
		.head = {.time_ns = bed->wire.now_ns, .pid = 100, .kind = RECORD_CONNECT_FAILED},
		.begin_ns = bed->wire.now_ns - after_ns,
		.error = error,
		.peer_port = 5432,
		.family = strchr(address, ':') ? AF_INET6 : AF_INET,
	};

	assert_int_equal(inet_pton(record.family, address, record.peer_address), 1);
	account_connect_failed(&bed->account, &record);
}

static void connections_that_fail_are_counted_by_address_and_error(void **state)
{
	struct account_bed *bed = *state;

	not_made(bed, "10.0.0.1", ECONNREFUSED, 0);
	not_made(bed, "::ffff:10.0.0.1", ECONNREFUSED, 0); /* the same */
	not_made(bed, "2001:db8::1", ETIMEDOUT, 130 * WIRE_SECOND);
	not_made(bed, "2001:db8::1", ECONNRESET, 0);
	not_made(bed, "10.0.0.1", EHOSTUNREACH, 0);
	not_made(bed, "10.0.0.1", ENETUNREACH, 0);
	not_made(bed, "10.0.0.1", EACCES, 0);
	expect_series(bed, INSTRUMENT_CONNECT_FAILURES,
		      "10.0.0.1:5432 connection_refused x2; 2001:db8::1:5432 timeout x1; "
		      "2001:db8::1:5432 connection_reset x1; 10.0.0.1:5432 host_unreachable x1; "
		      "10.0.0.1:5432 network_unreachable x1; 10.0.0.1:5432 _OTHER x1");
	expect_series(bed, INSTRUMENT_CLIENT_REQUESTS, ""); /* it is no request */
	assert_string_equal(shop(bed)->name, "shop");
}

static void who_gives_up_connecting_has_waited_or_not(void **state)
{
	struct account_bed *bed = *state;

	not_made(bed, "10.0.0.1", 0, 100 * WIRE_MILLISECOND);
	not_made(bed, "10.0.0.2", 0, 100 * WIRE_MILLISECOND - 1);
	not_made(bed, "10.0.0.3", 0, (uint64_t)-5); /* the clocks of two CPUs */
	expect_series(bed, INSTRUMENT_CONNECT_FAILURES,
		      "10.0.0.1:5432 timeout x1; 10.0.0.2:5432 aborted x1; "
		      "10.0.0.3:5432 aborted x1");
}

static void failures_of_unwanted_processes_are_not_counted(void **state)
{
	struct account_bed *bed = *state;
	struct record_connect_failed record = {
		.head = {.pid = 50}, .error = ECONNREFUSED, .family = AF_INET};

	exec_as(bed->bench, 50, 1, "/usr/sbin/nginx", "nginx", "/");
	account_connect_failed(&bed->account, &record);
	record.head.pid = 51; /* gone */
	account_connect_failed(&bed->account, &record);
	expect_series(bed, INSTRUMENT_CONNECT_FAILURES, "");
	assert_int_equal(count_services(bed->bench), 0);
}

/* --- clients --- */

static void a_clients_request_gives_client_series_only(void **state)
{
	struct account_bed *bed = *state;

	account_connect(bed, 100, 9000, true);
	wire_send_text(&bed->wire, GET("/secret/path"));
	account_check(bed, 100 * LIMIT_NS); /* it has no limit */
	account_look(bed, false);
	bed->wire.now_ns += 100 * LIMIT_NS;
	wire_receive_text(&bed->wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	wire_receive_text(&bed->wire, "0\r\n\r\n");
	expect_series(bed, INSTRUMENT_CLIENT_DURATION, "GET api.example:9000 200 - 1.1 x1");
	assert_int_equal(account_sum_ns(bed, INSTRUMENT_CLIENT_DURATION),
			 100 * LIMIT_NS + 2 * WIRE_MILLISECOND + 1);
	expect_series(bed, INSTRUMENT_CLIENT_REQUESTS, "GET api.example:9000 1,0,0,0,0");
	expect_series(bed, INSTRUMENT_SERVER_DURATION, "");
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "");
	expect_series(bed, INSTRUMENT_TIME_TO_FIRST_BYTE, "");
	expect_series(bed, INSTRUMENT_QUEUE_DURATION, "");
	expect_series(bed, INSTRUMENT_SLO, "");
	expect_series(bed, INSTRUMENT_ACTIVE, "");
	expect_series(bed, INSTRUMENT_OLDEST, "");
}

static void a_clients_ends_have_their_outcomes(void **state)
{
	static const char *const answers[] = {
		OK,
		NOT_FOUND,
		"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n",
	};
	struct account_bed *bed = *state;
	size_t i;

	for (i = 0; i < 3; i++) {
		account_connect(bed, 100, 80, true);
		wire_send_text(&bed->wire, GET("/"));
		wire_receive_text(&bed->wire, answers[i]);
	}
	account_connect(bed, 100, 80, true);
	wire_send_text(&bed->wire, GET("/"));
	wire_finish(&bed->wire);
	account_connect(bed, 100, 80, true);
	wire_send_text(&bed->wire, GET("/"));
	bed->wire.now_ns += WIRE_SECOND;
	wire_finish(&bed->wire);
	account_connect(bed, 100, 80, true);
	wire_send_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	wire_finish(&bed->wire);
	account_connect(bed, 100, 80, true);
	wire_send_text(&bed->wire, GET("/"));
	wire_reset(&bed->wire);
	expect_series(bed, INSTRUMENT_CLIENT_REQUESTS, "GET api.example:80 1,1,2,1,2");
	expect_series(bed, INSTRUMENT_CLIENT_DURATION,
		      "GET api.example:80 200 - 1.1 x1; GET api.example:80 404 404 1.1 x1; "
		      "GET api.example:80 504 504 1.1 x1; GET api.example:80 0 aborted 1.1 x1; "
		      "GET api.example:80 0 timeout 1.1 x1; "
		      "GET api.example:80 0 no_response 1.1 x1; "
		      "GET api.example:80 0 connection_reset 1.1 x1");
}

static void a_server_has_the_name_that_it_was_called_by(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: API.Example:8443\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: user@host\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	};
	struct account_bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		account_connect(bed, 100, 80, true);
		wire_send_text(&bed->wire, requests[i]);
		wire_receive_text(&bed->wire, OK);
	}
	expect_series(bed, INSTRUMENT_CLIENT_REQUESTS,
		      "GET api.example:80 1,0,0,0,0; GET 2001:db8::1:80 1,0,0,0,0; "
		      "GET -:80 2,0,0,0,0");
}

static void one_process_can_serve_and_ask(void **state)
{
	struct account_bed *bed = *state;

	account_connect(bed, 100, 80, true);
	wire_send_text(&bed->wire, GET("/asked"));
	account_answer(bed, GET("/served"), OK);
	exec_python(bed->bench, 200, "cron");
	account_connect(bed, 200, 80, true);
	wire_send_text(&bed->wire, GET("/asked"));
	wire_receive_text(&bed->wire, OK);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS, "GET /served 1,0,0,0,0");
	expect_series(bed, INSTRUMENT_CLIENT_REQUESTS, "cron: GET api.example:80 1,0,0,0,0");
	assert_true(shop(bed)->served);
	assert_int_equal(count_services(bed->bench), 2);
}

/* --- the rest --- */

static void what_is_no_http_1_is_counted_by_what_it_is(void **state)
{
	static const struct {
		const char *first;
		uint8_t len;
		enum undecoded what;
	} cases[] = {
		{"PRI * HTTP/2.0\r\n", 16, UNDECODED_HTTP2},
		{"PRI * HTTP/2.", 13, UNDECODED_OTHER},
		{"\x16\x03\x01\x02", 4, UNDECODED_TLS},
		{"\x16\x03", 2, UNDECODED_OTHER},
		{"SSH-2.0-x", 9, UNDECODED_OTHER},
		{"\0\0\x12\4\0\0\0\0\0", 9, UNDECODED_HTTP2},
		{"\0\0\x12\4\0\0\0\0", 8, UNDECODED_OTHER},
	};
	uint64_t counts[UNDECODED_COUNT] = {0};
	struct account_bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_undecoded record = {
			.head = {.pid = 100, .kind = RECORD_UNDECODED},
			.local_port = 8000,
			.len = cases[i].len,
		};

		memcpy(record.first, cases[i].first, cases[i].len);
		account_undecoded(&bed->account, &record, false);
		counts[cases[i].what]++;
		account_undecoded(&bed->account, &record, true);
		counts[cases[i].what] += cases[i].what != UNDECODED_TLS; /* it is seen */
	}
	assert_memory_equal(shop(bed)->undecoded_counts, counts, sizeof(counts));
}

static void tell_tls(struct account_bed *bed, bool hello, uint64_t cookie, uint64_t time_ms)
{
	struct record_undecoded record = {
		.head = {.pid = 100,
			 .kind = RECORD_UNDECODED,
			 .role = ROLE_SERVER,
			 .time_ns = time_ms * 1000000},
		.cookie = cookie,
		.local_port = 8000,
		.len = hello ? 3 : 0,
		.first = "\x16\x03\x01",
	};

	account_undecoded(&bed->account, &record, true);
}

/* Another library than the one with probes may be the one that serves. */
static void tls_connections_are_told_once_it_shows_that_none_of_their_sessions_is_seen(void **state)
{
	struct account_bed *bed = *state;
	const uint64_t *count;

	tell_tls(bed, true, 1, 5000);
	count = &shop(bed)->undecoded_counts[UNDECODED_TLS];
	tell_tls(bed, true, 2, 5100);
	tell_tls(bed, false, 2, 5999); /* there may not have been probes in time */
	assert_int_equal(*count, 0);
	tell_tls(bed, true, 3, 6000);
	tell_tls(bed, false, 2, 6000);
	assert_int_equal(*count, 3);
	tell_tls(bed, false, 3, 6001);
	assert_int_equal(*count, 3);
	tell_tls(bed, true, 4, 6002);
	assert_int_equal(*count, 4);
	assert_int_equal(shop(bed)->undecoded_counts[UNDECODED_OTHER], 0);
}

static void a_service_whose_sessions_are_seen_has_no_other_tls(void **state)
{
	struct account_bed *bed = *state;

	tell_tls(bed, true, 1, 5000);
	tell_tls(bed, true, 2 | COOKIE_TLS, 5001); /* whatever it is, it came out of a session */
	tell_tls(bed, true, 3, 7000);
	tell_tls(bed, false, 3, 7001);
	assert_int_equal(shop(bed)->undecoded_counts[UNDECODED_TLS], 0);
}

static void a_request_inside_tls_shows_that_sessions_are_seen(void **state)
{
	struct account_bed *bed = *state;

	tell_tls(bed, true, 1, 5000);
	account_connect(bed, 100, 8000, false);
	bed->wire.is_tls = true;
	wire_receive_text(&bed->wire, GET("/served"));
	wire_send_text(&bed->wire, OK);
	tell_tls(bed, false, 3, 7000);
	tell_tls(bed, true, 4, 7001);
	assert_int_equal(shop(bed)->undecoded_counts[UNDECODED_TLS], 0);
}

/* Its port is none that the service serves on. */
static void what_a_service_asks_by_http_2_is_counted_apart(void **state)
{
	struct account_bed *bed = *state;
	struct record_undecoded record = {
		.head = {.pid = 200, .kind = RECORD_UNDECODED, .role = ROLE_CLIENT},
		.local_port = 40000,
		.len = 16,
		.first = "PRI * HTTP/2.0\r",
	};
	struct service *cron;

	account_answer(bed, GET("/served"), OK);
	exec_python(bed->bench, 200, "cron");
	record.first[15] = '\n';
	account_undecoded(&bed->account, &record, true);
	account_undecoded(&bed->account, &record, false);
	cron = services_of(bed->bench->services, 200);
	assert_non_null(cron);
	assert_int_equal(cron->undecoded_counts[UNDECODED_CLIENT_HTTP2], 2);
	assert_int_equal(cron->undecoded_counts[UNDECODED_HTTP2], 0);
	assert_false(cron->served);
	assert_int_equal(cron->lowest_port, 0);
	assert_int_equal(shop(bed)->undecoded_counts[UNDECODED_CLIENT_HTTP2], 0);
}

struct sums {
	uint64_t outcomes, durations, timed_out_and_open, never_read;
};

static void add_up(struct account_bed *bed, struct sums *sums)
{
	const struct snapshot_series *list;
	size_t count, i, j;

	list = aggregate_snapshot(bed->aggregate, &count);
	for (i = 0; i < count; i++) {
		if (list[i].instrument == INSTRUMENT_SERVER_DURATION)
			sums->durations += list[i].duration->count;
		for (j = 0; j < OUTCOME_COUNT && list[i].instrument == INSTRUMENT_SERVER_REQUESTS;
		     j++)
			sums->outcomes += list[i].counts->outcomes[j];
	}
}

/* One request of some kind; some stay open, some are never read. */
static void play_one(struct account_bed *bed, unsigned int kind, struct sums *sums)
{
	struct wire *w = &bed->wire;

	if (kind == 0 || kind == 1) { /* never read */
		wait_unread(bed, 100, 8000);
		w->now_ns += kind ? 2 * LIMIT_NS : 0;
		account_look(bed, true);
		wire_finish(w);
		sums->never_read++;
		return;
	}
	account_connect(bed, 100, 8000, false);
	w->arrival_ns = w->now_ns;
	if (kind == 2) { /* read late */
		w->now_ns += 2 * LIMIT_NS;
		account_look(bed, true);
	}
	wire_receive_text(w, GET("/a"));
	if (kind == 3) { /* hangs */
		w->now_ns += 2 * LIMIT_NS;
		account_check(bed, 0);
		sums->timed_out_and_open++;
		return;
	}
	if (kind == 4) { /* late, and told before */
		w->now_ns += 2 * LIMIT_NS;
		account_check(bed, 0);
	}
	if (kind == 5) /* late, and not told before */
		w->now_ns += LIMIT_NS;
	if (kind == 6 || kind == 7)
		wire_peer_fin(w);
	if (kind != 8)
		wire_send_text(w, kind == 9 ? NOT_FOUND : OK);
	if (kind == 7)
		wire_reset(w);
	else
		wire_finish(w);
}

static void all_outcomes_add_up(void **state)
{
	struct account_bed *bed = *state;
	struct sums sums = {0};
	unsigned int i, kind;

	account_answer(bed, GET("/a"), OK);
	for (i = 0; i < 20; i++) {
		for (kind = 0; kind <= 9; kind++)
			play_one(bed, (kind * 3 + i) % 10, &sums);
	}
	add_up(bed, &sums);
	assert_int_equal(sums.outcomes, 201);
	assert_int_equal(sums.never_read, 40);
	assert_int_equal(sums.timed_out_and_open, 20);
	assert_int_equal(sums.durations, 141);
	assert_int_equal(sums.outcomes, sums.durations + sums.timed_out_and_open + sums.never_read);
	expect_series(bed, INSTRUMENT_SERVER_REQUESTS,
		      "GET /a 41,0,60,20,20; - {unread} 0,0,40,0,20");
	expect_series(bed, INSTRUMENT_SLO, "/a 99@8s 41/121; {unread} 99@8s 0/60");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ACCOUNT_TEST(what_waits_on_a_known_port_is_shown_and_then_timed_out),
		ACCOUNT_TEST(of_all_that_waits_the_oldest_has_its_age),
		ACCOUNT_TEST(what_waits_on_a_port_that_never_served_is_nobodys),
		ACCOUNT_TEST(of_several_services_on_a_port_who_listens_has_it),
		ACCOUNT_TEST(what_waits_has_a_limit_of_its_own),
		ACCOUNT_TEST(what_dies_unread_got_no_response_or_had_timed_out),
		ACCOUNT_TEST(connections_that_fail_are_counted_by_address_and_error),
		ACCOUNT_TEST(who_gives_up_connecting_has_waited_or_not),
		ACCOUNT_TEST(failures_of_unwanted_processes_are_not_counted),
		ACCOUNT_TEST(a_clients_request_gives_client_series_only),
		ACCOUNT_TEST(a_clients_ends_have_their_outcomes),
		ACCOUNT_TEST(a_server_has_the_name_that_it_was_called_by),
		ACCOUNT_TEST(one_process_can_serve_and_ask),
		ACCOUNT_TEST(what_is_no_http_1_is_counted_by_what_it_is),
		ACCOUNT_TEST(
			tls_connections_are_told_once_it_shows_that_none_of_their_sessions_is_seen),
		ACCOUNT_TEST(a_service_whose_sessions_are_seen_has_no_other_tls),
		ACCOUNT_TEST(a_request_inside_tls_shows_that_sessions_are_seen),
		ACCOUNT_TEST(what_a_service_asks_by_http_2_is_counted_apart),
		ACCOUNT_TEST(all_outcomes_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
