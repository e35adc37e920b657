// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "limits_bed.h"

static void labels_are_canonical(void **state)
{
	static const struct {
		const char *text, *label;
		double ratio;
	} cases[] = {
		{"99.9@300ms", "99.9@300ms", 0.999},
		{"99@8s", "99@8s", 0.99},
		{"99@1m", "99@1m", 0.99},
		{"99.0@1000ms", "99@1s", 0.99},
		{"099.500@60s", "99.5@1m", 0.995},
		{"99.99@90s", "99.99@90s", 0.9999},
		{"99@1.5m", "99@90s", 0.99},
		{"50@1500ms", "50@1.5s", 0.5},
		{"50@0.3s", "50@300ms", 0.5},
		{"50@1500us", "50@1.5ms", 0.5},
		{"0.000001@1ms", "0.000001@1ms", 0.00000001},
		{"99.999999@86399.999999s", "99.999999@86399.999999s", 0.99999999},
		{"10@60m", "10@1h", 0.1},
		{"10@90m", "10@90m", 0.1},
		{"10@24h", "10@24h", 0.1},
		{"7.10", "7.1@8s", 0.071},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct limits *l = NULL;

		assert_int_equal(limits_open(&l), 0);
		add_slo(l, cases[i].text);
		assert_string_equal(the_slo(l, "shop", "/")->text, cases[i].label);
		assert_true(the_slo(l, "shop", "/")->ratio == cases[i].ratio);
		limits_close(l);
	}
	(void)state;
}

static void what_is_no_objective_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "0",
					  "0.0",
					  "100",
					  "100.0",
					  "99.9999999",
					  "101",
					  "-1",
					  "+1",
					  "99%",
					  "ok",
					  "99@",
					  "@8s",
					  "99@8s@8s",
					  "99@@8s",
					  "99,9",
					  " 99",
					  "99 ",
					  "99.",
					  ".9",
					  "99..9",
					  "9e1",
					  "nan",
					  "99 @8s",
					  "8s",
					  "300ms",
					  "0.0000001",
					  "99.99999999",
					  "99999999999999999999999999999"};
	struct limits *l = *state;
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (limits_add_slo(l, bad[i]) != -EINVAL)
			fail_msg("--slo \"%s\" was accepted", bad[i]);
		snprintf(text, sizeof(text), "shop:/a=%s", bad[i]);
		if (limits_add_slo(l, text) != -EINVAL)
			fail_msg("--slo \"%s\" was accepted", text);
	}
	assert_slos(l, "shop", "/a", "99@8s");
}

static void an_objective_without_a_limit_has_the_timeout_of_its_route(void **state)
{
	struct limits *l = *state;

	add_slo(l, "shop=99.9"); /* before the timeouts, on purpose */
	add_slo(l, "shop=90@100ms");
	add_timeout(l, "10s");
	add_timeout(l, "shop=2s");
	add_timeout(l, "shop:/report=1m");
	add_timeout(l, "mail:/send=300ms");
	assert_slos(l, "shop", "/", "99.9@2s 90@100ms");
	assert_slos(l, "shop:8001", "/report", "99.9@1m 90@100ms");
	assert_slos(l, "mail", "/send", "99@300ms");
	assert_slos(l, "mail", "/read", "99@10s");
	add_timeout(l, "5s");
	assert_slos(l, "mail", "/read", "99@5s");
}

static void objectives_of_the_most_specific_scope_all_apply(void **state)
{
	static const char *const texts[] = {"shop:/orders=99@300ms",
					    "95",
					    "shop:8001=98",
					    "shop:/orders=99.9@2s",
					    "shop=97@1s",
					    "90@100ms",
					    "shop=97.5@2s",
					    "shop:8001:/orders=50"};
	struct limits *l = *state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		add_slo(l, texts[i]);
	assert_slos(l, "shop:8001", "/orders", "50@8s");
	assert_slos(l, "shop:8002", "/orders", "99@300ms 99.9@2s");
	assert_slos(l, "shop", "/orders", "99@300ms 99.9@2s");
	assert_slos(l, "shop:8001", "/users", "98@8s");
	assert_slos(l, "shop:8002", "/users", "97@1s 97.5@2s");
	assert_slos(l, "shop", NULL, "97@1s 97.5@2s");
	assert_slos(l, "shop", "{unread}", "97@1s 97.5@2s");
	assert_slos(l, "mail", "/orders", "95@8s 90@100ms");
	assert_slos(l, "mail", NULL, "95@8s 90@100ms");
}

static void the_same_objective_counts_once(void **state)
{
	struct limits *l = *state;

	add_slo(l, "99");
	add_slo(l, "99.0@8s"); /* the same while the timeout is 8s */
	add_slo(l, "99");
	assert_slos(l, "shop", "/", "99@8s");
	add_timeout(l, "shop=2s");
	assert_slos(l, "shop", "/", "99@2s 99@8s");
	assert_slos(l, "mail", "/", "99@8s");
}

