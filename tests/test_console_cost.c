// SPDX-License-Identifier: Apache-2.0
/* What requests cost, by route. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "console_world.h"

#define WIDE 140

/* CPU of a route since its series began; a series of it, if there is none yet. */
static void burn(struct world *w, const struct service *service, const char *route, uint64_t cpu_ns)
{
	size_t i;

	for (i = 0; i < w->snapshot.series_count; i++)
		if (w->series[i].instrument == INSTRUMENT_COST && w->series[i].service == service &&
		    w->series[i].route == route)
			break;
	if (i == w->snapshot.series_count)
		add_instrument(w, INSTRUMENT_COST, service, route, NULL);
	w->counts[i].cost.cpu_ns += cpu_ns;
}

static size_t add_method(struct world *w, const struct service *service, const char *method,
			 const char *route)
{
	size_t i = add_series(w, service, route, 200);

	w->series[i].method = method;
	return i;
}

static void cpu_per_request_and_its_share_are_of_the_last_interval(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");
	size_t light = add_series(w, shop, "/light", 200),
	       heavy = add_series(w, shop, "/heavy", 200);

	burn(w, shop, "/light", 900 * S);
	burn(w, shop, "/heavy", 0);
	burn(w, shop, "{unattributed}", 0);
	open_screen(w, WIDE, 24);
	update(w);
	serve(w, light, 100, MS);
	serve(w, heavy, 10, MS);
	burn(w, shop, "/light", 20 * MS);
	burn(w, shop, "/heavy", 50 * MS);
	burn(w, shop, "{unattributed}", 30 * MS);
	pass(w, S);
	update(w);
	assert_line(w, "SERVICE",
		    "SERVICE METHOD ROUTE REQ/S ERR% P50 P95 P99 OPEN OLDEST T/O QUEUE CPU/R SHARE "
		    "CPU% MEM");
	assert_line(w, "/light", "shop GET /light 100 0% 1.00ms 1.00ms 1.00ms 0 - 0 0.20ms 20%");
	assert_line(w, "/heavy", "shop GET /heavy 10.0 0% 1.00ms 1.00ms 1.00ms 0 - 0 5.00ms 50%");
	/* What is missing to 100 % was for no request. */
	assert_line(w, "(all)", "shop (all) 110 0% 1.00ms 1.00ms 1.00ms 0 - 0 - 0.64ms 70%");
	assert_int_equal(screen_find(&w->screen, "unattributed"), -1);
}

static void a_routes_cpu_is_for_all_its_methods(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");
	size_t get = add_method(w, shop, "GET", "/a"), post = add_method(w, shop, "POST", "/a");

	open_screen(w, WIDE, 24);
	serve(w, get, 30, MS);
	serve(w, post, 10, MS);
	burn(w, shop, "/a", 80 * MS);
	update(w);
	assert_line(w, "GET", "shop GET /a 15.0 0% 1.00ms 1.00ms 1.00ms 0 - 0 2.00ms 100%");
	assert_line(w, "POST", "shop POST /a 5.0 0% 1.00ms 1.00ms 1.00ms 0 - 0 2.00ms 100%");
	assert_line(w, "(all)", "shop (all) 20.0 0% 1.00ms 1.00ms 1.00ms 0 - 0 - 2.00ms 100%");
}

static void a_request_that_still_runs_has_a_share_and_no_cost_per_request(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	set_open(w, shop, "GET", "/spin", 1, 30 * S);
	burn(w, shop, "/spin", 10 * S);
	burn(w, shop, "{unattributed}", 0);
	open_screen(w, WIDE, 24);
	update(w);
	burn(w, shop, "/spin", 900 * MS);
	burn(w, shop, "{unattributed}", 100 * MS);
	pass(w, S);
	update(w);
	assert_line(w, "GET", "shop GET /spin 0 - - - - 1 30.0s 0 - - 90%");
}

static void an_idle_interval_has_neither(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	add_series(w, shop, "/a", 200);
	burn(w, shop, "/a", 10 * S);
	open_screen(w, WIDE, 24);
	update(w);
	pass(w, S);
	update(w);
	assert_line(w, "GET", "shop GET /a 0 - - - - 0 - 0 - - -");
}

