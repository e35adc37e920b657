/* SPDX-License-Identifier: Apache-2.0 */
/* host - what identifies this machine: host.name and host.id of the OpenTelemetry conventions.
 *
 * Both are the host's also when bittern runs in a container that shows it the host's processes:
 * /etc of init's root tells them then. */
#ifndef BITTERN_HOST_H
#define BITTERN_HOST_H

struct host {
	char name[256]; /* "" when not known */
	char id[64]; /* /etc/machine-id; "" when not known */
};

void host_read(struct host *host, const char *proc_path);

#endif
