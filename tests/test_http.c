// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/http.h"

static void a_request_line_gives_method_path_and_version(void **state)
{
	static const struct {
		const char *line;
		enum http_method method;
		int version;
		const char *path; /* NULL: none */
	} cases[] = {
		{"GET / HTTP/1.1", HTTP_GET, 11, "/"},
		{"GET /a/b?c=d HTTP/1.0", HTTP_GET, 10, "/a/b"},
		{"HEAD /a%20b HTTP/1.1", HTTP_HEAD, 11, "/a%20b"},
		{"PROPFIND /dav HTTP/1.1", HTTP_OTHER, 11, "/dav"},
		{"get / HTTP/1.1", HTTP_OTHER, 11, "/"},
		{"OPTIONS * HTTP/1.1", HTTP_OPTIONS, 11, NULL},
		{"CONNECT example.com:443 HTTP/1.1", HTTP_CONNECT, 11, NULL},
		{"GET http://example.com/x/y?z HTTP/1.1", HTTP_GET, 11, "/x/y"},
		{"GET http://example.com HTTP/1.1", HTTP_GET, 11, "/"},
		{"GET http://example.com?q=/no HTTP/1.1", HTTP_GET, 11, "/"},
		{"GET /with space HTTP/1.1", HTTP_GET, 11, "/with space"},
		{"PATCH /trailing HTTP/1.1 ", HTTP_PATCH, 11, "/trailing"},
		{"GET ?only=query HTTP/1.1", HTTP_GET, 11, NULL},
	};
	struct http_request_line line;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(http_request_line(&line, cases[i].line, strlen(cases[i].line)), 0);
		assert_int_equal(line.method, cases[i].method);
		assert_int_equal(line.version, cases[i].version);
		if (!cases[i].path) {
			assert_int_equal(line.path_len, 0);
			continue;
		}
		assert_int_equal(line.path_len, strlen(cases[i].path));
		assert_memory_equal(line.path, cases[i].path, line.path_len);
	}
}

static void what_is_no_request_line_is_refused(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"GET",
		"GET /",
		"GET / HTTP/2.0",
		"GET / HTTP/1.x",
		"\x16\x03\x01 / HTTP/1.1",
		"HTTP/1.1 200 OK",
		"GET HTTP/1.1",
		"G\x01T / HTTP/1.1",
		"EHLO mail.example.com",
	};
	struct http_request_line line;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(http_request_line(&line, lines[i], strlen(lines[i])), -1);
}

static void a_cut_request_line_tells_its_path_only_when_it_is_whole(void **state)
{
	struct http_request_line line;

	(void)state;
	http_request_line_cut(&line, "POST /whole?query", 17);
	assert_int_equal(line.method, HTTP_POST);
	assert_int_equal(line.path_len, 6);
	http_request_line_cut(&line, "GET /cu", 7);
	assert_int_equal(line.method, HTTP_GET);
	assert_int_equal(line.path_len, 0);
	http_request_line_cut(&line, "GE", 2);
	assert_int_equal(line.method, HTTP_OTHER);
}

static void a_status_line_gives_its_status(void **state)
{
	struct http_status_line line;

	(void)state;
	assert_int_equal(http_status_line(&line, "HTTP/1.1 200 OK", 15), 0);
	assert_int_equal(line.status, 200);
	assert_int_equal(line.version, 11);
	assert_int_equal(http_status_line(&line, "HTTP/1.0 404", 12), 0);
	assert_int_equal(line.status, 404);
	assert_int_equal(line.version, 10);
	assert_int_equal(http_status_line(&line, "HTTP/1.1 2000 OK", 16), -1);
	assert_int_equal(http_status_line(&line, "HTTP/1.1 20 OK", 14), -1);
	assert_int_equal(http_status_line(&line, "HTTP/1.1 099 X", 14), -1);
	assert_int_equal(http_status_line(&line, "HTTP/2 200", 10), -1);
	assert_int_equal(http_status_line(&line, "HTTP/1.1", 8), -1);
}

static struct http_fields fields_of(const char *const *lines)
{
	struct http_fields fields = {0};

	for (; *lines; lines++)
		http_field_line(&fields, *lines, strlen(*lines));
	return fields;
}

static void content_length_is_read_and_checked(void **state)
{
	struct http_fields f;

	(void)state;
	f = fields_of((const char *[]){"content-LENGTH:  42 ", NULL});
	assert_true(f.has_length && f.length == 42 && !f.bad_length);
	f = fields_of((const char *[]){"Content-Length: 5, 5", NULL});
	assert_true(f.has_length && f.length == 5);
	f = fields_of((const char *[]){"Content-Length: 5", "Content-Length: 6", NULL});
	assert_true(f.bad_length && !f.has_length);
	f = fields_of((const char *[]){"Content-Length: -1", NULL});
	assert_true(f.bad_length);
	f = fields_of((const char *[]){"Content-Length: 99999999999999999999999", NULL});
	assert_true(f.bad_length);
	f = fields_of((const char *[]){"X-Content-Length: 7", "Content-Lengthy: 7", NULL});
	assert_true(!f.has_length && !f.bad_length);
}