static void a_service_with_cpu_but_no_request_has_no_routes(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	burn(w, shop, "{unattributed}", S);
	open_screen(w, WIDE, 24);
	update(w);
	assert_line(w, "shop", "shop (no requests yet)");
	assert_true(screen_find(&w->screen, "waiting for requests") >= 0);
}

/* --no-cpu, or a service that is not traced. */
static void without_costs_there_are_no_columns(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop"), *other = add_service(w, "other");

	add_series(w, shop, "/a", 200);
	open_screen(w, WIDE, 24);
	update(w);
	assert_int_equal(screen_find(&w->screen, "CPU/R"), -1);
	add_series(w, other, "/b", 200);
	burn(w, other, "/b", S);
	update(w);
	assert_true(screen_find(&w->screen, "CPU/R") >= 0);
	assert_line(w, "/a", "shop GET /a 0 - - - - 0 - 0 - - -");
}

/* A route's costs stay longer than what a service uses. */
static void a_narrower_terminal_has_no_costs(void **state)
{
	static const struct {
		int width;
		const char *last, *left_out;
	} cases[] = {{124, "MEM", "none"},   {123, "CPU%", "MEM"},    {117, "SHARE", "CPU%"},
		     {113, "SHARE", "CPU%"}, {112, "CPU/R", "SHARE"}, {107, "CPU/R", "SHARE"},
		     {106, "QUEUE", "CPU/R"}};
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	add_series(w, shop, "/a", 200);
	burn(w, shop, "/a", S);
	open_screen(w, WIDE, 24);
	update(w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		screen_resize(&w->screen, cases[i].width, 24);
		console_draw(w->console);
		screen_read(&w->screen);
		assert_true(screen_find(&w->screen, cases[i].last) >= 0);
		assert_int_equal(screen_find(&w->screen, cases[i].left_out), -1);
	}
}

static void they_can_be_sorted_by(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop"), *hungry = add_service(w, "hungry");
	size_t a = add_series(w, shop, "/a", 200);

	add_series(w, hungry, "/b", 200);
	add_series(w, shop, "/c", 200);
	serve(w, a, 10, MS);
	burn(w, shop, "/a", 10 * MS);
	burn(w, shop, "/c", 20 * MS);
	burn(w, hungry, "/b", 40 * MS);
	open_screen(w, WIDE, 24);
	update(w);
	assert_true(screen_find(&w->screen, "/a") < screen_find(&w->screen, "/c"));
	assert_true(type(w, "c"));
	assert_true(screen_find(&w->screen, "by cpu") >= 0);
	assert_true(screen_find(&w->screen, "/b") < screen_find(&w->screen, "/c"));
	assert_true(screen_find(&w->screen, "/c") < screen_find(&w->screen, "/a"));
}

static void lines_tell_them_too(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");
	char text[2048];
	ssize_t len;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(console_open(&w->console, ends[1], -1), 0);
	serve(w, add_series(w, shop, "/a", 200), 4, MS);
	burn(w, shop, "/a", 6 * MS);
	burn(w, shop, "{unattributed}", 2 * MS);
	update(w);
	len = read(ends[0], text, sizeof(text) - 1);
	assert_true(len > 0);
	text[len] = '\0';
	assert_non_null(strstr(text, " QUEUE    CPU/R  SHARE\n"));
	assert_non_null(strstr(text, "        -   1.50ms    75%\n"));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cpu_per_request_and_its_share_are_of_the_last_interval),
		TEST(a_routes_cpu_is_for_all_its_methods),
		TEST(a_request_that_still_runs_has_a_share_and_no_cost_per_request),
		TEST(an_idle_interval_has_neither),
		TEST(a_service_with_cpu_but_no_request_has_no_routes),
		TEST(without_costs_there_are_no_columns),
		TEST(a_narrower_terminal_has_no_costs),
		TEST(they_can_be_sorted_by),
		TEST(lines_tell_them_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
