// SPDX-License-Identifier: Apache-2.0
/* Begins of functions as they are in OpenSSL of Debian 12, of the wheels of psycopg2 (x86-64 and
 * arm64) and of node 16 to 24, and made-up ones for what may go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../agent/prologue.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SESSION PROLOGUE_ARG1
#define DATA (PROLOGUE_ARG1 | PROLOGUE_ARG2 | PROLOGUE_ARG3)
#define DATA_AND_COUNT (DATA | PROLOGUE_ARG4)
#define DATA_OR_END (PROLOGUE_ARG1 | PROLOGUE_ARG3_OR_END)

struct function {
	const char *what;
	const char *code; /* hexadecimal; spaces do not count */
	unsigned arguments;
	struct prologue_place place;
};

static size_t bytes_of(uint8_t *to, size_t max, const char *hex)
{
	static const char digits[] = "0123456789abcdef";
	size_t count = 0;

	for (; *hex; hex++) {
		const char *digit = strchr(digits, *hex);

		if (*hex == ' ')
			continue;
		assert_non_null(digit);
		assert_true(count / 2 < max);
		to[count / 2] = (uint8_t)(to[count / 2] << 4 | (digit - digits));
		count++;
	}
	return count / 2;
}

static void assert_places(enum elf_machine machine, const struct function *functions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct function *f = &functions[i];
		uint8_t code[128] = {0};
		size_t len = bytes_of(code, sizeof(code), f->code);
		struct prologue_place place = prologue_find(machine, code, len, f->arguments);

		if (place.offset != f->place.offset || place.emulated != f->place.emulated ||
		    place.third_is_end != f->place.third_is_end)
			fail_msg("%s: at +%u%s%s", f->what, place.offset,
				 place.emulated ? " emulated" : "",
				 place.third_is_end ? " end" : "");
	}
}

static void functions_of_real_libraries_have_their_cheapest_place(void **state)
{
	static const struct function functions[] = {
		{"Debian's SSL_read_ex: a call",
		 "4883ec08 e8c7fdffff 31d2 85c0 0f48c2 4883c408 31d2 31c9 31f6 31ff c3",
		 DATA_AND_COUNT,
		 {4, true, false}},
		{"Debian's SSL_write_ex",
		 "4883ec08 e887fbffff 31d2 85c0 0f48c2 4883c408 c3",
		 DATA_AND_COUNT,
		 {4, true, false}},
		{"Debian's SSL_read: js behind the stack protector",
		 "4883ec18 64488b042528000000 4889442408 31c0 85d2 782f 4889e1 4863d2 e83d",
		 DATA,
		 {22, true, false}},
		{"Debian's SSL_free: je",
		 "4885ff 0f8497030000 4155 b8ffffffff 4154 55 53 4889fb 4883ec08",
		 SESSION,
		 {3, true, false}},
		{"Debian's SSL_get_error: jle",
		 "31c0 85f6 7e0a 31d2 31f6 31ff c3 0f1f00 55",
		 SESSION,
		 {4, true, false}},
		{"the wheel's SSL_read_ex",
		 "4883ec08 e8d7fdffff ba00000000 85c0 0f48c2 4883c408 c3",
		 DATA_AND_COUNT,
		 {4, true, false}},
		{"the wheel's SSL_write_ex: jmp, the fourth argument has moved",
		 "4989c8 31c9 e9d6ffffff",
		 DATA,
		 {5, true, false}},
		{"the same, all arguments wanted",
		 "4989c8 31c9 e9d6ffffff",
		 DATA_AND_COUNT,
		 {0, false, false}},
		{"the wheel's SSL_write",
		 "4883ec18 85d2 781b 31c9 4863d2 488d4c2408 e879fcffff",
		 DATA,
		 {6, true, false}},
		{"node 20's SSL_read: push",
		 "55 4889e5 4156 4155 4154 4883ec48 85d2 0f8837010000",
		 DATA,
		 {0, true, false}},
		{"node's SSL_free",
		 "4885ff 7416 b8ffffffff f00fc187e0090000 83e801 85c0 7407",
		 SESSION,
		 {3, true, false}},
		{"node's llhttp_execute: jmp, the length has become the end",
		 "4801f2 e978150000",
		 DATA_OR_END,
		 {3, true, true}},
		{"the same, the length wanted", "4801f2 e978150000", DATA, {0, false, false}},
		{"SSL_CTX_use_PrivateKey",
		 "4885f6 7413 488bbf58010000 e94fe8ffff",
		 SESSION,
		 {3, true, false}},
	};

	(void)state;
	assert_places(ELF_X86_64, functions, ARRAY_SIZE(functions));
}

