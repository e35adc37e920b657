// SPDX-License-Identifier: Apache-2.0
/* cpu.bpf.c and work.bpf.h: what a thread uses between two records, and for which request; and how
 * work goes from one thread to another.
 *
 * The main thread is the service. What clients send comes from a thread that is no part of it: it
 * blocks in read(), which hands no work over. */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/cleanup.h"
#include "hooks_bed.h"

#define GET "GET /a HTTP/1.1\r\nHost: bittern.example\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define MS 1000000ull
#define PAGES 500
#define SLACK_NS (MS / 2)
#define TICK_NS (10 * MS) /* the scheduler's own clock of a running thread is as old at most */

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t away_ns; /* passed in burn() of this test while the CPU was taken away */

/* Gives what it was, exactly. */
static uint64_t burn(uint64_t ns)
{
	uint64_t begin_ns = now_ns(), begin = cpu_ns(), now, passed_ns;

	while ((now = cpu_ns()) < begin + ns)
		;
	passed_ns = now_ns() - begin_ns;
	away_ns += passed_ns - (now - begin);
	return now - begin;
}

/* The hooks carry the scheduler's clock on by the time that passes, the hypervisor's included. */
static void assert_cpu(uint64_t ns, uint64_t least_ns, uint64_t most_ns)
{
	assert_in_range(ns + SLACK_NS, least_ns, most_ns + 2 * SLACK_NS + away_ns);
}

/* What the clock was carried on too far in the test before is made up for. */
static int cpu_setup(void **state)
{
	int error = bed_setup(state);

	wait_ms(1);
	burn(2 * TICK_NS);
	away_ns = 0;
	return error;
}

#define CPU_TEST(f) cmocka_unit_test_setup_teardown(f, cpu_setup, bed_teardown)

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
		assert_int_equal(write(done[1], "", 1), 1);
	}
	return unused;
}

static void let_client_send(int fd, const char *text)
{
	struct order order = {fd, text};
	char byte;

	assert_int_equal(write(orders[1], &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(done[0], &byte, 1), 1);
	(void)byte;
}

static void serve_request(struct bed *bed, struct pair *pair)
{
	char bytes[sizeof(GET)];

	let_client_send(pair->client, GET);
	receive_all(pair->server, bytes, strlen(GET));
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = GET);
}

static void answer(struct bed *bed, struct pair *pair)
{
	send_all(pair->server, OK, strlen(OK));
	EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = OK);
}

static void assert_is_of(const struct work *work, const struct pair *pair)
{
	assert_int_equal(work->owner_cookie, pair->cookie);
	assert_int_equal(work->tid, syscall(SYS_gettid));
}

/* --- one thread --- */

static void what_a_thread_does_until_it_answers_is_told_with_the_answer(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	uint64_t begin = cpu_ns(), burnt;
	int i;

	for (i = 0; i < 5; i++) {
		serve_request(bed, pair);
		burnt = burn(2 * MS);
		answer(bed, pair);
		assert_is_of(&bed->work, pair);
		assert_int_equal(bed->work.wait_count, 0);
		assert_int_equal(bed->work.owner.cpu_ns, 0);
		assert_cpu(bed->work.own.cpu_ns, burnt, cpu_ns() - begin);
	}
}

static void what_came_before_the_next_request_is_the_last_ones(void **state)
{
	struct bed *bed = *state;
	struct pair *first = pair_open(bed, AF_INET), *second = pair_open(bed, AF_INET);
	uint64_t begin = cpu_ns(), burnt;

	serve_request(bed, first);
	burnt = burn(2 * MS);
	serve_request(bed, second);
	assert_is_of(&bed->work, first);
	assert_int_equal(bed->work.owner_begin, 0);
	assert_cpu(bed->work.owner.cpu_ns, burnt, cpu_ns() - begin);
	assert_int_equal(bed->work.own.cpu_ns, 0);
	answer(bed, second);
	assert_cpu(bed->work.own.cpu_ns, 0, cpu_ns() - begin - burnt);
}

static void the_second_request_of_a_connection_is_named_by_its_position(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET), *other = pair_open(bed, AF_INET);

	serve_request(bed, pair);
	answer(bed, pair);
	serve_request(bed, pair);
	serve_request(bed, other);
	assert_is_of(&bed->work, pair);
	assert_int_equal(bed->work.owner_begin, strlen(GET));
}

