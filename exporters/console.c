// SPDX-License-Identifier: Apache-2.0
#include "console.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cells.h"
#include "table.h"
#include "terminal.h"

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_REVERSE, STYLE_ALARM, STYLE_COUNT };

static const char *const styles[STYLE_COUNT] = {"", "\033[1m", "\033[2m", "\033[7m", "\033[1;31m"};
static const char *const styles_no_color[STYLE_COUNT] = {"", "\033[1m", "\033[2m", "\033[7m",
							 "\033[1m"};

enum column_id {
	SERVICE,
	METHOD,
	ROUTE,
	RATE,
	ERRORS,
	P50,
	P95,
	P99,
	OPEN,
	OLDEST,
	TIMEOUTS,
	QUEUE,
	COST,
	COST_SHARE,
	CPU,
	MEMORY,
	COLUMN_COUNT
};

/* Width 0: the column shares what the others leave. */
static const struct column {
	const char *title;
	int width;
	/* Not on a terminal: longer values push the line to the right. 0: not shown, as its lines
	 * are routes'. */
	int plain_width;
	enum cells_align align;
} columns[COLUMN_COUNT] = {
	[SERVICE] = {"SERVICE", 0, 20, CELLS_LEFT}, [METHOD] = {"METHOD", 7, 7, CELLS_LEFT},
	[ROUTE] = {"ROUTE", 0, 32, CELLS_LEFT},     [RATE] = {"REQ/S", 6, 9, CELLS_RIGHT},
	[ERRORS] = {"ERR%", 5, 6, CELLS_RIGHT},     [P50] = {"P50", 6, 8, CELLS_RIGHT},
	[P95] = {"P95", 6, 8, CELLS_RIGHT},         [P99] = {"P99", 6, 8, CELLS_RIGHT},
	[OPEN] = {"OPEN", 4, 6, CELLS_RIGHT},       [OLDEST] = {"OLDEST", 6, 8, CELLS_RIGHT},
	[TIMEOUTS] = {"T/O", 4, 6, CELLS_RIGHT},    [QUEUE] = {"QUEUE", 6, 8, CELLS_RIGHT},
	[COST] = {"CPU/R", 6, 8, CELLS_RIGHT},      [COST_SHARE] = {"SHARE", 5, 6, CELLS_RIGHT},
	[CPU] = {"CPU%", 4, 0, CELLS_RIGHT},        [MEMORY] = {"MEM", 5, 0, CELLS_RIGHT},
};

/* Left out first to last, until names have so many columns: whether something is stuck stays. */
#define NAMES_MIN 22
#define NAMES_GOOD 33
static const struct {
	enum column_id id;
	int names_min;
} droppable[] = {{MEMORY, NAMES_GOOD},  {CPU, NAMES_GOOD},   {COST_SHARE, NAMES_GOOD},
		 {COST, NAMES_GOOD},    {P50, NAMES_MIN},    {P99, NAMES_MIN},
		 {QUEUE, NAMES_MIN},    {METHOD, NAMES_MIN}, {P95, NAMES_MIN},
		 {TIMEOUTS, NAMES_MIN}, {OPEN, NAMES_MIN},   {ERRORS, NAMES_MIN},
		 {OLDEST, NAMES_MIN}};
#define SERVICE_MAX 24

/* From this age on the oldest request is worth a place in the first line. */
#define OLD_S 1.0

static const struct order_name {
	char key;
	enum table_order order;
	const char *name;
} orders[] = {{'r', TABLE_BY_RATE, "rate"},         {'e', TABLE_BY_ERRORS, "errors"},
	      {'d', TABLE_BY_DURATION, "duration"}, {'o', TABLE_BY_OPEN, "open"},
	      {'a', TABLE_BY_OLDEST, "age"},        {'t', TABLE_BY_TIMEOUTS, "timeouts"},
	      {'c', TABLE_BY_CPU, "cpu"},           {'w', TABLE_BY_QUEUE, "wait"},
	      {'n', TABLE_BY_NAME, "name"}};
