// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void host_read(struct host *host)
{
	FILE *file = fopen("/etc/machine-id", "re");

	memset(host, 0, sizeof(*host));
	if (gethostname(host->name, sizeof(host->name) - 1))
		host->name[0] = '\0';
	if (!file)
		return;
	if (!fgets(host->id, sizeof(host->id), file))
		host->id[0] = '\0';
	host->id[strcspn(host->id, "\r\n")] = '\0';
	fclose(file);
}
