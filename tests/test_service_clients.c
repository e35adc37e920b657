// SPDX-License-Identifier: Apache-2.0
/* Processes that make requests, and which service they are taken for. */
#include "services_bench.h"

static void exec_script(struct bench *b, int pid, const char *script, const char *folder)
{
	char arguments[64];

	snprintf(arguments, sizeof(arguments), "python|%s", script);
	exec_as(b, pid, 1, "/usr/bin/python3", arguments, folder);
}

static void exec_chosen(struct bench *b, int pid, const char *script)
{
	char arguments[64];

	snprintf(arguments, sizeof(arguments), "python|%s", script);
	fake_process(&b->fake, pid,
		     &(struct fake_process){.exe = "/usr/bin/python3",
					    .arguments = arguments,
					    .cwd = "/srv/x",
					    .environment = "OTEL_SERVICE_NAME=shop"});
}

static void a_process_that_makes_a_request_is_a_service(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_as(b, 9, 1, "/bin/sh", "sh", "/");
	assert_null(request(b, 9));
	exec_python(b, 10, "shop");
	services_fork(b->services, 10, 11, b->now_ns);
	service = request(b, 11);
	assert_string_equal(service->name, "shop");
	assert_int_equal(strlen(service->instance_id), 36);
	assert_false(service->served);
	assert_int_equal(service->lowest_port, 0);
	assert_int_equal(service->process_count, 2);
	assert_ptr_equal(request(b, 10), service);
	assert_ptr_equal(request(b, 11), service);
	end_process(b, 11, EXITED(1));
	assert_int_equal(service->exit_counts[SERVICE_EXIT_NONZERO], 1);
	assert_int_equal(service->process_count, 1);
	assert_int_equal(count_services(b), 1);
}

static void requests_of_a_service_are_its_own(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	services_fork(b->services, 10, 11, b->now_ns);
	service = serve(b, 11, 8000);
	assert_ptr_equal(request(b, 11), service);
	assert_ptr_equal(request(b, 10), service); /* the master */
	/* A script that the service starts, in its folder. */
	exec_as(b, 20, 1, "/usr/bin/python3", "python|server.py", "/srv/till");
	service = serve(b, 20, 9000);
	exec_as(b, 21, 20, "/usr/bin/python3", "python|report.py", "/srv/till");
	assert_int_equal(service->process_count, 1);
	assert_ptr_equal(request(b, 21), service);
	assert_int_equal(service->process_count, 2);
	assert_int_equal(count_services(b), 2);
}

static void requests_made_before_the_first_served_one_are_of_that_service(void **state)
{
	struct bench *b = *state;
	struct service *service;
	char id[37];

	exec_python(b, 10, "shop");
	service = request(b, 10);
	strcpy(id, service->instance_id);
	services_fork(b->services, 10, 11, b->now_ns);
	assert_ptr_equal(serve(b, 11, 8000), service);
	assert_string_equal(service->name, "shop");
	assert_string_equal(service->instance_id, id);
	assert_int_equal(service->lowest_port, 8000);
	assert_true(service->served);
	assert_int_equal(service->process_count, 2);
	assert_ptr_equal(serve(b, 10, 8000), service);
	/* The same with a unix socket. */
	exec_python(b, 12, "till");
	service = request(b, 12);
	assert_ptr_equal(serve(b, 12, 0), service);
	assert_string_equal(service->name, "till");
	assert_int_equal(count_services(b), 2);
}

static void a_script_in_a_services_folder_never_renames_it(void **state)
{
	struct bench *b = *state;
	struct service *shop, *cron;

	exec_script(b, 10, "server.py", "/srv/shop");
	exec_script(b, 11, "cron.py", "/srv/shop");
	shop = serve(b, 10, 8000);
	cron = request(b, 11);
	assert_string_equal(shop->name, "shop");
	assert_string_equal(cron->name, "shop:cron");
	exit_process(b, 11);
	assert_int_equal(shop->exit_counts[SERVICE_EXIT_ZERO], 0);
	/* Each of its runs is the same service, also beside the one before. */
	for (int pid = 20; pid < 30; pid++) {
		exec_script(b, pid, "cron.py", "/srv/shop");
		assert_ptr_equal(request(b, pid), cron);
	}
	assert_int_equal(cron->process_count, 10);
	assert_string_equal(shop->name, "shop");
	assert_int_equal(count_services(b), 2);
	/* A second one that serves is told apart from the first as ever. */
	exec_script(b, 12, "other.py", "/srv/shop");
	assert_string_equal(serve(b, 12, 8001)->name, "shop:8001");
	assert_string_equal(shop->name, "shop:8000");
	assert_string_equal(cron->name, "shop:cron");
}

