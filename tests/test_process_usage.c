// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "../agent/clock.h"
#include "../agent/process_usage.h"
#include "../bpf/record.h"
#include "fake_proc.h"

struct bench {
	struct fake_proc fake;
	struct usage_source source;
	struct usage_reading reading;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	fake_open(&b->fake);
	process_usage_open(&b->source, b->fake.proc);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	fake_close(&b->fake);
	free(b);
	return 0;
}

static const struct fake_usage worker = {
	.user_ticks = 123,
	.system_ticks = 45,
	.minor_faults = 678,
	.major_faults = 9,
	.virtual_pages = 5000,
	.resident_pages = 2000,
	.descriptors = 11,
	.begin_ticks = 777,
	.thread_count = 1,
	.threads = {{31, 17}, {100, 200}, {1000, 2000}},
};

static void make(struct bench *b, const struct fake_usage *usage)
{
	fake_gone(&b->fake, 10);
	fake_process(&b->fake, 10, &(struct fake_process){.exe = "/usr/bin/python3"});
	fake_used(&b->fake, 10, usage);
}

static int read_it(struct bench *b)
{
	return process_usage_read(&b->reading, &b->source, 10);
}

static void assert_counters_known(const struct usage *usage, bool cpu_and_faults, bool switches)
{
	assert_int_equal(usage->has_counter[USAGE_CPU_USER_NS], cpu_and_faults);
	assert_int_equal(usage->has_counter[USAGE_CPU_SYSTEM_NS], cpu_and_faults);
	assert_int_equal(usage->has_counter[USAGE_FAULTS_MINOR], cpu_and_faults);
	assert_int_equal(usage->has_counter[USAGE_FAULTS_MAJOR], cpu_and_faults);
	assert_int_equal(usage->has_counter[USAGE_SWITCHES_VOLUNTARY], switches);
	assert_int_equal(usage->has_counter[USAGE_SWITCHES_INVOLUNTARY], switches);
}

static void assert_gauges_known(const struct usage *usage, bool threads, bool memory,
				bool descriptors)
{
	assert_int_equal(usage->has_gauge[USAGE_THREADS], threads);
	assert_int_equal(usage->has_gauge[USAGE_RESIDENT_BYTES], memory);
	assert_int_equal(usage->has_gauge[USAGE_VIRTUAL_BYTES], memory);
	assert_int_equal(usage->has_gauge[USAGE_DESCRIPTORS], descriptors);
}

static void each_number_is_read_from_its_place(void **state)
{
	struct bench *b = *state;
	const struct usage *u = &b->reading.usage;
	uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);

	make(b, &worker);
	assert_int_equal(read_it(b), 0);
	assert_counters_known(u, true, true);
	assert_gauges_known(u, true, true, true);
	assert_int_equal(u->counters[USAGE_CPU_USER_NS], 123 * tick_ns);
	assert_int_equal(u->counters[USAGE_CPU_SYSTEM_NS], 45 * tick_ns);
	assert_int_equal(u->counters[USAGE_FAULTS_MINOR], 678);
	assert_int_equal(u->counters[USAGE_FAULTS_MAJOR], 9);
	assert_int_equal(u->counters[USAGE_SWITCHES_VOLUNTARY], 31);
	assert_int_equal(u->counters[USAGE_SWITCHES_INVOLUNTARY], 17);
	assert_int_equal(u->gauges[USAGE_RESIDENT_BYTES], 2000 * page_bytes);
	assert_int_equal(u->gauges[USAGE_VIRTUAL_BYTES], 5000 * page_bytes);
	assert_int_equal(u->gauges[USAGE_THREADS], 1);
	assert_int_equal(u->gauges[USAGE_DESCRIPTORS], 11);
	assert_int_equal(b->reading.begin_ticks, 777);
	assert_int_equal(b->reading.file_count, 4);
	assert_int_equal(b->reading.refused_count, 0);
}

static void context_switches_are_those_of_all_threads(void **state)
{
	struct bench *b = *state;
	struct fake_usage usage = worker;

	usage.thread_count = 3;
	make(b, &usage);
	assert_int_equal(read_it(b), 0);
	assert_int_equal(b->reading.usage.counters[USAGE_SWITCHES_VOLUNTARY], 1131);
	assert_int_equal(b->reading.usage.counters[USAGE_SWITCHES_INVOLUNTARY], 2217);
	assert_int_equal(b->reading.file_count, 3 + 1 + 3);
}

