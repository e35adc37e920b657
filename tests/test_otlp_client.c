// SPDX-License-Identifier: Apache-2.0
/* What is done with batches; the ways in which a collector can fail are in e2e/test_otlp_faults.py.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../exporters/otlp_client.h"
#include "../exporters/otlp_transport.h"

#define PATIENCE_MS 5000

/* Answers one request after the other as told, the rest by 200. */
struct collector {
	int listener;
	pthread_t thread;
	int answers[8]; /* statuses, up to 0 */
	struct otlp_client *client;
	struct otlp_config config;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* All requests have the one byte body of put(). */
static void answer(int connection, int status)
{
	char request[4096] = "", response[128];
	size_t len = 0;
	ssize_t got;

	while (!strstr(request, "\r\n\r\nx")) {
		got = read(connection, request + len, sizeof(request) - 1 - len);
		if (got <= 0)
			return;
		len += (size_t)got;
	}
	len = (size_t)snprintf(response, sizeof(response),
			       "HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n", status);
	assert_int_equal(write(connection, response, len), len);
}

static void *serve(void *context)
{
	struct collector *c = context;
	int connection;

	for (size_t i = 0; (connection = accept(c->listener, NULL, NULL)) >= 0;) {
		answer(connection, c->answers[i] ? c->answers[i++] : 200);
		close(connection);
	}
	return NULL;
}

static int set_up(void **state)
{
	struct collector *c = calloc(1, sizeof(*c));
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(c->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(c->listener, 16), 0);
	assert_int_equal(getsockname(c->listener, (struct sockaddr *)&address, &len), 0);
	otlp_config_init(&c->config);
	snprintf(c->config.url, sizeof(c->config.url), "http://127.0.0.1:%u/v1/metrics",
		 ntohs(address.sin_port));
	*state = c;
	return 0;
}

static void start(struct collector *c, enum otlp_temporality temporality, const char *statuses)
{
	for (size_t i = 0; *statuses; i++)
		c->answers[i] = (int)strtol(statuses, (char **)&statuses, 10);
	c->config.temporality = temporality;
	assert_int_equal(otlp_client_open(&c->client, &c->config, "1"), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, serve, c), 0);
}

static int tear_down(void **state)
{
	struct collector *c = *state;

	otlp_client_close(c->client);
	shutdown(c->listener, SHUT_RDWR);
	pthread_join(c->thread, NULL);
	close(c->listener);
	otlp_config_close(&c->config);
	free(c);
	return 0;
}

/* count requests of one point each. */
static void put(struct collector *c, uint64_t time_ns, size_t count)
{
	struct otlp_batch batch = {.requests = calloc(count, sizeof(struct otlp_request)),
				   .count = count,
				   .time_ns = time_ns};

	for (size_t i = 0; i < count; i++)
		batch.requests[i] = (struct otlp_request){
			.data = (uint8_t *)strdup("x"), .len = 1, .point_count = 1};
	otlp_client_put(c->client, &batch);
	assert_null(batch.requests);
}

static struct otlp_stats when_idle(struct collector *c)
{
	for (int i = 0; i < PATIENCE_MS && !otlp_client_idle(c->client); i++)
		usleep(1000);
	assert_true(otlp_client_idle(c->client));
	return otlp_client_stats(c->client);
}

static void when_failed(struct collector *c, uint64_t count)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (otlp_client_stats(c->client).requests == count)
			return;
		usleep(1000);
	}
	fail_msg("no %lu requests", (unsigned long)count);
}

static void what_is_delivered_is_told(void **state)
{
	struct collector *c = *state;
	struct otlp_stats stats;

	start(c, OTLP_DELTA, "");
	assert_int_equal(otlp_client_stats(c->client).told_ns, 0);
	put(c, 70, 3);
	stats = when_idle(c);
	assert_int_equal(stats.told_ns, 70);
	assert_int_equal(stats.exports, 1);
	assert_int_equal(stats.requests, 3);
	assert_int_equal(stats.sent_bytes, 3);
	assert_int_equal(stats.lost_points, 0);
}

static void a_refused_request_is_lost_but_not_those_behind_it(void **state)
{
	struct collector *c = *state;
	struct otlp_stats stats;

	start(c, OTLP_DELTA, "200 400");
	put(c, 70, 3);
	stats = when_idle(c);
	assert_int_equal(stats.requests, 3);
	assert_int_equal(stats.lost_points, 1);
	assert_int_equal(stats.exports, 0);
	assert_int_equal(stats.told_ns, 70); /* there is nothing to be told any more */
	put(c, 80, 1);
	stats = when_idle(c);
	assert_int_equal(stats.exports, 1);
	assert_int_equal(stats.told_ns, 80);
}

static void a_newer_cumulative_batch_takes_the_place_of_one_to_be_tried_again(void **state)
{
	struct collector *c = *state;
	struct otlp_stats stats;

	start(c, OTLP_CUMULATIVE, "503");
	put(c, 70, 1);
	when_failed(c, 1);
	put(c, 80, 1);
	put(c, 90, 1); /* the one before has not begun: there is a pause */
	assert_int_equal(otlp_client_stats(c->client).told_ns, 0);
	stats = when_idle(c);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.retries, 0);
	assert_int_equal(stats.replaced, 2);
	assert_int_equal(stats.exports, 1);
	assert_int_equal(stats.lost_points, 0);
	assert_int_equal(stats.told_ns, 90);
}

static void what_is_not_delivered_in_time_is_lost_and_not_told(void **state)
{
	struct collector *c = *state;
	struct otlp_stats stats;

	start(c, OTLP_DELTA, "503 503 503 503 503 503 503 503");
	put(c, 70, 2);
	when_failed(c, 1);
	otlp_client_finish(c->client, now_ns() + 300000000);
	stats = when_idle(c);
	assert_int_equal(stats.lost_points, 2);
	assert_int_equal(stats.exports, 0);
	assert_int_equal(stats.told_ns, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_delivered_is_told),
		TEST(a_refused_request_is_lost_but_not_those_behind_it),
		TEST(a_newer_cumulative_batch_takes_the_place_of_one_to_be_tried_again),
		TEST(what_is_not_delivered_in_time_is_lost_and_not_told),
	};

	if (otlp_transport_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
