// SPDX-License-Identifier: Apache-2.0
/* A page of OpenMetrics, against what the specification asks and against the classic text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define START_UNIX_NS 1700000000250000000

static const union snapshot_counts requests = {.outcomes = {30, 0, 4, 0, 1}};
static const union snapshot_counts waiting = {.open = {2, 61500000000}};
static const union snapshot_counts slo = {.slo = {30, 29}};

static const struct self_metric self[] = {
	{"bittern_agent_build_info", "Version.", SELF_GAUGE, "version", "1", 1},
	{"bittern_agent_cpu_seconds_total", "CPU.", SELF_COUNTER, NULL, NULL, 2.5},
	{"bittern_agent_losses_total", "Losses,\n\"by\" \\cause.", SELF_COUNTER, "cause", "a", 7},
	{"bittern_agent_losses_total", "Losses,\n\"by\" \\cause.", SELF_COUNTER, "cause", "b\"", 0},
	{"bittern_agent_ring_size_bytes", "Size.", SELF_GAUGE, NULL, NULL, 2097152},
};

struct world {
	struct service shop, late;
	const struct service *services[2];
	struct histogram duration;
	struct snapshot_series series[5];
	struct snapshot snapshot;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->shop = (struct service){
		.name = "shop",
		.process_count = 1,
		.found_ns = 5, /* before the agent's start */
		.usage_since_ns = 1000500000000,
		.usage = {.counters = {[USAGE_CPU_USER_NS] = 1500000000},
			  .has_counter = {[USAGE_CPU_USER_NS] = true},
			  .gauges = {[USAGE_RESIDENT_BYTES] = 4096},
			  .has_gauge = {[USAGE_RESIDENT_BYTES] = true}},
	};
	w->late = (struct service){.name = "late", .process_count = 1, .found_ns = 1000000001000};
	w->services[0] = &w->shop;
	w->services[1] = &w->late;
	histogram_init(&w->duration);
	histogram_add(&w->duration, &histogram_duration_bounds, 2000000000);
	w->series[0] = (struct snapshot_series){.instrument = INSTRUMENT_SERVER_DURATION,
						.service = &w->late,
						.route = "/a\"b",
						.duration = &w->duration,
						.bounds = &histogram_duration_bounds};
	w->series[1] = (struct snapshot_series){.instrument = INSTRUMENT_SERVER_REQUESTS,
						.service = &w->late,
						.route = "/",
						.counts = &requests};
	w->series[2] = (struct snapshot_series){
		.instrument = INSTRUMENT_SERVER_REQUESTS, .overflow = true, .counts = &requests};
	w->series[3] = (struct snapshot_series){.instrument = INSTRUMENT_SLO,
						.service = &w->shop,
						.route = "/",
						.slo = "99@8s",
						.slo_ratio = 0.99,
						.counts = &slo};
	w->series[4] = (struct snapshot_series){.instrument = INSTRUMENT_OLDEST,
						.service = &w->shop,
						.route = "/",
						.counts = &waiting};
	w->snapshot = (struct snapshot){.version = "1",
					.start_time_ns = 1000000000000,
					.start_time_unix_ns = START_UNIX_NS,
					.services = w->services,
					.service_count = 2,
					.series = w->series,
					.series_count = COUNT(w->series),
					.self = self,
					.self_count = COUNT(self),
					.host_name = "",
					.host_id = ""};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* To be freed. */
static char *render(const struct world *w, enum exposition exposition)
{
	struct text text = {};

	assert_int_equal(prometheus_render(&text, &w->snapshot, exposition), 0);
	text_add(&text, "", 1);
	assert_int_equal(text.error, 0);
	return text.data;
}

static void assert_holds(const char *page, const char *part)
{
	if (!strstr(page, part))
		fail_msg("expected %s in\n%s", part, page);
}

static void counters_are_families_without_total_and_have_created(void **state)
{
	char *page = render(*state, EXPOSITION_OPENMETRICS);

	assert_holds(page, "\n# TYPE bittern_http_server_requests counter\n");
	assert_holds(page,
		     "\nbittern_http_server_requests_total{service_name=\"late\",http_route=\"/\","
		     "outcome=\"ok\"} 30\n"
		     "bittern_http_server_requests_created{service_name=\"late\",http_route=\"/\","
		     "outcome=\"ok\"} 1700000000.250001\n"
		     "bittern_http_server_requests_total{service_name=\"late\",http_route=\"/\","
		     "outcome=\"error\"} 0\n");
	assert_holds(page, "# HELP bittern_agent_losses Losses,\\n\\\"by\\\" \\\\cause.\n"
			   "# TYPE bittern_agent_losses counter\n"
			   "bittern_agent_losses_total{cause=\"a\"} 7\n"
			   "bittern_agent_losses_created{cause=\"a\"} 1700000000.25\n"
			   "bittern_agent_losses_total{cause=\"b\\\"\"} 0\n"
			   "bittern_agent_losses_created{cause=\"b\\\"\"} 1700000000.25\n");
	free(page);
}

