/* SPDX-License-Identifier: Apache-2.0 */
/* route_patterns - configured routes: what routes.c needs beyond the declarations in routes.h.
 *
 * Owns copies of the patterns. Filled before the first route_patterns_at(); then read-only. */
#ifndef BITTERN_ROUTE_PATTERNS_H
#define BITTERN_ROUTE_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

#include "routes.h"

struct route_pattern {
	char *service; /* NULL: every service */
	size_t len;
	char text[]; /* the template as well; NUL-terminated */
};

/* The index-th pattern in the order they were added; NULL past the last. */
const struct route_pattern *route_patterns_at(const struct route_patterns *p, size_t index);
/* path is neither empty nor has query or fragment. Segments are compared without their parameters
 * and percent-decoded. A {name} takes a segment that is not empty, a {name...} whatever is left, if
 * anything. */
bool route_pattern_matches(const struct route_pattern *pattern, const char *path, const char *end);

/* The segment at s without its parameters (";..."); *whole is its length up to the next slash or
 * end. */
size_t route_segment_length(const char *s, const char *end, size_t *whole);

#endif
