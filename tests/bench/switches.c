// SPDX-License-Identifier: Apache-2.0
/* switches - what a switch of context costs between two that take turns on one CPU. Reads lines
 * "KIND COUNT", answers each with ns of CPU per switch, both ends together. COUNT switches are made
 * in slots, 100,000 a second: what sleeps between slots is not in the time. KIND:
 *
 *   threads     two threads of this process, by futex
 *   processes   this process and a child, by pipes
 *   jobs        a thread that has read an HTTP request and not yet answered gives a thread that
 * waits for work a job at every other switch, as an event loop does with its pool */
#include <arpa/inet.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOT_COUNT 1000
#define SLOT_NS 10000000
#define NS_PER_S 1000000000L

enum turn { TURN_OURS, TURN_THEIRS, TURN_NOBODYS };

static atomic_int turn;
static int to_child[2], from_child[2];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void give(int to)
{
	atomic_store(&turn, to);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* 0 when it was given to nobody: the end. */
static int wait_for(int whose)
{
	int now;

	while ((now = atomic_load(&turn)) != whose) {
		if (now == TURN_NOBODYS)
			return 0;
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
	}
	return 1;
}

static void *other_thread(void *unused)
{
	while (wait_for(TURN_THEIRS))
		give(TURN_OURS);
	return unused;
}

static void switch_threads(void)
{
	give(TURN_THEIRS);
	wait_for(TURN_OURS);
}

static void other_process(void)
{
	char byte;

	close(to_child[1]);
	while (read(to_child[0], &byte, 1) == 1)
		if (write(from_child[1], &byte, 1) != 1)
			_exit(1);
	_exit(0);
}

static void switch_processes(void)
{
	char byte = 0;

	if (write(to_child[1], &byte, 1) != 1 || read(from_child[0], &byte, 1) != 1)
		die("pipe");
}

static long clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_until(long ns)
{
	struct timespec at = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* ns of CPU per switch; child: 0, or the other end. */
static double measure(void (*there_and_back)(void), long count, pid_t child)
{
	long slot, i, used = 0, slots = count / SLOT_COUNT;
	clockid_t theirs = CLOCK_PROCESS_CPUTIME_ID;

	if (child && clock_getcpuclockid(child, &theirs))
		die("clock of the child");
	for (slot = 0; slot < slots; slot++) {
		long next = clock_ns(CLOCK_MONOTONIC) + SLOT_NS;

		used -= clock_ns(CLOCK_PROCESS_CPUTIME_ID) + (child ? clock_ns(theirs) : 0);
		for (i = 0; i < SLOT_COUNT / 2; i++)
			there_and_back();
		used += clock_ns(CLOCK_PROCESS_CPUTIME_ID) + (child ? clock_ns(theirs) : 0);
		sleep_until(next);
	}
	return (double)used / (slots * SLOT_COUNT);
}

static double measure_threads(long count)
{
	pthread_t other;
	double ns;

	atomic_store(&turn, TURN_OURS);
	if (pthread_create(&other, NULL, other_thread, NULL))
		die("thread");
	ns = measure(switch_threads, count, 0);
	give(TURN_NOBODYS);
	pthread_join(other, NULL);
	return ns;
}

static double measure_processes(long count)
{
	pid_t child;
	double ns;

	if (pipe(to_child) || pipe(from_child) || (child = fork()) < 0)
		die("child");
	if (!child)
		other_process();
	ns = measure(switch_processes, count, child);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
	waitpid(child, NULL, 0);
	return ns;
}

static void connect_pair(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &len))
		die("listener");
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(ends[0], (struct sockaddr *)&address, len))
		die("connect");
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
}

static void pass(int from, int to, const char *text)
{
	char bytes[128];
	ssize_t len = strlen(text);

	if (write(from, text, len) != len || read(to, bytes, sizeof(bytes)) != len)
		die("message");
}

/* The pool's thread is there before the request comes. */
static double measure_jobs(long count)
{
	pthread_t other;
	int ends[2];
	double ns;

	atomic_store(&turn, TURN_OURS);
	if (pthread_create(&other, NULL, other_thread, NULL))
		die("thread");
	sleep_until(clock_ns(CLOCK_MONOTONIC) + SLOT_NS);
	connect_pair(ends);
	pass(ends[0], ends[1], "GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n");
	ns = measure(switch_threads, count, 0);
	pass(ends[1], ends[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	close(ends[0]);
	close(ends[1]);
	give(TURN_NOBODYS);
	pthread_join(other, NULL);
	return ns;
}

int main(void)
{
	char kind[16];
	long count;

	while (scanf("%15s %ld", kind, &count) == 2) {
		double ns = !strcmp(kind, "processes") ? measure_processes(count)
			    : !strcmp(kind, "jobs")    ? measure_jobs(count)
						       : measure_threads(count);

		printf("%.1f\n", ns);
		fflush(stdout);
	}
	return 0;
}
