/* SPDX-License-Identifier: Apache-2.0 */
/* limits - how long a request may take and what its objectives are, by service and route, as the
 * options say.
 *
 *   --timeout     [SERVICE[:ROUTE]=]DURATION             8s        shop=2s   shop:/report=1m
 *   --slo         [SERVICE[:ROUTE]=]PERCENT[@DURATION]   99.9      shop:/orders/{id}=99@300ms
 *   --slo-ignore  [SERVICE:]ROUTE                        /ping     shop:/status
 *
 * DURATION is a decimal number with us, ms, s, m or h, from 1ms to 24h, exact to the microsecond.
 * PERCENT is above 0 and below 100, exact to six decimals: 100 would leave no error budget, and
 * every burn rate would be a division by zero. ROUTE is a template as /metrics shows it, {unread},
 * {other} and {unmatched} included. It begins with '/' or '{', so that the first ":/" or ":{" ends
 * SERVICE, which may hold colons; the last '=' ends the scope, so that names and routes may hold
 * it. There is no route without its service, but in --slo-ignore. SERVICE is one of at most 127
 * bytes, not begun by '/' or '{', not ended by ':'; "shop" means "shop:8001" and "shop:8002" as
 * well, the names of services that are told apart by their ports.
 *
 * The most specific rule that matches wins: one with the route, then one with the service, of these
 * the one with the exact name, then one for all. Of two timeouts for the same, the later. Of
 * objectives for the same, all: --slo 99@300ms --slo 99.9@8s are two for each route that has no
 * more specific ones. An objective without DURATION has the timeout of each route as its limit; a
 * route that no --slo matches has one of 99 % of that kind. A limit beyond the timeout never
 * decides: what timed out is not good.
 *
 * Ignored are /health /healthz /ready /readyz /livez /metrics of every service and what
 * --slo-ignore adds, but where an --slo is more specific: shop:/health=99 takes one of them back.
 *
 * Cost: without rules 2 ns for a timeout and 5 ns for the objectives; each rule adds some 4 ns (one
 * or two compares of strings), so keep what was found for a route when there are hundreds. Owns
 * copies of its texts, and the objectives. Loop thread only. */
#ifndef BITTERN_LIMITS_H
#define BITTERN_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define LIMITS_TIMEOUT_DEFAULT_NS (8 * 1000000000ull)
#define LIMITS_SLOS_MAX 8 /* that apply to one route */
#define LIMITS_RULES_MAX 1000 /* of each option; more are refused */

/* An objective: this part of the events is to be good within the limit. */
struct slo {
	double ratio; /* 0.99 */
	uint64_t limit_ns;
	/* The label: "99@8s". Equal objectives have equal texts: 99.0 is "99", 1000ms "1s", 60s
	 * "1m", 90s "90s", 1500ms "1.5s". */
	char text[32];
};

struct limits;

/* 0 and *out, with the defaults, to be closed; -ENOMEM. */
int limits_open(struct limits **out);
/* One value of an option each, in any order. 0; -EINVAL when it is not one, or is one too many
 * (LIMITS_RULES_MAX; LIMITS_SLOS_MAX of one scope, repetitions not counted); -ENOMEM. Nothing has
 * changed after an error. */
int limits_add_timeout(struct limits *l, const char *text);
int limits_add_slo(struct limits *l, const char *text);
int limits_add_ignored(struct limits *l, const char *text);

/* service: its name (struct service). route: the template, NULL when there is none. */
uint64_t limits_timeout_ns(const struct limits *l, const char *service, const char *route);
/* The objectives of a route: how many, 0 when it is ignored. Each is valid until close, and the
 * same pointer for the same ratio and limit whatever service or route it is of; no two of one
 * answer are the same. Allocates when a pair of ratio and limit is asked for the first time; one
 * that finds no memory is left out. */
size_t limits_slos(struct limits *l, const char *service, const char *route,
		   const struct slo *out[static LIMITS_SLOS_MAX]);
void limits_close(struct limits *l); /* NULL is fine */

#endif