static void a_wait_for_events_divides_the_work(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	uint64_t begin = cpu_ns(), before, after;
	struct pollfd nothing = {.fd = pair->server, .events = POLLIN};

	serve_request(bed, pair);
	before = burn(2 * MS);
	assert_int_equal(poll(&nothing, 1, 5), 0);
	after = burn(4 * MS);
	answer(bed, pair);
	assert_is_of(&bed->work, pair);
	assert_int_equal(bed->work.wait_count, 1);
	assert_int_equal(bed->work.between_us, 0);
	assert_cpu(bed->work.owner.cpu_ns, before, cpu_ns() - begin - after);
	assert_cpu(bed->work.own.cpu_ns, after, cpu_ns() - begin - before);
}

static void what_comes_between_two_waits_is_told_apart(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	uint64_t begin = cpu_ns(), before, between, after, all;
	struct pollfd nothing = {.fd = pair->server, .events = POLLIN};

	serve_request(bed, pair);
	before = burn(2 * MS);
	assert_int_equal(poll(&nothing, 1, 5), 0);
	between = burn(3 * MS);
	assert_int_equal(poll(&nothing, 1, 5), 0);
	between += burn(3 * MS);
	assert_int_equal(poll(&nothing, 1, 5), 0);
	after = burn(4 * MS);
	answer(bed, pair);
	all = cpu_ns() - begin;
	assert_is_of(&bed->work, pair);
	assert_int_equal(bed->work.wait_count, 3);
	assert_cpu(bed->work.owner.cpu_ns, before, all - between - after);
	assert_cpu(bed->work.between_us * 1000ull + 1000, between, all - before - after);
	assert_cpu(bed->work.own.cpu_ns, after, all - before - between);
}

static void pages_touched_first_are_told(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), i;
	struct rusage begin, end;
	char *memory;

	serve_request(bed, pair);
	getrusage(RUSAGE_THREAD, &begin);
	memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	answer(bed, pair);
	getrusage(RUSAGE_THREAD, &end);
	munmap(memory, PAGES * page);
	assert_in_range(bed->work.own.minor_faults, PAGES, end.ru_minflt - begin.ru_minflt + 100);
}

/* Of a connection that speaks something else the answer brings the thread back to its request. */
static void an_answer_from_elsewhere_brings_back_whom_it_is_for(void **state)
{
	struct bed *bed = *state;
	struct pair *elsewhere = pair_open(bed, AF_INET), *first = pair_open(bed, AF_INET),
		    *second = pair_open(bed, AF_INET);
	const struct record_work *record;
	uint64_t burnt;
	char bytes[8];

	serve_request(bed, first);
	send_all(elsewhere->client, "\1query\n", 7);
	serve_request(bed, second);
	burnt = burn(2 * MS);
	let_client_send(elsewhere->server, "\2rows!\n");
	receive_all(elsewhere->client, bytes, 7);
	record = expect_work(bed);
	assert_is_of(&record->work, second);
	assert_cpu(record->work.owner.cpu_ns, burnt, 10 * burnt);
	burnt = burn(2 * MS);
	serve_request(bed, second); /* whatever comes next */
	assert_is_of(&bed->work, first);
	assert_cpu(bed->work.owner.cpu_ns, burnt, 10 * burnt);
}

/* A loop that waits for the backend runs its timers meanwhile. */
static void what_was_done_between_two_waits_is_not_for_whom_the_answer_brings_back(void **state)
{
	struct bed *bed = *state;
	struct pair *elsewhere = pair_open(bed, AF_INET), *pair = pair_open(bed, AF_INET);
	struct pollfd nothing = {.fd = pair->server, .events = POLLIN};
	uint64_t burnt, after;
	char bytes[8];

	serve_request(bed, pair);
	send_all(elsewhere->client, "\1query\n", 7);
	assert_int_equal(poll(&nothing, 1, 5), 0);
	burnt = burn(4 * MS);
	assert_int_equal(poll(&nothing, 1, 5), 0);
	let_client_send(elsewhere->server, "\2rows!\n");
	receive_all(elsewhere->client, bytes, 7);
	after = burn(2 * MS);
	answer(bed, pair);
	assert_is_of(&bed->work, pair);
	assert_cpu(bed->work.owner.cpu_ns + bed->work.own.cpu_ns, after, after + burnt / 2);
}

