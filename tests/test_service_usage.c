// SPDX-License-Identifier: Apache-2.0
/* What the processes of a service have used and hold, summed, also when they come and go. */
#include "services_bench.h"

#define MS 1000000ull
#define S 1000000000ull
#define FILES 1000 /* for all that a test has */
#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))

static const char gunicorn[] = "python|/usr/bin/gunicorn|shop.wsgi:app|--workers=2";

/* A process has used so many ticks of 10 ms (a third of them for the system), so many switches and
 * faults, and holds so many pages, threads and descriptors. */
static void use(struct bench *b, int pid, unsigned ticks, unsigned pages)
{
	struct fake_usage usage = {.user_ticks = ticks - ticks / 3,
				   .system_ticks = ticks / 3,
				   .minor_faults = 10 * ticks,
				   .major_faults = ticks,
				   .virtual_pages = 10 * pages,
				   .resident_pages = pages,
				   .descriptors = 7,
				   .begin_ticks = (unsigned)pid,
				   .thread_count = 1,
				   .threads = {{20 * ticks, 30 * ticks}}};

	fake_used(&b->fake, pid, &usage);
}

/* The same as a record has it. */
static struct usage used(uint64_t ms)
{
	struct usage usage = {.counters = {(ms - ms / 30 * 10) * MS, ms / 30 * 10 * MS, 2 * ms,
					   3 * ms, ms, ms / 10}};

	memset(usage.has_counter, true, sizeof(usage.has_counter));
	return usage;
}

static void exec_used(struct bench *b, int pid, const char *arguments, uint64_t ms, unsigned ticks)
{
	struct usage usage = used(ms);

	fake_process(&b->fake, pid,
		     &(struct fake_process){.exe = "/usr/bin/python3",
					    .arguments = arguments,
					    .cwd = "/srv/shop",
					    .parent = 1});
	use(b, pid, ticks, 100);
	services_exec(b->services, pid, &usage, b->now_ns);
}

static void fork_used(struct bench *b, int parent, int pid, unsigned ticks, unsigned pages)
{
	fake_process(&b->fake, pid,
		     &(struct fake_process){.exe = "/usr/bin/python3", .parent = parent});
	use(b, pid, ticks, pages);
	services_fork(b->services, parent, pid, b->now_ns);
}

static void end_used(struct bench *b, int pid, uint64_t at_exit_ms, uint64_t ms)
{
	struct usage at_exit = used(at_exit_ms), in_all = used(ms);

	fake_gone(&b->fake, pid);
	services_exit(b->services, pid, EXITED(0), false, &at_exit, b->now_ns);
	services_reaped(b->services, pid, &in_all);
}

static void read_usage(struct bench *b)
{
	b->now_ns += S;
	services_read_usage(b->services, FILES, b->now_ns);
}

static uint64_t cpu_ms(const struct usage *usage)
{
	assert_true(usage->has_counter[USAGE_CPU_USER_NS]);
	assert_true(usage->has_counter[USAGE_CPU_SYSTEM_NS]);
	return (usage->counters[USAGE_CPU_USER_NS] + usage->counters[USAGE_CPU_SYSTEM_NS]) / MS;
}

static uint64_t held(const struct service *service, enum usage_gauge gauge)
{
	assert_true(service->usage.has_gauge[gauge]);
	return service->usage.gauges[gauge];
}

static void sums_count_from_when_the_first_process_was_seen(void **state)
{
	struct bench *b = *state;
	uint64_t seen_ns = b->now_ns;
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 30);
	b->now_ns += 5 * S;
	fork_used(b, 10, 11, 6, 200);
	b->now_ns += 5 * S;
	service = serve(b, 10, 8000);
	assert_int_equal(service->usage_since_ns, seen_ns);
	assert_int_equal(service->found_ns, b->now_ns);
	fork_used(b, 10, 12, 6, 200);
	serve(b, 11, 8000);
	assert_int_equal(service->usage_since_ns, seen_ns);
}

static void a_service_has_the_sums_of_its_processes(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 30);
	fork_used(b, 10, 11, 6, 200);
	fork_used(b, 10, 12, 9, 400);
	service = serve(b, 11, 8000);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 450);
	assert_int_equal(service->usage.counters[USAGE_CPU_SYSTEM_NS], 150 * MS);
	assert_int_equal(service->usage.counters[USAGE_FAULTS_MINOR], 450);
	assert_int_equal(service->usage.counters[USAGE_FAULTS_MAJOR], 45);
	assert_int_equal(service->usage.counters[USAGE_SWITCHES_VOLUNTARY], 900);
	assert_int_equal(service->usage.counters[USAGE_SWITCHES_INVOLUNTARY], 1350);
	assert_int_equal(held(service, USAGE_RESIDENT_BYTES), 700 * PAGE);
	assert_int_equal(held(service, USAGE_VIRTUAL_BYTES), 7000 * PAGE);
	assert_int_equal(held(service, USAGE_THREADS), 3);
	assert_int_equal(held(service, USAGE_DESCRIPTORS), 21);
}

