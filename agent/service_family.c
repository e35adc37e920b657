// SPDX-License-Identifier: Apache-2.0
#include "service_family.h"

#include <string.h>

#define ANCESTORS_MAX 32 /* how far up a family is followed */

static struct process *parent_of(const struct family *family, const struct process *process)
{
	return process_table_find(family->processes, process->parent);
}

bool family_same_program(const struct family *family, const struct process *other)
{
	struct service_identity identity;

	if (!other->facts)
		return false;
	packed_facts_unpack(family->scratch, other->facts);
	if (!service_name_same_program(family->facts, family->scratch))
		return false;
	service_name_of(&identity, family->scratch, family->port, family->matches,
			family->match_count);
	return strcmp(identity.name, family->identity->name) == 0 &&
	       strcmp(identity.namespace, family->identity->namespace) == 0;
}

pid_t family_top(const struct family *family)
{
	const struct process *process = process_table_find(family->processes, family->pid);
	pid_t top = family->pid;

	process = process ? parent_of(family, process) : NULL;
	for (int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (family_same_program(family, process))
			top = process->pid;
		process = parent_of(family, process);
	}
	return top;
}

static bool descends(const struct family *family, const struct process *process, pid_t ancestor)
{
	for (int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (process->pid == ancestor)
			return true;
		process = parent_of(family, process);
	}
	return false;
}

bool family_is_member(const struct family *family, pid_t top, const struct process *other)
{
	const struct process *mine = process_table_find(family->processes, family->pid);

	/* Forks share their facts. */
	return descends(family, other, top) && other->facts &&
	       ((mine && mine->facts == other->facts) || family_same_program(family, other));
}

bool family_serves(const struct family *family, const struct service *service)
{
	const struct process *process = process_table_find(family->processes, family->pid);
	pid_t top = family_top(family);

	process = process ? parent_of(family, process) : NULL;
	for (int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (process->service == service)
			return true;
		process = parent_of(family, process);
	}
	process_table_for_each(process, family->processes)
	{
		if (process->service == service && descends(family, process, top))
			return true;
	}
	return false;
}
