/* SPDX-License-Identifier: Apache-2.0 */
/* pool - objects of one size out of blocks that are kept: no malloc per record, a stated bound. */
#ifndef BITTERN_POOL_H
#define BITTERN_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pool {
	size_t object_size, max_count;
	size_t count; /* taken */
	uint64_t refused; /* times that the bound, or memory, was reached */
	void *free, *blocks;
};

/* object_size >= sizeof(void *). */
void pool_init(struct pool *p, size_t object_size, size_t max_count);
void *pool_take(struct pool *p); /* zeroed; NULL at the bound or out of memory */
void pool_give(struct pool *p, void *object);
void pool_close(struct pool *p);

#endif
