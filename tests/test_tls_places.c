// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../agent/cleanup.h"
#include "../agent/tls_places.h"

enum { WRITE, READ_END, PARSE, FREE, PROBE_COUNT };

static const struct tls_probe probes[PROBE_COUNT] = {
	[WRITE] = {.function = "SSL_write",
		   .arguments = PROLOGUE_ARG1,
		   .files = TLS_FILE_LIBSSL | TLS_FILE_NODE},
	[READ_END] = {.function = "SSL_read_ex",
		      .place = TLS_PLACE_BEHIND_CALL_OR_RETURN,
		      .files = TLS_FILE_LIBSSL | TLS_FILE_CALLER},
	[PARSE] = {.function = "llhttp_execute",
		   .arguments = PROLOGUE_ARG3_OR_END,
		   .files = TLS_FILE_NODE},
	[FREE] = {.function = "SSL_free",
		  .arguments = PROLOGUE_ARG1,
		  .files = TLS_FILE_LIBSSL | TLS_FILE_NODE},
};

static int open_made(const char *name)
{
	char path[640] = {0}, *directory;
	int fd;

	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 64) > 0);
	directory = dirname(path);
	strcat(directory, "/tls_made/");
	strcat(directory, name);
	fd = open(directory, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void names_tell_where_to_look(void **state)
{
	static const struct {
		const char *path;
		bool may, should; /* of 20 MB */
	} files[] = {
		{"/usr/lib/x86_64-linux-gnu/libssl.so.3", true, true},
		{"/usr/lib/libssl.so.1.1 (deleted)", true, true},
		{"/venv/psycopg2_binary.libs/libssl-8bd944e8.so.3", true, true},
		{"/usr/lib/libssl3.so", true, false}, /* NSS */
		{"/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", true,
		 true},
		{"/usr/local/bin/node", true, true},
		{"/usr/lib/libnode.so.108", true, false},
		{"/usr/bin/python3.11", true, false},
		{"/opt/lib/libpython3.12.so.1.0", true, false},
		{"/usr/lib/libcrypto.so.3", false, false},
		{"/srv/libssl.so.3/libother.so", false, false},
		{"[vdso]", false, false},
		{"//anon", false, false},
		{"", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_int_equal(tls_places_may_be_in(files[i].path), files[i].may);
		assert_int_equal(tls_places_should_be_in(files[i].path, 20 << 20), files[i].should);
	}
	assert_false(tls_places_should_be_in("/usr/bin/node", 50000)); /* loads libnode */
}

static void a_library_has_entries_and_returns(void **state)
{
	struct tls_places places;
	cleanup_close int fd = open_made("libssl.so.3");

	(void)state;
	assert_int_equal(tls_places_find(&places, fd, "/x/libssl.so.3", probes, PROBE_COUNT), 0);
	assert_int_equal(places.kind, TLS_FILE_LIBSSL);
	assert_int_equal(places.of[WRITE].count, 1);
	assert_false(places.of[WRITE].is_return);
	assert_int_equal(places.of[WRITE].cookie, 0);
	assert_int_equal(places.of[READ_END].count, 1);
	assert_true(places.of[READ_END].is_return);
	assert_int_equal(places.of[PARSE].count, 0);
	assert_int_equal(places.of[FREE].count, 0); /* it has none */
}

static void what_calls_a_library_has_places_behind_calls(void **state)
{
	struct tls_places places;
	cleanup_close int fd = open_made("_ssl.made.so");

	(void)state;
	assert_int_equal(tls_places_find(&places, fd, "/x/_ssl.so", probes, PROBE_COUNT), 0);
	assert_int_equal(places.kind, TLS_FILE_CALLER);
	assert_int_equal(places.of[READ_END].count, 1);
	assert_false(places.of[READ_END].is_return);
	assert_int_equal(places.of[WRITE].count, 0);
}

static void a_program_with_the_parser_inside_is_a_node(void **state)
{
	struct tls_places places;
	cleanup_close int fd = open_made("node");

	(void)state;
	assert_int_equal(tls_places_find(&places, fd, "/x/node", probes, PROBE_COUNT), 0);
	assert_int_equal(places.kind, TLS_FILE_NODE);
	assert_int_equal(places.of[WRITE].count, 1);
	assert_int_equal(places.of[WRITE].cookie, TLS_COOKIE_NODE);
	assert_int_equal(places.of[PARSE].count, 1);
	assert_int_equal(places.of[PARSE].cookie & ~(uint64_t)TLS_COOKIE_END, TLS_COOKIE_NODE);
	assert_int_equal(places.of[READ_END].count, 0); /* not wanted there */
}

static void other_files_have_none(void **state)
{
	struct tls_places places;
	cleanup_close int text = memfd_create("text", MFD_CLOEXEC);
	cleanup_close int library = open_made("libssl.so.3");
	cleanup_close int parser = open_made("libnode.so.108");
	cleanup_close int caller = open_made("_ssl.made.so");

	(void)state;
	assert_int_equal(tls_places_find(&places, text, "/x/libssl.so", probes, PROBE_COUNT),
			 -ENOEXEC);
	/* a parser without OpenSSL, a module that calls nothing, a library that has nothing */
	assert_int_equal(tls_places_find(&places, parser, "/x/libnode.so.108", probes, PROBE_COUNT),
			 -ENOENT);
	assert_int_equal(tls_places_find(&places, library, "/x/_ssl.so", probes, PROBE_COUNT),
			 -ENOENT);
	assert_int_equal(tls_places_find(&places, caller, "/x/libssl.so", probes, PROBE_COUNT),
			 -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_tell_where_to_look),
		cmocka_unit_test(a_library_has_entries_and_returns),
		cmocka_unit_test(what_calls_a_library_has_places_behind_calls),
		cmocka_unit_test(a_program_with_the_parser_inside_is_a_node),
		cmocka_unit_test(other_files_have_none),
	};

	return cmocka_run_group_tests_name("tls_places", tests, NULL, NULL);
}
