/* SPDX-License-Identifier: Apache-2.0 */
/* screen - a terminal of a given size behind a pseudo-terminal, for tests: enough of one to see
 * what was drawn. Fails the test at a sequence that it does not know and at a character drawn past
 * an edge. */
#ifndef BITTERN_TEST_SCREEN_H
#define BITTERN_TEST_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#define SCREEN_WIDTH_MAX 200
#define SCREEN_HEIGHT_MAX 60

struct screen_cell {
	char text[16]; /* one character with what combines with it; "" right of a wide one */
	char style[16]; /* of the last SGR, "0" for none */
};

struct screen {
	int master, slave;
	int width, height, row, column;
	bool alternate, cursor_hidden, wraps;
	char style[16];
	char tail[32]; /* of what was read: the beginning of a sequence */
	struct screen_cell cells[SCREEN_HEIGHT_MAX][SCREEN_WIDTH_MAX];
	char line[SCREEN_WIDTH_MAX * 16];
};

void screen_open(struct screen *s, int width, int height);
void screen_resize(struct screen *s, int width, int height);
/* Takes what was written until now. */
void screen_read(struct screen *s);
/* Line row (from 0) without the blanks at its end; valid until the next call. */
const char *screen_line(struct screen *s, int row);
/* The row that holds text, -1 for none. */
int screen_find(struct screen *s, const char *text);
/* The style of the first character of text in row; NULL when it is not there. */
const char *screen_style(struct screen *s, int row, const char *text);
void screen_type(struct screen *s, const char *keys);
void screen_close(struct screen *s);

#endif
