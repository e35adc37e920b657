// SPDX-License-Identifier: Apache-2.0
/* Three tables. A process has the inodes that it maps. An inode is what the kernel calls a mapped
 * file, by device and number; it may have a file with probes, or none. A file has several inodes
 * when containers share it: their overlays show each an inode of its own, while the kernel puts
 * probes on the one below, where two would be hit twice.
 *
 * What changes is counted anew from the processes, never up and down: nothing can get lost. */
#include "tls_libraries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "mapped_file.h"
#include "new_mappings.h"
#include "pool.h"
#include "tls_own.h"

#define BUCKETS 1024 /* of processes; a power of two */
#define INODES_PER_PROCESS 12
#define INODES_MAX 4096
/* Of /proc/PID/maps, 0.5 to 1 ms each, in one run: of new processes, and after lost news. */
#define READS_MAX 64
#define READS_AGAIN_MAX 8

struct file {
	struct file *next;
	int fd; /* for groups that are asked for later; keeps its inode's number from others */
	pid_t pid; /* the process that it was found in, and its path there: for log lines */
	char path[128];
	struct tls_places places;
	struct uprobe *probes[TLS_PROBES_MAX];
	bool failed[TLS_PROBES_MAX]; /* is not tried again */
	bool refused; /* which was told */
	/* counted anew */
	size_t process_count;
	size_t without_caller; /* of those, with no TLS_FILE_CALLER */
	size_t own_count; /* of those, that ask for probes of their own */
	unsigned groups; /* for all */
	uint64_t idle_ns; /* since when nobody maps it; 0: somebody does */
};

struct inode {
	struct inode *next;
	uint32_t major, minor;
	uint64_t number;
	struct file *file; /* NULL: nothing to probe in it */
	size_t process_count; /* counted anew */
};

struct process {
	struct process *next;
	pid_t pid;
	unsigned groups;
	bool unread; /* its maps are to be read ... */
	bool stale; /* ... and again, when there is time */
	bool is_own; /* counted anew: it has probes of its own */
	bool own_refused; /* the kernel did not want it */
	struct tls_own *own;
	size_t inode_count;
	struct inode *inodes[INODES_PER_PROCESS];
};

struct tls_libraries {
	struct tls_libraries_config config;
	struct uprobes *uprobes;
	struct tls_own_config own;
	struct new_mappings *mappings; /* NULL: no privilege */
	struct pool process_pool, inode_pool;
	struct process *processes[BUCKETS];
	struct inode *inodes;
	struct file *files;
	size_t file_count;
	size_t unread_count, stale_count; /* at most so many */
	size_t reads_left; /* in this run */
	bool changed;
	struct tls_libraries_stats stats;
};

static struct process **bucket_of(struct tls_libraries *t, pid_t pid)
{
	return &t->processes[(uint32_t)pid % BUCKETS];
}

static struct process *find_process(const struct tls_libraries *t, pid_t pid)
{
	struct process *p = t->processes[(uint32_t)pid % BUCKETS];

	while (p && p->pid != pid)
		p = p->next;
	return p;
}

/* --- files --- */

static void free_file(struct tls_libraries *t, struct file *file)
{
	log_debug("tls: %s: no process left, probes removed", file->path);
	for (size_t i = 0; i < t->config.probe_count; i++)
		uprobes_detach(t->uprobes, file->probes[i]);
	close(file->fd);
	free(file);
	t->file_count--;
}

static void refuse(struct tls_libraries *t, const char *path, pid_t pid, int error)
{
	t->stats.refused_files++;
	log_warning("%s (process %d) cannot be probed: %s; HTTPS by it is not seen", path, pid,
		    error == -ENOENT ? "it does not tell where OpenSSL's functions are"
				     : strerror(-error));
}

static struct file *find_file(const struct tls_libraries *t, int fd)
{
	struct file *file = t->files;

	while (file && !mapped_file_is_same(file->fd, fd))
		file = file->next;
	return file;
}

/* A file with places for probes that is open as fd, which it takes over; NULL: nothing to probe. */
static struct file *add_file(struct tls_libraries *t, int fd, const struct new_mapping *mapping)
{
	struct file *file = find_file(t, fd);
	struct stat status = {0};
	int error;

