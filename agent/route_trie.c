// SPDX-License-Identifier: Apache-2.0
/* All nodes are in one hash table keyed by (parent, segment):
 *
 *	/ --- users --- alice --- orders -> route 2
 *	        |   \-- bob   --- orders -> route 3
 *	        |   \-- ""               -> route 4, "/users/"
 *	        \------ {id}  --- orders -> route 5; where all go once users has folded */
#include "route_trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SLOTS_FIRST 64

static const char id_segment[] = "{id}";

#define ID_LEN (sizeof(id_segment) - 1)

struct route_slot {
	uint64_t hash;
	struct route_node *node; /* NULL: free */
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
	__extension__ typedef unsigned __int128 u128;
	u128 product = (u128)(hash ^ word) * 0x9e3779b97f4a7c15;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_segment(const struct route_trie *trie, const struct route_node *parent,
			     const char *s, size_t len)
{
	uint64_t hash = mix(trie->seed ^ len, (uintptr_t)parent), word;

	for (; len >= sizeof(word); len -= sizeof(word), s += sizeof(word)) {
		memcpy(&word, s, sizeof(word));
		hash = mix(hash, word);
	}
	word = 0;
	for (size_t i = 0; i < len; i++)
		word = word << 8 | (uint8_t)s[i];
	return mix(hash, word);
}

static struct route_node *find_child(const struct route_trie *trie, const struct route_node *parent,
				     const char *segment, size_t len)
{
	uint64_t hash = hash_segment(trie, parent, segment, len);
	size_t mask = trie->slot_count - 1;

	for (size_t i = hash & mask; trie->slots[i].node; i = (i + 1) & mask) {
		struct route_node *node = trie->slots[i].node;

		if (trie->slots[i].hash == hash && node->parent == parent &&
		    node->segment_len == len && !memcmp(node->segment, segment, len))
			return node;
	}
	return NULL;
}

static void slot_put(struct route_slot *slots, size_t slot_count, struct route_slot added)
{
	size_t i = added.hash & (slot_count - 1);

	while (slots[i].node)
		i = (i + 1) & (slot_count - 1);
	slots[i] = added;
}

/* Frees slot i and moves back those behind it that probing would no longer find. */
static void slot_remove(struct route_trie *trie, size_t i)
{
	size_t mask = trie->slot_count - 1;

	for (size_t next = (i + 1) & mask; trie->slots[next].node; next = (next + 1) & mask) {
		size_t home = trie->slots[next].hash & mask;

		if (((next - home) & mask) < ((next - i) & mask))
			continue; /* its home is behind the gap */
		trie->slots[i] = trie->slots[next];
		i = next;
	}
	trie->slots[i].node = NULL;
}

static int slots_grow(struct route_trie *trie)
{
	size_t slot_count = trie->slot_count ? trie->slot_count * 2 : SLOTS_FIRST;
	struct route_slot *slots = calloc(slot_count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < trie->slot_count; i++) {
		if (trie->slots[i].node)
			slot_put(slots, slot_count, trie->slots[i]);
	}
	free(trie->slots);
	trie->slots = slots;
	trie->slot_count = slot_count;
	return 0;
}

/* NULL: out of memory, or of nodes. */
static struct route_node *add_child(struct route_trie *trie, struct route_node *parent,
				    const char *segment, size_t len)
{
	struct route_node *node;

	if (trie->node_count >= trie->node_max ||
	    (trie->node_count * 2 >= trie->slot_count && slots_grow(trie)))
		return NULL;
	node = calloc(1, sizeof(*node) + len);
	if (!node)
		return NULL;
	node->parent = parent;
	node->segment_len = (uint8_t)len;
	memcpy(node->segment, segment, len);
	slot_put(trie->slots, trie->slot_count,
		 (struct route_slot){hash_segment(trie, parent, segment, len), node});
	trie->node_count++;
	return node;
}

/* Whether node is at or below one of parent's values. */
static bool is_below_value(const struct route_node *node, const struct route_node *parent)
{
	while (node->parent && node->parent != parent)
		node = node->parent;
	return node->parent && node->segment_len && node != parent->id_child;
}

/* Rare, at most once per 100 new values: looks at every node. */
static void fold_node(struct route_trie *trie, struct route_node *parent)
{
	parent->folded = true;
	for (size_t i = 0; i < trie->slot_count; i++) {
		struct route_node *node = trie->slots[i].node;

		if (node) /* parents are needed: mark first, free later */
			node->discarded = is_below_value(node, parent);
	}
	for (size_t i = 0; i < trie->slot_count; i++) {
		struct route_node *node;

		while ((node = trie->slots[i].node) && node->discarded) {
			slot_remove(trie, i); /* which may put another one here */
			trie->placed_count -= node->route != NULL;
			trie->node_count--;
			free(node);
		}
	}
}

/* One segment down; NULL if there is nothing yet. */
static struct route_node *step(const struct route_trie *trie, const struct route_node *node,
			       const char *segment, size_t len)
{
	return node->folded && len ? node->id_child : find_child(trie, node, segment, len);
}

/* The same, and adds it; NULL: full or out of memory. */
static struct route_node *step_add(struct route_trie *trie, struct route_node *node,
				   const char *segment, size_t len)
{
	struct route_node *next = step(trie, node, segment, len);
	bool is_id = len == ID_LEN && !memcmp(segment, id_segment, ID_LEN);

	if (next)
		return next;
	if (len && !is_id && !node->folded && node->value_count >= ROUTES_SEGMENT_VALUES_MAX)
		fold_node(trie, node);
	if (len && (is_id || node->folded)) {
		if (!node->id_child)
			node->id_child = add_child(trie, node, id_segment, ID_LEN);
		return node->id_child;
	}
	next = add_child(trie, node, segment, len);
	if (next && len)
		node->value_count++;
	return next;
}

/* What is left of a template. */
struct cursor {
	const char *at; /* NULL: nothing */
	const char *end;
};

static struct cursor begin(const struct route_trie *trie, const char *template, size_t len,
			   struct route_node **root)
{
	bool slash = len && *template == '/';

