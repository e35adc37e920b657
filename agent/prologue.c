// SPDX-License-Identifier: Apache-2.0
#include "prologue.h"

#include <string.h>

#define INSTRUCTIONS_MAX 16

/* What matters of one instruction. Registers by their number in the machine's encoding. */
struct instruction {
	uint8_t len; /* 0: not understood */
	bool emulated;
	bool ends; /* what follows it does not always run */
	bool makes_end; /* argument 3 += argument 2 */
	uint32_t writes; /* registers */
};

struct machine {
	struct instruction (*decode)(const uint8_t *code, size_t len);
	/* Whether the bytes at from, read as an instruction, go to target. */
	bool (*goes_to)(const uint8_t *code, size_t len, size_t from, size_t target);
	uint8_t argument[4], result; /* register numbers */
	uint8_t step; /* instructions begin at its multiples */
};

/* --- x86-64 --- */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

enum x86_operands {
	X86_NONE, /* not understood */
	X86_MODRM_READS, /* test, cmp, stores; of vector registers also loads */
	X86_MODRM_TO_RM, /* op reg, r/m: writes r/m */
	X86_MODRM_TO_REG, /* op r/m, reg */
	X86_MODRM_GROUP, /* an immediate follows; cmp and test only read */
	X86_IMMEDIATE_TO_REG, /* mov imm, reg in the opcode */
};

static enum x86_operands one_byte_operands(uint8_t opcode)
{
	if (opcode < 0x40 && (opcode & 7) < 4) { /* add or adc sbb and sub xor cmp */
		if (opcode >= 0x38)
			return X86_MODRM_READS;
		return opcode & 2 ? X86_MODRM_TO_REG : X86_MODRM_TO_RM;
	}
	switch (opcode) {
	case 0x84: /* test */
	case 0x85:
		return X86_MODRM_READS;
	case 0x63: /* movslq */
	case 0x8a: /* mov */
	case 0x8b:
	case 0x8d: /* lea */
		return X86_MODRM_TO_REG;
	case 0x88: /* mov */
	case 0x89:
		return X86_MODRM_TO_RM;
	case 0x80: /* add .. cmp with an immediate */
	case 0x81:
	case 0x83:
	case 0xc1: /* shifts */
	case 0xc6: /* mov */
	case 0xc7:
		return X86_MODRM_GROUP;
	default:
		return opcode >= 0xb8 && opcode <= 0xbf ? X86_IMMEDIATE_TO_REG : X86_NONE;
	}
}

static enum x86_operands two_byte_operands(uint8_t opcode)
{
	if (opcode >= 0x40 && opcode <= 0x4f) /* cmov */
		return X86_MODRM_TO_REG;
	if (opcode >= 0x90 && opcode <= 0x9f) /* set */
		return X86_MODRM_TO_RM;
	switch (opcode) {
	case 0x10: /* vector moves and xor */
	case 0x11:
	case 0x1f: /* nop of several bytes: emulated by the newest kernels only */
	case 0x28:
	case 0x29:
	case 0x57:
	case 0x6f:
	case 0x7f:
	case 0xef:
		return X86_MODRM_READS;
	case 0xb6: /* movzx, movsx */
	case 0xb7:
	case 0xbe:
	case 0xbf:
		return X86_MODRM_TO_REG;
	default:
		return X86_NONE;
	}
}

struct x86_prefixes {
	size_t len;
	uint8_t rex;
	bool operand_16, repeat;
};

static struct x86_prefixes read_prefixes(const uint8_t *code, size_t len)
{
	struct x86_prefixes p = {0};

	for (; p.len < len && p.len < 4; p.len++) {
		if (code[p.len] == 0x66)
			p.operand_16 = true;
		else if (code[p.len] == 0xf3)
			p.repeat = true;
		else if (code[p.len] != 0x64) /* %fs: the stack protector's */
			break;
	}
	if (p.len < len && (code[p.len] & 0xf0) == 0x40)
		p.rex = code[p.len++];
	return p;
}

