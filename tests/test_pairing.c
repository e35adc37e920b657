// SPDX-License-Identifier: Apache-2.0
/* Random connections: random messages, cut into random calls, recorded in any order that the
 * contract allows. Without losses exactly the true exchanges are reported; with losses some are
 * missing, but none is wrong, and after a quiet moment all are right again. Every run plays the
 * same cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"
#include "play.h"
#include "../agent/decode.h"

#define CASES 6000

static void ignore_exchange(void *context, struct exchange *x)
{
	(void)context;
	(void)x;
}

static void ignore_const_exchange(void *context, const struct exchange *x)
{
	(void)context;
	(void)x;
}

static void ignore_work(void *context, struct exchange *x, enum exchange_work how,
			const struct costs *costs)
{
	(void)context;
	(void)x;
	(void)how;
	(void)costs;
}

static void ignore_work_turn(void *context, struct exchange *const *list, size_t count,
			     const struct costs *costs)
{
	(void)context;
	(void)list;
	(void)count;
	(void)costs;
}

static bool ignore_begun_turn(void *context, const struct exchange *x, uint64_t cpu_ns)
{
	(void)context;
	(void)x;
	(void)cpu_ns;
	return true;
}

static void ignore_work_after(void *context, const struct exchange_ended *ended, bool certain,
			      const struct costs *costs)
{
	(void)context;
	(void)certain;
	(void)ended;
	(void)costs;
}

static void ignore_host(void *context, struct exchange *x, const char *host, size_t host_len)
{
	(void)context;
	(void)x;
	(void)host;
	(void)host_len;
}

static bool ignore_unread(void *context, const struct exchange_unread *unread)
{
	(void)context;
	(void)unread;
	return false;
}

static void ignore_unread_ended(void *context, const struct exchange_unread *unread, bool died)
{
	(void)context;
	(void)unread;
	(void)died;
}

/* Takes no notice of anything else. */
static struct exchange_sink quiet_sink(void (*request)(void *context, struct exchange *exchange,
						       const char *path, size_t path_len),
				       void (*done)(void *context, struct exchange *exchange),
				       void *context)
{
	return (struct exchange_sink){
		.request = request,
		.host = ignore_host,
		.begun = ignore_exchange,
		.first_byte = ignore_const_exchange,
		.timed_out = ignore_exchange,
		.done = done,
		.read = ignore_exchange,
		.gone = ignore_exchange,
		.worked = ignore_work,
		.worked_turn = ignore_work_turn,
		.begun_turn = ignore_begun_turn,
		.worked_after = ignore_work_after,
		.unread = ignore_unread,
		.unread_ended = ignore_unread_ended,
		.context = context,
	};
}

static struct play play;

static struct exchanges *open_exchanges(void)
{
	struct exchange_sink sink = quiet_sink(play_on_request, play_on_done, &play);
	struct exchanges *e;

	assert_int_equal(exchanges_open(&e, &sink), 0);
	return e;
}

static void without_losses_exactly_the_true_exchanges_are_reported(void **state)
{
	struct exchanges *e = open_exchanges();
	unsigned int seed;

	(void)state;
	for (seed = 1; seed <= CASES; seed++) {
		play_open(&play, seed, e);
		play.pipelines = one_in(2);
		play.wire.is_unix = one_in(4);
		play.short_uploads = play.pipelines || play.wire.is_unix;
		play.wire.from_birth = !play.wire.is_unix;
		while (play.count < 10) {
			if (!play.pipelines || one_in(2))
				play_alternating(&play, 1 + below(5), false);
			else
				play_window(&play, 1 + below(8));
		}
		play_alternating(&play, 1 + below(3), true);
		exchanges_settle(e, play.wire.now_ns + 1);
		play_finish(&play);
		if (play.done_count != play.count)
			play_describe(&play, &play.messages[play.done_count], "is missing");
		assert_int_equal(play.done_count, play.count);
		play_close(&play);
	}
	exchanges_close(e);
}

