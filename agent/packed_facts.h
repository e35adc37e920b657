/* SPDX-License-Identifier: Apache-2.0 */
/* packed_facts - process facts in as few bytes as they need, some 500, shared by a process and
 * its forks.
 *
 * Counted references: packed_facts_share() adds one, packed_facts_drop() takes one. */
#ifndef BITTERN_PACKED_FACTS_H
#define BITTERN_PACKED_FACTS_H

#include "process_facts.h"

struct packed_facts;

struct packed_facts *packed_facts_new(const struct process_facts *facts); /* NULL without memory */
struct packed_facts *packed_facts_share(struct packed_facts *packed);
void packed_facts_unpack(struct process_facts *facts, const struct packed_facts *packed);
void packed_facts_drop(struct packed_facts *packed); /* NULL is fine */

#endif