#define ORDER_COUNT (sizeof(orders) / sizeof(orders[0]))

struct console {
	struct table *table;
	struct terminal *terminal;
	struct text *frame; /* the terminal's, while something is drawn */
	const char *const *styles;
	locale_t utf8;
	enum table_order order;
	bool header_written;
	uint64_t intervals_left_out;
	size_t scroll, page_lines; /* first line shown, lines shown at once */
	char version[32];
	uint64_t time_unix_ns; /* of the last update, 0: none */
};

/* Numbers of a line as text; "" where a line has none. */
struct fields {
	const char *text[COLUMN_COUNT];
	char rate[CELLS_NUMBER_MAX], errors[CELLS_NUMBER_MAX];
	char p50[CELLS_NUMBER_MAX], p95[CELLS_NUMBER_MAX], p99[CELLS_NUMBER_MAX];
	char open[CELLS_NUMBER_MAX], oldest[CELLS_NUMBER_MAX], timeouts[CELLS_NUMBER_MAX];
	char cost[CELLS_NUMBER_MAX], cost_share[CELLS_NUMBER_MAX];
	char queue[CELLS_NUMBER_MAX], cpu[CELLS_NUMBER_MAX], memory[CELLS_NUMBER_MAX];
};

static void fill_fields(struct fields *f, const struct table_line *line)
{
	const struct row_numbers *n = &line->numbers;

	*f = (struct fields){.text = {line->service, line->method, line->route, f->rate, f->errors,
				      f->p50, f->p95, f->p99, f->open, f->oldest, f->timeouts,
				      f->queue, f->cost, f->cost_share, f->cpu, f->memory}};
	if (!isnan(line->cpu_share))
		cells_rate(f->cpu, 100 * line->cpu_share);
	if (line->resident_bytes)
		cells_bytes(f->memory, line->resident_bytes);
	if (line->kind == TABLE_SUBTOTAL)
		f->text[ROUTE] = "(all)";
	if (line->kind == TABLE_UNUSED) {
		f->text[ROUTE] = "(no requests yet)";
		return;
	}
	cells_rate(f->rate, n->per_second);
	cells_share(f->errors, n->error_count, n->count);
	cells_duration(f->p50, n->p50_s);
	cells_duration(f->p95, n->p95_s);
	cells_duration(f->p99, n->p99_s);
	cells_count(f->open, n->open_count);
	cells_duration(f->oldest, n->oldest_s);
	cells_count(f->timeouts, n->timeout_count);
	cells_duration(f->queue, line->queue_p99_s);
	cells_duration(f->cost, n->cpu_request_count ? (double)n->cpu_gained_ns / 1e9 /
							       (double)n->cpu_request_count
						     : NAN);
	cells_share(f->cost_share, n->cpu_gained_ns, line->cpu_gained_ns);
	if (!n->has_cpu)
		strcpy(f->cost, strcpy(f->cost_share, "-"));
}

static void format_time(char out[static 16], uint64_t time_unix_ns)
{
	time_t seconds = (time_t)(time_unix_ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(out, 16, "%H:%M:%S", &tm))
		out[0] = '\0';
}

/* Plain lines. */

static void add_plain(struct console *c, const char *time, const char *const text[COLUMN_COUNT])
{
	text_string(c->frame, time);
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		int width = columns[i].plain_width, needed = cells_width(text[i]);

		if (!width)
			continue;
		text_fill(c->frame, ' ', 1);
		cells_add(c->frame, text[i], width > needed ? width : needed, columns[i].align);
	}
	text_string(c->frame, "\n");
}

static bool has_news(const struct row_numbers *n)
{
	return n->count || n->open_count || n->timeouts_gained;
}

