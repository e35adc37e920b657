// SPDX-License-Identifier: Apache-2.0
/* The console's keys, its terminal, and where there is none. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "console_world.h"
#include "../exporters/text.h"

static void keys_choose_the_order(void **state)
{
	struct world *w = *state;
	const struct service *a = add_service(w, "a-often"), *b = add_service(w, "b-slow");
	const struct service *c = add_service(w, "c-broken");

	open_screen(w, 80, 24);
	serve(w, add_series(w, c, "/", 500), 2, 10 * MS);
	serve(w, add_series(w, b, "/", 200), 3, 2 * S);
	serve(w, add_series(w, a, "/", 200), 9, 20 * MS);
	update(w);
	assert_int_equal(screen_find(&w->screen, "a-often"), 2);
	assert_int_equal(screen_find(&w->screen, "b-slow"), 3);
	assert_true(type(w, "e"));
	assert_int_equal(screen_find(&w->screen, "c-broken"), 2);
	assert_true(screen_find(&w->screen, "by errors") == 0);
	assert_true(type(w, "d"));
	assert_int_equal(screen_find(&w->screen, "b-slow"), 2);
	assert_int_equal(screen_find(&w->screen, "a-often"), 3);
	assert_true(type(w, "n"));
	assert_int_equal(screen_find(&w->screen, "a-often"), 2);
	assert_int_equal(screen_find(&w->screen, "c-broken"), 4);
	assert_true(type(w, "r"));
	assert_int_equal(screen_find(&w->screen, "c-broken"), 4);
	pass(w, S);
	serve(w, 0, 5, MS);
	update(w); /* the order stays chosen */
	assert_int_equal(screen_find(&w->screen, "c-broken"), 2);
}

static void q_quits_and_other_keys_do_not(void **state)
{
	struct world *w = *state;

	open_screen(w, 80, 24);
	update(w);
	assert_true(console_keys(w->console)); /* no key at all */
	assert_true(type(w, "xQ\033[15~\033[<0;1;1M\033[1;5A \t\r"));
	assert_false(type(w, "q"));
	assert_false(type(w, "\033q")); /* Escape, then q */
}

static void add_routes(struct world *w, size_t count)
{
	const struct service *shop = add_service(w, "shop");

	for (size_t i = 0; i < count; i++) {
		snprintf(w->routes[i], sizeof(w->routes[i]), "/r%02zu", i);
		serve(w, add_series(w, shop, w->routes[i], 200), count - i, MS);
	}
}

static void a_long_table_scrolls_and_stops_at_its_ends(void **state)
{
	struct world *w = *state;

	add_routes(w, 40); /* with the subtotal 41 lines, 7 of them on the screen */
	open_screen(w, 80, 10);
	update(w);
	assert_int_equal(screen_find(&w->screen, "(all)"), 2);
	assert_int_equal(screen_find(&w->screen, "/r05"), 8);
	assert_int_equal(screen_find(&w->screen, "1-7 of 41"), 9);
	type(w, "j");
	assert_int_equal(screen_find(&w->screen, "/r00"), 2);
	type(w, "\033[B\033OB");
	assert_int_equal(screen_find(&w->screen, "/r02"), 2);
	type(w, "k\033[A");
	assert_int_equal(screen_find(&w->screen, "/r00"), 2);
	type(w, "\033[6~");
	assert_int_equal(screen_find(&w->screen, "/r07"), 2);
	type(w, "\033[");
	type(w, "5~"); /* a sequence in two parts */
	assert_int_equal(screen_find(&w->screen, "/r00"), 2);
	for (int i = 0; i < 10; i++)
		type(w, "\033[6~");
	assert_int_equal(screen_find(&w->screen, "/r39"), 8);
	assert_int_equal(screen_find(&w->screen, "35-41 of 41"), 9);
	for (int i = 0; i < 10; i++)
		type(w, "\033[5~");
	assert_int_equal(screen_find(&w->screen, "(all)"), 2);
	assert_int_equal(w->snapshot.series_count, 40);
}

static void a_new_size_is_respected_at_the_next_draw(void **state)
{
	struct world *w = *state;
	static const int sizes[][2] = {{200, 60}, {80, 24}, {60, 12}, {40, 6}, {20, 5},
				       {10, 4},   {5, 3},   {3, 2},   {1, 1},  {120, 40}};

	add_routes(w, 40);
	open_screen(w, 80, 24);
	update(w);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* The screen fails at whatever is drawn outside. */
		screen_resize(&w->screen, sizes[i][0], sizes[i][1]);
		console_draw(w->console);
		screen_read(&w->screen);
		assert_true(sizes[i][0] < 7 || screen_find(&w->screen, "bittern") == 0);
	}
	assert_int_equal(screen_find(&w->screen, "/r35"), 38);
}

