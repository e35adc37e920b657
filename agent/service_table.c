// SPDX-License-Identifier: Apache-2.0
#include "service_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "path.h"
#include "program.h"
#include "utf8.h"

/* A service that serves on more ports than this is not recognised by the others. */
#define PORTS_MAX 32

struct service_entry {
	struct service service;
	char base_name[128]; /* name without what tells it apart */
	char program[64]; /* what its first process runs, in a word */
	struct packed_facts *command; /* what it is started as, or NULL */
	bool chosen;
	uint8_t port_count;
	uint16_t ports[PORTS_MAX]; /* 0: unix sockets */
	size_t index; /* in the table */
};

static struct service_entry *entry_of(struct service *service)
{
	return (struct service_entry *)service; /* its first member */
}

static bool has_name(const struct service_entry *entry, const struct service_identity *identity)
{
	return strcmp(entry->base_name, identity->name) == 0 &&
	       strcmp(entry->service.namespace, identity->namespace) == 0;
}

static bool has_port(const struct service_entry *entry, uint16_t port)
{
	for (size_t i = 0; i < entry->port_count; i++) {
		if (entry->ports[i] == port)
			return true;
	}
	return false;
}

struct service *service_table_serving(const struct service_table *table, uint16_t port,
				      struct service *likely)
{
	struct service *found = NULL;

	if (likely && has_port(entry_of(likely), port))
		return likely;
	for (size_t i = 0; i < table->count; i++) {
		if (!has_port(table->entries[i], port))
			continue;
		if (found)
			return NULL;
		found = &table->entries[i]->service;
	}
	return found;
}

void service_table_add_port(struct service *service, uint16_t port)
{
	struct service_entry *entry = entry_of(service);

	service->served = true;
	if (has_port(entry, port))
		return;
	if (entry->port_count < PORTS_MAX)
		entry->ports[entry->port_count++] = port;
	if (port && (!service->lowest_port || port < service->lowest_port))
		service->lowest_port = port;
}

/* UUID v5 in the namespace that OpenTelemetry gives for service.instance.id. */
static void set_instance_id(struct service *service, const char *host_id)
{
	static const uuid_t namespace = {0x4d, 0x63, 0x00, 0x9a, 0x8d, 0x0f, 0x11, 0xee,
					 0xaa, 0xd7, 0x4c, 0x79, 0x6e, 0xd8, 0xe3, 0x20};
	char text[512];
	uuid_t id;
	int len = snprintf(text, sizeof(text), "%.200s\n%s\n%s", host_id ? host_id : "",
			   service->namespace, service->name);

	uuid_generate_sha1(id, namespace, text, (size_t)len);
	uuid_unparse_lower(id, service->instance_id);
}

static bool is_taken(const struct service_table *table, const struct service *service,
		     const char *name)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct service *other = &table->entries[i]->service;

		if (other != service && strcmp(other->name, name) == 0 &&
		    strcmp(other->namespace, service->namespace) == 0)
			return true;
	}
	return false;
}

/* base_name and suffix: "shop:8001", "shop:cron"; "shop:8001-2" where another has that very name.
 */
static void set_name(const struct service_table *table, struct service_entry *entry,
		     const char *suffix)
{
	struct service *service = &entry->service;
	char whole[sizeof(entry->program) + 16];

	for (unsigned int attempt = 1;; attempt++) {
		if (attempt > 1)
			snprintf(whole, sizeof(whole), "%s-%u", suffix, attempt);
		else
			snprintf(whole, sizeof(whole), "%s", suffix);
		snprintf(service->name, sizeof(service->name), "%.*s%s",
			 (int)utf8_prefix(entry->base_name,
					  sizeof(service->name) - 1 - strlen(whole)),
			 entry->base_name, whole);
		if (!is_taken(table, service, service->name))
			break;
	}
	set_instance_id(service, table->host_id);
}

