/* SPDX-License-Identifier: Apache-2.0 */
/* path - paths of other processes, as text: these may not exist here. Pure. */
#ifndef BITTERN_PATH_H
#define BITTERN_PATH_H

#include <stddef.h>

/* path as seen from directory, absolute, without ".", ".." and empty parts; "/" has no part. 0,
 * or -EINVAL when path is relative and directory is not absolute or when it does not fit (to is
 * "" then). */
int path_join(char *to, size_t size, const char *directory, const char *path);
/* Cuts the last part off: "/srv/shop" to "/srv", "/srv" to "/", "/" to "". */
void path_cut(char *path);
const char *path_base(const char *path); /* the last part: "shop"; "" of "/" */

#endif
