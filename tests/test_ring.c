// SPDX-License-Identifier: Apache-2.0
/* A file in memory stands for the map, and the test for the kernel that writes. */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/ring.h"

#define RECORD_MAX 1000

struct bed {
	struct ring *ring;
	int fd;
	size_t page, size;
	uint8_t *map; /* two pages, the ring */
	unsigned long reserved; /* the writer's position */
	char log[4096]; /* what was read, as far as it fits: "one; two" */
	int read_count;
};

static int set_up(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	bed->page = (size_t)sysconf(_SC_PAGESIZE);
	bed->size = bed->page;
	bed->fd = memfd_create("ring", MFD_CLOEXEC);
	assert_int_equal(ftruncate(bed->fd, (off_t)(2 * bed->page + bed->size)), 0);
	bed->map = mmap(NULL, 2 * bed->page + bed->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			bed->fd, 0);
	assert_true(bed->map != MAP_FAILED);
	assert_int_equal(ring_open(&bed->ring, bed->fd, bed->size, RECORD_MAX), 0);
	*state = bed;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *bed = *state;

	ring_close(bed->ring);
	munmap(bed->map, 2 * bed->page + bed->size);
	close(bed->fd);
	free(bed);
	return 0;
}

static unsigned long read_position(const struct bed *bed)
{
	return *(unsigned long *)bed->map;
}

/* Byte by byte, as what is torn goes on at the begin. */
static void put(struct bed *bed, unsigned long position, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bed->map[2 * bed->page + (position + i) % bed->size] = ((const uint8_t *)bytes)[i];
}

/* Where the record's header is. */
static unsigned long reserve(struct bed *bed, size_t len)
{
	unsigned long position = bed->reserved;
	uint32_t head[2] = {(uint32_t)len | BPF_RINGBUF_BUSY_BIT, 0xdeadbeef};

	bed->reserved += (sizeof(head) + len + 7) / 8 * 8;
	assert_true(bed->reserved - read_position(bed) <= bed->size);
	put(bed, position, head, sizeof(head));
	*(unsigned long *)(bed->map + bed->page) = bed->reserved;
	return position;
}

static void submit(struct bed *bed, unsigned long position, const void *bytes, size_t len,
		   uint32_t flags)
{
	uint32_t word = (uint32_t)len | flags;

	put(bed, position + BPF_RINGBUF_HDR_SZ, bytes, len);
	put(bed, position, &word, sizeof(word));
}

static void add(struct bed *bed, const char *text)
{
	submit(bed, reserve(bed, strlen(text)), text, strlen(text), 0);
}

static void on_record(void *context, const void *bytes, size_t size)
{
	struct bed *bed = context;
	size_t len = strlen(bed->log);

	assert_int_equal((uintptr_t)bytes % 8, 0);
	snprintf(bed->log + len, sizeof(bed->log) - len, "%s%.*s", len ? "; " : "", (int)size,
		 (const char *)bytes);
	bed->read_count++;
}

static void expect(struct bed *bed, int max, const char *log)
{
	int count;

	bed->log[0] = '\0';
	bed->read_count = 0;
	count = ring_drain(bed->ring, max, on_record, bed);
	assert_int_equal(count, bed->read_count);
	assert_string_equal(bed->log, log);
}

static void records_come_in_order_and_give_their_room_back(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(ring_size(bed->ring), bed->size);
	assert_int_equal(ring_used(bed->ring), 0);
	expect(bed, 100, "");
	add(bed, "one");
	add(bed, "and two");
	add(bed, "eight of");
	assert_int_equal(ring_used(bed->ring), 3 * 16);
	assert_int_equal(read_position(bed), 0);
	expect(bed, 100, "one; and two; eight of");
	assert_int_equal(ring_used(bed->ring), 0);
	assert_int_equal(read_position(bed), 3 * 16);
	expect(bed, 100, "");
}

static void no_more_than_wanted_are_given(void **state)
{
	struct bed *bed = *state;

	add(bed, "1");
	add(bed, "2");
	add(bed, "3");
	expect(bed, 0, "");
	expect(bed, 2, "1; 2");
	assert_int_equal(ring_used(bed->ring), 16);
	expect(bed, 2, "3");
}

static void what_is_still_written_holds_back_what_follows(void **state)
{
	struct bed *bed = *state;
	unsigned long slow;

	add(bed, "before");
	slow = reserve(bed, 4);
	add(bed, "after");
	expect(bed, 100, "before");
	assert_int_equal(ring_used(bed->ring), 2 * 16);
	expect(bed, 100, "");
	submit(bed, slow, "slow", 4, 0);
	expect(bed, 100, "slow; after");
}

static void what_was_discarded_is_passed_over_and_not_counted(void **state)
{
	struct bed *bed = *state;

	submit(bed, reserve(bed, 9), "discarded", 9, BPF_RINGBUF_DISCARD_BIT);
	add(bed, "kept");
	submit(bed, reserve(bed, 3), "bad", 3, BPF_RINGBUF_DISCARD_BIT);
	expect(bed, 1, "kept");
	expect(bed, 1, "");
	assert_int_equal(ring_used(bed->ring), 0);
}

/* Of every length, so that it is torn at every place. */
static void a_torn_record_is_put_together(void **state)
{
	struct bed *bed = *state;
	char text[RECORD_MAX + 1] = "";

	for (size_t len = 1; len <= RECORD_MAX; len++) {
		text[len - 1] = (char)('a' + len % 26);
		add(bed, text);
		expect(bed, 100, text);
	}
	assert_true(bed->reserved > 100 * bed->size);
}

