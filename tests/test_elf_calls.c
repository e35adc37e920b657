// SPDX-License-Identifier: Apache-2.0
/* Calls of this very program, whose return addresses the program itself tells, and files made by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <search.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../agent/cleanup.h"
#include "../agent/elf_calls.h"
#include "../agent/elf_file.h"
#include "own_file.h"

/* --- this program --- */

static const void *returns_to[2]; /* of the callers of lfind and lsearch */

extern const char __executable_start[], etext[];

/* What called the function of libc that calls this: the first address within this program. */
static int compare(const void *a, const void *b)
{
	void *addresses[16];
	int count = backtrace(addresses, 16), i = 1;

	while (i < count && (const char *)addresses[i] >= __executable_start &&
	       (const char *)addresses[i] < etext)
		i++; /* this function's own, if the compiler split it */
	while (i < count && ((const char *)addresses[i] < __executable_start ||
			     (const char *)addresses[i] >= etext))
		i++;
	assert_true(i < count);
	returns_to[*(const int *)a] = addresses[i];
	return *(const int *)a - *(const int *)b;
}

/* One call each, so that there is one place; not inlined, so that it stays one. */
__attribute__((noinline)) static void *find_by_stub(const int *key, const int *of, size_t *count)
{
	void *found = lfind(key, of, count, sizeof(*of), compare);

	return found ? found : returns_to;
}

void *lsearch(const void *key, void *base, size_t *count, size_t width, comparison_fn_t compare)
	__attribute__((noplt));

__attribute__((noinline)) static void *find_by_slot(const int *key, int *of, size_t *count)
{
	void *found = lsearch(key, of, count, sizeof(*of), compare);

	return found ? found : returns_to;
}

static void the_place_is_behind_the_call(void **state)
{
	static const char *const names[] = {"lfind", "lsearch"};
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int keys[] = {0, 1};
	size_t count = 2;
	uint64_t places[4];

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* calls of libc go to the sanitizer */
#endif
	assert_ptr_equal(find_by_stub(&keys[0], keys, &count), &keys[0]);
	assert_ptr_equal(find_by_slot(&keys[1], keys, &count), &keys[1]);
	for (int i = 0; i < 2; i++) {
		uint64_t behind = own_file_offset(returns_to[i]);

		assert_int_equal(elf_calls_find(fd, names[i], places, 4), 1);
		assert_true(places[0] >= behind && places[0] < behind + 64);
	}
}

static void what_is_not_called_has_no_place(void **state)
{
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t places[4];

	(void)state;
	assert_int_equal(elf_calls_find(fd, "SSL_read_ex", places, 4), 0);
	assert_int_equal(elf_calls_find(fd, "", places, 4), 0);
	assert_int_equal(elf_calls_find(-1, "lfind", places, 4), -ENOEXEC);
}

/* --- a file made by hand --- */

#define CODE 0x1000 /* offset and address */
#define SLOT 0x3008
#define FILE_BYTES 0x1100

struct made {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	Elf64_Dyn dynamic[7];
	Elf64_Sym symbols[2];
	Elf64_Rela calls[1];
	char names[16];
};

#define AT(member) offsetof(struct made, member)

static int make(uint16_t machine, uint32_t relocation, const uint8_t *code, size_t len)
{
	struct made file = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_type = ET_DYN,
			   .e_machine = machine,
			   .e_phoff = AT(segments),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 2},
		.segments = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = FILE_BYTES},
			     {.p_type = PT_DYNAMIC,
			      .p_offset = AT(dynamic),
			      .p_filesz = sizeof(file.dynamic)}},
		.dynamic = {{DT_SYMTAB, {AT(symbols)}},
			    {DT_STRTAB, {AT(names)}},
			    {DT_STRSZ, {sizeof(file.names)}},
			    {DT_JMPREL, {AT(calls)}},
			    {DT_PLTRELSZ, {sizeof(file.calls)}}},
		.symbols = {{0}, {.st_name = 1}},
		.calls = {{.r_offset = SLOT, .r_info = ELF64_R_INFO(1, relocation)}},
		.names = "\0callee",
	};
	int fd = memfd_create("made", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	assert_int_equal(pwrite(fd, &file, sizeof(file), 0), sizeof(file));
	assert_int_equal(pwrite(fd, code, len, CODE), (ssize_t)len);
	return fd;
}

