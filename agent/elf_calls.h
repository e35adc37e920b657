/* SPDX-License-Identifier: Apache-2.0 */
/* elf_calls - where the code of a file calls a function of another.
 *
 * A call goes through the slot that the dynamic loader fills with the function's address: straight
 * (-fno-plt), or by a stub that jumps there. So: the slots by the relocations that name the
 * function, the stubs by their jumps, the calls by their targets. All code of the file is looked
 * through, up to ELF_CALLS_CODE_MAX bytes: 0.4 ms for Python's _ssl.
 *
 * Untrusted as told in elf_file.h. What only looks like a call is taken for one only if its target
 * is right, to the byte. No state. */
#ifndef BITTERN_ELF_CALLS_H
#define BITTERN_ELF_CALLS_H

#include <stddef.h>
#include <stdint.h>

#define ELF_CALLS_CODE_MAX (4u * 1024 * 1024)

/* Fills places[] with the offsets in the file of the cheapest instruction behind each call of the
 * function (see prologue.h; what it returned is in its register still), in their order.
 * How many, at most max; 0: none, or the function is none that the file calls so; -ENOEXEC: no such
 * file; -ENOMEM; -errno of reading. */
int elf_calls_find(int fd, const char *function, uint64_t *places, size_t max);
/* The same, with the offsets of the calls themselves: the arguments are in their registers. */
int elf_calls_find_at(int fd, const char *function, uint64_t *places, size_t max);

#endif
