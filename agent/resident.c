// SPDX-License-Identifier: Apache-2.0
#include "resident.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* What can be written is left alone: relocations and variables are in no file. */
static int give_back_object(struct dl_phdr_info *object, size_t size, void *context)
{
	uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);

	(void)size;
	(void)context;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + part->p_vaddr;
		uintptr_t end = (start + part->p_filesz) & page_mask;

		start &= page_mask;
		if (part->p_type == PT_LOAD && !(part->p_flags & PF_W) && end > start)
			madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void resident_give_back(void)
{
	malloc_trim(0);
	dl_iterate_phdr(give_back_object, NULL);
}
