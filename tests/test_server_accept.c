// SPDX-License-Identifier: Apache-2.0
/* What the server makes of a scraper's Accept and Accept-Encoding. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"
#include "../exporters/text.h"
#include "server_client.h"

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#define PROTOBUF_TYPE                                                                \
	"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; " \
	"encoding=delimited"

/* The answer to a scrape with these lines in its head, to be freed. */
static char *scrape(struct source *source, const char *fields)
{
	static char request[64 * 1024];

	snprintf(request, sizeof(request),
		 "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", fields);
	return ask(source->server, request);
}

static void assert_type(struct source *source, const char *fields, const char *type)
{
	char *response = scrape(source, fields), line[128];

	snprintf(line, sizeof(line), "\r\nContent-Type: %s\r\n", type);
	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	assert_holds(response, line);
	assert_holds(response, "\r\nVary: Accept, Accept-Encoding\r\n");
	free(response);
}

static void a_scraper_gets_the_exposition_that_it_wants(void **state)
{
	assert_type(*state, "", TEXT_TYPE);
	assert_type(*state, "Accept: */*\r\n", TEXT_TYPE);
	assert_type(*state, "Accept: text/plain;version=0.0.4\r\n", TEXT_TYPE);
	assert_type(*state, "accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n",
		    OPENMETRICS_TYPE);
	assert_type(*state, "Accept: text/plain;q=0.5\r\nAccept: application/openmetrics-text\r\n",
		    OPENMETRICS_TYPE);
}

static void openmetrics_ends_with_its_end(void **state)
{
	struct source *source = *state;
	char *response = scrape(source, "Accept: application/openmetrics-text\r\n");
	size_t len = strlen(body(response));

	assert_starts(body(response), "# HELP target ");
	assert_string_equal(body(response) + len - 7, "\n# EOF\n");
	assert_int_equal(server_stats(source->server).last_scrape_bytes, len);
	free(response);
}

/* The body of a compressed answer, which comes in chunks, expanded: to be freed. Its length on the
 * wire in *wire_len. */
static char *expand(const char *response, size_t *wire_len)
{
	const char *at = body(response);
	struct text out = {};
	z_stream stream = {};
	size_t len;

	assert_holds(response, "\r\nContent-Encoding: gzip\r\n");
	assert_holds(response, "\r\nTransfer-Encoding: chunked\r\n");
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	for (*wire_len = 0; (len = strtoul(at, (char **)&at, 16)); at += len + 2) {
		stream.next_in = (Bytef *)at + 2;
		stream.avail_in = (uInt)len;
		*wire_len += len;
		do {
			stream.next_out = (Bytef *)text_room(&out, 100000);
			stream.avail_out = 100000;
			assert_in_range(inflate(&stream, Z_NO_FLUSH), Z_OK, Z_STREAM_END);
			out.len += 100000 - stream.avail_out;
		} while (!stream.avail_out);
		assert_int_equal(stream.avail_in, 0);
		at += 2;
	}
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	text_add(&out, "", 1);
	return out.data;
}

static void a_compressed_page_is_the_same_page(void **state)
{
	struct source *source = *state;
	char *plain = scrape(source, ""), *response;

	assert_null(strstr(plain, "Content-Encoding"));
	for (size_t i = 0; i < 2; i++) {
		size_t wire_len;
		char *expanded;

		response = scrape(source, "Accept-Encoding: gzip\r\n");
		assert_starts(response, "HTTP/1.1 200 OK\r\n");
		assert_holds(response, "\r\nVary: Accept, Accept-Encoding\r\n");
		expanded = expand(response, &wire_len);
		assert_string_equal(expanded, body(plain));
		assert_true(wire_len < strlen(expanded));
		assert_int_equal(server_stats(source->server).last_scrape_bytes, strlen(expanded));
		free(expanded);
		free(response);
	}
	free(plain);
	response = scrape(source, "Accept-Encoding: gzip;q=0\r\n");
	assert_null(strstr(response, "Content-Encoding"));
	free(response);
}

#define MANY 1000

