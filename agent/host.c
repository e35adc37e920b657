// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "process_facts.h"
#include "untrusted_file.h"
#include "utf8.h"

#define FILE_MAX_BYTES 4096

/* The first line of the file below root that is no comment, which hostname(5) allows. */
static void read_line(char *to, size_t size, int root, const char *path)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	size_t len;

	if (root < 0 || untrusted_file_read(&text, &len, root, path, FILE_MAX_BYTES))
		return;
	rest = text;
	while (!to[0] && (line = strsep(&rest, "\r\n"))) {
		if (line[0] != '#')
			utf8_name(to, size, line, strlen(line));
	}
}

/* Whether this process has a name of its own: that of a container. A systemd unit with
 * ProtectHostname= is in a UTS namespace of its own as well, but has the host's root and name. */
static bool is_container(const char *proc_path, int host_root)
{
	struct stat hosts, own;

	return host_root >= 0 && fstat(host_root, &hosts) == 0 && stat("/", &own) == 0 &&
	       (hosts.st_dev != own.st_dev || hosts.st_ino != own.st_ino) &&
	       !process_has_host_name(proc_path, getpid());
}

void host_read(struct host *host, const char *proc_path)
{
	cleanup_close int own_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int host_root = -1;
	char path[512];

	memset(host, 0, sizeof(*host));
	snprintf(path, sizeof(path), "%s/%d/root", proc_path, (int)process_of_host(proc_path));
	host_root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (is_container(proc_path, host_root))
		read_line(host->name, sizeof(host->name), host_root, "/etc/hostname");
	if (!host->name[0] && gethostname(host->name, sizeof(host->name) - 1))
		host->name[0] = '\0';
	read_line(host->id, sizeof(host->id), host_root, "/etc/machine-id");
	if (!host->id[0])
		read_line(host->id, sizeof(host->id), own_root, "/etc/machine-id");
}