static void print_interval(struct console *c)
{
	const char *titles[COLUMN_COUNT];
	char time[16];

	c->frame = terminal_begin(c->terminal);
	if (!c->frame) {
		c->intervals_left_out++;
		return;
	}
	if (!c->header_written) {
		for (size_t i = 0; i < COLUMN_COUNT; i++)
			titles[i] = columns[i].title;
		add_plain(c, "TIME    ", titles);
		c->header_written = true;
	}
	format_time(time, c->time_unix_ns);
	if (c->intervals_left_out) {
		text_string(c->frame, "# intervals left out for a slow reader: ");
		text_number(c->frame, c->intervals_left_out);
		text_string(c->frame, "\n");
		c->intervals_left_out = 0;
	}
	for (size_t i = 0; i < table_line_count(c->table); i++) {
		struct table_line line = table_line(c->table, i);
		struct fields fields;

		if (line.kind != TABLE_ROUTE || !has_news(&line.numbers))
			continue;
		fill_fields(&fields, &line);
		add_plain(c, time, fields.text);
	}
	terminal_flush(c->terminal);
}

/* The table on a terminal. */

struct layout {
	int width, height;
	int widths[COLUMN_COUNT]; /* 0: not shown */
};

static void share_names(struct layout *l, const struct table *table, int left)
{
	int longest = (int)strlen(columns[SERVICE].title);

	for (size_t i = 0; i < table_line_count(table); i++) {
		int width = cells_width(table_line(table, i).service);

		longest = width > longest ? width : longest;
	}
	if (longest > left * 2 / 5)
		longest = left * 2 / 5;
	l->widths[SERVICE] = longest < SERVICE_MAX ? longest : SERVICE_MAX;
	l->widths[ROUTE] = left - l->widths[SERVICE];
}

static void make_layout(struct layout *l, const struct console *c)
{
	int left;

	terminal_size(c->terminal, &l->width, &l->height);
	left = l->width - 1; /* the gap between the names */
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		l->widths[i] = columns[i].width;
		if ((i == COST || i == COST_SHARE) && !table_has_cpu(c->table))
			l->widths[i] = 0;
		else if (columns[i].width)
			left -= columns[i].width + 1;
	}
	for (size_t i = 0; i < sizeof(droppable) / sizeof(droppable[0]); i++) {
		if (left >= droppable[i].names_min || !l->widths[droppable[i].id])
			continue;
		left += l->widths[droppable[i].id] + 1;
		l->widths[droppable[i].id] = 0;
	}
	share_names(l, c->table, left > 2 ? left : 2);
}

/* Begins line row (from 1), which is cleared; gives the columns it has. */
static void begin_line(struct console *c, int row)
{
	text_string(c->frame, "\033[");
	text_number(c->frame, (uint64_t)row);
	text_string(c->frame, ";1H\033[0m\033[2K");
}

/* One cell of at most width columns within what is left of the line. */
static void draw_cell(struct console *c, int *left, const char *string, int width,
		      enum cells_align align, enum style style)
{
	if (width > *left)
		width = *left;
	if (width <= 0)
		return;
	text_string(c->frame, c->styles[style]);
	cells_add(c->frame, string, width, align);
	if (style != STYLE_PLAIN)
		text_string(c->frame, "\033[0m");
	*left -= width;
}

/* alarms: of each column, whether it is to stand out. */
static void draw_fields(struct console *c, const struct layout *l, int row,
			const char *const text[COLUMN_COUNT], enum style style,
			const bool alarms[COLUMN_COUNT])
{
	int left = l->width;

	begin_line(c, row);
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (!l->widths[i])
			continue;
		if (i)
			draw_cell(c, &left, " ", 1, CELLS_LEFT, style);
		draw_cell(c, &left, text[i], l->widths[i], columns[i].align,
			  alarms[i] ? STYLE_ALARM : style);
	}
}

static void draw_message(struct console *c, const struct layout *l, int row, const char *message,
			 enum style style)
{
	int left = l->width;

	begin_line(c, row);
	draw_cell(c, &left, message, cells_width(message), CELLS_LEFT, style);
}

