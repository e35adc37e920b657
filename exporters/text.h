/* SPDX-License-Identifier: Apache-2.0 */
/* text - a growing byte buffer with the few formats that exporters write.
 *
 * An append that finds no memory sets error and changes nothing else, and so do all after it: check
 * error once, at the end. No locale. Numbers are written by hand: printf would be most of a page's
 * time. */
#ifndef BITTERN_TEXT_H
#define BITTERN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_NUMBER_MAX 20 /* bytes of the longest uint64_t */
#define TEXT_SECONDS_MAX 21 /* bytes of the longest duration */

/* Zero it to begin. data has no NUL at its end. */
struct text {
	char *data;
	size_t len, capacity;
	int error; /* 0 or -ENOMEM */
};

/* Where len more bytes may be written (add them to t->len yourself); NULL without memory. */
char *text_room(struct text *t, size_t len);
void text_add(struct text *t, const char *bytes, size_t len);
void text_string(struct text *t, const char *string);
void text_fill(struct text *t, char byte, size_t count);
void text_number(struct text *t, uint64_t value);
/* Nanoseconds as decimal seconds, exact: 1500000000 is "1.5". */
void text_seconds(struct text *t, uint64_t value_ns);
/* An integer without exponent where it is one, else the shortest decimal that reads back as the
 * same double. */
void text_double(struct text *t, double value);
/* Valid UTF-8 of any string: each byte that is in no valid sequence becomes U+FFFD. A byte below
 * 0x80 that is in escaped (a pair each: byte, what follows the backslash; "\nn" for a newline as
 * \n) is escaped. */
void text_utf8(struct text *t, const char *string, const char *escaped);
void text_clear(struct text *t); /* keeps the memory */
void text_free(struct text *t);

/* The same into a buffer of at least TEXT_..._MAX bytes, without NUL; gives the end. */
char *text_put_number(char *to, uint64_t value);
char *text_put_seconds(char *to, uint64_t value_ns);

/* Length (1 to 4) of the valid UTF-8 sequence at p and its code point; 0 when there is none, and
 * then *code is not set. Reads no further than the first byte that does not fit: a NUL ends it. */
size_t text_utf8_decode(const char *p, uint32_t *code);
bool text_is_utf8(const char *string);

#endif
