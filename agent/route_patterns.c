// SPDX-License-Identifier: Apache-2.0
#include "route_patterns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segment.h"

struct route_patterns {
	struct route_pattern **items;
	size_t count;
};

int route_patterns_open(struct route_patterns **out)
{
	struct route_patterns *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*out = p;
	return 0;
}

static bool is_placeholder(const char *segment)
{
	return *segment == '{';
}

/* Of a valid pattern: whether this segment is {name...}. */
static bool is_rest(const char *segment, size_t len)
{
	return is_placeholder(segment) && len > 5 && !memcmp(segment + len - 4, "...}", 4);
}

static bool placeholder_is_valid(const char *segment, size_t len, bool is_last)
{
	size_t name_len = len - 2;

	if (len < 3 || segment[len - 1] != '}')
		return false;
	if (is_last && is_rest(segment, len))
		name_len -= 3;
	for (size_t i = 1; i <= name_len; i++) {
		char c = segment[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '-')
			return false;
	}
	return true;
}

/* What a label holds as it stands, and a path can hold: so neither braces, query nor parameters. */
static bool literal_is_valid(const char *segment, size_t len)
{
	char encoded[ROUTES_TEMPLATE_MAX];
	size_t encoded_len = segment_encode(encoded, sizeof(encoded), segment, len);

	for (size_t i = 0; i < len; i++) {
		if (strchr("?#;{}", segment[i]))
			return false;
	}
	return encoded_len == len;
}

static bool pattern_is_valid(const char *pattern)
{
	size_t len = strlen(pattern), segment_len;

	if (pattern[0] != '/' || len >= ROUTES_TEMPLATE_MAX)
		return false;
	for (const char *segment = pattern; *segment; segment += segment_len) {
		segment++; /* the slash */
		segment_len = strcspn(segment, "/");
		if (is_placeholder(segment)
			    ? !placeholder_is_valid(segment, segment_len, !segment[segment_len])
			    : !literal_is_valid(segment, segment_len))
			return false;
	}
	return true;
}

static void pattern_close(struct route_pattern *pattern)
{
	free(pattern->service);
	free(pattern);
}

int route_patterns_add(struct route_patterns *p, const char *service, const char *pattern)
{
	struct route_pattern **items, *added;
	size_t len = strlen(pattern);

	if (!pattern_is_valid(pattern))
		return -EINVAL;
	items = reallocarray(p->items, p->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	p->items = items;
	added = calloc(1, sizeof(*added) + len + 1);
	if (!added)
		return -ENOMEM;
	added->len = len;
	memcpy(added->text, pattern, len);
	if (service && !(added->service = strdup(service))) {
		pattern_close(added);
		return -ENOMEM;
	}
	p->items[p->count++] = added;
	return 0;
}

void route_patterns_close(struct route_patterns *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++)
		pattern_close(p->items[i]);
	free(p->items);
	free(p);
}

const struct route_pattern *route_patterns_at(const struct route_patterns *p, size_t index)
{
	return index < p->count ? p->items[index] : NULL;
}

size_t route_segment_length(const char *s, const char *end, size_t *whole)
{
	size_t max = (size_t)(end - s);
	const char *slash = memchr(s, '/', max), *parameters;

	*whole = slash ? (size_t)(slash - s) : max;
	parameters = memchr(s, ';', *whole);
	return parameters ? (size_t)(parameters - s) : *whole;
}

bool route_pattern_matches(const struct route_pattern *pattern, const char *path, const char *end)
{
	const char *want = pattern->text;

	if (*path != '/')
		return false;
	for (;;) { /* both are at a slash */
		size_t want_len, have_len, have_whole;

		want++;
		path++;
		want_len = strcspn(want, "/");
		if (is_rest(want, want_len))
			return path < end;
		have_len = route_segment_length(path, end, &have_whole);
		if (is_placeholder(want) ? !have_len
					 : !segment_equal(want, want_len, path, have_len))
			return false;
		want += want_len;
		path += have_whole;
		if (!*want || path == end)
			return !*want && path == end;
	}
}
