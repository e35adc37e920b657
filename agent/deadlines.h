/* SPDX-License-Identifier: Apache-2.0 */
/* deadlines - a binary heap of moments, by the objects that they belong to: add, remove and take
 * the earliest in O(log n).
 *
 * Holds pointers only; a deadline must be removed before its object goes. Loop thread only. */
#ifndef BITTERN_DEADLINES_H
#define BITTERN_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline {
	uint64_t at_ns;
	uint32_t place; /* in the heap, from 1; 0: not in it */
};

struct deadlines {
	struct deadline **heap;
	size_t count, capacity;
	uint64_t refused; /* no memory for one more */
};

/* The deadline passes at_ns. False, and counted, when there is no memory. */
bool deadlines_add(struct deadlines *d, struct deadline *deadline, uint64_t at_ns);
void deadlines_remove(struct deadlines *d, struct deadline *deadline); /* in the heap or not */
/* The earliest that lies before now_ns, taken out; NULL: none. */
struct deadline *deadlines_take(struct deadlines *d, uint64_t now_ns);
void deadlines_close(struct deadlines *d);

#endif