	if (file) {
		close(fd);
		return file;
	}
	file = calloc(1, sizeof(*file));
	error = !file ? -ENOMEM
		      : tls_places_find(&file->places, fd, mapping->path, t->config.probes,
					t->config.probe_count);
	if (!error && t->file_count == TLS_FILES_MAX)
		error = -ENOSPC;
	if (error) {
		if (error != -ENOENT ||
		    (!fstat(fd, &status) &&
		     tls_places_should_be_in(mapping->path, (uint64_t)status.st_size)))
			refuse(t, mapping->path, mapping->pid, error);
		free(file);
		close(fd);
		return NULL;
	}
	file->fd = fd;
	file->pid = mapping->pid;
	snprintf(file->path, sizeof(file->path), "%s", mapping->path);
	file->next = t->files;
	t->files = file;
	t->file_count++;
	return file;
}

static struct inode *find_inode(struct tls_libraries *t, const struct new_mapping *mapping)
{
	struct inode *inode = t->inodes;
	int fd;

	for (; inode; inode = inode->next) {
		if (inode->number == mapping->inode && inode->major == mapping->major &&
		    inode->minor == mapping->minor)
			return inode;
	}
	fd = mapped_file_open(t->config.proc_path, mapping);
	if (fd == -ENOENT || fd == -ESRCH)
		return NULL; /* gone: the process, or the mapping */
	inode = pool_take(&t->inode_pool);
	if (!inode) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	inode->number = mapping->inode;
	inode->major = mapping->major;
	inode->minor = mapping->minor;
	if (fd >= 0)
		inode->file = add_file(t, fd, mapping);
	else if (tls_places_should_be_in(mapping->path, 0))
		refuse(t, mapping->path, mapping->pid, fd);
	inode->next = t->inodes;
	t->inodes = inode;
	return inode;
}

/* --- processes --- */

static void add_mapping(struct tls_libraries *t, struct process *p,
			const struct new_mapping *mapping)
{
	struct inode *inode;

	if (!mapping->inode || !tls_places_may_be_in(mapping->path) ||
	    p->inode_count == INODES_PER_PROCESS)
		return;
	inode = find_inode(t, mapping);
	if (!inode)
		return;
	for (size_t i = 0; i < p->inode_count; i++) {
		if (p->inodes[i] == inode)
			return;
	}
	p->inodes[p->inode_count++] = inode;
	t->changed = true;
}

static void on_mapping(void *context, const struct new_mapping *mapping)
{
	struct tls_libraries *t = context;
	struct process *p = find_process(t, mapping->pid);

	if (p)
		add_mapping(t, p, mapping);
}

static void each_process(struct tls_libraries *t,
			 void (*visit)(struct tls_libraries *t, struct process *p))
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct process *p = t->processes[i]; p; p = p->next)
			visit(t, p);
	}
}

static void read_if(struct tls_libraries *t, struct process *p, bool due, size_t *waiting)
{
	if (!due)
		return;
	if (!t->reads_left) {
		(*waiting)++;
		return;
	}
	t->reads_left--;
	p->unread = p->stale = false;
	p->inode_count = 0;
	t->changed = true;
	new_mappings_read(t->config.proc_path, p->pid, on_mapping, t);
	if (t->config.meanwhile)
		t->config.meanwhile(t->config.context);
}

static void read_if_unread(struct tls_libraries *t, struct process *p)
{
	read_if(t, p, p->unread, &t->unread_count);
}

static void read_if_stale(struct tls_libraries *t, struct process *p)
{
	read_if(t, p, p->stale, &t->stale_count);
}

static void mark_stale(struct tls_libraries *t, struct process *p)
{
	p->stale = true;
	t->stale_count++;
}

static void leave_own(struct tls_libraries *t, struct process *p)
{
	(void)t;
	tls_own_close(p->own);
	p->own = NULL;
}

void tls_libraries_set_wanted(struct tls_libraries *t, pid_t pid, bool wanted)
{
	struct process **at = bucket_of(t, pid), *p;

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	p = *at;
	if (p)
		leave_own(t, p); /* it may be of an earlier process of that number */
	if (!wanted && p) {
		*at = p->next;
		pool_give(&t->process_pool, p);
		t->changed = true;
	}
	if (!wanted)
		return;
	if (!p) {
		p = pool_take(&t->process_pool);
		if (!p) {
			t->stats.refused_processes++;
			return;
		}
		p->pid = pid;
		*at = p;
	}
	p->groups = TLS_GROUPS_ALL;
	p->unread = true;
	t->unread_count++;
}

