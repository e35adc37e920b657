// SPDX-License-Identifier: Apache-2.0
#include "aggregate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "costs.h"
#include "http.h"
#include "limits.h"

/* Attributes that an instrument has besides the service. */
enum attributes {
	ROUTE = 1 << 0,
	METHOD = 1 << 1,
	SCHEME = 1 << 2,
	STATUS = 1 << 3, /* and the protocol's version, which only an answer tells for sure */
	ERROR_TYPE = 1 << 4,
	ADDRESS = 1 << 5,
	PORT = 1 << 6,
	SLO = 1 << 7,
	OF_REQUEST = METHOD | SCHEME | STATUS | ERROR_TYPE | PORT,
};

static const struct {
	unsigned int attributes;
	const struct histogram_bounds *bounds; /* NULL: no histogram */
} instruments[INSTRUMENT_COUNT] = {
	[INSTRUMENT_SERVER_DURATION] = {OF_REQUEST | ROUTE, &histogram_duration_bounds},
	[INSTRUMENT_TIME_TO_FIRST_BYTE] = {OF_REQUEST | ROUTE, &histogram_fine_bounds},
	[INSTRUMENT_QUEUE_DURATION] = {PORT, &histogram_fine_bounds},
	[INSTRUMENT_CLIENT_DURATION] = {OF_REQUEST | ADDRESS, &histogram_duration_bounds},
	[INSTRUMENT_SERVER_REQUESTS] = {METHOD | ROUTE, NULL},
	[INSTRUMENT_CLIENT_REQUESTS] = {METHOD | ADDRESS | PORT, NULL},
	[INSTRUMENT_CONNECT_FAILURES] = {ADDRESS | PORT | ERROR_TYPE, NULL},
	[INSTRUMENT_COST] = {ROUTE, NULL},
	[INSTRUMENT_SLO] = {ROUTE | SLO, NULL},
	[INSTRUMENT_ACTIVE] = {METHOD | SCHEME | ROUTE | PORT, NULL},
	[INSTRUMENT_OLDEST] = {ROUTE, NULL},
};

/* Allocated only as long as its value. */
struct series {
	struct series *hash_next;
	struct series *gauge_next; /* of the requests in flight */
	struct series_key key; /* service NULL: an overflow series */
	uint64_t small; /* small_fields() of it */
	uint64_t order; /* of creation */
	char status_error[6];
	union {
		struct histogram duration;
		union snapshot_counts counts;
	};
};

/* A key as it is compared and hashed: in registers, never in memory. */
struct key_words {
	uint64_t service, route, address, error_type, slo;
	uint64_t small; /* the fields behind the pointers */
};

struct aggregate {
	size_t max_series, count, bucket_count;
	unsigned int bucket_shift; /* bucket_count is 2^(64 - bucket_shift) */
	uint64_t created;
	struct series **buckets;
	struct series *gauges;
	struct key_words masks[INSTRUMENT_COUNT]; /* the attributes that each has */
	struct series overflow[INSTRUMENT_COUNT];
	bool has_overflow[INSTRUMENT_COUNT];
	struct snapshot_series *snapshot; /* in order; rebuilt when a series came or went */
	size_t snapshot_count;
	bool stale;
};

/* --- finding a series --- */

/* Each field is read as it was written, just before: one load across several fresh stores has to
 * wait until all of them have reached the cache, and a request takes six. (Not in the order of
 * memory, or the compiler makes that one load of it.) */
static inline uint64_t small_fields(const struct series_key *key)
{
	return (uint64_t)key->instrument << 56 | (uint64_t)key->scheme << 48 |
	       (uint64_t)key->version << 40 | (uint64_t)key->method << 32 |
	       (uint64_t)key->status << 16 | key->port;
}

static inline struct key_words words_of(const struct series_key *key)
{
	return (struct key_words){
		.service = (uintptr_t)key->service,
		.route = (uintptr_t)key->route,
		.address = (uintptr_t)key->address,
		.error_type = (uintptr_t)key->error_type,
		.slo = (uintptr_t)key->slo,
		.small = small_fields(key),
	};
}

