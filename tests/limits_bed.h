/* SPDX-License-Identifier: Apache-2.0 */
/* limits_bed - limits as on a command line, and what they say of a service and route. */
#ifndef BITTERN_TEST_LIMITS_BED_H
#define BITTERN_TEST_LIMITS_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/limits.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MS 1000000ull
#define SECOND (1000 * MS)

/* The state of each test is limits of its own, without a rule. */
#define LIMITS_TEST(name) cmocka_unit_test_setup_teardown(name, limits_set_up, limits_tear_down)

static inline int limits_set_up(void **state)
{
	struct limits *limits = NULL;

	assert_int_equal(limits_open(&limits), 0);
	*state = limits;
	return 0;
}

static inline int limits_tear_down(void **state)
{
	limits_close(*state);
	return 0;
}

static inline void add_timeout(struct limits *l, const char *text)
{
	if (limits_add_timeout(l, text))
		fail_msg("--timeout \"%s\" was refused", text);
}

static inline void add_slo(struct limits *l, const char *text)
{
	if (limits_add_slo(l, text))
		fail_msg("--slo \"%s\" was refused", text);
}

static inline void add_ignored(struct limits *l, const char *text)
{
	if (limits_add_ignored(l, text))
		fail_msg("--slo-ignore \"%s\" was refused", text);
}

/* The labels of a route's objectives, separated by spaces, in the order given; "" when ignored. */
static inline void assert_slos(struct limits *l, const char *service, const char *route,
			       const char *expected)
{
	const struct slo *slos[LIMITS_SLOS_MAX];
	size_t count = limits_slos(l, service, route, slos);
	char have[LIMITS_SLOS_MAX * 33] = "";

	for (size_t i = 0; i < count; i++)
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", i ? " " : "",
			 slos[i]->text);
	assert_string_equal(have, expected);
}

static inline const struct slo *the_slo(struct limits *l, const char *service, const char *route)
{
	const struct slo *slos[LIMITS_SLOS_MAX];

	assert_int_equal(limits_slos(l, service, route, slos), 1);
	return slos[0];
}

#endif
