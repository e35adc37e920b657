// SPDX-License-Identifier: Apache-2.0
/* What the console shows of requests that are open, late or waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "console_world.h"

#define WIDTH 110

static size_t add_timeouts(struct world *w, const struct service *service, const char *route,
			   const char *method, uint64_t count)
{
	size_t i = add_instrument(w, INSTRUMENT_SERVER_REQUESTS, service, route, method);

	w->counts[i].outcomes[OUTCOME_OK] = 1000;
	w->counts[i].outcomes[OUTCOME_TIMEOUT] = count;
	return i;
}

static size_t add_queue(struct world *w, const struct service *service, uint16_t port)
{
	size_t i = add_instrument(w, INSTRUMENT_QUEUE_DURATION, service, NULL, NULL);

	w->series[i].port = port;
	w->series[i].bounds = &histogram_fine_bounds;
	return i;
}

static void a_request_that_never_ends_is_seen_on_its_route(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");
	int row;

	set_open(w, shop, "GET", "/hang", 2, 12300 * MS);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "GET", "shop GET /hang 0 - - - - 2 12.3s 0 -");
	assert_string_equal(screen_line(&w->screen, 0),
			    "bittern 1.2.3  22:13:20  0 req/s  oldest 12.3s: shop /hang  1 service"
			    "  by rate");
	row = screen_find(&w->screen, "GET");
	assert_string_equal(screen_style(&w->screen, row, "shop"), "0"); /* not faint: it works */
	set_open(w, shop, "GET", "/hang", 0, 0);
	pass(w, S);
	update(w);
	assert_line(w, "GET", "shop GET /hang 0 - - - - 0 - 0 -");
	assert_string_equal(screen_style(&w->screen, row, "shop"), "2");
	assert_int_equal(screen_find(&w->screen, "oldest 12.3s"), -1);
}

static void a_young_request_is_not_worth_the_first_line(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");

	set_open(w, shop, "GET", "/quick", 1, 999 * MS);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_string_equal(screen_line(&w->screen, 0),
			    "bittern 1.2.3  22:13:20  0 req/s  1 service  by rate");
	set_open(w, shop, "GET", "/quick", 1, 1000 * MS);
	update(w);
	assert_int_equal(screen_find(&w->screen, "oldest 1.00s: shop /quick"), 0);
}

static void the_age_of_a_route_is_with_its_open_methods(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");

	set_open(w, shop, "POST", "/b", 0, 0);
	set_open(w, shop, "GET", "/b", 3, 5 * S);
	set_open(w, shop, "GET", "/a", 0, 0);
	set_open(w, shop, "GET", "/c", 1, 2 * S);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "GET     /b", "shop GET /b 0 - - - - 3 5.00s 0");
	assert_line(w, "POST    /b", "shop POST /b 0 - - - - 0 - 0");
	assert_line(w, "GET     /a", "shop GET /a 0 - - - - 0 - 0");
	assert_line(w, "GET     /c", "shop GET /c 0 - - - - 1 2.00s 0");
	assert_line(w, "(all)", "shop (all) 0 - - - - 4 5.00s 0 -");
}

static void a_subtotal_sums_what_is_open_and_late(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop"), *auth = add_service(w, "auth");
	size_t a = add_series(w, shop, "/a", 200), queue = add_queue(w, shop, 8000);

	serve(w, a, 4, 10 * MS);
	serve(w, queue, 4, 600 * MS);
	set_open(w, shop, "GET", "/a", 1, 3 * S);
	set_open(w, shop, "GET", "/b", 2, 4 * S);
	set_open(w, auth, "GET", "/a", 7, 9 * S);
	add_timeouts(w, shop, "/a", "GET", 30);
	add_timeouts(w, shop, "/b", "GET", 7);
	add_timeouts(w, auth, "/a", "GET", 1);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "(all)", "shop (all) 2.0 0% 10.0ms 10.0ms 10.0ms 3 4.00s 37 600ms");
	assert_line(w, "GET     /b", "shop GET /b 0 - - - - 2 4.00s 7");
	assert_line(w, "auth    GET", "auth GET /a 0 - - - - 7 9.00s 1 -");
	assert_int_equal(screen_find(&w->screen, "oldest 9.00s: auth /a"), 0);
}