static void a_torn_record_that_is_too_long_is_cut(void **state)
{
	struct bed *bed = *state;
	char text[RECORD_MAX + 101] = "";
	size_t pass_by = bed->size - 64 - BPF_RINGBUF_HDR_SZ;
	char *first = calloc(1, pass_by);

	assert_non_null(first);
	submit(bed, reserve(bed, pass_by), first, pass_by, BPF_RINGBUF_DISCARD_BIT);
	expect(bed, 100, "");
	memset(text, 'x', sizeof(text) - 1);
	add(bed, text);
	text[RECORD_MAX] = '\0';
	expect(bed, 100, text);
	add(bed, "next");
	expect(bed, 100, "next");
	free(first);
}

/* What comes in while records are read is read too. */
static void on_record_add(void *context, const void *bytes, size_t size)
{
	struct bed *bed = context;

	on_record(bed, bytes, size);
	if (bed->read_count < 1000)
		add(bed, "more");
}

static void reading_goes_on_while_records_come_in(void **state)
{
	struct bed *bed = *state;

	add(bed, "first");
	assert_int_equal(ring_drain(bed->ring, 5000, on_record_add, bed), 1000);
	assert_int_equal(bed->read_count, 1000);
	assert_int_equal(ring_used(bed->ring), 0);
}

static void the_positions_may_wrap(void **state)
{
	struct bed *bed = *state;

	bed->reserved = *(unsigned long *)bed->map = -32ul;
	*(unsigned long *)(bed->map + bed->page) = bed->reserved;
	add(bed, "last");
	add(bed, "across the end of all positions");
	add(bed, "first");
	assert_int_equal(ring_used(bed->ring), 16 + 40 + 16);
	expect(bed, 100, "last; across the end of all positions; first");
	assert_int_equal(read_position(bed), 40);
}

/* The ring is empty at once, and what was in it comes first. */
static void what_is_set_aside_comes_before_what_is_in_the_ring(void **state)
{
	struct bed *bed = *state;

	ring_set_aside(bed->ring); /* there is nothing */
	add(bed, "one");
	submit(bed, reserve(bed, 9), "discarded", 9, BPF_RINGBUF_DISCARD_BIT);
	add(bed, "eight of");
	ring_set_aside(bed->ring);
	assert_int_equal(ring_used(bed->ring), 0);
	assert_int_equal(read_position(bed), bed->reserved);
	add(bed, "three");
	ring_set_aside(bed->ring);
	add(bed, "four");
	expect(bed, 2, "one; eight of");
	expect(bed, 100, "three; four");
	expect(bed, 100, "");
}

static void what_is_still_written_is_not_set_aside(void **state)
{
	struct bed *bed = *state;
	unsigned long slow;

	add(bed, "before");
	slow = reserve(bed, 4);
	add(bed, "after");
	ring_set_aside(bed->ring);
	assert_int_equal(ring_used(bed->ring), 2 * 16);
	expect(bed, 100, "before");
	submit(bed, slow, "slow", 4, 0);
	expect(bed, 100, "slow; after");
}

static void on_length(void *context, const void *bytes, size_t size)
{
	struct bed *bed = context;
	const char *text = bytes;

	bed->read_count++;
	assert_int_equal(size, 1 + bed->read_count % 900);
	assert_int_equal(text[0], 'a' + bed->read_count % 26);
	assert_int_equal(text[size - 1], 'a' + bed->read_count % 26);
}

/* Torn ones among them. What finds no room stays in the ring. */
static void much_is_set_aside_but_not_without_end(void **state)
{
	struct bed *bed = *state;
	char text[RECORD_MAX];
	int count = 0;

	while (ring_used(bed->ring) == 0) {
		size_t len = 1 + (size_t)++count % 900;

		memset(text, 'a' + count % 26, len);
		submit(bed, reserve(bed, len), text, len, 0);
		ring_set_aside(bed->ring);
		assert_true(count < (int)(RING_ASIDE_MAX / 8));
	}
	assert_true(bed->reserved > RING_ASIDE_MAX / 4 * 3);
	bed->read_count = 0;
	assert_int_equal(ring_drain(bed->ring, 100, on_length, bed), 100);
	assert_int_equal(ring_drain(bed->ring, INT32_MAX, on_length, bed), count - 100);
	assert_int_equal(ring_used(bed->ring), 0);
	expect(bed, 100, "");
	add(bed, "next");
	ring_set_aside(bed->ring);
	expect(bed, 100, "next");
	add(bed, "the last one is left to close()");
	ring_set_aside(bed->ring);
}

static void what_cannot_be_mapped_is_refused(void **state)
{
	struct ring *ring = NULL;

	assert_int_equal(ring_open(&ring, -1, 4096, RECORD_MAX), -EBADF);
	assert_null(ring);
	ring_close(NULL);
	(void)state;
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(records_come_in_order_and_give_their_room_back),
		RING_TEST(no_more_than_wanted_are_given),
		RING_TEST(what_is_still_written_holds_back_what_follows),
		RING_TEST(what_was_discarded_is_passed_over_and_not_counted),
		RING_TEST(a_torn_record_is_put_together),
		RING_TEST(a_torn_record_that_is_too_long_is_cut),
		RING_TEST(reading_goes_on_while_records_come_in),
		RING_TEST(the_positions_may_wrap),
		RING_TEST(what_is_set_aside_comes_before_what_is_in_the_ring),
		RING_TEST(what_is_still_written_is_not_set_aside),
		RING_TEST(much_is_set_aside_but_not_without_end),
		cmocka_unit_test(what_cannot_be_mapped_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