void tls_libraries_set_groups(struct tls_libraries *t, pid_t pid, unsigned groups)
{
	struct process *p = find_process(t, pid);

	if (!p || p->groups == groups)
		return;
	p->groups = groups;
	t->changed = true;
}

bool tls_libraries_cover(const struct tls_libraries *t, pid_t pid)
{
	const struct process *p = find_process(t, pid);

	for (size_t i = 0; p && i < p->inode_count; i++) {
		const struct file *file = p->inodes[i]->file;

		for (size_t k = 0; file && k < t->config.probe_count; k++) {
			if (file->probes[k])
				return true;
		}
	}
	return false;
}

/* --- from processes to probes --- */

/* A probe that not all processes need, and one of these groups has. */
static bool is_extra(const struct tls_libraries *t, const struct file *file, size_t i,
		     unsigned groups)
{
	uint8_t of = t->config.probes[i].groups;

	return file->places.of[i].count && !(of & TLS_GROUP_BASE) && of & groups;
}

/* Whether the process can have its extra probes for itself: each is in one file then. */
static void count_own(struct tls_libraries *t, struct process *p)
{
	bool seen[TLS_PROBES_MAX] = {0};

	p->is_own = t->config.own && !p->own_refused;
	for (size_t k = 0; k < p->inode_count; k++) {
		struct file *file = p->inodes[k]->file;
		bool any = false;

		for (size_t i = 0; file && i < t->config.probe_count; i++) {
			if (!is_extra(t, file, i, p->groups))
				continue;
			if (seen[i])
				p->is_own = false;
			any = seen[i] = true;
		}
		if (any)
			file->own_count++;
	}
}

static void count_process(struct tls_libraries *t, struct process *p)
{
	bool has_caller = false, has_file = false;

	for (size_t i = 0; i < p->inode_count; i++) {
		struct file *file = p->inodes[i]->file;

		has_caller = has_caller || (file && file->places.kind == TLS_FILE_CALLER);
		if (file && file->own_count > TLS_OWN_MAX)
			p->is_own = false;
	}
	for (size_t i = 0; i < p->inode_count; i++) {
		struct file *file = p->inodes[i]->file;

		p->inodes[i]->process_count++;
		if (!file)
			continue;
		has_file = true;
		file->process_count++;
		file->without_caller += !has_caller;
		file->groups |= p->is_own ? p->groups & TLS_GROUP_BASE : p->groups;
	}
	t->stats.process_count += has_file;
}

static void count_anew(struct tls_libraries *t)
{
	t->stats.process_count = 0;
	for (struct inode *inode = t->inodes; inode; inode = inode->next)
		inode->process_count = 0;
	for (struct file *file = t->files; file; file = file->next) {
		file->process_count = file->without_caller = file->own_count = 0;
		file->groups = 0;
	}
	each_process(t, count_own);
	each_process(t, count_process);
}

static bool is_wanted(const struct tls_libraries *t, const struct file *file, size_t i)
{
	const struct tls_probe *probe = &t->config.probes[i];

	if (!file->places.of[i].count || !(probe->groups & file->groups))
		return false;
	return probe->place != TLS_PLACE_BEHIND_CALL_OR_RETURN ||
	       file->places.kind == TLS_FILE_CALLER || file->without_caller;
}

static void attach(struct tls_libraries *t, struct file *file, size_t i)
{
	int error = uprobes_attach(t->uprobes, &file->probes[i], t->config.probes[i].program,
				   file->fd, &file->places.of[i]);

	if (!error) {
		log_debug("tls: %s: %s is probed", file->path, t->config.probes[i].function);
		return;
	}
	if (!file->refused)
		refuse(t, file->path, file->pid, error);
	file->refused = true;
	file->failed[i] = true;
}

static void attach_wanted(struct tls_libraries *t, struct file *file)
{
	for (size_t i = 0; i < t->config.probe_count; i++) {
		if (is_wanted(t, file, i) && !file->probes[i] && !file->failed[i])
			attach(t, file, i);
	}
}

static void detach_unwanted(struct tls_libraries *t, struct file *file)
{
	for (size_t i = 0; i < t->config.probe_count; i++) {
		if (is_wanted(t, file, i))
			continue;
		uprobes_detach(t->uprobes, file->probes[i]);
		file->probes[i] = NULL;
	}
}

