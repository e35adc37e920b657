// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "routes_bed.h"

static int set_up(void **state)
{
	struct route_patterns *patterns = NULL;

	assert_int_equal(route_patterns_open(&patterns), 0);
	*state = patterns;
	return 0;
}

static int tear_down(void **state)
{
	route_patterns_close(*state);
	return 0;
}

static void a_pattern_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {
		"",       "users",      "/{}",    "/{id",   "/id}",      "/{a}{b}",
		"/x{id}", "/{id}.json", "/{a/b}", "/{...}", "/{a...}/b", "/{a b}",
		"/a b",   "/a\x01",     "/\xff",  "/a?b",   "/a#b",      "/a;b",
		"/100%",  "/{{id}}",    "/{a..}", "/{a.b}", "{id}",
	};
	static const char *const good[] = {
		"/",
		"/users",
		"/users/",
		"/{id}",
		"/{user_id}/{order-id}",
		"/files/{path...}",
		"/{rest...}",
		"//",
		"/caf\xc3\xa9",
		"/caf%C3%A9",
	};
	struct route_patterns *patterns = *state;
	char pattern[ROUTES_TEMPLATE_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (route_patterns_add(patterns, NULL, bad[i]) != -EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (route_patterns_add(patterns, NULL, good[i]))
			fail_msg("\"%s\" was refused", good[i]);
	}
	memset(pattern, 'a', sizeof(pattern));
	pattern[0] = '/';
	pattern[ROUTES_TEMPLATE_MAX] = '\0';
	assert_int_equal(route_patterns_add(patterns, NULL, pattern), -EINVAL);
	pattern[ROUTES_TEMPLATE_MAX - 1] = '\0';
	assert_int_equal(route_patterns_add(patterns, NULL, pattern), 0);
}

static void the_first_pattern_that_matches_wins(void **state)
{
	static const char *const texts[] = {
		"/orders/new",      "/orders/{order}", "/orders/{order}/items/{item}",
		"/files/{path...}", "/year/2024",      "/caf\xc3\xa9/{dish}",
		"/orders/{late}",   "/{lang}/help/",
	};
	static const struct {
		const char *path, *template;
	} cases[] = {
		{"/orders/new", "/orders/new"},
		{"/orders/42", "/orders/{order}"},
		{"/orders/abc;v=1?x", "/orders/{order}"},
		{"/orders/", "/orders/"},
		{"/orders/42/", "/orders/{id}/"},
		{"/orders/1/items/2", "/orders/{order}/items/{item}"},
		{"/orders/1/items", "/orders/{id}/items"},
		{"/files/a", "/files/{path...}"},
		{"/files/a/b/42/", "/files/{path...}"},
		{"/files/", "/files/"},
		{"/files", "/files"},
		{"/year/2024", "/year/2024"},
		{"/year/2025", "/year/{id}"},
		{"/caf%C3%A9/soup", "/caf\xc3\xa9/{dish}"},
		{"/caf%c3%a9/soup", "/caf\xc3\xa9/{dish}"},
		{"/de/help/", "/{lang}/help/"},
		{"/de/help", "/de/help"},
		{"/%6frders/new", "/orders/new"},
	};
	struct route_patterns *patterns = *state;
	struct routes *r;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(route_patterns_add(patterns, NULL, texts[i]), 0);
	r = open_routes(patterns, "shop", MAX_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_folds(r, cases[i].path, cases[i].template);
	assert_string_equal(place(r, "/year/2024", 200)->template, "/year/2024");
	routes_close(r);
}

static void a_pattern_of_one_service_is_not_used_for_another(void **state)
{
	struct route_patterns *patterns = *state;
	struct routes *shop, *mail, *nameless;

	assert_int_equal(route_patterns_add(patterns, "shop", "/{a}"), 0);
	assert_int_equal(route_patterns_add(patterns, NULL, "/{b}"), 0);
	shop = open_routes(patterns, "shop", MAX_COUNT);
	mail = open_routes(patterns, "mail", MAX_COUNT);
	nameless = open_routes(patterns, NULL, MAX_COUNT);
	assert_folds(shop, "/x", "/{a}");
	assert_folds(mail, "/x", "/{b}");
	assert_folds(nameless, "/x", "/{b}");
	routes_close(shop);
	routes_close(mail);
	routes_close(nameless);
}

static void configured_patterns_are_never_folded(void **state)
{
	struct route_patterns *patterns = *state;
	struct routes *r;
	char pattern[32];

	for (int i = 0; i < 150; i++) {
		snprintf(pattern, sizeof(pattern), "/page/%d", i);
		assert_int_equal(route_patterns_add(patterns, NULL, pattern), 0);
	}
	r = open_routes(patterns, NULL, MAX_COUNT);
	for (int i = 0; i < 150; i++) {
		snprintf(pattern, sizeof(pattern), "/page/%d", i);
		assert_string_equal(place(r, pattern, 200)->template, pattern);
	}
	for (int i = 0; i <= ROUTES_SEGMENT_VALUES_MAX; i++) {
		snprintf(pattern, sizeof(pattern), "/page/%c%cname", 'a' + i / 26, 'a' + i % 26);
		place(r, pattern, 200);
	}
	assert_string_equal(place(r, "/page/zoe", 200)->template, "/page/{id}");
	assert_string_equal(place(r, "/page/149", 200)->template, "/page/149");
	routes_close(r);
}

static void a_pattern_takes_a_place_by_its_status_as_well(void **state)
{
	struct route_patterns *patterns = *state;
	struct routes *r;

	assert_int_equal(route_patterns_add(patterns, NULL, "/{any...}"), 0);
	assert_int_equal(route_patterns_add(patterns, NULL, "/{any...}"), 0);
	r = open_routes(patterns, NULL, MAX_COUNT);
	assert_string_equal(place(r, "/wp-login.php", 404)->template, "{unmatched}");
	assert_string_equal(place(r, "/users/42", 200)->template, "/{any...}");
	assert_string_equal(place(r, "/wp-login.php", 404)->template, "/{any...}");
	routes_close(r);
}

static void closing_nothing_is_fine(void **state)
{
	(void)state;
	route_patterns_close(NULL);
}

#define PATTERN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PATTERN_TEST(a_pattern_that_is_none_is_refused),
		PATTERN_TEST(the_first_pattern_that_matches_wins),
		PATTERN_TEST(a_pattern_of_one_service_is_not_used_for_another),
		PATTERN_TEST(configured_patterns_are_never_folded),
		PATTERN_TEST(a_pattern_takes_a_place_by_its_status_as_well),
		PATTERN_TEST(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
