// SPDX-License-Identifier: Apache-2.0
/* The layout is the kernel's (kernel/bpf/ringbuf.c, uapi/linux/bpf.h): positions only grow, and
 * their low bits are the place in the ring. Before each record stands a header of 8 bytes, its
 * length in the first 4 with two flags in the top bits; records begin at multiples of 8. The
 * writer's position moves when a record is reserved, the busy flag goes when it is submitted. */
#include "ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
	unsigned long *read_position; /* ours, in a page that the kernel reads */
	const unsigned long *written_position;
	const uint8_t *data;
	size_t size, page_size;
	uint8_t *torn; /* of torn_max bytes: a record whose end is at the ring's begin */
	size_t torn_max;
	/* Set aside: each record behind its size, in ASIDE_HEAD bytes, and filled up to 8. */
	uint8_t *aside;
	size_t aside_room, aside_len, aside_read;
};

#define ASIDE_HEAD sizeof(uint64_t)
#define ASIDE_FIRST (1024u * 1024)

int ring_open(struct ring **out, int fd, size_t bytes, size_t record_max)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	struct ring *r = calloc(1, sizeof(*r));
	void *own, *kernels = MAP_FAILED;
	int error = 0;

	if (!r)
		return -ENOMEM;
	own = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (own != MAP_FAILED)
		kernels =
			mmap(NULL, page_size + bytes, PROT_READ, MAP_SHARED, fd, (off_t)page_size);
	if (kernels == MAP_FAILED)
		error = -errno;
	r->read_position = own == MAP_FAILED ? NULL : own;
	r->written_position = kernels == MAP_FAILED ? NULL : kernels;
	r->page_size = page_size;
	r->size = bytes;
	r->torn_max = record_max;
	r->torn = malloc(record_max);
	if (!error && !r->torn)
		error = -ENOMEM;
	if (error) {
		ring_close(r);
		return error;
	}
	r->data = (const uint8_t *)kernels + page_size;
	*out = r;
	return 0;
}

/* The len bytes from position on, in one piece. */
static const void *whole(struct ring *r, unsigned long position, size_t *len)
{
	size_t place = position & (r->size - 1), first = r->size - place;

	if (*len <= first)
		return r->data + place;
	if (*len > r->torn_max)
		*len = r->torn_max;
	if (first > *len)
		first = *len;
	memcpy(r->torn, r->data + place, first);
	memcpy(r->torn + first, r->data, *len - first);
	return r->torn;
}

/* Oldest first, up to max. */
static int take(struct ring *r, int max, ring_record record, void *context)
{
	unsigned long position = *r->read_position; /* written by us alone */
	unsigned long end;
	int count = 0;

	/* A record that was submitted while we read is one more: asked for until there is none. */
	while (count < max &&
	       position != (end = __atomic_load_n(r->written_position, __ATOMIC_ACQUIRE))) {
		while (count < max && position != end) {
			const void *head = r->data + (position & (r->size - 1));
			uint32_t word = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
			size_t len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
			size_t full = (BPF_RINGBUF_HDR_SZ + len + 7) & ~(size_t)7;

			if (word & BPF_RINGBUF_BUSY_BIT)
				return count;
			if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
				const void *bytes = whole(r, position + BPF_RINGBUF_HDR_SZ, &len);

				record(context, bytes, len);
				count++;
			}
			position += full;
			__atomic_store_n(r->read_position, position, __ATOMIC_RELEASE);
		}
	}
	return count;
}

static bool has_room_aside(struct ring *r)
{
	size_t needed = r->aside_len + ASIDE_HEAD + r->torn_max + 7, room = r->aside_room;
	uint8_t *grown;

	while (room < needed)
		room = room ? 2 * room : ASIDE_FIRST;
	if (room == r->aside_room)
		return true;
	grown = room <= RING_ASIDE_MAX ? realloc(r->aside, room) : NULL;
	if (!grown)
		return false;
	r->aside = grown;
	r->aside_room = room;
	return true;
}

static void put_aside(void *context, const void *bytes, size_t size)
{
	struct ring *r = context;
	const uint64_t head = size;

	memcpy(r->aside + r->aside_len, &head, ASIDE_HEAD);
	memcpy(r->aside + r->aside_len + ASIDE_HEAD, bytes, size);
	r->aside_len += (ASIDE_HEAD + size + 7) & ~(size_t)7;
}

void ring_set_aside(struct ring *r)
{
	while (has_room_aside(r) && take(r, 1, put_aside, r))
		;
}

static int take_aside(struct ring *r, int max, ring_record record, void *context)
{
	int count;

	for (count = 0; count < max && r->aside_read < r->aside_len; count++) {
		const uint8_t *at = r->aside + r->aside_read;
		uint64_t size;

		memcpy(&size, at, ASIDE_HEAD);
		r->aside_read += (ASIDE_HEAD + size + 7) & ~(size_t)7;
		record(context, at + ASIDE_HEAD, size);
	}
	if (r->aside_read == r->aside_len) {
		free(r->aside);
		r->aside = NULL;
		r->aside_room = r->aside_len = r->aside_read = 0;
	}
	return count;
}

int ring_drain(struct ring *r, int max, ring_record record, void *context)
{
	int count = r->aside ? take_aside(r, max, record, context) : 0;

	return count + take(r, max - count, record, context);
}

size_t ring_used(const struct ring *r)
{
	return __atomic_load_n(r->written_position, __ATOMIC_ACQUIRE) - *r->read_position;
}

size_t ring_size(const struct ring *r)
{
	return r->size;
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	if (r->written_position)
		munmap((void *)r->written_position, r->page_size + r->size);
	if (r->read_position)
		munmap(r->read_position, r->page_size);
	free(r->torn);
	free(r->aside);
	free(r);
}
