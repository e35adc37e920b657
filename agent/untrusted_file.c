// SPDX-License-Identifier: Apache-2.0
#include "untrusted_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

#define CHUNK_BYTES 4096

int untrusted_fd_read(char **out, size_t *out_len, int fd, size_t max_bytes)
{
	cleanup_free char *buffer = NULL;
	size_t len = 0, capacity = 0;

	for (;;) {
		size_t want;
		ssize_t got;

		if (len == capacity) {
			char *grown;

			capacity = capacity ? 2 * capacity : CHUNK_BYTES;
			grown = realloc(buffer, capacity + 1);
			if (!grown)
				return -ENOMEM;
			buffer = grown;
		}
		want = capacity - len;
		if (want > max_bytes - len)
			want = max_bytes - len;
		got = want ? read(fd, buffer + len, want) : 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		len += (size_t)got;
		if (got == 0)
			break;
	}
	buffer[len] = '\0';
	*out_len = len;
	*out = buffer;
	buffer = NULL;
	return 0;
}

int untrusted_file_read(char **out, size_t *out_len, int root, const char *path, size_t max_bytes)
{
	/* Without O_NONBLOCK the open of a FIFO would wait for its writer. */
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	cleanup_close int fd = -1;
	struct stat status;

	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	return untrusted_fd_read(out, out_len, fd, max_bytes);
}