static void chunked_counts_only_as_the_final_coding(void **state)
{
	(void)state;
	assert_true(fields_of((const char *[]){"Transfer-Encoding: gzip, Chunked", NULL}).chunked);
	assert_false(fields_of((const char *[]){"Transfer-Encoding: chunked, gzip", NULL}).chunked);
	assert_true(fields_of((const char *[]){"Transfer-Encoding: identity", NULL}).transfer);
	assert_true(
		fields_of((const char *[]){"Content-Type: text/event-stream; charset=utf-8", NULL})
			.event_stream);
}

static void a_chunked_body_ends_at_its_last_chunk(void **state)
{
	const char body[] = "5\r\nhello\r\n3;ext=1\r\nabc\r\n0\r\n\r\nNEXT";
	struct http_chunked c;

	(void)state;
	http_chunked_begin(&c, 100);
	http_chunked_feed(&c, 100, body, sizeof(body) - 1);
	assert_int_equal(c.state, HTTP_CHUNK_END);
	assert_int_equal(c.next, 100 + sizeof(body) - 1 - 4);
}

static void a_chunked_body_ends_the_same_however_it_is_cut(void **state)
{
	const char body[] = "A\r\n0123456789\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n";
	size_t len = sizeof(body) - 1, first, second;

	(void)state;
	for (first = 0; first <= len; first++) {
		for (second = first; second <= len; second++) {
			struct http_chunked c;

			http_chunked_begin(&c, 7);
			http_chunked_feed(&c, 7, body, first);
			http_chunked_feed(&c, 7 + first, body + first, second - first);
			http_chunked_feed(&c, 7 + second, body + second, len - second);
			assert_int_equal(c.state, HTTP_CHUNK_END);
			assert_int_equal(c.next, 7 + len);
		}
	}
}

static void chunk_data_need_not_be_known(void **state)
{
	struct http_chunked c;

	(void)state;
	http_chunked_begin(&c, 0);
	http_chunked_feed(&c, 0, "fffff\r\n", 7); /* 1,048,575 bytes, of which nothing is seen */
	http_chunked_skip(&c, 500000);
	assert_int_equal(c.state, HTTP_CHUNK_SIZE);
	http_chunked_feed(&c, 7 + 1048575 - 4, "data\r\n0\r\n\r\n", 11);
	assert_int_equal(c.state, HTTP_CHUNK_END);
}

static void a_missed_size_line_loses_the_frame(void **state)
{
	struct http_chunked c;

	(void)state;
	http_chunked_begin(&c, 0);
	http_chunked_feed(&c, 0, "2\r\nhi\r\n", 7);
	http_chunked_skip(&c, 50);
	assert_int_equal(c.state, HTTP_CHUNK_LOST);
	http_chunked_begin(&c, 0);
	http_chunked_feed(&c, 10, "2\r\nhi\r\n", 7);
	assert_int_equal(c.state, HTTP_CHUNK_LOST);
	http_chunked_begin(&c, 0);
	http_chunked_feed(&c, 0, "zz\r\n", 4);
	assert_int_equal(c.state, HTTP_CHUNK_LOST);
	http_chunked_begin(&c, 0);
	http_chunked_feed(&c, 0, "ffffffffffffffff\r\n", 18);
	assert_int_equal(c.state, HTTP_CHUNK_LOST);
}

static void a_terminator_inside_a_chunk_is_no_end(void **state)
{
	struct http_chunked c;

	(void)state;
	http_chunked_begin(&c, 0);
	http_chunked_feed(&c, 0, "7\r\n\r\n0\r\n\r\n\r\n", 12);
	assert_int_equal(c.state, HTTP_CHUNK_SIZE);
}

static void the_look_of_an_end_takes_the_line_before_it(void **state)
{
	(void)state;
	assert_true(http_chunked_end_likely("0\r\n\r\n", 5, true));
	assert_false(http_chunked_end_likely("0\r\n\r\n", 5, false));
	assert_true(http_chunked_end_likely("o\r\n0\r\n\r\n", 8, false));
	assert_false(http_chunked_end_likely("bc10\r\n\r\n", 8, false));
	assert_false(http_chunked_end_likely("", 0, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_line_gives_method_path_and_version),
		cmocka_unit_test(what_is_no_request_line_is_refused),
		cmocka_unit_test(a_cut_request_line_tells_its_path_only_when_it_is_whole),
		cmocka_unit_test(a_status_line_gives_its_status),
		cmocka_unit_test(content_length_is_read_and_checked),
		cmocka_unit_test(chunked_counts_only_as_the_final_coding),
		cmocka_unit_test(a_chunked_body_ends_at_its_last_chunk),
		cmocka_unit_test(a_chunked_body_ends_the_same_however_it_is_cut),
		cmocka_unit_test(chunk_data_need_not_be_known),
		cmocka_unit_test(a_missed_size_line_loses_the_frame),
		cmocka_unit_test(a_terminator_inside_a_chunk_is_no_end),
		cmocka_unit_test(the_look_of_an_end_takes_the_line_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
