// SPDX-License-Identifier: Apache-2.0
/* Which request is charged for what threads did, as records and listings tell it. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

#define REQUEST(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define LOOP 77 /* the thread */

static int work_setup(void **state)
{
	int error = bed_setup(state);

	if (!error)
		((struct bed *)*state)->tells_work = true;
	return error;
}

#define WORK_TEST(f) cmocka_unit_test_setup_teardown(f, work_setup, bed_teardown)

/* Another connection of the service, so that several requests are open. */
static struct wire wires[4];

static struct wire *connection(struct bed *bed, size_t i)
{
	wire_open(&wires[i], bed->exchanges, 100 + i);
	wires[i].now_ns = bed->wire.now_ns;
	return &wires[i];
}

/* The next record comes from the loop, which had worked for owner (NULL: nobody) that many ms, and
 * then, after a wait, if it waited, that many for whatever it did next. */
static void worked(struct wire *w, const struct wire *owner, uint64_t owner_ms, bool waited,
		   uint64_t own_ms)
{
	w->work = (struct work){
		.owner_cookie = owner ? owner->cookie : 0,
		.tid = LOOP,
		.wait_count = waited,
		.owner.cpu_ns = owner_ms * WIRE_MILLISECOND,
		.own.cpu_ns = own_ms * WIRE_MILLISECOND,
	};
}

static void read_request(struct wire *w, const char *text)
{
	if (!w->work.tid)
		worked(w, NULL, 0, false, 0);
	wire_receive_text(w, text);
}

static void what_is_done_until_the_answer_is_the_requests(void **state)
{
	struct bed *bed = *state;

	read_request(&bed->wire, REQUEST("/a"));
	worked(&bed->wire, &bed->wire, 0, false, 5);
	wire_send_text(&bed->wire, ANSWER);
	expect(bed, "for /a 5; GET /a 200");
	assert_int_equal(bed->last.costs.cpu_ns, 5 * WIRE_MILLISECOND);
	assert_int_equal(bed->last.tid, LOOP);
}

static void what_came_between_two_waits_is_told_apart(void **state)
{
	struct bed *bed = *state;

	read_request(&bed->wire, REQUEST("/a"));
	worked(&bed->wire, &bed->wire, 2, true, 5);
	bed->wire.work.wait_count = 3;
	bed->wire.work.between_us = (uint32_t)(7 * 1000);
	wire_send_text(&bed->wire, ANSWER);
	expect(bed, "until wait /a 2; between /a 7; until answer /a 5; GET /a 200");
}

static void read_after_waits(struct wire *w, uint32_t count, uint64_t between_ms)
{
	worked(w, NULL, 0, true, 0);
	w->work.wait_count = count;
	w->work.between_us = (uint32_t)(between_ms * 1000);
	wire_receive_text(w, REQUEST("/a"));
}

static void what_a_loop_does_by_itself_is_told_while_no_request_of_it_is_open(void **state)
{
	struct bed *bed = *state;
	struct wire *other = connection(bed, 0);

	read_after_waits(&bed->wire, 4, 6);
	expect(bed, "alone /a 2");
	read_after_waits(other, 4, 6);
	worked(&bed->wire, &bed->wire, 0, false, 0);
	wire_send_text(&bed->wire, ANSWER);
	read_after_waits(&bed->wire, 4, 6);
	expect(bed, "GET /a 200");
	worked(&bed->wire, &bed->wire, 0, false, 0);
	wire_send_text(&bed->wire, ANSWER);
	worked(other, other, 0, false, 0);
	wire_send_text(other, ANSWER);
	read_after_waits(other, 2, 6);
	expect(bed, "GET /a 200; GET /a 200; alone /a 6");
	read_after_waits(&bed->wire, 1, 0);
	expect(bed, "");
}

