// SPDX-License-Identifier: Apache-2.0
/* process.bpf.c: processes that begin, change their program, or end; and that user space's "not
 * wanted" follows them. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/process_usage.h"
#include "hooks_bed.h"

#define GET "GET /a HTTP/1.1\r\nHost: bittern.example\r\n\r\n"

/* As wait(2) gives it, and as the kernel keeps it. */
#define EXITED(code) ((code) << 8)

static void reap(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void expect_exit(struct bed *bed, pid_t pid, uint32_t exit_code)
{
	assert_int_equal(expect_process(bed, pid, RECORD_EXIT)->exit_code, exit_code);
	expect_no_process(bed, pid);
}

static void a_fork_has_its_parent_and_an_exit_its_code(void **state)
{
	static const int codes[] = {0, 1, 7, 255};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(codes[i]);
		reap(pid);
		assert_int_equal(expect_process(bed, pid, RECORD_FORK)->parent, getpid());
		expect_exit(bed, pid, EXITED(codes[i]));
	}
}

static void a_signal_that_killed_is_told(void **state)
{
	static const int signals[] = {SIGKILL, SIGTERM};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			for (;;)
				pause();
		kill(pid, signals[i]);
		reap(pid);
		expect_process(bed, pid, RECORD_FORK);
		expect_exit(bed, pid, signals[i]);
	}
}

/* A child that runs a shell command. */
static pid_t run(const char *command)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return pid;
}

static void an_exec_is_told_for_each_new_program(void **state)
{
	struct bed *bed = *state;
	pid_t pid = run("exec sh -c 'exit 3'");

	reap(pid);
	expect_process(bed, pid, RECORD_FORK);
	expect_process(bed, pid, RECORD_EXEC);
	expect_process(bed, pid, RECORD_EXEC);
	expect_exit(bed, pid, EXITED(3));
}

/* It runs in its parent's memory until then. */
static void a_spawned_process_is_first_told_at_its_exec(void **state)
{
	struct bed *bed = *state;
	char *arguments[] = {"sh", "-c", "exit 4", NULL};
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ), 0);
	reap(pid);
	expect_process(bed, pid, RECORD_EXEC);
	expect_exit(bed, pid, EXITED(4));
}

static void an_exec_that_fails_is_none(void **state)
{
	struct bed *bed = *state;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		execl("/nonexistent", "nonexistent", NULL);
		_exit(9);
	}
	reap(pid);
	expect_process(bed, pid, RECORD_FORK);
	expect_exit(bed, pid, EXITED(9));
}

/* The new program's /proc is read at once. */
static void an_exec_wakes_the_reader(void **state)
{
	struct bed *bed = *state;
	struct pollfd reader = {.fd = capture_fd(bed->capture), .events = POLLIN};
	pid_t pid = run("exit 0");

	assert_int_equal(poll(&reader, 1, 5000), 1);
	reap(pid);
	expect_process(bed, pid, RECORD_FORK);
	expect_process(bed, pid, RECORD_EXEC);
	expect_exit(bed, pid, 0);
}

static void *thread(void *context)
{
	return context;
}

static void a_process_may_end_as_its_last_thread_does(void **state)
{
	struct bed *bed = *state;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		syscall(SYS_exit, 6); /* not exit_group */
	reap(pid);
	expect_process(bed, pid, RECORD_FORK);
	expect_exit(bed, pid, EXITED(6));
}

static void threads_begin_and_end_in_silence(void **state)
{
	struct bed *bed = *state;
	pthread_t threads[4];
	pid_t pid = fork();
	int i;

	assert_true(pid >= 0);
	if (!pid) {
		for (i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, thread, NULL);
		for (i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		_exit(5);
	}
	reap(pid);
	expect_process(bed, pid, RECORD_FORK);
	expect_exit(bed, pid, EXITED(5));
}

static void *end_at_once(void *barrier)
{
	pthread_barrier_wait(barrier);
	syscall(SYS_exit, 0);
	return NULL;
}

/* Each can find that none is alive. */
static void threads_that_end_at_once_are_one_exit(void **state)
{
	struct bed *bed = *state;
	pthread_barrier_t barrier;
	pthread_t thread;
	pid_t pid;
	int i, k;

	pthread_barrier_init(&barrier, NULL, 4);
	for (i = 0; i < 100; i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			for (k = 0; k < 3; k++)
				pthread_create(&thread, NULL, end_at_once, &barrier);
			end_at_once(&barrier);
		}
		reap(pid);
		expect_process(bed, pid, RECORD_FORK);
		expect_exit(bed, pid, 0);
	}
}

