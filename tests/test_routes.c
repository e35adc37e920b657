// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "routes_bed.h"

static int set_up(void **state)
{
	*state = open_routes(NULL, "shop", MAX_COUNT);
	return 0;
}

static int tear_down(void **state)
{
	routes_close(*state);
	return 0;
}

static const struct route *find(const struct routes *r, const char *path)
{
	char template[ROUTES_TEMPLATE_MAX];
	size_t len = routes_fold(r, path, strlen(path), template);

	return routes_find(r, template, len);
}

/* Places before + name + after for count names that look like no id, and never the same for other
 * firsts. */
static void place_names(struct routes *r, const char *before, const char *after, int first,
			int count)
{
	for (int i = first; i < first + count; i++) {
		char path[ROUTES_TEMPLATE_MAX];

		snprintf(path, sizeof(path), "%s%c%c%cname%s", before, 'a' + i / 676,
			 'a' + i / 26 % 26, 'a' + i % 26, after);
		place(r, path, 200);
	}
}

static void paths_fold_to_templates(void **state)
{
	static const struct {
		const char *path, *template;
	} cases[] = {
		{"", "/"},
		{"/", "/"},
		{"//", "//"},
		{"/users", "/users"},
		{"/users/", "/users/"},
		{"/users//orders", "/users//orders"},
		{"/users/42", "/users/{id}"},
		{"/users/42/", "/users/{id}/"},
		{"/users/42/orders/550e8400-e29b-41d4-a716-446655440000",
		 "/users/{id}/orders/{id}"},
		{"/42", "/{id}"},
		{"/users/ann%40example.com/mail", "/users/{id}/mail"},
		{"/img/12345.jpg", "/img/{id}"},
		{"/static/main.3f2a9c1b.js", "/static/{id}"},
		{"/api/v1/oauth2/index.html", "/api/v1/oauth2/index.html"},
		{"/a;v=1/b;jsessionid=0123456789ABCDEF/42;x", "/a/b/{id}"},
		{";x", "/"},
		{"/;x", "/"},
		{"/users/42#top", "/users/{id}"},
		{"/users/42?secret=1#top", "/users/{id}"},
		{"/users?a/b", "/users"},
		{"#", "/"},
		{"/{id}/{other}", "/%7Bid%7D/%7Bother%7D"},
		{"{other}", "%7Bother%7D"},
		{"{unmatched}", "%7Bunmatched%7D"},
		{"/a b/\x01\x7f/\xff", "/a%20b/%01%7F/%FF"},
		{"/caf\xc3\xa9/caf%c3%a9", "/caf\xc3\xa9/caf%C3%A9"},
		{"/./..", "/./.."},
		{"users/42", "users/{id}"},
		{"*", "*"},
	};
	struct routes *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_folds(r, cases[i].path, cases[i].template);
}

static void a_nul_byte_is_encoded_and_ends_nothing(void **state)
{
	struct routes *r = *state;
	char template[ROUTES_TEMPLATE_MAX];

	assert_int_equal(routes_fold(r, "/a\0b/7", 6, template), 11);
	assert_string_equal(template, "/a%00b/{id}");
}

static void a_template_that_does_not_fit_is_other(void **state)
{
	struct routes *r = *state;
	char path[2 * ROUTES_TEMPLATE_MAX], template[ROUTES_TEMPLATE_MAX];

	for (size_t len = 200; len < sizeof(path); len++) {
		size_t folded;

		memset(path, 'a', len);
		path[0] = '/';
		folded = routes_fold(r, path, len, template);
		if (len < ROUTES_TEMPLATE_MAX) {
			assert_int_equal(folded, len);
			assert_memory_equal(template, path, len);
		} else {
			assert_string_equal(template, "{other}");
		}
		assert_int_equal(strlen(template), folded);
		memset(path, '/', len);
		folded = routes_fold(r, path, len, template);
		assert_int_equal(folded, len < ROUTES_TEMPLATE_MAX ? len : strlen("{other}"));
	}
	assert_string_equal(routes_find(r, "{other}", 7)->template, "{other}");
	assert_string_equal(routes_place(r, "{other}", 7, 200)->template, "{other}");
	assert_int_equal(routes_overflow_count(r), 0);
}