static void functions_of_real_arm64_libraries_have_their_cheapest_place(void **state)
{
	static const struct function functions[] = {
		{"SSL_read: tbnz",
		 "fd7bbea9 fd030091 2201f837 427c4093 e3630091 86ffff97",
		 DATA,
		 {8, true, false}},
		{"SSL_read_ex: bl",
		 "fd7bbfa9 fd030091 6effff97 1f000071 00a09f1a fd7bc1a8 c0035fd6",
		 DATA_AND_COUNT,
		 {8, true, false}},
		{"SSL_write: bl, the fourth argument is set",
		 "fd7bbea9 fd030091 4201f837 427c4093 e3630091 030080d2 26ffff97",
		 DATA,
		 {8, true, false}},
		{"SSL_write_ex: b, the fourth argument has moved",
		 "e40303aa 030080d2 f6ffff17",
		 DATA,
		 {8, true, false}},
		{"the same, all wanted",
		 "e40303aa 030080d2 f6ffff17",
		 DATA_AND_COUNT,
		 {0, false, false}},
		{"SSL_free: cbz", "800400b4 fd7bbea9 01800091 fd030091", SESSION, {0, true, false}},
		{"SSL_get_error: b", "22008052 78ffff17", SESSION, {4, true, false}},
		{"SSL_CTX_use_PrivateKey: the context is lost behind cbz",
		 "fd7bbda9 fd030091 010500b4 e20300aa f35301a9",
		 SESSION,
		 {8, true, false}},
		{"SSL_do_handshake behind a landing pad",
		 "5f2403d5 a00700b4 fd7bbba9",
		 SESSION,
		 {4, true, false}},
		{"llhttp_execute", "2200028b 15010014", DATA_OR_END, {4, true, true}},
	};

	(void)state;
	assert_places(ELF_ARM64, functions, ARRAY_SIZE(functions));
}

static void a_landing_pad_is_stepped_over(void **state)
{
	static const struct function functions[] = {
		{"push", "f30f1efa 55 4889e5", DATA, {4, true, false}},
		{"sub, call", "f30f1efa 4883ec08 e8c7fdffff", DATA, {8, true, false}},
		{"a nop of one byte", "f30f1efa 90 0fa2", DATA, {4, true, false}},
		{"nothing emulated behind it", "f30f1efa c3", DATA, {0, false, false}},
	};

	(void)state;
	assert_places(ELF_X86_64, functions, ARRAY_SIZE(functions));
}

static void what_changes_an_argument_ends_the_search(void **state)
{
	static const struct function functions[] = {
		{"mov to the first", "4889d7 55", SESSION, {0, false, false}},
		{"mov to the first, unwanted", "4889d7 55", PROLOGUE_ARG2, {3, true, false}},
		{"a store where the first points to", "488917 55", SESSION, {3, true, false}},
		{"mov of 32 bits", "89d7 55", SESSION, {0, false, false}},
		{"lea to the second", "488d742408 55", PROLOGUE_ARG2, {0, false, false}},
		{"an immediate to the third", "ba01000000 55", PROLOGUE_ARG3, {0, false, false}},
		{"an immediate of 64 bits to another",
		 "49ba0807060504030201 55",
		 DATA,
		 {10, true, false}},
		{"an immediate to r10, whose low bits are the third's",
		 "41ba01000000 55",
		 PROLOGUE_ARG3,
		 {6, true, false}},
		{"and of the third", "4883e2f0 55", PROLOGUE_ARG3, {0, false, false}},
		{"cmp of the third", "4883fa10 55", PROLOGUE_ARG3, {4, true, false}},
		{"movslq of the third", "4863d2 55", PROLOGUE_ARG3, {0, false, false}},
		{"cmov to the fourth", "480f44c8 55", PROLOGUE_ARG4, {0, false, false}},
		{"the sum in lea", "488d1416 55", DATA_OR_END, {4, true, true}},
		{"the sum in add of the other form", "4803d6 55", DATA_OR_END, {3, true, true}},
		{"the sum twice", "4801f2 4801f2 55", DATA_OR_END, {0, false, false}},
		{"the sum, and the second lost", "4801f2 31f6 55", DATA_OR_END, {0, false, false}},
	};

	(void)state;
	assert_places(ELF_X86_64, functions, ARRAY_SIZE(functions));
}

static void what_is_not_understood_ends_the_search(void **state)
{
	static const struct function functions[] = {
		{"cpuid", "0fa2 55", DATA, {0, false, false}},
		{"lock", "f0ff0f 55", DATA, {0, false, false}},
		{"VEX", "c5f877 55", DATA, {0, false, false}},
		{"a jump with a prefix, which the kernel refuses to emulate",
		 "66e900000000 55",
		 DATA,
		 {0, false, false}},
		{"push with a needless prefix", "4855 4889e5", DATA, {0, false, false}},
		{"push imm", "6a01 55", DATA, {0, false, false}},
		{"ret", "31c0 c3 55", DATA, {0, false, false}},
		{"a jump through memory", "ff2500000000 55", DATA, {0, false, false}},
		{"a jump that is cut off", "e900", DATA, {0, false, false}},
		{"nothing", "", DATA, {0, false, false}},
	};

	(void)state;
	assert_places(ELF_X86_64, functions, ARRAY_SIZE(functions));
}

