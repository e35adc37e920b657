// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/self_metrics.h"
#include "../exporters/otlp_answer.h"

/* The value of the only row with this name and label value (NULL: without label). */
static double value_of(const struct self_metric *rows, size_t count, const char *name,
		       const char *label_value)
{
	const struct self_metric *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		if (label_value ? !rows[i].label || strcmp(rows[i].label_value, label_value) != 0
				: rows[i].label != NULL)
			continue;
		assert_null(found);
		found = &rows[i];
	}
	if (!found)
		fail_msg("no %s %s", name, label_value ? label_value : "");
	return found ? found->value : 0;
}

static void each_input_has_its_row(void **state)
{
	struct self_metric rows[SELF_METRICS_MAX];
	struct self_inputs in = {
		.start_time_unix_ns = 1763776800500000000,
		.services = {.refused_processes = 1,
			     .refused_services = 2,
			     .unreadable_usage = 12,
			     .usage_waiting_count = 13},
		.processes_left_out = 14,
		.series_count = 3,
		.series_overflow = 4,
		.routes_overflow = 5,
		.addresses_overflow = 6,
		.records = {[RECORD_IO] = 7, [RECORD_EXIT] = 8, [RECORD_REAPED] = 15},
		.pool = {.loops_refused = 22, .requests_refused = 23, .jobs_refused = 24},
		.bad_records = 9,
		.lost_requests = 10,
		.scrapes = 11,
		.last_scrape_seconds = 0.5,
	};
	size_t count = self_metrics(rows, &in);
	const char *refusals = "bittern_agent_refusals_total";
	const char *records = "bittern_agent_records_total";

	(void)state;
	assert_true(value_of(rows, count, "bittern_agent_start_time_seconds", NULL) ==
		    1763776800.5);
	assert_true(value_of(rows, count, refusals, "processes") == 1);
	assert_true(value_of(rows, count, refusals, "services") == 2);
	assert_true(value_of(rows, count, "bittern_agent_series", NULL) == 3);
	assert_true(value_of(rows, count, refusals, "series") == 4);
	assert_true(value_of(rows, count, refusals, "routes") == 5);
	assert_true(value_of(rows, count, refusals, "addresses") == 6);
	assert_true(value_of(rows, count, refusals, "pool_loops") == 22);
	assert_true(value_of(rows, count, refusals, "pool_requests") == 23);
	assert_true(value_of(rows, count, refusals, "pool_jobs") == 24);
	assert_true(value_of(rows, count, records, "io") == 7);
	assert_true(value_of(rows, count, records, "exit") == 8);
	assert_true(value_of(rows, count, records, "reaped") == 15);
	assert_true(value_of(rows, count, "bittern_agent_unreadable_usage_total", NULL) == 12);
	assert_true(value_of(rows, count, "bittern_agent_usage_waiting_processes", NULL) == 13);
	assert_true(value_of(rows, count, "bittern_agent_processes_left_out", NULL) == 14);
	assert_true(value_of(rows, count, "bittern_agent_losses_total", "bad_record") == 9);
	assert_true(value_of(rows, count, "bittern_agent_lost_requests_total", NULL) == 10);
	assert_true(value_of(rows, count, "bittern_agent_scrapes_total", NULL) == 11);
	assert_true(value_of(rows, count, "bittern_agent_last_scrape_seconds", NULL) == 0.5);
	assert_true(value_of(rows, count, "bittern_agent_resident_memory_bytes", NULL) > 1e5);
}

static void what_is_seen_of_tls_has_its_rows(void **state)
{
	struct self_metric rows[SELF_METRICS_MAX];
	struct self_inputs in = {
		.tls = {{.file_count = 16,
			 .refused_files = 17,
			 .refused_processes = 25,
			 .lost_mappings = 26},
			.missed_requests = 27},
		.capture = {.tls_counts = {[TLS_SESSIONS] = 18,
					   [TLS_UNJOINED] = 19,
					   [TLS_CONTRADICTIONS] = 20},
			    .sessions_evicted = 21},
	};
	size_t count = self_metrics(rows, &in);

	(void)state;
	assert_true(value_of(rows, count, "bittern_agent_refusals_total", "tls_processes") == 25);
	assert_true(value_of(rows, count, "bittern_agent_tls_lost_mappings_total", NULL) == 26);
	assert_true(value_of(rows, count, "bittern_agent_losses_total", "tls_probe_late") == 27);
	assert_true(value_of(rows, count, "bittern_agent_tls_files", NULL) == 16);
	assert_true(value_of(rows, count, "bittern_agent_tls_refused_files_total", NULL) == 17);
	assert_true(value_of(rows, count, "bittern_agent_tls_sessions_total", NULL) == 18);
	assert_true(value_of(rows, count, "bittern_agent_tls_unjoined_sessions_total", NULL) == 19);
	assert_true(value_of(rows, count, "bittern_agent_tls_contradictions_total", NULL) == 20);
	assert_true(value_of(rows, count, "bittern_agent_tls_evictions_total", NULL) == 21);
}