static void what_was_used_before_a_process_was_seen_is_not_added(void **state)
{
	struct bench *b = *state;
	struct service *service;

	/* Found by the first look at /proc. */
	fake_process(&b->fake, 10,
		     &(struct fake_process){.exe = "/bin/node",
					    .arguments = "node|a.js",
					    .cwd = "/srv/a",
					    .parent = 1});
	use(b, 10, 500, 100);
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	use(b, 10, 503, 100); /* between then and its first request */
	service = serve(b, 10, 8000);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 30);
	assert_int_equal(service->usage.counters[USAGE_FAULTS_MINOR], 30);
	assert_int_equal(service->usage.counters[USAGE_SWITCHES_VOLUNTARY], 60);
	/* By its first request. */
	fake_process(&b->fake, 20,
		     &(struct fake_process){.exe = "/bin/node",
					    .arguments = "node|b.js",
					    .cwd = "/srv/b",
					    .parent = 1});
	use(b, 20, 700, 100);
	service = serve(b, 20, 9000);
	assert_int_equal(cpu_ms(&service->usage), 0);
	use(b, 20, 706, 100);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 60);
	/* By the exec that made it this program; /proc is read a little later. */
	exec_used(b, 30, "python|c.py", 1000, 102);
	service = serve(b, 30, 7000);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 20);
}

static void the_sums_of_a_service_never_go_back_when_workers_come_and_go(void **state)
{
	struct bench *b = *state;
	struct service *service;
	uint64_t last_ms = 0, truth_ms = 0;

	exec_used(b, 10, gunicorn, 0, 0);
	service = serve(b, 10, 8000);
	for (int pid = 11; pid < 40; pid++) {
		uint64_t ms;

		fork_used(b, 10, pid, (unsigned)pid, 100);
		read_usage(b);
		assert_int_equal(held(service, USAGE_RESIDENT_BYTES), 200 * PAGE);
		ms = cpu_ms(&service->usage);
		assert_true(ms >= last_ms);
		/* /proc told of pid ticks; its end of a little more. */
		end_used(b, pid, (uint64_t)pid * 10 + 3, (uint64_t)pid * 10 + 7);
		truth_ms += (uint64_t)pid * 10 + 7;
		last_ms = cpu_ms(&service->usage);
		assert_int_equal(last_ms, truth_ms);
		read_usage(b);
		assert_int_equal(cpu_ms(&service->usage), truth_ms);
		assert_int_equal(held(service, USAGE_RESIDENT_BYTES), 100 * PAGE);
	}
	/* All gone, and again there: the sums go on. */
	end_used(b, 10, 5, 5);
	truth_ms += 5;
	read_usage(b);
	assert_int_equal(service->process_count, 0);
	assert_int_equal(cpu_ms(&service->usage), truth_ms);
	assert_false(service->usage.has_gauge[USAGE_RESIDENT_BYTES]);
	exec_used(b, 50, gunicorn, 4, 2);
	assert_ptr_equal(serve(b, 50, 8000), service);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), truth_ms + 16);
}

static void a_worker_that_was_never_read_leaves_all_it_used(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 0);
	service = serve(b, 10, 8000);
	services_fork(b->services, 10, 11, b->now_ns);
	end_used(b, 11, 70, 77);
	assert_int_equal(cpu_ms(&service->usage), 77);
	assert_int_equal(service->usage.counters[USAGE_SWITCHES_INVOLUNTARY], 231);
	assert_int_equal(service->usage.counters[USAGE_FAULTS_MINOR], 77);
}

static void a_smaller_number_read_later_takes_nothing_back(void **state)
{
	struct bench *b = *state;
	struct usage less = used(40);
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 6);
	service = serve(b, 10, 8000);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 60);
	use(b, 10, 3, 100); /* switches of a thread that has ended, for one */
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 60);
	services_exit(b->services, 10, EXITED(0), false, &less, b->now_ns);
	assert_int_equal(cpu_ms(&service->usage), 60);
}

