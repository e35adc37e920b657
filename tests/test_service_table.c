// SPDX-License-Identifier: Apache-2.0
#include "services_bench.h"

#include "../agent/service_name.h"

static void the_instance_id_is_the_same_after_a_restart_of_bittern(void **state)
{
	struct bench *b = *state;
	char id[37];

	exec_python(b, 10, "shop");
	strcpy(id, serve(b, 10, 8000)->instance_id);
	start(b);
	assert_string_equal(serve(b, 10, 8000)->instance_id, id);
	b->config.host_id = "another";
	start(b);
	assert_string_not_equal(serve(b, 10, 8000)->instance_id, id);
}

static void a_service_outlives_its_last_process_and_goes_on_if_it_returns(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	service = serve(b, 10, 8000);
	exit_process(b, 10);
	services_expire(b->services, b->now_ns + SERVICE_KEEP_NS - 1);
	assert_int_equal(b->closed_count, 0);
	exec_python(b, 11, "shop");
	assert_ptr_equal(serve(b, 11, 8000), service);
	assert_int_equal(service->gone_ns, 0);
	assert_string_equal(service->name, "shop");
	services_expire(b->services, b->now_ns + 2 * SERVICE_KEEP_NS);
	assert_int_equal(b->closed_count, 0);
	exit_process(b, 11);
	services_expire(b->services, b->now_ns + SERVICE_KEEP_NS);
	assert_int_equal(b->closed_count, 1);
	assert_string_equal(b->closed_name, "shop");
	assert_int_equal(count_services(b), 0);
	exec_python(b, 12, "shop");
	assert_int_equal(serve(b, 12, 8000)->id, 1); /* never 0 again */
}

static void a_service_is_not_forgotten_before_what_it_counted_is_delivered(void **state)
{
	struct bench *b = *state;
	uint64_t late_ns = b->now_ns + 1000 * SERVICE_KEEP_NS, gone_ns;

	services_keep_untold(b->services, 0);
	exec_python(b, 10, "shop");
	serve(b, 10, 8000);
	exit_process(b, 10);
	gone_ns = services_next(b->services, NULL)->gone_ns;
	services_expire(b->services, late_ns);
	assert_int_equal(b->closed_count, 0);
	services_keep_untold(b->services, gone_ns + SERVICE_SETTLE_NS - 1);
	services_expire(b->services, late_ns);
	assert_int_equal(b->closed_count, 0);
	services_keep_untold(b->services, gone_ns + SERVICE_SETTLE_NS);
	services_expire(b->services, gone_ns + SERVICE_KEEP_NS - 1);
	assert_int_equal(b->closed_count, 0);
	services_expire(b->services, gone_ns + SERVICE_KEEP_NS);
	assert_int_equal(b->closed_count, 1);
	assert_int_equal(services_stats(b->services).untold_services, 0);
}

static void services_that_were_not_delivered_make_room_from_half_of_the_table_on(void **state)
{
	struct bench *b = *state;
	char name[16];

	services_keep_untold(b->services, 0);
	for (int i = 0; i <= SERVICES_MAX / 2; i++) {
		snprintf(name, sizeof(name), "shop%d", i);
		exec_python(b, 10 + i, name);
		serve(b, 10 + i, (uint16_t)(8000 + i));
		exit_process(b, 10 + i);
	}
	services_expire(b->services, b->now_ns + 2 * SERVICE_KEEP_NS);
	assert_int_equal(count_services(b), SERVICES_MAX / 2);
	assert_int_equal(b->closed_count, 1);
	assert_string_equal(b->closed_name, "shop0");
	assert_int_equal(services_stats(b->services).untold_services, 1);
}

