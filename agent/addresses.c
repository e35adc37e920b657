// SPDX-License-Identifier: Apache-2.0
#include "addresses.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define COUNT_LIMIT 10000 /* what max_count is clamped to */

struct addresses {
	size_t count, max_count;
	size_t slot_count; /* a power of two, more than twice max_count */
	char **slots; /* open addressing; NULL until the first name */
	uint64_t overflow_count;
};

static const char other[] = "{other}";

static bool is_port(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
	}
	return len <= 5;
}

/* Leaves of host, uri-host [":" port] (RFC 9110 section 7.2), the host: a literal's inside. False:
 * it is not that. An address of a socket comes without brackets, so two colons make an IPv6
 * literal, too. */
static bool cut_port(const char **host, size_t *len, bool *literal)
{
	const char *end = *host + *len, *colon;

	*literal = true;
	if (*len && **host == '[') {
		const char *close = memchr(*host, ']', *len);

		if (!close || (close + 1 < end &&
			       (close[1] != ':' || !is_port(close + 2, (size_t)(end - close - 2)))))
			return false;
		*len = (size_t)(close - ++*host);
		return true;
	}
	colon = memchr(*host, ':', *len);
	if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)))
		return true;
	*literal = false;
	if (colon && !is_port(colon + 1, (size_t)(end - colon - 1)))
		return false;
	*len = colon ? (size_t)(colon - *host) : *len;
	return true;
}

/* Letters, digits, "-._~" and whatever is not ASCII; in a literal also the colons and the '%' of a
 * zone. */
static bool is_host_byte(unsigned char c, bool literal)
{
	return isalnum(c) || c >= 0x80 || (c && strchr("-._~", c)) ||
	       (literal && (c == ':' || c == '%'));
}

/* The length; 0: no name. */
static size_t normalise(char name[static ADDRESS_LEN_MAX + 1], const char *host, size_t len)
{
	bool literal, plain = true;
	char valid[ADDRESS_LEN_MAX + 1];

	if (!cut_port(&host, &len, &literal) || len > ADDRESS_LEN_MAX)
		return 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)host[i];

		if (!is_host_byte(c, literal))
			return 0;
		plain &= c < 0x80;
		name[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	name[len] = '\0';
	/* What is valid UTF-8 without controls comes through unchanged. */
	if (!plain &&
	    (utf8_name(valid, sizeof(valid), name, len) != len || memcmp(valid, name, len) != 0))
		return 0;
	return len;
}

/* The slot that holds name, or the empty one for it. */
static char **find_slot(const struct addresses *a, const char *name, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ull;
	hash ^= hash >> 32;
	for (i = hash & (a->slot_count - 1); a->slots[i]; i = (i + 1) & (a->slot_count - 1)) {
		if (!strcmp(a->slots[i], name))
			break;
	}
	return &a->slots[i];
}

const char *addresses_find(struct addresses *a, const char *host, size_t len)
{
	char name[ADDRESS_LEN_MAX + 1], **slot = NULL;

	len = normalise(name, host, len);
	if (!len)
		return NULL;
	if (!a->slots)
		a->slots = calloc(a->slot_count, sizeof(char *));
	if (a->slots)
		slot = find_slot(a, name, len);
	if (slot && !*slot && a->count < a->max_count) {
		*slot = strdup(name);
		a->count += *slot != NULL;
	}
	if (slot && *slot)
		return *slot;
	a->overflow_count++;
	return other;
}

uint64_t addresses_overflow_count(const struct addresses *a)
{
	return a->overflow_count;
}

int addresses_open(struct addresses **out, size_t max_count)
{
	struct addresses *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->max_count = max_count < COUNT_LIMIT ? max_count : COUNT_LIMIT;
	for (a->slot_count = 4; a->slot_count <= 2 * a->max_count; a->slot_count *= 2)
		;
	*out = a;
	return 0;
}

void addresses_close(struct addresses *a)
{
	if (!a)
		return;
	for (size_t i = 0; a->slots && i < a->slot_count; i++)
		free(a->slots[i]);
	free(a->slots);
	free(a);
}