/* --- what they used --- */

#define BURN_NS 60000000ull

static void burn(void)
{
	struct timespec now;

	do {
		syscall(SYS_getppid);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	} while ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec < BURN_NS);
}

static void *burn_and_end_all(void *context)
{
	burn();
	if (context) {
		usleep(10000);
		_exit(0);
	}
	return NULL;
}

static uint64_t ns_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

/* What the parent is told has microseconds, and may be told while the child still runs its very
 * last instructions: some take longer where the machine is emulated (tests/kernels/run.sh). */
static uint64_t last_steps_ns(void)
{
	return getenv("BITTERN_EMULATED") ? 5000000 : 500000;
}

static void assert_is_rusage(const struct record_usage *record, const struct rusage *truth)
{
	struct usage usage;

	process_usage_of_record(&usage, record);
	assert_in_range(usage.counters[USAGE_CPU_USER_NS], ns_of(truth->ru_utime),
			ns_of(truth->ru_utime) + last_steps_ns());
	assert_in_range(usage.counters[USAGE_CPU_SYSTEM_NS], ns_of(truth->ru_stime),
			ns_of(truth->ru_stime) + last_steps_ns());
	assert_in_range(usage.counters[USAGE_SWITCHES_VOLUNTARY], truth->ru_nvcsw,
			truth->ru_nvcsw + 1);
	assert_in_range(usage.counters[USAGE_SWITCHES_INVOLUNTARY], truth->ru_nivcsw,
			truth->ru_nivcsw + 1);
	assert_int_equal(usage.counters[USAGE_FAULTS_MINOR], truth->ru_minflt);
	assert_int_equal(usage.counters[USAGE_FAULTS_MAJOR], truth->ru_majflt);
}

/* How a child burns CPU and ends. */
static void burn_alone(void)
{
	burn();
	_exit(0);
}

static void burn_in_threads_that_end(void)
{
	pthread_t threads[3];
	struct stat task;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, burn_and_end_all, NULL);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	while (!stat("/proc/self/task", &task) && task.st_nlink > 3)
		usleep(1000); /* joined, but not all of them gone */
	_exit(0);
}

static void burn_in_another_thread_that_ends_all(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, burn_and_end_all, "all");
	burn();
	pause();
}

static void burn_and_let_another_thread_end_last(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, burn_and_end_all, "all");
	burn();
	syscall(SYS_exit, 0); /* of this thread alone */
}

static void what_a_process_used_in_all_is_what_its_parent_is_told(void **state)
{
	static const struct {
		void (*child)(void);
		int burners; /* that surely are gone, or end last */
	} cases[] = {
		{burn_alone, 1},
		{burn_in_threads_that_end, 3},
		{burn_in_another_thread_that_ends_all, 1},
		{burn_and_let_another_thread_end_last, 1},
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct record_process *exit;
		struct rusage truth;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			cases[i].child();
		assert_int_equal(wait4(pid, NULL, 0, &truth), pid);
		expect_process(bed, pid, RECORD_FORK);
		exit = expect_process(bed, pid, RECORD_EXIT);
		assert_is_rusage(&expect_reaped(bed, pid)->usage, &truth);
		/* Before, it is less by the rest of the exit, and by a tick a thread. */
		assert_in_range(exit->usage.run_ns,
				(uint64_t)cases[i].burners * (BURN_NS - 10000000),
				ns_of(truth.ru_utime) + ns_of(truth.ru_stime) + 2000);
	}
}

static void a_process_is_reaped_when_its_parent_asks_for_it(void **state)
{
	struct bed *bed = *state;
	siginfo_t info;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	expect_process(bed, pid, RECORD_FORK);
	expect_exit(bed, pid, 0);
	wait_ms(100);
	expect_not_reaped(bed, pid);
	reap(pid);
	expect_reaped(bed, pid);
}