static void a_long_token_leaves_room_for_the_rest(void **state)
{
	struct routes *r = *state;
	char path[4096], template[ROUTES_TEMPLATE_MAX];

	memset(path, '7', sizeof(path));
	memcpy(path, "/verify/", 8);
	memcpy(path + sizeof(path) - 5, "/done", 5);
	routes_fold(r, path, sizeof(path), template);
	assert_string_equal(template, "/verify/{id}/done");
}

static bool is_sound(const char *template)
{
	const unsigned char *b = (const unsigned char *)template;
	size_t continuation = 0;

	for (; *b; b++) {
		if (continuation ? (*b & 0xc0) != 0x80 : (*b & 0xc0) == 0x80)
			return false;
		if (continuation) {
			continuation--;
			continue;
		}
		if (*b <= ' ' || *b == 0x7f || *b == 0xc0 || *b == 0xc1 || *b > 0xf4)
			return false;
		if ((*b == 0xc2 && b[1] < 0xa0) || (*b == 0xe0 && b[1] < 0xa0) ||
		    (*b == 0xed && b[1] > 0x9f) || (*b == 0xf0 && b[1] < 0x90) ||
		    (*b == 0xf4 && b[1] > 0x8f))
			return false;
		continuation = *b < 0x80 ? 0 : *b < 0xe0 ? 1 : *b < 0xf0 ? 2 : 3;
	}
	return !continuation;
}

/* Half of the bytes are of the kinds that matter, so that sequences begin, break off and overflow.
 */
static void any_bytes_fold_to_a_sound_template(void **state)
{
	static const char alphabet[] = "//;%%{}ab12-.@AZ\xc2\xe0\xed\xf0\xf4\x80\x9f\xa0\xbf 4";
	struct routes *r = *state;
	uint64_t x = 88172645463325252;

	for (int round = 0; round < 200000; round++) {
		char path[400], template[ROUTES_TEMPLATE_MAX];
		size_t len, path_len;

		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		path_len = (x >> 40) % (x % 8 ? 40 : sizeof(path));
		for (size_t i = 0; i < path_len; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			path[i] = (char)(x & 1 ? x >> 30
					       : (uint64_t)alphabet[(x >> 30) %
								    (sizeof(alphabet) - 1)]);
		}
		len = routes_fold(r, path, path_len, template);
		assert_true(len > 0 && len < ROUTES_TEMPLATE_MAX);
		assert_int_equal(strlen(template), len);
		assert_true(is_sound(template));
		assert_non_null(routes_place(r, template, len, 200));
	}
}

static void folding_a_template_again_changes_nothing_but_braces(void **state)
{
	struct routes *r = *state;

	assert_folds(r, "/a%20b/%7Bid%7D/caf%C3%A9/100%25", "/a%20b/%7Bid%7D/caf%C3%A9/100%25");
}

static void only_an_answer_other_than_400_404_405_takes_a_place(void **state)
{
	static const unsigned int refusing[] = {0, 400, 404, 405},
				  placing[] = {101, 200, 301, 401, 403, 410, 500};
	struct routes *r = *state;
	char path[32];

	for (size_t i = 0; i < ARRAY_SIZE(refusing); i++) {
		assert_string_equal(place(r, "/users/42", refusing[i])->template, "{unmatched}");
		assert_string_equal(find(r, "/users/42")->template, "{unmatched}");
	}
	assert_string_equal(place(r, "/users/42", 200)->template, "/users/{id}");
	for (size_t i = 0; i < ARRAY_SIZE(refusing); i++)
		assert_string_equal(place(r, "/users/43", refusing[i])->template, "/users/{id}");
	for (size_t i = 0; i < ARRAY_SIZE(placing); i++) {
		snprintf(path, sizeof(path), "/s%u", placing[i]);
		assert_string_equal(place(r, path, placing[i])->template, path);
	}
}

