// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../exporters/otlp_config.h"

#define MS 1000000ull

static const char *const variables[] = {
	"OTEL_EXPORTER_OTLP_ENDPOINT",
	"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
	"OTEL_EXPORTER_OTLP_PROTOCOL",
	"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
	"OTEL_EXPORTER_OTLP_HEADERS",
	"OTEL_EXPORTER_OTLP_TIMEOUT",
	"OTEL_METRIC_EXPORT_INTERVAL",
	"OTEL_METRIC_EXPORT_TIMEOUT",
	"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
	"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
	"OTEL_RESOURCE_ATTRIBUTES",
	"OTEL_SERVICE_NAME",
	"OTEL_EXPORTER_OTLP_INSECURE",
};

static int set_up(void **state)
{
	struct otlp_config *c = malloc(sizeof(*c));

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	otlp_config_init(c);
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	otlp_config_close(*state);
	free(*state);
	return 0;
}

static void finish(struct otlp_config *c)
{
	char why[512] = "";

	if (otlp_config_finish(c, why, sizeof(why)))
		fail_msg("%s", why);
}

static void without_an_endpoint_nothing_is_sent_and_no_variable_read(void **state)
{
	struct otlp_config *c = *state;

	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "", 1);
	finish(c);
	assert_string_equal(c->url, "");
}

static void the_defaults_are_those_of_the_specification(void **state)
{
	struct otlp_config *c = *state;

	assert_true(otlp_config_set(c, OTLP_SET_ENDPOINT, "http://localhost:4318"));
	finish(c);
	assert_false(c->grpc);
	assert_false(c->gzip);
	assert_int_equal(c->timeout_ns, 10000 * MS);
	assert_int_equal(c->interval_ns, 60000 * MS);
	assert_int_equal(c->export_timeout_ns, 30000 * MS);
	assert_int_equal(c->temporality, OTLP_CUMULATIVE);
	assert_false(c->exponential);
}

#define HTTP "/v1/metrics"
#define GRPC "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

static void the_path_depends_on_protocol_and_on_who_gives_the_endpoint(void **state)
{
	static const struct {
		const char *option, *general, *of_metrics;
		bool grpc;
		const char *url;
	} cases[] = {
		{"http://a:4318", NULL, NULL, false, "http://a:4318" HTTP},
		{"https://a/b/", NULL, NULL, false, "https://a/b" HTTP},
		{"http://a:4317/", NULL, NULL, true, "http://a:4317" GRPC},
		{"HTTP://[::1]:4317", NULL, NULL, true, "HTTP://[::1]:4317" GRPC},
		{"a:4317", NULL, NULL, true, "https://a:4317" GRPC},
		{NULL, "http://a", NULL, false, "http://a" HTTP},
		{NULL, "http://a", "http://b/x", false, "http://b/x"},
		{NULL, NULL, "http://b/x/", false, "http://b/x/"},
		{NULL, NULL, "http://b:1", true, "http://b:1" GRPC},
		{"http://c", "http://a", "http://b/x", false, "http://c" HTTP},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct otlp_config *c = *state;

		tear_down(state);
		set_up(state);
		c = *state;
		if (cases[i].general)
			setenv("OTEL_EXPORTER_OTLP_ENDPOINT", cases[i].general, 1);
		if (cases[i].of_metrics)
			setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", cases[i].of_metrics, 1);
		if (cases[i].option)
			assert_true(otlp_config_set(c, OTLP_SET_ENDPOINT, cases[i].option));
		if (cases[i].grpc)
			assert_true(otlp_config_set(c, OTLP_SET_PROTOCOL, "grpc"));
		finish(c);
		assert_string_equal(c->url, cases[i].url);
	}
}

static void insecure_is_for_grpc_without_a_scheme(void **state)
{
	struct otlp_config *c = *state;

	setenv("OTEL_EXPORTER_OTLP_INSECURE", "True", 1);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "a:4317", 1);
	finish(c);
	assert_string_equal(c->url, "http://a:4317" GRPC);
	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:4317", 1);
	finish(c);
	assert_string_equal(c->url, "https://a:4317" GRPC);
}

