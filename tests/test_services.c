// SPDX-License-Identifier: Apache-2.0
#include "services_bench.h"

#include "../agent/process_table.h"

static void a_process_is_part_of_a_service_once_it_serves(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	assert_int_equal(b->wanted[10], 1);
	assert_int_equal(count_services(b), 0);
	service = serve(b, 10, 8000);
	assert_non_null(service);
	assert_string_equal(service->name, "shop");
	assert_int_equal(service->runtime, RUNTIME_PYTHON);
	assert_int_equal(service->lowest_port, 8000);
	assert_int_equal(service->process_count, 1);
	assert_int_equal(service->found_ns, b->now_ns);
	assert_int_equal(strlen(service->instance_id), 36);
	assert_int_equal(service->instance_id[14], '5');
	assert_non_null(service->routes);
	assert_ptr_equal(serve(b, 10, 7000), service);
	assert_int_equal(service->lowest_port, 7000);
	assert_int_equal(service->process_count, 1);
	assert_int_equal(count_services(b), 1);
}

static void an_unknown_pid_is_read_when_it_serves(void **state)
{
	struct bench *b = *state;

	fake_process(&b->fake, 10,
		     &(struct fake_process){.exe = "/usr/bin/node",
					    .arguments = "node|server.js",
					    .cwd = "/srv/shop"});
	assert_string_equal(serve(b, 10, 80)->name, "shop");
	assert_null(serve(b, 11, 80));
	assert_int_equal(services_stats(b->services).unreadable_processes, 1);
	assert_int_equal(services_stats(b->services).process_count, 1);
}

static void unwanted_runtimes_are_told_and_never_bound(void **state)
{
	struct bench *b = *state;

	exec_as(b, 10, 1, "/usr/sbin/nginx", "nginx", "/srv/web");
	assert_int_equal(b->wanted[10], 2);
	assert_null(serve(b, 10, 80));
	assert_null(services_facts(b->services, 10));
	b->config.all_runtimes = true;
	start(b);
	services_exec(b->services, 10, NULL, b->now_ns);
	assert_int_equal(b->wanted[10], 1);
	assert_string_equal(serve(b, 10, 80)->name, "web");
	assert_int_equal(serve(b, 10, 80)->runtime, RUNTIME_OTHER);
}

static void a_scan_finds_what_runs_and_what_has_gone(void **state)
{
	struct bench *b = *state;
	size_t counts[RUNTIME_COUNT], told;

	fake_process(&b->fake, 10, &(struct fake_process){.exe = "/bin/python3", .cwd = "/srv/a"});
	fake_process(&b->fake, 11, &(struct fake_process){.exe = "/bin/node", .cwd = "/srv/b"});
	fake_process(&b->fake, 12, &(struct fake_process){.cwd = "/"}); /* a kernel thread */
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	services_count_runtimes(b->services, counts);
	assert_int_equal(counts[RUNTIME_PYTHON], 1);
	assert_int_equal(counts[RUNTIME_NODEJS], 1);
	assert_int_equal(counts[RUNTIME_OTHER], 1); /* init */
	assert_int_equal(b->wanted[12], 0);
	assert_int_equal(b->wanted[1], 2);
	assert_int_equal(services_stats(b->services).process_count, 3);
	assert_int_equal(services_stats(b->services).unreadable_processes, 0);

	assert_int_equal(serve(b, 10, 80)->process_count, 1);
	fake_gone(&b->fake, 10);
	fake_process(&b->fake, 11, &(struct fake_process){.exe = "/bin/sh"}); /* exec missed */
	told = b->told_count;
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	assert_int_equal(b->told_count, told + 2);
	assert_int_equal(b->wanted[10], 3);
	assert_int_equal(b->wanted[11], 2);
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	assert_int_equal(b->told_count, told + 2);
	assert_int_equal(serve(b, 10, 80)->process_count, 0);
	assert_int_equal(services_stats(b->services).process_count, 2);
	/* The pid is there again: another process. */
	fake_process(&b->fake, 10, &(struct fake_process){.exe = "/bin/node", .cwd = "/srv/c"});
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	assert_string_equal(serve(b, 10, 80)->name, "c");
	b->config.proc_path = "/nonexistent";
	start(b);
	assert_int_equal(services_scan(b->services, b->now_ns), -ENOENT);
}

static void the_real_proc_is_scanned(void **state)
{
	struct bench *b = *state;
	size_t counts[RUNTIME_COUNT];

	b->config.proc_path = "/proc";
	start(b);
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	services_count_runtimes(b->services, counts);
	assert_true(counts[RUNTIME_OTHER] >= 1);
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	assert_true(services_stats(b->services).process_count >= 1);
}