/* Squeezed, what the line of titles holds at this width. */
static void assert_titles(struct world *w, int width, const char *expected)
{
	screen_resize(&w->screen, width, 24);
	console_draw(w->console);
	screen_read(&w->screen);
	assert_line(w, "SERVICE", expected);
}

static void columns_leave_a_narrow_terminal_in_order_of_their_weight(void **state)
{
	struct world *w = *state;

	add_routes(w, 3);
	open_screen(w, 100, 24);
	update(w);
	assert_titles(w, 111,
		      "SERVICE METHOD ROUTE REQ/S ERR% P50 P95 P99 OPEN OLDEST T/O QUEUE CPU% MEM");
	assert_titles(w, 110,
		      "SERVICE METHOD ROUTE REQ/S ERR% P50 P95 P99 OPEN OLDEST T/O QUEUE CPU%");
	assert_titles(w, 100, "SERVICE METHOD ROUTE REQ/S ERR% P50 P95 P99 OPEN OLDEST T/O QUEUE");
	assert_titles(w, 80, "SERVICE METHOD ROUTE REQ/S ERR% P95 OPEN OLDEST T/O QUEUE");
	assert_titles(w, 68, "SERVICE METHOD ROUTE REQ/S ERR% P95 OPEN OLDEST T/O");
	assert_titles(w, 60, "SERVICE ROUTE REQ/S ERR% P95 OPEN OLDEST T/O");
	assert_titles(w, 50, "SERVICE ROUTE REQ/S ERR% OPEN OLDEST");
	assert_titles(w, 44, "SERVICE ROUTE REQ/S ERR% OLDEST");
	assert_titles(w, 38, "SERVICE ROUTE REQ/S OLDEST");
	assert_titles(w, 30, "SERVICE ROUTE REQ/S");
}

static void a_narrow_terminal_keeps_names_rate_errors_and_age(void **state)
{
	struct world *w = *state;

	open_screen(w, 44, 24);
	serve(w, add_series(w, add_service(w, "shop"), "/orders/{id}", 500), 4, 10 * MS);
	update(w);
	assert_line(w, "shop", "shop /orders/{id} 2.0 100% -");
}

static void a_terminal_without_a_size_is_80_by_24(void **state)
{
	struct world *w = *state;

	add_routes(w, 40);
	open_screen(w, 0, 0);
	update(w);
	assert_int_equal(screen_find(&w->screen, "1-21 of 41"), 23);
	assert_int_equal(strlen(screen_line(&w->screen, 2)), 80);
}

static void names_are_clipped_by_their_width_on_the_screen(void **state)
{
	struct world *w = *state;

	open_screen(w, 80, 24);
	serve(w,
	      add_series(w, add_service(w, "\xe6\xb3\xa8\xe6\x96\x87\xe6\x9c\x8d\xe5\x8a\xa1"),
			 "/\xe6\xb3\xa8/caf\xc3\xa9/a/route/that/is/longer/than/its/column", 200),
	      2, 10 * MS);
	update(w);
	assert_line(w, "\xe6\xb3\xa8\xe6\x96\x87",
		    "\xe6\xb3\xa8\xe6\x96\x87\xe6\x9c\x8d\xe5\x8a\xa1 GET "
		    "/\xe6\xb3\xa8/caf\xc3\xa9/a/route/t\xe2\x80\xa6 1.0 0% 10.0ms 0 - 0 -");
}

static void a_name_cannot_command_the_terminal(void **state)
{
	struct world *w = *state;

	open_screen(w, 80, 24);
	serve(w, add_series(w, add_service(w, "e\033[2Jvil\xc2\x9b"), "/\xe2\x80\xae\r\n\xff", 200),
	      2, 10 * MS);
	update(w); /* the screen fails at any control */
	assert_line(w, "vil", "e?[2Jvil? GET /???? 1.0 0% 10.0ms 0 - 0 -");
}

