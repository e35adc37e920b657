// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/config_file.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static char why[512];

static int parse_bytes(struct config_file *f, const char *text, size_t len)
{
	/* a copy of the exact size, so that a sanitizer sees what is read behind it */
	char *copy = malloc(len ? len : 1);
	int error;

	memcpy(copy, text, len);
	memset(why, 0, sizeof(why));
	error = config_file_parse(f, "FILE", copy, len, why, sizeof(why));
	free(copy);
	if (error) {
		assert_int_equal(error, -EINVAL);
		assert_memory_equal(why, "FILE:", 5);
		assert_null(strchr(why, '\n'));
		assert_null(f->keys);
		assert_int_equal(f->key_count, 0);
	} else {
		assert_string_equal(why, "");
	}
	return error;
}

static int parse(struct config_file *f, const char *text)
{
	return parse_bytes(f, text, strlen(text));
}

static void assert_key(const struct config_file *f, size_t index, const char *name, size_t line,
		       bool list, size_t value_count)
{
	assert_true(index < f->key_count);
	assert_string_equal(f->keys[index].name, name);
	assert_int_equal(f->keys[index].line, line);
	assert_int_equal(f->keys[index].list, list);
	assert_int_equal(f->keys[index].value_count, value_count);
}

static void assert_value(const struct config_key *key, size_t index, const char *text, size_t line)
{
	assert_string_equal(key->values[index].text, text);
	assert_int_equal(key->values[index].line, line);
}

static void keys_and_values_come_in_order_with_their_lines(void **state)
{
	struct config_file f;

	(void)state;
	assert_int_equal(parse(&f, "# first\n"
				   "listen: 0.0.0.0:2488 # here\n"
				   "timeout: [2s,\n"
				   "  shop=5s, shop:/report=1m]\n"
				   "\n"
				   "route:\n"
				   "- /orders/{id}/items\n"
				   "  # between\n"
				   "- shop=/files/{path...}\n"
				   "slo-ignore: []\n"
				   "no-tls: true\n"),
			 0);
	assert_int_equal(f.key_count, 5);
	assert_key(&f, 0, "listen", 2, false, 1);
	assert_value(&f.keys[0], 0, "0.0.0.0:2488", 2);
	assert_key(&f, 1, "timeout", 3, true, 3);
	assert_value(&f.keys[1], 0, "2s", 3);
	assert_value(&f.keys[1], 1, "shop=5s", 4);
	assert_value(&f.keys[1], 2, "shop:/report=1m", 4);
	assert_key(&f, 2, "route", 6, true, 2);
	assert_value(&f.keys[2], 0, "/orders/{id}/items", 7);
	assert_value(&f.keys[2], 1, "shop=/files/{path...}", 9);
	assert_key(&f, 3, "slo-ignore", 10, true, 0);
	assert_key(&f, 4, "no-tls", 11, false, 1);
	assert_ptr_equal(config_file_find(&f, "no-tls"), &f.keys[4]);
	assert_null(config_file_find(&f, "no-cpu"));
	config_file_close(&f);
	config_file_close(&f);
}

static void a_value_is_its_text_whatever_yaml_takes_it_for(void **state)
{
	static const struct {
		const char *written, *text;
	} cases[] = {
		{"8", "8"},
		{"1.50", "1.50"},
		{"true", "true"},
		{"off", "off"},
		{"2026-11-22", "2026-11-22"},
		{"0x1F", "0x1F"},
		{"'null'", "null"},
		{"\"\"", ""},
		{"''", ""},
		{"\"[::1]:2488\"", "[::1]:2488"},
		{"\"a\\x41\\u00e9\"", "aA\u00e9"},
		{"'it''s'", "it's"},
		{"caf\u00e9", "caf\u00e9"},
		{"shop=cmd:*uvicorn* shop#1", "shop=cmd:*uvicorn* shop#1"},
		{">-\n  a=1,\n  b=2", "a=1, b=2"},
		{"a=1,\n  b=2", "a=1, b=2"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_file f;
		char text[128];

		snprintf(text, sizeof(text), "key: %s\n", cases[i].written);
		if (parse(&f, text))
			fail_msg("%s: %s", cases[i].written, why);
		assert_key(&f, 0, "key", 1, false, 1);
		assert_string_equal(f.keys[0].values[0].text, cases[i].text);
		config_file_close(&f);
	}
}

static void a_file_that_says_nothing_has_no_keys(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"# nothing\n",
		"---\n",
		"---\n...\n",
		"--- ~\n",
		"{}\n",
		"null\n",
		"%YAML 1.1\n---\n",
		"\xef\xbb\xbf# with a mark\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct config_file f;

		if (parse(&f, texts[i]))
			fail_msg("%s: %s", texts[i], why);
		assert_int_equal(f.key_count, 0);
		config_file_close(&f);
	}
}