static void a_fork_is_what_its_parent_is(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	services_fork(b->services, 10, 11, b->now_ns); /* before the master is bound */
	assert_int_equal(b->wanted[11], 1);
	service = serve(b, 11, 8000);
	assert_string_equal(service->name, "shop");
	services_fork(b->services, 11, 12, b->now_ns);
	assert_int_equal(service->process_count, 3);
	assert_ptr_equal(serve(b, 12, 9000), service);
	assert_int_equal(services_facts(b->services, 12)->pid, 12);
	assert_int_equal(services_facts(b->services, 12)->parent, 11);
	assert_string_equal(services_facts(b->services, 12)->arg[2], "shop");
	services_fork(b->services, 77, 13, b->now_ns); /* of a parent not known */
	assert_null(services_facts(b->services, 13));
	exec_as(b, 20, 1, "/bin/sh", "sh", "/");
	services_fork(b->services, 20, 21, b->now_ns);
	assert_int_equal(b->wanted[21], 2);
}

static void an_exec_makes_another_process_of_it(void **state)
{
	struct bench *b = *state;
	struct service *shop;

	exec_python(b, 10, "shop");
	shop = serve(b, 10, 8000);
	services_fork(b->services, 10, 11, b->now_ns);
	assert_int_equal(shop->process_count, 2);
	exec_as(b, 11, 10, "/bin/ls", "ls", "/");
	assert_int_equal(b->wanted[11], 2);
	assert_int_equal(shop->process_count, 1);
	assert_null(serve(b, 11, 8000));
	exec_python(b, 10, "till");
	assert_int_equal(shop->process_count, 0);
	assert_true(shop->gone_ns != 0);
	assert_string_equal(serve(b, 10, 8000)->name, "till");
	/* Gone before it could be read. */
	services_exec(b->services, 99, NULL, b->now_ns);
	fake_gone(&b->fake, 10);
	services_exec(b->services, 10, NULL, b->now_ns);
	assert_int_equal(services_stats(b->services).unreadable_processes, 2);
	assert_null(serve(b, 10, 8000));
}

static void records_after_the_exit_still_find_their_service(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	exec_python(b, 11, "till");
	service = serve(b, 10, 8000);
	exit_process(b, 10);
	exit_process(b, 11);
	assert_int_equal(service->process_count, 0);
	assert_ptr_equal(serve(b, 10, 8000), service);
	/* A process that was gone before its first record came. */
	assert_string_equal(serve(b, 11, 80)->name, "till");
	assert_int_equal(serve(b, 11, 80)->process_count, 0);
	assert_true(serve(b, 11, 80)->gone_ns != 0);
	services_expire(b->services, b->now_ns + PROCESS_KEEP_NS - 1);
	assert_ptr_equal(serve(b, 10, 8000), service);
	services_expire(b->services, b->now_ns + PROCESS_KEEP_NS);
	assert_null(serve(b, 10, 8000));
	assert_int_equal(count_services(b), 2);
	services_exit(b->services, 10, 0, false, NULL, b->now_ns);
	services_exit(b->services, 10, 0, false, NULL, b->now_ns);
}

static void a_pid_that_is_used_again_is_a_new_process(void **state)
{
	struct bench *b = *state;
	struct service *shop, *till;

	exec_python(b, 10, "shop");
	exec_python(b, 20, "till");
	shop = serve(b, 10, 8000);
	till = serve(b, 20, 9000);
	exit_process(b, 10);
	services_fork(b->services, 20, 10, b->now_ns);
	assert_ptr_equal(serve(b, 10, 8000), till);
	assert_int_equal(till->process_count, 2);
	assert_int_equal(shop->process_count, 0);
	/* Also where the exit was missed. */
	services_fork(b->services, 1, 10, b->now_ns);
	assert_int_equal(till->process_count, 1);
	/* The earlier process's end takes nothing with it. */
	exec_python(b, 10, "shop");
	assert_ptr_equal(serve(b, 10, 8000), shop);
	services_expire(b->services, b->now_ns + PROCESS_KEEP_NS);
	assert_int_equal(shop->process_count, 1);
	assert_ptr_equal(serve(b, 10, 8000), shop);
}

static const char spawned[] = "python3|-c|from multiprocessing.spawn import spawn_main; "
			      "spawn_main(tracker_fd=5, pipe_handle=7)|--multiprocessing-fork";

static void children_of_multiprocessing_are_what_their_parent_is(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 20, "shop");
	services_fork(b->services, 20, 21, b->now_ns);
	exec_as(b, 21, 20, "/usr/bin/python3", spawned, "/srv/x");
	service = serve(b, 21, 8000);
	assert_string_equal(service->name, "shop");
	services_fork(b->services, 21, 22, b->now_ns);
	exec_as(b, 22, 21, "/usr/bin/python3", spawned, "/srv/x");
	assert_int_equal(service->process_count, 3);
	/* Found by a scan, children first. */
	fake_process(&b->fake, 31,
		     &(struct fake_process){
			     .exe = "/bin/python3", .arguments = "python|-m|till", .parent = 1});
	fake_process(&b->fake, 30,
		     &(struct fake_process){.exe = "/bin/python3",
					    .arguments = spawned,
					    .cwd = "/srv/x",
					    .parent = 31});
	assert_string_equal(serve(b, 30, 9000)->name, "till");
	assert_string_equal(serve(b, 31, 9001)->name, "till");
	/* Without its parent it has a folder. */
	exec_as(b, 40, 1, "/usr/bin/python3", spawned, "/srv/x");
	assert_string_equal(serve(b, 40, 9002)->name, "x");
}