static void what_was_used_before_an_exec_is_told_at_it(void **state)
{
	struct bed *bed = *state;
	const struct record_process *exec;
	struct rusage truth;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		burn();
		execl("/bin/sh", "sh", "-c", "exit 0", NULL);
		_exit(127);
	}
	assert_int_equal(wait4(pid, NULL, 0, &truth), pid);
	expect_process(bed, pid, RECORD_FORK);
	exec = expect_process(bed, pid, RECORD_EXEC);
	assert_in_range(exec->usage.run_ns, BURN_NS - 10000000,
			ns_of(truth.ru_utime) + ns_of(truth.ru_stime));
	assert_true(exec->usage.minor_faults > 0);
	expect_process(bed, pid, RECORD_EXIT);
	assert_true(expect_reaped(bed, pid)->usage.run_ns >= exec->usage.run_ns);
}

/* --- what is not wanted --- */

static void the_end_of_an_unwanted_process_is_told_without_what_it_used(void **state)
{
	struct bed *bed = *state;
	pid_t pid;

	capture_set_wanted(bed->capture, getpid(), false);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(0);
	capture_set_wanted(bed->capture, getpid(), true);
	reap(pid);
	expect_exit(bed, pid, 0);
	wait_ms(200);
	expect_not_reaped(bed, pid);
}

/* Serves one request on the pair's server, in a child that waits to be told to. */
struct child {
	pid_t pid;
	int go; /* closed: serve and exit */
};

static struct child child_open(struct pair *pair, bool exec)
{
	struct child child;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (!child.pid) {
		char byte, bytes[sizeof(GET)];

		close(ends[1]);
		close(pair->client);
		if (exec) {
			dup2(pair->server, 0); /* which loses O_CLOEXEC */
			dup2(ends[0], 3);
			execl("/bin/sh", "sh", "-c", "read line <&3; exec head -c 42 >/dev/null",
			      NULL);
			_exit(127);
		}
		if (read(ends[0], &byte, 1) == 0)
			recv(pair->server, bytes, strlen(GET), MSG_WAITALL);
		_exit(0);
	}
	close(ends[0]);
	child.go = ends[1];
	return child;
}

static void child_serve(struct child *child, struct pair *pair)
{
	send_all(pair->client, GET, strlen(GET));
	wait_readable(pair->server, strlen(GET));
	close(child->go);
	reap(child->pid);
}

static void a_child_of_an_unwanted_process_is_unwanted_and_not_told(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct child child;

	capture_set_wanted(bed->capture, getpid(), false);
	child = child_open(pair, false);
	capture_set_wanted(bed->capture, getpid(), true); /* the child stays what it was */
	child_serve(&child, pair);
	expect_none(bed, pair);
	expect_exit(bed, child.pid, 0); /* not told is its beginning only */
}

static void a_child_of_a_wanted_process_is_wanted(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct child child = child_open(pair, false);

	child_serve(&child, pair);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET, .pid = child.pid);
	expect_process(bed, child.pid, RECORD_FORK);
	expect_exit(bed, child.pid, 0);
}

static void an_unwanted_process_is_wanted_again_at_exec(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct child child;

	assert_int_equal(strlen(GET), 42); /* as the command has it */
	capture_set_wanted(bed->capture, getpid(), false);
	child = child_open(pair, true);
	capture_set_wanted(bed->capture, getpid(), true);
	expect_process(bed, child.pid, RECORD_EXEC);
	child_serve(&child, pair);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET, .pid = child.pid);
	expect_process(bed, child.pid, RECORD_EXEC);
	expect_exit(bed, child.pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fork_has_its_parent_and_an_exit_its_code),
		TEST(a_signal_that_killed_is_told),
		TEST(an_exec_is_told_for_each_new_program),
		TEST(a_spawned_process_is_first_told_at_its_exec),
		TEST(an_exec_that_fails_is_none),
		TEST(an_exec_wakes_the_reader),
		TEST(a_process_may_end_as_its_last_thread_does),
		TEST(threads_begin_and_end_in_silence),
		TEST(threads_that_end_at_once_are_one_exit),
		TEST(what_a_process_used_in_all_is_what_its_parent_is_told),
		TEST(a_process_is_reaped_when_its_parent_asks_for_it),
		TEST(what_was_used_before_an_exec_is_told_at_it),
		TEST(the_end_of_an_unwanted_process_is_told_without_what_it_used),
		TEST(a_child_of_an_unwanted_process_is_unwanted_and_not_told),
		TEST(a_child_of_a_wanted_process_is_wanted),
		TEST(an_unwanted_process_is_wanted_again_at_exec),
	};

	return RUN_TESTS(tests);
}