static const char *order_name(enum table_order order)
{
	for (size_t i = 0; i < ORDER_COUNT; i++)
		if (orders[i].order == order)
			return orders[i].name;
	return "";
}

#define OLDEST_MAX (ROUTES_TEMPLATE_MAX + 128 + 48) /* with a service's name */

/* Which route is to blame if something is stuck; "" when nothing is. */
static void find_oldest(const struct console *c, char out[static OLDEST_MAX])
{
	struct table_line line;
	char age[CELLS_NUMBER_MAX];

	out[0] = '\0';
	if (!table_oldest(c->table, &line) || line.numbers.oldest_s < OLD_S)
		return;
	cells_duration(age, line.numbers.oldest_s);
	snprintf(out, OLDEST_MAX, "oldest %s: %s %s  ", age, line.service, line.route);
}

static void draw_head(struct console *c, const struct layout *l)
{
	static const bool no_alarms[COLUMN_COUNT];
	size_t services = table_service_count(c->table);
	char line[160 + OLDEST_MAX], oldest[OLDEST_MAX], time[16] = "", rate[CELLS_NUMBER_MAX];
	const char *titles[COLUMN_COUNT];

	if (c->time_unix_ns)
		format_time(time, c->time_unix_ns);
	cells_rate(rate, table_per_second(c->table));
	find_oldest(c, oldest);
	snprintf(line, sizeof(line), "bittern %s  %s  %s req/s  %s%zu service%s  by %s", c->version,
		 time, rate, oldest, services, services == 1 ? "" : "s", order_name(c->order));
	draw_message(c, l, 1, line, STYLE_BOLD);
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		titles[i] = columns[i].title;
	if (l->height > 1)
		draw_fields(c, l, 2, titles, STYLE_REVERSE, no_alarms);
}

static void draw_line(struct console *c, const struct layout *l, int row, size_t i)
{
	struct table_line line = table_line(c->table, i);
	bool alarms[COLUMN_COUNT] = {[ERRORS] = line.numbers.error_count > 0,
				     [TIMEOUTS] = line.numbers.timeouts_gained > 0};
	enum style style = STYLE_PLAIN;
	struct fields fields;

	fill_fields(&fields, &line);
	if (line.kind == TABLE_ROUTE && !line.alone) /* the service's: its subtotal has them */
		fields.text[QUEUE] = fields.text[CPU] = fields.text[MEMORY] = "";
	if (line.kind == TABLE_SUBTOTAL)
		style = STYLE_BOLD;
	else if (!line.numbers.count && !line.numbers.open_count)
		style = STYLE_DIM;
	draw_fields(c, l, row, fields.text, style, alarms);
}

static void draw_foot(struct console *c, const struct layout *l, size_t shown)
{
	char line[200];
	int len;

	/* With the names of the orders, if the line is long enough. */
	for (bool names = true;; names = false) {
		len = snprintf(line, sizeof(line), "q quit  j k scroll  sort:");
		for (size_t i = 0; i < ORDER_COUNT; i++)
			len += snprintf(line + len, sizeof(line) - (size_t)len,
					names ? " %c %s" : " %c", orders[i].key, orders[i].name);
		len += snprintf(line + len, sizeof(line) - (size_t)len, "  %zu-%zu of %zu",
				shown ? c->scroll + 1 : 0, c->scroll + shown,
				table_line_count(c->table));
		if (!names || len <= l->width)
			break;
	}
	draw_message(c, l, l->height, line, STYLE_DIM);
}