static void children_in_a_ring_end(void **state)
{
	struct bench *b = *state;

	for (int pid = 10; pid < 40; pid++)
		fake_process(&b->fake, pid,
			     &(struct fake_process){.exe = "/bin/python3",
						    .arguments = spawned,
						    .cwd = "/srv/x",
						    .parent = pid == 39 ? 10 : pid + 1});
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	assert_string_equal(serve(b, 10, 80)->name, "x");
	assert_string_equal(serve(b, 25, 81)->name, "x");
}

static void full_tables_refuse_and_count(void **state)
{
	struct bench *b = *state;
	char module[32];
	struct service *first = NULL;

	for (int i = 0; i <= SERVICES_MAX; i++) {
		snprintf(module, sizeof(module), "module%d", i);
		exec_python(b, 1000 + i, module);
		first = first ? first : serve(b, 1000, 80);
		assert_int_equal(serve(b, 1000 + i, 80) != NULL, i < SERVICES_MAX);
	}
	assert_int_equal(services_stats(b->services).refused_services, 1);
	assert_int_equal(services_stats(b->services).service_count, SERVICES_MAX);
	/* Another process of a service that is there is welcome. */
	exec_python(b, 3000, "module0");
	assert_ptr_equal(serve(b, 3000, 80), first);
	/* A place that is given up is taken. */
	assert_null(serve(b, 1000 + SERVICES_MAX, 80));
	exit_process(b, 1001);
	b->now_ns += SERVICE_KEEP_NS;
	services_expire(b->services, b->now_ns);
	assert_non_null(serve(b, 1000 + SERVICES_MAX, 80));
	assert_ptr_equal(services_next(b->services, NULL), first);
	assert_int_equal(count_services(b), SERVICES_MAX);

	for (int pid = 5000; pid < 5000 + SERVICES_PROCESSES_MAX; pid++)
		services_fork(b->services, 1000, pid, b->now_ns);
	assert_int_equal(services_stats(b->services).process_count, SERVICES_PROCESSES_MAX);
	assert_true(services_stats(b->services).refused_processes > 0);
	for (int pid = 5000; pid < 5000 + SERVICES_PROCESSES_MAX; pid++)
		services_exit(b->services, pid, 0, false, NULL, b->now_ns);
	assert_int_equal(first->process_count, 2);
	services_expire(b->services, b->now_ns + PROCESS_KEEP_NS);
	assert_true(services_stats(b->services).process_count < 1100);
}

static void exited_processes_of_no_interest_make_room(void **state)
{
	struct bench *b = *state;
	int last = 5000 + SERVICES_PROCESSES_MAX;

	exec_as(b, 10, 1, "/bin/sh", "sh", "/");
	for (int pid = 5000; pid < last; pid++) {
		services_fork(b->services, 10, pid, b->now_ns);
		services_exit(b->services, pid, 0, false, NULL, b->now_ns);
	}
	assert_int_equal(services_stats(b->services).refused_processes, 0);
	exec_python(b, 11, "shop");
	assert_non_null(serve(b, 11, 80));
}

static void places_of_processes_are_used_again(void **state)
{
	struct process_table table;
	uint32_t capacity;

	(void)state;
	process_table_init(&table, 1000);
	for (int pid = 1; pid <= 1000; pid++)
		assert_non_null(process_table_add(&table, pid));
	assert_null(process_table_add(&table, 1001));
	capacity = table.capacity;
	for (int pid = 1; pid <= 100000; pid++) {
		assert_int_equal(process_table_find(&table, pid)->pid, pid);
		process_table_remove(&table, process_table_find(&table, pid));
		assert_null(process_table_find(&table, pid));
		assert_non_null(process_table_add(&table, pid + 1000));
	}
	assert_int_equal(table.capacity, capacity);
	assert_int_equal(table.count, 1000);
	process_table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_is_part_of_a_service_once_it_serves),
		TEST(an_unknown_pid_is_read_when_it_serves),
		TEST(unwanted_runtimes_are_told_and_never_bound),
		TEST(a_scan_finds_what_runs_and_what_has_gone),
		TEST(the_real_proc_is_scanned),
		TEST(a_fork_is_what_its_parent_is),
		TEST(an_exec_makes_another_process_of_it),
		TEST(records_after_the_exit_still_find_their_service),
		TEST(a_pid_that_is_used_again_is_a_new_process),
		TEST(children_of_multiprocessing_are_what_their_parent_is),
		TEST(children_in_a_ring_end),
		TEST(full_tables_refuse_and_count),
		TEST(exited_processes_of_no_interest_make_room),
		TEST(places_of_processes_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