static void what_was_found_later_was_created_then_and_all_else_with_the_agent(void **state)
{
	char *page = render(*state, EXPOSITION_OPENMETRICS);

	assert_holds(page, "\nhttp_server_request_duration_seconds_created{service_name=\"late\","
			   "http_route=\"/a\\\"b\"} 1700000000.250001\n");
	assert_holds(page,
		     "\nprocess_cpu_time_seconds_created{service_name=\"shop\",cpu_mode=\"user\"} "
		     "1700000000.75\n");
	assert_holds(page, "\nbittern_slo_events_created{service_name=\"shop\",http_route=\"/\","
			   "slo=\"99@8s\"} 1700000000.25\n");
	assert_holds(page, "\nbittern_http_server_requests_created{otel_metric_overflow=\"true\","
			   "outcome=\"ok\"} 1700000000.25\n");
	free(page);
}

static void histograms_have_bounds_as_floats_and_all_of_a_series_together(void **state)
{
	char *page = render(*state, EXPOSITION_OPENMETRICS);

	assert_holds(page, "# TYPE http_server_request_duration_seconds histogram\n"
			   "# UNIT http_server_request_duration_seconds seconds\n");
	assert_holds(page, ",le=\"0.005\"} 0\n");
	assert_holds(page, ",le=\"1.0\"} 0\n");
	assert_holds(page, ",le=\"2.5\"} 1\n");
	assert_holds(page, ",le=\"10.0\"} 1\n");
	assert_holds(page,
		     ",le=\"+Inf\"} 1\n"
		     "http_server_request_duration_seconds_sum{service_name=\"late\",http_route=\"/"
		     "a\\\"b\"} 2\n"
		     "http_server_request_duration_seconds_count{service_name=\"late\",http_route="
		     "\"/a\\\"b\"} 1\n"
		     "http_server_request_duration_seconds_created{");
	free(page);
}

static void units_end_the_names_of_their_families(void **state)
{
	static const char *const lines[] = {
		"\n# UNIT process_cpu_time_seconds seconds\n",
		"\n# UNIT process_memory_usage_bytes bytes\n",
		"\n# UNIT bittern_slo_objective_ratio ratio\n",
		"\n# UNIT bittern_http_server_oldest_request_age_seconds seconds\n",
		"\n# UNIT bittern_agent_cpu_seconds seconds\n",
		"\n# UNIT bittern_agent_ring_size_bytes bytes\n",
		"\n# UNIT http_server_request_duration_seconds seconds\n",
	};
	char *page = render(*state, EXPOSITION_OPENMETRICS);
	size_t count = 0;

	for (size_t i = 0; i < COUNT(lines); i++)
		assert_holds(page, lines[i]);
	for (const char *at = page; (at = strstr(at, "# UNIT ")); at++)
		count++;
	assert_int_equal(count, COUNT(lines));
	free(page);
}

static void infos_are_infos_and_gauges_have_no_beginning(void **state)
{
	char *page = render(*state, EXPOSITION_OPENMETRICS);

	assert_holds(page, "\n# TYPE target info\ntarget_info{service_name=\"bittern\",");
	assert_holds(page, "\n# TYPE bittern_service info\n"
			   "bittern_service_info{service_name=\"shop\"");
	assert_holds(page, "\n# TYPE bittern_agent_build info\n"
			   "bittern_agent_build_info{version=\"1\"} 1\n# HELP");
	assert_holds(page, "\nbittern_http_server_oldest_request_age_seconds{service_name=\"shop\","
			   "http_route=\"/\"} 61.5\n# HELP");
	free(page);
}

static void a_page_without_a_clock_tells_no_beginning(void **state)
{
	struct world *w = *state;
	char *page;

	w->snapshot.start_time_unix_ns = 0;
	page = render(w, EXPOSITION_OPENMETRICS);
	assert_null(strstr(page, "_created"));
	free(page);
}

/* The next sample that the classic text has too, as that writes it; NULL at the end. */
static char *next_sample(char **page)
{
	char *line, *bound;

	while ((line = strsep(page, "\n")) &&
	       (!*line || *line == '#' || strstr(line, "_created{") || strstr(line, "_created ")))
		;
	bound = line ? strstr(line, ".0\"} ") : NULL;
	if (bound)
		memmove(bound, bound + 2, strlen(bound + 2) + 1);
	return line;
}

static void samples_are_those_of_the_classic_text(void **state)
{
	char *classic = render(*state, EXPOSITION_TEXT);
	char *open = render(*state, EXPOSITION_OPENMETRICS), *classic_at = classic, *at = open;
	size_t len = strlen(open), count = 0;

	assert_string_equal(open + len - 7, "\n# EOF\n");
	assert_null(strstr(classic, "# EOF"));
	assert_null(strstr(classic, "# UNIT"));
	assert_null(strstr(classic, "_created"));
	for (;;) {
		char *expected = next_sample(&classic_at), *given = next_sample(&at);

		if (!expected || !given) {
			assert_ptr_equal(expected, given);
			break;
		}
		assert_string_equal(given, expected);
		count++;
	}
	assert_int_equal(count, 71);
	free(classic);
	free(open);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counters_are_families_without_total_and_have_created),
		TEST(what_was_found_later_was_created_then_and_all_else_with_the_agent),
		TEST(histograms_have_bounds_as_floats_and_all_of_a_series_together),
		TEST(units_end_the_names_of_their_families),
		TEST(infos_are_infos_and_gauges_have_no_beginning),
		TEST(a_page_without_a_clock_tells_no_beginning),
		TEST(samples_are_those_of_the_classic_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
