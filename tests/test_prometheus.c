// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The page of a snapshot, to be freed. */
static char *render(const struct snapshot *snapshot)
{
	struct text text = {};

	assert_int_equal(prometheus_render(&text, snapshot, EXPOSITION_TEXT), 0);
	assert_true(text.len > 0 && text.data[text.len - 1] == '\n');
	text_add(&text, "", 1);
	assert_int_equal(text.error, 0);
	return text.data;
}

static struct histogram durations(size_t count, const uint64_t *values_ns)
{
	struct histogram h;

	histogram_init(&h);
	for (size_t i = 0; i < count; i++)
		histogram_add(&h, &histogram_duration_bounds, values_ns[i]);
	return h;
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

#define SHOP "{service_name=\"shop\",service_namespace=\"web\""
#define EXITS(how, n) "bittern_service_process_exits_total" SHOP "," how "} " n "\n"
/* clang-format off */
#define PROCESSES                                                                    \
	"# HELP bittern_service_processes Living processes of the service.\n"        \
	"# TYPE bittern_service_processes gauge\n"                                   \
	"bittern_service_processes" SHOP "} 3\n"                                     \
	"# HELP bittern_service_process_exits_total "                                \
	"Processes of the service that ended, by how.\n"                             \
	"# TYPE bittern_service_process_exits_total counter\n"                       \
	EXITS("exit_code=\"zero\"", "2")                                             \
	EXITS("signal=\"SIGHUP\"", "4")                                              \
	EXITS("signal=\"SIGABRT\"", "0")                                             \
	EXITS("signal=\"SIGKILL\"", "5")                                             \
	EXITS("signal=\"SIGSEGV\"", "0")                                             \
	EXITS("signal=\"SIGTERM\"", "0")                                             \
	EXITS("signal=\"SIG34\"", "6")                                               \
	EXITS("exit_code=\"nonzero\"", "7")                                          \
	EXITS("signal=\"SIGKILL\",oom=\"true\"", "8")
/* clang-format on */

static const char small_page[] =
	"# HELP http_server_request_duration_seconds Duration of HTTP server requests.\n"
	"# TYPE http_server_request_duration_seconds histogram\n"
#define LABELS                                                                               \
	"service_name=\"shop\",service_namespace=\"web\",http_request_method=\"GET\","       \
	"url_scheme=\"http\",http_route=\"/orders/{id}\",http_response_status_code=\"503\"," \
	"error_type=\"503\",network_protocol_version=\"1.1\",server_port=\"8000\""
#define BUCKET(le, n) \
	"http_server_request_duration_seconds_bucket{" LABELS ",le=\"" le "\"} " n "\n"
	BUCKET("0.005", "1") BUCKET("0.01", "1") BUCKET("0.025", "1") BUCKET("0.05", "1") BUCKET(
		"0.075", "1") BUCKET("0.1", "1") BUCKET("0.25", "1") BUCKET("0.5", "2")
		BUCKET("0.75", "2") BUCKET("1", "2") BUCKET("2.5", "2") BUCKET("5", "2") BUCKET(
			"7.5", "2") BUCKET("8", "2") BUCKET("10", "2") BUCKET("15", "2")
			BUCKET("30", "2") BUCKET("60", "2") BUCKET(
				"+Inf",
				"3") "http_server_request_duration_seconds_sum{" LABELS
				     "} 100.300000001\n"
				     "http_server_request_duration_seconds_count{" LABELS "} 3\n"
				     "# HELP bittern_http_server_unread_requests "
				     "Requests that have arrived and wait to be read.\n"
				     "# TYPE bittern_http_server_unread_requests gauge\n"
				     "bittern_http_server_unread_requests" SHOP "} 0\n"
				     "# HELP bittern_service_undecoded_connections_total "
				     "Connections that the service accepted, or made, whose "
				     "requests could not be read.\n"
				     "# TYPE bittern_service_undecoded_connections_total counter\n"
#define UNDECODED(role, reason, n)                                           \
	"bittern_service_undecoded_connections_total{service_name=\"shop\"," \
	"service_namespace=\"web\",role=\"" role "\",reason=\"" reason "\"} " n "\n"
	UNDECODED("server", "http2", "0") UNDECODED("server", "tls", "7")
		UNDECODED("server", "other", "0") UNDECODED("client", "http2", "3") PROCESSES
	"# HELP bittern_service_info A service that is watched, and what it is.\n"
	"# TYPE bittern_service_info gauge\n"
	"bittern_service_info{service_name=\"shop\",service_namespace=\"web\","
	"service_instance_id=\"3f1c\",process_runtime_name=\"python\",container_id="
	"\"0af1\"} 1\n"
	"# HELP target_info This instance of bittern; the services are in "
	"bittern_service_info.\n"
	"# TYPE target_info gauge\n"
	"target_info{service_name=\"bittern\",service_version=\"1.2.3\",host_name="
	"\"node-1\","
	"os_type=\"linux\",telemetry_sdk_name=\"bittern\",telemetry_sdk_version=\"1.2."
	"3\"} 1\n"
	"# HELP bittern_agent_lost_records_total Records lost, by cause.\n"
	"# TYPE bittern_agent_lost_records_total counter\n"
	"bittern_agent_lost_records_total{cause=\"ring_full\"} 12345678901\n"
	"bittern_agent_lost_records_total{cause=\"unreadable\"} 0\n"
	"# HELP bittern_agent_ring_fill_ratio How full the ring was.\n"
	"# TYPE bittern_agent_ring_fill_ratio gauge\n"
	"bittern_agent_ring_fill_ratio 0.1\n";

static void a_page_has_every_family_once_with_its_samples(void **state)
{
	const uint64_t values_ns[] = {1, 300000000, 100000000000};
	struct histogram h = durations(COUNT(values_ns), values_ns);
	struct service shop = {
		.name = "shop",
		.namespace = "web",
		.instance_id = "3f1c",
		.container_id = "0af1",
		.runtime = RUNTIME_PYTHON,
		.process_count = 3,
		.undecoded_counts = {[UNDECODED_TLS] = 7, [UNDECODED_CLIENT_HTTP2] = 3},
		.exit_counts = {[SERVICE_EXIT_ZERO] = 2,
				[SIGHUP] = 4,
				[SIGKILL] = 5,
				[34] = 6,
				[SERVICE_EXIT_NONZERO] = 7,
				[SERVICE_EXIT_OOM_KILLED] = 8}};
	const struct service *services[] = {&shop};
	const struct snapshot_series series = {.service = &shop,
					       .route = "/orders/{id}",
					       .method = "GET",
					       .error_type = "503",
					       .protocol_version = "1.1",
					       .scheme = "http",
					       .status = 503,
					       .port = 8000,
					       .duration = &h,
					       .bounds = &histogram_duration_bounds};
	const struct self_metric self[] = {
		{"bittern_agent_lost_records_total", "Records lost, by cause.", SELF_COUNTER,
		 "cause", "ring_full", 12345678901.0},
		{"bittern_agent_lost_records_total", "Records lost, by cause.", SELF_COUNTER,
		 "cause", "unreadable", 0},
		{"bittern_agent_ring_fill_ratio", "How full the ring was.", SELF_GAUGE, NULL, NULL,
		 0.1},
	};
	const struct snapshot snapshot = {.version = "1.2.3",
					  .services = services,
					  .service_count = 1,
					  .series = &series,
					  .series_count = 1,
					  .self = self,
					  .self_count = COUNT(self),
					  .host_name = "node-1",
					  .host_id = ""};
	char *page = render(&snapshot);

	(void)state;
	assert_string_equal(page, small_page);
	free(page);
}

static void an_empty_snapshot_describes_bittern_alone(void **state)
{
	const struct snapshot snapshot = {
		.version = "1", .host_name = "", .host_id = "0123456789abcdef"};
	char *page = render(&snapshot);

	(void)state;
	assert_string_equal(page,
			    "# HELP target_info This instance of bittern; the services are in "
			    "bittern_service_info.\n"
			    "# TYPE target_info gauge\n"
			    "target_info{service_name=\"bittern\",service_version=\"1\","
			    "host_id=\"0123456789abcdef\",os_type=\"linux\","
			    "telemetry_sdk_name=\"bittern\",telemetry_sdk_version=\"1\"} 1\n");
	free(page);
}

static void absent_attributes_have_no_label(void **state)
{
	struct histogram h = durations(0, NULL);
	struct service shop = {.name = "shop"};
	const struct service *services[] = {&shop};
	const struct snapshot_series series = {.service = &shop,
					       .method = "CONNECT",
					       .duration = &h,
					       .bounds = &histogram_duration_bounds};
	const struct snapshot snapshot = {.version = "1",
					  .services = services,
					  .service_count = 1,
					  .series = &series,
					  .series_count = 1,
					  .host_name = "",
					  .host_id = ""};
	char *page = render(&snapshot);

	(void)state;
	assert_non_null(strstr(page, "\nhttp_server_request_duration_seconds_sum{service_name="
				     "\"shop\",http_request_method=\"CONNECT\"} 0\n"));
	assert_non_null(strstr(page, "\nbittern_service_info{service_name=\"shop\"} 1\n"));
	assert_null(strstr(page, "=\"\""));
	free(page);
}

static void the_overflow_series_has_its_one_label(void **state)
{
	const uint64_t value_ns = 1500000000;
	struct histogram h = durations(1, &value_ns);
	const struct snapshot_series series = {
		.overflow = true, .duration = &h, .bounds = &histogram_duration_bounds};
	const struct snapshot snapshot = {.version = "1",
					  .series = &series,
					  .series_count = 1,
					  .host_name = "",
					  .host_id = ""};
	char *page = render(&snapshot);

	(void)state;
	assert_int_equal(occurrences(page, "{otel_metric_overflow=\"true\",le=\""), 19);
	assert_non_null(strstr(page, "_bucket{otel_metric_overflow=\"true\",le=\"1\"} 0\n"));
	assert_non_null(strstr(page, "_bucket{otel_metric_overflow=\"true\",le=\"2.5\"} 1\n"));
	assert_non_null(strstr(page, "_sum{otel_metric_overflow=\"true\"} 1.5\n"));
	assert_non_null(strstr(page, "_count{otel_metric_overflow=\"true\"} 1\n"));
	free(page);
}

/* The service_info line of a service with this name. */
static void assert_name_becomes(const char *name, const char *label)
{
	struct service service = {};
	const struct service *services[] = {&service};
	const struct snapshot snapshot = {.version = "1",
					  .services = services,
					  .service_count = 1,
					  .host_name = "",
					  .host_id = ""};
	char expected[512], *page;

	snprintf(service.name, sizeof(service.name), "%s", name);
	snprintf(expected, sizeof(expected), "\nbittern_service_info{service_name=\"%s\"} 1\n",
		 label);
	page = render(&snapshot);
	if (!strstr(page, expected))
		fail_msg("expected %s in %s", expected, page);
	free(page);
}

static void label_values_are_escaped_and_valid_utf8_whatever_they_hold(void **state)
{
	(void)state;
	assert_name_becomes("a\"b\\c\nd", "a\\\"b\\\\c\\nd");
	assert_name_becomes("\"} 1\nevil{x=\"", "\\\"} 1\\nevil{x=\\\"");
	assert_name_becomes("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6",
			    "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6");
	assert_name_becomes("\xff", "\xef\xbf\xbd");
	assert_name_becomes("cut\xe2\x82", "cut\xef\xbf\xbd\xef\xbf\xbd");
	assert_name_becomes("overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd");
	assert_name_becomes("surrogate \xed\xa0\x80",
			    "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_name_becomes("beyond \xf4\x90\x80\x80",
			    "beyond \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_name_becomes("\xe2\"", "\xef\xbf\xbd\\\"");
	assert_name_becomes("tab\tstays", "tab\tstays");
}

static void help_texts_are_escaped_too(void **state)
{
	const struct self_metric self = {
		"bittern_agent_x", "a \"b\" \\ c\nd", SELF_GAUGE, NULL, NULL, 1};
	const struct snapshot snapshot = {
		.version = "1", .self = &self, .self_count = 1, .host_name = "", .host_id = ""};
	char *page = render(&snapshot);

	(void)state;
	assert_non_null(strstr(page, "# HELP bittern_agent_x a \"b\" \\\\ c\\nd\n"));
	free(page);
}

static void sums_are_exact_to_the_nanosecond(void **state)
{
	static const struct {
		uint64_t value_ns;
		const char *text;
	} cases[] = {{0, "0"},
		     {1, "0.000000001"},
		     {10, "0.00000001"},
		     {1000000000, "1"},
		     {1000000001, "1.000000001"},
		     {123456789012345678, "123456789.012345678"},
		     {90000000000000000, "90000000"},
		     {UINT64_MAX, "18446744073.709551615"}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[TEXT_SECONDS_MAX + 1];
		char *end = text_put_seconds(out, cases[i].value_ns);

		*end = '\0';
		assert_true((size_t)(end - out) <= TEXT_SECONDS_MAX);
		assert_string_equal(out, cases[i].text);
	}
}

static void numbers_read_back_as_the_same_double(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"},
		     {-1, "-1"},
		     {0.1, "0.1"},
		     {-2.5, "-2.5"},
		     {1e15, "1000000000000000"},
		     {9007199254740991, "9007199254740991"},
		     {1.0 / 3, "0.333333333333333315"},
		     {1e300, "1e+300"},
		     {1e-9, "1e-09"},
		     {__builtin_inf(), "+Inf"},
		     {-__builtin_inf(), "-Inf"},
		     {__builtin_nan(""), "NaN"}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct text text = {};

		text_double(&text, cases[i].value);
		text_add(&text, "", 1);
		if (cases[i].value == cases[i].value)
			assert_true(strtod(text.data, NULL) == cases[i].value);
		if (cases[i].value != 1.0 / 3) /* 16 or 17 digits */
			assert_string_equal(text.data, cases[i].text);
		text_free(&text);
	}
}

