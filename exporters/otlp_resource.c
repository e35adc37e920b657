// SPDX-License-Identifier: Apache-2.0
#include "otlp_resource.h"

#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#define SERVICE_PREFIX "service."

/* What is given comes first, and what is there already is not added again. */
static void add(struct otlp_builder *b, const char *key, const char *value)
{
	for (size_t i = 0; i < b->attributes.count; i++) {
		if (!strcmp(b->attributes.pairs[i].key, key))
			return;
	}
	otlp_string(&b->resource_strings, &b->attributes, key, value);
}

static void add_given(struct otlp_builder *b, const struct otlp_encoding *config, bool own)
{
	for (size_t i = 0; i < config->attribute_count; i++) {
		const struct otlp_attribute *a = &config->attributes[i];

		if (own || strncmp(a->key, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) != 0)
			add(b, a->key, a->value);
	}
}

/* UUID v5 in the namespace that OpenTelemetry gives for service.instance.id: the same for each run
 * on a host. */
static void add_instance_id(struct otlp_builder *b, const char *host_id)
{
	static const uuid_t namespace = {0x4d, 0x63, 0x00, 0x9a, 0x8d, 0x0f, 0x11, 0xee,
					 0xaa, 0xd7, 0x4c, 0x79, 0x6e, 0xd8, 0xe3, 0x20};
	char *text = arena_get(&b->resource_strings, UUID_STR_LEN);
	char from[256];
	uuid_t id;
	int len = snprintf(from, sizeof(from), "%.200s\n\nbittern", host_id);

	if (!text)
		return;
	uuid_generate_sha1(id, namespace, from, (size_t)len);
	uuid_unparse_lower(id, text);
	add(b, "service.instance.id", text);
}

static void add_service(struct otlp_builder *b, const struct service *service)
{
	const char *runtime =
		service->runtime == RUNTIME_OTHER ? NULL : runtime_name(service->runtime);

	add(b, "service.name", service->name);
	add(b, "service.namespace", service->namespace);
	add(b, "service.instance.id", service->instance_id);
	add(b, "process.runtime.name", runtime);
	add(b, "container.id", service->container_id);
	add(b, "telemetry.sdk.language", runtime);
}

void otlp_resource(struct otlp_builder *b, const struct otlp_encoding *config,
		   const struct snapshot *snapshot, const struct service *service)
{
	otlp_builder_resource(b);
	add_given(b, config, !service);
	if (service) {
		add_service(b, service);
	} else {
		add(b, "service.name", "bittern");
		add(b, "service.version", snapshot->version);
		add_instance_id(b, snapshot->host_id);
	}
	add(b, "host.name", snapshot->host_name);
	add(b, "host.id", snapshot->host_id);
	add(b, "os.type", "linux");
	add(b, "telemetry.sdk.language", "c");
	add(b, "telemetry.sdk.name", "bittern");
	add(b, "telemetry.sdk.version", snapshot->version);
}
