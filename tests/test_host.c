// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../agent/host.h"
#include "fake_proc.h"

#define ID "0123456789abcdef0123456789abcdef"

static struct host read_host(const struct fake_proc *fake)
{
	struct host host;

	host_read(&host, fake->proc);
	return host;
}

static void a_container_of_its_own_name_reads_that_of_the_host(void **state)
{
	fake_uts(*state, 1, "uts:[1]");
	fake_uts(*state, getpid(), "uts:[2]");
	fake_file(*state, "/etc/hostname", "# set by hand\n\n node-1 \n");
	assert_string_equal(read_host(*state).name, "node-1");
}

static void the_kernel_tells_the_name_where_it_is_the_hosts_or_nothing_else_does(void **state)
{
	char name[256];

	gethostname(name, sizeof(name));
	fake_uts(*state, 1, "uts:[1]");
	fake_uts(*state, getpid(), "uts:[2]");
	assert_string_equal(read_host(*state).name, name);
	fake_file(*state, "/etc/hostname", "old-name\n");
	fake_uts(*state, getpid(), "uts:[1]");
	assert_string_equal(read_host(*state).name, name);
}

static void a_unit_with_a_namespace_but_the_hosts_root_has_the_hosts_name(void **state)
{
	const struct fake_proc *fake = *state;
	char name[256], init[256];

	gethostname(name, sizeof(name));
	fake_uts(fake, 1, "uts:[1]");
	fake_uts(fake, getpid(), "uts:[2]");
	snprintf(init, sizeof(init), "%s/1", fake->proc);
	fake_link(init, "root", "/");
	assert_string_equal(read_host(fake).name, name);
}

static void the_id_is_that_of_inits_root(void **state)
{
	fake_file(*state, "/etc/machine-id", ID "\n");
	assert_string_equal(read_host(*state).id, ID);
}

static void where_init_is_closed_the_parent_tells(void **state)
{
	const struct fake_proc *fake = *state;

	fake_file(fake, "/etc/machine-id", ID "\n");
	fake_file(fake, "/etc/hostname", "node-1\n");
	fake_gone(fake, 1);
	fake_process(fake, getppid(), &(struct fake_process){.exe = "/usr/bin/containerd-shim"});
	fake_uts(fake, getppid(), "uts:[1]");
	fake_uts(fake, getpid(), "uts:[2]");
	assert_string_equal(read_host(fake).id, ID);
	assert_string_equal(read_host(fake).name, "node-1");
}

static void without_inits_root_the_id_is_our_own(void **state)
{
	struct host host, own;
	struct fake_proc *fake = *state;

	fake_file(fake, "/etc/machine-id", ID "\n");
	fake_gone(fake, 1);
	host_read(&host, fake->proc);
	host_read(&own, "/proc");
	assert_string_equal(host.id, own.id);
	assert_string_equal(host.name, own.name);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_container_of_its_own_name_reads_that_of_the_host),
		TEST(the_kernel_tells_the_name_where_it_is_the_hosts_or_nothing_else_does),
		TEST(a_unit_with_a_namespace_but_the_hosts_root_has_the_hosts_name),
		TEST(the_id_is_that_of_inits_root),
		TEST(where_init_is_closed_the_parent_tells),
		TEST(without_inits_root_the_id_is_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
