/* SPDX-License-Identifier: Apache-2.0 */
/* untrusted_file - reads files that somebody else wrote, without being led astray.
 *
 * Symbolic links are followed as seen from root, never out of it (openat2, Linux 5.6); only regular
 * files are read, and no more than a limit. */
#ifndef BITTERN_UNTRUSTED_FILE_H
#define BITTERN_UNTRUSTED_FILE_H

#include <stddef.h>

/* The first max_bytes of path below the directory root, with a NUL behind. 0 and *out, to be
 * freed; -errno (-EINVAL: no regular file). */
int untrusted_file_read(char **out, size_t *out_len, int root, const char *path, size_t max_bytes);
/* The same of an open file, whatever it is; closes nothing. */
int untrusted_fd_read(char **out, size_t *out_len, int fd, size_t max_bytes);

#endif
