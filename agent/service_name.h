/* SPDX-License-Identifier: Apache-2.0 */
/* service_name - the name of the service a process belongs to, a pure function of its facts.
 *
 * The first that exists: a --service match; OTEL_SERVICE_NAME; service.name in
 * OTEL_RESOURCE_ATTRIBUTES (values percent-decoded, OpenTelemetry SDK specification); Kubernetes
 * workload or container name; systemd unit (of an application, not of a login session, a
 * container engine or a process manager); for Node.js the package name; for Python the first
 * part of the application's module unless it is a generic word; the name of the working
 * directory or the script's folder. Where that folder's name is generic too (src, dist, a
 * release's number, /usr/src/app) its parents are asked, then the script's own name; "app" is
 * left when there is nothing else. Never a container id, a pod's name or a hash. */
#ifndef BITTERN_SERVICE_NAME_H
#define BITTERN_SERVICE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process_facts.h"

enum service_match_kind {
	SERVICE_MATCH_PORT,
	SERVICE_MATCH_UNIT,
	SERVICE_MATCH_CONTAINER,
	SERVICE_MATCH_COMMAND
};

struct service_match {
	char name[128];
	enum service_match_kind kind;
	uint16_t port;
	/* unit (shop.service, shop@1, shop), container or Compose service, or glob over the
	 * space-joined command line */
	char pattern[256];
};

/* Reads "NAME=port:N", "NAME=unit:NAME", "NAME=container:NAME" or "NAME=cmd:GLOB". 0 or -EINVAL. */
int service_match_parse(struct service_match *match, const char *text);

struct service_identity {
	char name[128]; /* valid UTF-8, never empty */
	char namespace[128]; /* service.namespace, else the Kubernetes namespace, else "" */
	/* Named by somebody (configuration, OTEL_*, Kubernetes, container): two processes of this
	 * name are one service whatever their ports. */
	bool chosen;
};

void service_name_of(struct service_identity *identity, const struct process_facts *facts,
		     uint16_t port, const struct service_match *matches, size_t match_count);
/* Whether both run the same application, as a master and its workers do: the same module, or
 * scripts of the same base name (Node.js gives its cluster workers the absolute path); without
 * either (python -c) the same arguments. */
bool service_name_same_program(const struct process_facts *a, const struct process_facts *b);

#endif