static void cpu_time_that_is_split_otherwise_later_is_not_counted_twice(void **state)
{
	static const struct {
		uint64_t user_ms, system_ms; /* told */
		uint64_t counted_user_ms, counted_system_ms;
	} told[] = {
		{60, 30, 60, 30}, /* at the exit; freeing the memory makes the system's part more */
		{50, 50, 60, 40}, {70, 40, 70, 40}, {90, 30, 80, 40}, {20, 90, 80, 40},
	};
	struct bench *b = *state;
	struct usage usage = used(0);
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 0);
	service = serve(b, 10, 8000);
	services_exit(b->services, 10, EXITED(0), false, NULL, b->now_ns);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		usage.counters[USAGE_CPU_USER_NS] = told[i].user_ms * MS;
		usage.counters[USAGE_CPU_SYSTEM_NS] = told[i].system_ms * MS;
		services_reaped(b->services, 10, &usage);
		assert_int_equal(service->usage.counters[USAGE_CPU_USER_NS],
				 told[i].counted_user_ms * MS);
		assert_int_equal(service->usage.counters[USAGE_CPU_SYSTEM_NS],
				 told[i].counted_system_ms * MS);
	}
}

static void an_exit_that_is_told_before_its_requests_counts_once_they_are(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_used(b, 10, "python|a.py", 0, 0);
	end_used(b, 10, 30, 33);
	service = serve(b, 10, 8000);
	assert_int_equal(cpu_ms(&service->usage), 33);
}

static void what_a_program_used_stays_with_it_when_another_takes_its_process(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 5);
	service = serve(b, 10, 8000);
	read_usage(b);
	exec_used(b, 10, "python|other.py", 90, 12);
	assert_int_equal(service->process_count, 0);
	assert_int_equal(cpu_ms(&service->usage), 90);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 90);
	service = serve(b, 10, 9000);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 30);
}

static void another_process_of_the_same_pid_is_not_taken_for_it(void **state)
{
	struct bench *b = *state;
	struct fake_usage other = {.user_ticks = 900, .begin_ticks = 4711, .thread_count = 1};
	struct usage late = used(500);
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 5);
	service = serve(b, 10, 8000);
	read_usage(b);
	fake_used(&b->fake, 10, &other); /* the records of both are on the way */
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 50);
	services_exit(b->services, 10, EXITED(0), false, NULL, b->now_ns);
	services_fork(b->services, 1, 10, b->now_ns);
	exec_used(b, 10, gunicorn, 0, 1);
	services_reaped(b->services, 10, &late); /* of the one before */
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 60);
}

static void a_sum_with_a_part_unknown_is_none(void **state)
{
	struct bench *b = *state;
	struct service *shop, *till;

	exec_used(b, 10, gunicorn, 0, 3);
	fork_used(b, 10, 11, 3, 100);
	shop = serve(b, 10, 8000);
	exec_used(b, 20, "python|-m|till", 0, 3);
	till = serve(b, 20, 9000);
	fake_gone(&b->fake, 11); /* its record is on the way */
	fork_used(b, 10, 12, 3, 100);
	fake_unreadable(&b->fake, 12, "statm");
	read_usage(b);
	assert_false(shop->usage.has_gauge[USAGE_RESIDENT_BYTES]);
	assert_false(shop->usage.has_gauge[USAGE_VIRTUAL_BYTES]);
	assert_int_equal(held(shop, USAGE_THREADS), 2);
	assert_int_equal(held(till, USAGE_RESIDENT_BYTES), 100 * PAGE);
	assert_int_equal(services_stats(b->services).unreadable_usage, 1);
	end_used(b, 12, 30, 30);
	end_used(b, 11, 30, 30);
	read_usage(b);
	assert_int_equal(held(shop, USAGE_RESIDENT_BYTES), 100 * PAGE);
}

static void a_counter_that_cannot_be_read_first_begins_when_it_can(void **state)
{
	struct bench *b = *state;
	struct service *service;

	fake_process(&b->fake, 10,
		     &(struct fake_process){
			     .exe = "/bin/node", .arguments = "node|a.js", .cwd = "/srv/a"});
	use(b, 10, 500, 100);
	fake_unreadable(&b->fake, 10, "stat");
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	service = serve(b, 10, 8000);
	assert_false(service->usage.has_counter[USAGE_CPU_USER_NS]);
	assert_true(service->usage.has_counter[USAGE_SWITCHES_VOLUNTARY]);
	fake_gone(&b->fake, 10);
	fake_process(&b->fake, 10, &(struct fake_process){.exe = "/bin/node"});
	use(b, 10, 600, 100);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 0);
	assert_int_equal(service->usage.counters[USAGE_SWITCHES_VOLUNTARY], 2000);
	use(b, 10, 601, 100);
	read_usage(b);
	assert_int_equal(cpu_ms(&service->usage), 10);
}