static void play_lossy(struct exchanges *e, unsigned int seed, bool pipelines)
{
	size_t i, quiet;

	play_open(&play, seed, e);
	play.lossy = true;
	play.hostile_bodies = false;
	play.short_uploads = pipelines;
	if (pipelines)
		play_window(&play, 3); /* so it is known that this client does */
	play.losing = true;
	while (play.count < 16) {
		if (!pipelines || one_in(3))
			play_alternating(&play, 1 + below(4), false);
		else
			play_window(&play, 1 + below(6));
	}
	play.losing = false;
	play.wire.now_ns += 2 * WIRE_SECOND;
	quiet = play.count;
	play_alternating(&play, 5, false);
	if (pipelines)
		play_window(&play, 5);
	exchanges_settle(e, play.wire.now_ns + 1);
	play_finish(&play);
	exchanges_settle(e, play.wire.now_ns + WIRE_SECOND);
	for (i = quiet; i < play.count; i++) {
		if (!play.messages[i].reported)
			play_describe(&play, &play.messages[i], "is missing");
		assert_true(play.messages[i].reported);
	}
	play_close(&play);
}

static void with_losses_no_exchange_is_wrong_and_later_ones_are_right_again(void **state)
{
	struct exchanges *e = open_exchanges();
	unsigned int seed;

	(void)state;
	for (seed = 1; seed <= CASES; seed++)
		play_lossy(e, seed, false);
	assert_true(exchanges_stats(e).requests_lost > 0);
	exchanges_close(e);
}

static void with_losses_pipelining_shifts_no_status(void **state)
{
	struct exchanges *e = open_exchanges();
	unsigned int seed;

	(void)state;
	for (seed = 1; seed <= CASES; seed++)
		play_lossy(e, seed, true);
	exchanges_close(e);
}

/* --- what random cases have found --- */

/* A chunk longer than what is copied of a call: its end is not seen. */
#define LONG_CHUNK 8200

static void fill_body(char *bytes, size_t len, const char *end)
{
	memset(bytes, 'x', len);
	memcpy(bytes + len - strlen(end), end, strlen(end));
}

/* The second size line is behind the first 8 KB and not seen; the last call ends the body. */
static void receive_long_upload(struct wire *w, const char *call)
{
	static char body[LONG_CHUNK];

	fill_body(body, sizeof(body), "uvwxyz\r\n");
	wire_receive_text(w, "POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1fe0\r\n");
	wire_receive(w, body, sizeof(body));
	wire_receive_text(w, call);
	wire_receive_text(w, "abc\r\n0\r\n\r\n");
}

static void a_call_of_a_long_upload_that_looks_like_a_request_costs_nothing(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	receive_long_upload(w, "POST /evil HTTP/1.1\r\nabcd");
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "POST /upload 200; GET /next 404");
	expect_open(bed, 0);
}

/* A response of which a size line is not seen, in three calls; then the last one's hook runs, after
 * the next request was read. */
static void send_long_answer(struct wire *w, const char *call, bool late)
{
	static char body[LONG_CHUNK];

	fill_body(body, sizeof(body), "3\r\n0\r\n\r\n");
	wire_send_text(w,
		       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1000\r\n");
	wire_send(w, body, sizeof(body));
	wire_send_begin(w, strlen(call));
	if (late)
		wire_receive_text(w, GET("/next"));
	wire_send_hook(w, call, strlen(call));
}

static void a_response_begins_where_its_request_was_read_or_later(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/long"));
	send_long_answer(w, "HTTP/1.1 500 no\r\n0\r\n\r\n", true);
	wire_send_text(w, OK);
	expect(bed, "GET /long 200; GET /next 200");
	expect_open(bed, 0);
}

static void what_is_no_status_line_holds_no_pipelined_response_up(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/long") GET("/next"));
	send_long_answer(w, "HTTP/1.1\r\nabc\r\n0\r\n\r\n", false);
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /long 200; GET /next 404");
	expect_open(bed, 0);
}

/* --- any bytes --- */

static void take_any(struct exchanges *e, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* its own, so that reads past its end show */
	struct record record;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	if (!decode_record(&record, copy, size)) {
		if (record.kind == RECORD_IO)
			exchanges_io(e, record.io);
		else if (record.kind == RECORD_STATE)
			exchanges_state(e, record.state);
	}
	free(copy);
}

static void mutate(uint8_t *bytes, size_t size)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, '\r', '\n', ' ', '0', 'H'};
	size_t n = below(6), at;

	while (n--) {
		at = below(size);
		switch (below(4)) {
		case 0:
			bytes[at] ^= 1 << below(8);
			break;
		case 1:
			bytes[at] = values[below(sizeof(values))];
			break;
		case 2:
			bytes[at] = random_next();
			break;
		default: /* positions and lengths */
			memset(bytes + (at % 64 & ~7ul), one_in(2) ? 0xff : 0, 8);
			break;
		}
	}
}

