// SPDX-License-Identifier: Apache-2.0
/* work.bpf.h: what a thread uses between two records, and for which request. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu_bed.h"

#define PAGES 500

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
	assert_int_equal(bed->work.owner_begin, REQUEST_LEN);
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
	};

	return start_client() ? 1 : RUN_TESTS(tests);
}
