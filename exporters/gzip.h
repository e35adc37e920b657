/* SPDX-License-Identifier: Apache-2.0 */
/* gzip - compresses a page, by zlib.
 * At the fastest level: the lines of a page repeat each other, so that it shrinks to a thirtieth in
 * some 2 ms a megabyte, and the slower levels would gain little. 270 KB while it runs. */
#ifndef BITTERN_GZIP_H
#define BITTERN_GZIP_H

#include "text.h"

/* Appends in, compressed, to out. 0 or -ENOMEM (out is then as far as it came). */
int gzip_text(struct text *out, const struct text *in);

#endif