/* A stub with a landing pad and a prefix, and three calls of it, one of another function. */
static void calls_by_stubs_with_landing_pads_are_found(void **state)
{
	static const uint8_t code[] = {
		0xf3, 0x0f, 0x1e, 0xfa, /* 1000: endbr64 */
		0xf2, 0xff, 0x25, 0xfd, 0x1f, 0x00, 0x00, /* bnd jmp *3008 */
		0xe8, 0xf0, 0xff, 0xff, 0xff, /* 100b: call 1000 */
		0x85, 0xc0, 0x74, 0x01, 0xc3, /* test, je at 1012 */
		0xe8, 0xea, 0xff, 0xff, 0xff, /* 1015: call 1004 */
		0x53, /* 101a: push */
		0xe8, 0xe0, 0xff, 0xff, 0xff, /* call 1000 */
		0xc3, /* 1020: ret: no better place */
		0xe8, 0x00, 0x00, 0x00, 0x00, /* call of another */
		0x53,
	};
	cleanup_close int fd = make(EM_X86_64, R_X86_64_JUMP_SLOT, code, sizeof(code));
	uint64_t places[4];

	(void)state;
	assert_int_equal(elf_calls_find(fd, "callee", places, 4), 3);
	assert_int_equal(places[0], 0x1012);
	assert_int_equal(places[1], 0x101a);
	assert_int_equal(places[2], 0x1020);
	assert_int_equal(elf_calls_find(fd, "callee", places, 2), 2);
	assert_int_equal(elf_calls_find(fd, "calle", places, 4), 0);
	assert_int_equal(elf_calls_find(fd, "allee", places, 4), 0);
}

static void calls_of_arm64_are_found(void **state)
{
	static const uint32_t code[] = {
		0xd503245f, /* 1000: bti c */
		0xd0000010, /* adrp x16, 3000 */
		0xf9400611, /* ldr x17, [x16, #8] */
		0x91002210, /* add x16, x16, #8 */
		0xd61f0220, /* br x17 */
		0x97fffffb, /* 1014: bl 1000 */
		0x7100001f, /* 1018: cmp w0, #0 */
		0x54000040, /* 101c: b.eq */
		0x97fffff9, /* 1020: bl 1004 */
		0xd65f03c0, /* 1024: ret, which is emulated */
		0x94000000, /* bl of another */
	};
	cleanup_close int fd =
		make(EM_AARCH64, R_AARCH64_JUMP_SLOT, (const uint8_t *)code, sizeof(code));
	uint64_t places[4];

	(void)state;
	assert_int_equal(elf_calls_find(fd, "callee", places, 4), 2);
	assert_int_equal(places[0], 0x101c);
	assert_int_equal(places[1], 0x1024);
}

/* Under ASan and UBSan. */
static void damaged_files_do_no_harm(void **state)
{
	static const uint64_t values[] = {0, 1, 0xff, 0x7fffffff, INT64_MAX, UINT64_MAX};
	static const uint8_t code[] = {0xff, 0x25, 0x02, 0x20, 0x00, 0x00,
				       0xe8, 0xf5, 0xff, 0xff, 0xff, 0x53};
	cleanup_close int fd = make(EM_X86_64, R_X86_64_JUMP_SLOT, code, sizeof(code));
	uint64_t places[4], kept;

	(void)state;
	assert_int_equal(elf_calls_find(fd, "callee", places, 4), 1);
	for (size_t at = 0; at < sizeof(struct made) - sizeof(kept); at++) {
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			assert_int_equal(pread(fd, &kept, sizeof(kept), (off_t)at), sizeof(kept));
			assert_int_equal(pwrite(fd, &values[i], sizeof(kept), (off_t)at),
					 sizeof(kept));
			assert_true(elf_calls_find(fd, "callee", places, 4) <= 1);
			assert_int_equal(pwrite(fd, &kept, sizeof(kept), (off_t)at), sizeof(kept));
		}
	}
	assert_int_equal(ftruncate(fd, CODE + 8), 0);
	assert_int_equal(elf_calls_find(fd, "callee", places, 4), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_place_is_behind_the_call),
		cmocka_unit_test(what_is_not_called_has_no_place),
		cmocka_unit_test(calls_by_stubs_with_landing_pads_are_found),
		cmocka_unit_test(calls_of_arm64_are_found),
		cmocka_unit_test(damaged_files_do_no_harm),
	};

	return cmocka_run_group_tests_name("elf_calls", tests, NULL, NULL);
}