static void of_more_threads_than_the_bound_the_switches_are_not_read(void **state)
{
	struct bench *b = *state;
	static struct fake_usage usage;

	usage = worker;
	usage.thread_count = PROCESS_USAGE_THREADS_MAX;
	make(b, &usage);
	assert_int_equal(read_it(b), 0);
	assert_counters_known(&b->reading.usage, true, true);
	assert_int_equal(b->reading.file_count, 3 + 1 + PROCESS_USAGE_THREADS_MAX);
	usage.thread_count = PROCESS_USAGE_THREADS_MAX + 1;
	make(b, &usage);
	assert_int_equal(read_it(b), 0);
	assert_counters_known(&b->reading.usage, true, false);
	assert_int_equal(b->reading.usage.gauges[USAGE_THREADS], PROCESS_USAGE_THREADS_MAX + 1);
	assert_int_equal(b->reading.file_count, 3);
	assert_int_equal(b->reading.refused_count, 1);
}

static void who_is_gone_or_a_zombie_has_no_usage(void **state)
{
	struct bench *b = *state;
	struct fake_usage usage = worker;

	assert_int_equal(read_it(b), -ESRCH);
	assert_int_equal(b->reading.refused_count, 0);
	usage.state = 'Z';
	make(b, &usage);
	assert_int_equal(read_it(b), -ESRCH);
	assert_int_equal(b->reading.refused_count, 0);
}

static void what_cannot_be_read_is_not_known_and_is_counted(void **state)
{
	struct bench *b = *state;
	const struct usage *u = &b->reading.usage;
	char path[128];

	make(b, &worker);
	fake_unreadable(&b->fake, 10, "statm");
	assert_int_equal(read_it(b), 0);
	assert_counters_known(u, true, true);
	assert_gauges_known(u, true, false, true);
	assert_int_equal(b->reading.refused_count, 1);

	make(b, &worker);
	snprintf(path, sizeof(path), "%s/10/fd", b->fake.proc);
	fake_remove(path);
	assert_int_equal(read_it(b), 0);
	assert_gauges_known(u, true, true, false);
	assert_int_equal(b->reading.refused_count, 1);

	make(b, &worker);
	fake_unreadable(&b->fake, 10, "status");
	assert_int_equal(read_it(b), 0);
	assert_counters_known(u, true, false);
	assert_int_equal(b->reading.refused_count, 1);

	/* Without the number of threads all there are are asked. */
	make(b, &worker);
	fake_unreadable(&b->fake, 10, "stat");
	assert_int_equal(read_it(b), 0);
	assert_counters_known(u, false, true);
	assert_gauges_known(u, false, true, true);
	assert_int_equal(b->reading.begin_ticks, 0);
	assert_int_equal(b->reading.refused_count, 1);
}

static void what_is_not_understood_is_not_known(void **state)
{
	static const char *const stats[] = {
		"",
		"10",
		"10 (python",
		"10 (python)",
		"10 (python) S",
		"10 (python) S 1 10 10 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0",
		"10 (python) S 1 10 10 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12x",
		"10 (python) S 1 10 10 0 -1 4194304 1 2 3 4 five 6 7 8 20 0 1 0 12",
		"10 (python) S 1 10 10 0 -1 4194304 1 2 3 4 99999999999999999999 6 7 8 20 0 1 0 12",
	};
	struct bench *b = *state;
	char path[128];

	make(b, &worker);
	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++) {
		snprintf(path, sizeof(path), "%s/10/stat", b->fake.proc);
		fake_write(path, stats[i], strlen(stats[i]));
		assert_int_equal(read_it(b), 0);
		assert_counters_known(&b->reading.usage, false, true);
		assert_int_equal(b->reading.refused_count, 1);
	}
	make(b, &worker);
	snprintf(path, sizeof(path), "%s/10/statm", b->fake.proc);
	fake_write(path, "100\n", 4);
	assert_int_equal(read_it(b), 0);
	assert_gauges_known(&b->reading.usage, true, false, true);
}

/* This process, by the kernel's own /proc. */
static void the_real_proc_agrees_with_getrusage(void **state)
{
	struct usage_source source;
	struct usage_reading reading;
	struct rusage before, after;
	uint64_t before_ns, after_ns;
	const uint64_t *c = reading.usage.counters;
	uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);

	(void)state;
	process_usage_open(&source, "/proc");
	getrusage(RUSAGE_SELF, &before);
	before_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	assert_int_equal(process_usage_read(&reading, &source, getpid()), 0);
	after_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(c[USAGE_CPU_USER_NS] + c[USAGE_CPU_SYSTEM_NS], before_ns, after_ns);
	assert_int_equal(reading.refused_count, 0);
	assert_in_range(c[USAGE_CPU_USER_NS] + 2 * tick_ns,
			(uint64_t)before.ru_utime.tv_sec * 1000000000 +
				(uint64_t)before.ru_utime.tv_usec * 1000,
			(uint64_t)after.ru_utime.tv_sec * 1000000000 +
				(uint64_t)after.ru_utime.tv_usec * 1000 + 3 * tick_ns);
	assert_in_range(c[USAGE_FAULTS_MINOR], before.ru_minflt, after.ru_minflt);
	assert_in_range(c[USAGE_SWITCHES_VOLUNTARY], before.ru_nvcsw, after.ru_nvcsw);
	assert_in_range(c[USAGE_SWITCHES_INVOLUNTARY], before.ru_nivcsw, after.ru_nivcsw);
	assert_int_equal(reading.usage.gauges[USAGE_THREADS], 1);
	assert_true(reading.usage.gauges[USAGE_RESIDENT_BYTES] > 100000);
	assert_true(reading.usage.gauges[USAGE_VIRTUAL_BYTES] >
		    reading.usage.gauges[USAGE_RESIDENT_BYTES]);
}

