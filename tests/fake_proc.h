/* SPDX-License-Identifier: Apache-2.0 */
/* fake_proc - a /proc of our own making, and the root file system its processes see. */
#ifndef BITTERN_FAKE_PROC_H
#define BITTERN_FAKE_PROC_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fake_proc {
	char top[64]; /* holds proc and root */
	char proc[96], root[96];
};

struct fake_process {
	const char *exe, *arguments; /* arguments are separated by '|' */
	const char *cwd; /* as the process sees it */
	const char *environment; /* separated by '|' */
	const char *cgroup; /* lines; NULL: none */
	int parent;
};

static inline void fake_write(const char *path, const char *text, size_t len)
{
	FILE *file = fopen(path, "w");

	if (!file || fwrite(text, 1, len, file) != len || fclose(file) != 0)
		abort();
}

/* With all its folders. */
static inline void fake_file(const struct fake_proc *fake, const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", fake->root, path);
	for (char *slash = full + strlen(fake->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(full, 0755) && errno != EEXIST)
			abort();
		*slash = '/';
	}
	if (text)
		fake_write(full, text, strlen(text));
}

static inline int fake_unlink(const char *path, const struct stat *status, int kind,
			      struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

static inline void fake_remove(const char *path)
{
	nftw(path, fake_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fake_gone(const struct fake_proc *fake, int pid)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%d", fake->proc, pid);
	fake_remove(path);
}

static inline void fake_separated(const char *directory, const char *name, const char *text)
{
	char path[640];
	char *copy = strdup(text ? text : "");
	size_t len = strlen(copy);

	for (size_t i = 0; i < len; i++)
		copy[i] = copy[i] == '|' ? '\0' : copy[i];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fake_write(path, copy, text && *text ? len + 1 : 0);
	free(copy);
}

static inline void fake_link(const char *directory, const char *name, const char *target)
{
	char path[640];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
	if (symlink(target, path))
		abort();
}

/* Makes the process, or another of the same pid. */
static inline void fake_process(const struct fake_proc *fake, int pid,
				const struct fake_process *process)
{
	char directory[160], text[512];

	snprintf(directory, sizeof(directory), "%s/%d", fake->proc, pid);
	if (mkdir(directory, 0755) && errno != EEXIST)
		abort();
	if (process->exe)
		fake_link(directory, "exe", process->exe);
	fake_link(directory, "root", fake->root);
	snprintf(text, sizeof(text), "%s%s", fake->root, process->cwd ? process->cwd : "");
	fake_link(directory, "cwd", text);
	fake_separated(directory, "cmdline", process->arguments);
	fake_separated(directory, "environ", process->environment);
	snprintf(text, sizeof(text), "Name:\tpython\nState:\tS (sleeping)\nPPid:\t%d\n",
		 process->parent);
	fake_separated(directory, "status", text);
	if (process->cgroup)
		fake_separated(directory, "cgroup", process->cgroup);
}

static inline void fake_open(struct fake_proc *fake)
{
	strcpy(fake->top, "/tmp/bittern-proc-XXXXXX");
	if (!mkdtemp(fake->top))
		abort();
	snprintf(fake->proc, sizeof(fake->proc), "%s/proc", fake->top);
	snprintf(fake->root, sizeof(fake->root), "%s/root", fake->top);
	if (mkdir(fake->proc, 0755) || mkdir(fake->root, 0755))
		abort();
	/* init: its root is the host's. */
	fake_process(fake, 1, &(struct fake_process){.exe = "/sbin/init", .arguments = "init"});
}

static inline void fake_close(struct fake_proc *fake)
{
	fake_remove(fake->top);
}

#endif