/* Of the ModRM byte and what belongs to it; 0: cut off. */
static size_t modrm_len(const uint8_t *at, size_t len)
{
	uint8_t mod, base;
	size_t used = 1;

	if (!len)
		return 0;
	mod = at[0] >> 6;
	base = at[0] & 7;
	if (mod != 3 && base == 4) { /* SIB */
		if (len < 2)
			return 0;
		base = at[1] & 7;
		used++;
		if (mod == 0 && base == 5)
			used += 4;
	} else if (mod == 0 && base == 5) { /* relative to rip */
		used += 4;
	}
	if (mod == 1)
		used += 1;
	else if (mod == 2)
		used += 4;
	return used <= len ? used : 0;
}

static size_t group_immediate_len(uint8_t opcode, const struct x86_prefixes *p)
{
	if (opcode == 0x81 || opcode == 0xc7)
		return p->operand_16 ? 2 : 4;
	return 1;
}

static uint32_t bit(unsigned number)
{
	return 1u << number;
}

/* add %rsi,%rdx in its two encodings, lea (%rsi,%rdx),%rdx in its two. */
static bool makes_end(const uint8_t *code, size_t len)
{
	static const uint8_t forms[][4] = {{0x48, 0x01, 0xf2},
					   {0x48, 0x03, 0xd6},
					   {0x48, 0x8d, 0x14, 0x16},
					   {0x48, 0x8d, 0x14, 0x32}};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t form_len = i < 2 ? 3 : 4;

		if (len == form_len && memcmp(code, forms[i], form_len) == 0)
			return true;
	}
	return false;
}

/* jmp, jcc, call, push, nop. A prefix makes the kernel (or the reader) unsure, but for the REX that
 * push has for the upper registers. */
static struct instruction decode_emulated(const uint8_t *code, size_t len,
					  const struct x86_prefixes *p)
{
	struct instruction in = {.emulated = true};
	uint8_t opcode = code[p->len], second = p->len + 1 < len ? code[p->len + 1] : 0;

	if (opcode >= 0x50 && opcode <= 0x57 && (!p->len || (p->len == 1 && p->rex == 0x41))) {
		in.len = (uint8_t)(p->len + 1);
		in.writes = bit(RSP);
		return in;
	}
	if (p->len)
		return (struct instruction){0};
	in.ends = true;
	if (opcode == 0x90) {
		in.ends = false;
		in.len = 1;
	} else if (opcode == 0xe8 || opcode == 0xe9) {
		in.len = 5;
	} else if (opcode == 0xeb || (opcode >= 0x70 && opcode <= 0x7f)) {
		in.len = 2;
	} else if (opcode == 0x0f && second >= 0x80 && second <= 0x8f) {
		in.len = 6;
	}
	return in.len && in.len <= len ? in : (struct instruction){0};
}