static void set_name_by_port(const struct service_table *table, struct service_entry *entry,
			     uint16_t port)
{
	char suffix[8] = "";

	if (port)
		snprintf(suffix, sizeof(suffix), ":%u", port);
	set_name(table, entry, suffix);
}

static void set_name_by_program(const struct service_table *table, struct service_entry *entry)
{
	char suffix[sizeof(entry->program) + 1];

	snprintf(suffix, sizeof(suffix), ":%s", entry->program);
	set_name(table, entry, suffix);
}

/* The script without its extension, or the last part of the module. */
static void set_program(char word[static 64], const struct service_request *request)
{
	struct program program;
	const char *from, *end;

	program_of(&program, request->facts);
	from = program.script ? path_base(program.script) : program.module;
	end = strrchr(from, '.');
	if (!program.script && end)
		from = end + 1;
	utf8_name(word, 64, from,
		  program.script && end && end > from ? (size_t)(end - from) : strlen(from));
	if (!*word || strcmp(word, request->identity->name) == 0)
		strcpy(word, "client");
}

static bool is_named_plainly(const struct service_entry *entry)
{
	return strcmp(entry->base_name, entry->service.name) == 0;
}

/* Whether a process with this identity may be entry's: not when it was told apart, and the name
 * chosen. */
static bool is_candidate(const struct service_entry *entry, const struct service_identity *identity)
{
	return has_name(entry, identity) && (!identity->chosen || is_named_plainly(entry));
}

static struct service_entry *find_by_port(const struct service_table *table,
					  const struct service_identity *identity, uint16_t port)
{
	struct service_entry *found = NULL;

	for (size_t i = 0; i < table->count; i++) {
		struct service_entry *entry = table->entries[i];

		if (!is_candidate(entry, identity) || !has_port(entry, port))
			continue;
		if (entry->service.lowest_port == port)
			return entry;
		found = found ? found : entry;
	}
	return found;
}

static struct service_entry *find_chosen(const struct service_table *table,
					 const struct service_identity *identity)
{
	for (size_t i = 0; identity->chosen && i < table->count; i++) {
		if (table->entries[i]->chosen && has_name(table->entries[i], identity))
			return table->entries[i];
	}
	return NULL;
}

static struct service_entry *find_related(const struct service_table *table,
					  const struct service_request *request)
{
	for (size_t i = 0; i < table->count; i++) {
		struct service_entry *entry = table->entries[i];

		if (is_candidate(entry, request->identity) &&
		    request->related(request->context, &entry->service))
			return entry;
	}
	return NULL;
}

/* Another one of this name that serves. */
static bool has_serving_namesake(const struct service_table *table,
				 const struct service_entry *entry)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct service_entry *other = table->entries[i];

		if (other != entry && other->service.served &&
		    strcmp(other->base_name, entry->base_name) == 0 &&
		    strcmp(other->service.namespace, entry->service.namespace) == 0)
			return true;
	}
	return false;
}

/* Whether a process that now serves on another port stays what it was taken for: a client that had
 * not served yet, or the only one of that name, which had gone. */
static bool stays(const struct service_table *table, const struct service_request *request)
{
	const struct service_entry *previous;

	if (!request->previous)
		return false;
	previous = entry_of(request->previous);
	return has_name(previous, request->identity) &&
	       (!previous->service.served ||
		(previous->service.process_count == 0 && !has_serving_namesake(table, previous)));
}

static struct service_entry *find_serving(const struct service_table *table,
					  const struct service_request *request)
{
	const struct service_identity *identity = request->identity;
	struct service_entry *entry = find_chosen(table, identity);

	if (!entry)
		entry = find_by_port(table, identity, request->port);
	if (!entry)
		entry = find_related(table, request);
	if (entry)
		return entry;
	if (stays(table, request))
		return entry_of(request->previous);
	/* Gone without ever having had a port: it has come back, now with one. */
	for (size_t i = 0; i < table->count; i++) {
		entry = table->entries[i];
		if (is_candidate(entry, identity) && entry->service.process_count == 0 &&
		    entry->service.served && entry->service.lowest_port == 0)
			return entry;
	}
	return NULL;
}

