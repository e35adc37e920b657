/* SPDX-License-Identifier: Apache-2.0 */
/* prologue - where at the begin of a function a probe is cheap.
 *
 * A uprobe replaces an instruction. The kernel emulates a few of them (on x86-64 push, nop, jmp,
 * jcc and call; on arm64 branches, adr and adrp); any other it copies elsewhere and single-steps,
 * which costs as much as the whole rest of the probe, and in virtual machines ten times that. So
 * a probe wants the first emulated instruction at which the arguments still are where the caller
 * put them.
 *
 * Pure. The code is untrusted; what is not understood ends the search, and the place is the
 * function's first instruction, which is always right. A place behind it is taken only if every
 * call of the function comes by it exactly once: no branch lies before it, and none of the
 * function's goes back to it. */
#ifndef BITTERN_PROLOGUE_H
#define BITTERN_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf_file.h"

/* Registers that must be intact: of arguments, in the order of the calling convention. */
enum prologue_argument {
	PROLOGUE_ARG1 = 1,
	PROLOGUE_ARG2 = 2,
	PROLOGUE_ARG3 = 4,
	PROLOGUE_ARG4 = 8,
	/* The third may have become its sum with the second: of a pointer and a length the end. */
	PROLOGUE_ARG3_OR_END = 16,
	PROLOGUE_RESULT = 32, /* behind a call: what it returned */
};

#define PROLOGUE_CODE_MAX 4096 /* bytes of a function that need be given */

struct prologue_place {
	uint16_t offset; /* from the function's begin */
	bool emulated;
	bool third_is_end;
};

/* code: the function from its begin, up to its end or PROLOGUE_CODE_MAX. */
struct prologue_place prologue_find(enum elf_machine machine, const uint8_t *code, size_t len,
				    unsigned arguments);
/* The same from the instruction at begin on, somewhere in a function: what is reached by nothing
 * but running on from there. code: also what lies around it, as branches there may go to. The
 * offset is from begin. */
struct prologue_place prologue_find_from(enum elf_machine machine, const uint8_t *code, size_t len,
					 size_t begin, unsigned arguments);

#endif
