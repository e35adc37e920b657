// SPDX-License-Identifier: Apache-2.0
#include "elf_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DYNAMIC_MAX 512 /* entries of the dynamic table */

int elf_file_read(const struct elf_file *file, void *to, size_t len, uint64_t offset)
{
	char *at = to;

	while (len) {
		ssize_t got = pread(file->fd, at, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		at += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

int elf_file_open(struct elf_file *file, int fd)
{
	const Elf64_Ehdr *header = &file->header;

	file->fd = fd;
	if (elf_file_read(file, &file->header, sizeof(file->header), 0) ||
	    memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    (header->e_type != ET_EXEC && header->e_type != ET_DYN) ||
	    (header->e_machine != EM_X86_64 && header->e_machine != EM_AARCH64) ||
	    header->e_phentsize != sizeof(Elf64_Phdr))
		return -ENOEXEC;
	file->machine = header->e_machine == EM_X86_64 ? ELF_X86_64 : ELF_ARM64;
	file->segment_count =
		header->e_phnum < ELF_SEGMENTS_MAX ? header->e_phnum : ELF_SEGMENTS_MAX;
	return elf_file_read(file, file->segments, file->segment_count * sizeof(Elf64_Phdr),
			     header->e_phoff);
}

bool elf_file_locate(const struct elf_file *file, uint64_t address, uint32_t flags,
		     struct elf_range *place)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *segment = &file->segments[i];
		uint64_t into = address - segment->p_vaddr;

		if (segment->p_type != PT_LOAD || (segment->p_flags & flags) != flags ||
		    address < segment->p_vaddr || into >= segment->p_filesz ||
		    __builtin_add_overflow(segment->p_offset, into, &place->offset) ||
		    place->offset > INT64_MAX)
			continue;
		place->bytes = segment->p_filesz - into;
		return true;
	}
	return false;
}

/* The table at an address that the dynamic table tells, up to its size. */
static void set_range(const struct elf_file *file, struct elf_range *range, uint64_t address,
		      uint64_t bytes)
{
	if (!address || !elf_file_locate(file, address, 0, range))
		*range = (struct elf_range){0};
	else if (range->bytes > bytes)
		range->bytes = bytes;
}

static const Elf64_Phdr *dynamic_segment(const struct elf_file *file)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		if (file->segments[i].p_type == PT_DYNAMIC)
			return &file->segments[i];
	}
	return NULL;
}

bool elf_file_dynamic(const struct elf_file *file, struct elf_dynamic *dynamic)
{
	const Elf64_Phdr *segment = dynamic_segment(file);
	Elf64_Dyn entries[DYNAMIC_MAX];
	uint64_t values[DT_NUM] = {0}, gnu_hash = 0;
	size_t count;

	if (!segment)
		return false;
	count = segment->p_filesz / sizeof(entries[0]);
	if (count > DYNAMIC_MAX)
		count = DYNAMIC_MAX;
	if (elf_file_read(file, entries, count * sizeof(entries[0]), segment->p_offset))
		return false;
	for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag > 0 && entries[i].d_tag < DT_NUM)
			values[entries[i].d_tag] = entries[i].d_un.d_val;
		else if (entries[i].d_tag == DT_GNU_HASH)
			gnu_hash = entries[i].d_un.d_val;
	}
	set_range(file, &dynamic->symbols, values[DT_SYMTAB], UINT64_MAX);
	set_range(file, &dynamic->names, values[DT_STRTAB], values[DT_STRSZ]);
	set_range(file, &dynamic->gnu_hash, gnu_hash, UINT64_MAX);
	set_range(file, &dynamic->relocations, values[DT_RELA], values[DT_RELASZ]);
	set_range(file, &dynamic->call_relocations, values[DT_JMPREL], values[DT_PLTRELSZ]);
	return true;
}

bool elf_file_element(const struct elf_file *file, const struct elf_range *table, uint64_t index,
		      void *to, size_t len)
{
	return index < table->bytes / len &&
	       !elf_file_read(file, to, len, table->offset + index * len);
}

bool elf_file_has_name(const struct elf_file *file, const struct elf_range *names, uint64_t at,
		       const char *name)
{
	size_t len = strlen(name) + 1;
	char read[ELF_NAME_MAX + 1];

	return len <= sizeof(read) && at < names->bytes && len <= names->bytes - at &&
	       !elf_file_read(file, read, len, names->offset + at) && memcmp(read, name, len) == 0;
}
