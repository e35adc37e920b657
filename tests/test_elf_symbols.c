// SPDX-License-Identifier: Apache-2.0
/* The truth is what the dynamic loader says of the libraries of this very program, and the linker
 * of the program itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../agent/cleanup.h"
#include "../agent/elf_symbols.h"
#include "own_file.h"

#if defined(__x86_64__)
#define OWN_MACHINE ELF_X86_64
#else
#define OWN_MACHINE ELF_ARM64
#endif

/* Not exported, so in .symtab only. */
__attribute__((noinline)) static int elf_test_marker(int n)
{
	return n * 3 + 1;
}

static const char *library_of(const char *name, void **address)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	Dl_info info;

	assert_non_null(libc);
	*address = dlsym(libc, name); /* not a sanitizer's function of that name */
	dlclose(libc);
	assert_non_null(*address);
	assert_true(dladdr(*address, &info));
	return info.dli_fname;
}

static void functions_of_a_library_are_found_where_the_loader_put_them(void **state)
{
	struct elf_symbol symbols[] = {{.name = "qsort"}, {.name = "fseek"}, {.name = "getenv"}};
	enum elf_machine machine;
	void *address;
	cleanup_close int fd = open(library_of("qsort", &address), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(elf_symbols_find(fd, symbols, 3, &machine), 0);
	assert_int_equal(machine, OWN_MACHINE);
	for (int i = 0; i < 3; i++) {
		library_of(symbols[i].name, &address);
		assert_int_equal(symbols[i].offset, own_file_offset(address));
		assert_true(symbols[i].size > 0);
	}
}

static void what_is_not_there_has_no_place(void **state)
{
	/* a variable, a function of another library, and none at all */
	struct elf_symbol symbols[] = {{.name = "environ"},
				       {.name = "SSL_read_ex"},
				       {.name = ""},
				       {.name = "qsort"},
				       {.name = "qsor"}};
	enum elf_machine machine;
	void *address;
	cleanup_close int fd = open(library_of("qsort", &address), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(elf_symbols_find(fd, symbols, 5, &machine), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(symbols[i].offset ? 1 : 0, i == 3);
}

static void a_program_that_exports_nothing_has_its_symbol_table(void **state)
{
	struct elf_symbol symbols[] = {{.name = "elf_test_marker"}, {.name = "elf_test_mark"}};
	enum elf_machine machine;
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(elf_symbols_find(fd, symbols, 2, &machine), 0);
	assert_int_equal(symbols[0].offset, own_file_offset((const void *)elf_test_marker));
	assert_int_equal(symbols[1].offset, 0);
	assert_int_equal(elf_test_marker(2), 7);
}

static int copy_to_memory(const char *path, size_t *len)
{
	cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("elf", MFD_CLOEXEC);
	char buffer[65536];
	ssize_t n;

	*len = 0;
	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, buffer, sizeof(buffer))) > 0) {
		assert_int_equal(write(to, buffer, (size_t)n), n);
		*len += (size_t)n;
	}
	return to;
}

static void strip_sections(int fd)
{
	Elf64_Ehdr header;

	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
}

static void a_stripped_library_has_its_dynamic_symbols(void **state)
{
	struct elf_symbol symbol = {.name = "qsort"};
	enum elf_machine machine;
	size_t len;
	void *address;
	cleanup_close int fd = copy_to_memory(library_of("qsort", &address), &len);

	(void)state;
	strip_sections(fd);
	assert_int_equal(elf_symbols_find(fd, &symbol, 1, &machine), 0);
	assert_int_equal(symbol.offset, own_file_offset(address));
}

static void a_stripped_program_that_exports_nothing_has_nothing(void **state)
{
	struct elf_symbol symbol = {.name = "elf_test_marker"};
	enum elf_machine machine;
	size_t len;
	cleanup_close int fd = copy_to_memory("/proc/self/exe", &len);

	(void)state;
	strip_sections(fd);
	assert_int_equal(elf_symbols_find(fd, &symbol, 1, &machine), 0);
	assert_int_equal(symbol.offset, 0);
}

/* Only sections are left to go by when the loader's table has no hash table. */
static void without_a_hash_table_the_dynamic_symbols_are_read_through(void **state)
{
	struct elf_symbol symbol = {.name = "qsort"};
	enum elf_machine machine;
	size_t len;
	void *address;
	cleanup_close int fd = copy_to_memory(library_of("qsort", &address), &len);
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	(void)state;
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	for (int i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + (size_t)i * sizeof(segment));

		assert_int_equal(pread(fd, &segment, sizeof(segment), at), sizeof(segment));
		if (segment.p_type != PT_DYNAMIC)
			continue;
		segment.p_type = PT_NULL;
		assert_int_equal(pwrite(fd, &segment, sizeof(segment), at), sizeof(segment));
	}
	assert_int_equal(elf_symbols_find(fd, &symbol, 1, &machine), 0);
	assert_int_equal(symbol.offset, own_file_offset(address));
}

