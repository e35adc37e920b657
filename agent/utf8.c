// SPDX-License-Identifier: Apache-2.0
#include "utf8.h"

#include <string.h>

/* Length of the valid character at s (RFC 3629: no surrogates, nothing longer than it need be);
 * 0: none. */
static size_t character_len(const unsigned char *s, size_t len)
{
	unsigned char first_min = 0x80, first_max = 0xbf;
	size_t need;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	need = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		first_min = 0xa0;
	else if (s[0] == 0xed)
		first_max = 0x9f;
	else if (s[0] == 0xf0)
		first_min = 0x90;
	else if (s[0] == 0xf4)
		first_max = 0x8f;
	if (len < need || s[1] < first_min || s[1] > first_max)
		return 0;
	for (size_t i = 2; i < need; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return need;
}

static int is_control(const unsigned char *s, size_t len)
{
	return len == 1 ? s[0] < 0x20 || s[0] == 0x7f : len == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t utf8_name(char *to, size_t size, const char *from, size_t len)
{
	size_t used = 0, step;

	len = strnlen(from, len);
	while (len && is_space(*from)) {
		from++;
		len--;
	}
	while (len && is_space(from[len - 1]))
		len--;
	for (; len; from += step, len -= step) {
		const unsigned char *s = (const unsigned char *)from;
		size_t valid = character_len(s, len);

		step = valid ? valid : 1;
		if (!valid || is_control(s, valid)) {
			if (used + 1 >= size)
				break;
			to[used++] = '_';
			continue;
		}
		if (used + valid >= size)
			break;
		memmove(to + used, from, valid);
		used += valid;
	}
	to[used] = '\0';
	return used;
}

size_t utf8_prefix(const char *text, size_t len)
{
	size_t end = strnlen(text, len + 1);

	if (end <= len)
		return end;
	for (end = len; end && ((unsigned char)text[end] & 0xc0) == 0x80; end--)
		;
	return end;
}
