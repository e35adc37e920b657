/* SPDX-License-Identifier: Apache-2.0 */
/* elf_file - an ELF file of somebody else, read piece by piece: what elf_symbols and elf_calls
 * share.
 *
 * 64-bit little-endian files for x86-64 and arm64, as the kernel and the dynamic loader look at
 * them: by segments. The file is untrusted, and may change while it is read: it is never mapped,
 * each offset, size and count is bounded. No state but the headers. */
#ifndef BITTERN_ELF_FILE_H
#define BITTERN_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_NAME_MAX 63 /* of a function that is looked for */

enum elf_machine { ELF_X86_64, ELF_ARM64 };

struct elf_range { /* in the file; as far as its segment goes */
	uint64_t offset, bytes;
};

#define ELF_SEGMENTS_MAX 64

struct elf_file {
	int fd; /* not owned */
	enum elf_machine machine;
	Elf64_Ehdr header;
	Elf64_Phdr segments[ELF_SEGMENTS_MAX];
	size_t segment_count;
};

struct elf_dynamic { /* what the dynamic table tells; bytes 0: not there */
	struct elf_range symbols, names, gnu_hash;
	struct elf_range relocations, call_relocations; /* of Elf64_Rela */
};

/* Reads the headers. 0; -ENOEXEC: no such ELF file; -errno of reading. */
int elf_file_open(struct elf_file *file, int fd);
/* Exactly len bytes. 0; -EIO when the file ends before; -errno. */
int elf_file_read(const struct elf_file *file, void *to, size_t len, uint64_t offset);
/* Where the byte at a virtual address lies in the file; flags: PF_* that its segment has. */
bool elf_file_locate(const struct elf_file *file, uint64_t address, uint32_t flags,
		     struct elf_range *place);
/* false: not dynamic. */
bool elf_file_dynamic(const struct elf_file *file, struct elf_dynamic *dynamic);
/* Element index of a table with elements of len bytes; false: not in it. */
bool elf_file_element(const struct elf_file *file, const struct elf_range *table, uint64_t index,
		      void *to, size_t len);
/* Whether name stands at this byte of a table of strings. */
bool elf_file_has_name(const struct elf_file *file, const struct elf_range *names, uint64_t at,
		       const char *name);

#endif
