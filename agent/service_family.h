/* SPDX-License-Identifier: Apache-2.0 */
/* service_family - masters and workers: which processes run the same program in one tree.
 *
 * A master is an ancestor of the same name and program; its family are all below it that run
 * this program too. What its members start as another program is none of them. Pure but for the
 * scratch space; about 1 us a process that is compared. */
#ifndef BITTERN_SERVICE_FAMILY_H
#define BITTERN_SERVICE_FAMILY_H

#include "process_table.h"
#include "service_name.h"

/* The family of one process, the member at hand; what it points to is the caller's. */
struct family {
	const struct process_table *processes;
	const struct service_match *matches;
	size_t match_count;
	pid_t pid; /* of the member at hand */
	const struct process_facts *facts; /* its facts */
	const struct service_identity *identity; /* its name, on port */
	uint16_t port;
	struct process_facts *scratch;
};

/* Whether other runs the program of the member at hand, under its name. */
bool family_same_program(const struct family *family, const struct process *other);
/* The topmost master, or the member at hand itself. */
pid_t family_top(const struct family *family);
/* Whether other runs the same program somewhere below top. */
bool family_is_member(const struct family *family, pid_t top, const struct process *other);
/* Whether an ancestor or a descendant of the member at hand, or another worker of its master, is
 * bound to service. */
bool family_serves(const struct family *family, const struct service *service);

#endif
