/* SPDX-License-Identifier: Apache-2.0 */
/* terminal - a screen to draw on with keys from it; or any other output, for lines.
 *
 * A reader that is slow or stands still holds nobody up for more than TERMINAL_PATIENCE_MS: what it
 * has not taken waits, and nothing new can be written meanwhile. Ctrl-C still signals; Ctrl-Z does
 * not, for a stopped agent would lose records. */
#ifndef BITTERN_TERMINAL_H
#define BITTERN_TERMINAL_H

#include <stdbool.h>

#include "text.h"

#define TERMINAL_PATIENCE_MS 20
#define TERMINAL_KEY_MAX 8

struct terminal;

/* output_fd is a screen when it is a terminal and TERM is not "dumb": the alternate one, without
 * cursor and wrapping. input_fd (-1: none) gives keys when it is a terminal as well and we are not
 * in its background. Neither is closed. 0 and *out, to be closed; -ENOMEM. */
int terminal_open(struct terminal **out, int output_fd, int input_fd);
bool terminal_is_screen(const struct terminal *t);
int terminal_input_fd(const struct terminal *t); /* to be polled; -1: no keys */
/* In columns and lines, at this moment; 80 x 24 when not known. */
void terminal_size(const struct terminal *t, int *width, int *height);
/* An empty text to fill and give to terminal_flush(); NULL while the last one still waits, or
 * nobody reads. */
struct text *terminal_begin(struct terminal *t);
void terminal_flush(struct terminal *t);
/* The next key that waits: a character or an escape sequence as it was sent. False: none. */
bool terminal_key(struct terminal *t, char key[static TERMINAL_KEY_MAX]);
bool terminal_gone(const struct terminal *t); /* hung up, or nobody reads any more */
/* Puts screen and keyboard back. NULL is fine. */
void terminal_close(struct terminal *t);

#endif