static void errors_stand_out_and_no_color_has_no_color(void **state)
{
	struct world *w = *state;
	int row;

	serve(w, add_series(w, add_service(w, "shop"), "/", 500), 2, 10 * MS);
	serve(w, add_series(w, add_service(w, "auth"), "/", 200), 2, 10 * MS);
	open_screen(w, 80, 24);
	update(w);
	row = screen_find(&w->screen, "shop");
	assert_string_equal(screen_style(&w->screen, row, "100%"), "1;31");
	assert_string_equal(screen_style(&w->screen, row, "shop"), "0");
	row = screen_find(&w->screen, "auth");
	assert_string_equal(screen_style(&w->screen, row, "0%"), "0");
	console_close(w->console);
	setenv("NO_COLOR", "1", 1);
	assert_int_equal(console_open(&w->console, w->screen.slave, -1), 0);
	update(w);
	row = screen_find(&w->screen, "shop");
	assert_string_equal(screen_style(&w->screen, row, "100%"), "1");
}

static void the_terminal_is_put_back_as_it_was(void **state)
{
	struct world *w = *state;
	struct termios before, raw, after;

	screen_open(&w->screen, 80, 24);
	assert_int_equal(tcgetattr(w->screen.slave, &before), 0);
	assert_int_equal(console_open(&w->console, w->screen.slave, w->screen.slave), 0);
	assert_int_equal(console_input_fd(w->console), w->screen.slave);
	assert_int_equal(tcgetattr(w->screen.slave, &raw), 0);
	assert_int_equal(raw.c_lflag & (ICANON | ECHO), 0);
	assert_true(raw.c_lflag & ISIG);
	update(w);
	console_close(w->console);
	w->console = NULL;
	screen_read(&w->screen);
	assert_false(w->screen.alternate);
	assert_false(w->screen.cursor_hidden);
	assert_true(w->screen.wraps);
	assert_int_equal(tcgetattr(w->screen.slave, &after), 0);
	assert_int_equal(before.c_lflag, after.c_lflag);
	assert_int_equal(before.c_iflag, after.c_iflag);
	assert_memory_equal(before.c_cc, after.c_cc, sizeof(before.c_cc));
	assert_int_equal(fcntl(w->screen.slave, F_GETFL) & O_NONBLOCK, 0);
}

static void a_terminal_that_hangs_up_ends_it(void **state)
{
	struct world *w = *state;

	open_screen(w, 80, 24);
	update(w);
	close(w->screen.master);
	w->screen.master = open("/dev/null", O_RDWR);
	assert_false(console_keys(w->console));
	console_update(w->console, &w->snapshot);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void a_terminal_that_nobody_reads_holds_nothing_up(void **state)
{
	struct world *w = *state;
	uint64_t start_ms = now_ms();

	add_routes(w, 40);
	open_screen(w, 200, 60);
	for (int i = 0; i < 50; i++) {
		pass(w, S);
		console_update(w->console, &w->snapshot);
	}
	assert_true(now_ms() - start_ms < 50 * 100);
	screen_read(&w->screen);
	for (int i = 0; i < 20; i++) {
		serve(w, 0, 1, MS);
		pass(w, S);
		update(w); /* whole frames only: the screen would fail at a broken sequence */
	}
	/* What the kernel still moves through the terminal arrives a moment later. */
	for (int i = 0; i < 200 && screen_find(&w->screen, "22:14:30"); i++) {
		usleep(10000);
		console_draw(w->console);
		screen_read(&w->screen);
	}
	assert_int_equal(screen_find(&w->screen, "22:14:30"), 0);
}

/* A console on a pipe; what it wrote so far. */
static int open_pipe(struct world *w)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(console_open(&w->console, ends[1], -1), 0);
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	close(ends[1]);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	return ends[0];
}

static char *read_pipe(int fd)
{
	struct text text = {};
	ssize_t len = 1;

	while (len > 0) {
		char *room = text_room(&text, 65536);

		len = read(fd, room, 65536);
		if (len > 0)
			text.len += (size_t)len;
	}
	text_add(&text, "", 1);
	return text.data;
}

#define PLAIN_HEAD                                                                                \
	"TIME     SERVICE              METHOD  ROUTE                                REQ/S   ERR%" \
	"      P50      P95      P99   OPEN   OLDEST    T/O    QUEUE    CPU/R  SHARE\n"

