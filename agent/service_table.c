// SPDX-License-Identifier: Apache-2.0
#include "service_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "utf8.h"

/* A service that serves on more ports than this is not recognised by the others. */
#define PORTS_MAX 32

struct service_entry {
	struct service service;
	char base_name[128]; /* name without the port */
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

void service_table_add_port(struct service *service, uint16_t port)
{
	struct service_entry *entry = entry_of(service);

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

/* base_name, or with a port other than 0 "shop:8001"; "shop:8001-2" where another has that very
 * name. */
static void set_name(const struct service_table *table, struct service_entry *entry, uint16_t port)
{
	struct service *service = &entry->service;
	char suffix[24] = "";

	for (unsigned int attempt = 1;; attempt++) {
		int len = port ? snprintf(suffix, sizeof(suffix), ":%u", port) : 0;

		if (attempt > 1)
			snprintf(suffix + len, sizeof(suffix) - (size_t)len, "-%u", attempt);
		snprintf(service->name, sizeof(service->name), "%.*s%s",
			 (int)utf8_prefix(entry->base_name,
					  sizeof(service->name) - 1 - strlen(suffix)),
			 entry->base_name, suffix);
		if (!is_taken(table, service, service->name))
			break;
	}
	set_instance_id(service, table->host_id);
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

static struct service_entry *find_existing(const struct service_table *table,
					   const struct service_request *request)
{
	const struct service_identity *identity = request->identity;
	struct service_entry *entry;

	for (size_t i = 0; identity->chosen && i < table->count; i++) {
		if (table->entries[i]->chosen && has_name(table->entries[i], identity))
			return table->entries[i];
	}
	entry = find_by_port(table, identity, request->port);
	if (entry)
		return entry;
	for (size_t i = 0; i < table->count; i++) {
		entry = table->entries[i];
		if (is_candidate(entry, identity) &&
		    request->related(request->context, &entry->service))
			return entry;
	}
	/* Gone without ever having had a port: it has come back, now with one. */
	for (size_t i = 0; i < table->count; i++) {
		entry = table->entries[i];
		if (is_candidate(entry, identity) && entry->service.process_count == 0 &&
		    entry->service.lowest_port == 0)
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

static bool has_namesake(const struct service_table *table, const struct service_identity *identity)
{
	for (size_t i = 0; i < table->count; i++) {
		if (has_name(table->entries[i], identity))
			return true;
	}
	return false;
}

static bool make_room(struct service_table *table)
{
	size_t capacity = table->capacity ? 2 * table->capacity : 16;
	struct service_entry **entries;

	if (table->count == table->max_count)
		return false;
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
	struct service_entry *entry = make_room(table) ? calloc(1, sizeof(*entry)) : NULL;

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
	entry->service.id = table->next_id++;
	entry->chosen = identity->chosen;
	entry->index = table->count;
	return entry;
}

struct service *service_table_get(struct service_table *table,
				  const struct service_request *request)
{
	const struct service_identity *identity = request->identity;
	struct service_entry *entry = find_existing(table, request), *plain;
	bool told_apart;

	/* Who has the plain name gives it up for one with its port, if it was not chosen and has
	 * a port. */
	plain = entry ? NULL : find_plain(table, identity);
	if (plain && (plain->chosen || !plain->service.lowest_port) &&
	    (identity->chosen || request->port == 0))
		entry = plain; /* nothing could tell the two apart */
	if (entry) {
		entry->chosen |= identity->chosen;
		service_table_add_port(&entry->service, request->port);
		return &entry->service;
	}
	told_apart = !identity->chosen && has_namesake(table, identity);
	entry = create(table, request);
	if (!entry)
		return NULL;
	if (plain && !plain->chosen && plain->service.lowest_port)
		set_name(table, plain, plain->service.lowest_port);
	set_name(table, entry, told_apart ? request->port : 0);
	table->entries[table->count++] = entry;
	service_table_add_port(&entry->service, request->port);
	return &entry->service;
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
	free(entry);
}

void service_table_free(struct service_table *table)
{
	while (table->count)
		service_table_remove(table, &table->entries[table->count - 1]->service);
	free(table->entries);
	table->entries = NULL;
}