static void take_state(void *context, const struct thread_state *found)
{
	struct thread_state *wanted = context;

	if (found->tid == wanted->tid)
		*wanted = *found;
}

static void a_thread_that_computes_for_long_is_listed(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	struct thread_state found = {.tid = (uint32_t)syscall(SYS_gettid)};
	uint64_t begin = cpu_ns(), burnt;

	serve_request(bed, pair);
	burnt = burn(5 * TICK_NS);
	assert_int_equal(capture_list_work(bed->capture, take_state, &found), 0);
	assert_int_equal(found.pid, getpid());
	assert_int_equal(found.owner_cookie, pair->cookie);
	assert_int_equal(found.waker_tid, 0);
	assert_cpu(found.cost.cpu_ns, burnt - TICK_NS, cpu_ns() - begin);
}

/* --- several threads --- */

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, told;
	bool timed, wanted, idle, finished;
	uint32_t tid;
	uint64_t burnt;
};

static struct worker plain, timed;

/* Until a thread, which writes its id to *tid when it begins, has nothing to do; for as long as the
 * test may take. */
static void wait_asleep(const uint32_t *tid)
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

static void *work(void *context)
{
	struct worker *w = context;
	struct timespec later;

	pthread_mutex_lock(&w->lock);
	__atomic_store_n(&w->tid, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (;;) {
		w->idle = true;
		clock_gettime(CLOCK_REALTIME, &later);
		later.tv_sec += 20;
		while (!w->wanted && w->timed)
			pthread_cond_timedwait(&w->wake, &w->lock, &later);
		while (!w->wanted)
			pthread_cond_wait(&w->wake, &w->lock);
		pthread_mutex_unlock(&w->lock); /* the other one is to wait until it is told */
		if (w->wanted)
			w->burnt = burn(3 * MS);
		pthread_mutex_lock(&w->lock);
		w->wanted = false;
		w->finished = true;
		pthread_cond_signal(&w->told);
	}
	return NULL;
}

/* Before the hooks are there: whom the main thread worked for when it began a thread is no matter.
 */
static void worker_start(struct worker *w, bool timed)
{
	*w = (struct worker){.timed = timed,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .wake = PTHREAD_COND_INITIALIZER,
			     .told = PTHREAD_COND_INITIALIZER};
	assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
	wait_asleep(&w->tid);
	assert_true(w->idle);
}

static void worker_run(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->finished = false;
	w->wanted = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->wake);
	pthread_mutex_lock(&w->lock);
	while (!w->finished)
		pthread_cond_wait(&w->told, &w->lock);
	pthread_mutex_unlock(&w->lock);
	wait_asleep(&w->tid);
}

static void a_thread_that_is_woken_without_timeout_does_a_job(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	const struct record_job *job;
	struct worker *w = &plain;
	uint64_t begin = cpu_ns(), begin_ns;
	int i;

	serve_request(bed, pair);
	for (i = 0; i < 3; i++) {
		begin_ns = now_ns();
		worker_run(w);
		job = expect_job(bed);
		assert_int_equal(job->work.tid, w->tid);
		assert_int_equal(job->waker_tid, syscall(SYS_gettid));
		assert_int_equal(job->work.owner_cookie, pair->cookie);
		assert_int_equal(job->unwoken, 0);
		assert_cpu(job->work.owner.cpu_ns, w->burnt, 3 * w->burnt);
		assert_in_range(job->begin_ns, begin_ns, job->told_ns);
		assert_in_range(job->told_ns, begin_ns, job->head.time_ns);
	}
	answer(bed, pair);
	assert_cpu(bed->work.own.cpu_ns, 0, cpu_ns() - begin); /* not the worker's */
}

static void a_thread_that_waits_with_a_timeout_does_none(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	serve_request(bed, pair);
	worker_run(&timed);
	expect_no_job(bed);
	answer(bed, pair);
}

static void *burn_once(void *burnt)
{
	*(uint64_t *)burnt = burn(3 * MS);
	return NULL;
}

