// SPDX-License-Identifier: Apache-2.0
#include "cpu_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/cleanup.h"

#define GET "GET /a HTTP/1.1\r\nHost: bittern.example\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define SLACK_NS (MS / 2)
_Static_assert(sizeof(GET) - 1 == REQUEST_LEN, "a request");

uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t away_ns; /* passed in burn() of this test while the CPU was taken away */

uint64_t burn(uint64_t ns)
{
	uint64_t begin_ns = now_ns(), begin = cpu_ns(), now, passed_ns;

	while ((now = cpu_ns()) < begin + ns)
		;
	passed_ns = now_ns() - begin_ns;
	away_ns += passed_ns - (now - begin);
	return now - begin;
}

void assert_cpu(uint64_t ns, uint64_t least_ns, uint64_t most_ns)
{
	assert_in_range(ns + SLACK_NS, least_ns, most_ns + 2 * SLACK_NS + away_ns);
}

int cpu_setup(void **state)
{
	int error = bed_setup(state);

	wait_ms(1);
	burn(2 * TICK_NS);
	away_ns = 0;
	return error;
}

void wait_asleep(const uint32_t *tid)
{
	char path[64], stat[256];

	do {
		cleanup_close int fd = -1;
		ssize_t len;

		wait_ms(1);
		snprintf(path, sizeof(path), "/proc/self/task/%u/stat",
			 __atomic_load_n(tid, __ATOMIC_ACQUIRE));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		len = fd < 0 ? 0 : read(fd, stat, sizeof(stat) - 1);
		stat[len < 0 ? 0 : len] = '\0';
	} while (!strstr(stat, ") S "));
}

/* --- clients --- */

struct order {
	int fd;
	const char *text;
};

static int orders[2], done[2];

static void *client(void *unused)
{
	struct order order;

	while (read(orders[0], &order, sizeof(order)) == sizeof(order)) {
		send_all(order.fd, order.text, strlen(order.text));
		assert_int_equal(write(done[1], "a request", 1), 1);
	}
	return unused;
}

void let_client_send(int fd, const char *text)
{
	struct order order = {fd, text};
	char byte;

	assert_int_equal(write(orders[1], &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(done[0], &byte, 1), 1);
	(void)byte;
}

void serve_request(struct bed *bed, struct pair *pair)
{
	char bytes[sizeof(GET)];

	let_client_send(pair->client, GET);
	receive_all(pair->server, bytes, strlen(GET));
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET);
}

void answer(struct bed *bed, struct pair *pair)
{
	send_all(pair->server, OK, strlen(OK));
	EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = OK);
}

void assert_is_of(const struct work *work, const struct pair *pair)
{
	assert_int_equal(work->owner_cookie, pair->cookie);
	assert_int_equal(work->tid, syscall(SYS_gettid));
}

int start_client(void)
{
	pthread_t thread;

	return pipe(orders) || pipe(done) ? errno : pthread_create(&thread, NULL, client, NULL);
}
