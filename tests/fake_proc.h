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

/* The UTS namespace that a process is in, which fake_process() leaves as it is. */
static inline void fake_uts(const struct fake_proc *fake, int pid, const char *namespace)
{
	char directory[160];

	snprintf(directory, sizeof(directory), "%s/%d", fake->proc, pid);
	mkdir(directory, 0755);
	strcat(directory, "/ns");
	mkdir(directory, 0755);
	fake_link(directory, "uts", namespace);
}

/* What a process has used and holds. */
struct fake_usage {
	unsigned user_ticks, system_ticks, minor_faults, major_faults;
	unsigned virtual_pages, resident_pages;
	unsigned descriptors;
	unsigned begin_ticks;
	char state; /* 0: 'S' */
	/* Of each thread; those past thread_count are none. At least one. */
	unsigned thread_count;
	struct {
		unsigned voluntary, involuntary;
	} threads[300];
};

static inline void fake_switches(const char *directory, unsigned voluntary, unsigned involuntary)
{
	char path[400], text[256];

	snprintf(path, sizeof(path), "%s/status", directory);
	snprintf(text, sizeof(text),
		 "Name:\tpython\nState:\tS (sleeping)\nPPid:\t1\nvoluntary_ctxt_switches:\t%u\n"
		 "nonvoluntary_ctxt_switches:\t%u\n",
		 voluntary, involuntary);
	fake_write(path, text, strlen(text));
}

/* Adds it to a process, or takes the place of what it had. */
static inline void fake_used(const struct fake_proc *fake, int pid, const struct fake_usage *u)
{
	char directory[160], path[320], text[512];

	snprintf(directory, sizeof(directory), "%s/%d", fake->proc, pid);
	snprintf(path, sizeof(path), "%s/stat", directory);
	snprintf(text, sizeof(text),
		 "%d (a) R 1 (b) %c 1 %d %d 0 -1 4194304 %u 999 %u 999 %u %u 999 999 20 -5 %u 0 %u "
		 "%u %u 18446744073709551615 1 1 0 0 0 0 0 16781312 17642\n",
		 pid, u->state ? u->state : 'S', pid, pid, u->minor_faults, u->major_faults,
		 u->user_ticks, u->system_ticks, u->thread_count, u->begin_ticks, 4096 * 7, 7);
	fake_write(path, text, strlen(text));
	snprintf(path, sizeof(path), "%s/statm", directory);
	snprintf(text, sizeof(text), "%u %u 5 1 0 9 0\n", u->virtual_pages, u->resident_pages);
	fake_write(path, text, strlen(text));
	fake_switches(directory, u->threads[0].voluntary, u->threads[0].involuntary);
	snprintf(path, sizeof(path), "%s/task", directory);
	fake_remove(path);
	mkdir(path, 0755);
	for (unsigned i = 0; i < u->thread_count; i++) {
		snprintf(path, sizeof(path), "%s/task/%u", directory, pid + i);
		mkdir(path, 0755);
		fake_switches(path, u->threads[i].voluntary, u->threads[i].involuntary);
	}
	snprintf(path, sizeof(path), "%s/fd", directory);
	fake_remove(path);
	mkdir(path, 0755);
	for (unsigned i = 0; i < u->descriptors; i++) {
		snprintf(text, sizeof(text), "%u", i);
		fake_link(path, text, "/dev/null");
	}
}

/* In place of a file a directory: it cannot be read, not even by root. */
static inline void fake_unreadable(const struct fake_proc *fake, int pid, const char *name)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/%d/%s", fake->proc, pid, name);
	fake_remove(path);
	mkdir(path, 0755);
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

/* For tests whose state is a struct fake_proc and nothing else. */
static inline int fake_set_up(void **state)
{
	struct fake_proc *fake = malloc(sizeof(*fake));

	fake_open(fake);
	*state = fake;
	return 0;
}

static inline int fake_tear_down(void **state)
{
	fake_close(*state);
	free(*state);
	return 0;
}

#endif