static void a_process_is_read_once_a_second_at_most(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_used(b, 10, gunicorn, 0, 3);
	service = serve(b, 10, 8000);
	read_usage(b);
	use(b, 10, 4, 100);
	b->now_ns += S - 1;
	services_read_usage(b->services, FILES, b->now_ns);
	assert_int_equal(cpu_ms(&service->usage), 30);
	assert_int_equal(held(service, USAGE_RESIDENT_BYTES), 100 * PAGE);
	b->now_ns++;
	services_read_usage(b->services, FILES, b->now_ns);
	assert_int_equal(cpu_ms(&service->usage), 40);
}

static void many_processes_are_read_in_turns(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_used(b, 100, gunicorn, 0, 0);
	service = serve(b, 100, 8000);
	for (int pid = 101; pid < 130; pid++)
		fork_used(b, 100, pid, 0, 100);
	for (int pid = 100; pid < 130; pid++)
		use(b, pid, 1, 100);
	b->now_ns += S;
	/* Four files each: ten at a time. */
	for (uint64_t calls = 1; calls <= 3; calls++) {
		services_read_usage(b->services, 40, b->now_ns);
		assert_int_equal(cpu_ms(&service->usage), calls * 100);
		assert_int_equal(services_stats(b->services).usage_waiting_count, 30 - calls * 10);
	}
	assert_int_equal(held(service, USAGE_THREADS), 30);
	/* The next round begins with those that waited longest, also if others are due. */
	for (int pid = 100; pid < 130; pid++)
		use(b, pid, 2, 100);
	for (uint64_t calls = 1; calls <= 3; calls++) {
		b->now_ns += S;
		services_read_usage(b->services, 40, b->now_ns);
		assert_int_equal(cpu_ms(&service->usage), 300 + calls * 100);
	}
}

static void processes_are_listed_by_service_with_what_each_used_since_it_was_seen(void **state)
{
	struct bench *b = *state;
	struct service_process list[4];
	struct service *shop, *till;

	exec_used(b, 40, gunicorn, 1000, 103);
	fork_used(b, 40, 30, 6, 200);
	shop = serve(b, 40, 8000);
	exec_used(b, 20, "python|-m|till", 0, 9);
	till = serve(b, 20, 9000);
	exec_used(b, 10, "python|-m|script", 0, 9); /* of no service */
	read_usage(b);
	assert_int_equal(services_list_processes(b->services, list, 4), 3);
	assert_ptr_equal(list[0].service, shop);
	assert_int_equal(list[0].pid, 30);
	assert_int_equal(cpu_ms(&list[0].usage), 60);
	assert_int_equal(list[0].usage.gauges[USAGE_RESIDENT_BYTES], 200 * PAGE);
	assert_int_equal(list[1].pid, 40);
	assert_int_equal(cpu_ms(&list[1].usage), 30);
	assert_ptr_equal(list[2].service, till);
	assert_int_equal(list[2].pid, 20);
	assert_int_equal(list[2].usage.gauges[USAGE_DESCRIPTORS], 7);
	list[1].pid = 0;
	assert_int_equal(services_list_processes(b->services, list, 1), 3);
	assert_int_equal(list[0].pid, 30);
	assert_int_equal(list[1].pid, 0);
	end_used(b, 30, 60, 60);
	assert_int_equal(services_list_processes(b->services, list, 4), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sums_count_from_when_the_first_process_was_seen),
		TEST(a_service_has_the_sums_of_its_processes),
		TEST(what_was_used_before_a_process_was_seen_is_not_added),
		TEST(the_sums_of_a_service_never_go_back_when_workers_come_and_go),
		TEST(a_worker_that_was_never_read_leaves_all_it_used),
		TEST(a_smaller_number_read_later_takes_nothing_back),
		TEST(cpu_time_that_is_split_otherwise_later_is_not_counted_twice),
		TEST(an_exit_that_is_told_before_its_requests_counts_once_they_are),
		TEST(what_a_program_used_stays_with_it_when_another_takes_its_process),
		TEST(another_process_of_the_same_pid_is_not_taken_for_it),
		TEST(a_sum_with_a_part_unknown_is_none),
		TEST(a_counter_that_cannot_be_read_first_begins_when_it_can),
		TEST(a_process_is_read_once_a_second_at_most),
		TEST(many_processes_are_read_in_turns),
		TEST(processes_are_listed_by_service_with_what_each_used_since_it_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
