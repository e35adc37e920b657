// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/addresses.h"

#define BOUND 5

static int set_up(void **state)
{
	return addresses_open((struct addresses **)state, BOUND);
}

static int tear_down(void **state)
{
	addresses_close(*state);
	return 0;
}

static const char *find(struct addresses *a, const char *host)
{
	return addresses_find(a, host, strlen(host));
}

static void assert_becomes(const char *host, const char *expected)
{
	struct addresses *a;
	const char *name;

	assert_int_equal(addresses_open(&a, BOUND), 0);
	name = find(a, host);
	if (expected)
		assert_string_equal(name ? name : "(none)", expected);
	else if (name)
		fail_msg("%s became %s", host, name);
	assert_int_equal(addresses_overflow_count(a), 0);
	addresses_close(a);
}

static void a_name_is_in_lower_case_and_has_no_port(void **state)
{
	(void)state;
	assert_becomes("Backend.Example.COM", "backend.example.com");
	assert_becomes("backend:8080", "backend");
	assert_becomes("backend:", "backend"); /* RFC 3986 section 3.2.3 */
	assert_becomes("my_service-2.shop.svc.cluster.local.:80",
		       "my_service-2.shop.svc.cluster.local.");
	assert_becomes("10.0.0.7:8080", "10.0.0.7");
	assert_becomes("B\xc3\x9c"
		       "CHER.de",
		       "b\xc3\x9c"
		       "cher.de");
}

static void an_ipv6_literal_has_no_brackets(void **state)
{
	(void)state;
	assert_becomes("[2001:DB8::1]:8080", "2001:db8::1");
	assert_becomes("[::1]", "::1");
	assert_becomes("[::1]:", "::1");
	assert_becomes("[fe80::1%25eth0]:80", "fe80::1%25eth0");
	assert_becomes("::1", "::1"); /* an address as text, not a Host field */
	assert_becomes("2001:DB8::1:8080", "2001:db8::1:8080");
}

static void what_is_no_host_name_is_none(void **state)
{
	static const char *const hosts[] = {
		"",           ":80",       "[]",           "[::1",         "[::1]x",
		"[::1]:80x",  "user@host", "user:pw@host", "a b",          "a/b",
		"a?b",        "a\tb",      "a,b",          "{other}",      "host:80a",
		"h:8 0",      "a\"b",      "a\\b",         "caf\xc3",      "\xff",
		"a\xc2\x85z", "a%20b",     "host:123456",  "[::1]:123456", "\xed\xa0\x80.de",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_becomes(hosts[i], NULL);
}

static void a_nul_ends_no_name(void **state)
{
	assert_null(addresses_find(*state, "a\0b", 3));
	assert_null(addresses_find(*state, "\0", 1));
	assert_null(addresses_find(*state, "\xc3\xa9\0", 3));
}

static void a_name_has_at_most_253_bytes(void **state)
{
	char host[ADDRESS_LEN_MAX + 5];

	memset(host, 'a', sizeof(host));
	memcpy(host + ADDRESS_LEN_MAX, ":80", 4);
	assert_int_equal(strlen(find(*state, host)), ADDRESS_LEN_MAX);
	memcpy(host + ADDRESS_LEN_MAX, "a:80", 5);
	assert_null(find(*state, host));
}

static void equal_names_are_one_pointer(void **state)
{
	const char *name = find(*state, "backend:8080");

	assert_ptr_equal(find(*state, "BACKEND"), name);
	assert_ptr_equal(find(*state, "backend:9"), name);
	assert_ptr_not_equal(find(*state, "backend2"), name);
	assert_ptr_equal(find(*state, "[::1]:80"), find(*state, "::1"));
}

static void past_the_bound_new_names_are_other(void **state)
{
	const char *names[BOUND], *other;
	char host[16];

	for (int i = 0; i < BOUND; i++) {
		snprintf(host, sizeof(host), "host-%d", i);
		names[i] = find(*state, host);
		assert_string_equal(names[i], host);
	}
	other = find(*state, "host-5");
	assert_string_equal(other, "{other}");
	assert_ptr_equal(find(*state, "host-6"), other);
	assert_ptr_equal(find(*state, "host-5"), other);
	assert_int_equal(addresses_overflow_count(*state), 3);
	for (int i = 0; i < BOUND; i++) {
		snprintf(host, sizeof(host), "host-%d:80", i);
		assert_ptr_equal(find(*state, host), names[i]);
	}
	assert_null(find(*state, "no name"));
	assert_int_equal(addresses_overflow_count(*state), 3);
}

static void a_bound_of_none_gives_other_at_once(void **state)
{
	struct addresses *a;

	(void)state;
	assert_int_equal(addresses_open(&a, 0), 0);
	assert_string_equal(find(a, "host"), "{other}");
	assert_int_equal(addresses_overflow_count(a), 1);
	addresses_close(a);
	addresses_close(NULL);
}

static void a_large_table_keeps_all_its_names(void **state)
{
	struct addresses *a;
	char host[32];

	(void)state;
	assert_int_equal(addresses_open(&a, 3000), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3000; i++) {
			snprintf(host, sizeof(host), "host-%d.example", i);
			assert_string_equal(find(a, host), host);
		}
	}
	assert_int_equal(addresses_overflow_count(a), 0);
	assert_string_equal(find(a, "one-more"), "{other}");
	addresses_close(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_is_in_lower_case_and_has_no_port),
		TEST(an_ipv6_literal_has_no_brackets),
		TEST(what_is_no_host_name_is_none),
		TEST(a_nul_ends_no_name),
		TEST(a_name_has_at_most_253_bytes),
		TEST(equal_names_are_one_pointer),
		TEST(past_the_bound_new_names_are_other),
		TEST(a_bound_of_none_gives_other_at_once),
		TEST(a_large_table_keeps_all_its_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
