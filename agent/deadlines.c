// SPDX-License-Identifier: Apache-2.0
#include "deadlines.h"

#include <stdlib.h>

#define CAPACITY_FIRST 64

/* Places count from 1: the children of i are 2i and 2i + 1. */
static void put(struct deadlines *d, size_t place, struct deadline *deadline)
{
	d->heap[place] = deadline;
	deadline->place = (uint32_t)place;
}

static void sift_up(struct deadlines *d, size_t place, struct deadline *deadline)
{
	while (place > 1 && d->heap[place / 2]->at_ns > deadline->at_ns) {
		put(d, place, d->heap[place / 2]);
		place /= 2;
	}
	put(d, place, deadline);
}

static void sift_down(struct deadlines *d, size_t place, struct deadline *deadline)
{
	size_t child;

	while ((child = 2 * place) <= d->count) {
		if (child < d->count && d->heap[child + 1]->at_ns < d->heap[child]->at_ns)
			child++;
		if (d->heap[child]->at_ns >= deadline->at_ns)
			break;
		put(d, place, d->heap[child]);
		place = child;
	}
	put(d, place, deadline);
}

bool deadlines_add(struct deadlines *d, struct deadline *deadline, uint64_t at_ns)
{
	if (d->count + 1 >= d->capacity) {
		size_t capacity = d->capacity ? 2 * d->capacity : CAPACITY_FIRST;
		struct deadline **grown = realloc(d->heap, capacity * sizeof(struct deadline *));

		if (!grown) {
			d->refused++;
			return false;
		}
		d->heap = grown;
		d->capacity = capacity;
	}
	deadline->at_ns = at_ns;
	sift_up(d, ++d->count, deadline);
	return true;
}

void deadlines_remove(struct deadlines *d, struct deadline *deadline)
{
	size_t place = deadline->place;
	struct deadline *last;

	if (!place)
		return;
	deadline->place = 0;
	last = d->heap[d->count--];
	if (last == deadline)
		return;
	if (last->at_ns < deadline->at_ns)
		sift_up(d, place, last);
	else
		sift_down(d, place, last);
}

struct deadline *deadlines_take(struct deadlines *d, uint64_t now_ns)
{
	struct deadline *first;

	if (!d->count || d->heap[1]->at_ns >= now_ns)
		return NULL;
	first = d->heap[1];
	deadlines_remove(d, first);
	return first;
}

void deadlines_close(struct deadlines *d)
{
	free(d->heap);
	d->heap = NULL;
	d->count = d->capacity = 0;
}