/* What the instrument has of a key. */
static inline struct key_words masked(const struct series_key *key, const struct key_words *mask)
{
	struct key_words words = words_of(key);

	words.service &= mask->service;
	words.route &= mask->route;
	words.address &= mask->address;
	words.error_type &= mask->error_type;
	words.slo &= mask->slo;
	words.small &= mask->small;
	return words;
}

static struct series_key key_of(const struct key_words *words)
{
	return (struct series_key){
		.service = (const struct service *)(uintptr_t)words->service,
		.route = (const struct route *)(uintptr_t)words->route,
		.address = (const char *)(uintptr_t)words->address,
		.error_type = (const char *)(uintptr_t)words->error_type,
		.slo = (const struct slo *)(uintptr_t)words->slo,
		.status = (uint16_t)(words->small >> 16),
		.port = (uint16_t)words->small,
		.method = (uint8_t)(words->small >> 32),
		.version = (uint8_t)(words->small >> 40),
		.scheme = (uint8_t)(words->small >> 48),
		.instrument = (uint8_t)(words->small >> 56),
	};
}

static void init_series(struct aggregate *a, struct series *s, enum instrument instrument)
{
	s->key.instrument = instrument;
	if (instruments[instrument].bounds)
		histogram_init(&s->duration);
	else
		memset(&s->counts, 0, sizeof(s->counts));
	if (instrument == INSTRUMENT_ACTIVE || instrument == INSTRUMENT_OLDEST) {
		s->gauge_next = a->gauges;
		a->gauges = s;
	}
	a->stale = true;
}

static bool is_error(const struct series_key *key)
{
	return key->status >= (key->instrument == INSTRUMENT_CLIENT_DURATION ? 400 : 500);
}

/* Not inlined: the way of each request would save more registers. */
static __attribute__((noinline)) struct series *add(struct aggregate *a,
						    const struct series_key *like, size_t bucket)
{
	struct key_words words = masked(like, &a->masks[like->instrument]);
	struct series_key key = key_of(&words);
	struct series *s;

	if (a->count >= a->max_series)
		return NULL;
	s = malloc(offsetof(struct series, duration) +
		   (instruments[key.instrument].bounds ? sizeof(s->duration) : sizeof(s->counts)));
	if (!s)
		return NULL;
	s->key = key;
	s->small = words.small;
	s->order = a->created++;
	s->status_error[0] = '\0';
	if (!key.error_type && is_error(&key))
		snprintf(s->status_error, sizeof(s->status_error), "%u", key.status);
	init_series(a, s, key.instrument);
	s->hash_next = a->buckets[bucket];
	a->buckets[bucket] = s;
	a->count++;
	return s;
}

static struct series *overflow(struct aggregate *a, enum instrument instrument)
{
	if (!a->has_overflow[instrument]) {
		a->has_overflow[instrument] = true;
		init_series(a, &a->overflow[instrument], instrument);
	}
	return &a->overflow[instrument];
}

/* No product waits for another; the highest bits depend on all of the key. */
static inline size_t bucket_of(const struct aggregate *a, struct key_words words)
{
	uint64_t hash =
		words.service * 0x9e3779b97f4a7c15ull + words.route * 0xbf58476d1ce4e5b9ull +
		words.address * 0x94d049bb133111ebull + words.error_type * 0xd6e8feb86659fd93ull +
		words.slo * 0xa0761d6478bd642full + words.small * 0xe7037ed1a0b428dbull;

	return hash >> a->bucket_shift;
}

static inline bool is_of(const struct series *s, struct key_words words)
{
	return !(((uintptr_t)s->key.service ^ words.service) |
		 ((uintptr_t)s->key.route ^ words.route) |
		 ((uintptr_t)s->key.address ^ words.address) |
		 ((uintptr_t)s->key.error_type ^ words.error_type) |
		 ((uintptr_t)s->key.slo ^ words.slo) | (s->small ^ words.small));
}

/* Never NULL. */
static struct series *get(struct aggregate *a, const struct series_key *key)
{
	struct key_words words = masked(key, &a->masks[key->instrument]);
	size_t bucket = bucket_of(a, words);
	struct series *s = a->buckets[bucket];

	while (s && !is_of(s, words))
		s = s->hash_next;
	if (!s)
		s = add(a, key, bucket);
	return s ? s : overflow(a, key->instrument);
}

