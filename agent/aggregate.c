// SPDX-License-Identifier: Apache-2.0
#include "aggregate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

struct series {
	struct series *hash_next;
	struct series_key key;
	uint64_t order; /* of creation */
	char status_error[6];
	struct histogram duration;
};

struct aggregate {
	size_t max_series, count, bucket_count;
	uint64_t created;
	struct series **buckets;
	struct series *overflow;
	struct snapshot_series *snapshot; /* in order; rebuilt when a series came or went */
	size_t snapshot_count;
	bool stale;
};

_Static_assert(sizeof(struct series_key) == 32,
	       "no padding: keys are compared and hashed as bytes");

static size_t bucket_of(const struct aggregate *a, const struct series_key *key)
{
	uint64_t words[4], hash = 0;
	int i;

	memcpy(words, key, sizeof(words));
	for (i = 0; i < 4; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	return hash & (a->bucket_count - 1);
}

static struct series *add(struct aggregate *a, const struct series_key *key, size_t bucket)
{
	struct series *s;

	if (a->count >= a->max_series)
		return NULL;
	s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	s->key = *key;
	s->order = a->created++;
	s->status_error[0] = '\0';
	if (!key->error_type && key->status >= 500)
		snprintf(s->status_error, sizeof(s->status_error), "%u", key->status);
	histogram_init(&s->duration);
	s->hash_next = a->buckets[bucket];
	a->buckets[bucket] = s;
	a->count++;
	a->stale = true;
	return s;
}

static struct series *overflow(struct aggregate *a)
{
	if (!a->overflow) {
		a->overflow = calloc(1, sizeof(*a->overflow));
		if (a->overflow)
			histogram_init(&a->overflow->duration);
		a->stale = true;
	}
	return a->overflow;
}

void aggregate_add(struct aggregate *a, const struct series_key *key, uint64_t duration_ns)
{
	size_t bucket = bucket_of(a, key);
	struct series *s = a->buckets[bucket];

	while (s && memcmp(&s->key, key, sizeof(*key)))
		s = s->hash_next;
	if (!s)
		s = add(a, key, bucket);
	if (!s)
		s = overflow(a);
	if (s)
		histogram_add(&s->duration, &histogram_duration_bounds, duration_ns);
}

void aggregate_forget(struct aggregate *a, const struct service *service)
{
	size_t i;

	for (i = 0; i < a->bucket_count; i++) {
		struct series **link = &a->buckets[i], *s;

		while ((s = *link)) {
			if (s->key.service != service) {
				link = &s->hash_next;
				continue;
			}
			*link = s->hash_next;
			free(s);
			a->count--;
			a->stale = true;
		}
	}
}

static const char *version_name(uint8_t version)
{
	return version == 10 ? "1.0" : "1.1";
}

static void describe(struct snapshot_series *out, const struct series *s)
{
	const struct series_key *key = &s->key;

	out->service = key->service;
	out->route = key->route ? key->route->template : NULL;
	out->method = http_method_name(key->method);
	out->error_type = key->error_type      ? key->error_type
			  : s->status_error[0] ? s->status_error
					       : NULL;
	out->protocol_version = version_name(key->version);
	out->scheme = key->scheme == SCHEME_HTTPS ? "https" : "http";
	out->status = key->status;
	out->port = key->port;
	out->overflow = false;
	out->duration = &s->duration;
}

/* The order of creation is found again through the histogram: it lies inside its series. */
static const struct series *series_of(const struct snapshot_series *s)
{
	return (const struct series *)((const char *)s->duration -
				       offsetof(struct series, duration));
}

static int compare(const void *left, const void *right)
{
	const struct series *a = series_of(left), *b = series_of(right);

	if (a->key.service != b->key.service)
		return a->key.service->id < b->key.service->id ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

const struct snapshot_series *aggregate_snapshot(struct aggregate *a, size_t *count)
{
	struct snapshot_series *list;
	struct series *s;
	size_t i, n = 0;

	*count = 0;
	if (a->stale) {
		list = realloc(a->snapshot, (a->count + 1) * sizeof(*list));
		if (!list)
			return NULL;
		a->snapshot = list;
		for (i = 0; i < a->bucket_count; i++) {
			for (s = a->buckets[i]; s; s = s->hash_next)
				describe(&list[n++], s);
		}
		qsort(list, n, sizeof(*list), compare);
		if (a->overflow)
			list[n++] = (struct snapshot_series){.overflow = true,
							     .duration = &a->overflow->duration};
		a->snapshot_count = n;
		a->stale = false;
	}
	*count = a->snapshot_count;
	return a->snapshot;
}

size_t aggregate_count(const struct aggregate *a)
{
	return a->count;
}

uint64_t aggregate_overflow_count(const struct aggregate *a)
{
	return a->overflow ? a->overflow->duration.count : 0;
}

int aggregate_open(struct aggregate **out, size_t max_series)
{
	struct aggregate *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->max_series = max_series;
	for (a->bucket_count = 1024; a->bucket_count < max_series; a->bucket_count *= 2)
		;
	a->buckets = calloc(a->bucket_count, sizeof(struct series *));
	if (!a->buckets) {
		free(a);
		return -ENOMEM;
	}
	*out = a;
	return 0;
}

void aggregate_close(struct aggregate *a)
{
	size_t i;

	if (!a)
		return;
	for (i = 0; i < a->bucket_count; i++) {
		while (a->buckets[i]) {
			struct series *next = a->buckets[i]->hash_next;

			free(a->buckets[i]);
			a->buckets[i] = next;
		}
	}
	free(a->buckets);
	free(a->overflow);
	free(a->snapshot);
	free(a);
}
