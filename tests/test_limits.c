// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "limits_bed.h"

#define DAY (86400 * SECOND)

static void a_request_may_take_8_s_and_99_percent_are_to_be_good(void **state)
{
	struct limits *l = *state;
	const struct slo *slo = the_slo(l, "shop", "/orders/{id}");

	assert_int_equal(limits_timeout_ns(l, "shop", "/orders/{id}"), 8 * SECOND);
	assert_int_equal(limits_timeout_ns(l, "shop", "{unread}"), 8 * SECOND);
	assert_int_equal(limits_timeout_ns(l, "shop", NULL), 8 * SECOND);
	assert_string_equal(slo->text, "99@8s");
	assert_int_equal(slo->limit_ns, 8 * SECOND);
	assert_true(slo->ratio == 0.99);
	assert_slos(l, "shop", "{unread}", "99@8s");
	assert_slos(l, "shop", NULL, "99@8s");
}

static void durations_are_read_exactly(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{"300ms", 300 * MS},
		{"8s", 8 * SECOND},
		{"1m", 60 * SECOND},
		{"1.5s", 1500 * MS},
		{"1ms", MS},
		{"1000us", MS},
		{"1500us", 1500000},
		{"1.001ms", 1001000},
		{"1.5m", 90 * SECOND},
		{"0.5h", 1800 * SECOND},
		{"24h", DAY},
		{"1440m", DAY},
		{"86400s", DAY},
		{"86400000000us", DAY},
		{"86399.999999s", DAY - 1000},
		{"08s", 8 * SECOND},
		{"8.000000000s", 8 * SECOND},
		{"0.000001h", 3600000},
		{"00000000000000000000000000000001s", SECOND},
	};
	struct limits *l = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		add_timeout(l, cases[i].text);
		if (limits_timeout_ns(l, "shop", "/") != cases[i].ns)
			fail_msg("\"%s\" is %llu ns", cases[i].text,
				 (unsigned long long)limits_timeout_ns(l, "shop", "/"));
	}
}

static void what_is_no_duration_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {"",
					  "0",
					  "0s",
					  "0.0ms",
					  "-1s",
					  "+1s",
					  "8",
					  "s",
					  "ms",
					  ".5s",
					  "1.s",
					  "1..5s",
					  "1.5.5s",
					  "1,5s",
					  "8 s",
					  " 8s",
					  "8s ",
					  "8S",
					  "8sec",
					  "1m30s",
					  "1e3s",
					  "0x8s",
					  "nans",
					  "infs",
					  "999us",
					  "0.9ms",
					  "0.999999ms",
					  "1000.5us",
					  "1.0000001s",
					  "86400.000001s",
					  "86400000000.000001us",
					  "24.1h",
					  "25h",
					  "1d",
					  "18446744073709551616s",
					  "18446744073709551617us",
					  "99999999999999999999999999999999999999s",
					  "8s@",
					  "99@8s"};
	struct limits *l = *state;
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (limits_add_timeout(l, bad[i]) != -EINVAL)
			fail_msg("--timeout \"%s\" was accepted", bad[i]);
		snprintf(text, sizeof(text), "shop=%s", bad[i]);
		if (limits_add_timeout(l, text) != -EINVAL)
			fail_msg("--timeout \"%s\" was accepted", text);
		snprintf(text, sizeof(text), "99@%s", bad[i]);
		if (limits_add_slo(l, text) != -EINVAL)
			fail_msg("--slo \"%s\" was accepted", text);
	}
	assert_int_equal(limits_timeout_ns(l, "shop", "/"), 8 * SECOND);
	assert_slos(l, "shop", "/", "99@8s");
}

static void the_most_specific_timeout_wins_in_whatever_order(void **state)
{
	static const char *const texts[] = {"shop:8001:/orders=5s", "shop:/orders=4s",
					    "shop:8001=3s", "shop=2s", "1s"};
	static const struct {
		const char *service, *route;
		uint64_t seconds;
	} cases[] = {
		{"shop:8001", "/orders", 5}, {"shop:8002", "/orders", 4},
		{"shop", "/orders", 4},      {"shop:8001", "/users", 3},
		{"shop:8001", NULL, 3},      {"shop:8002", "/users", 2},
		{"shop", "{unread}", 2},     {"shop", NULL, 2},
		{"mail", "/orders", 1},      {"mail", NULL, 1},
		{"shopping", "/orders", 1},  {"sho", "/orders", 1},
		{"", "/orders", 1},          {NULL, NULL, 1},
		{"Shop", "/orders", 1},      {"shop", "/orders/", 2},
		{"shop", "/order", 2},       {"shop", "/", 2},
	};

	for (int reverse = 0; reverse <= 1; reverse++) {
		struct limits *l = NULL;

		assert_int_equal(limits_open(&l), 0);
		for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
			add_timeout(l, texts[reverse ? ARRAY_SIZE(texts) - 1 - i : i]);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			assert_int_equal(limits_timeout_ns(l, cases[i].service, cases[i].route),
					 cases[i].seconds * SECOND);
		limits_close(l);
	}
	(void)state;
}

