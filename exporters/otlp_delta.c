// SPDX-License-Identifier: Apache-2.0
#include "otlp_delta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 256

struct entry {
	struct entry *next;
	struct otlp_delta_key key;
	bool seen; /* in this export */
	union {
		uint64_t integer;
		double number;
		struct histogram histogram; /* allocated only for one */
	} last;
};

struct otlp_delta {
	struct entry **buckets;
	size_t bucket_count, count;
};

static size_t bucket_of(const struct otlp_delta_key *key, size_t bucket_count)
{
	uint64_t hash = key->id * 0x9e3779b97f4a7c15ull;

	hash = (hash ^ hash >> 32 ^ (uintptr_t)key->metric) * 0x9e3779b97f4a7c15ull;
	hash = (hash ^ hash >> 32 ^ key->sub) * 0x9e3779b97f4a7c15ull;
	return (hash >> 32) & (bucket_count - 1);
}

static bool same_key(const struct otlp_delta_key *a, const struct otlp_delta_key *b)
{
	return a->id == b->id && a->metric == b->metric && a->sub == b->sub;
}

/* Without memory it stays as it is, only slower. */
static void grow(struct otlp_delta *d)
{
	size_t bucket_count = d->bucket_count * 2;
	struct entry **buckets = calloc(bucket_count, sizeof(struct entry *));

	if (!buckets)
		return;
	for (size_t i = 0; i < d->bucket_count; i++) {
		while (d->buckets[i]) {
			struct entry *entry = d->buckets[i];
			size_t bucket = bucket_of(&entry->key, bucket_count);

			d->buckets[i] = entry->next;
			entry->next = buckets[bucket];
			buckets[bucket] = entry;
		}
	}
	free(d->buckets);
	d->buckets = buckets;
	d->bucket_count = bucket_count;
}

/* With last_len bytes of last, zeroed when it is new; NULL without memory. */
static struct entry *get(struct otlp_delta *d, const struct otlp_delta_key *key, size_t last_len,
			 bool *is_new)
{
	struct entry *entry;
	size_t bucket;

	if (d->count >= d->bucket_count)
		grow(d);
	bucket = bucket_of(key, d->bucket_count);
	entry = d->buckets[bucket];
	while (entry && !same_key(&entry->key, key))
		entry = entry->next;
	*is_new = !entry;
	if (!entry) {
		entry = calloc(1, offsetof(struct entry, last) + last_len);
		if (!entry)
			return NULL;
		entry->key = *key;
		entry->next = d->buckets[bucket];
		d->buckets[bucket] = entry;
		d->count++;
	}
	entry->seen = true;
	return entry;
}

int otlp_delta_integer(struct otlp_delta *d, const struct otlp_delta_key *key, uint64_t *value)
{
	uint64_t now = *value;
	bool is_new;
	struct entry *entry = get(d, key, sizeof(entry->last.integer), &is_new);

	if (!entry)
		return -ENOMEM;
	*value = now >= entry->last.integer ? now - entry->last.integer : now;
	entry->last.integer = now;
	return is_new || *value;
}

int otlp_delta_number(struct otlp_delta *d, const struct otlp_delta_key *key, double *value)
{
	double now = *value;
	bool is_new;
	struct entry *entry = get(d, key, sizeof(entry->last.number), &is_new);

	if (!entry)
		return -ENOMEM;
	*value = now >= entry->last.number ? now - entry->last.number : now;
	entry->last.number = now;
	return is_new || *value > 0;
}

int otlp_delta_histogram(struct otlp_delta *d, const struct otlp_delta_key *key,
			 struct histogram *value)
{
	bool is_new;
	struct entry *entry = get(d, key, sizeof(entry->last.histogram), &is_new);
	struct histogram now = *value;

	if (!entry)
		return -ENOMEM;
	if (!is_new)
		histogram_subtract(value, &entry->last.histogram);
	entry->last.histogram = now;
	return is_new || value->count;
}

void otlp_delta_end(struct otlp_delta *d)
{
	for (size_t i = 0; i < d->bucket_count; i++) {
		struct entry **link = &d->buckets[i], *entry;

		while ((entry = *link)) {
			if (entry->seen) {
				entry->seen = false;
				link = &entry->next;
				continue;
			}
			*link = entry->next;
			free(entry);
			d->count--;
		}
	}
}

size_t otlp_delta_count(const struct otlp_delta *d)
{
	return d->count;
}

int otlp_delta_open(struct otlp_delta **out)
{
	struct otlp_delta *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->bucket_count = BUCKETS_MIN;
	d->buckets = calloc(d->bucket_count, sizeof(struct entry *));
	if (!d->buckets) {
		free(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void otlp_delta_close(struct otlp_delta *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->bucket_count; i++) {
		while (d->buckets[i]) {
			struct entry *next = d->buckets[i]->next;

			free(d->buckets[i]);
			d->buckets[i] = next;
		}
	}
	free(d->buckets);
	free(d);
}