static void elsewhere_each_route_with_requests_is_a_line(void **state)
{
	struct world *w = *state;
	const struct service *shop = add_service(w, "shop");
	size_t a = add_series(w, shop, "/a", 200), b = add_series(w, shop, "/b", 500);
	int fd = open_pipe(w);
	char *lines;

	add_service(w, "unused");
	assert_int_equal(console_input_fd(w->console), -1);
	update(w);
	lines = read_pipe(fd);
	assert_string_equal(lines, PLAIN_HEAD);
	free(lines);
	serve(w, a, 3, 430000);
	serve(w, b, 1, 1230 * MS);
	pass(w, S);
	update(w);
	lines = read_pipe(fd);
	assert_string_equal(
		lines,
		"22:13:21 shop                 GET     /a                                     3.0"
		"     0%   0.43ms   0.43ms   0.43ms      0        -      0        -"
		"        -      -\n"
		"22:13:21 shop                 GET     /b                                     1.0"
		"   100%    1.23s    1.23s    1.23s      0        -      0        -"
		"        -      -\n");
	free(lines);
	serve(w, b, 1, 1230 * MS);
	pass(w, S);
	update(w);
	lines = read_pipe(fd);
	assert_string_equal(
		lines,
		"22:13:22 shop                 GET     /b                                     1.0"
		"   100%    1.23s    1.23s    1.23s      0        -      0        -"
		"        -      -\n");
	free(lines);
	console_draw(w->console);
	lines = read_pipe(fd);
	assert_string_equal(lines, "");
	free(lines);
	close(fd);
}

static void a_long_name_is_not_clipped_in_a_line(void **state)
{
	struct world *w = *state;
	static const char route[] = "/a/route/that/is/much/longer/than/its/column/and/stays/whole";
	int fd = open_pipe(w);
	char *lines;

	serve(w, add_series(w, add_service(w, "shop"), route, 200), 2, MS);
	update(w);
	lines = read_pipe(fd);
	assert_non_null(strstr(lines, route));
	free(lines);
	close(fd);
}

static void a_dumb_terminal_gets_lines(void **state)
{
	struct world *w = *state;
	char buffer[256] = "";

	setenv("TERM", "dumb", 1);
	screen_open(&w->screen, 80, 24);
	assert_int_equal(console_open(&w->console, w->screen.slave, w->screen.slave), 0);
	console_update(w->console, &w->snapshot);
	assert_true(read(w->screen.master, buffer, sizeof(buffer) - 1) > 0);
	assert_memory_equal(buffer, PLAIN_HEAD, sizeof(PLAIN_HEAD) - 2);
}

static void a_pipe_that_nobody_reads_holds_nothing_up_and_is_told(void **state)
{
	struct world *w = *state;
	int fd = open_pipe(w);
	uint64_t start_ms = now_ms();
	char *lines;

	add_routes(w, 40);
	for (int i = 0; i < 40; i++) {
		for (size_t route = 0; route < 40; route++)
			serve(w, route, 1, MS);
		pass(w, S);
		update(w);
	}
	assert_true(now_ms() - start_ms < 40 * 100);
	free(read_pipe(fd));
	for (int i = 0; i < 3; i++) {
		serve(w, 0, 1, MS);
		pass(w, S);
		update(w);
	}
	lines = read_pipe(fd);
	assert_non_null(strstr(lines, "\n# intervals left out for a slow reader: "));
	assert_non_null(strstr(lines, "\n22:14:03 shop "));
	free(lines);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_choose_the_order),
		TEST(q_quits_and_other_keys_do_not),
		TEST(a_long_table_scrolls_and_stops_at_its_ends),
		TEST(a_new_size_is_respected_at_the_next_draw),
		TEST(columns_leave_a_narrow_terminal_in_order_of_their_weight),
		TEST(a_narrow_terminal_keeps_names_rate_errors_and_age),
		TEST(a_terminal_without_a_size_is_80_by_24),
		TEST(names_are_clipped_by_their_width_on_the_screen),
		TEST(a_name_cannot_command_the_terminal),
		TEST(errors_stand_out_and_no_color_has_no_color),
		TEST(the_terminal_is_put_back_as_it_was),
		TEST(a_terminal_that_hangs_up_ends_it),
		TEST(a_terminal_that_nobody_reads_holds_nothing_up),
		TEST(elsewhere_each_route_with_requests_is_a_line),
		TEST(a_long_name_is_not_clipped_in_a_line),
		TEST(a_dumb_terminal_gets_lines),
		TEST(a_pipe_that_nobody_reads_holds_nothing_up_and_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
