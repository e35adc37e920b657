// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/decode.h"

#define IO_SIZE sizeof(struct record_io)

/* An io record with room for the most data that one can hold. */
struct io {
	struct record_io record;
	uint8_t data[RECORD_DATA_MAX + 64];
};

/* The first slice of a call of 6,000 bytes, with all that a slice can have. */
static struct io valid_io(void)
{
	struct io io = {.record = {.head = {.time_ns = 1,
					    .pid = 2,
					    .kind = RECORD_IO,
					    .role = ROLE_SERVER,
					    .direction = DIRECTION_RECEIVED,
					    .flags = IO_LAST},
				   .cookie = 3,
				   .begin = 1000,
				   .len = 6000,
				   .captured = RECORD_DATA_MAX,
				   .tail_len = RECORD_TAIL_BYTES}};

	return io;
}

/* Decodes a copy of exactly size bytes, so that a read past them shows under ASan. */
static int decode(const void *bytes, size_t size)
{
	void *copy = malloc(size ? size : 1);
	struct record record;
	int error;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	error = decode_record(&record, copy, size);
	if (!error) {
		assert_ptr_equal(record.head, copy);
		assert_int_equal(record.kind, ((const struct record_head *)bytes)->kind);
	}
	free(copy);
	return error;
}

static int decode_io(const struct io *io)
{
	return decode(io, IO_SIZE + RECORD_DATA_MAX);
}

static void each_kind_of_record_is_passed_on_as_it_is(void **state)
{
	struct record_state closed = {.head.kind = RECORD_STATE};
	struct record_undecoded undecoded = {.head.kind = RECORD_UNDECODED, .len = 16};
	struct record_connect_failed failed = {.head.kind = RECORD_CONNECT_FAILED};
	struct record_process process = {.head.kind = RECORD_EXEC};
	struct record_tls tls = {.head.kind = RECORD_TLS, .event = TLS_ENDS};
	struct io io = valid_io();
	struct record record;

	(void)state;
	assert_int_equal(decode_record(&record, &io, IO_SIZE + RECORD_DATA_MAX), 0);
	assert_int_equal(record.kind, RECORD_IO);
	assert_ptr_equal(record.io, &io);
	assert_int_equal(decode_record(&record, &closed, sizeof(closed)), 0);
	assert_int_equal(record.kind, RECORD_STATE);
	assert_ptr_equal(record.state, &closed);
	assert_int_equal(decode_record(&record, &undecoded, sizeof(undecoded)), 0);
	assert_int_equal(record.kind, RECORD_UNDECODED);
	assert_ptr_equal(record.undecoded, &undecoded);
	assert_int_equal(decode_record(&record, &failed, sizeof(failed)), 0);
	assert_int_equal(record.kind, RECORD_CONNECT_FAILED);
	assert_ptr_equal(record.connect_failed, &failed);
	assert_int_equal(decode_record(&record, &tls, sizeof(tls)), 0);
	assert_int_equal(record.kind, RECORD_TLS);
	assert_ptr_equal(record.tls, &tls);
	tls.event = TLS_EVENTS;
	assert_int_equal(decode_record(&record, &tls, sizeof(tls)), -EBADMSG);
	for (; process.head.kind <= RECORD_REAPED; process.head.kind++) {
		assert_int_equal(decode_record(&record, &process, sizeof(process)), 0);
		assert_int_equal(record.kind, process.head.kind);
		assert_ptr_equal(record.process, &process);
	}
}

static void a_record_one_byte_short_of_its_struct_is_refused(void **state)
{
	static const struct {
		enum record_kind kind;
		size_t size;
	} kinds[] = {
		{RECORD_IO, sizeof(struct record_io)},
		{RECORD_STATE, sizeof(struct record_state)},
		{RECORD_UNDECODED, sizeof(struct record_undecoded)},
		{RECORD_CONNECT_FAILED, sizeof(struct record_connect_failed)},
		{RECORD_EXEC, sizeof(struct record_process)},
		{RECORD_FORK, sizeof(struct record_process)},
		{RECORD_EXIT, sizeof(struct record_process)},
		{RECORD_REAPED, sizeof(struct record_process)},
		{RECORD_TLS, sizeof(struct record_tls)},
		{RECORD_WORK, sizeof(struct record_work)},
		{RECORD_JOB, sizeof(struct record_job)},
	};
	struct io io = valid_io();
	size_t i, size;

	(void)state;
	io.record.captured = 0;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		io.record.head.kind = kinds[i].kind;
		if (kinds[i].kind != RECORD_IO)
			memset(&io.record.cookie, 0, IO_SIZE - sizeof(io.record.head));
		for (size = 0; size < kinds[i].size; size++)
			assert_int_equal(decode(&io, size), -EBADMSG);
		assert_int_equal(decode(&io, kinds[i].size), 0);
		/* slices come in sizes of their own: what is behind the bytes that count is none */
		assert_int_equal(decode(&io, kinds[i].size + 40), 0);
	}
}