static void draw_table(struct console *c, const struct layout *l)
{
	size_t total = table_line_count(c->table), shown = 0;
	int row = 3, last = l->height > 4 ? l->height - 1 : l->height;

	draw_head(c, l);
	if (!table_has_requests(c->table) && row <= last)
		draw_message(c, l, row++, "waiting for requests of Python and Node.js services...",
			     STYLE_PLAIN);
	c->page_lines = row <= last ? (size_t)(last - row + 1) : 1;
	if (c->scroll > total || total - c->scroll < c->page_lines)
		c->scroll = total > c->page_lines ? total - c->page_lines : 0;
	for (; row <= last && c->scroll + shown < total; row++, shown++)
		draw_line(c, l, row, c->scroll + shown);
	for (; row <= last; row++)
		begin_line(c, row);
	if (last < l->height)
		draw_foot(c, l, shown);
}

void console_draw(struct console *c)
{
	struct layout layout;
	locale_t previous;

	if (!terminal_is_screen(c->terminal))
		return;
	c->frame = terminal_begin(c->terminal);
	if (!c->frame)
		return;
	previous = c->utf8 ? uselocale(c->utf8) : (locale_t)0;
	make_layout(&layout, c);
	draw_table(c, &layout);
	if (previous)
		uselocale(previous);
	terminal_flush(c->terminal);
}

void console_update(struct console *c, const struct snapshot *snapshot)
{
	locale_t previous;

	if (table_update(c->table, snapshot))
		return;
	c->time_unix_ns = snapshot->time_unix_ns;
	snprintf(c->version, sizeof(c->version), "%s", snapshot->version);
	if (terminal_is_screen(c->terminal)) {
		console_draw(c);
		return;
	}
	previous = c->utf8 ? uselocale(c->utf8) : (locale_t)0;
	print_interval(c);
	if (previous)
		uselocale(previous);
}

/* Keys. */

static void scroll_by(struct console *c, long lines)
{
	if (lines < 0 && c->scroll < (size_t)-lines)
		c->scroll = 0;
	else
		c->scroll += (size_t)lines; /* console_draw() finds the end */
}

static const struct scroll_key {
	const char *keys;
	int lines, pages;
} scroll_keys[] = {
	{"j", 1, 0},       {"k", -1, 0},      {"\033[B", 1, 0},  {"\033OB", 1, 0},
	{"\033[A", -1, 0}, {"\033OA", -1, 0}, {"\033[6~", 0, 1}, {"\033[5~", 0, -1},
};

static void take_key(struct console *c, const char *key)
{
	for (size_t i = 0; i < sizeof(scroll_keys) / sizeof(scroll_keys[0]); i++)
		if (strcmp(scroll_keys[i].keys, key) == 0)
			scroll_by(c, scroll_keys[i].lines +
					     scroll_keys[i].pages * (long)c->page_lines);
	for (size_t i = 0; i < ORDER_COUNT; i++) {
		if (orders[i].key != key[0] || key[1])
			continue;
		c->order = orders[i].order;
		c->scroll = 0;
		table_sort(c->table, c->order);
	}
}

bool console_keys(struct console *c)
{
	char key[TERMINAL_KEY_MAX];
	bool any = false;

	while (terminal_key(c->terminal, key)) {
		if (strcmp(key, "q") == 0)
			return false;
		take_key(c, key);
		any = true;
	}
	if (any)
		console_draw(c);
	return !terminal_gone(c->terminal);
}

int console_open(struct console **out, int output_fd, int input_fd)
{
	const char *no_color = getenv("NO_COLOR");
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (table_open(&c->table) || terminal_open(&c->terminal, output_fd, input_fd)) {
		console_close(c);
		return -ENOMEM;
	}
	c->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0); /* without: ASCII only */
	c->styles = no_color && *no_color ? styles_no_color : styles;
	c->order = terminal_is_screen(c->terminal) ? TABLE_BY_RATE : TABLE_BY_NAME;
	table_sort(c->table, c->order);
	*out = c;
	return 0;
}

int console_input_fd(const struct console *c)
{
	return terminal_input_fd(c->terminal);
}

void console_close(struct console *c)
{
	if (!c)
		return;
	terminal_close(c->terminal);
	if (c->utf8)
		freelocale(c->utf8);
	table_close(c->table);
	free(c);
}