static void nine_objectives_of_one_scope_are_too_many(void **state)
{
	static const char *const scopes[] = {"", "shop=", "shop:8001=", "shop:/a="};
	struct limits *l = *state;
	char text[64];

	for (size_t s = 0; s < ARRAY_SIZE(scopes); s++) {
		for (int i = 1; i <= LIMITS_SLOS_MAX; i++) {
			snprintf(text, sizeof(text), "%s%d", scopes[s], 90 + i);
			add_slo(l, text);
			add_slo(l, text); /* takes no place */
		}
		snprintf(text, sizeof(text), "%s90", scopes[s]);
		assert_int_equal(limits_add_slo(l, text), -EINVAL);
	}
	assert_slos(l, "shop:8001", "/a", "91@8s 92@8s 93@8s 94@8s 95@8s 96@8s 97@8s 98@8s");
	assert_slos(l, "mail", "/a", "91@8s 92@8s 93@8s 94@8s 95@8s 96@8s 97@8s 98@8s");
}

static void equal_objectives_are_one_pointer_until_close(void **state)
{
	struct limits *l = *state;
	const struct slo *first = the_slo(l, "mail", "/"), *shop;
	char text[64];

	add_slo(l, "shop=99@8000ms");
	assert_ptr_equal(the_slo(l, "shop", "/"), first);
	assert_ptr_equal(the_slo(l, "shop:8001", "/x"), first);
	add_slo(l, "news=99.9");
	assert_ptr_not_equal(the_slo(l, "news", "/"), first);
	for (int i = 1; i <= 100; i++) {
		snprintf(text, sizeof(text), "service%d=%dms", i, i);
		add_timeout(l, text);
		snprintf(text, sizeof(text), "service%d", i);
		the_slo(l, text, "/");
	}
	assert_ptr_equal(the_slo(l, "mail", "/y"), first);
	assert_string_equal(first->text, "99@8s");
	shop = the_slo(l, "service80", "/");
	assert_string_equal(shop->text, "99@80ms");
	assert_ptr_equal(the_slo(l, "service80", NULL), shop);
}

static void probes_and_scrapes_have_no_objectives(void **state)
{
	static const char *const probes[] = {"/health", "/healthz", "/ready",
					     "/readyz", "/livez",   "/metrics"};
	static const char *const others[] = {
		"/",       "/health/", "/healthy", "/heal", "/live", "/metrics/{id}",
		"/Health", "/orders",  "{other}",  ""};
	struct limits *l = *state;

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		assert_slos(l, "shop", probes[i], "");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_slos(l, "shop", others[i], "99@8s");
	assert_int_equal(limits_timeout_ns(l, "shop", "/health"), 8 * SECOND);
}

static void ignored_routes_are_added_to_the_usual_ones(void **state)
{
	struct limits *l = *state;

	add_ignored(l, "/ping");
	add_ignored(l, "shop:/status/{id}");
	add_ignored(l, "mail:{unread}");
	add_ignored(l, "/");
	assert_slos(l, "shop", "/health", "");
	assert_slos(l, "shop", "/ping", "");
	assert_slos(l, "mail", "/ping", "");
	assert_slos(l, "shop", "/status/{id}", "");
	assert_slos(l, "shop:8001", "/status/{id}", "");
	assert_slos(l, "mail", "/status/{id}", "99@8s");
	assert_slos(l, "mail", "{unread}", "");
	assert_slos(l, "shop", "{unread}", "99@8s");
	assert_slos(l, "shop", "/", "");
	assert_slos(l, "shop", NULL, "99@8s");
}

static void what_is_no_route_cannot_be_ignored(void **state)
{
	static const char *const bad[] = {"",       "ping",     "shop",   "shop:", "shop:ping",
					  ":/ping", "/a b",     "{id}",   "{any}", "/a?b",
					  "/a#b",   "shop:{x}", "shop:=", "*",     "shop=/ping"};
	struct limits *l = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (limits_add_ignored(l, bad[i]) != -EINVAL)
			fail_msg("--slo-ignore \"%s\" was accepted", bad[i]);
	}
}

static void a_more_specific_objective_takes_an_ignored_route_back(void **state)
{
	struct limits *l = *state;

	add_slo(l, "shop=99.9");
	assert_slos(l, "shop", "/health", "");
	add_slo(l, "shop:/health=99.9@50ms");
	assert_slos(l, "shop", "/health", "99.9@50ms");
	assert_slos(l, "mail", "/health", "");
	add_ignored(l, "shop:/health");
	assert_slos(l, "shop", "/health", "");
	add_slo(l, "shop:8001:/health=90@1s");
	assert_slos(l, "shop:8001", "/health", "90@1s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_canonical),
		LIMITS_TEST(what_is_no_objective_is_refused),
		LIMITS_TEST(an_objective_without_a_limit_has_the_timeout_of_its_route),
		LIMITS_TEST(objectives_of_the_most_specific_scope_all_apply),
		LIMITS_TEST(the_same_objective_counts_once),
		LIMITS_TEST(nine_objectives_of_one_scope_are_too_many),
		LIMITS_TEST(equal_objectives_are_one_pointer_until_close),
		LIMITS_TEST(probes_and_scrapes_have_no_objectives),
		LIMITS_TEST(ignored_routes_are_added_to_the_usual_ones),
		LIMITS_TEST(what_is_no_route_cannot_be_ignored),
		LIMITS_TEST(a_more_specific_objective_takes_an_ignored_route_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
