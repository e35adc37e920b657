/* SPDX-License-Identifier: Apache-2.0 */
/* container - the container a process runs in and what its engine calls it.
 *
 * Looks the names up where Docker, Podman, CRI-O and containerd (also under Kubernetes and
 * nerdctl) keep them on the host. Where these files are out of reach everything stays "". No
 * state. */
#ifndef BITTERN_CONTAINER_H
#define BITTERN_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

struct container {
	char name[128];
	char service[128]; /* of Compose or Swarm: the same for all replicas */
	char pod_name[128];
	char pod_namespace[128];
};

#define CONTAINER_ID_LEN 64

/* The last container id (64 hex digits) in a cgroup path; false: none, id is "". */
bool container_id_of(char id[static CONTAINER_ID_LEN + 1], const char *cgroup_path);
/* host_root is a directory descriptor of the host's root directory. Sets every field. */
void container_read(struct container *container, int host_root, const char *id);

#endif
