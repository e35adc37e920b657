// SPDX-License-Identifier: Apache-2.0
#include "packed_facts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct packed_facts {
	uint32_t reference_count;
	pid_t pid, parent;
	enum runtime runtime;
	bool kubernetes;
	uint32_t arg_count;
	char text[]; /* the strings one after the other, each with its NUL; then the arguments */
};

static const size_t strings[] = {
#define STRING(field) offsetof(struct process_facts, field)
	STRING(exe),
	STRING(cwd),
	STRING(cgroup),
	STRING(container_id),
	STRING(container_name),
	STRING(container_service),
	STRING(pod_name),
	STRING(package_name),
	STRING(django_settings),
	STRING(otel_service_name),
	STRING(otel_resource_attributes),
	STRING(flask_app),
	STRING(pm2_script),
	STRING(hostname),
	STRING(kubernetes_namespace),
#undef STRING
};

#define STRING_COUNT (sizeof(strings) / sizeof(*strings))

static size_t args_len(const struct process_facts *facts)
{
	const char *last;

	if (facts->arg_count == 0)
		return 0;
	last = facts->arg[facts->arg_count - 1];
	return (size_t)(last - facts->args) + strlen(last) + 1;
}

struct packed_facts *packed_facts_new(const struct process_facts *facts)
{
	size_t size = sizeof(struct packed_facts) + args_len(facts);
	struct packed_facts *packed;
	char *to;

	for (size_t i = 0; i < STRING_COUNT; i++)
		size += strlen((const char *)facts + strings[i]) + 1;
	packed = malloc(size);
	if (!packed)
		return NULL;
	*packed = (struct packed_facts){
		.reference_count = 1,
		.pid = facts->pid,
		.parent = facts->parent,
		.runtime = facts->runtime,
		.kubernetes = facts->kubernetes,
		.arg_count = (uint32_t)facts->arg_count,
	};
	to = packed->text;
	for (size_t i = 0; i < STRING_COUNT; i++)
		to = stpcpy(to, (const char *)facts + strings[i]) + 1;
	memcpy(to, facts->args, args_len(facts));
	return packed;
}

struct packed_facts *packed_facts_share(struct packed_facts *packed)
{
	if (packed)
		packed->reference_count++;
	return packed;
}

void packed_facts_unpack(struct process_facts *facts, const struct packed_facts *packed)
{
	const char *from = packed->text;
	size_t len = 0;

	memset(facts, 0, sizeof(*facts));
	facts->pid = packed->pid;
	facts->parent = packed->parent;
	facts->runtime = packed->runtime;
	facts->kubernetes = packed->kubernetes;
	for (size_t i = 0; i < STRING_COUNT; i++) {
		size_t size = strlen(from) + 1;

		memcpy((char *)facts + strings[i], from, size);
		from += size;
	}
	for (; facts->arg_count < packed->arg_count; facts->arg_count++) {
		size_t arg_len = strlen(from + len) + 1;

		facts->arg[facts->arg_count] = facts->args + len;
		memcpy(facts->args + len, from + len, arg_len);
		len += arg_len;
	}
}

void packed_facts_drop(struct packed_facts *packed)
{
	if (packed && --packed->reference_count == 0)
		free(packed);
}