/* After what is for all has been attached, and before it is detached. */
static void update_own(struct tls_libraries *t, struct process *p)
{
	struct tls_own_place wanted[TLS_PROBES_MAX] = {0};

	if (!p->is_own) {
		leave_own(t, p);
		return;
	}
	for (size_t k = 0; k < p->inode_count; k++) {
		const struct file *file = p->inodes[k]->file;

		for (size_t i = 0; file && i < t->config.probe_count; i++) {
			if (is_extra(t, file, i, p->groups))
				wanted[i] = (struct tls_own_place){.fd = file->fd,
								   .places = &file->places.of[i]};
		}
	}
	p->own_refused = tls_own_update(&p->own, &t->own, p->pid, wanted);
	if (p->own_refused)
		t->changed = true; /* and it gets those for all */
}

static void apply(struct tls_libraries *t, uint64_t now_ns)
{
	struct inode **at = &t->inodes;

	count_anew(t);
	/* A number may be another file's once nobody maps it. */
	while (*at) {
		struct inode *inode = *at;

		if (inode->process_count) {
			at = &inode->next;
			continue;
		}
		*at = inode->next;
		pool_give(&t->inode_pool, inode);
	}
	for (struct file *file = t->files; file; file = file->next) {
		if (file->process_count) {
			file->idle_ns = 0;
			attach_wanted(t, file);
		} else if (!file->idle_ns) {
			file->idle_ns = now_ns;
		}
	}
	each_process(t, update_own);
	for (struct file *file = t->files; file && !t->changed; file = file->next) {
		if (file->process_count)
			detach_unwanted(t, file);
	}
}

static void free_idle(struct tls_libraries *t, uint64_t now_ns)
{
	struct file **at = &t->files;

	while (*at) {
		struct file *file = *at;

		if (!file->idle_ns || now_ns < file->idle_ns + TLS_IDLE_NS) {
			at = &file->next;
			continue;
		}
		*at = file->next;
		free_file(t, file);
	}
}

void tls_libraries_run(struct tls_libraries *t, uint64_t now_ns)
{
	if (t->mappings && !new_mappings_take(t->mappings, on_mapping, t)) {
		t->stats.lost_mappings++;
		each_process(t, mark_stale);
	}
	if (t->unread_count) {
		t->unread_count = 0;
		t->reads_left = READS_MAX;
		each_process(t, read_if_unread);
	}
	if (t->stale_count) {
		t->stale_count = 0;
		t->reads_left = READS_AGAIN_MAX;
		each_process(t, read_if_stale);
	}
	if (t->changed) {
		t->changed = false;
		apply(t, now_ns);
	}
	free_idle(t, now_ns);
}

/* --- all of it --- */

int tls_libraries_open(struct tls_libraries **out, const struct tls_libraries_config *config)
{
	struct tls_libraries *t;
	int error;

	if (config->probe_count > TLS_PROBES_MAX)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->config = *config;
	pool_init(&t->process_pool, sizeof(struct process), TLS_PROCESSES_MAX);
	pool_init(&t->inode_pool, sizeof(struct inode), INODES_MAX);
	error = uprobes_open(&t->uprobes, config->mode, config->meanwhile, config->context);
	if (error) {
		tls_libraries_close(t);
		return error;
	}
	t->own = (struct tls_own_config){.uprobes = t->uprobes,
					 .probes = config->probes,
					 .probe_count = config->probe_count,
					 .changed = config->own,
					 .context = config->context};
	error = new_mappings_open(&t->mappings);
	if (error)
		log_warning("perf events: %s; TLS libraries that are loaded late are not seen, run "
			    "as root or with CAP_PERFMON",
			    strerror(-error));
	*out = t;
	return 0;
}

int tls_libraries_fd(const struct tls_libraries *t)
{
	return t->mappings ? new_mappings_fd(t->mappings) : -1;
}

struct tls_libraries_stats tls_libraries_stats(const struct tls_libraries *t)
{
	struct tls_libraries_stats stats = t->stats;

	stats.file_count = t->file_count;
	return stats;
}

void tls_libraries_close(struct tls_libraries *t)
{
	if (!t)
		return;
	each_process(t, leave_own);
	while (t->files) {
		struct file *file = t->files;

		t->files = file->next;
		free_file(t, file);
	}
	uprobes_close(t->uprobes);
	new_mappings_close(t->mappings);
	pool_close(&t->process_pool);
	pool_close(&t->inode_pool);
	free(t);
}
