// SPDX-License-Identifier: Apache-2.0
#include "cells.h"

#include <math.h>
#include <stdio.h>
#include <wchar.h>

#define ELLIPSIS "\xe2\x80\xa6"

/* Format characters that turn or join what follows: a route must not rearrange a line. */
static const struct code_range {
	uint32_t first, last;
} unsafe_codes[] = {
	{0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x200b, 0x200f},   {0x2028, 0x202e},
	{0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
};

/* The columns of the character at p and its length in bytes; -1: not to be shown. */
static int character(const char *p, size_t *len)
{
	uint32_t code;

	*len = text_utf8_decode(p, &code);
	if (!*len) {
		*len = 1;
		return -1;
	}
	for (size_t i = 0; i < sizeof(unsafe_codes) / sizeof(unsafe_codes[0]); i++)
		if (code >= unsafe_codes[i].first && code <= unsafe_codes[i].last)
			return -1;
	return wcwidth((wchar_t)code);
}

int cells_width(const char *string)
{
	size_t len;
	int width = 0;

	for (; *string; string += len) {
		int columns = character(string, &len);

		width += columns < 0 ? 1 : columns;
	}
	return width;
}

static void add_clipped(struct text *out, const char *string, int width)
{
	size_t len;

	for (; *string; string += len) {
		int columns = character(string, &len);

		if ((columns < 0 ? 1 : columns) > width)
			break;
		if (columns < 0)
			text_add(out, "?", 1);
		else
			text_add(out, string, len);
		width -= columns < 0 ? 1 : columns;
	}
	text_fill(out, ' ', (size_t)width); /* half of a wide character */
}

void cells_add(struct text *out, const char *string, int width, enum cells_align align)
{
	int needed = cells_width(string);

	if (width <= 0)
		return;
	if (needed > width) {
		add_clipped(out, string, width - 1);
		text_string(out, ELLIPSIS);
		return;
	}
	if (align == CELLS_RIGHT)
		text_fill(out, ' ', (size_t)(width - needed));
	add_clipped(out, string, needed);
	if (align == CELLS_LEFT)
		text_fill(out, ' ', (size_t)(width - needed));
}

/* Below which value which format; the limits lie where rounding would reach one digit more. */
struct number_format {
	double below, factor;
	int decimals;
	const char *unit;
};

static void put_number(char out[static CELLS_NUMBER_MAX], double value,
		       const struct number_format *f)
{
	while (value >= f->below)
		f++;
	snprintf(out, CELLS_NUMBER_MAX, "%.*f%s", f->decimals, value * f->factor, f->unit);
}

void cells_duration(char out[static CELLS_NUMBER_MAX], double seconds)
{
	static const struct number_format formats[] = {
		{0.009995, 1e3, 2, "ms"}, {0.09995, 1e3, 1, "ms"}, {0.9995, 1e3, 0, "ms"},
		{9.995, 1, 2, "s"},       {99.95, 1, 1, "s"},      {INFINITY, 1, 0, "s"},
	};

	if (isfinite(seconds))
		put_number(out, seconds, formats);
	else
		snprintf(out, CELLS_NUMBER_MAX, "-");
}

void cells_rate(char out[static CELLS_NUMBER_MAX], double per_second)
{
	static const struct number_format formats[] = {
		{0.0005, 0, 0, ""}, {0.995, 1, 2, ""}, {99.95, 1, 1, ""}, {INFINITY, 1, 0, ""}};

	put_number(out, per_second, formats);
}

void cells_count(char out[static CELLS_NUMBER_MAX], uint64_t count)
{
	static const struct number_format formats[] = {{9999.5, 1, 0, ""},
						       {999500, 1e-3, 0, "k"},
						       {9.95e6, 1e-6, 1, "M"},
						       {INFINITY, 1e-6, 0, "M"}};

	put_number(out, (double)count, formats);
}

void cells_bytes(char out[static CELLS_NUMBER_MAX], uint64_t bytes)
{
	static const struct number_format formats[] = {{999.5 * 0x1p10, 0x1p-10, 0, "K"},
						       {9.95 * 0x1p20, 0x1p-20, 1, "M"},
						       {999.5 * 0x1p20, 0x1p-20, 0, "M"},
						       {99.95 * 0x1p30, 0x1p-30, 1, "G"},
						       {INFINITY, 0x1p-30, 0, "G"}};

	put_number(out, (double)bytes, formats);
}

void cells_share(char out[static CELLS_NUMBER_MAX], uint64_t part, uint64_t whole)
{
	static const struct number_format formats[] = {{9.95, 1, 1, "%"}, {INFINITY, 1, 0, "%"}};
	double percent = 100 * (double)part / (double)whole;

	if (!whole)
		snprintf(out, CELLS_NUMBER_MAX, "-");
	else if (!part)
		snprintf(out, CELLS_NUMBER_MAX, "0%%");
	else if (percent < 0.05)
		snprintf(out, CELLS_NUMBER_MAX, "<0.1%%");
	else if (part < whole && percent >= 99.5)
		snprintf(out, CELLS_NUMBER_MAX, ">99%%"); /* not all of it failed */
	else if (part >= whole)
		snprintf(out, CELLS_NUMBER_MAX, "100%%");
	else
		put_number(out, percent, formats);
}
