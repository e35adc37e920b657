// SPDX-License-Identifier: Apache-2.0
/* The families of what services and processes use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"

static char *render(const struct service *service, const struct service_process *processes,
		    size_t process_count)
{
	const struct snapshot snapshot = {.version = "1",
					  .services = &service,
					  .service_count = 1,
					  .processes = processes,
					  .process_count = process_count,
					  .host_name = "",
					  .host_id = ""};
	struct text text = {};

	assert_int_equal(prometheus_render(&text, &snapshot, EXPOSITION_TEXT), 0);
	text_add(&text, "", 1);
	return text.data;
}

static const struct usage all_known = {
	.counters = {1500000000, 20000001, 30, 4, 500000000000, 0},
	.gauges = {4096, 1048576, 3, 17},
	.has_counter = {true, true, true, true, true, true},
	.has_gauge = {true, true, true, true},
};

static void assert_has(const char *page, const char *line)
{
	if (!strstr(page, line))
		fail_msg("no %s in %s", line, page);
}

static void a_service_has_each_family_once(void **state)
{
	const struct service shop = {.name = "shop", .process_count = 2, .usage = all_known};
	char *page = render(&shop, NULL, 0);

	(void)state;
	assert_has(page,
		   "\n# TYPE process_cpu_time_seconds_total counter\n"
		   "process_cpu_time_seconds_total{service_name=\"shop\",cpu_mode=\"user\"} 1.5\n"
		   "process_cpu_time_seconds_total{service_name=\"shop\",cpu_mode=\"system\"} "
		   "0.020000001\n");
	assert_has(page, "\n# TYPE process_context_switches_total counter\n"
			 "process_context_switches_total{service_name=\"shop\","
			 "process_context_switch_type=\"voluntary\"} 30\n"
			 "process_context_switches_total{service_name=\"shop\","
			 "process_context_switch_type=\"involuntary\"} 4\n");
	assert_has(page, "\n# TYPE process_paging_faults_total counter\n"
			 "process_paging_faults_total{service_name=\"shop\","
			 "system_paging_fault_type=\"minor\"} 500000000000\n"
			 "process_paging_faults_total{service_name=\"shop\","
			 "system_paging_fault_type=\"major\"} 0\n");
	assert_has(page, "\n# TYPE process_memory_usage_bytes gauge\n"
			 "process_memory_usage_bytes{service_name=\"shop\"} 4096\n");
	assert_has(page, "\n# TYPE process_memory_virtual_bytes gauge\n"
			 "process_memory_virtual_bytes{service_name=\"shop\"} 1048576\n");
	assert_has(page, "\n# TYPE process_thread_count gauge\n"
			 "process_thread_count{service_name=\"shop\"} 3\n");
	assert_has(page, "\n# TYPE process_unix_file_descriptor_count gauge\n"
			 "process_unix_file_descriptor_count{service_name=\"shop\"} 17\n");
	assert_null(strstr(page, "bittern_process_"));
	assert_null(strstr(page, "process_pid"));
	free(page);
}

static void what_is_not_known_is_not_shown(void **state)
{
	struct service shop = {.name = "shop", .process_count = 2, .usage = all_known};
	char *page;

	(void)state;
	shop.usage.has_counter[USAGE_SWITCHES_VOLUNTARY] = false;
	shop.usage.has_counter[USAGE_SWITCHES_INVOLUNTARY] = false;
	shop.usage.has_gauge[USAGE_DESCRIPTORS] = false;
	page = render(&shop, NULL, 0);
	assert_null(strstr(page, "process_context_switches"));
	assert_null(strstr(page, "process_unix_file_descriptor_count"));
	assert_has(page, "process_thread_count{");
	free(page);
}

static void of_a_service_that_has_gone_the_counters_stay(void **state)
{
	const struct service shop = {.name = "shop", .usage = all_known};
	char *page = render(&shop, NULL, 0);

	(void)state;
	assert_has(page, "process_cpu_time_seconds_total{");
	assert_has(page, "process_context_switches_total{");
	assert_has(page, "process_paging_faults_total{");
	assert_null(strstr(page, "process_memory"));
	assert_null(strstr(page, "process_thread_count"));
	assert_null(strstr(page, "process_unix_file_descriptor_count"));
	free(page);
}

static void processes_have_families_of_their_own(void **state)
{
	const struct service shop = {
		.name = "shop", .namespace = "eu", .process_count = 2, .usage = all_known};
	const struct service_process processes[] = {{&shop, 30, all_known}, {&shop, 41, all_known}};
	char *page = render(&shop, processes, 2);

	(void)state;
	assert_has(page, "\n# TYPE bittern_process_cpu_time_seconds_total counter\n"
			 "bittern_process_cpu_time_seconds_total{service_name=\"shop\","
			 "service_namespace=\"eu\",process_pid=\"30\",cpu_mode=\"user\"} 1.5\n");
	assert_has(page, "\n# TYPE bittern_process_memory_usage_bytes gauge\n"
			 "bittern_process_memory_usage_bytes{service_name=\"shop\","
			 "service_namespace=\"eu\",process_pid=\"30\"} 4096\n"
			 "bittern_process_memory_usage_bytes{service_name=\"shop\","
			 "service_namespace=\"eu\",process_pid=\"41\"} 4096\n");
	assert_has(page,
		   "\nprocess_thread_count{service_name=\"shop\",service_namespace=\"eu\"} 3\n");
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_has_each_family_once),
		cmocka_unit_test(what_is_not_known_is_not_shown),
		cmocka_unit_test(of_a_service_that_has_gone_the_counters_stay),
		cmocka_unit_test(processes_have_families_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
