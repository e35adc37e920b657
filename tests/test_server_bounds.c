// SPDX-License-Identifier: Apache-2.0
/* How the server takes what clients send, or fail to send and read. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server_client.h"
#include "../exporters/text.h"

static size_t occurrences(const char *text, const char *needle)
{
	size_t count = 0;

	while ((text = strstr(text, needle))) {
		count++;
		text += strlen(needle);
	}
	return count;
}

static void pipelined_requests_are_all_answered_in_order(void **state)
{
	struct source *source = *state;
	char *response =
		ask(source->server, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
				    "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
				    "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
				    "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_int_equal(occurrences(response, "HTTP/1.1 200 OK\r\n"), 3);
	assert_int_equal(occurrences(response, "HTTP/1.1 404 Not Found\r\n"), 1);
	assert_true(strstr(response, "ok\n") < strstr(response, "HTTP/1.1 404"));
	assert_true(strstr(response, "HTTP/1.1 404") < strstr(response, "\r\n\r\nready\n"));
	free(response);
}

static void a_body_on_get_is_dropped_and_the_connection_goes_on(void **state)
{
	struct source *source = *state;
	char *response =
		ask(source->server, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
				    "GET /metrics HTTP/1."
				    "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_int_equal(occurrences(response, "HTTP/1.1 200 OK\r\n"), 2);
	assert_holds(response, "ready\n");
	assert_int_equal(source->asked, 0);
	free(response);
}

static void ten_thousand_headers_are_refused_in_bounded_memory(void **state)
{
	struct source *source = *state;
	struct text request = {};
	char *response;

	text_string(&request, "GET /metrics HTTP/1.1\r\nHost: x\r\n");
	for (size_t i = 0; i < 10000; i++) {
		text_string(&request, "X-");
		text_number(&request, i);
		text_string(&request, ": y\r\n");
	}
	text_string(&request, "\r\n");
	text_add(&request, "", 1);
	response = ask(source->server, request.data);
	if (*response) /* the rest unread, its answer can be lost to the reset */
		assert_starts(response, "HTTP/1.1 431 ");
	assert_int_equal(source->asked, 0);
	free(response);
	text_free(&request);
	response = get(source->server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
}

static void bytes_that_are_not_http_do_no_harm(void **state)
{
	struct source *source = *state;
	static const char *const requests[] = {
		"\r\n\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET\r\n\r\n",
		"GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /metrics HTTP/9.9\r\n: \r\n \r\n\r\n"};
	char *response;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		int client = connect_to(server_port(source->server));

		send_all(source->server, client, requests[i], strlen(requests[i]));
		turn(source->server, client, POLLIN);
		close(client);
	}
	assert_int_equal(source->asked, 0);
	response = get(source->server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
}