static void what_is_no_such_file_is_refused(void **state)
{
	struct elf_symbol symbol = {.name = "qsort"};
	enum elf_machine machine;
	size_t len;
	void *address;
	cleanup_close int text = memfd_create("text", MFD_CLOEXEC);
	cleanup_close int fd = copy_to_memory(library_of("qsort", &address), &len);
	const unsigned char class_32 = ELFCLASS32;

	(void)state;
	assert_int_equal(elf_symbols_find(text, &symbol, 1, &machine), -ENOEXEC);
	assert_int_equal(write(text, "#!/bin/sh\n", 10), 10);
	assert_int_equal(elf_symbols_find(text, &symbol, 1, &machine), -ENOEXEC);
	assert_int_equal(pwrite(fd, &class_32, 1, EI_CLASS), 1);
	assert_int_equal(elf_symbols_find(fd, &symbol, 1, &machine), -ENOEXEC);
	assert_int_equal(elf_symbols_find(-1, &symbol, 1, &machine), -ENOEXEC);
}

static void a_file_cut_anywhere_gives_a_place_inside_or_none(void **state)
{
	struct elf_symbol symbol = {.name = "elf_test_marker"};
	enum elf_machine machine;
	size_t len;
	cleanup_close int fd = copy_to_memory("/proc/self/exe", &len);

	(void)state;
	for (int parts = 64; parts > 0; parts--) {
		size_t left = len * (size_t)(parts - 1) / 64;

		assert_int_equal(ftruncate(fd, (off_t)left), 0);
		elf_symbols_find(fd, &symbol, 1, &machine);
		assert_true(parts == 64 || symbol.offset == 0); /* sections are at the end */
	}
}

/* Under ASan and UBSan: any number in the tables may be anything. */
static void damaged_tables_do_no_harm(void **state)
{
	static const uint64_t values[] = {0,          1,         0xff,      0x7fffffff,
					  0xffffffff, INT64_MAX, UINT64_MAX};
	struct elf_symbol symbols[] = {{.name = "qsort"}, {.name = "not_there_at_all"}};
	enum elf_machine machine;
	size_t len, tables = 0;
	void *address;
	cleanup_close int fd = copy_to_memory(library_of("qsort", &address), &len);
	uint64_t seed = 88172645463325252ull;

	(void)state;
	strip_sections(fd);
	tables = len / 8 < 30000 ? len / 8 : 30000; /* headers, hash table, the first symbols */
	for (int i = 0; i < 20000; i++) {
		uint64_t kept, value;
		off_t at;

		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		at = (off_t)(seed % (i & 1 ? tables : 128) * 8 + (seed >> 40) % 8);
		value = (seed >> 50) % 8 < 7 ? values[(seed >> 50) % 8] : seed;
		assert_int_equal(pread(fd, &kept, sizeof(kept), at), sizeof(kept));
		assert_int_equal(pwrite(fd, &value, sizeof(value), at), sizeof(value));
		elf_symbols_find(fd, symbols, 2, &machine);
		assert_int_equal(symbols[1].offset, 0);
		assert_int_equal(pwrite(fd, &kept, sizeof(kept), at), sizeof(kept));
	}
	assert_int_equal(elf_symbols_find(fd, symbols, 2, &machine), 0);
	assert_int_equal(symbols[0].offset, own_file_offset(address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_of_a_library_are_found_where_the_loader_put_them),
		cmocka_unit_test(what_is_not_there_has_no_place),
		cmocka_unit_test(a_program_that_exports_nothing_has_its_symbol_table),
		cmocka_unit_test(a_stripped_library_has_its_dynamic_symbols),
		cmocka_unit_test(a_stripped_program_that_exports_nothing_has_nothing),
		cmocka_unit_test(without_a_hash_table_the_dynamic_symbols_are_read_through),
		cmocka_unit_test(what_is_no_such_file_is_refused),
		cmocka_unit_test(a_file_cut_anywhere_gives_a_place_inside_or_none),
		cmocka_unit_test(damaged_tables_do_no_harm),
	};

	return cmocka_run_group_tests_name("elf_symbols", tests, NULL, NULL);
}