static void the_plain_name_is_left_to_the_one_that_serves(void **state)
{
	struct bench *b = *state;
	struct service *shop, *cron, *sync;

	exec_script(b, 10, "cron.py", "/srv/shop");
	cron = request(b, 10);
	assert_string_equal(cron->name, "shop");
	exec_script(b, 11, "server.py", "/srv/shop");
	shop = serve(b, 11, 8000);
	assert_string_equal(shop->name, "shop");
	assert_string_equal(cron->name, "shop:cron");
	exec_script(b, 12, "sync.v2.py", "/srv/shop");
	sync = request(b, 12);
	assert_string_equal(sync->name, "shop:sync.v2");
	/* Also if that one made requests first. */
	exec_script(b, 20, "cron.py", "/srv/till");
	exec_script(b, 21, "server.py", "/srv/till");
	cron = request(b, 20);
	shop = request(b, 21);
	assert_string_equal(cron->name, "till:cron");
	assert_string_equal(shop->name, "till:server");
	assert_ptr_equal(serve(b, 21, 9000), shop);
	assert_string_equal(shop->name, "till");
	assert_string_equal(cron->name, "till:cron");
	assert_int_equal(count_services(b), 5);
}

static void programs_without_a_word_of_their_own_are_the_client(void **state)
{
	struct bench *b = *state;

	exec_as(b, 10, 1, "/usr/bin/python3", "python|-m|shop", "/srv/x");
	exec_as(b, 11, 1, "/usr/bin/python3", "python|/usr/bin/celery|-A|shop|worker", "/srv/x");
	exec_as(b, 12, 1, "/usr/bin/python3", "python|-m|shop.jobs.sync", "/srv/x");
	exec_as(b, 13, 1, "/bin/node", "node|-e|1", "/srv/shop");
	assert_string_equal(serve(b, 10, 8000)->name, "shop");
	assert_string_equal(request(b, 12)->name, "shop:sync");
	assert_string_equal(request(b, 13)->name, "shop:client");
	assert_ptr_equal(request(b, 11), request(b, 13));
}

static void two_instances_that_make_requests_first_are_told_apart_when_they_serve(void **state)
{
	struct bench *b = *state;
	struct service *first, *second;

	exec_script(b, 10, "server.py", "/srv/shop");
	exec_script(b, 11, "server.py", "/srv/shop");
	first = request(b, 10);
	assert_ptr_equal(request(b, 11), first);
	assert_ptr_equal(serve(b, 10, 8000), first);
	assert_string_equal(first->name, "shop");
	second = serve(b, 11, 8001);
	assert_string_equal(first->name, "shop:8000");
	assert_string_equal(second->name, "shop:8001");
	assert_int_equal(first->process_count, 1);
	assert_int_equal(second->process_count, 1);
	assert_ptr_equal(request(b, 11), second);
	/* A third joins the one whose port it serves on. */
	exec_script(b, 12, "server.py", "/srv/shop");
	assert_string_equal(request(b, 12)->name, "shop:server");
	assert_ptr_equal(serve(b, 12, 8001), second);
	assert_int_equal(second->process_count, 2);
}

static void a_restarted_service_that_makes_requests_first_goes_on(void **state)
{
	struct bench *b = *state;
	struct service *shop;

	exec_script(b, 10, "server.py", "/srv/shop");
	shop = serve(b, 10, 8000);
	exit_process(b, 10);
	exec_script(b, 11, "server.py", "/srv/shop");
	assert_ptr_equal(request(b, 11), shop);
	assert_ptr_equal(serve(b, 11, 8000), shop);
	assert_int_equal(count_services(b), 1);
}

static void clients_of_a_chosen_name_are_that_service(void **state)
{
	struct bench *b = *state;
	struct service *shop;

	for (int round = 0; round < 2; round++) {
		start(b);
		exec_chosen(b, 10, "server.py");
		exec_chosen(b, 11, "worker.py");
		/* in either order */
		shop = round ? serve(b, 10, 8000) : request(b, 10);
		assert_ptr_equal(request(b, 11), shop);
		assert_ptr_equal(serve(b, 10, 8000), shop);
		assert_string_equal(shop->name, "shop");
		assert_int_equal(shop->process_count, 2);
		/* Who only guesses that name is not. */
		exec_script(b, 12, "cron.py", "/srv/shop");
		assert_string_equal(request(b, 12)->name, "shop:cron");
		assert_string_equal(shop->name, "shop");
	}
	for (int round = 0; round < 2; round++) {
		start(b);
		exec_script(b, 10, "server.py", "/srv/shop");
		exec_chosen(b, 11, "worker.py");
		shop = round ? serve(b, 10, 8000) : request(b, 11);
		assert_ptr_equal(request(b, 11), shop);
		assert_ptr_equal(serve(b, 10, 8000), shop);
		assert_string_equal(shop->name, "shop");
		assert_int_equal(count_services(b), 1);
	}
}