static void half_a_request_keeps_nobody_else_waiting(void **state)
{
	struct source *source = *state;
	static const char half[] = "GET /metrics HTTP/1.1\r\nHos";
	int clients[10];
	char *response;

	for (size_t i = 0; i < 10; i++) {
		clients[i] = connect_to(server_port(source->server));
		send_all(source->server, clients[i], half, sizeof(half) - 1);
	}
	response = get(source->server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
	for (size_t i = 0; i < 10; i++)
		close(clients[i]);
	response = get(source->server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
}

static void a_hundred_idle_connections_are_bounded_and_cost_nothing(void **state)
{
	struct source *source = *state;
	int clients[100];
	size_t closed = 0;
	char *response;

	for (size_t i = 0; i < 100; i++) {
		clients[i] = connect_to(server_port(source->server));
		turn(source->server, -1, 0);
	}
	turns_in_200_ms(source->server);
	for (size_t i = 0; i < 100; i++) {
		char byte;

		closed += recv(clients[i], &byte, 1, 0) == 0;
	}
	/* All come from one address: half of SERVER_CONNECTIONS_MAX may stay. */
	assert_int_equal(closed, 100 - SERVER_CONNECTIONS_MAX / 2);
	assert_in_range(turns_in_200_ms(source->server), 1, 20);
	for (size_t i = 0; i < 100; i++)
		close(clients[i]);
	turns_in_200_ms(source->server);
	response = get(source->server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
}

#define MANY 2000

/* About 10 MB of page. */
static void make_large(struct source *source, struct snapshot_series *series, struct histogram *h)
{
	histogram_init(h);
	for (size_t i = 0; i < MANY; i++)
		series[i] = (struct snapshot_series){.method = "GET",
						     .route = "/a/fairly/long/route/{id}/of/a/shop",
						     .protocol_version = "1.1",
						     .scheme = "http",
						     .status = (uint16_t)(i + 1),
						     .port = 8000,
						     .duration = h,
						     .bounds = &histogram_duration_bounds};
	source->snapshot.series = series;
	source->snapshot.series_count = MANY;
}

static void a_large_page_arrives_whole(void **state)
{
	struct source *source = *state;
	static struct snapshot_series series[MANY];
	struct histogram h;
	char *response;

	make_large(source, series, &h);
	for (size_t i = 0; i < 2; i++) {
		response = get(source->server, "/metrics");
		assert_true(strlen(body(response)) > 8000000);
		assert_int_equal(strlen(body(response)),
				 server_stats(source->server).last_scrape_bytes);
		assert_holds(response, "http_response_status_code=\"2000\"");
		assert_holds(response, "\ntarget_info{");
		free(response);
	}
}

static void pages_that_nobody_reads_are_bounded(void **state)
{
	struct source *source = *state;
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	static struct snapshot_series series[MANY];
	struct histogram h;
	char *response;
	int stuck;

	make_large(source, series, &h);
	stuck = connect_to(server_port(source->server));
	send_all(source->server, stuck, request, sizeof(request) - 1);
	turns_in_200_ms(source->server);
	assert_int_equal(source->asked, 1);
	response = get(source->server, "/metrics");
	assert_starts(response, "HTTP/1.1 503 Service Unavailable\r\n");
	assert_holds(response, "\r\nRetry-After: 1\r\n");
	assert_int_equal(server_stats(source->server).refused_scrapes, 1);
	free(response);
	close(stuck); /* in the middle of its page */
	turns_in_200_ms(source->server);
	response = get(source->server, "/metrics");
	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	free(response);
}

static void closing_the_server_frees_a_page_under_way(void **state)
{
	struct source *source = *state;
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	static struct snapshot_series series[MANY];
	struct histogram h;
	int stuck = connect_to(server_port(source->server));

	make_large(source, series, &h);
	send_all(source->server, stuck, request, sizeof(request) - 1);
	turns_in_200_ms(source->server);
	assert_int_equal(source->asked, 1);
	server_close(source->server);
	source->server = NULL;
	close(stuck);
}

static struct server *open_impatient(struct source *source, unsigned int idle_s,
				     unsigned int request_s)
{
	const struct server_config config = {.listen = "127.0.0.1:0",
					     .version = "1.2.3",
					     .idle_s = idle_s,
					     .request_s = request_s,
					     .snapshot = give_snapshot,
					     .ready = is_ready,
					     .context = source};
	struct server *server = NULL;

	assert_int_equal(server_open(&server, &config), 0);
	return server;
}

static void a_silent_connection_is_closed_in_time(void **state)
{
	struct server *server = open_impatient(*state, 1, 30);
	int client = connect_to(server_port(server));
	uint64_t start_ms = now_ms();

	send_all(server, client, "GET /m", 6);
	free(receive_all(server, client));
	assert_in_range(now_ms() - start_ms, 500, 3500);
	server_close(server);
}

static void a_request_that_comes_byte_by_byte_is_cut_off(void **state)
{
	struct server *server = open_impatient(*state, 30, 1);
	int client = connect_to(server_port(server));
	uint64_t start_ms = now_ms();

	while (now_ms() - start_ms < PATIENCE_MS && send(client, "G", 1, MSG_NOSIGNAL) == 1) {
		turn(server, client, POLLHUP);
		poll(NULL, 0, 20);
	}
	assert_in_range(now_ms() - start_ms, 900, 3000);
	close(client);
	server_close(server);
}

/* Not the connection's age: a scraper may stay connected for days. */
static void an_old_connection_may_go_on_asking(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	struct server *server = open_impatient(*state, 30, 1);
	int client = connect_to(server_port(server));
	uint64_t start_ms = now_ms();
	size_t answered = 0;

	while (now_ms() - start_ms < 1800) {
		char answer[1024] = "";
		uint64_t asked_ms = now_ms();

		send_all(server, client, request, sizeof(request) - 1);
		while (recv(client, answer, sizeof(answer), 0) <= 0 && now_ms() - asked_ms < 1000)
			turn(server, client, POLLIN);
		assert_starts(answer, "HTTP/1.1 200 OK\r\n");
		answered++;
		poll(NULL, 0, 100);
	}
	assert_in_range(answered, 5, 20);
	close(client);
	server_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pipelined_requests_are_all_answered_in_order),
		TEST(a_body_on_get_is_dropped_and_the_connection_goes_on),
		TEST(ten_thousand_headers_are_refused_in_bounded_memory),
		TEST(bytes_that_are_not_http_do_no_harm),
		TEST(half_a_request_keeps_nobody_else_waiting),
		TEST(a_hundred_idle_connections_are_bounded_and_cost_nothing),
		TEST(a_large_page_arrives_whole),
		TEST(pages_that_nobody_reads_are_bounded),
		TEST(closing_the_server_frees_a_page_under_way),
		TEST(a_silent_connection_is_closed_in_time),
		TEST(a_request_that_comes_byte_by_byte_is_cut_off),
		TEST(an_old_connection_may_go_on_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
