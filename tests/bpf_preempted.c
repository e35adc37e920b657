// SPDX-License-Identifier: Apache-2.0
/* socket.bpf.c: what is received and sent while another process on the CPU is inside the hooks,
 * which from Linux 7.0 on can be preempted there. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks_bed.h"

#define REQUEST "GET /preempted HTTP/1.1\r\nHost: bittern.example\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define ROUNDS 300

/* In the hooks as often as can be, without a record. */
static pid_t busy_process(void)
{
	int ends[2];
	char byte = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
		_exit(1);
	while (send(ends[0], &byte, 1, 0) == 1 && recv(ends[1], &byte, 1, 0) == 1)
		;
	_exit(1);
}

static void pin_to_one_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void what_passes_over_a_preempted_hook_is_seen(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	const struct sched_param lowest = {.sched_priority = 1};
	struct bed *bed = *state;
	struct pair *pairs[2];
	struct capture_stats stats;
	pid_t busy;
	int i;

	/* Preempts the other at any place as soon as the timer rings. */
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest))
		skip(); /* not with these capabilities */
	pin_to_one_cpu();
	busy = busy_process();
	for (i = 0; i < 2; i++)
		pairs[i] = pair_open(bed, families[i]);
	for (i = 0; i < ROUNDS; i++) {
		struct pair *pair = pairs[i % 2];

		nanosleep(&(struct timespec){.tv_nsec = 100000 + i * 997 % 100000}, NULL);
		pair_request_text(pair, REQUEST);
		nanosleep(&(struct timespec){.tv_nsec = 100000 + i * 991 % 100000}, NULL);
		pair_response_text(pair, RESPONSE);
		EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST,
			  .arrival_any = true);
		EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = RESPONSE);
	}
	kill(busy, SIGKILL);
	assert_int_equal(waitpid(busy, NULL, 0), busy);
	stats = capture_stats(bed->capture);
	print_message("preempted runs: %lu\n", (unsigned long)stats.preempted_runs);
	assert_true(stats.preempted_runs > 0 || !stats.hooks_preempted);
	assert_int_equal(stats.losses[LOSS_SKIPPED_RUN], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_passes_over_a_preempted_hook_is_seen),
	};

	return RUN_TESTS(tests);
}
