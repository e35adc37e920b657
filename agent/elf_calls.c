// SPDX-License-Identifier: Apache-2.0
#include "elf_calls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "elf_file.h"
#include "prologue.h"

#define SLOTS_MAX 4
#define STUBS_MAX 12
#define RELOCATIONS_MAX (256 * 1024)
#define RELOCATIONS_CHUNK 1024

struct addresses { /* virtual ones */
	size_t count;
	uint64_t of[STUBS_MAX];
};

static void add(struct addresses *to, size_t max, uint64_t address)
{
	if (to->count < max)
		to->of[to->count++] = address;
}

static bool has(const struct addresses *addresses, uint64_t address)
{
	for (size_t i = 0; i < addresses->count; i++) {
		if (addresses->of[i] == address)
			return true;
	}
	return false;
}

/* --- slots --- */

static bool fills_slot(const struct elf_file *file, uint64_t info)
{
	uint64_t type = ELF64_R_TYPE(info);

	if (file->machine == ELF_X86_64)
		return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
	return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
}

static int find_slots(const struct elf_file *file, const struct elf_dynamic *dynamic,
		      const struct elf_range *table, const char *function, struct addresses *slots)
{
	cleanup_free Elf64_Rela *chunk = malloc(RELOCATIONS_CHUNK * sizeof(*chunk));
	uint64_t count = table->bytes / sizeof(*chunk);
	Elf64_Sym symbol;

	if (!chunk)
		return -ENOMEM;
	if (count > RELOCATIONS_MAX)
		count = RELOCATIONS_MAX;
	for (uint64_t first = 0; first < count; first += RELOCATIONS_CHUNK) {
		uint64_t left = count - first;
		size_t len = left < RELOCATIONS_CHUNK ? (size_t)left : RELOCATIONS_CHUNK;
		int error = elf_file_read(file, chunk, len * sizeof(*chunk),
					  table->offset + first * sizeof(*chunk));

		if (error)
			return error;
		for (size_t i = 0; i < len; i++) {
			if (fills_slot(file, chunk[i].r_info) &&
			    elf_file_element(file, &dynamic->symbols, ELF64_R_SYM(chunk[i].r_info),
					     &symbol, sizeof(symbol)) &&
			    elf_file_has_name(file, &dynamic->names, symbol.st_name, function))
				add(slots, SLOTS_MAX, chunk[i].r_offset);
		}
	}
	return 0;
}

/* --- code --- */

struct code {
	const uint8_t *bytes;
	size_t len;
	uint64_t address; /* virtual, of its first byte */
	uint64_t offset; /* in the file */
};

static int32_t signed_32(const uint8_t *at)
{
	int32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* jmp *slot(%rip), behind a landing pad and a bnd prefix or not: calls go to its begin. */
static void find_x86_stubs(const struct code *code, const struct addresses *slots,
			   struct addresses *stubs)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

	for (size_t i = 0; i + 6 <= code->len; i++) {
		size_t begin = i;

		if (code->bytes[i] != 0xff || code->bytes[i + 1] != 0x25 ||
		    !has(slots, code->address + i + 6 + (uint64_t)signed_32(code->bytes + i + 2)))
			continue;
		add(stubs, STUBS_MAX, code->address + begin);
		if (begin && code->bytes[begin - 1] == 0xf2)
			add(stubs, STUBS_MAX, code->address + --begin);
		if (begin >= 4 && memcmp(code->bytes + begin - 4, endbr64, 4) == 0)
			add(stubs, STUBS_MAX, code->address + begin - 4);
	}
}

/* The length of the call that begins at i; 0: none, or another's. */
static size_t x86_call(const struct code *code, size_t i, const struct addresses *slots,
		       const struct addresses *stubs)
{
	if (i + 5 <= code->len && code->bytes[i] == 0xe8 &&
	    has(stubs, code->address + i + 5 + (uint64_t)signed_32(code->bytes + i + 1)))
		return 5;
	if (i + 6 <= code->len && code->bytes[i] == 0xff && code->bytes[i + 1] == 0x15 &&
	    has(slots, code->address + i + 6 + (uint64_t)signed_32(code->bytes + i + 2)))
		return 6;
	return 0;
}

static uint64_t sign_extend(uint64_t value, unsigned bits)
{
	return (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits));
}