static struct instruction decode_x86(const uint8_t *code, size_t len)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	struct x86_prefixes p = read_prefixes(code, len);
	struct instruction in = {0};
	enum x86_operands operands;
	size_t at = p.len, operands_len = 0;
	uint8_t opcode, reg, rm;
	bool two_bytes;

	if (len >= sizeof(endbr64) && memcmp(code, endbr64, sizeof(endbr64)) == 0)
		return (struct instruction){.len = sizeof(endbr64)};
	if (at >= len)
		return in;
	in = decode_emulated(code, len, &p);
	if (in.len || (p.repeat && code[at] != 0x0f))
		return in;
	in = (struct instruction){0};
	two_bytes = code[at] == 0x0f;
	if (two_bytes && ++at >= len)
		return in;
	opcode = code[at++];
	operands = two_bytes ? two_byte_operands(opcode) : one_byte_operands(opcode);
	if (operands == X86_NONE)
		return in;
	if (operands == X86_IMMEDIATE_TO_REG) {
		operands_len = p.rex & 8 ? 8 : p.operand_16 ? 2 : 4;
		in.writes = bit((opcode & 7u) | (p.rex & 1u) << 3);
	} else {
		operands_len = modrm_len(code + at, len - at);
		if (!operands_len)
			return in;
		reg = (uint8_t)((code[at] >> 3 & 7) | (p.rex & 4) << 1);
		rm = (uint8_t)((code[at] & 7) | (p.rex & 1) << 3);
		if (operands == X86_MODRM_TO_REG)
			in.writes = bit(reg);
		else if (operands != X86_MODRM_READS && code[at] >> 6 == 3 &&
			 !(operands == X86_MODRM_GROUP && opcode < 0x84 && (reg & 7) == 7))
			in.writes = bit(rm);
		if (operands == X86_MODRM_GROUP)
			operands_len += group_immediate_len(opcode, &p);
	}
	if (at + operands_len > len)
		return (struct instruction){0};
	in.len = (uint8_t)(at + operands_len);
	in.makes_end = makes_end(code, in.len);
	return in;
}

