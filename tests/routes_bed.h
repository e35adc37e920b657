/* SPDX-License-Identifier: Apache-2.0 */
/* routes_bed - paths into routes, with what is expected of them. */
#ifndef BITTERN_TEST_ROUTES_BED_H
#define BITTERN_TEST_ROUTES_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/routes.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_COUNT 200

/* patterns: NULL for none. */
static inline struct routes *open_routes(const struct route_patterns *patterns, const char *service,
					 size_t max_count)
{
	struct routes *r = NULL;

	assert_int_equal(routes_open(&r, patterns, service, max_count), 0);
	assert_non_null(r);
	return r;
}

static inline void assert_folds(const struct routes *r, const char *path, const char *expected)
{
	char template[ROUTES_TEMPLATE_MAX];
	size_t len = routes_fold(r, path, strlen(path), template);

	assert_string_equal(template, expected);
	assert_int_equal(len, strlen(expected));
}

static inline const struct route *place(struct routes *r, const char *path, unsigned int status)
{
	char template[ROUTES_TEMPLATE_MAX];
	size_t len = routes_fold(r, path, strlen(path), template);

	return routes_place(r, template, len, status);
}

#endif