#define REFERENCES \
	"anchors (&), aliases (*) and tags (!) are not understood; text that begins so is quoted"
#define CONTROL "a text with a line break or another control character"
#define NO_MAPPING \
	"'a' takes a text or a list of texts, no mapping; text with '{' or ': ' in it is quoted"
#define TEXTS                                                                                      \
	"'a' takes texts, no list or mapping as one of them; text with '[', '{' or ': ' in it is " \
	"quoted"

/* why NULL: whatever libyaml says. */
static const struct {
	const char *text, *why;
} wrong[] = {
	{"a: 1\nb: 2\na: 3\n", "FILE:3: 'a' is there twice, first in line 1"},
	{"\n\nonly text\n", "FILE:3: lines such as KEY: VALUE are wanted"},
	{"- a\n- b\n", "FILE:1: lines such as KEY: VALUE are wanted"},
	{"[a, b]: 1\n", "FILE:1: a key is a text, as in KEY: VALUE"},
	{"{a: 1}: 1\n", "FILE:1: a key is a text, as in KEY: VALUE"},
	{"a: 1\n? - b\n: 1\n", "FILE:2: a key is a text, as in KEY: VALUE"},
	{"a:\n", "FILE:1: 'a' has no value here"},
	{"a: ~\n", "FILE:1: 'a' has no value here"},
	{"a: null\n", "FILE:1: 'a' has no value here"},
	{"a: [1,\n NULL]\n", "FILE:2: 'a' has no value here"},
	{"a:\n  - 1\n  -\n", "FILE:3: 'a' has no value here"},
	{"a:\n  b: 1\n", "FILE:2: " NO_MAPPING},
	{"a: {id}\n", "FILE:1: " NO_MAPPING},
	{"a:\n  - 1\n  - b: 2\n", "FILE:3: " TEXTS},
	{"a: [1, [2]]\n", "FILE:1: " TEXTS},
	{"a: [1, {b: 2}]\n", "FILE:1: " TEXTS},
	{"a: &x 1\n", "FILE:1: " REFERENCES},
	{"a: 1\nb: *x\n", "FILE:2: " REFERENCES},
	{"&x a: 1\n", "FILE:1: " REFERENCES},
	{"*x : 1\n", "FILE:1: " REFERENCES},
	{"a: &x [1]\n", "FILE:1: " REFERENCES},
	{"&x\na: 1\n", "FILE:1: " REFERENCES},
	{"a: !!str 1\n", "FILE:1: " REFERENCES},
	{"a: !mine [1]\n", "FILE:1: " REFERENCES},
	{"!!map\na: 1\n", "FILE:1: " REFERENCES},
	{"a: ! 1\n", "FILE:1: " REFERENCES},
	{"a: 1\n---\nb: 2\n", "FILE:2: a second document begins here"},
	{"---\n---\n", "FILE:2: a second document begins here"},
	{"a: |\n  1\n", "FILE:1: " CONTROL},
	{"a: >\n  1\n", "FILE:1: " CONTROL},
	{"a: \"1\\n2\"\n", "FILE:1: " CONTROL},
	{"a: \"1\\02\"\n", "FILE:1: " CONTROL},
	{"a: \"\\e[31m\"\n", "FILE:1: " CONTROL},
	{"a: \"\\x7f\"\n", "FILE:1: " CONTROL},
	{"b: 1\n\"a\\0\": 1\n", "FILE:2: " CONTROL},
	{"a: 1\nb: \x01\n", "FILE:2: not YAML: control characters are not allowed"},
	{"a: 1\n\nb: \xff\n", "FILE:3: not YAML: invalid leading UTF-8 octet"},
	{"a: 1\nb\nc: 2\n", "FILE:3: not YAML: could not find expected ':' while scanning a "
			    "simple key that begins in line 2"},
	{"a: 1\n  b: 2\n", "FILE:2: not YAML: mapping values are not allowed in this "
			   "context"},
	{"a: 1\n\tb: 2\n", NULL},
	{"a: [1\nb: 2\n", NULL},
	{"a: 'open\n", NULL},
	{"a: @b\n", NULL},
	{"a: `b`\n", NULL},
	{"a: %b\n", NULL},
	{"a: [::]:2488\n", NULL},
	{"a: \"\\q\"\n", NULL},
	{"%YAML 3.0\n---\na: 1\n", NULL},
	{"%NEW x\n", NULL},
	{"a: 1\n}\n", NULL},
};

