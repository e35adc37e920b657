/* SPDX-License-Identifier: Apache-2.0 */
/* links - lists in both directions through the objects themselves. A list is a link whose next and
 * previous are its first and last item, or itself when it is empty. */
#ifndef BITTERN_LINKS_H
#define BITTERN_LINKS_H

struct link_pair {
	struct link_pair *previous, *next; /* next NULL: in no list */
};

static inline void links_init(struct link_pair *list)
{
	list->previous = list->next = list;
}

static inline void links_add_last(struct link_pair *list, struct link_pair *item)
{
	item->previous = list->previous;
	item->next = list;
	list->previous->next = item;
	list->previous = item;
}

static inline void links_remove(struct link_pair *item)
{
	item->previous->next = item->next;
	item->next->previous = item->previous;
	item->next = item->previous = (void *)0;
}

#endif
