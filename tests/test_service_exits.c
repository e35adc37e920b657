// SPDX-License-Identifier: Apache-2.0
/* Which processes are a service's, and how their ends are counted. */
#include "services_bench.h"

#include <signal.h>

static const char gunicorn[] = "python|/usr/bin/gunicorn|shop.wsgi:app|--workers=2";

/* A master and two workers; the first of them serves. */
static struct service *start_gunicorn(struct bench *b, int master)
{
	exec_as(b, master, 1, "/usr/bin/python3", gunicorn, "/srv/shop");
	services_fork(b->services, master, master + 1, b->now_ns);
	services_fork(b->services, master, master + 2, b->now_ns);
	return serve(b, master + 1, 8000);
}

static uint64_t exits_in_sum(const struct service *service)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < SERVICE_EXIT_COUNT; i++)
		sum += service->exit_counts[i];
	return sum;
}

static void ends_are_counted_by_signal_and_by_code(void **state)
{
	static const struct {
		uint32_t code;
		bool oom_victim;
		int kind; /* -1: no end that can be */
	} cases[] = {
		{EXITED(0), false, SERVICE_EXIT_ZERO},
		{EXITED(0), true, SERVICE_EXIT_ZERO},
		{EXITED(1), false, SERVICE_EXIT_NONZERO},
		{EXITED(255), true, SERVICE_EXIT_NONZERO},
		{SIGHUP, false, SIGHUP},
		{SIGKILL, false, SIGKILL},
		{SIGKILL, true, SERVICE_EXIT_OOM_KILLED},
		{SIGABRT | 0x80, false, SIGABRT}, /* with a core dump */
		{SIGSEGV, true, SIGSEGV},
		{64, false, 64},
		{65, false, -1},
	};
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	service = serve(b, 10, 8000);
	for (int i = 0; i < (int)(sizeof(cases) / sizeof(*cases)); i++) {
		services_fork(b->services, 10, 100 + i, b->now_ns);
		assert_int_equal(service->process_count, 2);
		memset(service->exit_counts, 0, sizeof(service->exit_counts));
		services_exit(b->services, 100 + i, cases[i].code, cases[i].oom_victim, NULL,
			      b->now_ns);
		services_exit(b->services, 100 + i, EXITED(3), false, NULL, b->now_ns);
		assert_int_equal(service->process_count, 1);
		assert_int_equal(exits_in_sum(service), cases[i].kind >= 0 ? 1 : 0);
		if (cases[i].kind >= 0)
			assert_int_equal(service->exit_counts[cases[i].kind], 1);
	}
}

static void a_master_and_all_its_workers_are_the_services_processes(void **state)
{
	struct bench *b = *state;
	struct service *service = start_gunicorn(b, 10);

	assert_int_equal(service->process_count, 3);
	assert_ptr_equal(serve(b, 12, 8000), service);
	assert_int_equal(service->process_count, 3);
	end_process(b, 12, SIGKILL);
	services_fork(b->services, 10, 13, b->now_ns);
	assert_int_equal(service->process_count, 3);
	end_process(b, 13, EXITED(3)); /* it never served */
	assert_int_equal(service->process_count, 2);
	end_process(b, 11, EXITED(0));
	end_process(b, 10, EXITED(3));
	assert_int_equal(service->process_count, 0);
	assert_int_equal(service->exit_counts[SIGKILL], 1);
	assert_int_equal(service->exit_counts[SERVICE_EXIT_ZERO], 1);
	assert_int_equal(service->exit_counts[SERVICE_EXIT_NONZERO], 2);
	assert_int_equal(exits_in_sum(service), 4);
}

static void workers_that_their_master_executes_are_known_before_they_serve(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_as(b, 10, 1, "/bin/node", "node|app.js", "/srv/shop");
	exec_as(b, 11, 10, "/bin/node", "/bin/node|/srv/shop/app.js", "/srv/shop");
	service = serve(b, 11, 8000);
	assert_int_equal(service->process_count, 2);
	exec_as(b, 12, 10, "/bin/node", "/bin/node|/srv/shop/app.js", "/srv/shop");
	assert_int_equal(service->process_count, 3);
	end_process(b, 12, EXITED(7));
	assert_int_equal(service->exit_counts[SERVICE_EXIT_NONZERO], 1);
	assert_int_equal(count_services(b), 1);
}

