// SPDX-License-Identifier: Apache-2.0
#include "path.h"

#include <errno.h>
#include <string.h>

static int add_parts(char *to, size_t size, size_t *len, const char *path)
{
	while (*path) {
		size_t part = strcspn(path, "/");

		if (part == 2 && path[0] == '.' && path[1] == '.') {
			while (*len && to[--*len] != '/')
				;
		} else if (part && !(part == 1 && *path == '.')) {
			if (*len + 1 + part >= size)
				return -EINVAL;
			to[(*len)++] = '/';
			memcpy(to + *len, path, part);
			*len += part;
		}
		path += part;
		path += *path == '/';
	}
	return 0;
}

int path_join(char *to, size_t size, const char *directory, const char *path)
{
	size_t len = 0;
	int error = 0;

	if (*path != '/')
		error = *directory == '/' ? add_parts(to, size, &len, directory) : -EINVAL;
	if (!error)
		error = add_parts(to, size, &len, path);
	if (!error && len == 0)
		to[len++] = '/';
	to[error ? 0 : len] = '\0';
	return error;
}

void path_cut(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		slash[slash == path && path[1] != '\0'] = '\0';
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