	*root = slash ? trie->slash : trie->bare;
	return (struct cursor){template + slash, template + len};
}

static bool next_segment(struct cursor *cursor, const char **segment, size_t *len)
{
	const char *slash;

	if (!cursor->at)
		return false;
	slash = memchr(cursor->at, '/', (size_t)(cursor->end - cursor->at));
	*segment = cursor->at;
	*len = (size_t)((slash ? slash : cursor->end) - cursor->at);
	cursor->at = slash ? slash + 1 : NULL;
	return true;
}

static struct route_node *find_configured(const struct route_trie *trie, const char *template,
					  size_t len)
{
	return trie->configured_count ? find_child(trie, trie->configured, template, len) : NULL;
}

struct route_node *route_trie_find(const struct route_trie *trie, const char *template, size_t len)
{
	struct route_node *node = find_configured(trie, template, len);
	struct cursor cursor;
	const char *segment;

	if (node)
		return node;
	cursor = begin(trie, template, len, &node);
	while (node && next_segment(&cursor, &segment, &len))
		node = step(trie, node, segment, len);
	return node;
}

struct route_node *route_trie_add(struct route_trie *trie, const char *template, size_t len)
{
	struct route_node *node = find_configured(trie, template, len);
	struct cursor cursor;
	const char *segment;

	if (node)
		return node;
	cursor = begin(trie, template, len, &node);
	while (node && next_segment(&cursor, &segment, &len))
		node = step_add(trie, node, segment, len);
	return node;
}

int route_trie_add_configured(struct route_trie *trie, const char *template, size_t len)
{
	if (find_child(trie, trie->configured, template, len))
		return 0;
	trie->node_max++;
	if (!add_child(trie, trie->configured, template, len))
		return -ENOMEM;
	trie->configured_count++;
	return 0;
}

void route_trie_place(struct route_trie *trie, struct route_node *node, const struct route *route)
{
	node->route = route;
	trie->placed_count++;
}

/* Written from its end; "{id}" in place of shorter values can have made it too long. */
const char *route_trie_template(const struct route_trie *trie, const struct route_node *node,
				char buffer[static ROUTES_TEMPLATE_MAX])
{
	char *at = buffer + ROUTES_TEMPLATE_MAX - 1;

	*at = '\0';
	for (; node->parent; node = node->parent) {
		bool slash = node->parent != trie->bare && node->parent != trie->configured;

		if ((size_t)(at - buffer) < (size_t)node->segment_len + slash)
			return NULL;
		at -= node->segment_len;
		memcpy(at, node->segment, node->segment_len);
		if (slash)
			*--at = '/';
	}
	return at;
}

int route_trie_init(struct route_trie *trie, size_t node_max)
{
	*trie = (struct route_trie){.node_max = node_max};
	/* Seeded, because the paths are other people's; early at boot by where we happen to be. */
	if (getrandom(&trie->seed, sizeof(trie->seed), GRND_NONBLOCK) != sizeof(trie->seed))
		trie->seed = (uintptr_t)trie;
	trie->slash = calloc(1, sizeof(*trie->slash));
	trie->bare = calloc(1, sizeof(*trie->bare));
	trie->configured = calloc(1, sizeof(*trie->configured));
	if (!trie->slash || !trie->bare || !trie->configured)
		return -ENOMEM;
	return slots_grow(trie);
}

void route_trie_close(struct route_trie *trie)
{
	for (size_t i = 0; i < trie->slot_count; i++)
		free(trie->slots[i].node);
	free(trie->slots);
	free(trie->slash);
	free(trie->bare);
	free(trie->configured);
	*trie = (struct route_trie){0};
}