static void unknown_kinds_are_refused(void **state)
{
	struct io io = valid_io();
	int kind;

	(void)state;
	for (kind = 0; kind < 256; kind++) {
		memset(&io, 0, sizeof(io));
		io.record = valid_io().record;
		io.record.head.kind = kind;
		if (kind == RECORD_UNDECODED)
			((struct record_undecoded *)&io)->len = 0;
		if (kind == RECORD_TLS)
			((struct record_tls *)&io)->event = TLS_CONNECTS;
		assert_int_equal(decode_io(&io),
				 kind >= RECORD_IO && kind <= RECORD_JOB ? 0 : -EBADMSG);
	}
}

static void data_beyond_the_record_or_the_most_of_a_slice_is_refused(void **state)
{
	struct io io = valid_io();

	(void)state;
	assert_int_equal(decode(&io, IO_SIZE + RECORD_DATA_MAX), 0);
	assert_int_equal(decode(&io, IO_SIZE + RECORD_DATA_MAX - 1), -EBADMSG);
	assert_int_equal(decode(&io, IO_SIZE), -EBADMSG);
	io.record.captured = 1;
	assert_int_equal(decode(&io, IO_SIZE), -EBADMSG);
	assert_int_equal(decode(&io, IO_SIZE + 1), 0);
	io.record.captured = RECORD_DATA_MAX + 1;
	assert_int_equal(decode(&io, sizeof(io)), -EBADMSG);
	io.record.captured = UINT16_MAX;
	assert_int_equal(decode(&io, sizeof(io)), -EBADMSG);
}

static void data_beyond_its_call_is_refused(void **state)
{
	struct io io = valid_io();

	(void)state;
	io.record.offset = 6000 - RECORD_DATA_MAX;
	assert_int_equal(decode_io(&io), 0);
	io.record.offset++;
	assert_int_equal(decode_io(&io), -EBADMSG);
	io.record.captured = 0;
	io.record.offset = 6000;
	assert_int_equal(decode_io(&io), 0);
	io.record.offset = 6001;
	assert_int_equal(decode_io(&io), -EBADMSG);
	io.record.captured = 1; /* the sum wraps */
	io.record.offset = UINT32_MAX;
	assert_int_equal(decode_io(&io), -EBADMSG);
}

static void a_tail_longer_than_its_field_or_its_call_is_refused(void **state)
{
	struct io io = valid_io();

	(void)state;
	io.record.tail_len = RECORD_TAIL_BYTES + 1;
	assert_int_equal(decode_io(&io), -EBADMSG);
	io.record.tail_len = UINT8_MAX;
	assert_int_equal(decode_io(&io), -EBADMSG);
	io.record.captured = 0;
	io.record.len = io.record.tail_len = 3;
	assert_int_equal(decode_io(&io), 0);
	io.record.tail_len = 4;
	assert_int_equal(decode_io(&io), -EBADMSG);
	io.record.len = io.record.tail_len = 0; /* a unix socket's end */
	assert_int_equal(decode_io(&io), 0);
}

static void a_position_that_wraps_is_refused(void **state)
{
	struct io io = valid_io();

	(void)state;
	io.record.begin = UINT64_MAX - 6000;
	assert_int_equal(decode_io(&io), 0);
	io.record.begin++;
	assert_int_equal(decode_io(&io), -EBADMSG);
}

static void a_role_or_a_direction_that_is_none_is_refused(void **state)
{
	struct io io = valid_io();
	int value;

	(void)state;
	for (value = 0; value < 256; value++) {
		io.record.head.role = value;
		assert_int_equal(decode_io(&io),
				 value == ROLE_SERVER || value == ROLE_CLIENT ? 0 : -EBADMSG);
	}
	io = valid_io();
	for (value = 0; value < 256; value++) {
		io.record.head.direction = value;
		assert_int_equal(decode_io(&io),
				 value == DIRECTION_RECEIVED || value == DIRECTION_SENT ? 0
											: -EBADMSG);
	}
}

static void more_first_bytes_than_their_field_holds_are_refused(void **state)
{
	struct record_undecoded undecoded = {.head.kind = RECORD_UNDECODED, .len = 16};

	(void)state;
	assert_int_equal(decode(&undecoded, sizeof(undecoded)), 0);
	undecoded.len = 17;
	assert_int_equal(decode(&undecoded, sizeof(undecoded)), -EBADMSG);
	undecoded.len = UINT8_MAX;
	assert_int_equal(decode(&undecoded, sizeof(undecoded)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_record_is_passed_on_as_it_is),
		cmocka_unit_test(a_record_one_byte_short_of_its_struct_is_refused),
		cmocka_unit_test(unknown_kinds_are_refused),
		cmocka_unit_test(data_beyond_the_record_or_the_most_of_a_slice_is_refused),
		cmocka_unit_test(data_beyond_its_call_is_refused),
		cmocka_unit_test(a_tail_longer_than_its_field_or_its_call_is_refused),
		cmocka_unit_test(a_position_that_wraps_is_refused),
		cmocka_unit_test(a_role_or_a_direction_that_is_none_is_refused),
		cmocka_unit_test(more_first_bytes_than_their_field_holds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