static void rendering_appends_to_what_the_text_holds(void **state)
{
	const struct snapshot snapshot = {.version = "1", .host_name = "", .host_id = ""};
	struct text text = {};

	(void)state;
	text_string(&text, "before\n");
	assert_int_equal(prometheus_render(&text, &snapshot, EXPOSITION_TEXT), 0);
	assert_memory_equal(text.data, "before\n# HELP target_info ", 26);
	text_clear(&text);
	assert_int_equal(prometheus_render(&text, &snapshot, EXPOSITION_TEXT), 0);
	assert_memory_equal(text.data, "# HELP target_info ", 19);
	text_free(&text);
}

static void a_text_without_memory_says_so(void **state)
{
	struct text text = {};

	(void)state;
	assert_null(text_room(&text, SIZE_MAX / 2));
	text_string(&text, "nothing is added any more");
	assert_int_equal(text.len, 0);
	assert_int_equal(text.error, -ENOMEM);
	text_free(&text);
}

#define MANY 480 /* series: 10,080 lines */

static struct snapshot many_series(struct snapshot_series *series, char (*routes)[40],
				   struct histogram *h, const struct service *const *services)
{
	const uint64_t values_ns[] = {900000, 1000000, 4000000, 20000000, 30000000, 900000000};

	*h = durations(COUNT(values_ns), values_ns);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(routes[i], sizeof(routes[i]), "/api/v1/things/%zu/{id}", i);
		series[i] = (struct snapshot_series){.service = services[0],
						     .route = routes[i],
						     .method = "GET",
						     .protocol_version = "1.1",
						     .scheme = "http",
						     .status = 200,
						     .port = 8000,
						     .duration = h,
						     .bounds = &histogram_duration_bounds};
	}
	return (struct snapshot){.version = "1",
				 .services = services,
				 .service_count = 1,
				 .series = series,
				 .series_count = MANY,
				 .host_name = "",
				 .host_id = ""};
}