static void of_two_timeouts_for_the_same_the_later_wins(void **state)
{
	static const char *const scopes[] = {"", "shop=", "shop:/orders=", "shop:{unread}="};
	static const char *const routes[] = {"/", "/", "/orders", "{unread}"};
	struct limits *l = *state;
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		for (int seconds = 20; seconds > 10; seconds--) {
			snprintf(text, sizeof(text), "%s%ds", scopes[i], seconds);
			add_timeout(l, text);
			assert_int_equal(limits_timeout_ns(l, "shop", routes[i]),
					 (uint64_t)seconds * SECOND);
		}
	}
}

static void a_name_told_apart_by_its_port_is_meant_by_the_plain_name(void **state)
{
	static const char *const meant[] = {"shop", "shop:1", "shop:65535", "shop:8001-2"};
	static const char *const others[] = {"shop:",    "shop:api",     "shop:8001a", "shop-2",
					     "shopping", "shop:8001:80", "shop 8001",  "a:shop"};
	struct limits *l = *state;

	add_timeout(l, "shop=1s");
	add_timeout(l, "shop:/slow=2s");
	for (size_t i = 0; i < ARRAY_SIZE(meant); i++) {
		assert_int_equal(limits_timeout_ns(l, meant[i], "/"), SECOND);
		assert_int_equal(limits_timeout_ns(l, meant[i], "/slow"), 2 * SECOND);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(limits_timeout_ns(l, others[i], "/"), 8 * SECOND);
		assert_int_equal(limits_timeout_ns(l, others[i], "/slow"), 8 * SECOND);
	}
	add_timeout(l, "shop:8001=3s"); /* one port does not mean another */
	assert_int_equal(limits_timeout_ns(l, "shop:8001", "/"), 3 * SECOND);
	assert_int_equal(limits_timeout_ns(l, "shop:80011", "/"), SECOND);
	assert_int_equal(limits_timeout_ns(l, "shop", "/"), SECOND);
}

static void names_and_routes_may_hold_the_separators(void **state)
{
	static const struct {
		const char *text, *service, *route;
	} cases[] = {
		{"a=b=1s", "a=b", NULL},
		{"a=b:/c=d=1s", "a=b", "/c=d"},
		{"a==1s", "a=", NULL},
		{"@shop/api=1s", "@shop/api", NULL},
		{"@shop/api:/x=1s", "@shop/api", "/x"},
		{"shop@1:/a@2=1s", "shop@1", "/a@2"},
		{"a:b:c:/d:/e:{id}=1s", "a:b:c", "/d:/e:{id}"},
		{"shop:{other}=1s", "shop", "{other}"},
		{"shop:{unmatched}=1s", "shop", "{unmatched}"},
		{"shop:8001:{unread}=1s", "shop:8001", "{unread}"},
		{"shop:/files/{path...}=1s", "shop", "/files/{path...}"},
		{"shop:/=1s", "shop", "/"},
		{"shop://=1s", "shop", "//"},
		{"shop 2=1s", "shop 2", NULL},
		{" shop\t=1s", "shop", NULL},
		{"a\nb=1s", "a_b", NULL},
		{"caf\xc3\xa9:/th\xc3\xa9=1s", "caf\xc3\xa9", "/th\xc3\xa9"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct limits *l = NULL;

		assert_int_equal(limits_open(&l), 0);
		add_timeout(l, cases[i].text);
		if (limits_timeout_ns(l, cases[i].service, cases[i].route) != SECOND)
			fail_msg("\"%s\" is not for %s %s", cases[i].text, cases[i].service,
				 cases[i].route ? cases[i].route : "");
		assert_int_equal(limits_timeout_ns(l, "another", cases[i].route), 8 * SECOND);
		limits_close(l);
	}
	(void)state;
}

static void what_is_no_service_and_route_is_refused(void **state)
{
	static const char *const bad[] = {
		"",          "\n",         "/route",         "{unread}",      "{unread}:/x",
		"shop:",     ":",          ":/route",        ":{unread}",     "::",
		"a:b:",      " ",          "shop:{",         "shop:{id}",     "shop:{foo}",
		"shop:{}",   "/a:/b",      "shop:{unread}/", "shop:/a b",     "shop:/a?b=c",
		"shop:/a#b", "shop:/a;b=", "\t:/a",          "shop:{UNREAD}", "shop:/a:/ "};
	struct limits *l = *state;
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "%s=1s", bad[i]);
		if (limits_add_timeout(l, text) != -EINVAL)
			fail_msg("--timeout \"%s\" was accepted", text);
		snprintf(text, sizeof(text), "%s=99.5", bad[i]);
		if (limits_add_slo(l, text) != -EINVAL)
			fail_msg("--slo \"%s\" was accepted", text);
	}
	assert_int_equal(limits_timeout_ns(l, "shop", "/"), 8 * SECOND);
	assert_slos(l, "shop", "/", "99@8s");
}

