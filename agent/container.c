// SPDX-License-Identifier: Apache-2.0
#include "container.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "untrusted_file.h"
#include "utf8.h"

#define CONFIG_MAX_BYTES (1024 * 1024)
#define LIST_MAX_BYTES (8 * 1024 * 1024) /* Podman's list of all containers */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool container_id_of(char id[static CONTAINER_ID_LEN + 1], const char *cgroup_path)
{
	static const char monitor[] = "conmon-"; /* Podman's own process beside the container */
	const size_t monitor_len = sizeof(monitor) - 1;
	bool found = false;

	id[0] = '\0';
	for (const char *at = cgroup_path; *at;) {
		size_t len = 0;

		while (is_hex(at[len]))
			len++;
		/* docker-ID.scope, /docker/ID, slice:cri-containerd:ID */
		if (len == CONTAINER_ID_LEN && (at == cgroup_path || strchr("/-:", at[-1])) &&
		    strchr("./:", at[len]) &&
		    !((size_t)(at - cgroup_path) >= monitor_len &&
		      memcmp(at - monitor_len, monitor, monitor_len) == 0)) {
			memcpy(id, at, len);
			id[len] = '\0';
			found = true;
		}
		at += len ? len : 1;
	}
	return found;
}

static void copy_string(char *to, size_t size, const json_t *value)
{
	const char *text = json_string_value(value);

	if (!text || to[0])
		return;
	while (*text == '/') /* Docker's names */
		text++;
	utf8_name(to, size, text, strlen(text));
}

/* Labels and annotations: the same words in each engine. */
static void read_labels(struct container *c, const json_t *labels)
{
	static const char *const services[] = {"com.docker.compose.service",
					       "com.docker.swarm.service.name",
					       "io.podman.compose.service"};
	static const char *const names[] = {"io.kubernetes.cri.container-name",
					    "io.kubernetes.container.name", "nerdctl/name"};
	static const char *const pods[] = {"io.kubernetes.cri.sandbox-name",
					   "io.kubernetes.pod.name"};
	static const char *const namespaces[] = {"io.kubernetes.cri.sandbox-namespace",
						 "io.kubernetes.pod.namespace"};

	for (size_t i = 0; i < 3; i++) {
		copy_string(c->service, sizeof(c->service), json_object_get(labels, services[i]));
		copy_string(c->name, sizeof(c->name), json_object_get(labels, names[i]));
	}
	for (size_t i = 0; i < 2; i++) {
		copy_string(c->pod_name, sizeof(c->pod_name), json_object_get(labels, pods[i]));
		copy_string(c->pod_namespace, sizeof(c->pod_namespace),
			    json_object_get(labels, namespaces[i]));
	}
}

static json_t *load(int host_root, const char *path, size_t max_bytes)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (untrusted_file_read(&text, &len, host_root, path, max_bytes))
		return NULL;
	return json_loadb(text, len, 0, NULL);
}

/* Docker: everything in one file. */
static bool read_docker(struct container *c, int host_root, const char *id)
{
	char path[256];
	json_auto_t *config = NULL;

	snprintf(path, sizeof(path), "/var/lib/docker/containers/%s/config.v2.json", id);
	config = load(host_root, path, CONFIG_MAX_BYTES);
	read_labels(c, json_object_get(json_object_get(config, "Config"), "Labels"));
	copy_string(c->name, sizeof(c->name), json_object_get(config, "Name"));
	return config;
}

/* containerd and CRI-O write the annotations into the bundle that runc gets. */
static bool read_bundle(struct container *c, int host_root, const char *id)
{
	static const char *const bundles[] = {
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
		"/run/containerd/io.containerd.runtime.v2.task/default/%s/config.json",
		"/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
		"/run/k0s/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
		("/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io/"
		 "%s/config.json"),
		"/run/containers/storage/overlay-containers/%s/userdata/config.json",
	};

	for (size_t i = 0; i < sizeof(bundles) / sizeof(*bundles); i++) {
		char path[256];
		json_auto_t *bundle = NULL;
		int head = (int)(strchr(bundles[i], '%') - bundles[i]);

		snprintf(path, sizeof(path), "%.*s%s%s", head, bundles[i], id,
			 bundles[i] + head + 2);
		bundle = load(host_root, path, CONFIG_MAX_BYTES);
		read_labels(c, json_object_get(bundle, "annotations"));
		if (c->name[0] || c->pod_name[0])
			return true;
	}
	return false;
}

static void read_podman(struct container *c, int host_root, const char *id)
{
	json_auto_t *list =
		load(host_root, "/var/lib/containers/storage/overlay-containers/containers.json",
		     LIST_MAX_BYTES);
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *entry_id = json_string_value(json_object_get(entry, "id"));

		if (!entry_id || strcmp(entry_id, id) != 0)
			continue;
		copy_string(c->name, sizeof(c->name),
			    json_array_get(json_object_get(entry, "names"), 0));
		return;
	}
}

void container_read(struct container *container, int host_root, const char *id)
{
	memset(container, 0, sizeof(*container));
	if (!read_docker(container, host_root, id) && !read_bundle(container, host_root, id))
		read_podman(container, host_root, id);
}
