// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "../exporters/gzip.h"
#include "../exporters/text.h"

/* What zlib makes of len bytes of a gzip file, all of it; to be freed. */
static struct text unzip(const char *bytes, size_t len)
{
	z_stream stream = {.next_in = (Bytef *)bytes, .avail_in = (uInt)len};
	struct text out = {};
	int status = Z_OK;

	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	while (status == Z_OK) {
		stream.next_out = (Bytef *)text_room(&out, 1000);
		stream.avail_out = 1000;
		status = inflate(&stream, Z_NO_FLUSH);
		out.len += 1000 - stream.avail_out;
	}
	assert_int_equal(status, Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0);
	inflateEnd(&stream);
	return out;
}

/* All of the file, read in pieces of a size; to be freed. */
static struct text zip(const struct text *in, size_t piece)
{
	struct text out = {};
	struct gzip gzip;
	size_t len;

	assert_int_equal(gzip_open(&gzip, in->data, in->len), 0);
	while ((len = gzip_read(&gzip, text_room(&out, piece), piece)))
		out.len += len;
	assert_int_equal(gzip_read(&gzip, text_room(&out, piece), piece), 0);
	gzip_close(&gzip);
	return out;
}

static void assert_comes_back(const struct text *in)
{
	static const size_t pieces[] = {1, 100, 16384, 1000000};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct text zipped = zip(in, pieces[i]), out = unzip(zipped.data, zipped.len);

		assert_int_equal(out.len, in->len);
		assert_true(!in->len || memcmp(out.data, in->data, in->len) == 0);
		text_free(&zipped);
		text_free(&out);
	}
}

static void nothing_and_a_little_come_back(void **state)
{
	struct text in = {};

	(void)state;
	assert_comes_back(&in);
	text_string(&in, "a");
	assert_comes_back(&in);
	text_free(&in);
}

static void what_does_not_shrink_comes_back_too(void **state)
{
	struct text in = {};

	(void)state;
	srand(3);
	for (size_t i = 0; i < 300000; i++) {
		char byte = (char)rand();

		text_add(&in, &byte, 1);
	}
	assert_comes_back(&in);
	text_free(&in);
}

static void lines_that_repeat_shrink_to_a_tenth(void **state)
{
	struct text in = {}, zipped;

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		text_string(&in, "http_server_request_duration_seconds_bucket{route=\"/");
		text_number(&in, i / 20);
		text_string(&in, "\"} ");
		text_number(&in, i * i);
		text_string(&in, "\n");
	}
	assert_comes_back(&in);
	zipped = zip(&in, 16384);
	assert_true(zipped.len < in.len / 10);
	text_free(&zipped);
	text_free(&in);
}

static void a_file_may_be_left_unread(void **state)
{
	struct gzip gzip;
	char byte;

	(void)state;
	assert_int_equal(gzip_open(&gzip, "abc", 3), 0);
	assert_int_equal(gzip_read(&gzip, &byte, 1), 1);
	gzip_close(&gzip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_and_a_little_come_back),
		cmocka_unit_test(what_does_not_shrink_comes_back_too),
		cmocka_unit_test(lines_that_repeat_shrink_to_a_tenth),
		cmocka_unit_test(a_file_may_be_left_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
