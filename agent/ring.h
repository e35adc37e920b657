/* SPDX-License-Identifier: Apache-2.0 */
/* ring - reads the kernel's BPF ring buffer (BPF_MAP_TYPE_RINGBUF), which has one reader.
 *
 * The ring is mapped once. libbpf maps it twice in a row, so that no record is torn at its end,
 * and resident memory counts each page twice; here the few torn records are put together in a
 * buffer. Owns its mappings and that buffer; drain allocates nothing. One thread at a time.
 *
 * While its reader has to wait for something else the ring can be emptied into memory: what was set
 * aside is older than what is in the ring, and read before it. */
#ifndef BITTERN_RING_H
#define BITTERN_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_ASIDE_MAX (32u * 1024 * 1024) /* bytes; what is more stays in the ring */

struct ring;

typedef void (*ring_record)(void *context, const void *bytes, size_t size);

/* fd: the map, or what is laid out like one: a page with the reader's position, one with the
 * writer's, the ring. bytes: its size, a power of two and a multiple of the page size. record_max:
 * what is longer loses its end if it is torn. 0 and *out, to be closed; -errno. */
int ring_open(struct ring **out, int fd, size_t bytes, size_t record_max);
/* Gives the records that are complete, oldest first, up to max of them; how many. A record is
 * aligned to 8 bytes and valid during its call; its room is the kernel's again after it. */
int ring_drain(struct ring *r, int max, ring_record record, void *context);
/* Takes the records that are complete out of the ring, for the next drain. It allocates; without
 * memory they stay in the ring. Not to be called by what drain calls. */
void ring_set_aside(struct ring *r);
/* Bytes in the ring, also of records still incomplete, and not read. */
size_t ring_used(const struct ring *r);
size_t ring_size(const struct ring *r);
void ring_close(struct ring *r); /* NULL is fine */

#endif