static void of_more_waits_than_are_counted_it_is_not_known_how_long_each_was(void **state)
{
	struct bed *bed = *state;

	read_after_waits(&bed->wire, WORK_WAITS_MAX - 1, 2 * (WORK_WAITS_MAX - 2));
	expect(bed, "alone /a 2");
	worked(&bed->wire, &bed->wire, 0, false, 0);
	wire_send_text(&bed->wire, ANSWER);
	expect(bed, "GET /a 200");
	read_after_waits(&bed->wire, WORK_WAITS_MAX, 60000);
	expect(bed, "");
}

static void after_a_wait_it_may_be_something_else(void **state)
{
	struct bed *bed = *state;

	read_request(&bed->wire, REQUEST("/a"));
	worked(&bed->wire, &bed->wire, 2, true, 5);
	wire_send_text(&bed->wire, ANSWER);
	expect(bed, "until wait /a 2; until answer /a 5; GET /a 200");
}

static void page_faults_go_with_the_time(void **state)
{
	struct bed *bed = *state;

	read_request(&bed->wire, REQUEST("/a"));
	worked(&bed->wire, &bed->wire, 0, false, 5);
	bed->wire.work.own.minor_faults = 7;
	bed->wire.work.own.major_faults = 3;
	wire_send_text(&bed->wire, ANSWER);
	assert_int_equal(bed->last.costs.minor_faults, 7);
	assert_int_equal(bed->last.costs.major_faults, 3);
}

static void reading_another_request_charges_the_one_before(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	read_request(a, REQUEST("/a"));
	worked(b, a, 3, false, 0);
	read_request(b, REQUEST("/b"));
	expect(bed, "until wait /a 3");
	worked(b, b, 0, false, 1);
	wire_send_text(b, ANSWER);
	worked(a, b, 0, false, 2);
	wire_send_text(a, ANSWER);
	expect(bed, "for /b 1; GET /b 200; until answer /a 2; GET /a 200");
}

static void what_follows_an_answer_is_told_apart(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	read_request(a, REQUEST("/a"));
	worked(a, a, 0, false, 1);
	wire_send_text(a, ANSWER);
	expect(bed, "for /a 1; GET /a 200");
	worked(b, a, 4, true, 2);
	read_request(b, REQUEST("/b"));
	expect(bed, "after 4; before /b 2");
}

/* As with gunicorn's sync workers: it is told when the thread does something again. */
static void what_follows_an_answer_is_told_also_when_the_connection_has_gone(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	read_request(a, REQUEST("/a"));
	wire_send_text(a, ANSWER);
	wire_state(a, TCP_CLOSE, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
	worked(b, a, 4, true, 2);
	read_request(b, REQUEST("/b"));
	expect(bed, "GET /a 200; after 4; before /b 2");
	exchanges_forget_service(bed->exchanges, bed->service);
	worked(b, a, 4, false, 0);
	wire_receive_text(b, REQUEST("/c"));
	expect(bed, "");
}

/* As with gunicorn's threads. */
static void what_follows_an_answer_is_told_when_another_thread_has_read_the_next(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	read_request(a, REQUEST("/a"));
	wire_send_text(a, ANSWER);
	worked(a, NULL, 0, true, 1);
	a->work.tid = LOOP + 1;
	wire_receive_text(a, REQUEST("/b"));
	worked(a, a, 2, false, 0);
	a->work.tid = LOOP + 1;
	a->work.owner_begin = strlen(REQUEST("/a"));
	wire_send_text(a, ANSWER);
	expect(bed, "GET /a 200; before /b 1; for /b 2; GET /b 200");
	worked(b, a, 4, true, 3);
	read_request(b, REQUEST("/c"));
	expect(bed, "after 4; before /c 3");
}

/* The second request of a connection is open when the first one's rest is told. */
static void the_position_tells_which_request_of_a_connection_is_meant(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	read_request(w, REQUEST("/a"));
	wire_send_text(w, ANSWER);
	expect(bed, "GET /a 200");
	read_request(w, REQUEST("/b"));
	worked(w, w, 2, true, 3);
	w->work.owner_begin = strlen(REQUEST("/a"));
	wire_send_text(w, ANSWER);
	expect(bed, "until wait /b 2; until answer /b 3; GET /b 200");
}

static void what_nobody_is_known_for_is_charged_to_none(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), gone = *a;

	gone.cookie = 4711;
	worked(a, &gone, 3, false, 0);
	read_request(a, REQUEST("/a"));
	expect(bed, "");
	exchanges_work(bed->exchanges,
		       &(struct work){.owner_cookie = 4711, .tid = LOOP, .owner.cpu_ns = 5});
	expect(bed, "");
}