static void overlong_services_and_routes_are_refused(void **state)
{
	struct limits *l = *state;
	char service[129], route[257], text[512];

	memset(service, 's', sizeof(service));
	memset(route, 'r', sizeof(route));
	route[0] = '/';
	service[128] = route[256] = '\0';
	snprintf(text, sizeof(text), "%s=1s", service);
	assert_int_equal(limits_add_timeout(l, text), -EINVAL);
	snprintf(text, sizeof(text), "%s:/x", service);
	assert_int_equal(limits_add_ignored(l, text), -EINVAL);
	assert_int_equal(limits_add_ignored(l, route), -EINVAL);
	snprintf(text, sizeof(text), "shop:%s=1s", route);
	assert_int_equal(limits_add_timeout(l, text), -EINVAL);

	service[127] = route[255] = '\0';
	snprintf(text, sizeof(text), "%s:%s=1s", service, route);
	add_timeout(l, text);
	assert_int_equal(limits_timeout_ns(l, service, route), SECOND);
	assert_int_equal(limits_timeout_ns(l, service, "/r"), 8 * SECOND);
	add_ignored(l, route);
	assert_slos(l, service, route, "");
}

static void rules_are_bounded(void **state)
{
	struct limits *l = *state;
	char text[64];

	for (int i = 0; i < LIMITS_RULES_MAX; i++) {
		snprintf(text, sizeof(text), "s%d=%dms", i, i + 1);
		add_timeout(l, text);
		snprintf(text, sizeof(text), "s%d=50", i);
		add_slo(l, text);
		snprintf(text, sizeof(text), "/r%d", i);
		assert_int_equal(limits_add_ignored(l, text),
				 i < LIMITS_RULES_MAX - 6 ? 0 : -EINVAL);
	}
	assert_int_equal(limits_add_timeout(l, "more=1s"), -EINVAL);
	assert_int_equal(limits_add_slo(l, "more=50"), -EINVAL);
	add_timeout(l, "s0=1h"); /* no new one */
	add_timeout(l, "3s");
	assert_slos(l, "s0", "/", "50@1h");
	assert_slos(l, "s999", "/", "50@1s");
	assert_slos(l, "more", "/", "99@3s");
}

/* Random texts of the characters that matter: refused, or a limit within the bounds and a label
 * that gives the same objective when it is read again. */
static void any_text_is_refused_or_sensible(void **state)
{
	static const char *const words[] = {"0",    "1",        "9",  "99", ".", "@",   "=",
					    ":",    "/",        "us", "ms", "s", "m",   "h",
					    "shop", "{unread}", " ",  "-",  "{", "\xff"};
	const struct slo *again, *slo;
	unsigned int seed = 1, accepted = 0;
	struct limits *l;
	char text[128];

	for (int i = 0; i < 200000; i++) {
		uint64_t timeout_ns;

		text[0] = '\0';
		for (int n = 0; n < 1 + i % 8; n++) {
			seed = seed * 1103515245 + 12345;
			strcat(text, words[(seed >> 16) % ARRAY_SIZE(words)]);
		}
		l = NULL;
		assert_int_equal(limits_open(&l), 0);
		limits_add_ignored(l, text);
		limits_add_timeout(l, text);
		timeout_ns = limits_timeout_ns(l, "shop", "{unread}");
		assert_in_range(timeout_ns, MS, DAY);
		if (!limits_add_slo(l, text) && !strchr(text, '=')) {
			accepted++;
			slo = the_slo(l, "mail", "/x");
			assert_in_range(slo->limit_ns, MS, DAY);
			assert_true(slo->ratio > 0 && slo->ratio < 1);
			add_slo(l, slo->text);
			again = the_slo(l, "mail", "/x");
			assert_ptr_equal(again, slo);
		}
		limits_close(l);
	}
	assert_int_equal(accepted, 4328);
	(void)state;
}

static void closing_nothing_is_fine(void **state)
{
	limits_close(NULL);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIMITS_TEST(a_request_may_take_8_s_and_99_percent_are_to_be_good),
		LIMITS_TEST(durations_are_read_exactly),
		LIMITS_TEST(what_is_no_duration_is_refused_and_changes_nothing),
		cmocka_unit_test(the_most_specific_timeout_wins_in_whatever_order),
		LIMITS_TEST(of_two_timeouts_for_the_same_the_later_wins),
		LIMITS_TEST(a_name_told_apart_by_its_port_is_meant_by_the_plain_name),
		cmocka_unit_test(names_and_routes_may_hold_the_separators),
		LIMITS_TEST(what_is_no_service_and_route_is_refused),
		LIMITS_TEST(overlong_services_and_routes_are_refused),
		LIMITS_TEST(rules_are_bounded),
		cmocka_unit_test(any_text_is_refused_or_sensible),
		cmocka_unit_test(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
