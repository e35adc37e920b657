// SPDX-License-Identifier: Apache-2.0
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 32768

struct link {
	struct link *next;
};

void pool_init(struct pool *p, size_t object_size, size_t max_count)
{
	memset(p, 0, sizeof(*p));
	p->object_size = (object_size + 15) & ~(size_t)15;
	p->max_count = max_count;
}

static void add_block(struct pool *p)
{
	char *block = malloc(BLOCK_BYTES), *object;

	if (!block)
		return;
	((struct link *)block)->next = p->blocks;
	p->blocks = block;
	for (object = block + 16; object + p->object_size <= block + BLOCK_BYTES;
	     object += p->object_size) {
		((struct link *)object)->next = p->free;
		p->free = object;
	}
}

void *pool_take(struct pool *p)
{
	struct link *object;

	if (p->count < p->max_count && !p->free)
		add_block(p);
	if (p->count >= p->max_count || !p->free) {
		p->refused++;
		return NULL;
	}
	object = p->free;
	p->free = object->next;
	p->count++;
	return memset(object, 0, p->object_size);
}

void pool_give(struct pool *p, void *object)
{
	((struct link *)object)->next = p->free;
	p->free = object;
	p->count--;
}

void pool_close(struct pool *p)
{
	while (p->blocks) {
		struct link *next = ((struct link *)p->blocks)->next;

		free(p->blocks);
		p->blocks = next;
	}
	p->free = NULL;
}