static void a_move_to_another_request_is_told_without_a_call(void **state)
{
	struct bed *bed = *state;

	read_request(&bed->wire, REQUEST("/a"));
	exchanges_work(bed->exchanges, &(struct work){.owner_cookie = bed->wire.cookie,
						      .tid = LOOP,
						      .owner.cpu_ns = 5 * WIRE_MILLISECOND});
	expect(bed, "until wait /a 5");
}

static void a_job_is_its_owners_also_when_that_is_done(void **state)
{
	struct bed *bed = *state;
	struct work work = {.owner_cookie = bed->wire.cookie,
			    .tid = LOOP + 1,
			    .wait_count = 1,
			    .owner.cpu_ns = 5 * WIRE_MILLISECOND};

	read_request(&bed->wire, REQUEST("/a"));
	exchanges_job(bed->exchanges, &work);
	expect(bed, "for /a 5");
	wire_send_text(&bed->wire, ANSWER);
	exchanges_job(bed->exchanges, &work);
	expect(bed, "GET /a 200; job after 5");
}

/* --- listings --- */

static void list_work(struct bed *bed, const struct wire *owner, uint64_t ms)
{
	exchanges_list_work_begin(bed->exchanges);
	exchanges_list_work(bed->exchanges,
			    &(struct thread_state){.tid = LOOP,
						   .owner_cookie = owner->cookie,
						   .cost.cpu_ns = ms * WIRE_MILLISECOND});
}

static void what_a_listing_charged_ahead_is_not_charged_again(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	read_request(w, REQUEST("/a"));
	list_work(bed, w, 10);
	list_work(bed, w, 25);
	list_work(bed, w, 25);
	expect(bed, "for /a 10; for /a 15; for /a 0");
	worked(w, w, 0, false, 40);
	wire_send_text(w, ANSWER);
	expect(bed, "for /a 15; GET /a 200");
	assert_int_equal(bed->last.costs.cpu_ns, 40 * WIRE_MILLISECOND);
}

static void threads_of_one_listing_add_up(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct thread_state other = {
		.tid = 78, .owner_cookie = w->cookie, .cost.cpu_ns = 5 * WIRE_MILLISECOND};

	read_request(w, REQUEST("/a"));
	list_work(bed, w, 10);
	exchanges_list_work(bed->exchanges, &other);
	expect(bed, "for /a 10; for /a 5");
	list_work(bed, w, 11);
	exchanges_list_work(bed->exchanges, &other);
	expect(bed, "for /a 0; for /a 1");
}

/* --- turns --- */

static void a_turn_is_of_all_that_were_read_up_to_the_one_that_is_answered(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1), *c = connection(bed, 2);

	bed->deferred = true;
	read_request(a, REQUEST("/a"));
	read_request(b, REQUEST("/b"));
	read_request(c, REQUEST("/c"));
	worked(b, c, 0, false, 5);
	wire_send_text(b, ANSWER);
	expect(bed, "turn /a /b 5; GET /b 200");
	worked(c, b, 0, false, 4);
	wire_send_text(c, ANSWER);
	expect(bed, "turn /c 4; GET /c 200");
	worked(a, c, 0, true, 3);
	wire_send_text(a, ANSWER);
	expect(bed, "until answer /a 3; GET /a 200");
}

static void before_a_wait_all_that_were_read_have_begun(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1), *c = connection(bed, 2);

	bed->deferred = true;
	read_request(a, REQUEST("/a"));
	read_request(b, REQUEST("/b"));
	worked(c, b, 5, true, 0);
	read_request(c, REQUEST("/c"));
	expect(bed, "turn /a /b 5");
	worked(c, c, 0, false, 1);
	wire_send_text(c, ANSWER);
	expect(bed, "turn /c 1; GET /c 200");
}