static void a_new_thread_does_a_job_until_it_ends(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	const struct record_job *job;
	pthread_t thread;
	uint64_t burnt;

	serve_request(bed, pair);
	assert_int_equal(pthread_create(&thread, NULL, burn_once, &burnt), 0);
	pthread_join(thread, NULL);
	job = expect_job(bed);
	assert_int_equal(job->work.owner_cookie, pair->cookie);
	assert_int_equal(job->waker_tid, syscall(SYS_gettid));
	assert_cpu(job->work.owner.cpu_ns, burnt, 3 * burnt);
	answer(bed, pair);
}

/* The interpreter lock of CPython: one struct, waited for with a timeout of 5 ms at one place of
 * it, and without at another. */
struct gil_waiter {
	uint32_t *word, tid;
	pthread_t thread;
};

static uint32_t words[1024];
static struct gil_waiter lock, queue;

static void *wait_for_word(void *context)
{
	struct gil_waiter *w = context;

	__atomic_store_n(&w->tid, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	syscall(SYS_futex, w->word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL,
		FUTEX_BITSET_MATCH_ANY);
	burn(2 * MS);
	return NULL;
}

static void waiter_start(struct gil_waiter *w, uint32_t *word)
{
	w->word = word;
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_word, w), 0);
	wait_asleep(&w->tid);
}

/* As every thread does that wants the lock: where it is is known then. */
static void want_lock(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 5 * MS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	syscall(SYS_futex, &words[0], FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &until, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

static void who_waits_for_the_interpreter_lock_is_given_no_job(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);

	serve_request(bed, pair);
	want_lock();
	syscall(SYS_futex, lock.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	pthread_join(lock.thread, NULL);
	expect_no_job(bed);
	syscall(SYS_futex, queue.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	pthread_join(queue.thread, NULL);
	expect_job(bed);
	answer(bed, pair);
}

/* Halfway it lets go of the lock that the other thread waits for. */
static void *burn_and_let_go(void *burnt)
{
	uint64_t *sum = burnt;

	*sum = burn(3 * MS);
	__atomic_store_n(&words[2], 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &words[2], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	*sum += burn(3 * MS);
	return NULL;
}

static void a_job_goes_on_when_its_thread_lets_go_of_the_interpreter_lock(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	const struct record_job *job;
	pthread_t thread;
	uint64_t burnt;

	serve_request(bed, pair);
	want_lock();
	assert_int_equal(pthread_create(&thread, NULL, burn_and_let_go, &burnt), 0);
	syscall(SYS_futex, &words[2], FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL,
		FUTEX_BITSET_MATCH_ANY);
	pthread_join(thread, NULL);
	job = expect_job(bed);
	assert_cpu(job->work.owner.cpu_ns, burnt, 2 * burnt);
	expect_no_job(bed);
	answer(bed, pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CPU_TEST(what_a_thread_does_until_it_answers_is_told_with_the_answer),
		CPU_TEST(what_came_before_the_next_request_is_the_last_ones),
		CPU_TEST(the_second_request_of_a_connection_is_named_by_its_position),
		CPU_TEST(a_wait_for_events_divides_the_work),
		CPU_TEST(what_comes_between_two_waits_is_told_apart),
		CPU_TEST(pages_touched_first_are_told),
		CPU_TEST(an_answer_from_elsewhere_brings_back_whom_it_is_for),
		CPU_TEST(what_was_done_between_two_waits_is_not_for_whom_the_answer_brings_back),
		CPU_TEST(a_thread_that_computes_for_long_is_listed),
		CPU_TEST(a_thread_that_is_woken_without_timeout_does_a_job),
		CPU_TEST(a_thread_that_waits_with_a_timeout_does_none),
		CPU_TEST(a_new_thread_does_a_job_until_it_ends),
		CPU_TEST(who_waits_for_the_interpreter_lock_is_given_no_job),
		CPU_TEST(a_job_goes_on_when_its_thread_lets_go_of_the_interpreter_lock),
	};
	pthread_t thread;

	if (pipe(orders) || pipe(done) || pthread_create(&thread, NULL, client, NULL))
		return 1;
	worker_start(&plain, false);
	worker_start(&timed, true);
	waiter_start(&lock, &words[10]);
	waiter_start(&queue, &words[1000]);
	return RUN_TESTS(tests);
}
