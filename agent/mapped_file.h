/* SPDX-License-Identifier: Apache-2.0 */
/* mapped_file - the very file that a process has mapped, also when its name is gone or another's.
 * No state. */
#ifndef BITTERN_MAPPED_FILE_H
#define BITTERN_MAPPED_FILE_H

#include <stdbool.h>

#include "new_mappings.h"

/* Opens it for reading: by /proc/PID/map_files; without the privilege for that (CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE) by its path as the process sees it, if the file there has its number.
 * The descriptor; -ENOENT, -ESRCH: the process or the mapping has gone; -ESTALE: its path is
 * another file's, or nobody's; -EINVAL: no regular file; -errno. */
int mapped_file_open(const char *proc_path, const struct new_mapping *mapping);
/* Whether two open files are one for the kernel's probes. Containers of one image see a file of it
 * each in an overlay of their own, and probes are put on the one below. */
bool mapped_file_is_same(int fd, int other_fd);

#endif