static void descriptors_are_counted_alike_by_size_and_by_entry(void **state)
{
	struct usage_source source = {.proc_path = "/proc", .size_is_count = false};
	struct usage_reading by_size, by_entry;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(process_usage_read(&by_entry, &source, getpid()), 0);
	process_usage_open(&source, "/proc");
	assert_int_equal(process_usage_read(&by_size, &source, getpid()), 0);
	/* While it reads it has the process's folder open, and to read fd/ this one too. */
	assert_int_equal(by_size.usage.gauges[USAGE_DESCRIPTORS] + source.size_is_count,
			 by_entry.usage.gauges[USAGE_DESCRIPTORS]);
	close(fds[0]);
	close(fds[1]);
}

static void assert_cpu(const struct record_usage *record, uint64_t user_ns, uint64_t system_ns)
{
	struct usage usage;

	process_usage_of_record(&usage, record);
	assert_int_equal(usage.counters[USAGE_CPU_USER_NS], user_ns);
	assert_int_equal(usage.counters[USAGE_CPU_SYSTEM_NS], system_ns);
	assert_counters_known(&usage, true, true);
	assert_gauges_known(&usage, false, false, false);
}

/* kernel/sched/cputime.c, cputime_adjust() */
static void the_exact_time_is_split_as_the_kernel_splits_it(void **state)
{
	(void)state;
	assert_cpu(&(struct record_usage){}, 0, 0);
	/* No tick has fallen into it: user time. */
	assert_cpu(&(struct record_usage){.run_ns = 999}, 999, 0);
	assert_cpu(&(struct record_usage){.user_ns = 4, .run_ns = 999}, 999, 0);
	assert_cpu(&(struct record_usage){.system_ns = 4, .run_ns = 999}, 0, 999);
	/* As the ticks fell, rounded down for the system. */
	assert_cpu(&(struct record_usage){.user_ns = 8, .system_ns = 4, .run_ns = 1000}, 667, 333);
	/* Days of CPU time: no overflow. */
	assert_cpu(&(struct record_usage){.user_ns = 3000000000000000000,
					  .system_ns = 1000000000000000000,
					  .run_ns = 4000000000000000008},
		   3000000000000000006, 1000000000000000002);
	/* Neither falls behind what was shown. */
	assert_cpu(&(struct record_usage){.user_ns = 8,
					  .system_ns = 4,
					  .run_ns = 1000,
					  .shown_user_ns = 100,
					  .shown_system_ns = 400},
		   600, 400);
	assert_cpu(&(struct record_usage){.user_ns = 4,
					  .system_ns = 8,
					  .run_ns = 1000,
					  .shown_user_ns = 400,
					  .shown_system_ns = 100},
		   400, 600);
	assert_cpu(&(struct record_usage){.user_ns = 4,
					  .system_ns = 8,
					  .run_ns = 1000,
					  .shown_user_ns = 700,
					  .shown_system_ns = 400},
		   700, 400);
}

static void the_rest_of_a_record_is_taken_as_it_is(void **state)
{
	const struct record_usage record = {.voluntary_switches = 1,
					    .involuntary_switches = 2,
					    .minor_faults = 3,
					    .major_faults = 4};
	struct usage usage;

	(void)state;
	process_usage_of_record(&usage, &record);
	assert_int_equal(usage.counters[USAGE_SWITCHES_VOLUNTARY], 1);
	assert_int_equal(usage.counters[USAGE_SWITCHES_INVOLUNTARY], 2);
	assert_int_equal(usage.counters[USAGE_FAULTS_MINOR], 3);
	assert_int_equal(usage.counters[USAGE_FAULTS_MAJOR], 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_number_is_read_from_its_place),
		TEST(context_switches_are_those_of_all_threads),
		TEST(of_more_threads_than_the_bound_the_switches_are_not_read),
		TEST(who_is_gone_or_a_zombie_has_no_usage),
		TEST(what_cannot_be_read_is_not_known_and_is_counted),
		TEST(what_is_not_understood_is_not_known),
		cmocka_unit_test(the_real_proc_agrees_with_getrusage),
		cmocka_unit_test(descriptors_are_counted_alike_by_size_and_by_entry),
		cmocka_unit_test(the_exact_time_is_split_as_the_kernel_splits_it),
		cmocka_unit_test(the_rest_of_a_record_is_taken_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
