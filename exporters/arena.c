// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_LEN ((size_t)64 * 1024)
#define ALIGNMENT _Alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t len, used;
	_Alignas(max_align_t) char bytes[];
};

/* Behind the current block; a free one that is large enough, or a new one in front of those. */
static struct arena_block *next_block(struct arena *a, size_t len)
{
	struct arena_block **link = a->current ? &a->current->next : &a->first;
	struct arena_block *block = *link;
	size_t block_len = len > BLOCK_LEN ? len : BLOCK_LEN;

	if (!block || block->len < len) {
		block = malloc(sizeof(*block) + block_len);
		if (!block)
			return NULL;
		*block = (struct arena_block){.next = *link, .len = block_len};
		*link = block;
	}
	block->used = 0;
	a->current = block;
	return block;
}

void *arena_get(struct arena *a, size_t len)
{
	struct arena_block *block = a->current;
	void *given;

	len = (len + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (!block || block->len - block->used < len)
		block = next_block(a, len);
	if (!block)
		return NULL;
	given = block->bytes + block->used;
	block->used += len;
	return memset(given, 0, len);
}

void arena_clear(struct arena *a)
{
	a->current = NULL;
}

void arena_free(struct arena *a)
{
	while (a->first) {
		struct arena_block *next = a->first->next;

		free(a->first);
		a->first = next;
	}
	a->current = NULL;
}