static struct service_entry *find_plain(const struct service_table *table,
					const struct service_identity *identity)
{
	for (size_t i = 0; i < table->count; i++) {
		if (has_name(table->entries[i], identity) && is_named_plainly(table->entries[i]))
			return table->entries[i];
	}
	return NULL;
}

static struct service_entry *find_client(const struct service_table *table,
					 const struct service_request *request)
{
	const struct service_identity *identity = request->identity;
	struct service_entry *entry = find_chosen(table, identity);
	char program[sizeof(entry->program)];

	if (!entry && identity->chosen)
		entry = find_plain(table, identity);
	if (!entry)
		entry = find_related(table, request);
	if (entry)
		return entry;
	set_program(program, request);
	for (size_t i = 0; i < table->count; i++) {
		entry = table->entries[i];
		if (is_candidate(entry, identity) && !entry->service.served &&
		    strcmp(entry->program, program) == 0)
			return entry;
	}
	return NULL;
}

static bool is_full(const struct service_table *table, bool client)
{
	size_t client_count = 0;

	if (table->count == table->max_count)
		return true;
	for (size_t i = 0; client && i < table->count; i++)
		client_count += !table->entries[i]->service.served;
	return client && client_count >= table->max_clients;
}

static bool make_room(struct service_table *table)
{
	size_t capacity = table->capacity ? 2 * table->capacity : 16;
	struct service_entry **entries;

	if (table->count < table->capacity)
		return true;
	entries = realloc(table->entries, capacity * sizeof(struct service_entry *));
	if (!entries)
		return false;
	table->entries = entries;
	table->capacity = capacity;
	return true;
}

static struct service_entry *create(struct service_table *table,
				    const struct service_request *request)
{
	const struct service_identity *identity = request->identity;
	struct service_entry *entry;

	if (is_full(table, request->client) || !make_room(table))
		return NULL;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	/* Patterns are for the name that the user knows: without a port. */
	if (addresses_open(&entry->service.addresses, ADDRESSES_MAX) ||
	    routes_open(&entry->service.routes, table->patterns, identity->name,
			table->max_routes)) {
		addresses_close(entry->service.addresses);
		free(entry);
		return NULL;
	}
	strcpy(entry->base_name, identity->name);
	strcpy(entry->service.namespace, identity->namespace);
	strcpy(entry->service.container_id, request->facts->container_id);
	entry->service.runtime = request->facts->runtime;
	entry->service.found_ns = request->now_ns;
	entry->service.id = table->next_id++;
	entry->chosen = identity->chosen;
	set_program(entry->program, request);
	entry->index = table->count;
	return entry;
}

static struct service_entry *add(struct service_table *table, const struct service_request *request)
{
	struct service_entry *entry = create(table, request);

	if (entry)
		table->entries[table->count++] = entry;
	return entry;
}

/* One that begins to serve, new or not. Who has the plain name gives it up: to its port, if it was
 * not chosen, or to what it runs, if it never served. */
static void name_serving(struct service_table *table, struct service_entry *entry,
			 const struct service_request *request)
{
	struct service_entry *plain = find_plain(table, request->identity);
	bool told_apart = !entry->chosen && has_serving_namesake(table, entry);

	if (plain && plain != entry) {
		if (plain->chosen)
			told_apart = true;
		else if (!plain->service.served)
			set_name_by_program(table, plain);
		else if (plain->service.lowest_port)
			set_name_by_port(table, plain, plain->service.lowest_port);
	}
	set_name_by_port(table, entry, told_apart ? request->port : 0);
}

/* Whether nothing could tell the process from who has its name. */
static bool is_same(const struct service_entry *plain, const struct service_request *request)
{
	if (!plain->service.served)
		return plain->chosen;
	return (plain->chosen || !plain->service.lowest_port) &&
	       (request->identity->chosen || request->port == 0);
}