static void behind_a_call_its_result_is_kept(void **state)
{
	static const struct {
		const char *code;
		size_t begin;
		unsigned offset;
		bool emulated;
	} calls[] = {
		/* CPython 3.11 of pyenv: je; of Debian: a call */
		{"e800000000 89c5 85c0 0f8495010000 4c89ef", 5, 4, true},
		{"e800000000 488b7318 31ff 85c0 89c2 4189c5 400f94c7 e82dfcffff", 5, 17, true},
		/* the result is used up; a branch from before the call arrives at the je */
		{"e800000000 31c0 7405", 5, 0, false},
		{"7407 e800000000 85c0 7405", 7, 0, false},
		{"7406 e800000000 85c0 7405", 7, 2, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		uint8_t code[64];
		size_t len = bytes_of(code, sizeof(code), calls[i].code);
		struct prologue_place place =
			prologue_find_from(ELF_X86_64, code, len, calls[i].begin, PROLOGUE_RESULT);

		assert_int_equal(place.offset, calls[i].offset);
		assert_int_equal(place.emulated, calls[i].emulated);
	}
}

/* Hits would be counted too often, or calls missed. */
static void a_place_that_is_jumped_to_is_not_taken(void **state)
{
	static const struct function functions[] = {
		{"a loop back to the call", "4883ec08 e800000000 ebf9 c3", DATA, {0, false, false}},
		{"jcc back", "4883ec08 e800000000 75f9 c3", DATA, {0, false, false}},
		{"a long jcc back", "4883ec08 e800000000 0f85f5ffffff c3", DATA, {0, false, false}},
		{"a jump back to the entry, which is a call of its own",
		 "4883ec08 e800000000 ebf5",
		 DATA,
		 {4, true, false}},
		{"a push that is jumped to; the next one is not",
		 "4883ec08 55 4155 4154 ebf9",
		 DATA,
		 {5, true, false}},
	};
	static const struct function arm64[] = {
		{"b back to bl", "fd7bbfa9 6effff97 ffffff17", DATA, {0, false, false}},
		{"cbz back to bl", "fd7bbfa9 6effff97 e0ffffb4", DATA, {0, false, false}},
		{"tbz back to bl", "fd7bbfa9 6effff97 e0ff0736", DATA, {0, false, false}},
		{"b.eq back to bl", "fd7bbfa9 6effff97 e0ffff54", DATA, {0, false, false}},
	};

	(void)state;
	assert_places(ELF_X86_64, functions, ARRAY_SIZE(functions));
	assert_places(ELF_ARM64, arm64, ARRAY_SIZE(arm64));
}

static void arm64_instructions_that_change_arguments_end_the_search(void **state)
{
	static const struct function functions[] = {
		{"mov x0, x1", "e00301aa fd7bbfa9 10000014", SESSION, {0, false, false}},
		{"mov x0, x1 with another wanted",
		 "e00301aa 10000014",
		 PROLOGUE_ARG2,
		 {4, true, false}},
		{"ldr x1, [x0]", "010040f9 10000014", PROLOGUE_ARG2, {0, false, false}},
		{"str x1, [x0]", "010000f9 10000014", DATA, {4, true, false}},
		{"stp x29, x30, [x0, #-32]!", "1d7cbea9 10000014", SESSION, {0, false, false}},
		{"ldp x2, x3, [sp]", "e20f40a9 10000014", PROLOGUE_ARG4, {0, false, false}},
		{"adrp x0", "00000090 10000014", SESSION, {0, true, false}},
		{"sxtw x2, w2", "427c4093 10000014", PROLOGUE_ARG3, {0, false, false}},
		{"a vector load", "000040fd 10000014", DATA, {0, false, false}},
		{"half an instruction", "fd7b", DATA, {0, false, false}},
	};

	(void)state;
	assert_places(ELF_ARM64, functions, ARRAY_SIZE(functions));
}

/* Under ASan and UBSan, in a buffer of exactly its length. */
static void any_bytes_give_a_place_inside(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint8_t code[40];
		size_t len;

		for (size_t b = 0; b < sizeof(code); b++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			code[b] = (uint8_t)seed;
		}
		len = seed % sizeof(code);
		for (int machine = ELF_X86_64; machine <= ELF_ARM64; machine++) {
			struct prologue_place place = prologue_find(
				(enum elf_machine)machine, code + sizeof(code) - len, len, DATA);

			assert_true(place.offset == 0 || (place.offset < len && place.emulated));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_of_real_libraries_have_their_cheapest_place),
		cmocka_unit_test(functions_of_real_arm64_libraries_have_their_cheapest_place),
		cmocka_unit_test(a_landing_pad_is_stepped_over),
		cmocka_unit_test(what_changes_an_argument_ends_the_search),
		cmocka_unit_test(what_is_not_understood_ends_the_search),
		cmocka_unit_test(a_place_that_is_jumped_to_is_not_taken),
		cmocka_unit_test(behind_a_call_its_result_is_kept),
		cmocka_unit_test(arm64_instructions_that_change_arguments_end_the_search),
		cmocka_unit_test(any_bytes_give_a_place_inside),
	};

	return cmocka_run_group_tests_name("prologue", tests, NULL, NULL);
}