static void options_win_and_what_is_of_metrics_wins_over_what_is_general(void **state)
{
	struct otlp_config *c = *state;

	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a", 1);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1);
	setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", 1);
	setenv("OTEL_METRIC_EXPORT_INTERVAL", "5000", 1);
	setenv("OTEL_METRIC_EXPORT_TIMEOUT", "700", 1);
	setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1500", 1);
	setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory", 1);
	setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
	       "base2_exponential_bucket_histogram", 1);
	assert_true(otlp_config_set(c, OTLP_SET_INTERVAL, "2m"));
	assert_true(otlp_config_set(c, OTLP_SET_TIMEOUT, "3s"));
	finish(c);
	assert_true(c->grpc);
	assert_int_equal(c->interval_ns, 120000 * MS);
	assert_int_equal(c->timeout_ns, 3000 * MS);
	assert_int_equal(c->export_timeout_ns, 700 * MS);
	assert_int_equal(c->temporality, OTLP_LOWMEMORY);
	assert_true(c->exponential);
}

static void headers_are_a_list_with_percent_encoded_values(void **state)
{
	struct otlp_config *c = *state;

	assert_true(otlp_config_set(c, OTLP_SET_HEADERS,
				    " Api-Key = a%20b=c%2C ,x-empty=,,x=%E2%82%AC,"));
	assert_int_equal(c->header_count, 3);
	assert_string_equal(c->headers[0], "api-key: a b=c,");
	assert_string_equal(c->headers[1], "x-empty;");
	assert_string_equal(c->headers[2], "x: \xe2\x82\xac");
}

static void a_header_cannot_end_its_line(void **state)
{
	static const char *const bad[] = {"a=b%0d%0aHost: evil",
					  "a=b%0ac",
					  "a=%00",
					  "a b=c",
					  "=x",
					  "a",
					  "a=%",
					  "a=%2",
					  "a=%zz",
					  "a:=b"};
	struct otlp_config *c = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(otlp_config_set(c, OTLP_SET_HEADERS, bad[i]));
	assert_int_equal(c->header_count, 0);
}

static void attributes_are_of_all_resources_and_the_service_name_has_a_variable_too(void **state)
{
	struct otlp_config *c = *state;
	struct otlp_encoding encoding;

	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a", 1);
	setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=b%2Cc,team=d", 1);
	setenv("OTEL_SERVICE_NAME", "e=f", 1);
	finish(c);
	encoding = otlp_config_encoding(c);
	assert_int_equal(encoding.attribute_count, 2);
	assert_string_equal(encoding.attributes[0].key, "service.name");
	assert_string_equal(encoding.attributes[0].value, "e=f");
	assert_string_equal(encoding.attributes[1].key, "team");
	assert_string_equal(encoding.attributes[1].value, "d");
	assert_false(otlp_config_set(c, OTLP_SET_ATTRIBUTES, "team=%ff"));
}

static void lists_have_a_bound(void **state)
{
	struct otlp_config *c = *state;
	char *list = malloc(OTLP_LIST_LEN_MAX + 2);

	memset(list, 'a', OTLP_LIST_LEN_MAX + 1);
	list[OTLP_LIST_LEN_MAX + 1] = '\0';
	list[1] = '=';
	assert_false(otlp_config_set(c, OTLP_SET_HEADERS, list));
	free(list);
	for (int i = 0; i < OTLP_HEADERS_MAX; i++)
		assert_true(otlp_config_set(c, OTLP_SET_HEADERS, "a=b"));
	assert_false(otlp_config_set(c, OTLP_SET_HEADERS, "a=b"));
}

static void durations_are_milliseconds_or_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms; /* 0: refused */
	} cases[] = {
		{"1", 1},
		{"250ms", 250},
		{"10s", 10000},
		{"2m", 120000},
		{"86400s", 86400000},
		{"86401s", 0},
		{"0", 0},
		{"-1", 0},
		{"1.5s", 0},
		{"", 0},
		{"10 s", 0},
		{"s", 0},
		{"1h", 0},
		{"+5", 0},
		{"99999999999999999999", 0},
	};
	struct otlp_config *c = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good = otlp_config_set(c, OTLP_SET_TIMEOUT, cases[i].text);

		assert_int_equal(good, cases[i].ms != 0);
		if (good)
			assert_int_equal(c->timeout_ns, cases[i].ms * MS);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(without_an_endpoint_nothing_is_sent_and_no_variable_read),
		TEST(the_defaults_are_those_of_the_specification),
		TEST(the_path_depends_on_protocol_and_on_who_gives_the_endpoint),
		TEST(insecure_is_for_grpc_without_a_scheme),
		TEST(options_win_and_what_is_of_metrics_wins_over_what_is_general),
		TEST(headers_are_a_list_with_percent_encoded_values),
		TEST(a_header_cannot_end_its_line),
		TEST(attributes_are_of_all_resources_and_the_service_name_has_a_variable_too),
		TEST(lists_have_a_bound),
		TEST(durations_are_milliseconds_or_have_a_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
