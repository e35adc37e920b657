// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/resident.h"

extern const uint8_t __executable_start[], etext[]; /* the linker's */

static uint64_t sum_of_code(void)
{
	uint64_t sum = 0;

	for (const volatile uint8_t *p = __executable_start; p < etext; p++)
		sum = sum * 31 + *p;
	return sum;
}

/* KB of the program's code, of which all is. */
static size_t resident_code(size_t *all)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	size_t resident = 0, value;
	unsigned long start, end;
	bool inside = false;
	char line[4096];

	assert_non_null(maps);
	*all = 0;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start < (uintptr_t)etext && end > (uintptr_t)__executable_start;
		else if (inside && sscanf(line, "Rss: %zu kB", &value) == 1)
			resident += value;
		else if (inside && sscanf(line, "Size: %zu kB", &value) == 1)
			*all += value;
	}
	fclose(maps);
	return resident;
}

static void code_leaves_memory_and_comes_back_as_it_was(void **state)
{
	uint64_t sum = sum_of_code();
	size_t all, before = resident_code(&all), after;

	(void)state;
	assert_int_equal(before, all);
	resident_give_back();
	after = resident_code(&all);
	assert_true(after < before / 2);
	assert_true(sum_of_code() == sum);
	assert_int_equal(resident_code(&all), before);
}

static int variable = 1;
static int *volatile const relocated = &variable; /* constant, but no file has it */

static void what_is_in_no_file_stays(void **state)
{
	(void)state;
	variable = 2;
	resident_give_back();
	assert_int_equal(*relocated, 2);
	assert_ptr_equal(relocated, &variable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_leaves_memory_and_comes_back_as_it_was),
		cmocka_unit_test(what_is_in_no_file_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
