// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../exporters/prometheus_accept.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OPENMETRICS "application/openmetrics-text"
#define PROTOBUF "application/vnd.google.protobuf"
#define DELIMITED PROTOBUF ";proto=io.prometheus.client.MetricFamily;encoding=delimited"

static enum exposition wanted(const char *accept)
{
	/* Of its length, so that a sanitizer sees a byte too many. */
	size_t len = strlen(accept);
	char *bytes = malloc(len ? len : 1);
	struct prometheus_accept a = {};

	memcpy(bytes, accept, len);
	prometheus_accept_types(&a, bytes, len);
	free(bytes);
	return prometheus_accept_exposition(&a);
}

static bool gzip_wanted(const char *accept)
{
	struct prometheus_accept a = {};

	prometheus_accept_encodings(&a, accept, strlen(accept));
	return prometheus_accept_gzip(&a);
}

#define ASSERT_WANTED(exposition, ...)                              \
	do {                                                        \
		static const char *const accepts[] = {__VA_ARGS__}; \
		for (size_t i = 0; i < COUNT(accepts); i++)         \
			if (wanted(accepts[i]) != (exposition))     \
				fail_msg("%s", accepts[i]);         \
	} while (0)

static void who_asks_for_nothing_or_anything_gets_the_classic_text(void **state)
{
	struct prometheus_accept nothing = {};

	(void)state;
	assert_int_equal(prometheus_accept_exposition(&nothing), EXPOSITION_TEXT);
	ASSERT_WANTED(EXPOSITION_TEXT, "", "*/*", "text/*", "text/plain",
		      "text/plain;version=0.0.4", "text/plain; version=\"0.0.4\"; charset=utf-8",
		      "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
}

static void what_nobody_has_is_the_classic_text_as_well(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_TEXT, "application/json", OPENMETRICS ";version=2.0.0",
		      OPENMETRICS ";version=0.0.1", "application", "openmetrics-text", "*/plain",
		      OPENMETRICS "x", "text/plain;version=1.0.0", OPENMETRICS ";q=0",
		      OPENMETRICS ";q=0.000, */*;q=0");
}

static void prometheus_gets_openmetrics(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_OPENMETRICS,
		      /* 2.42 */
		      OPENMETRICS ";version=1.0.0," OPENMETRICS
				  ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		      /* 3.5 */
		      OPENMETRICS
		      ";version=1.0.0;escaping=allow-utf-8;q=0.5," OPENMETRICS
		      ";version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;"
		      "q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
		      OPENMETRICS, "Application/OpenMetrics-Text ; Version=1.0.0",
		      " " OPENMETRICS "; version=\"1.0.0\" ; q=0.5 ,\t*/*;q=0.1");
}

static void with_native_histograms_it_gets_protobuf(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_PROTOBUF, DELIMITED,
		      /* 3.5 */
		      DELIMITED ";q=0.6," OPENMETRICS
				";version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version="
				"0.0.4;q=0.2,*/*;q=0.1",
		      PROTOBUF
		      "; encoding=\"delimited\"; proto=\"io.prometheus.client.MetricFamily\"");
	ASSERT_WANTED(EXPOSITION_TEXT, PROTOBUF, PROTOBUF ";encoding=delimited",
		      PROTOBUF ";proto=io.prometheus.client.MetricFamily",
		      PROTOBUF ";proto=io.prometheus.client.MetricFamily;encoding=text",
		      PROTOBUF ";proto=io.prometheus.write.v2.Request;encoding=delimited");
	ASSERT_WANTED(EXPOSITION_OPENMETRICS, DELIMITED ";q=0.4," OPENMETRICS ";q=0.5");
}

static void the_greatest_weight_wins_and_of_equals_the_first_named(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_OPENMETRICS, OPENMETRICS ",text/plain",
		      "text/plain;q=0.5," OPENMETRICS ";q=0.51", "text/plain;q=0.999," OPENMETRICS,
		      "text/plain;q=0.5," OPENMETRICS ";q=0.3," OPENMETRICS ";q=0.7");
	ASSERT_WANTED(EXPOSITION_TEXT, "text/plain," OPENMETRICS, OPENMETRICS ";q=0.9,text/plain",
		      OPENMETRICS ";q=0.0,text/plain;q=0.001",
		      OPENMETRICS ";q=0.5,text/plain;Q=1.0");
}

static void a_more_specific_range_decides_whatever_its_weight(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_OPENMETRICS, "text/plain;q=0.1,*/*;q=0.9",
		      "text/*;q=0.2,*/*;q=0.9", "text/plain;q=0,*/*;q=0.1", "*/*;q=0.1,text/*;q=0",
		      "application/*", "text/plain;q=0.5,text/*,application/*;q=0.6");
	ASSERT_WANTED(EXPOSITION_TEXT, "*/*," OPENMETRICS ";q=0.9", "application/*;q=0,*/*;q=0.1");
}

static void a_range_without_a_sensible_weight_is_not_one(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_TEXT, OPENMETRICS ";q=2", OPENMETRICS ";q=-1",
		      OPENMETRICS ";q=", OPENMETRICS ";q=x", OPENMETRICS ";q=0.5x",
		      OPENMETRICS ";q=1.001", OPENMETRICS ";q=.5", OPENMETRICS ";q=10",
		      OPENMETRICS ";q=1e0", OPENMETRICS ";q=nan", OPENMETRICS ";q=0.");
	ASSERT_WANTED(EXPOSITION_OPENMETRICS, OPENMETRICS ";q=1.",
		      OPENMETRICS ";q=1.0000000000000000000000", OPENMETRICS ";q=0.1234567890",
		      OPENMETRICS ";q=\"0.5\"");
}