/* What lies between two that are read together is little; else there was a turn in between. */
static void reading_one_after_the_other_is_no_turn(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1), *c = connection(bed, 2);

	bed->deferred = true;
	read_request(a, REQUEST("/a"));
	worked(b, a, 1, false, 0);
	read_request(b, REQUEST("/b"));
	expect(bed, "for /a 1");
	worked(c, b, 7, false, 0);
	read_request(c, REQUEST("/c"));
	expect(bed, "turn /a /b 7");
}

static void one_that_goes_on_shares_the_turn_with_those_just_read(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	bed->deferred = true;
	read_request(a, REQUEST("/a"));
	worked(b, a, 2, true, 0);
	read_request(b, REQUEST("/b"));
	expect(bed, "turn /a 2");
	worked(a, b, 0, false, 6);
	wire_send_text(a, ANSWER);
	expect(bed, "turn /b /a 6; GET /a 200");
}

static void one_that_is_gone_is_in_no_turn(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	bed->deferred = true;
	read_request(a, REQUEST("/a"));
	read_request(b, REQUEST("/b"));
	wire_reset(a);
	expect(bed, "GET /a 0 connection_reset");
	worked(b, b, 0, false, 5);
	wire_send_text(b, ANSWER);
	expect(bed, "turn /b 5; GET /b 200");
	assert_int_equal(bed->read_count, 2);
	assert_int_equal(bed->gone_count, 2);
}

static void threads_have_turns_of_their_own(void **state)
{
	struct bed *bed = *state;
	struct wire *a = connection(bed, 0), *b = connection(bed, 1);

	bed->deferred = true;
	read_request(a, REQUEST("/a"));
	worked(b, NULL, 0, false, 0);
	b->work.tid = LOOP + 1;
	wire_receive_text(b, REQUEST("/b"));
	worked(b, b, 0, false, 5);
	b->work.tid = LOOP + 1;
	wire_send_text(b, ANSWER);
	expect(bed, "turn /b 5; GET /b 200");
	worked(a, a, 0, false, 4);
	wire_send_text(a, ANSWER);
	expect(bed, "turn /a 4; GET /a 200");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(what_is_done_until_the_answer_is_the_requests),
		WORK_TEST(what_came_between_two_waits_is_told_apart),
		WORK_TEST(what_a_loop_does_by_itself_is_told_while_no_request_of_it_is_open),
		WORK_TEST(of_more_waits_than_are_counted_it_is_not_known_how_long_each_was),
		WORK_TEST(after_a_wait_it_may_be_something_else),
		WORK_TEST(page_faults_go_with_the_time),
		WORK_TEST(reading_another_request_charges_the_one_before),
		WORK_TEST(what_follows_an_answer_is_told_apart),
		WORK_TEST(what_follows_an_answer_is_told_also_when_the_connection_has_gone),
		WORK_TEST(what_follows_an_answer_is_told_when_another_thread_has_read_the_next),
		WORK_TEST(the_position_tells_which_request_of_a_connection_is_meant),
		WORK_TEST(what_nobody_is_known_for_is_charged_to_none),
		WORK_TEST(a_move_to_another_request_is_told_without_a_call),
		WORK_TEST(a_job_is_its_owners_also_when_that_is_done),
		WORK_TEST(what_a_listing_charged_ahead_is_not_charged_again),
		WORK_TEST(threads_of_one_listing_add_up),
		WORK_TEST(a_turn_is_of_all_that_were_read_up_to_the_one_that_is_answered),
		WORK_TEST(before_a_wait_all_that_were_read_have_begun),
		WORK_TEST(reading_one_after_the_other_is_no_turn),
		WORK_TEST(one_that_goes_on_shares_the_turn_with_those_just_read),
		WORK_TEST(one_that_is_gone_is_in_no_turn),
		WORK_TEST(threads_have_turns_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