static void two_programs_of_one_guessed_name_are_told_apart_by_port(void **state)
{
	struct bench *b = *state;
	struct service *older, *newer, *third;
	char id[37];

	exec_python(b, 10, "shop");
	exec_python(b, 11, "shop");
	older = serve(b, 10, 8000);
	serve(b, 10, 8100);
	strcpy(id, older->instance_id);
	newer = serve(b, 11, 8001);
	assert_ptr_not_equal(older, newer);
	assert_string_equal(older->name, "shop:8000");
	assert_string_equal(newer->name, "shop:8001");
	assert_string_not_equal(older->instance_id, id);
	assert_string_not_equal(older->instance_id, newer->instance_id);
	/* The names stay, also when a lower port comes or the other has gone. */
	serve(b, 10, 7000);
	assert_string_equal(older->name, "shop:8000");
	exit_process(b, 10);
	b->now_ns += SERVICE_KEEP_NS;
	services_expire(b->services, b->now_ns);
	assert_string_equal(b->closed_name, "shop:8000");
	assert_string_equal(newer->name, "shop:8001");
	/* Returned on its port; a third on another port. */
	exit_process(b, 11);
	exec_python(b, 12, "shop");
	exec_python(b, 13, "shop");
	third = serve(b, 13, 9000);
	assert_string_equal(third->name, "shop:9000");
	assert_ptr_equal(serve(b, 12, 8001), newer);
	assert_int_equal(newer->process_count, 1);
}

static void processes_on_the_same_port_are_one_service(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	exec_python(b, 11, "shop");
	service = serve(b, 10, 8000);
	serve(b, 10, 8001);
	assert_ptr_equal(serve(b, 11, 8001), service);
	assert_int_equal(service->process_count, 2);
	assert_string_equal(service->name, "shop");
}

static void unix_sockets_of_one_name_are_one_service(void **state)
{
	struct bench *b = *state;
	struct service *local;

	exec_python(b, 10, "shop");
	exec_python(b, 11, "shop");
	exec_python(b, 12, "shop");
	local = serve(b, 10, 0);
	assert_int_equal(local->lowest_port, 0);
	assert_ptr_equal(serve(b, 11, 0), local);
	assert_string_equal(serve(b, 12, 8000)->name, "shop:8000");
	assert_string_equal(local->name, "shop");
	/* Without a living process and without a port it may come back on any. */
	exit_process(b, 10);
	exit_process(b, 11);
	exec_python(b, 13, "shop");
	assert_ptr_equal(serve(b, 13, 9000), local);
	assert_string_equal(local->name, "shop");
}

static void a_portless_newcomer_takes_the_plain_name(void **state)
{
	struct bench *b = *state;
	struct service *older;

	exec_python(b, 10, "shop");
	exec_python(b, 11, "shop");
	older = serve(b, 10, 8000);
	assert_string_equal(serve(b, 11, 0)->name, "shop");
	assert_string_equal(older->name, "shop:8000");
}

static void a_chosen_name_is_one_service_whatever_the_ports(void **state)
{
	struct bench *b = *state;
	struct fake_process process = {
		.exe = "/bin/python3", .cwd = "/srv/x", .environment = "OTEL_SERVICE_NAME=shop"};
	struct service *chosen, *guessed;

	exec_python(b, 9, "shop");
	guessed = serve(b, 9, 7000);
	fake_process(&b->fake, 10, &process);
	fake_process(&b->fake, 11, &process);
	process.environment = "OTEL_SERVICE_NAME=shop|OTEL_RESOURCE_ATTRIBUTES=service.namespace=n";
	fake_process(&b->fake, 12, &process);
	chosen = serve(b, 10, 8000);
	assert_string_equal(chosen->name, "shop");
	assert_string_equal(guessed->name, "shop:7000");
	assert_ptr_equal(serve(b, 11, 8001), chosen);
	assert_string_equal(chosen->name, "shop");
	assert_ptr_not_equal(serve(b, 12, 8000), chosen);
	assert_string_equal(serve(b, 12, 8000)->name, "shop");
	assert_string_equal(serve(b, 12, 8000)->namespace, "n");
	/* Who only guesses the name comes second, or joins on the same port. */
	exec_python(b, 13, "shop");
	exec_python(b, 14, "shop");
	assert_string_equal(serve(b, 13, 9000)->name, "shop:9000");
	assert_ptr_equal(serve(b, 14, 8001), chosen);
	assert_string_equal(chosen->name, "shop");
}