static void what_is_wrong_is_said_in_one_line_with_its_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct config_file f;

		if (!parse(&f, wrong[i].text))
			fail_msg("%s: nothing is wrong", wrong[i].text);
		if (wrong[i].why)
			assert_string_equal(why, wrong[i].why);
		else
			assert_non_null(strstr(why, ": not YAML: "));
	}
}

static void a_nul_is_no_end_of_the_file(void **state)
{
	static const char text[] = "a: 1\nb: 2\0\nc: 3\n";
	struct config_file f;

	(void)state;
	assert_int_equal(parse_bytes(&f, text, sizeof(text) - 1), -EINVAL);
	assert_string_equal(why, "FILE:2: not YAML: control characters are not allowed");
}

/* "a: [1, 1, ...]", count of them. */
static int parse_values(struct config_file *f, size_t count)
{
	char *text = malloc(3 * count + 16);
	int error, len = sprintf(text, "a: [1");

	for (size_t i = 1; i < count; i++)
		len += sprintf(text + len, ",\n1");
	sprintf(text + len, "]");
	error = parse(f, text);
	free(text);
	return error;
}

static int parse_keys(struct config_file *f, size_t count)
{
	char *text = malloc(16 * count + 1);
	int error, len = 0;

	for (size_t i = 0; i < count; i++)
		len += sprintf(text + len, "k%zu: 1\n", i);
	error = parse(f, text);
	free(text);
	return error;
}

static void keys_and_values_are_bounded(void **state)
{
	struct config_file f;

	(void)state;
	assert_int_equal(parse_values(&f, CONFIG_FILE_VALUES_MAX), 0);
	assert_key(&f, 0, "a", 1, true, CONFIG_FILE_VALUES_MAX);
	config_file_close(&f);
	assert_int_equal(parse_values(&f, CONFIG_FILE_VALUES_MAX + 1), -EINVAL);
	assert_string_equal(why, "FILE:10001: more than 10000 values");
	assert_int_equal(parse_keys(&f, CONFIG_FILE_KEYS_MAX), 0);
	assert_int_equal(f.key_count, CONFIG_FILE_KEYS_MAX);
	config_file_close(&f);
	assert_int_equal(parse_keys(&f, CONFIG_FILE_KEYS_MAX + 1), -EINVAL);
	assert_string_equal(why, "FILE:101: more than 100 keys");
}

/* front once, then as many times unit as fit into the largest file. */
static int parse_filled(const char *front, const char *unit)
{
	char *text = malloc(CONFIG_FILE_LEN_MAX);
	size_t len = strlen(front), unit_len = strlen(unit);
	struct config_file f;
	int error;

	memcpy(text, front, len);
	for (; len + unit_len <= CONFIG_FILE_LEN_MAX; len += unit_len)
		memcpy(text + len, unit, unit_len);
	error = parse_bytes(&f, text, len);
	config_file_close(&f);
	free(text);
	return error;
}

