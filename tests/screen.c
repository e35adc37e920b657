// SPDX-License-Identifier: Apache-2.0
#include "screen.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <locale.h>

#include <cmocka.h>

#include "../exporters/text.h"

static void erase_line(struct screen *s, int row)
{
	for (int i = 0; i < SCREEN_WIDTH_MAX; i++)
		s->cells[row][i] = (struct screen_cell){" ", "0"};
}

void screen_open(struct screen *s, int width, int height)
{
	struct winsize size = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};

	memset(s, 0, sizeof(*s));
	assert_int_equal(openpty(&s->master, &s->slave, NULL, NULL, &size), 0);
	assert_int_equal(fcntl(s->master, F_SETFL, O_NONBLOCK), 0);
	s->width = width ? width : 80;
	s->height = height ? height : 24;
	s->wraps = true;
	strcpy(s->style, "0");
	for (int row = 0; row < SCREEN_HEIGHT_MAX; row++)
		erase_line(s, row);
}

void screen_resize(struct screen *s, int width, int height)
{
	struct winsize size = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};

	assert_int_equal(ioctl(s->master, TIOCSWINSZ, &size), 0);
	s->width = width;
	s->height = height;
}

static void set_mode(struct screen *s, const char *parameters, bool on)
{
	if (strcmp(parameters, "?1049") == 0)
		s->alternate = on;
	else if (strcmp(parameters, "?25") == 0)
		s->cursor_hidden = !on;
	else if (strcmp(parameters, "?7") == 0)
		s->wraps = on;
	else
		fail_msg("unknown mode %s", parameters);
}

/* At the byte behind ESC; gives the one behind the sequence. */
static const char *obey(struct screen *s, const char *p)
{
	char parameters[16] = "";
	size_t len;

	if (*p != '[')
		fail_msg("unknown sequence ESC %c", *p);
	p++;
	len = strspn(p, "0123456789;?");
	assert_true(len < sizeof(parameters));
	memcpy(parameters, p, len);
	p += len;
	switch (*p) {
	case 'H':
		assert_int_equal(sscanf(parameters, "%d;%d", &s->row, &s->column), 2);
		s->row--;
		s->column--;
		assert_in_range(s->row, 0, s->height - 1);
		assert_in_range(s->column, 0, s->width - 1);
		break;
	case 'K':
		assert_string_equal(parameters, "2");
		erase_line(s, s->row);
		break;
	case 'm':
		strcpy(s->style, parameters);
		break;
	case 'h':
	case 'l':
		set_mode(s, parameters, *p == 'h');
		break;
	default:
		fail_msg("unknown sequence CSI %s%c", parameters, *p);
	}
	return p + 1;
}

static void put(struct screen *s, const char *character, size_t len, int columns)
{
	struct screen_cell *cell = &s->cells[s->row][s->column];

	if (columns == 0) {
		assert_true(s->column > 0);
		strncat(cell[-1].text, character, len);
		return;
	}
	if (s->column + columns > s->width)
		fail_msg("%.*s is drawn past the edge, at line %d", (int)len, character, s->row);
	memset(cell->text, 0, sizeof(cell->text));
	memcpy(cell->text, character, len);
	strcpy(cell->style, s->style);
	if (columns == 2)
		cell[1].text[0] = '\0';
	s->column += columns;
}

/* The writer has not got further: a sequence or a character goes on in what is read next. */
static bool is_cut(const char *p)
{
	if (*p == '\033')
		return !p[1 + strcspn(p + 1, "HKmhl")];
	return (*p & 0xc0) == 0xc0 && strlen(p) < (size_t)((*p & 0xf0) == 0xf0   ? 4
							   : (*p & 0xe0) == 0xe0 ? 3
										 : 2);
}

void screen_read(struct screen *s)
{
	static const char *const locale_name = "C.UTF-8";
	locale_t utf8 = newlocale(LC_CTYPE_MASK, locale_name, (locale_t)0), previous;
	struct text drawn = {};
	ssize_t len = 1;

	text_string(&drawn, s->tail);
	while (len > 0) {
		char *room = text_room(&drawn, 4096);

		len = read(s->master, room, 4096);
		if (len > 0)
			drawn.len += (size_t)len;
	}
	text_add(&drawn, "", 1);
	s->tail[0] = '\0';
	previous = uselocale(utf8);
	for (const char *p = drawn.data; *p;) {
		uint32_t code;
		size_t bytes = text_utf8_decode(p, &code);

		if (is_cut(p)) {
			assert_true(strlen(p) < sizeof(s->tail));
			strcpy(s->tail, p);
			break;
		}
		if (*p == '\033') {
			p = obey(s, p + 1);
			continue;
		}
		if (!bytes || wcwidth((wchar_t)code) < 0)
			fail_msg("the terminal is sent the byte %02x", (unsigned char)*p);
		put(s, p, bytes, wcwidth((wchar_t)code));
		p += bytes;
	}
	uselocale(previous);
	freelocale(utf8);
	text_free(&drawn);
}

const char *screen_line(struct screen *s, int row)
{
	size_t len;

	s->line[0] = '\0';
	for (int i = 0; i < s->width; i++)
		strcat(s->line, s->cells[row][i].text);
	for (len = strlen(s->line); len && s->line[len - 1] == ' '; len--)
		s->line[len - 1] = '\0';
	return s->line;
}

int screen_find(struct screen *s, const char *text)
{
	for (int row = 0; row < s->height; row++)
		if (strstr(screen_line(s, row), text))
			return row;
	return -1;
}

const char *screen_style(struct screen *s, int row, const char *text)
{
	const char *found = strstr(screen_line(s, row), text);
	size_t offset = 0;

	if (!found)
		return NULL;
	for (int i = 0; i < s->width; i++) {
		if (offset == (size_t)(found - s->line))
			return s->cells[row][i].style;
		offset += strlen(s->cells[row][i].text);
	}
	return NULL;
}

void screen_type(struct screen *s, const char *keys)
{
	assert_int_equal(write(s->master, keys, strlen(keys)), strlen(keys));
}

void screen_close(struct screen *s)
{
	close(s->master);
	close(s->slave);
}