static void what_is_sent_by_otlp_has_rows_only_when_it_is(void **state)
{
	static const uint64_t failures[OTLP_FAILURE_COUNT] = {[OTLP_FAILED_TLS] = 5};
	struct self_metric rows[SELF_METRICS_MAX];
	struct self_inputs in = {.services = {.untold_services = 9},
				 .otlp = {.on = true,
					  .exports = 1,
					  .retries = 2,
					  .sent_bytes = 3,
					  .replaced = 4,
					  .lost_points = 6,
					  .rejected_points = 7,
					  .queue_age_ns = 8500000000,
					  .last_encode_ns = 250000000,
					  .failures = failures,
					  .failure_names = otlp_failure_names,
					  .failure_count = OTLP_FAILURE_COUNT}};
	size_t count = self_metrics(rows, &in);

	(void)state;
	assert_true(value_of(rows, count, "bittern_agent_otlp_exports_total", NULL) == 1);
	assert_true(value_of(rows, count, "bittern_agent_otlp_retries_total", NULL) == 2);
	assert_true(value_of(rows, count, "bittern_agent_otlp_sent_bytes_total", NULL) == 3);
	assert_true(value_of(rows, count, "bittern_agent_otlp_replaced_total", NULL) == 4);
	assert_true(value_of(rows, count, "bittern_agent_otlp_failures_total", "tls") == 5);
	assert_true(value_of(rows, count, "bittern_agent_otlp_failures_total", "dns") == 0);
	assert_true(value_of(rows, count, "bittern_agent_otlp_lost_points_total", NULL) == 6);
	assert_true(value_of(rows, count, "bittern_agent_otlp_rejected_points_total", NULL) == 7);
	assert_true(value_of(rows, count, "bittern_agent_otlp_queue_age_seconds", NULL) == 8.5);
	assert_true(value_of(rows, count, "bittern_agent_otlp_untold_services_total", NULL) == 9);
	assert_true(value_of(rows, count, "bittern_agent_otlp_last_encode_seconds", NULL) == 0.25);
	in.otlp.on = false;
	count = self_metrics(rows, &in);
	for (size_t i = 0; i < count; i++)
		assert_null(strstr(rows[i].name, "_otlp_"));
}

/* Past SELF_METRICS_MAX rows would be left out without a word. */
static void all_rows_find_room_and_those_of_one_name_stand_together(void **state)
{
	static const uint64_t failures[OTLP_FAILURE_COUNT];
	struct self_metric rows[SELF_METRICS_MAX];
	struct self_inputs in = {.otlp = {.on = true,
					  .failures = failures,
					  .failure_names = otlp_failure_names,
					  .failure_count = OTLP_FAILURE_COUNT}};
	size_t count = self_metrics(rows, &in);

	(void)state;
	assert_true(count < SELF_METRICS_MAX);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(rows[i].name);

		assert_memory_equal(rows[i].name, "bittern_agent_", 14);
		assert_int_equal(rows[i].kind == SELF_COUNTER,
				 len > 6 && !strcmp(rows[i].name + len - 6, "_total"));
		assert_true(rows[i].help && *rows[i].help);
		for (size_t j = i + 2; j < count; j++) {
			if (!strcmp(rows[i].name, rows[j].name))
				assert_string_equal(rows[j - 1].name, rows[j].name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_input_has_its_row),
		cmocka_unit_test(what_is_seen_of_tls_has_its_rows),
		cmocka_unit_test(what_is_sent_by_otlp_has_rows_only_when_it_is),
		cmocka_unit_test(all_rows_find_room_and_those_of_one_name_stand_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
