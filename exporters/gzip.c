// SPDX-License-Identifier: Apache-2.0
#include "gzip.h"

#include <errno.h>
#include <limits.h>

#define WINDOW_BITS (15 + 16) /* the largest window, and the header of a gzip file */
#define MEMORY_LEVEL 8 /* zlib's default */

int gzip_open(struct gzip *g, const char *bytes, size_t len)
{
	*g = (struct gzip){.stream.next_in = (Bytef *)bytes, .left = len};
	if (deflateInit2(&g->stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	return 0;
}

/* zlib counts in unsigned int. */
static uInt at_most(size_t len)
{
	return len < UINT_MAX ? (uInt)len : UINT_MAX;
}

size_t gzip_read(struct gzip *g, char *to, size_t size)
{
	uInt room = at_most(size);

	g->stream.next_out = (Bytef *)to;
	g->stream.avail_out = room;
	while (!g->ended && g->stream.avail_out == room) {
		if (!g->stream.avail_in) {
			g->stream.avail_in = at_most(g->left);
			g->left -= g->stream.avail_in;
		}
		g->ended = deflate(&g->stream, g->left ? Z_NO_FLUSH : Z_FINISH) == Z_STREAM_END;
	}
	return room - g->stream.avail_out;
}

void gzip_close(struct gzip *g)
{
	deflateEnd(&g->stream);
}