static struct service_entry *get_serving(struct service_table *table,
					 const struct service_request *request)
{
	struct service_entry *entry = find_serving(table, request), *plain;

	plain = entry ? NULL : find_plain(table, request->identity);
	if (plain && is_same(plain, request))
		entry = plain;
	if (!entry)
		entry = add(table, request);
	if (!entry)
		return NULL;
	entry->chosen |= request->identity->chosen;
	if (!entry->service.served)
		name_serving(table, entry, request);
	service_table_add_port(&entry->service, request->port);
	return entry;
}

static struct service_entry *get_client(struct service_table *table,
					const struct service_request *request)
{
	struct service_entry *entry = find_client(table, request), *plain;
	bool is_alone = true;

	if (entry)
		return entry;
	for (size_t i = 0; i < table->count; i++)
		is_alone &= !has_name(table->entries[i], request->identity);
	plain = find_plain(table, request->identity);
	entry = add(table, request);
	if (!entry)
		return NULL;
	if (plain && !plain->chosen && !plain->service.served)
		set_name_by_program(table, plain);
	if (is_alone || entry->chosen)
		set_name(table, entry, "");
	else
		set_name_by_program(table, entry);
	return entry;
}

struct service *service_table_get(struct service_table *table,
				  const struct service_request *request)
{
	struct service_entry *entry =
		request->client ? get_client(table, request) : get_serving(table, request);

	return entry ? &entry->service : NULL;
}

void service_table_set_command(struct service *service, struct packed_facts *facts)
{
	struct service_entry *entry = entry_of(service);
	struct packed_facts *before = entry->command;

	entry->command = packed_facts_share(facts);
	packed_facts_drop(before);
}

/* Whether the process is named as the service, on that port; *chosen: somebody named it so. */
static bool is_named_as(const struct service_table *table, const struct service_entry *entry,
			const struct process_facts *facts, uint16_t port, bool *chosen)
{
	struct service_identity identity;

	service_name_of(&identity, facts, port, table->matches, table->match_count);
	*chosen = identity.chosen;
	return has_name(entry, &identity);
}

struct service *service_table_restarted(const struct service_table *table,
					const struct process_facts *facts,
					struct process_facts *scratch)
{
	struct service_entry *found = NULL;
	size_t found_count = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct service_entry *entry = table->entries[i];
		bool chosen;

		if (!entry->command || (!entry->chosen && entry->service.process_count))
			continue;
		packed_facts_unpack(scratch, entry->command);
		if (!process_facts_same_arguments(scratch, facts) ||
		    strcmp(scratch->cwd, facts->cwd) != 0)
			continue;
		if (entry->chosen && is_named_as(table, entry, facts, 0, &chosen) && chosen)
			return &entry->service;
		/* A --service match may be by port, and may so be another's name. */
		if (!entry->service.process_count &&
		    is_named_as(table, entry, facts, entry->service.lowest_port, &chosen)) {
			found = entry;
			found_count++;
		}
	}
	return found_count == 1 ? &found->service : NULL;
}

struct service *service_table_next(const struct service_table *table,
				   const struct service *previous)
{
	size_t next = previous ? ((const struct service_entry *)previous)->index + 1 : 0;

	return next < table->count ? &table->entries[next]->service : NULL;
}

void service_table_remove(struct service_table *table, struct service *service)
{
	struct service_entry *entry = entry_of(service);

	table->count--;
	for (size_t i = entry->index; i < table->count; i++) {
		table->entries[i] = table->entries[i + 1];
		table->entries[i]->index = i;
	}
	routes_close(service->routes);
	addresses_close(service->addresses);
	packed_facts_drop(entry->command);
	free(entry);
}

void service_table_free(struct service_table *table)
{
	while (table->count)
		service_table_remove(table, &table->entries[table->count - 1]->service);
	free(table->entries);
	table->entries = NULL;
}
