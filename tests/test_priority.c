// SPDX-License-Identifier: Apache-2.0
/* Each test asks in a process of its own: a priority cannot be given back. */
#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/priority.h"

#define NOBODY 65534

struct situation {
	int nice; /* before */
	bool unprivileged;
	bool leads; /* its session */
};

struct outcome {
	int error, nice, child_nice, session_nice;
	uint64_t slice_ns;
};

/* As the kernel has it; 0 before Linux 6.12, which has none. */
static uint64_t slice_ns(void)
{
	struct sched_attr attributes = {0};

	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0))
		return 1;
	return attributes.sched_runtime;
}

/* The nice value of the process's autogroup; 0 on a kernel without. */
static int session_nice(void)
{
	FILE *file = fopen("/proc/self/autogroup", "re");
	int nice = 0;

	if (file) {
		if (fscanf(file, "%*s nice %d", &nice) != 1)
			nice = -100;
		fclose(file);
	}
	return nice;
}

static int child_nice(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(getpriority(PRIO_PROCESS, 0) + 20);
	return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) - 20 : -100;
}

static struct outcome raise_priority(const struct situation *s)
{
	struct outcome o = {.error = -ENOTSUP};

	if (s->leads)
		setsid();
	if (setpriority(PRIO_PROCESS, 0, s->nice))
		return o;
	if (s->unprivileged && !geteuid() &&
	    (setresuid(NOBODY, NOBODY, NOBODY) || prctl(PR_SET_DUMPABLE, 1)))
		return o; /* dumpable: its files below /proc are its own again, as after exec */
	do { /* the kernel takes one such change in 100 ms, of all who are not root */
		o.error = priority_raise();
	} while (o.error == -EAGAIN && !usleep(10000));
	o.nice = getpriority(PRIO_PROCESS, 0);
	o.child_nice = child_nice();
	o.session_nice = session_nice();
	o.slice_ns = slice_ns();
	return o;
}

/* Whether this machine lets us. */
static bool may_raise(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(setpriority(PRIO_PROCESS, 0, PRIORITY_NICE) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && !status;
}

/* What became of it. */
static struct outcome asked(struct situation s)
{
	struct outcome o = {0};
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		o = raise_priority(&s);
		_exit(write(fds[1], &o, sizeof(o)) != sizeof(o));
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &o, sizeof(o)), sizeof(o));
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return o;
}

static void expect_slice(const struct outcome *o)
{
	assert_int_equal(o->slice_ns, slice_ns() ? PRIORITY_SLICE_NS : 0);
}

static void the_priority_is_raised_in_a_session_of_its_own_too(void **state)
{
	struct outcome o;

	if (!may_raise())
		skip();
	o = asked((struct situation){.leads = true});
	assert_int_equal(o.error, 0);
	assert_int_equal(o.nice, PRIORITY_NICE);
	assert_int_equal(o.session_nice, access("/proc/self/autogroup", F_OK) ? 0 : PRIORITY_NICE);
	expect_slice(&o);
	(void)state;
}

static void a_session_led_by_another_is_left_alone(void **state)
{
	struct outcome o;

	if (!may_raise())
		skip();
	o = asked((struct situation){0});
	assert_int_equal(o.error, 0);
	assert_int_equal(o.nice, PRIORITY_NICE);
	assert_int_equal(o.session_nice, session_nice());
	(void)state;
}

static void what_it_starts_has_no_priority(void **state)
{
	struct outcome o;

	if (!may_raise())
		skip();
	o = asked((struct situation){0});
	assert_int_equal(o.child_nice, 0);
	(void)state;
}

static void a_given_nice_value_is_kept(void **state)
{
	const struct outcome o = asked((struct situation){.nice = 3, .leads = true});

	assert_int_equal(o.error, 0);
	assert_int_equal(o.nice, 3);
	assert_int_equal(o.session_nice, access("/proc/self/autogroup", F_OK) ? 0 : 3);
	expect_slice(&o);
	(void)state;
}

static void without_the_privilege_it_is_refused_but_for_the_slice(void **state)
{
	const struct outcome o = asked((struct situation){.unprivileged = true, .leads = true});

	assert_int_equal(o.error, -EPERM);
	assert_int_equal(o.nice, 0);
	assert_int_equal(o.session_nice, 0);
	expect_slice(&o);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_priority_is_raised_in_a_session_of_its_own_too),
		cmocka_unit_test(a_session_led_by_another_is_left_alone),
		cmocka_unit_test(what_it_starts_has_no_priority),
		cmocka_unit_test(a_given_nice_value_is_kept),
		cmocka_unit_test(without_the_privilege_it_is_refused_but_for_the_slice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
