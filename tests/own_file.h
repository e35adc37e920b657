/* SPDX-License-Identifier: Apache-2.0 */
/* own_file - where this test's own code lies in its files. */
#ifndef BITTERN_TEST_OWN_FILE_H
#define BITTERN_TEST_OWN_FILE_H

#include <stdint.h>
#include <stdio.h>

/* Where the byte at this address of this process lies in its file, by /proc/self/maps. */
static inline uint64_t own_file_offset(const void *address)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long begin, end, offset, at = (unsigned long)address;
	uint64_t found = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &begin, &end, &offset) == 3 && at >= begin &&
		    at < end)
			found = at - begin + offset;
	}
	fclose(maps);
	return found;
}

#endif
