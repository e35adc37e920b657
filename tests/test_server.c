// SPDX-License-Identifier: Apache-2.0
/* The server's pages and addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server_client.h"

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
		TEST(addresses_are_checked),
		TEST(what_is_wrong_with_an_address_is_said),
		TEST(a_server_that_closed_leaves_its_port_free),
		TEST(no_address_means_all_of_them),
		TEST(no_descriptor_is_left_to_children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
