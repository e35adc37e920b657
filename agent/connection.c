// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS_FIRST 1024
#define EVICT_LOOK_MAX 64 /* connections looked at for an idle one */

int connections_open(struct connections *t, size_t max_count)
{
	pool_init(&t->pool, sizeof(struct connection), max_count);
	links_init(&t->by_activity);
	links_init(&t->unsettled);
	t->unix_count = 0;
	t->evicted = 0;
	t->bucket_count = BUCKETS_FIRST;
	t->buckets = calloc(t->bucket_count, sizeof(struct connection *));
	t->done =
		calloc(CONNECTIONS_DONE, sizeof(*t->done)); /* only pages that are used are there */
	if (t->buckets && t->done)
		return 0;
	connections_close(t);
	return -ENOMEM;
}

/* Socket cookies count up; their low bits tell them apart, but each CPU takes its own range. */
static size_t hash_of(uint64_t cookie)
{
	return cookie * 0x9e3779b97f4a7c15ull >> 32;
}

static size_t bucket_of(const struct connections *t, uint64_t cookie)
{
	return hash_of(cookie) & (t->bucket_count - 1);
}

static struct connection_done *done_at(const struct connections *t, uint64_t cookie, uint32_t begin)
{
	return &t->done[hash_of(cookie ^ (uint64_t)begin << 32) & (CONNECTIONS_DONE - 1)];
}

struct connection *connections_find(const struct connections *t, uint64_t cookie)
{
	struct connection *c = t->buckets[bucket_of(t, cookie)];

	while (c && c->cookie != cookie)
		c = c->hash_next;
	return c;
}

/* Twice the buckets; without memory the chains just grow longer. */
static void grow(struct connections *t)
{
	struct connection **buckets = calloc(t->bucket_count * 2, sizeof(*buckets));
	struct connection **old = t->buckets, *c, *next;
	size_t i, old_count = t->bucket_count;

	if (!buckets)
		return;
	t->buckets = buckets;
	t->bucket_count *= 2;
	for (i = 0; i < old_count; i++) {
		for (c = old[i]; c; c = next) {
			struct connection **bucket = &buckets[bucket_of(t, c->cookie)];

			next = c->hash_next;
			c->hash_next = *bucket;
			*bucket = c;
		}
	}
	free(old);
}

bool connection_is_idle(const struct connection *c)
{
	return !c->first && !c->held && !c->unread_counted && !c->unsettled.next &&
	       !c->requests.in_fields && !c->requests.line_len;
}

/* Those that wait go to the list's end, so that many of them cannot stand in the way for long. */
static void evict(struct connections *t, struct stream_memory *memory)
{
	struct connection *c;
	int i;

	for (i = 0; i < EVICT_LOOK_MAX && (c = connections_oldest(t)); i++) {
		if (connection_is_idle(c)) {
			connections_remove(t, c, memory);
			t->evicted++;
			return;
		}
		links_remove(&c->by_activity);
		links_add_last(&t->by_activity, &c->by_activity);
	}
}

struct connection *connections_add(struct connections *t, uint64_t cookie,
				   struct stream_memory *memory)
{
	struct connection *c, **bucket;

	if (t->pool.count >= t->pool.max_count)
		evict(t, memory);
	c = pool_take(&t->pool);
	if (!c)
		return NULL;
	if (t->pool.count > t->bucket_count)
		grow(t);
	c->cookie = cookie;
	bucket = &t->buckets[bucket_of(t, cookie)];
	c->hash_next = *bucket;
	*bucket = c;
	links_add_last(&t->by_activity, &c->by_activity);
	return c;
}

static void keep_done(struct connections *t, const struct connection *c)
{
	if (c->role == ROLE_SERVER && c->ended.service)
		*done_at(t, c->cookie, c->ended.begin) =
			(struct connection_done){c->cookie, c->ended};
}

void connections_remove(struct connections *t, struct connection *c, struct stream_memory *memory)
{
	struct connection **link = &t->buckets[bucket_of(t, c->cookie)];

	while (*link != c)
		link = &(*link)->hash_next;
	*link = c->hash_next;
	links_remove(&c->by_activity);
	connections_mark_settled(c);
	if (c->is_unix)
		t->unix_count--;
	keep_done(t, c);
	stream_close(&c->requests, memory);
	stream_close(&c->responses, memory);
	pool_give(&t->pool, c);
}

void connections_done(struct connections *t, struct connection *c,
		      const struct exchange_ended *ended)
{
	/* The same one has told when it read the next. */
	if (c->ended.tid != ended->tid)
		keep_done(t, c);
	c->ended = *ended;
}

const struct exchange_ended *connections_ended(const struct connections *t, uint64_t cookie,
					       uint32_t begin)
{
	const struct connection *c = connections_find(t, cookie);
	const struct connection_done *done;

	if (c && (c->role != ROLE_SERVER || !c->ended.service))
		return NULL;
	if (c && (int32_t)(begin - c->ended.begin) >= 0)
		return &c->ended;
	done = done_at(t, cookie, begin);
	return done->cookie == cookie && done->ended.begin == begin && done->ended.service
		       ? &done->ended
		       : NULL;
}

void connections_forget_service(struct connections *t, const struct service *service)
{
	struct link_pair *item;
	size_t i;

	for (item = t->by_activity.next; item != &t->by_activity; item = item->next)
		if (connection_of(item, by_activity)->ended.service == service)
			connection_of(item, by_activity)->ended.service = NULL;
	for (i = 0; i < CONNECTIONS_DONE; i++)
		if (t->done[i].ended.service == service)
			t->done[i] = (struct connection_done){0};
}

void connections_touch(struct connections *t, struct connection *c, uint64_t now_ns)
{
	if (now_ns > c->active_ns)
		c->active_ns = now_ns;
	links_remove(&c->by_activity);
	links_add_last(&t->by_activity, &c->by_activity);
}

void connections_mark_unsettled(struct connections *t, struct connection *c)
{
	if (!c->unsettled.next)
		links_add_last(&t->unsettled, &c->unsettled);
}

void connections_mark_settled(struct connection *c)
{
	if (c->unsettled.next)
		links_remove(&c->unsettled);
}

struct connection *connections_oldest(const struct connections *t)
{
	struct link_pair *item = t->by_activity.next;

	return item == &t->by_activity ? NULL : connection_of(item, by_activity);
}

void connections_close(struct connections *t)
{
	struct link_pair *item;

	free(t->done);
	t->done = NULL;
	if (!t->buckets)
		return;
	for (item = t->by_activity.next; item != &t->by_activity; item = item->next) {
		free(connection_of(item, by_activity)->requests.line);
		free(connection_of(item, by_activity)->responses.line);
	}
	free(t->buckets);
	t->buckets = NULL;
	pool_close(&t->pool);
}