static void a_chosen_name_is_taken_exactly_as_it_is(void **state)
{
	struct bench *b = *state;
	struct service *service;

	exec_python(b, 10, "shop");
	exec_python(b, 11, "shop");
	service = serve(b, 10, 8000);
	serve(b, 11, 8001);
	fake_process(&b->fake, 12,
		     &(struct fake_process){.exe = "/bin/python3",
					    .environment = "OTEL_SERVICE_NAME=shop"});
	assert_string_equal(serve(b, 12, 8000)->name, "shop");
	assert_string_equal(service->name, "shop:8000");
	/* What has no port cannot be told apart. */
	exec_python(b, 13, "till");
	service = serve(b, 13, 0);
	fake_process(&b->fake, 14,
		     &(struct fake_process){.exe = "/bin/python3",
					    .environment = "OTEL_SERVICE_NAME=till"});
	assert_ptr_equal(serve(b, 14, 9000), service);
	assert_string_equal(service->name, "till");
}

static void a_name_is_never_given_twice(void **state)
{
	struct bench *b = *state;

	fake_process(&b->fake, 10,
		     &(struct fake_process){.exe = "/bin/python3",
					    .environment = "OTEL_SERVICE_NAME=shop:8001"});
	exec_python(b, 11, "shop");
	exec_python(b, 12, "shop");
	assert_string_equal(serve(b, 10, 1)->name, "shop:8001");
	serve(b, 11, 8000);
	assert_string_equal(serve(b, 12, 8001)->name, "shop:8001-2");
}

static void a_configured_match_names_the_service(void **state)
{
	struct bench *b = *state;
	struct service_match match;

	service_match_parse(&match, "till=port:8001");
	b->config.matches = &match;
	b->config.match_count = 1;
	start(b);
	exec_python(b, 10, "shop");
	exec_python(b, 11, "shop");
	assert_string_equal(serve(b, 10, 8000)->name, "shop");
	assert_string_equal(serve(b, 11, 8001)->name, "till");
}

static void workers_of_one_master_are_one_service_on_any_port(void **state)
{
	struct bench *b = *state;
	struct service *service;

	/* Node's cluster: the master serves nothing; its workers get the absolute path. */
	exec_as(b, 10, 1, "/bin/node", "node|app.js", "/srv/shop");
	exec_as(b, 11, 10, "/bin/node", "/bin/node|/srv/shop/app.js", "/srv/shop");
	exec_as(b, 12, 10, "/bin/node", "/bin/node|/srv/shop/app.js", "/srv/shop");
	service = serve(b, 11, 8000);
	assert_ptr_equal(serve(b, 12, 8001), service);
	/* A bound ancestor and, last, the master itself. */
	exec_as(b, 13, 12, "/bin/node", "node|/srv/shop/report.js", "/srv/shop");
	assert_ptr_equal(serve(b, 13, 8002), service);
	assert_ptr_equal(serve(b, 10, 8003), service);
	assert_int_equal(service->process_count, 4);
	assert_string_equal(service->name, "shop");
}

static void programs_of_one_process_manager_are_no_family(void **state)
{
	struct bench *b = *state;

	exec_as(b, 10, 1, "/bin/node", "node|/usr/lib/node_modules/npm/bin/npm-cli.js|start",
		"/srv/shop");
	exec_as(b, 11, 10, "/bin/node", "node|api.js", "/srv/shop");
	exec_as(b, 12, 10, "/bin/node", "node|web.js", "/srv/shop");
	assert_string_equal(serve(b, 11, 8000)->name, "shop");
	assert_string_equal(serve(b, 12, 8001)->name, "shop:8001");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_instance_id_is_the_same_after_a_restart_of_bittern),
		TEST(a_service_outlives_its_last_process_and_goes_on_if_it_returns),
		TEST(a_service_is_not_forgotten_before_what_it_counted_is_delivered),
		TEST(services_that_were_not_delivered_make_room_from_half_of_the_table_on),
		TEST(two_programs_of_one_guessed_name_are_told_apart_by_port),
		TEST(processes_on_the_same_port_are_one_service),
		TEST(unix_sockets_of_one_name_are_one_service),
		TEST(a_portless_newcomer_takes_the_plain_name),
		TEST(a_chosen_name_is_one_service_whatever_the_ports),
		TEST(a_chosen_name_is_taken_exactly_as_it_is),
		TEST(a_name_is_never_given_twice),
		TEST(a_configured_match_names_the_service),
		TEST(workers_of_one_master_are_one_service_on_any_port),
		TEST(programs_of_one_process_manager_are_no_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