static int32_t signed_32(const uint8_t *at)
{
	return (int32_t)((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			 (uint32_t)at[3] << 24);
}

/* Instructions begin anywhere: what only looks like a branch costs a good place, no more. */
static bool x86_goes_to(const uint8_t *code, size_t len, size_t from, size_t target)
{
	uint8_t opcode = code[from];
	int64_t next;

	if (opcode == 0xeb || (opcode >= 0x70 && opcode <= 0x7f) ||
	    (opcode >= 0xe0 && opcode <= 0xe3)) {
		if (from + 2 > len)
			return false;
		next = (int64_t)from + 2 + (int8_t)code[from + 1];
	} else if (opcode == 0xe9 || opcode == 0xe8 || (opcode >= 0x80 && opcode <= 0x8f)) {
		if (from + 5 > len) /* 80 to 8f: the second byte of jcc */
			return false;
		next = (int64_t)from + 5 + signed_32(code + from + 1);
	} else {
		return false;
	}
	return next == (int64_t)target;
}

/* --- arm64 --- */

static uint32_t word_at(const uint8_t *code)
{
	return (uint32_t)signed_32(code);
}

static bool is_arm64_branch(uint32_t word)
{
	return (word & 0x7c000000) == 0x14000000 || /* b, bl */
	       (word & 0xff000010) == 0x54000000 || /* b.cond */
	       (word & 0x7c000000) == 0x34000000 || /* cbz, cbnz, tbz, tbnz */
	       (word & 0xff9ffc1f) == 0xd61f0000; /* br, blr, ret */
}

/* Pairs of x registers, and single ones at an offset. Others are not understood. */
static bool decode_arm64_memory(uint32_t word, uint32_t *writes)
{
	uint32_t rt = word & 31, rn = word >> 5 & 31, rt2 = word >> 10 & 31;

	if ((word & 0xfe000000) == 0xa8000000) { /* stp, ldp */
		if (word & bit(22))
			*writes |= bit(rt) | bit(rt2);
		if (word & bit(23))
			*writes |= bit(rn);
		return true;
	}
	if ((word & 0x3f000000) == 0x39000000) { /* str, ldr at an unsigned offset */
		if (word >> 22 & 3)
			*writes |= bit(rt);
		return true;
	}
	return false;
}

static struct instruction decode_arm64(const uint8_t *code, size_t len)
{
	struct instruction in = {0};
	uint32_t word, rd;

	if (len < 4)
		return in;
	word = word_at(code);
	rd = word & 31;
	in.len = 4;
	if (is_arm64_branch(word)) {
		in.emulated = in.ends = true;
	} else if ((word & 0x1f000000) == 0x10000000) { /* adr, adrp */
		in.emulated = true;
		in.writes = bit(rd);
	} else if ((word & 0xfffff01f) == 0xd503201f) { /* hints: nop, bti, paciasp */
		return in;
	} else if ((word & 0x1c000000) == 0x10000000 || /* with an immediate */
		   (word & 0x1e000000) == 0x0a000000) { /* add, sub, and, orr of registers */
		in.writes = bit(rd);
		/* add x2, x1, x2 or add x2, x2, x1 */
		in.makes_end = word == 0x8b020022 || word == 0x8b010042;
	} else if (!decode_arm64_memory(word, &in.writes)) {
		in.len = 0;
	}
	return in;
}

static int64_t signed_field(uint32_t word, unsigned low, unsigned width)
{
	return (int64_t)((uint64_t)word << (64 - low - width)) >> (64 - width);
}

static bool arm64_goes_to(const uint8_t *code, size_t len, size_t from, size_t target)
{
	uint32_t word;
	int64_t words;

	if (from + 4 > len)
		return false;
	word = word_at(code + from);
	if ((word & 0x7c000000) == 0x14000000) /* b, bl */
		words = signed_field(word, 0, 26);
	else if ((word & 0x7e000000) == 0x36000000) /* tbz, tbnz */
		words = signed_field(word, 5, 14);
	else if ((word & 0xfe000000) == 0x54000000 || (word & 0x7e000000) == 0x34000000)
		words = signed_field(word, 5, 19);
	else
		return false;
	return (int64_t)from + 4 * words == (int64_t)target;
}

/* --- both --- */

static const struct machine machines[] = {
	[ELF_X86_64] = {decode_x86, x86_goes_to, {RDI, RSI, RDX, RCX}, RAX, 1},
	[ELF_ARM64] = {decode_arm64, arm64_goes_to, {0, 1, 2, 3}, 0, 4},
};

static bool is_branch_target(const struct machine *m, const uint8_t *code, size_t len,
			     size_t target)
{
	for (size_t from = 0; from < len; from += m->step) {
		if (m->goes_to(code, len, from, target))
			return true;
	}
	return false;
}

/* false: a wanted argument is lost. */
static bool follow(const struct machine *m, const struct instruction *in, unsigned arguments,
		   bool *third_is_end)
{
	if (arguments & PROLOGUE_RESULT && in->writes & bit(m->result))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (!(arguments & bit(i)) || !(in->writes & bit(m->argument[i])))
			continue;
		if (i != 2 || !in->makes_end || *third_is_end ||
		    !(arguments & PROLOGUE_ARG3_OR_END))
			return false;
		*third_is_end = true;
	}
	return true;
}

struct prologue_place prologue_find_from(enum elf_machine machine, const uint8_t *code, size_t len,
					 size_t begin, unsigned arguments)
{
	const struct machine *m = &machines[machine];
	struct prologue_place place = {0};
	bool third_is_end = false;
	size_t at = begin;

	if (arguments & PROLOGUE_ARG3_OR_END)
		arguments |= PROLOGUE_ARG3 | PROLOGUE_ARG2; /* the sum is worth nothing alone */
	for (int i = 0; i < INSTRUCTIONS_MAX && at < len; i++) {
		struct instruction in = m->decode(code + at, len - at);

		if (!in.len)
			break;
		if (in.emulated && (at == begin || !is_branch_target(m, code, len, at))) {
			place.offset = (uint16_t)(at - begin);
			place.emulated = true;
			place.third_is_end = third_is_end;
			break;
		}
		if (in.ends || !follow(m, &in, arguments, &third_is_end))
			break;
		at += in.len;
	}
	return place;
}

struct prologue_place prologue_find(enum elf_machine machine, const uint8_t *code, size_t len,
				    unsigned arguments)
{
	return prologue_find_from(machine, code, len < PROLOGUE_CODE_MAX ? len : PROLOGUE_CODE_MAX,
				  0, arguments);
}
