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
};

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

int ring_drain(struct ring *r, int max, ring_record record, void *context)
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
	free(r);
}
