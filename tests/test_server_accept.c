// SPDX-License-Identifier: Apache-2.0
/* What the server makes of a scraper's Accept and Accept-Encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"
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

/* The body of a compressed answer, expanded, as a string; its length on the wire in *wire_len. */
static void expand(const char *response, char *to, size_t size, size_t *wire_len)
{
	const char *length = strstr(response, "\r\nContent-Length: ");
	z_stream stream = {.next_in = (Bytef *)body(response),
			   .next_out = (Bytef *)to,
			   .avail_out = (uInt)size - 1};

	assert_non_null(length);
	*wire_len = strtoul(length + 18, NULL, 10);
	stream.avail_in = (uInt)*wire_len;
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0);
	to[stream.total_out] = '\0';
	inflateEnd(&stream);
}

static void a_compressed_page_is_the_same_page(void **state)
{
	struct source *source = *state;
	static char expanded[64 * 1024];
	char *plain = scrape(source, ""), *response;
	size_t wire_len;

	for (size_t i = 0; i < 2; i++) {
		response = scrape(source, "Accept-Encoding: gzip\r\n");
		assert_starts(response, "HTTP/1.1 200 OK\r\n");
		assert_holds(response, "\r\nContent-Encoding: gzip\r\n");
		assert_holds(response, "\r\nVary: Accept, Accept-Encoding\r\n");
		expand(response, expanded, sizeof(expanded), &wire_len);
		assert_string_equal(expanded, body(plain));
		assert_true(wire_len < strlen(expanded));
		assert_int_equal(server_stats(source->server).last_scrape_bytes, wire_len);
		free(response);
	}
	assert_null(strstr(plain, "Content-Encoding"));
	free(plain);
	response = scrape(source, "Accept-Encoding: gzip;q=0\r\n");
	assert_null(strstr(response, "Content-Encoding"));
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
		TEST(only_pages_of_metrics_vary),
		TEST(a_head_full_of_ranges_is_read_to_its_end),
		TEST(fields_of_garbage_get_the_classic_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
