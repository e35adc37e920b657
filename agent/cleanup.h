/* SPDX-License-Identifier: Apache-2.0 */
/* cleanup - locals that free themselves when they go out of scope. */
#ifndef BITTERN_CLEANUP_H
#define BITTERN_CLEANUP_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))
#define cleanup_directory __attribute__((cleanup(cleanup_close_directory)))

#endif
