/* SPDX-License-Identifier: Apache-2.0 */
/* elf_symbols - where functions lie in an ELF file: a program or library of somebody else.
 *
 * 64-bit little-endian files for x86-64 and arm64. Names are looked up in the dynamic symbols by
 * their hash table (DT_GNU_HASH), which stripped files have too: some ten small reads a name,
 * whatever the file's size. If that finds none of the names, the symbol tables of the section
 * headers are read through once, up to ELF_TABLE_MAX_BYTES each: some 5 ms for the 10 MB that
 * node's would be.
 *
 * The file is untrusted, and may change while it is read: it is never mapped, each offset, size and
 * count is bounded, and what does not fit is "not there". No state. */
#ifndef BITTERN_ELF_SYMBOLS_H
#define BITTERN_ELF_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "elf_file.h"

#define ELF_TABLE_MAX_BYTES (32u * 1024 * 1024)

struct elf_symbol {
	const char *name; /* in: at most ELF_NAME_MAX bytes */
	uint64_t offset; /* out: of the function's first byte in the file; 0: not there */
	uint64_t size; /* out: bytes of code, 0: not known */
};

/* Fills offset and size of all symbols and the machine. 0, also when none was found; -ENOEXEC: no
 * such ELF file; -errno of reading. */
int elf_symbols_find(int fd, struct elf_symbol *symbols, size_t count, enum elf_machine *machine);

#endif