static void ignore_done(void *context, struct exchange *x)
{
	(void)context;
	assert_true(x->end_ns >= x->start_ns);
}

static bool any_is_late(void *context, const struct exchange_unread *unread)
{
	(void)context;
	(void)unread;
	return one_in(2);
}

static void any_limit(void *context, struct exchange *x, const char *path, size_t path_len)
{
	play_on_request(context, x, path, path_len);
	x->limit_ns = one_in(2) ? random_next() : 0;
}

static void ignore_open(void *context, struct exchange *x)
{
	(void)context;
	assert_true(x->head_complete);
}

static void list_any(struct exchanges *e)
{
	size_t count = below(5);

	exchanges_list_begin(e, one_in(2) ? random_next() : play.wire.now_ns);
	while (count--) {
		struct connection_state state = {
			.cookie = 1 + below(60),
			.received_end = one_in(2) ? random_next() : below(10000),
			.sent_end = one_in(2) ? random_next() : below(10000),
			.arrival_ns = one_in(2) ? random_next() : 0,
			.role = below(3),
			.shutdown = below(4),
			.is_unix = below(2),
		};

		exchanges_listed(e, &state);
	}
	exchanges_list_end(e, one_in(2));
	exchanges_each_open(e, ignore_open, NULL);
}

/* Records of true connections, with bytes changed, cut, repeated, reordered. */
static void any_records_do_no_harm(void **state)
{
	struct exchange_sink sink = quiet_sink(any_limit, ignore_done, NULL);
	struct exchanges *e;
	unsigned int seed;

	(void)state;
	sink.unread = any_is_late;
	assert_int_equal(exchanges_open(&e, &sink), 0);
	for (seed = 1; seed <= 4000; seed++) {
		struct wire_record *record, *next;

		play_open(&play, seed, e);
		play.lossy = true;
		play.wire.cookie = 1 + below(50);
		wire_hold(&play.wire);
		while (play.count < 6)
			play_window(&play, 3);
		play_finish(&play);
		for (record = wire_take(&play.wire); record; record = next) {
			next = record->next;
			if (one_in(2))
				mutate(record->bytes, record->size);
			do
				take_any(e, record->bytes,
					 one_in(20) ? below(record->size + 1) : record->size);
			while (one_in(10));
			free(record);
		}
		if (one_in(20))
			exchanges_settle(e, random_next());
		if (one_in(20))
			exchanges_expire(e, random_next());
		if (one_in(20))
			exchanges_check_limits(e, random_next());
		if (one_in(20))
			list_any(e);
		play_close(&play);
	}
	assert_true(exchanges_stats(e).open_count <= EXCHANGE_OPEN_MAX);
	exchanges_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_losses_exactly_the_true_exchanges_are_reported),
		cmocka_unit_test(with_losses_no_exchange_is_wrong_and_later_ones_are_right_again),
		cmocka_unit_test(with_losses_pipelining_shifts_no_status),
		TEST(a_call_of_a_long_upload_that_looks_like_a_request_costs_nothing),
		TEST(a_response_begins_where_its_request_was_read_or_later),
		TEST(what_is_no_status_line_holds_no_pipelined_response_up),
		cmocka_unit_test(any_records_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
