// SPDX-License-Identifier: Apache-2.0
/* Three parts do the work: segment (what looks variable), route_patterns (what is configured) and
 * route_trie (what is learned). Here the routes themselves are counted, and templates that were
 * looked up before are found again by one comparison: most requests are for few routes.
 *
 * When a node of the trie folds, the routes below it are retired: their strings stay, their places
 * are given back. So that no path can do this for ever, a service creates at most PLACES_FACTOR *
 * max_count routes in its life. Values are learned even when the routes are full, for folding is
 * what makes room.
 *
 * Bounds: NODES_PER_ROUTE * max_count + NODES_EXTRA nodes (2,624 and so about 180 KiB by default,
 * plus 128 KiB of hash table) and PLACES_FACTOR * max_count routes of at most 264 bytes; 1 KiB of
 * templates looked up before. */
#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route_patterns.h"
#include "route_trie.h"
#include "segment.h"

#define PLACES_FACTOR 4
#define NAMED_COUNT 4 /* {other}, {unmatched}, {unread}, {unattributed} */
#define NODES_PER_ROUTE 8
#define NODES_EXTRA 1024
#define COUNT_LIMIT ((size_t)1 << 20) /* what max_count is clamped to */
#define SEEN_COUNT 64 /* a power of two */

static const char id_segment[] = "{id}";
static const char other_template[] = "{other}";
static const char unmatched_template[] = "{unmatched}";
static const char unread_template[] = "{unread}";
static const char unattributed_template[] = "{unattributed}";

#define ID_LEN (sizeof(id_segment) - 1)

/* A template that was looked up, by the text of its route. */
struct seen {
	const struct route *route; /* NULL: none */
	uint32_t len;
	bool literal; /* the path of this text folds to it */
};

struct routes {
	const struct route_pattern **patterns; /* those of this service, in order */
	size_t pattern_count;
	struct route_trie trie;
	struct route **items; /* by id; retired ones stay */
	size_t count, max_count;
	const struct route *other, *unmatched, *unread, *unattributed;
	uint64_t overflow_count;
	struct seen *seen; /* SEEN_COUNT */
};

/* Where text is remembered; whether it is there, is_seen() tells. */
static struct seen *seen_at(const struct routes *r, const char *text, size_t len)
{
	size_t place = len;

	if (len)
		place += (size_t)text[len - 1] * 5 + (size_t)text[len / 2] * 3;
	return &r->seen[place & (SEEN_COUNT - 1)];
}

static bool is_seen(const struct seen *seen, const char *text, size_t len)
{
	return seen->len == len && seen->route && !memcmp(seen->route->template, text, len);
}

static void remember(const struct routes *r, const char *template, size_t len,
		     const struct route *route)
{
	struct seen *seen = seen_at(r, template, len);

	if (strlen(route->template) == len && !memcmp(route->template, template, len))
		*seen = (struct seen){.route = route, .len = (uint32_t)len};
}

/* Routes have been retired. */
static void forget_seen(struct routes *r)
{
	memset(r->seen, 0, SEEN_COUNT * sizeof(*r->seen));
}

static size_t put_template(char *template, const char *text, size_t len)
{
	memcpy(template, text, len);
	template[len] = '\0';
	return len;
}

/* The part of path before query (there should be none; a query must never be kept) and fragment. */
static size_t path_only(const char *path, size_t len)
{
	const char *cut = memchr(path, '?', len);

	len = cut ? (size_t)(cut - path) : len;
	cut = memchr(path, '#', len);
	return cut ? (size_t)(cut - path) : len;
}

/* SIZE_MAX when it is more than room. */
static size_t put_segment(char *out, size_t room, const char *segment, size_t len)
{
	if (!segment_is_variable(segment, len))
		return segment_encode(out, room, segment, len);
	if (room < ID_LEN)
		return SIZE_MAX;
	memcpy(out, id_segment, ID_LEN);
	return ID_LEN;
}

static size_t fold_by_look(const char *path, const char *end,
			   char template[static ROUTES_TEMPLATE_MAX])
{
	size_t used = 0, room = ROUTES_TEMPLATE_MAX - 1;

	for (;;) {
		size_t whole, len = route_segment_length(path, end, &whole);
		size_t written = put_segment(template + used, room - used, path, len);

		if (written == SIZE_MAX)
			return put_template(template, other_template, sizeof(other_template) - 1);
		used += written;
		path += whole;
		if (path == end)
			break;
		if (used == room)
			return put_template(template, other_template, sizeof(other_template) - 1);
		template[used++] = *path++;
	}
	if (!used) /* nothing but parameters */
		return put_template(template, "/", 1);
	template[used] = '\0';
	return used;
}

static size_t fold(const struct routes *r, const char *path, size_t path_len,
		   char template[static ROUTES_TEMPLATE_MAX])
{
	const char *end;

	path_len = path_len ? path_only(path, path_len) : 0;
	if (!path_len) {
		path = "/";
		path_len = 1;
	}
	end = path + path_len;
	for (size_t i = 0; i < r->pattern_count; i++) {
		const struct route_pattern *pattern = r->patterns[i];

		if (route_pattern_matches(pattern, path, end))
			return put_template(template, pattern->text, pattern->len);
	}
	return fold_by_look(path, end, template);
}