static void queue_time_is_of_the_service_and_of_the_last_interval(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");
	size_t route = add_series(w, shop, "/", 200);
	size_t first = add_queue(w, shop, 8000), second = add_queue(w, shop, 8001);

	serve(w, route, 100, 10 * MS);
	serve(w, first, 100, 200 * MS);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "shop", "shop GET / 50.0 0% 10.0ms 10.0ms 10.0ms 0 - 0 200ms");
	pass(w, S);
	serve(w, route, 100, 10 * MS);
	serve(w, first, 1, MS);
	serve(w, second, 1, 300 * MS);
	update(w);
	assert_non_null(strstr(screen_line(&w->screen, 2), " 300ms"));
	pass(w, S);
	update(w);
	assert_line(w, "shop", "shop GET / 0 - - - - 0 - 0 -");
}

static void what_is_unread_has_a_line_of_its_own(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");
	size_t oldest = add_instrument(w, INSTRUMENT_OLDEST, shop, "{unread}", NULL);

	shop->unread_count = 12;
	w->counts[oldest].open.count = 12;
	w->counts[oldest].open.age_ns = 4 * S;
	add_timeouts(w, shop, "{unread}", NULL, 5);
	set_open(w, shop, "GET", "/hang", 1, 6 * S);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "{unread}", "shop - {unread} 0 - - - - 12 4.00s 5");
	assert_line(w, "(all)", "shop (all) 0 - - - - 13 6.00s 5 -");
}

static void new_timeouts_stand_out(void **state)
{
	struct world *w = *state;
	size_t late = add_timeouts(w, add_service(w, "shop"), "/slow", "GET", 36);
	int row;

	open_screen(w, WIDTH, 24);
	update(w);
	row = screen_find(&w->screen, "shop");
	pass(w, S);
	update(w);
	assert_line(w, "shop", "shop GET /slow 0 - - - - 0 - 36 -");
	assert_string_equal(screen_style(&w->screen, row, "36"), "2");
	w->counts[late].outcomes[OUTCOME_TIMEOUT]++;
	pass(w, S);
	update(w);
	assert_line(w, "shop", "shop GET /slow 0 - - - - 0 - 37 -");
	assert_string_equal(screen_style(&w->screen, row, "37"), "1;31");
	pass(w, S);
	update(w);
	assert_string_equal(screen_style(&w->screen, row, "37"), "2");
	w->counts[late].outcomes[OUTCOME_TIMEOUT] = 2; /* the service came back as another */
	pass(w, S);
	update(w);
	assert_string_equal(screen_style(&w->screen, row, " 2 "), "1;31");
}

static void nothing_is_open_in_a_service_that_is_gone(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	add_timeouts(w, shop, "/hang", "GET", 2);
	set_open(w, shop, "GET", "/hang", 2, 12300 * MS);
	shop->process_count = 0;
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "shop", "shop GET /hang 0 - - - - 0 - 2 -");
	assert_int_equal(screen_find(&w->screen, "oldest 12.3s"), -1);
}

static void what_overflows_has_one_row(void **state)
{
	struct world *w = *state;

	set_open(w, NULL, NULL, NULL, 3, 2 * S);
	add_timeouts(w, NULL, NULL, NULL, 4);
	serve(w, add_queue(w, NULL, 0), 1, 50 * MS);
	open_screen(w, WIDTH, 24);
	update(w);
	assert_line(w, "-       {overflow}", "(others) - {overflow} 0 - - - - 3 2.00s 4 50.0ms");
	assert_int_equal(screen_find(&w->screen, "oldest 2.00s: (others) {overflow}"), 0);
}