/* --- measuring --- */

void aggregate_observe(struct aggregate *a, const struct series_key *key, uint64_t value_ns)
{
	histogram_add(&get(a, key)->duration, instruments[key->instrument].bounds, value_ns);
}

void aggregate_count(struct aggregate *a, const struct series_key *key, enum outcome outcome)
{
	get(a, key)->counts.outcomes[outcome]++;
}

void aggregate_fail(struct aggregate *a, const struct series_key *key)
{
	get(a, key)->counts.failures++;
}

void aggregate_cost(struct aggregate *a, const struct series_key *key, const struct costs *costs,
		    uint64_t split_ns)
{
	struct series *s = get(a, key);

	s->counts.cost.cpu_ns += costs->cpu_ns;
	s->counts.cost.split_ns += split_ns;
	s->counts.cost.minor_faults += costs->minor_faults;
	s->counts.cost.major_faults += costs->major_faults;
}

void aggregate_slo(struct aggregate *a, const struct series_key *key, bool good)
{
	struct series *s = get(a, key);

	s->counts.slo.events++;
	s->counts.slo.good_events += good;
}

void aggregate_touch(struct aggregate *a, const struct series_key *key)
{
	get(a, key);
}

void aggregate_active_begin(struct aggregate *a)
{
	struct series *s;

	for (s = a->gauges; s; s = s->gauge_next)
		memset(&s->counts, 0, sizeof(s->counts));
}

static void add_open(struct series *s, uint64_t age_ns)
{
	s->counts.open.count++;
	if (age_ns > s->counts.open.age_ns)
		s->counts.open.age_ns = age_ns;
}

void aggregate_active(struct aggregate *a, const struct series_key *key, uint64_t age_ns)
{
	struct series_key oldest = *key;

	if (key->instrument != INSTRUMENT_OLDEST)
		add_open(get(a, key), age_ns);
	oldest.instrument = INSTRUMENT_OLDEST;
	add_open(get(a, &oldest), age_ns);
}

