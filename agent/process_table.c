// SPDX-License-Identifier: Apache-2.0
#include "process_table.h"

#include <stdlib.h>
#include <string.h>

#define NO_PLACE UINT32_MAX
#define FIRST_PLACES 256

static uint32_t bucket_of(const struct process_table *table, pid_t pid)
{
	return ((uint32_t)pid * 2654435769u >> 8) & (table->bucket_count - 1);
}

void process_table_init(struct process_table *table, uint32_t max_count)
{
	*table = (struct process_table){.max_count = max_count, .unused = NO_PLACE};
}

struct process *process_table_find(const struct process_table *table, pid_t pid)
{
	uint32_t place;

	if (!table->buckets || pid <= 0)
		return NULL;
	place = table->buckets[bucket_of(table, pid)];
	while (place != NO_PLACE && table->pool[place].pid != pid)
		place = table->pool[place].next;
	return place == NO_PLACE ? NULL : &table->pool[place];
}

/* Doubles the pool and the buckets, one bucket for each place. */
static bool grow(struct process_table *table)
{
	uint32_t capacity = table->capacity ? 2 * table->capacity : FIRST_PLACES;
	struct process *pool = realloc(table->pool, capacity * sizeof(*pool));
	uint32_t *buckets;

	if (!pool)
		return false;
	table->pool = pool;
	buckets = malloc(capacity * sizeof(*buckets));
	if (!buckets)
		return false;
	free(table->buckets);
	table->buckets = buckets;
	table->bucket_count = capacity;
	table->capacity = capacity;
	memset(buckets, 0xff, capacity * sizeof(*buckets)); /* NO_PLACE */
	/* Grown only when every place is used: there is no list of unused ones to keep. */
	for (uint32_t place = 0; place < table->used_count; place++) {
		uint32_t *bucket = &buckets[bucket_of(table, pool[place].pid)];

		pool[place].next = *bucket;
		*bucket = place;
	}
	return true;
}

struct process *process_table_add(struct process_table *table, pid_t pid)
{
	struct process *process;
	uint32_t *bucket, place = table->unused;

	if (table->count == table->max_count || pid <= 0)
		return NULL;
	if (place != NO_PLACE) {
		table->unused = table->pool[place].next;
	} else {
		if (table->used_count == table->capacity && !grow(table))
			return NULL;
		place = table->used_count++;
	}
	process = &table->pool[place];
	bucket = &table->buckets[bucket_of(table, pid)];
	*process = (struct process){.pid = pid, .next = *bucket};
	*bucket = place;
	table->count++;
	return process;
}

void process_table_remove(struct process_table *table, struct process *process)
{
	uint32_t place = (uint32_t)(process - table->pool);
	uint32_t *link = &table->buckets[bucket_of(table, process->pid)];

	while (*link != place)
		link = &table->pool[*link].next;
	*link = process->next;
	packed_facts_drop(process->facts);
	free(process->ledger);
	*process = (struct process){.next = table->unused};
	table->unused = place;
	table->count--;
}

void process_table_free(struct process_table *table)
{
	struct process *process;

	process_table_for_each(process, table)
	{
		packed_facts_drop(process->facts);
		free(process->ledger);
	}
	free(table->pool);
	free(table->buckets);
	process_table_init(table, table->max_count);
}