static void what_a_service_starts_as_another_program_is_none_of_it(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_as(b, 10, 1, "/usr/bin/python3", "python|server.py", "/srv/shop");
	service = serve(b, 10, 8000);
	/* By fork and exec, and by vfork and exec, of which only the exec is heard. */
	services_fork(b->services, 10, 11, b->now_ns);
	exec_as(b, 11, 10, "/bin/ls", "ls", "/srv/shop");
	exec_as(b, 12, 10, "/bin/ls", "ls", "/srv/shop");
	services_fork(b->services, 10, 13, b->now_ns);
	exec_as(b, 13, 10, "/usr/bin/python3", "python|report.py", "/srv/shop");
	exec_as(b, 14, 10, "/usr/bin/python3",
		"python|-c|from multiprocessing.resource_tracker import main;main(4)", "/srv/shop");
	exec_as(b, 15, 10, "/usr/bin/python3", "python|-c|print()", "/srv/shop");
	assert_int_equal(service->process_count, 1);
	for (int pid = 11; pid <= 15; pid++)
		end_process(b, pid, EXITED(1));
	services_exit(b->services, 16, EXITED(127), false, NULL,
		      b->now_ns); /* a vfork without exec */
	assert_int_equal(exits_in_sum(service), 0);
	/* A fork that stays what it is counts. Node.js has none: its fork could not exec. */
	services_fork(b->services, 10, 17, b->now_ns);
	end_process(b, 17, EXITED(0));
	assert_int_equal(exits_in_sum(service), 1);
	assert_int_equal(service->process_count, 1);
	exec_as(b, 20, 1, "/bin/node", "node|server.js", "/srv/till");
	service = serve(b, 20, 9000);
	services_fork(b->services, 20, 21, b->now_ns);
	assert_int_equal(service->process_count, 1);
	end_process(b, 21, EXITED(127));
	assert_int_equal(exits_in_sum(service), 0);
}

static void programs_of_another_master_are_none_of_it(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_as(b, 20, 1, "/usr/bin/python3", gunicorn, "/srv/shop");
	services_fork(b->services, 20, 21, b->now_ns);
	service = start_gunicorn(b, 10);
	assert_int_equal(service->process_count, 3);
	end_process(b, 21, EXITED(1));
	assert_int_equal(exits_in_sum(service), 0);
}

static void a_crash_loop_is_counted_also_before_it_serves(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_as(b, 10, 1, "/bin/node", "node|server.js", "/srv/till");
	service = serve(b, 10, 8000);
	for (int pid = 11; pid < 20; pid++) {
		end_process(b, pid - 1, EXITED(1));
		assert_int_equal(service->process_count, 0);
		exec_as(b, pid, 1, "/bin/node", "node|server.js", "/srv/till");
		assert_int_equal(service->process_count, 1);
		assert_int_equal(service->gone_ns, 0);
	}
	assert_int_equal(service->exit_counts[SERVICE_EXIT_NONZERO], 9);
	assert_ptr_equal(serve(b, 19, 8000), service);
	assert_int_equal(service->process_count, 1);
	/* On another port it is still the only one of that name. */
	end_process(b, 19, SIGTERM);
	exec_as(b, 20, 1, "/bin/node", "node|server.js", "/srv/till");
	assert_ptr_equal(serve(b, 20, 8001), service);
	assert_string_equal(service->name, "till");
	assert_int_equal(service->exit_counts[SIGTERM], 1);
	assert_int_equal(count_services(b), 1);
	/* A master that comes back brings its workers. */
	service = start_gunicorn(b, 30);
	for (int pid = 32; pid >= 30; pid--)
		end_process(b, pid, EXITED(0));
	exec_as(b, 40, 1, "/usr/bin/python3", gunicorn, "/srv/shop");
	services_fork(b->services, 40, 41, b->now_ns);
	assert_int_equal(service->process_count, 2);
	assert_int_equal(service->exit_counts[SERVICE_EXIT_ZERO], 3);
}

static void another_command_or_folder_is_no_restart(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_as(b, 10, 1, "/usr/bin/python3", "python|manage.py|runserver", "/srv/shop");
	service = serve(b, 10, 8000);
	exec_as(b, 11, 1, "/usr/bin/python3", "python|manage.py|runserver", "/srv/shop");
	assert_int_equal(service->process_count, 1); /* the first one lives */
	exit_process(b, 10);
	exec_as(b, 12, 1, "/usr/bin/python3", "python|manage.py|migrate", "/srv/shop");
	exec_as(b, 13, 1, "/usr/bin/python3", "python|manage.py|runserver", "/srv/till");
	exec_as(b, 14, 1, "/usr/bin/pypy3", "python|manage.py|runserver", "/srv/shop");
	assert_int_equal(service->process_count, 0);
}

