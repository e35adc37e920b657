/* SPDX-License-Identifier: Apache-2.0 */
/* gzip - bytes as a gzip file, read a piece at a time, so that a large page keeps nobody waiting.
 * By zlib at its fastest level: the lines of a page repeat each other, so that it shrinks to a
 * thirtieth in some 2 ms a megabyte, and the slower levels would gain little. */
#ifndef BITTERN_GZIP_H
#define BITTERN_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <zlib.h>

#define GZIP_MEMORY (270 * 1024) /* bytes that one takes while it is open */

struct gzip {
	z_stream stream;
	size_t left; /* of the bytes, beyond what zlib was given */
	bool ended;
};

/* The bytes are borrowed. 0, to be closed; -ENOMEM. */
int gzip_open(struct gzip *g, const char *bytes, size_t len);
/* The next up to size (not 0) bytes of the file; 0: it has ended. */
size_t gzip_read(struct gzip *g, char *to, size_t size);
void gzip_close(struct gzip *g);

#endif
