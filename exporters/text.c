// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define EXACT_DOUBLE_MAX 9007199254740992.0 /* 2^53 */

char *text_room(struct text *t, size_t len)
{
	if (t->error)
		return NULL;
	if (!t->data || t->capacity - t->len < len) {
		size_t capacity = t->capacity ? t->capacity : 256;
		char *data;

		if (len > SIZE_MAX / 4 || t->len > SIZE_MAX / 4) {
			t->error = -ENOMEM;
			return NULL;
		}
		while (capacity - t->len < len)
			capacity *= 2;
		data = realloc(t->data, capacity);
		if (!data) {
			t->error = -ENOMEM;
			return NULL;
		}
		t->data = data;
		t->capacity = capacity;
	}
	return t->data + t->len;
}

void text_add(struct text *t, const char *bytes, size_t len)
{
	char *to = text_room(t, len);

	if (to && len) {
		memcpy(to, bytes, len);
		t->len += len;
	}
}

void text_string(struct text *t, const char *string)
{
	text_add(t, string, strlen(string));
}

void text_fill(struct text *t, char byte, size_t count)
{
	char *to = text_room(t, count);

	if (to && count) {
		memset(to, byte, count);
		t->len += count;
	}
}

char *text_put_number(char *to, uint64_t value)
{
	char digits[TEXT_NUMBER_MAX];
	char *p = digits + sizeof(digits);
	size_t len;

	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	len = (size_t)(digits + sizeof(digits) - p);
	memcpy(to, p, len);
	return to + len;
}

char *text_put_seconds(char *to, uint64_t value_ns)
{
	uint64_t fraction = value_ns % NS_PER_S;
	size_t digits = 9;

	to = text_put_number(to, value_ns / NS_PER_S);
	if (!fraction)
		return to;
	*to++ = '.';
	for (; fraction % 10 == 0; digits--)
		fraction /= 10;
	for (size_t i = digits; i-- > 0;) {
		to[i] = (char)('0' + fraction % 10);
		fraction /= 10;
	}
	return to + digits;
}

void text_number(struct text *t, uint64_t value)
{
	char *to = text_room(t, TEXT_NUMBER_MAX);

	if (to)
		t->len += (size_t)(text_put_number(to, value) - to);
}

void text_seconds(struct text *t, uint64_t value_ns)
{
	char *to = text_room(t, TEXT_SECONDS_MAX);

	if (to)
		t->len += (size_t)(text_put_seconds(to, value_ns) - to);
}

void text_double(struct text *t, double value)
{
	char buffer[40];

	if (isnan(value)) {
		text_string(t, "NaN");
		return;
	}
	if (isinf(value)) {
		text_string(t, value > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (fabs(value) < EXACT_DOUBLE_MAX && value == floor(value)) {
		if (value < 0)
			text_string(t, "-");
		text_number(t, (uint64_t)fabs(value));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(buffer, sizeof(buffer), "%.*g", digits, value);
		if (strtod(buffer, NULL) == value)
			break;
	}
	text_string(t, buffer);
}

/* RFC 3629: how many bytes follow, and the range of the second one (which keeps out overlong forms,
 * surrogates and what lies past U+10FFFF). */
static const struct utf8_lead {
	unsigned char first, last, more, second_min, second_max;
} utf8_leads[] = {
	{0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
	{0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf},
	{0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

size_t text_utf8_decode(const char *p, uint32_t *code)
{
	const unsigned char *b = (const unsigned char *)p;

	if (b[0] < 0x80) {
		*code = b[0];
		return 1;
	}
	for (size_t i = 0; i < sizeof(utf8_leads) / sizeof(utf8_leads[0]); i++) {
		const struct utf8_lead *lead = &utf8_leads[i];
		uint32_t value = b[0] & (0x3fu >> lead->more);

		if (b[0] < lead->first || b[0] > lead->last)
			continue;
		if (b[1] < lead->second_min || b[1] > lead->second_max)
			return 0;
		for (size_t n = 1; n <= lead->more; n++) {
			if ((b[n] & 0xc0) != 0x80)
				return 0;
			value = value << 6 | (b[n] & 0x3f);
		}
		*code = value;
		return 1u + lead->more;
	}
	return 0;
}

static const char *find_escape(const char *escaped, char byte)
{
	for (; *escaped; escaped += 2)
		if (*escaped == byte)
			return escaped + 1;
	return NULL;
}

void text_utf8(struct text *t, const char *string, const char *escaped)
{
	/* At worst each byte becomes the three of U+FFFD. */
	char *start = text_room(t, 3 * strlen(string)), *to = start;

	if (!start)
		return;
	for (const char *p = string; *p;) {
		uint32_t code;
		size_t len = text_utf8_decode(p, &code);
		const char *escape = len == 1 ? find_escape(escaped, *p) : NULL;

		if (escape) {
			*to++ = '\\';
			*to++ = *escape;
			p++;
		} else if (len) {
			while (len--)
				*to++ = *p++;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			p++;
		}
	}
	t->len += (size_t)(to - start);
}

void text_clear(struct text *t)
{
	t->len = 0;
	t->error = 0;
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){};
}

bool text_is_utf8(const char *string)
{
	uint32_t code;
	size_t len;

	for (; *string; string += len) {
		len = text_utf8_decode(string, &code);
		if (!len)
			return false;
	}
	return true;
}