static void samples_stay_in_the_order_of_the_snapshot(void **state)
{
	struct service shop = {.name = "shop"};
	const struct service *services[] = {&shop};
	static struct snapshot_series series[MANY];
	static char routes[MANY][40];
	struct histogram h;
	const struct snapshot snapshot = many_series(series, routes, &h, services);
	char *page = render(&snapshot), *again = render(&snapshot), *at = page;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		char route[64];

		snprintf(route, sizeof(route), "http_route=\"%.39s\"", routes[i]);
		assert_int_equal(occurrences(page, route), 21);
		at = strstr(at, route);
		assert_non_null(at);
	}
	assert_int_equal(occurrences(page, "# TYPE http_server_request_duration_seconds "), 1);
	assert_string_equal(page, again);
	free(page);
	free(again);
}

/* The budget of a scrape is 10 ms for 10,000 lines; this is its text alone, with room for a slow
 * machine. */
static void ten_thousand_lines_take_a_few_milliseconds(void **state)
{
	struct service shop = {.name = "shop"};
	const struct service *services[] = {&shop};
	static struct snapshot_series series[MANY];
	static char routes[MANY][40];
	struct histogram h;
	const struct snapshot snapshot = many_series(series, routes, &h, services);
	double best_ms = 1e9;
	size_t bytes = 0;

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		struct timespec start, end;
		struct text text = {};
		double ms;

		clock_gettime(CLOCK_MONOTONIC, &start);
		assert_int_equal(prometheus_render(&text, &snapshot, EXPOSITION_TEXT), 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		ms = (double)(end.tv_sec - start.tv_sec) * 1e3 +
		     (double)(end.tv_nsec - start.tv_nsec) / 1e6;
		best_ms = ms < best_ms ? ms : best_ms;
		bytes = text.len;
		text_free(&text);
	}
	print_message("%d lines, %zu bytes: %.2f ms\n", MANY * 21, bytes, best_ms);
	assert_true(best_ms < 60); /* with sanitizers, too */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_has_every_family_once_with_its_samples),
		cmocka_unit_test(an_empty_snapshot_describes_bittern_alone),
		cmocka_unit_test(absent_attributes_have_no_label),
		cmocka_unit_test(the_overflow_series_has_its_one_label),
		cmocka_unit_test(label_values_are_escaped_and_valid_utf8_whatever_they_hold),
		cmocka_unit_test(help_texts_are_escaped_too),
		cmocka_unit_test(sums_are_exact_to_the_nanosecond),
		cmocka_unit_test(numbers_read_back_as_the_same_double),
		cmocka_unit_test(rendering_appends_to_what_the_text_holds),
		cmocka_unit_test(a_text_without_memory_says_so),
		cmocka_unit_test(samples_stay_in_the_order_of_the_snapshot),
		cmocka_unit_test(ten_thousand_lines_take_a_few_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
