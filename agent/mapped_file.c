// SPDX-License-Identifier: Apache-2.0
#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define OVERLAYFS_MAGIC 0x794c7630
#define FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int open_by_path(const char *proc_path, const struct new_mapping *mapping)
{
	char path[2 * PATH_MAX];
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/root%s", proc_path, mapping->pid, mapping->path);
	fd = open(path, FLAGS);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (fstat(fd, &status) || status.st_ino != mapping->inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

int mapped_file_open(const char *proc_path, const struct new_mapping *mapping)
{
	char path[PATH_MAX];
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/map_files/%llx-%llx", proc_path, mapping->pid,
		 (unsigned long long)mapping->begin, (unsigned long long)mapping->end);
	fd = open(path, FLAGS);
	if (fd < 0) {
		fd = errno == EPERM || errno == EACCES ? open_by_path(proc_path, mapping) : -errno;
		if (fd < 0)
			return fd;
	}
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static bool is_on_overlay(int fd)
{
	struct statfs system;

	return !fstatfs(fd, &system) && system.f_type == OVERLAYFS_MAGIC;
}

/* An overlay shows number, size and times of the file below, under a device of its own. */
bool mapped_file_is_same(int fd, int other_fd)
{
	struct stat a, b;

	if (fstat(fd, &a) || fstat(other_fd, &b) || a.st_ino != b.st_ino)
		return false;
	if (a.st_dev == b.st_dev)
		return true;
	return is_on_overlay(fd) && is_on_overlay(other_fd) && a.st_size == b.st_size &&
	       a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
	       a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}
