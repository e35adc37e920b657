/* SPDX-License-Identifier: Apache-2.0 */
/* arena - memory that is given back all at once.
 *
 * What was gotten stays where it is until arena_clear() or arena_free(). */
#ifndef BITTERN_ARENA_H
#define BITTERN_ARENA_H

#include <stddef.h>

struct arena_block;

/* Zero it to begin. */
struct arena {
	struct arena_block *first, *current; /* blocks behind current are free */
};

/* Zeroed, aligned for any type; NULL without memory. */
void *arena_get(struct arena *a, size_t len);
void arena_clear(struct arena *a); /* keeps the memory */
void arena_free(struct arena *a);

#endif