static void a_route_is_one_pointer_with_a_dense_id(void **state)
{
	struct routes *r = *state;
	bool seen[7] = {false};
	const struct route *routes[7] = {
		place(r, "/a", 200),          place(r, "/a/", 200), place(r, "/a/b", 200),
		routes_find(r, "{other}", 7), find(r, "/never"),    routes_unread(r),
		routes_unattributed(r),
	};

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		assert_true(routes[i]->id < 7);
		assert_false(seen[routes[i]->id]);
		seen[routes[i]->id] = true;
	}
	assert_ptr_equal(place(r, "/a", 404), routes[0]);
	assert_ptr_equal(find(r, "/a"), routes[0]);
	assert_ptr_equal(place(r, "/a/b;c", 200), routes[2]);
}

static void no_path_becomes_the_route_of_what_was_not_read(void **state)
{
	struct routes *r = *state;

	assert_string_equal(routes_unread(r)->template, "{unread}");
	assert_ptr_not_equal(place(r, "{unread}", 200), routes_unread(r));
	assert_ptr_not_equal(place(r, "/{unread}", 200), routes_unread(r));
}

static void past_a_hundred_values_a_segment_folds_for_known_ones_too(void **state)
{
	struct routes *r = *state;
	const struct route *folded;

	place_names(r, "/users/", "/orders", 0, ROUTES_SEGMENT_VALUES_MAX);
	assert_string_equal(find(r, "/users/aaaname/orders")->template, "/users/aaaname/orders");
	assert_string_equal(place(r, "/users/aaaname/orders", 200)->template,
			    "/users/aaaname/orders");
	folded = place(r, "/users/zoe/orders", 200);
	assert_string_equal(folded->template, "/users/{id}/orders");
	assert_ptr_equal(place(r, "/users/aaaname/orders", 200), folded);
	assert_ptr_equal(find(r, "/users/anybody/orders"), folded);
	assert_ptr_equal(place(r, "/users/42/orders", 200), folded);
	assert_string_equal(find(r, "/users/aaaname/mail")->template, "{unmatched}");
	assert_string_equal(place(r, "/users/aaaname/mail", 200)->template, "/users/{id}/mail");
}

static void values_are_counted_in_their_place_only(void **state)
{
	struct routes *r = *state;

	place_names(r, "/a/", "", 0, 60);
	place_names(r, "/b/", "", 60, 60);
	assert_string_equal(place(r, "/a/x", 200)->template, "/a/x");
	assert_string_equal(place(r, "/b/x", 200)->template, "/b/x");
}

static void refused_paths_teach_nothing(void **state)
{
	struct routes *r = *state;
	char path[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/x/%c%c%cq", 'a' + i / 100, 'a' + i / 10 % 10,
			 'a' + i % 10);
		assert_string_equal(place(r, path, 404)->template, "{unmatched}");
	}
	assert_string_equal(place(r, "/x/last", 200)->template, "/x/last");
}

static void the_same_value_again_and_an_id_and_a_trailing_slash_are_no_new_values(void **state)
{
	struct routes *r = *state;
	const struct route *slash = place(r, "/users/", 200);
	const struct route *id = place(r, "/users/42", 200);

	place_names(r, "/users/", "", 0, ROUTES_SEGMENT_VALUES_MAX);
	place_names(r, "/users/", "", 0, ROUTES_SEGMENT_VALUES_MAX);
	assert_string_equal(place(r, "/users/aaaname", 200)->template, "/users/aaaname");
	assert_ptr_equal(place(r, "/users/zoe", 200), id);
	assert_ptr_equal(place(r, "/users/aaaname", 200), id);
	assert_ptr_equal(place(r, "/users/", 200), slash);
	assert_string_equal(place(r, "/users//x", 200)->template, "/users//x");
}

