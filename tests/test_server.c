// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../exporters/server.h"
#include "../exporters/text.h"

#define PATIENCE_MS 5000

/* What the server asks for a page. */
struct source {
	struct snapshot snapshot;
	size_t asked;
	bool ready, out_of_memory;
	struct server *server;
};

static const struct snapshot *give_snapshot(void *context)
{
	struct source *source = context;

	source->asked++;
	return source->out_of_memory ? NULL : &source->snapshot;
}

static bool is_ready(void *context)
{
	return ((struct source *)context)->ready;
}

static int open_on(struct source *source, const char *listen, struct server **out)
{
	const struct server_config config = {.listen = listen,
					     .version = "1.2.3",
					     .snapshot = give_snapshot,
					     .ready = is_ready,
					     .context = source};

	return server_open(out, &config);
}

static int set_up(void **state)
{
	struct source *source = calloc(1, sizeof(*source));

	source->snapshot =
		(struct snapshot){.version = "1.2.3", .host_name = "node-1", .host_id = ""};
	source->ready = true;
	*state = source;
	return open_on(source, "127.0.0.1:0", &source->server);
}

static int tear_down(void **state)
{
	struct source *source = *state;

	server_close(source->server);
	free(source);
	return 0;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* One turn of a loop like main's: waits for the server and, if events are given, the client. */
static void turn(struct server *server, int client, short events)
{
	struct pollfd fds[] = {{.fd = server_fd(server), .events = POLLIN},
			       {.fd = client, .events = events}};
	int timeout_ms = server_timeout_ms(server);

	if (timeout_ms < 0 || timeout_ms > 100)
		timeout_ms = 100;
	poll(fds, 2, timeout_ms);
	server_run(server);
}

static void send_all(struct server *server, int client, const char *bytes, size_t len)
{
	uint64_t end_ms = now_ms() + PATIENCE_MS;

	while (len && now_ms() < end_ms) {
		ssize_t sent = send(client, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return; /* the server has had enough of it */
		if (sent > 0) {
			bytes += sent;
			len -= (size_t)sent;
		}
		turn(server, client, sent < 0 ? POLLOUT : 0);
	}
}

/* All that comes until the server closes, NUL-terminated, to be freed. */
static char *receive_all(struct server *server, int client)
{
	uint64_t end_ms = now_ms() + PATIENCE_MS;
	struct text text = {};

	for (;;) {
		char *room = text_room(&text, 65536);
		ssize_t len = recv(client, room, 65535, 0);

		if (len > 0) {
			text.len += (size_t)len;
			continue;
		}
		if (len == 0 || errno != EAGAIN)
			break;
		if (now_ms() > end_ms)
			fail_msg("the connection stays open after: %.*s", (int)text.len, text.data);
		turn(server, client, POLLIN);
	}
	text_add(&text, "", 1);
	close(client);
	return text.data;
}

static char *ask(struct server *server, const char *request)
{
	int client = connect_to(server_port(server));

	send_all(server, client, request, strlen(request));
	return receive_all(server, client);
}

static char *get(struct server *server, const char *path)
{
	char request[256];

	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	return ask(server, request);
}

static void assert_starts(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("expected %s at the start of %s", start, text);
}

static void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("expected %s in %s", part, text);
}

static const char *body(const char *response)
{
	const char *end = strstr(response, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void metrics_are_a_prometheus_page(void **state)
{
	struct source *source = *state;
	char *response = get(source->server, "/metrics");
	struct server_stats stats = server_stats(source->server);

	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	assert_holds(response, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_holds(response, "\r\nCache-Control: no-store\r\n");
	assert_starts(body(response), "# HELP target_info ");
	assert_holds(response, "host_name=\"node-1\"");
	assert_int_equal(source->asked, 1);
	assert_int_equal(stats.scrapes, 1);
	assert_int_equal(stats.last_scrape_bytes, strlen(body(response)));
	assert_true(stats.last_scrape_seconds > 0 && stats.last_scrape_seconds < 1);
	free(response);
}

static void a_query_does_not_change_the_page(void **state)
{
	struct source *source = *state;
	char *response = get(source->server, "/metrics?name=x");

	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	free(response);
}

static void head_has_the_length_of_get_and_no_body(void **state)
{
	struct source *source = *state;
	static const char *const paths[] = {"/", "/metrics", "/healthz", "/readyz"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char request[128], length[64], *full = get(source->server, paths[i]), *head;

		snprintf(request, sizeof(request),
			 "HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
		head = ask(source->server, request);
		snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(body(full)));
		assert_starts(head, "HTTP/1.1 200 OK\r\n");
		assert_holds(head, length);
		assert_string_equal(body(head), "");
		free(full);
		free(head);
	}
}

static void health_and_readiness_differ(void **state)
{
	struct source *source = *state;
	char *response;

	source->ready = false;
	response = get(source->server, "/healthz");
	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	assert_string_equal(body(response), "ok\n");
	free(response);
	response = get(source->server, "/readyz");
	assert_starts(response, "HTTP/1.1 503 Service Unavailable\r\n");
	assert_string_equal(body(response), "not ready\n");
	free(response);
	source->ready = true;
	response = get(source->server, "/readyz");
	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	free(response);
	assert_int_equal(source->asked, 0);
}

static void the_index_links_the_pages_and_says_the_version(void **state)
{
	struct source *source = *state;
	char *response = get(source->server, "/");

	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	assert_holds(response, "\r\nContent-Type: text/html; charset=utf-8\r\n");
	assert_holds(response, "Version 1.2.3.");
	assert_holds(response, "href=\"/metrics\"");
	assert_holds(response, "href=\"/healthz\"");
	assert_holds(response, "href=\"/readyz\"");
	assert_holds(response, "</html>\n"); /* not cut off by its buffer */
	free(response);
}

static void other_paths_are_not_found(void **state)
{
	struct source *source = *state;
	static const char *const paths[] = {"/metrics/", "/x", "//", "/metricsx", "/../metrics"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char *response = get(source->server, paths[i]);

		assert_starts(response, "HTTP/1.1 404 Not Found\r\n");
		assert_holds(response, "\r\nCache-Control: no-store\r\n");
		free(response);
	}
	assert_int_equal(source->asked, 0);
}

static void other_methods_are_refused_and_told_which_are_not(void **state)
{
	struct source *source = *state;
	static const char *const requests[] = {
		"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
		"DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"get /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char *response = ask(source->server, requests[i]);

		assert_starts(response, "HTTP/1.1 405 Method Not Allowed\r\n");
		assert_holds(response, "\r\nAllow: GET, HEAD\r\n");
		free(response);
	}
	assert_int_equal(source->asked, 0);
}

static void a_snapshot_without_memory_is_a_500(void **state)
{
	struct source *source = *state;
	char *response;

	source->out_of_memory = true;
	response = get(source->server, "/metrics");
	assert_starts(response, "HTTP/1.1 500 Internal Server Error\r\n");
	assert_int_equal(server_stats(source->server).scrapes, 0);
	free(response);
}

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

/* How many times a loop that does what it is told would call server_run() in 200 ms. */
static size_t turns_in_200_ms(struct server *server)
{
	uint64_t end_ms = now_ms() + 200;
	size_t turns = 0;

	while (now_ms() < end_ms) {
		turn(server, -1, 0);
		turns++;
	}
	return turns;
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
						     .duration = h};
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

static void addresses_are_checked(void **state)
{
	static const char *const good[] = {"127.0.0.1:2488", "[::1]:2488", ":2488",
					   "0.0.0.0:0",      "[::]:65535", "localhost:2488"};
	static const char *const bad[] = {"",
					  "127.0.0.1",
					  "2488",
					  "127.0.0.1:",
					  "127.0.0.1:65536",
					  "127.0.0.1:-1",
					  "127.0.0.1:+1",
					  "127.0.0.1: 1",
					  "127.0.0.1:1x",
					  "::1:2488",
					  "[::1]",
					  "[]:2488",
					  "[127.0.0.1]:1",
					  "example.org:80",
					  "127.0.0.256:1",
					  "127.0.0.1:000080",
					  ":",
					  "[::1:2488",
					  "::1]:2488",
					  "1111111111111111111111111111111111111111111111111111:1"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (server_check_address(good[i]) != 0)
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (server_check_address(bad[i]) != -EINVAL)
			fail_msg("%s is accepted", bad[i]);
	assert_int_equal(server_check_address(NULL), -EINVAL);
}

static void what_is_wrong_with_an_address_is_said(void **state)
{
	struct source *source = *state;
	struct server *server = NULL;
	char listen[32];

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", server_port(source->server));
	assert_int_equal(open_on(source, listen, &server), -EADDRINUSE);
	assert_int_equal(open_on(source, "192.0.2.1:0", &server), -EADDRNOTAVAIL);
	assert_int_equal(open_on(source, "nonsense", &server), -EINVAL);
	assert_null(server);
}

static void a_server_that_closed_leaves_its_port_free(void **state)
{
	struct source *source = *state;
	char listen[32], *response = get(source->server, "/healthz"); /* leaves a TIME_WAIT */

	free(response);
	snprintf(listen, sizeof(listen), "127.0.0.1:%u", server_port(source->server));
	server_close(source->server);
	source->server = NULL;
	assert_int_equal(open_on(source, listen, &source->server), 0);
	response = get(source->server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
}

static void no_address_means_all_of_them(void **state)
{
	struct source *source = *state;
	struct server *server;
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char *response;
	int client;

	assert_int_equal(open_on(source, ":0", &server), 0);
	response = get(server, "/healthz");
	assert_string_equal(body(response), "ok\n");
	free(response);
	client = socket(AF_INET6, SOCK_STREAM, 0);
	to.sin6_port = htons(server_port(server));
	if (client >= 0 && connect(client, (struct sockaddr *)&to, sizeof(to)) == 0) {
		static const char request[] = "GET /healthz HTTP/1.0\r\n\r\n";

		fcntl(client, F_SETFL, O_NONBLOCK);
		send_all(server, client, request, sizeof(request) - 1);
		response = receive_all(server, client);
		assert_string_equal(body(response), "ok\n");
		free(response);
	} else {
		print_message("no IPv6 here\n");
	}
	server_close(server);
}

static void no_descriptor_is_left_to_children(void **state)
{
	struct source *source = *state;
	struct server *server;
	bool inherited[64];
	size_t opened = 0;
	int client;

	for (int fd = 0; fd < 64; fd++)
		inherited[fd] = fcntl(fd, F_GETFD) >= 0;
	assert_int_equal(open_on(source, "127.0.0.1:0", &server), 0);
	client = connect_to(server_port(server));
	turns_in_200_ms(server);
	for (int fd = 0; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (inherited[fd] || flags < 0)
			continue;
		opened++;
		assert_true(flags & FD_CLOEXEC);
	}
	assert_int_equal(opened, 4); /* to listen, to poll, and both ends of a connection */
	close(client);
	server_close(server);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(metrics_are_a_prometheus_page),
		TEST(a_query_does_not_change_the_page),
		TEST(head_has_the_length_of_get_and_no_body),
		TEST(health_and_readiness_differ),
		TEST(the_index_links_the_pages_and_says_the_version),
		TEST(other_paths_are_not_found),
		TEST(other_methods_are_refused_and_told_which_are_not),
		TEST(a_snapshot_without_memory_is_a_500),
		TEST(pipelined_requests_are_all_answered_in_order),
		TEST(a_body_on_get_is_dropped_and_the_connection_goes_on),
		TEST(ten_thousand_headers_are_refused_in_bounded_memory),
		TEST(bytes_that_are_not_http_do_no_harm),
		TEST(half_a_request_keeps_nobody_else_waiting),
		TEST(a_hundred_idle_connections_are_bounded_and_cost_nothing),
		TEST(a_large_page_arrives_whole),
		TEST(pages_that_nobody_reads_are_bounded),
		TEST(closing_the_server_frees_a_page_under_way),
		TEST(addresses_are_checked),
		TEST(what_is_wrong_with_an_address_is_said),
		TEST(a_server_that_closed_leaves_its_port_free),
		TEST(no_address_means_all_of_them),
		TEST(no_descriptor_is_left_to_children),
		TEST(a_silent_connection_is_closed_in_time),
		TEST(a_request_that_comes_byte_by_byte_is_cut_off),
		TEST(an_old_connection_may_go_on_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
