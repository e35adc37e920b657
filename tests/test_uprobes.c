// SPDX-License-Identifier: Apache-2.0
/* What is attached is the test's: a link that takes as long as it says. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <cmocka.h>

#include "../agent/uprobes.h"

static struct {
	atomic_int calls_wanted; /* so often is it done before the link is there */
	atomic_int calls;
	atomic_int refused; /* errno, or 0 */
	atomic_int destroyed;
	pid_t pid;
	uint64_t cookie;
} world;

struct bpf_link *
__wrap_bpf_program__attach_uprobe_multi(const struct bpf_program *program, pid_t pid,
					const char *path, const char *pattern,
					const struct bpf_uprobe_multi_opts *options);
struct bpf_link *
__wrap_bpf_program__attach_uprobe_multi(const struct bpf_program *program, pid_t pid,
					const char *path, const char *pattern,
					const struct bpf_uprobe_multi_opts *options)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	(void)program;
	(void)pattern;
	while (world.calls < world.calls_wanted)
		nanosleep(&moment, NULL);
	world.pid = pid;
	world.cookie = options->cookies[0];
	if (access(path, R_OK))
		world.refused = errno;
	errno = world.refused;
	return world.refused ? NULL : (struct bpf_link *)&world;
}

int __wrap_bpf_link__destroy(struct bpf_link *link);
int __wrap_bpf_link__destroy(struct bpf_link *link)
{
	world.destroyed += link == (struct bpf_link *)&world;
	return 0;
}

static void on_meanwhile(void *context)
{
	atomic_int *calls = context;

	(*calls)++;
}

static int attach(struct uprobes *uprobes, struct uprobe **uprobe, pid_t pid)
{
	const struct uprobe_places places = {.count = 1, .offsets = {64}, .cookie = 7};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), error;

	assert_true(fd >= 0);
	error = pid < 0 ? uprobes_attach(uprobes, uprobe, NULL, fd, &places)
			: uprobes_attach_to(uprobes, uprobe, NULL, fd, &places, pid);
	close(fd);
	return error;
}

static void what_cannot_wait_is_done_until_the_link_is_there(void **state)
{
	const struct timespec while_nothing_is_attached = {.tv_nsec = 4 * UPROBES_MEANWHILE_NS};
	struct uprobe *uprobe = NULL, *second = NULL;
	struct uprobes *uprobes;
	int calls;

	world.calls_wanted = 3;
	assert_int_equal(uprobes_open(&uprobes, UPROBE_MULTI, on_meanwhile, &world.calls), 0);
	assert_int_equal(attach(uprobes, &uprobe, 123), 0);
	assert_non_null(uprobe);
	assert_int_equal(world.pid, 123);
	assert_int_equal(world.cookie, 7);
	calls = world.calls;
	assert_true(calls >= 3);
	nanosleep(&while_nothing_is_attached, NULL);
	assert_int_equal(world.calls, calls);
	world.calls_wanted = calls + 1; /* and for the next */
	assert_int_equal(attach(uprobes, &second, 123), 0);
	uprobes_detach(uprobes, second);
	uprobes_detach(uprobes, uprobe);
	uprobes_close(uprobes);
	assert_int_equal(world.destroyed, 2);
	(void)state;
}

static void what_the_kernel_refuses_is_told(void **state)
{
	struct uprobes *uprobes;
	struct uprobe *uprobe = NULL;

	world.calls_wanted = 1;
	world.refused = ESRCH;
	assert_int_equal(uprobes_open(&uprobes, UPROBE_MULTI, on_meanwhile, &world.calls), 0);
	assert_int_equal(attach(uprobes, &uprobe, 123), -ESRCH);
	assert_null(uprobe);
	assert_true(world.calls >= 1);
	uprobes_close(uprobes);
	assert_int_equal(world.destroyed, 0);
	(void)state;
}

static void nothing_may_be_to_be_done(void **state)
{
	struct uprobes *uprobes;
	struct uprobe *uprobe = NULL;

	assert_int_equal(uprobes_open(&uprobes, UPROBE_MULTI, NULL, NULL), 0);
	assert_int_equal(attach(uprobes, &uprobe, -1), 0);
	assert_int_equal(world.pid, -1);
	assert_int_equal(world.calls, 0);
	uprobes_detach(uprobes, uprobe);
	uprobes_close(uprobes);
	(void)state;
}

static int set_up(void **state)
{
	world.calls_wanted = world.calls = world.refused = world.destroyed = 0;
	(void)state;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_cannot_wait_is_done_until_the_link_is_there, set_up),
		cmocka_unit_test_setup(what_the_kernel_refuses_is_told, set_up),
		cmocka_unit_test_setup(nothing_may_be_to_be_done, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