static void separators_within_quotes_separate_nothing(void **state)
{
	(void)state;
	ASSERT_WANTED(EXPOSITION_OPENMETRICS, OPENMETRICS ";note=\"a,text/plain;q=1\";q=0.5",
		      OPENMETRICS ";note=\"\\\",text/plain\";q=0.5",
		      "a/b;x=\"" OPENMETRICS "\"," OPENMETRICS);
	ASSERT_WANTED(EXPOSITION_TEXT, "a/b;x=\"," OPENMETRICS, "a/b;x=\"," OPENMETRICS ",\"",
		      "a/b;x=\"\\");
}

static void lines_of_a_field_add_up(void **state)
{
	struct prometheus_accept a = {};

	(void)state;
	prometheus_accept_types(&a, "text/plain;q=0.5", 16);
	assert_int_equal(prometheus_accept_exposition(&a), EXPOSITION_TEXT);
	prometheus_accept_types(&a, OPENMETRICS, strlen(OPENMETRICS));
	assert_int_equal(prometheus_accept_exposition(&a), EXPOSITION_OPENMETRICS);
	prometheus_accept_encodings(&a, "br", 2);
	assert_false(prometheus_accept_gzip(&a));
	prometheus_accept_encodings(&a, "gzip", 4);
	assert_true(prometheus_accept_gzip(&a));
}

static void a_page_is_compressed_for_who_takes_it_and_likes_it_no_less(void **state)
{
	static const char *const yes[] = {
		"gzip",
		"deflate, gzip;q=0.2",
		"x-gzip",
		"GZIP",
		"*",
		"br, *;q=0.1",
		"gzip;q=0.5, identity;q=0.5",
		"identity;q=0, gzip;q=0.001",
		"*;q=0, gzip",
	};
	static const char *const no[] = {
		"",
		"identity",
		"br",
		"gzip;q=0",
		"*;q=0",
		"gzip;q=0, *",
		"gzip;q=0.4, identity;q=0.5",
		"gzipped",
		"gzip;q=2",
		"identity;q=0",
		"\"gzip\"",
	};
	struct prometheus_accept nothing = {};

	(void)state;
	assert_false(prometheus_accept_gzip(&nothing));
	for (size_t i = 0; i < COUNT(yes); i++)
		if (!gzip_wanted(yes[i]))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		if (gzip_wanted(no[i]))
			fail_msg("%s", no[i]);
}

/* The server takes heads of 16 KB; here are sixteen times that. */
static void hostile_fields_cost_no_more_than_their_length(void **state)
{
	static const char *const parts[] = {",",      ";",
					    "\"",     "\\",
					    "*/*,",   ";q=",
					    "/",      "q=0.1;",
					    "a/b;\"", " ",
					    "=",      "text/plain;version=",
					    "\xff",   OPENMETRICS ","};
	static char field[256 * 1024];

	(void)state;
	for (size_t i = 0; i < COUNT(parts); i++) {
		struct prometheus_accept a = {};
		size_t len = 0, part = strlen(parts[i]);
		struct timespec begin, end;
		double ms;

		for (; len + part <= sizeof(field); len += part)
			memcpy(field + len, parts[i], part);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
		prometheus_accept_types(&a, field, len);
		prometheus_accept_encodings(&a, field, len);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
		ms = (double)(end.tv_sec - begin.tv_sec) * 1e3 +
		     (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
		if (ms > 500) /* were it the length squared, it would be a minute */
			fail_msg("%s: %.0f ms", parts[i], ms);
		assert_int_equal(prometheus_accept_exposition(&a),
				 strncmp(parts[i], OPENMETRICS, 5) ? EXPOSITION_TEXT
								   : EXPOSITION_OPENMETRICS);
	}
}

static void random_fields_do_no_harm(void **state)
{
	static const char alphabet[] = ",;=\"\\/*q01. \tapplicationopenmetrics-text";

	(void)state;
	srand(7);
	for (size_t i = 0; i < 20000; i++) {
		char field[64];
		size_t len = (size_t)rand() % sizeof(field);

		for (size_t j = 0; j < len; j++)
			field[j] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		field[len < sizeof(field) ? len : len - 1] = '\0';
		assert_in_range(wanted(field), 0, EXPOSITION_COUNT - 1);
		gzip_wanted(field);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_asks_for_nothing_or_anything_gets_the_classic_text),
		cmocka_unit_test(what_nobody_has_is_the_classic_text_as_well),
		cmocka_unit_test(prometheus_gets_openmetrics),
		cmocka_unit_test(with_native_histograms_it_gets_protobuf),
		cmocka_unit_test(the_greatest_weight_wins_and_of_equals_the_first_named),
		cmocka_unit_test(a_more_specific_range_decides_whatever_its_weight),
		cmocka_unit_test(a_range_without_a_sensible_weight_is_not_one),
		cmocka_unit_test(separators_within_quotes_separate_nothing),
		cmocka_unit_test(lines_of_a_field_add_up),
		cmocka_unit_test(a_page_is_compressed_for_who_takes_it_and_likes_it_no_less),
		cmocka_unit_test(hostile_fields_cost_no_more_than_their_length),
		cmocka_unit_test(random_fields_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