/* 5 MB of page. */
static void make_large(struct source *source, struct histogram *h)
{
	static struct snapshot_series series[MANY];

	histogram_init(h);
	for (size_t i = 0; i < MANY; i++)
		series[i] = (struct snapshot_series){.route = "/a/fairly/long/route/{id}/of/a/shop",
						     .status = (uint16_t)(i + 1),
						     .duration = h,
						     .bounds = &histogram_duration_bounds};
	source->snapshot.series = series;
	source->snapshot.series_count = MANY;
}

static void a_large_page_is_compressed_in_many_turns_of_the_loop(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
				      "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n";
	struct source *source = *state;
	struct text response = {};
	char *plain, *expanded;
	struct histogram h;
	size_t turns = 0, wire_len;
	ssize_t len;
	int client;

	make_large(source, &h);
	plain = scrape(source, "");
	client = connect_to(server_port(source->server));
	send_all(source->server, client, request, sizeof(request) - 1);
	while ((len = recv(client, text_room(&response, 65536), 65535, 0))) {
		if (len > 0) {
			response.len += (size_t)len;
			continue;
		}
		turn(source->server, client, POLLIN);
		turns++;
	}
	close(client);
	text_add(&response, "", 1);
	expanded = expand(response.data, &wire_len);
	assert_string_equal(expanded, body(plain));
	assert_true(wire_len > 2 * SERVER_MEMORY_BYTES);
	assert_true(turns > wire_len / SERVER_MEMORY_BYTES);
	free(expanded);
	free(plain);
	text_free(&response);
}

static void a_compressed_page_that_nobody_reads_goes_with_its_connection(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
				      "Accept-Encoding: gzip\r\n\r\n";
	struct source *source = *state;
	struct histogram h;
	int clients[3];

	make_large(source, &h);
	for (size_t i = 0; i < 3; i++) {
		clients[i] = connect_to(server_port(source->server));
		send_all(source->server, clients[i], request, sizeof(request) - 1);
		turn(source->server, -1, 0);
	}
	close(clients[0]); /* in the middle of it */
	turns_in_200_ms(source->server);
	server_close(source->server); /* with the others under way, or read and idle */
	source->server = NULL;
	close(clients[1]);
	close(clients[2]);
}

static void head_has_no_body_also_where_get_is_compressed(void **state)
{
	struct source *source = *state;
	char *response = ask(source->server, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n"
					     "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n");

	assert_starts(response, "HTTP/1.1 200 OK\r\n");
	assert_string_equal(body(response), "");
	free(response);
}

static void only_pages_of_metrics_vary(void **state)
{
	struct source *source = *state;
	char *response = get(source->server, "/healthz");

	assert_null(strstr(response, "Vary"));
	free(response);
}

/* As many ranges as a head may hold: the last one decides. */
static void a_head_full_of_ranges_is_read_to_its_end(void **state)
{
	static char fields[16 * 1024] = "Accept: ";
	size_t len = strlen(fields);

	while (len < 12000)
		len += (size_t)snprintf(fields + len, sizeof(fields) - len, "a/b;c=\"d\";q=0.%zu,",
					len % 9);
	snprintf(fields + len, sizeof(fields) - len, "application/openmetrics-text;q=0.001\r\n");
	assert_type(*state, fields, OPENMETRICS_TYPE);
}

static void fields_of_garbage_get_the_classic_text(void **state)
{
	assert_type(*state, "Accept: \xff\xfe;;,,=\"\r\nAccept: \r\n", TEXT_TYPE);
	assert_type(*state, "Accept:;q=0.5\r\nAccept-Encoding: ;;;,\"gzip\r\n", TEXT_TYPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_scraper_gets_the_exposition_that_it_wants),
		TEST(openmetrics_ends_with_its_end),
		TEST(a_compressed_page_is_the_same_page),
		TEST(a_large_page_is_compressed_in_many_turns_of_the_loop),
		TEST(a_compressed_page_that_nobody_reads_goes_with_its_connection),
		TEST(head_has_no_body_also_where_get_is_compressed),
		TEST(only_pages_of_metrics_vary),
		TEST(a_head_full_of_ranges_is_read_to_its_end),
		TEST(fields_of_garbage_get_the_classic_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