/* The hash table closes its gaps; what it moves must still be found. */
static void folding_leaves_every_other_route_where_it_was(void **state)
{
	enum { OTHERS = 90 };
	const struct route *before[OTHERS];
	char path[32];

	for (int round = 0; round < 400; round++) {
		struct routes *r = open_routes(NULL, "shop", MAX_COUNT); /* another seed */

		for (int i = 0; i < OTHERS; i++) {
			snprintf(path, sizeof(path), "/other/%c%cx", 'a' + i / 26, 'a' + i % 26);
			before[i] = place(r, path, 200);
			assert_string_equal(before[i]->template, path);
		}
		place_names(r, "/users/", "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
		for (int i = 0; i < OTHERS; i++)
			assert_ptr_equal(find(r, before[i]->template), before[i]);
		routes_close(r);
	}
	(void)state;
}

static void what_was_placed_below_an_id_stays_when_its_parent_folds(void **state)
{
	struct routes *r = *state;
	const struct route *before = place(r, "/users/42/orders", 200);

	place_names(r, "/users/", "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
	assert_ptr_equal(find(r, "/users/42/orders"), before);
	assert_ptr_equal(find(r, "/users/aaaname/orders"), before);
}

static void places_fold_one_below_the_other(void **state)
{
	struct routes *r = *state;

	place_names(r, "/repos/", "/tree", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
	place_names(r, "/repos/someone/", "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
	assert_string_equal(place(r, "/repos/x/y", 200)->template, "/repos/{id}/{id}");
	assert_string_equal(place(r, "/repos/x/tree", 200)->template, "/repos/{id}/{id}");
	place_names(r, "/", "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
	assert_string_equal(place(r, "/repos/x/y", 200)->template, "/{id}/x/y");
}

static void folding_gives_places_back_and_old_routes_stay_readable(void **state)
{
	struct routes *r = *state;
	const struct route *old = place(r, "/users/aaaname", 200);

	for (char place_name = 'a'; place_name <= 'e'; place_name++) {
		char before[] = {'/', place_name, '/', '\0'};

		place_names(r, before, "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
	}
	assert_int_equal(routes_overflow_count(r), 0);
	assert_string_equal(place(r, "/new", 200)->template, "/new");
	assert_string_equal(old->template, "/users/aaaname");
}

static void a_segment_folds_although_its_routes_filled_the_table_before(void **state)
{
	struct routes *r = *state;

	/* 60 names with 4 pages each are more than 200 routes, and less than 100 values. */
	place_names(r, "/users/", "/a", 0, 60);
	place_names(r, "/users/", "/b", 0, 60);
	place_names(r, "/users/", "/c", 0, 60);
	place_names(r, "/users/", "/d", 0, 60);
	assert_int_equal(routes_overflow_count(r), 40);
	assert_string_equal(place(r, "/about", 200)->template, "{other}");
	place_names(r, "/users/", "/a", 60, 41);
	assert_string_equal(place(r, "/users/aaaname/a", 200)->template, "/users/{id}/a");
	assert_string_equal(place(r, "/about", 200)->template, "/about");
}

static void past_the_bound_everything_new_is_other_and_counted(void **state)
{
	struct routes *r = open_routes(NULL, "shop", 3);

	(void)state;
	assert_string_equal(place(r, "/a", 200)->template, "/a");
	assert_string_equal(place(r, "/b", 200)->template, "/b");
	assert_string_equal(find(r, "/d")->template, "{unmatched}");
	assert_string_equal(place(r, "/c", 200)->template, "/c");
	assert_string_equal(find(r, "/d")->template, "{other}");
	assert_int_equal(routes_overflow_count(r), 0);
	assert_string_equal(place(r, "/d", 200)->template, "{other}");
	assert_string_equal(place(r, "/d", 200)->template, "{other}");
	assert_int_equal(routes_overflow_count(r), 2);
	assert_string_equal(place(r, "/d", 404)->template, "{unmatched}");
	assert_int_equal(routes_overflow_count(r), 2);
	assert_string_equal(place(r, "/a", 200)->template, "/a");
	routes_close(r);
}

static void a_bound_of_zero_gives_no_places(void **state)
{
	struct routes *r = open_routes(NULL, "shop", 0);

	(void)state;
	assert_string_equal(place(r, "/a", 200)->template, "{other}");
	assert_int_equal(routes_overflow_count(r), 1);
	routes_close(r);
}

/* Every fold frees a hundred places, and here there is hardly an end to folding. What was placed
 * before still learns: the nodes are freed too. */
static void ids_and_nodes_are_bounded_whatever_comes(void **state)
{
	struct routes *r = *state;
	const struct route *early = place(r, "/early/42", 200), *late;

	for (int i = 0; i < 60; i++) {
		char before[16];

		snprintf(before, sizeof(before), "/%c%cx/", 'a' + i / 26, 'a' + i % 26);
		place_names(r, before, "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
		late = place(r, before, 200);
		assert_true(late->id < 4 * MAX_COUNT + 2);
	}
	assert_string_equal(late->template, "{other}");
	assert_true(routes_overflow_count(r) > 0);
	place_names(r, "/early/", "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
	assert_ptr_equal(find(r, "/early/zoe"), early);
}

/* Values of one byte are short, "{id}" in their place is not. */
static void a_template_made_too_long_by_learning_is_other(void **state)
{
	struct routes *r = open_routes(NULL, "shop", 10000);
	char path[ROUTES_TEMPLATE_MAX] = "/";
	size_t len = 1;

	(void)state;
	for (int depth = 0; depth < 50; depth++) {
		place_names(r, path, "", 0, ROUTES_SEGMENT_VALUES_MAX + 1);
		path[len++] = 'a';
		path[len++] = '/';
	}
	assert_int_equal(strlen(place(r, path, 200)->template), 50 * 5 + 1);
	memcpy(path + len, "abcd", 5);
	assert_int_equal(strlen(place(r, path, 200)->template), 50 * 5 + 5);
	memcpy(path + len, "abcde", 6);
	assert_string_equal(place(r, path, 200)->template, "{other}");
	assert_int_equal(routes_overflow_count(r), 0);
	routes_close(r);
}

static void a_path_that_was_seen_before_folds_as_at_first(void **state)
{
	struct routes *r = *state;
	static const char *const paths[][2] = {
		{"/users/42", "/users/{id}"}, {"/users/{id}", "/users/%7Bid%7D"},
		{"/users", "/users"},         {"/users?page=2", "/users"},
		{"/users;v=1", "/users"},     {"/a%20b", "/a%20b"},
		{"/a b", "/a%20b"},
	};

	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
			assert_string_equal(place(r, paths[i][0], 200)->template, paths[i][1]);
			assert_string_equal(find(r, paths[i][0])->template, paths[i][1]);
		}
	}
}

static void closing_nothing_is_fine(void **state)
{
	(void)state;
	routes_close(NULL);
}

#define ROUTES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROUTES_TEST(paths_fold_to_templates),
		ROUTES_TEST(a_nul_byte_is_encoded_and_ends_nothing),
		ROUTES_TEST(a_template_that_does_not_fit_is_other),
		ROUTES_TEST(a_long_token_leaves_room_for_the_rest),
		ROUTES_TEST(any_bytes_fold_to_a_sound_template),
		ROUTES_TEST(folding_a_template_again_changes_nothing_but_braces),
		ROUTES_TEST(only_an_answer_other_than_400_404_405_takes_a_place),
		ROUTES_TEST(a_route_is_one_pointer_with_a_dense_id),
		ROUTES_TEST(no_path_becomes_the_route_of_what_was_not_read),
		ROUTES_TEST(past_a_hundred_values_a_segment_folds_for_known_ones_too),
		ROUTES_TEST(values_are_counted_in_their_place_only),
		ROUTES_TEST(refused_paths_teach_nothing),
		ROUTES_TEST(the_same_value_again_and_an_id_and_a_trailing_slash_are_no_new_values),
		ROUTES_TEST(folding_leaves_every_other_route_where_it_was),
		ROUTES_TEST(what_was_placed_below_an_id_stays_when_its_parent_folds),
		ROUTES_TEST(places_fold_one_below_the_other),
		ROUTES_TEST(folding_gives_places_back_and_old_routes_stay_readable),
		ROUTES_TEST(a_segment_folds_although_its_routes_filled_the_table_before),
		ROUTES_TEST(past_the_bound_everything_new_is_other_and_counted),
		ROUTES_TEST(a_bound_of_zero_gives_no_places),
		ROUTES_TEST(ids_and_nodes_are_bounded_whatever_comes),
		ROUTES_TEST(a_template_made_too_long_by_learning_is_other),
		ROUTES_TEST(a_path_that_was_seen_before_folds_as_at_first),
		ROUTES_TEST(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
