// SPDX-License-Identifier: Apache-2.0
#include "gzip.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* the largest window, with the header of a gzip file */
#define GZIP_MEMORY_LEVEL 8 /* zlib's default */
#define OUTPUT_STEP (64 * 1024)

int gzip_text(struct text *out, const struct text *in)
{
	z_stream stream = {.next_in = (Bytef *)in->data};
	size_t left = in->len;
	int status = Z_OK;

	if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	while (status != Z_STREAM_END) {
		Bytef *to = (Bytef *)text_room(out, OUTPUT_STEP);

		if (!to)
			break;
		if (!stream.avail_in) {
			stream.avail_in = left < UINT_MAX ? (uInt)left : UINT_MAX;
			left -= stream.avail_in;
		}
		stream.next_out = to;
		stream.avail_out = OUTPUT_STEP;
		status = deflate(&stream, left ? Z_NO_FLUSH : Z_FINISH);
		out->len += OUTPUT_STEP - stream.avail_out;
	}
	deflateEnd(&stream);
	return out->error;
}