/* adrp x16, page; ldr x17, [x16, offset]; ... behind a landing pad or not. */
static void find_arm64_stubs(const struct code *code, const struct addresses *slots,
			     struct addresses *stubs)
{
	for (size_t i = 0; i + 8 <= code->len; i += 4) {
		uint32_t adrp = (uint32_t)signed_32(code->bytes + i);
		uint32_t ldr = (uint32_t)signed_32(code->bytes + i + 4);
		uint64_t page = (code->address + i) & ~0xfffull;

		if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
			continue;
		page += sign_extend((adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3), 21) << 12;
		if (!has(slots, page + (ldr >> 10 & 0xfff) * 8))
			continue;
		add(stubs, STUBS_MAX, code->address + i);
		if (i >= 4 && (uint32_t)signed_32(code->bytes + i - 4) == 0xd503245f) /* bti c */
			add(stubs, STUBS_MAX, code->address + i - 4);
	}
}

static size_t arm64_call(const struct code *code, size_t i, const struct addresses *stubs)
{
	uint32_t word;

	if (i + 4 > code->len)
		return 0;
	word = (uint32_t)signed_32(code->bytes + i);
	return (word & 0xfc000000) == 0x94000000 &&
			       has(stubs,
				   code->address + i + (sign_extend(word & 0x3ffffff, 26) << 2))
		       ? 4
		       : 0;
}

/* The place behind a call, at which branches of the code around do not arrive. */
static uint64_t place_behind(enum elf_machine machine, const struct code *code, size_t end)
{
	size_t begin = end > PROLOGUE_CODE_MAX ? end - PROLOGUE_CODE_MAX : 0;
	size_t len = code->len - begin;
	struct prologue_place place;

	if (len > 2 * PROLOGUE_CODE_MAX)
		len = 2 * PROLOGUE_CODE_MAX;
	place = prologue_find_from(machine, code->bytes + begin, len, end - begin, PROLOGUE_RESULT);
	return code->offset + end + place.offset;
}

struct search {
	const struct elf_file *file;
	struct addresses slots, stubs;
	uint64_t *places;
	size_t count, max;
	bool at; /* the calls themselves */
};

static void find_stubs(struct search *s, const struct code *code)
{
	if (s->file->machine == ELF_X86_64)
		find_x86_stubs(code, &s->slots, &s->stubs);
	else
		find_arm64_stubs(code, &s->slots, &s->stubs);
}

static void find_calls(struct search *s, const struct code *code)
{
	const size_t step = s->file->machine == ELF_X86_64 ? 1 : 4;

	for (size_t i = 0; i < code->len && s->count < s->max; i += step) {
		size_t call = s->file->machine == ELF_X86_64
				      ? x86_call(code, i, &s->slots, &s->stubs)
				      : arm64_call(code, i, &s->stubs);

		if (call && i + call < code->len)
			s->places[s->count++] =
				s->at ? code->offset + i
				      : place_behind(s->file->machine, code, i + call);
	}
}

/* Stubs and calls may be in different segments: the first pass is through all of them. */
static int look_through(struct search *s, void (*look)(struct search *s, const struct code *code))
{
	for (size_t i = 0; i < s->file->segment_count; i++) {
		const Elf64_Phdr *segment = &s->file->segments[i];
		cleanup_free uint8_t *bytes = NULL;
		struct code code = {.address = segment->p_vaddr, .offset = segment->p_offset};
		int error;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
		    segment->p_filesz > ELF_CALLS_CODE_MAX || segment->p_offset > INT64_MAX / 2)
			continue;
		code.len = segment->p_filesz;
		code.bytes = bytes = malloc(code.len + 1);
		if (!bytes)
			return -ENOMEM;
		error = elf_file_read(s->file, bytes, code.len, code.offset);
		if (error)
			return error;
		look(s, &code);
	}
	return 0;
}

static int find_places(int fd, const char *function, uint64_t *places, size_t max, bool at)
{
	struct elf_file file;
	struct elf_dynamic dynamic;
	struct search s = {.file = &file, .places = places, .max = max, .at = at};
	int error = elf_file_open(&file, fd);

	if (error || !elf_file_dynamic(&file, &dynamic))
		return error;
	error = find_slots(&file, &dynamic, &dynamic.call_relocations, function, &s.slots);
	if (!error)
		error = find_slots(&file, &dynamic, &dynamic.relocations, function, &s.slots);
	if (!error && s.slots.count)
		error = look_through(&s, find_stubs);
	if (!error && s.slots.count)
		error = look_through(&s, find_calls);
	return error ? error : (int)s.count;
}

int elf_calls_find(int fd, const char *function, uint64_t *places, size_t max)
{
	return find_places(fd, function, places, max, false);
}

int elf_calls_find_at(int fd, const char *function, uint64_t *places, size_t max)
{
	return find_places(fd, function, places, max, true);
}
