// SPDX-License-Identifier: Apache-2.0
/* cpu.bpf.c: how work goes from one thread to another. */
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu_bed.h"

static uint32_t service; /* the main thread */

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, told;
	bool timed, wanted, idle, finished;
	uint32_t tid;
	uint64_t burnt;
};

static struct worker plain, timed;

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
		assert_int_equal(job->last, 0);
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
	assert_int_equal(job->last, 1);
	assert_cpu(job->work.owner.cpu_ns, burnt, 3 * burnt);
	answer(bed, pair);
}

static sem_t posted;

static void *burn_and_post(void *burnt)
{
	wait_asleep(&service);
	burn_once(burnt);
	sem_post(&posted);
	return NULL;
}

/* As asyncio's loop in ThreadPoolExecutor.shutdown(). */
static void a_wait_for_the_end_of_its_own_job_is_none_for_events(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	uint64_t begin = cpu_ns(), after, burnt;
	pthread_t thread;

	serve_request(bed, pair);
	answer(bed, pair);
	after = burn(2 * TICK_NS);
	assert_int_equal(pthread_create(&thread, NULL, burn_and_post, &burnt), 0);
	while (sem_wait(&posted))
		;
	after += burn(2 * TICK_NS);
	serve_request(bed, pair);
	assert_is_of(&bed->work, pair);
	assert_int_equal(bed->work.wait_count, 0);
	assert_cpu(bed->work.owner.cpu_ns, after - TICK_NS, cpu_ns() - begin);
	assert_int_equal(bed->work.own.cpu_ns, 0);
	pthread_join(thread, NULL);
	expect_job(bed);
}

/* The interpreter lock of CPython: one struct, waited for with a timeout of 5 ms at one place of
 * it, and without at another. */
struct gil_waiter {
	uint32_t *word, tid;
	pthread_t thread;
};

#define LOCK 512 /* away from what other tests wait for */
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
	syscall(SYS_futex, &words[LOCK], FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &until, NULL,
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
	__atomic_store_n(&words[LOCK + 2], 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &words[LOCK + 2], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
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
	syscall(SYS_futex, &words[LOCK + 2], FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL,
		FUTEX_BITSET_MATCH_ANY);
	pthread_join(thread, NULL);
	job = expect_job(bed);
	assert_cpu(job->work.owner.cpu_ns, burnt, 2 * burnt);
	expect_no_job(bed);
	answer(bed, pair);
}

/* As gunicorn's main thread does, which accepts connections and reads none of them. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool there;
	uint64_t burnt;
} accepted = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
static int to_accept[2];

static void *acceptor(void *unused)
{
	char byte;

	while (read(to_accept[0], &byte, 1) == 1) {
		wait_asleep(&service);
		accepted.burnt = burn(2 * TICK_NS);
		pthread_mutex_lock(&accepted.lock);
		accepted.there = true;
		pthread_mutex_unlock(&accepted.lock);
		pthread_cond_signal(&accepted.wake);
	}
	return unused;
}

static void wait_for_acceptor(void)
{
	assert_int_equal(write(to_accept[1], "", 1), 1);
	pthread_mutex_lock(&accepted.lock);
	while (!accepted.there)
		pthread_cond_wait(&accepted.wake, &accepted.lock);
	accepted.there = false;
	pthread_mutex_unlock(&accepted.lock);
}

static void what_is_used_to_hand_a_connection_on_comes_before_its_request(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	uint64_t begin, after;
	int i;

	serve_request(bed, pair);
	answer(bed, pair);
	wait_for_acceptor(); /* is known from now on */
	for (i = 0; i < 3; i++) {
		serve_request(bed, pair);
		answer(bed, pair);
		begin = cpu_ns();
		after = burn(2 * TICK_NS);
		wait_for_acceptor();
		serve_request(bed, pair);
		assert_is_of(&bed->work, pair);
		assert_cpu(bed->work.owner.cpu_ns, after - TICK_NS, cpu_ns() - begin);
		assert_cpu(bed->work.own.cpu_ns, accepted.burnt - TICK_NS,
			   2 * accepted.burnt + cpu_ns() - begin - after);
		answer(bed, pair);
	}
	expect_no_job(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CPU_TEST(a_thread_that_is_woken_without_timeout_does_a_job),
		CPU_TEST(a_thread_that_waits_with_a_timeout_does_none),
		CPU_TEST(a_new_thread_does_a_job_until_it_ends),
		CPU_TEST(a_wait_for_the_end_of_its_own_job_is_none_for_events),
		CPU_TEST(who_waits_for_the_interpreter_lock_is_given_no_job),
		CPU_TEST(a_job_goes_on_when_its_thread_lets_go_of_the_interpreter_lock),
		CPU_TEST(what_is_used_to_hand_a_connection_on_comes_before_its_request),
	};
	pthread_t thread;

	service = (uint32_t)getpid();
	if (start_client() || pipe(to_accept) || pthread_create(&thread, NULL, acceptor, NULL))
		return 1;
	worker_start(&plain, false);
	worker_start(&timed, true);
	waiter_start(&lock, &words[LOCK + 10]);
	waiter_start(&queue, &words[1000]);
	return RUN_TESTS(tests);
}
