/* SPDX-License-Identifier: Apache-2.0 */
/* route_trie - the templates of one service by segment, and learning which segments are variable.
 *
 * A place is a node below a node. One that has had ROUTES_SEGMENT_VALUES_MAX values below it folds
 * when the next one comes: those values and all below them are freed, and every value, known or
 * new, leads to
 * "{id}" from then on. The empty segment (a trailing slash) and "{id}" are no values.
 * Owns its nodes, at most node_max of about 70 bytes, not the routes. Loop thread only.
 * find is one hash look-up per segment (one in all for a configured template); it never allocates.
 */
#ifndef BITTERN_ROUTE_TRIE_H
#define BITTERN_ROUTE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "routes.h"

struct route_node {
	struct route_node *parent; /* NULL: a root */
	struct route_node *id_child; /* "{id}" */
	const struct route *route; /* NULL: no place yet; set by route_trie_place() */
	uint32_t value_count;
	bool folded;
	bool discarded;
	uint8_t segment_len;
	char segment[];
};

struct route_trie {
	struct route_node *slash; /* above templates that begin with '/' */
	struct route_node *bare; /* above those that do not */
	struct route_node *configured; /* its children are whole templates, which never fold */
	struct route_slot *slots; /* linear probing, at most half full */
	size_t slot_count; /* a power of two */
	size_t node_count, node_max;
	size_t configured_count;
	size_t placed_count; /* nodes that have a route */
	uint64_t seed;
};

/* 0; -ENOMEM. trie is to be closed in either case. */
int route_trie_init(struct route_trie *trie, size_t node_max);
void route_trie_close(struct route_trie *trie); /* one that is all zeros is fine */

/* A template that never folds, beyond node_max. 0, also if it is there already; -ENOMEM. */
int route_trie_add_configured(struct route_trie *trie, const char *template, size_t len);
/* Where a template leads as things stand, through folded nodes; NULL if nowhere yet. */
struct route_node *route_trie_find(const struct route_trie *trie, const char *template, size_t len);
/* The same, and adds what is missing, which may fold nodes and so free those found before. NULL:
 * out of memory or of nodes. */
struct route_node *route_trie_add(struct route_trie *trie, const char *template, size_t len);
/* The node must have no route yet. */
void route_trie_place(struct route_trie *trie, struct route_node *node, const struct route *route);
/* The template of a node, somewhere in buffer; NULL if folding has made it too long. */
const char *route_trie_template(const struct route_trie *trie, const struct route_node *node,
				char buffer[static ROUTES_TEMPLATE_MAX]);

#endif