static void which_of_two_came_back_is_known_when_it_serves(void **state)
{
	struct bench *b = *state;
	struct service *first, *second;

	for (int pid = 10; pid < 12; pid++)
		exec_as(b, pid, 1, "/bin/node", "node|server.js", "/srv/shop");
	first = serve(b, 10, 8000);
	second = serve(b, 11, 8001);
	exit_process(b, 10);
	exit_process(b, 11);
	exec_as(b, 12, 1, "/bin/node", "node|server.js", "/srv/shop");
	assert_int_equal(first->process_count + second->process_count, 0);
	assert_ptr_equal(serve(b, 12, 8001), second);
	/* Only the other one is missing, but it is not the other one that comes. */
	exec_as(b, 13, 1, "/bin/node", "node|server.js", "/srv/shop");
	assert_int_equal(first->process_count, 1);
	assert_string_equal(serve(b, 13, 8002)->name, "shop:8002");
	assert_int_equal(first->process_count, 0);
	assert_true(first->gone_ns != 0);
	exec_as(b, 14, 1, "/bin/node", "node|server.js", "/srv/shop");
	assert_ptr_equal(serve(b, 14, 8000), first);
	assert_int_equal(first->process_count, 1);
}

static void a_chosen_name_is_recognised_beside_living_processes(void **state)
{
	struct bench *b = *state;
	struct fake_process process = {
		.exe = "/bin/node", .arguments = "node|a.js", .environment = "OTEL_SERVICE_NAME=s"};
	struct service *service;

	fake_process(&b->fake, 10, &process);
	fake_process(&b->fake, 11, &process);
	service = serve(b, 10, 8000);
	services_exec(b->services, 11, NULL, b->now_ns);
	assert_int_equal(service->process_count, 2);
	end_process(b, 11, EXITED(1));
	assert_int_equal(service->exit_counts[SERVICE_EXIT_NONZERO], 1);
}

static void a_configured_port_names_its_worker_and_is_known_after_a_restart(void **state)
{
	struct bench *b = *state;
	struct service_match match;
	struct service *till;

	service_match_parse(&match, "till=port:8001");
	b->config.matches = &match;
	b->config.match_count = 1;
	start(b);
	exec_python(b, 10, "shop");
	services_fork(b->services, 10, 11, b->now_ns);
	services_fork(b->services, 10, 12, b->now_ns);
	till = serve(b, 11, 8001);
	assert_string_equal(till->name, "till");
	assert_int_equal(till->process_count, 3);
	assert_string_equal(serve(b, 12, 8000)->name, "shop");
	assert_int_equal(serve(b, 12, 8000)->process_count, 1);
	assert_int_equal(till->process_count, 2);
	exit_process(b, 10);
	exit_process(b, 11);
	exit_process(b, 12);
	exec_python(b, 13, "till"); /* another program */
	assert_int_equal(till->process_count, 0);
	services_exec(b->services, 13, NULL, b->now_ns);
	exit_process(b, 13);
	/* Both had that command: which it is, its port tells. */
	exec_python(b, 14, "shop");
	assert_int_equal(till->process_count, 0);
	assert_ptr_equal(serve(b, 14, 8001), till);
}

static void an_exit_is_counted_once_however_it_is_found(void **state)
{
	struct bench *b = *state;
	struct service *shop, *till;

	exec_python(b, 10, "shop");
	exec_python(b, 11, "till");
	shop = serve(b, 10, 8000);
	/* The scan is faster than the record. */
	fake_gone(&b->fake, 10);
	assert_int_equal(services_scan(b->services, b->now_ns), 0);
	assert_int_equal(shop->process_count, 0);
	assert_int_equal(exits_in_sum(shop), 0);
	end_process(b, 10, SIGKILL);
	end_process(b, 10, SIGKILL);
	assert_int_equal(shop->exit_counts[SIGKILL], 1);
	assert_int_equal(exits_in_sum(shop), 1);
	/* The exit is faster than what it did before. */
	end_process(b, 11, SIGABRT);
	till = serve(b, 11, 9000);
	serve(b, 11, 9001);
	assert_int_equal(till->exit_counts[SIGABRT], 1);
	assert_int_equal(exits_in_sum(till), 1);
	assert_int_equal(till->process_count, 0);
	/* Another process of that pid. */
	exec_python(b, 11, "till");
	end_process(b, 11, SIGABRT);
	assert_int_equal(till->exit_counts[SIGABRT], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ends_are_counted_by_signal_and_by_code),
		TEST(a_master_and_all_its_workers_are_the_services_processes),
		TEST(workers_that_their_master_executes_are_known_before_they_serve),
		TEST(what_a_service_starts_as_another_program_is_none_of_it),
		TEST(programs_of_another_master_are_none_of_it),
		TEST(a_crash_loop_is_counted_also_before_it_serves),
		TEST(another_command_or_folder_is_no_restart),
		TEST(which_of_two_came_back_is_known_when_it_serves),
		TEST(a_chosen_name_is_recognised_beside_living_processes),
		TEST(a_configured_port_names_its_worker_and_is_known_after_a_restart),
		TEST(an_exit_is_counted_once_however_it_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