void aggregate_forget(struct aggregate *a, const struct service *service)
{
	struct series **link, *s;
	size_t i;

	for (link = &a->gauges; (s = *link);) {
		if (s->key.service == service)
			*link = s->gauge_next;
		else
			link = &s->gauge_next;
	}
	for (i = 0; i < a->bucket_count; i++) {
		for (link = &a->buckets[i]; (s = *link);) {
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

/* --- the snapshot --- */

static const char *version_name(uint8_t version)
{
	return version == 10 ? "1.0" : version == 11 ? "1.1" : NULL;
}

/* What was not read has no method; "{unread}" is that route's alone, for a path begins with '/'. */
static bool has_method(const struct series_key *key)
{
	return instruments[key->instrument].attributes & METHOD &&
	       !(key->route && !strcmp(key->route->template, "{unread}"));
}

static void describe(struct snapshot_series *out, const struct series *s)
{
	const struct series_key *key = &s->key;
	unsigned int attributes = instruments[key->instrument].attributes;

	*out = (struct snapshot_series){
		.id = key->service ? s->order : UINT64_MAX - key->instrument,
		.instrument = key->instrument,
		.overflow = !key->service,
		.service = key->service,
		.bounds = instruments[key->instrument].bounds,
	};
	if (out->bounds)
		out->duration = &s->duration;
	else
		out->counts = &s->counts;
	if (out->overflow)
		return;
	out->route = key->route ? key->route->template : NULL;
	out->method = has_method(key) ? http_method_name(key->method) : NULL;
	out->address = key->address;
	out->error_type = key->error_type      ? key->error_type
			  : s->status_error[0] ? s->status_error
					       : NULL;
	out->protocol_version = version_name(key->version);
	if (attributes & SCHEME)
		out->scheme = key->scheme == SCHEME_HTTPS ? "https" : "http";
	if (key->slo) {
		out->slo = key->slo->text;
		out->slo_ratio = key->slo->ratio;
	}
	out->status = key->status;
	out->port = key->port;
}

static int compare(const void *left, const void *right)
{
	const struct series *a = *(struct series *const *)left, *b = *(struct series *const *)right;

	if (a->key.instrument != b->key.instrument)
		return a->key.instrument < b->key.instrument ? -1 : 1;
	if (a->key.service == b->key.service)
		return a->order < b->order ? -1 : 1;
	if (!a->key.service || !b->key.service)
		return a->key.service ? -1 : 1;
	return a->key.service->id < b->key.service->id ? -1 : 1;
}

static size_t list_series(struct aggregate *a, struct series **list)
{
	struct series *s;
	size_t i, n = 0;

	for (i = 0; i < a->bucket_count; i++) {
		for (s = a->buckets[i]; s; s = s->hash_next)
			list[n++] = s;
	}
	for (i = 0; i < INSTRUMENT_COUNT; i++) {
		if (a->has_overflow[i])
			list[n++] = &a->overflow[i];
	}
	qsort(list, n, sizeof(*list), compare);
	return n;
}

static int rebuild(struct aggregate *a)
{
	size_t capacity = a->count + INSTRUMENT_COUNT, n, i;
	struct snapshot_series *snapshot = realloc(a->snapshot, capacity * sizeof(*snapshot));
	struct series **list;

	if (!snapshot)
		return -ENOMEM;
	a->snapshot = snapshot;
	list = malloc(capacity * sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = list_series(a, list);
	for (i = 0; i < n; i++)
		describe(&snapshot[i], list[i]);
	free(list);
	a->snapshot_count = n;
	a->stale = false;
	return 0;
}

const struct snapshot_series *aggregate_snapshot(struct aggregate *a, size_t *count)
{
	*count = 0;
	if (a->stale && rebuild(a))
		return NULL;
	*count = a->snapshot_count;
	return a->snapshot;
}

size_t aggregate_series_count(const struct aggregate *a)
{
	return a->count;
}

static uint64_t measurement_count(const struct series *s)
{
	uint64_t sum = 0;
	size_t i;

	switch (s->key.instrument) {
	case INSTRUMENT_SERVER_REQUESTS:
	case INSTRUMENT_CLIENT_REQUESTS:
		for (i = 0; i < OUTCOME_COUNT; i++)
			sum += s->counts.outcomes[i];
		return sum;
	case INSTRUMENT_CONNECT_FAILURES:
		return s->counts.failures;
	case INSTRUMENT_SLO:
		return s->counts.slo.events;
	case INSTRUMENT_ACTIVE:
	case INSTRUMENT_OLDEST:
	case INSTRUMENT_COST: /* amounts, not measurements */
		return 0;
	default:
		return s->duration.count;
	}
}

uint64_t aggregate_overflow_count(const struct aggregate *a)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < INSTRUMENT_COUNT; i++)
		sum += a->has_overflow[i] ? measurement_count(&a->overflow[i]) : 0;
	return sum;
}

/* --- opening and closing --- */

#define KEEP(mask, field, wanted) memset(&(mask).field, (wanted) ? 0xff : 0, sizeof((mask).field))

static void make_masks(struct aggregate *a)
{
	size_t i;

	for (i = 0; i < INSTRUMENT_COUNT; i++) {
		unsigned int has = instruments[i].attributes;
		struct series_key mask;

		KEEP(mask, service, true);
		KEEP(mask, route, has & ROUTE);
		KEEP(mask, address, has & ADDRESS);
		KEEP(mask, error_type, has & ERROR_TYPE);
		KEEP(mask, slo, has & SLO);
		KEEP(mask, status, has & STATUS);
		KEEP(mask, port, has & PORT);
		KEEP(mask, method, has & METHOD);
		KEEP(mask, version, has & STATUS);
		KEEP(mask, scheme, has & SCHEME);
		KEEP(mask, instrument, true);
		a->masks[i] = words_of(&mask);
	}
}

int aggregate_open(struct aggregate **out, size_t max_series)
{
	struct aggregate *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->max_series = max_series;
	a->bucket_shift = 64 - 10;
	for (a->bucket_count = 1024; a->bucket_count < max_series; a->bucket_count *= 2)
		a->bucket_shift--;
	a->buckets = calloc(a->bucket_count, sizeof(struct series *));
	if (!a->buckets) {
		free(a);
		return -ENOMEM;
	}
	make_masks(a);
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
	free(a->snapshot);
	free(a);
}
