/* SPDX-License-Identifier: Apache-2.0 */
/* services_bench - a table of services over a fake /proc, and what happens to its processes. */
#ifndef BITTERN_SERVICES_BENCH_H
#define BITTERN_SERVICES_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../agent/service_name.h"
#include "../agent/services.h"
#include "fake_proc.h"

#define WANTED_MAX 256

struct bench {
	struct fake_proc fake;
	struct services_config config;
	struct services *services;
	uint64_t now_ns;
	/* what was told last: 0 nothing, 1 wanted, 2 unwanted, 3 gone */
	unsigned char wanted[WANTED_MAX];
	size_t told_count;
	size_t closed_count;
	char closed_name[128];
};

static inline void set_wanted(void *context, pid_t pid, enum services_want want)
{
	struct bench *b = context;

	b->told_count++;
	if (pid < WANTED_MAX)
		b->wanted[pid] = want == SERVICES_GONE ? 3 : want == SERVICES_WANTED ? 1 : 2;
}

static inline void closed(void *context, const struct service *service)
{
	struct bench *b = context;

	b->closed_count++;
	strcpy(b->closed_name, service->name);
}

static inline void start(struct bench *b)
{
	services_close(b->services);
	assert_int_equal(services_open(&b->services, &b->config), 0);
}

static inline int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	fake_open(&b->fake);
	b->now_ns = 100000000000ull;
	b->config = (struct services_config){
		.proc_path = b->fake.proc,
		.host_id = "host",
		.want_runtime = {[RUNTIME_PYTHON] = true, [RUNTIME_NODEJS] = true},
		.max_routes = 10,
		.set_wanted = set_wanted,
		.closed = closed,
		.context = b,
	};
	start(b);
	*state = b;
	return 0;
}

static inline int tear_down(void **state)
{
	struct bench *b = *state;

	services_close(b->services);
	fake_close(&b->fake);
	free(b);
	return 0;
}

/* A process begins to run a program, of which there is also a record. */
static inline void exec_as(struct bench *b, int pid, int parent, const char *exe,
			   const char *arguments, const char *cwd)
{
	fake_process(&b->fake, pid,
		     &(struct fake_process){
			     .exe = exe, .arguments = arguments, .cwd = cwd, .parent = parent});
	services_exec(b->services, pid, NULL, b->now_ns);
}

static inline void exec_python(struct bench *b, int pid, const char *module)
{
	char arguments[64];

	snprintf(arguments, sizeof(arguments), "python|-m|%s", module);
	exec_as(b, pid, 1, "/usr/bin/python3", arguments, "/srv/x");
}

#define EXITED(status) ((status) << 8) /* as wait(2) has it; a signal is its number */

static inline void end_process(struct bench *b, int pid, uint32_t code)
{
	fake_gone(&b->fake, pid);
	services_exit(b->services, pid, code, false, NULL, b->now_ns);
}

static inline void exit_process(struct bench *b, int pid)
{
	end_process(b, pid, EXITED(0));
}

static inline struct service *serve(struct bench *b, int pid, uint16_t port)
{
	return services_bind(b->services, pid, port, b->now_ns);
}

static inline struct service *request(struct bench *b, int pid)
{
	return services_bind_client(b->services, pid, b->now_ns);
}

static inline size_t count_services(const struct bench *b)
{
	size_t count = 0;

	for (struct service *s = NULL; (s = services_next(b->services, s));)
		count++;
	return count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