/* libyaml itself takes seconds for some of these when it is asked for all of it. */
static void a_file_full_of_nesting_is_refused_at_its_second_level(void **state)
{
	static const struct {
		const char *front, *unit;
	} cases[] = {
		{"", "["},        {"", "{"},    {"", "{a: "},        {"", "- "},
		{"", "? "},       {"a: ", "["}, {"a: ", "{a: "},     {"a:\n- ", "- "},
		{"a: [", "[a, "}, {"", "&a "},  {"a: ", "&b [*b, "}, {"a: ", "!x "},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(parse_filled(cases[i].front, cases[i].unit), -EINVAL);
}

static void a_file_full_of_one_text_is_one_value(void **state)
{
	(void)state;
	assert_int_equal(parse_filled("a: ", "b"), 0);
	assert_int_equal(parse_filled("a: ", "b\n  "), 0);
	assert_int_equal(parse_filled("a: 1\n", "#"), 0);
	assert_int_equal(parse_filled("a: 1\n", "\n"), 0);
	assert_int_equal(parse_filled("a: \"", "\\x41"), -EINVAL);
	assert_int_equal(parse_filled("", "b"), -EINVAL);
}

/* Whatever a byte is changed to, or where the file is cut: it is read, or there is one line. */
static void no_byte_of_a_file_can_be_wrong_without_a_line(void **state)
{
	static const char text[] = "# c\n---\nlisten: \"[::]:1\"\nt: [2s, 'b'''] # x\n"
				   "r:\n  - /a/{id}\n  - >-\n    b\n    c\nno: true\n...\n";
	static const char bytes[] = "\0\t\n\r #%&*!|>-?:,[]{}'\"\\@`~a0.\x7f\x80\xc3\xff";
	struct config_file f;

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		parse_bytes(&f, text, len);
		config_file_close(&f);
	}
	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			char changed[sizeof(text)];

			memcpy(changed, text, sizeof(text));
			changed[at] = bytes[i];
			parse_bytes(&f, changed, sizeof(text) - 1);
			config_file_close(&f);
		}
	}
}

static void a_long_name_does_not_break_the_line(void **state)
{
	char text[4096], *end = text + sizeof(text) - 8, little[24];
	struct config_file f;

	(void)state;
	memset(text, 'k', sizeof(text));
	memcpy(text, "\"", 1);
	memcpy(end, "\": ~\n", 6);
	assert_int_equal(parse(&f, text), -EINVAL); /* no simple key is so long */
	memcpy(text + 900, "\": ~\n", 6);
	assert_int_equal(parse(&f, text), -EINVAL);
	assert_int_equal(strlen(why), strlen("FILE:1: '' has no value here") + 100);
	assert_int_equal(config_file_parse(&f, "FILE", text, strlen(text), little, sizeof(little)),
			 -EINVAL);
	assert_string_equal(little, "FILE:1: 'kkkkkkkkkkkkkk");
}

static void a_file_that_cannot_be_read_is_told(void **state)
{
	struct config_file f;

	(void)state;
	assert_int_equal(config_file_read(&f, "/no/such/file", why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "/no/such/file: No such file or directory");
	assert_int_equal(config_file_read(&f, "", why, sizeof(why)), -ENOENT);
	assert_int_equal(config_file_read(&f, "/", why, sizeof(why)), -EISDIR);
	assert_string_equal(why, "/: Is a directory");
	assert_int_equal(config_file_read(&f, "/dev/zero", why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "/dev/zero: more than 256 KB");
	assert_null(f.keys);
	config_file_close(&f);
}

static void a_pipe_is_read_to_its_end(void **state)
{
	struct config_file f;
	char path[32];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "a: 1\nb: [2", 10), 10);
	assert_int_equal(write(ends[1], "]\n", 2), 2);
	close(ends[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	assert_int_equal(config_file_read(&f, path, why, sizeof(why)), 0);
	assert_int_equal(f.key_count, 2);
	assert_value(&f.keys[1], 0, "2", 2);
	config_file_close(&f);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_values_come_in_order_with_their_lines),
		cmocka_unit_test(a_value_is_its_text_whatever_yaml_takes_it_for),
		cmocka_unit_test(a_file_that_says_nothing_has_no_keys),
		cmocka_unit_test(what_is_wrong_is_said_in_one_line_with_its_line),
		cmocka_unit_test(a_nul_is_no_end_of_the_file),
		cmocka_unit_test(keys_and_values_are_bounded),
		cmocka_unit_test(a_file_full_of_nesting_is_refused_at_its_second_level),
		cmocka_unit_test(a_file_full_of_one_text_is_one_value),
		cmocka_unit_test(no_byte_of_a_file_can_be_wrong_without_a_line),
		cmocka_unit_test(a_long_name_does_not_break_the_line),
		cmocka_unit_test(a_file_that_cannot_be_read_is_told),
		cmocka_unit_test(a_pipe_is_read_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