static void a_chosen_name_is_never_taken_from_its_client(void **state)
{
	struct bench *b = *state;
	struct service *cron;

	exec_script(b, 10, "cron.py", "/srv/shop");
	cron = request(b, 10);
	exec_chosen(b, 11, "worker.py");
	assert_ptr_equal(request(b, 11), cron); /* of that name already */
	start(b);
	exec_chosen(b, 11, "worker.py");
	request(b, 11);
	exec_script(b, 10, "cron.py", "/srv/shop");
	cron = request(b, 10);
	assert_string_equal(cron->name, "shop:cron");
	assert_string_equal(serve(b, 10, 8000)->name, "shop:8000");
	assert_string_equal(request(b, 11)->name, "shop");
}

/* Scripts of as many names make a request each and end. */
static size_t run_scripts(struct bench *b, int first_pid, int count)
{
	char module[32];
	size_t bound_count = 0;

	for (int pid = first_pid; pid < first_pid + count; pid++) {
		snprintf(module, sizeof(module), "script%d", pid);
		exec_python(b, pid, module);
		bound_count += request(b, pid) != NULL;
		exit_process(b, pid);
	}
	return bound_count;
}

static void scripts_leave_the_table_to_those_that_serve(void **state)
{
	struct bench *b = *state;

	exec_python(b, 10, "shop");
	serve(b, 10, 8000);
	assert_int_equal(run_scripts(b, 1000, SERVICES_CLIENT_MAX + 20), SERVICES_CLIENT_MAX);
	assert_int_equal(services_stats(b->services).refused_services, 20);
	/* Refused as a client, it may still serve. */
	exec_python(b, 11, "till");
	assert_null(request(b, 11));
	assert_null(request(b, 11));
	assert_string_equal(serve(b, 11, 9000)->name, "till");

	/* Their sockets' records may still come. */
	services_expire(b->services, b->now_ns + PROCESS_KEEP_NS - 1);
	assert_int_equal(b->closed_count, 0);
	b->now_ns += PROCESS_KEEP_NS;
	services_expire(b->services, b->now_ns);
	assert_int_equal(b->closed_count, SERVICES_CLIENT_MAX - SERVICES_CLIENT_GONE_MAX);
	assert_int_equal(count_services(b), 2 + SERVICES_CLIENT_GONE_MAX);
	assert_string_equal(b->closed_name, "script1249");
	/* What is left stays as long as any. */
	assert_int_equal(run_scripts(b, 3000, 1), 1);
	b->now_ns += SERVICE_KEEP_NS - PROCESS_KEEP_NS - 1;
	services_expire(b->services, b->now_ns);
	assert_int_equal(count_services(b), 2 + SERVICES_CLIENT_GONE_MAX);
	b->now_ns += PROCESS_KEEP_NS + 1;
	services_expire(b->services, b->now_ns);
	assert_int_equal(count_services(b), 2);
}

static void living_clients_and_services_that_served_are_not_dropped_early(void **state)
{
	struct bench *b = *state;
	char module[32];

	for (int i = 0; i <= SERVICES_CLIENT_GONE_MAX; i++) {
		snprintf(module, sizeof(module), "served%d", i);
		exec_python(b, 1000 + i, module);
		assert_non_null(serve(b, 1000 + i, 80));
		exit_process(b, 1000 + i);
		snprintf(module, sizeof(module), "living%d", i);
		exec_python(b, 3000 + i, module);
		assert_non_null(request(b, 3000 + i));
	}
	services_expire(b->services, b->now_ns + SERVICE_KEEP_NS - 1);
	assert_int_equal(b->closed_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_that_makes_a_request_is_a_service),
		TEST(requests_of_a_service_are_its_own),
		TEST(requests_made_before_the_first_served_one_are_of_that_service),
		TEST(a_script_in_a_services_folder_never_renames_it),
		TEST(the_plain_name_is_left_to_the_one_that_serves),
		TEST(programs_without_a_word_of_their_own_are_the_client),
		TEST(two_instances_that_make_requests_first_are_told_apart_when_they_serve),
		TEST(a_restarted_service_that_makes_requests_first_goes_on),
		TEST(clients_of_a_chosen_name_are_that_service),
		TEST(a_chosen_name_is_never_taken_from_its_client),
		TEST(scripts_leave_the_table_to_those_that_serve),
		TEST(living_clients_and_services_that_served_are_not_dropped_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