static void keys_sort_by_what_is_open_old_late_and_waiting(void **state)
{
	struct world *w = *state;
	const struct service *a = add_service(w, "a-open"), *b = add_service(w, "b-old");
	const struct service *c = add_service(w, "c-late"), *d = add_service(w, "d-queue");
	static const struct {
		const char *key, *name, *first;
	} cases[] = {{"o", "by open", "a-open"},
		     {"a", "by age", "b-old"},
		     {"t", "by timeouts", "c-late"},
		     {"w", "by wait", "d-queue"}};

	for (size_t i = 0; i < 4; i++)
		serve(w, add_queue(w, w->service_list[i], 80), 1, i < 3 ? MS : S);
	set_open(w, a, "GET", "/", 9, 2 * S);
	set_open(w, b, "GET", "/", 1, 70 * S);
	set_open(w, b, "GET", "/z", 3, 3 * S);
	add_timeouts(w, c, "/", "GET", 2);
	add_timeouts(w, a, "/", "GET", 1);
	serve(w, add_series(w, d, "/", 200), 1, MS);
	open_screen(w, WIDTH, 24);
	update(w);
	for (size_t i = 0; i < 4; i++) {
		assert_true(type(w, cases[i].key));
		assert_int_equal(screen_find(&w->screen, cases[i].name), 0);
		assert_non_null(strstr(screen_line(&w->screen, 2), cases[i].first));
	}
	type(w, "o"); /* routes within a service, too */
	assert_int_equal(screen_find(&w->screen, "(all)"), 3);
	assert_int_equal(screen_find(&w->screen, "/z"), 4);
	type(w, "a");
	assert_int_equal(screen_find(&w->screen, "(all)"), 2);
	assert_non_null(strstr(screen_line(&w->screen, 3), "70.0s"));
}

static void the_last_line_names_the_orders_where_there_is_room(void **state)
{
	struct world *w = *state;

	add_service(w, "shop");
	open_screen(w, WIDTH, 24);
	update(w);
	assert_string_equal(screen_line(&w->screen, 23),
			    "q quit  j k scroll  sort: r rate e errors d duration o open a age t "
			    "timeouts c cpu w wait n name  1-1 of 1");
	screen_resize(&w->screen, 80, 24);
	console_draw(w->console);
	screen_read(&w->screen);
	assert_string_equal(screen_line(&w->screen, 23),
			    "q quit  j k scroll  sort: r e d o a t c w n  1-1 of 1");
}

static void lines_tell_of_open_and_late_requests_without_an_end(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");
	size_t late = add_timeouts(w, shop, "/late", "GET", 0);
	char text[2048];
	ssize_t len;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(console_open(&w->console, ends[1], -1), 0);
	serve(w, add_queue(w, shop, 80), 1, 20 * MS);
	set_open(w, shop, "GET", "/hang", 1, 5 * S);
	update(w);
	set_open(w, shop, "GET", "/hang", 0, 0);
	w->counts[late].outcomes[OUTCOME_TIMEOUT]++;
	pass(w, S);
	update(w);
	pass(w, S);
	update(w); /* nothing new: no line */
	len = read(ends[0], text, sizeof(text) - 1);
	assert_true(len > 0);
	text[len] = '\0';
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(
		strchr(text, '\n') + 1,
		"22:13:20 shop                 GET     /hang                                    0"
		"      -        -        -        -      1    5.00s      0   20.0ms"
		"        -      -\n"
		"22:13:21 shop                 GET     /late                                    0"
		"      -        -        -        -      0        -      1        -"
		"        -      -\n");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_that_never_ends_is_seen_on_its_route),
		TEST(a_young_request_is_not_worth_the_first_line),
		TEST(the_age_of_a_route_is_with_its_open_methods),
		TEST(a_subtotal_sums_what_is_open_and_late),
		TEST(queue_time_is_of_the_service_and_of_the_last_interval),
		TEST(what_is_unread_has_a_line_of_its_own),
		TEST(new_timeouts_stand_out),
		TEST(nothing_is_open_in_a_service_that_is_gone),
		TEST(what_overflows_has_one_row),
		TEST(keys_sort_by_what_is_open_old_late_and_waiting),
		TEST(the_last_line_names_the_orders_where_there_is_room),
		TEST(lines_tell_of_open_and_late_requests_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