size_t routes_fold(const struct routes *r, const char *path, size_t path_len,
		   char template[static ROUTES_TEMPLATE_MAX])
{
	struct seen *seen = seen_at(r, path, path_len);
	bool known = is_seen(seen, path, path_len);
	size_t len;

	if (known && seen->literal)
		return put_template(template, seen->route->template, path_len);
	len = fold(r, path, path_len, template);
	if (known)
		seen->literal = len == path_len && !memcmp(template, path, len);
	return len;
}

static struct route *add_route(struct routes *r, const char *template)
{
	size_t len = strlen(template);
	struct route *route, **items = r->items;

	if (!(r->count & (r->count - 1))) { /* as long as it was full: 0, 1, 2, 4, ... */
		items = reallocarray(r->items, r->count ? r->count * 2 : 1, sizeof(struct route *));
		if (!items)
			return NULL;
		r->items = items;
	}
	route = malloc(sizeof(*route) + len + 1);
	if (!route)
		return NULL;
	route->id = (uint32_t)r->count;
	memcpy(route->template, template, len + 1);
	items[r->count++] = route;
	return route;
}

static bool is_full(const struct routes *r)
{
	return r->trie.placed_count >= r->max_count ||
	       r->count - NAMED_COUNT >= r->max_count * PLACES_FACTOR;
}

static bool status_places(unsigned int status)
{
	return status && status != 400 && status != 404 && status != 405;
}

static bool is_template(const char *template, size_t len, const char *other)
{
	return len == strlen(other) && !memcmp(template, other, len);
}

/* For a template that has no place. */
static const struct route *place_new(struct routes *r, const char *template, size_t len,
				     unsigned int status)
{
	char buffer[ROUTES_TEMPLATE_MAX];
	const char *text;
	struct route *route;
	struct route_node *node;
	size_t placed_count = r->trie.placed_count;

	if (len >= ROUTES_TEMPLATE_MAX || is_template(template, len, other_template))
		return r->other;
	if (is_template(template, len, unmatched_template) || !status_places(status))
		return r->unmatched;
	node = route_trie_add(&r->trie, template, len);
	if (r->trie.placed_count < placed_count)
		forget_seen(r);
	if (node && node->route)
		return node->route;
	text = node ? route_trie_template(&r->trie, node, buffer) : NULL;
	if (node && !text)
		return r->other;
	route = node && !is_full(r) ? add_route(r, text) : NULL;
	if (!route) {
		r->overflow_count++;
		return r->other;
	}
	route_trie_place(&r->trie, node, route);
	return route;
}

/* NULL: it has no place. */
static const struct route *find_placed(const struct routes *r, const char *template, size_t len)
{
	const struct seen *seen = seen_at(r, template, len);
	const struct route_node *node;

	if (is_seen(seen, template, len))
		return seen->route;
	node = route_trie_find(&r->trie, template, len);
	if (!node || !node->route)
		return NULL;
	remember(r, template, len, node->route);
	return node->route;
}

const struct route *routes_find(const struct routes *r, const char *template, size_t template_len)
{
	const struct route *route = find_placed(r, template, template_len);

	if (route)
		return route;
	if (is_full(r) || is_template(template, template_len, other_template))
		return r->other;
	return r->unmatched;
}

const struct route *routes_place(struct routes *r, const char *template, size_t template_len,
				 unsigned int status)
{
	const struct route *route = find_placed(r, template, template_len);

	return route ? route : place_new(r, template, template_len, status);
}

const struct route *routes_unread(const struct routes *r)
{
	return r->unread;
}

const struct route *routes_unattributed(const struct routes *r)
{
	return r->unattributed;
}

uint64_t routes_overflow_count(const struct routes *r)
{
	return r->overflow_count;
}

static int choose_patterns(struct routes *r, const struct route_patterns *patterns,
			   const char *service)
{
	const struct route_pattern *pattern;
	size_t count = 0;

	while (patterns && route_patterns_at(patterns, count))
		count++;
	if (!count)
		return 0;
	r->patterns = calloc(count, sizeof(*r->patterns));
	if (!r->patterns)
		return -ENOMEM;
	for (size_t i = 0; (pattern = route_patterns_at(patterns, i)); i++) {
		int err;

		if (pattern->service && (!service || strcmp(pattern->service, service)))
			continue;
		err = route_trie_add_configured(&r->trie, pattern->text, pattern->len);
		if (err)
			return err;
		r->patterns[r->pattern_count++] = pattern;
	}
	return 0;
}

int routes_open(struct routes **out, const struct route_patterns *patterns, const char *service,
		size_t max_count)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->max_count = max_count < COUNT_LIMIT ? max_count : COUNT_LIMIT;
	r->seen = calloc(SEEN_COUNT, sizeof(*r->seen));
	r->other = add_route(r, other_template);
	r->unmatched = add_route(r, unmatched_template);
	r->unread = add_route(r, unread_template);
	r->unattributed = add_route(r, unattributed_template);
	if (!r->seen || !r->other || !r->unmatched || !r->unread || !r->unattributed ||
	    route_trie_init(&r->trie, NODES_PER_ROUTE * r->max_count + NODES_EXTRA) ||
	    choose_patterns(r, patterns, service)) {
		routes_close(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void routes_close(struct routes *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		free(r->items[i]);
	route_trie_close(&r->trie);
	free(r->items);
	free(r->patterns);
	free(r->seen);
	free(r);
}
