// SPDX-License-Identifier: Apache-2.0
#include "limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "utf8.h"

#define SERVICE_SIZE 128 /* of the name in struct service */
#define MILLION UINT64_C(1000000) /* decimals are read and kept as millionths */
#define US_NS 1000ull
#define DURATION_MIN_US 1000ull
#define DURATION_MAX_US (24 * 3600 * MILLION)
#define PERCENT_DEFAULT (99 * MILLION)

struct rule {
	char *service; /* NULL: of every service */
	char *route; /* NULL: every route */
	uint64_t limit_ns; /* of an objective; 0: the timeout of the route */
	uint64_t percent; /* of an objective, in millionths */
};

struct rules {
	struct rule *items;
	size_t count;
};

/* An objective that was asked for. */
struct known {
	struct slo slo;
	uint64_t percent;
	struct known *next;
};

struct limits {
	uint64_t timeout_ns; /* of what no rule names */
	struct rules timeouts, slos, ignored;
	bool ignored_initials[256]; /* what follows the '/' of an ignored route */
	struct known *known;
};

/* A number such as 8, 1.5 or 99.90 at text, as millionths; *end is what follows it. False when
 * there is none, or one that is more than max or finer than a millionth. */
static bool read_decimal(const char *text, uint64_t max, uint64_t *out, const char **end)
{
	const char *digits = "0123456789";
	size_t whole = strspn(text, digits), fraction = 0;
	uint64_t value = 0, unit = MILLION;

	if (text[whole] == '.') {
		fraction = strspn(text + whole + 1, digits);
		if (!fraction)
			return false;
	}
	for (size_t i = 0; i < whole; i++) {
		value = value * 10 + (uint64_t)(text[i] - '0') * MILLION;
		if (value > max)
			return false;
	}
	for (size_t i = 0; i < fraction; i++) {
		char digit = text[whole + 1 + i];

		unit /= 10;
		if (!unit && digit != '0')
			return false;
		value += (uint64_t)(digit - '0') * unit;
	}
	*out = value;
	*end = text + whole + (fraction ? 1 + fraction : 0);
	return whole && value <= max;
}

static int read_duration(const char *text, uint64_t *out_ns)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {
		{"us", 1}, {"ms", 1000}, {"s", MILLION}, {"m", 60 * MILLION}, {"h", 3600 * MILLION},
	};
	uint64_t number, us;
	const char *unit;

	if (!read_decimal(text, DURATION_MAX_US * MILLION, &number, &unit))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].name))
			continue;
		/* asked by division: the product would not fit */
		if (number > DURATION_MAX_US / units[i].us * MILLION ||
		    number * units[i].us % MILLION)
			return -EINVAL;
		us = number * units[i].us / MILLION;
		if (us < DURATION_MIN_US)
			return -EINVAL;
		*out_ns = us * US_NS;
		return 0;
	}
	return -EINVAL;
}

static int read_objective(const char *text, struct rule *rule)
{
	const char *end;

	if (!read_decimal(text, 100 * MILLION - 1, &rule->percent, &end) || !rule->percent)
		return -EINVAL;
	if (*end == '\0')
		return 0;
	return *end == '@' ? read_duration(end + 1, &rule->limit_ns) : -EINVAL;
}

static bool route_is_valid(const char *route, size_t len)
{
	static const char *const special[] = {"{unread}", "{other}", "{unmatched}"};

	if (*route == '/')
		return len < ROUTES_TEMPLATE_MAX && strcspn(route, "?#; ") >= len;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (strlen(special[i]) == len && !memcmp(route, special[i], len))
			return true;
	}
	return false;
}

static bool begins_route(const char *text)
{
	return *text == '/' || *text == '{';
}

static int read_route(struct rule *rule, const char *text, size_t len)
{
	if (!len || !route_is_valid(text, len))
		return -EINVAL;
	rule->route = strndup(text, len);
	return rule->route ? 0 : -ENOMEM;
}

/* SERVICE or SERVICE:ROUTE. The name is cleaned as those of services are. */
static int read_scope(struct rule *rule, const char *text, size_t len)
{
	char name[SERVICE_SIZE];
	size_t name_len = 0;

	while (name_len < len &&
	       !(text[name_len] == ':' && name_len + 1 < len && begins_route(text + name_len + 1)))
		name_len++;
	if (name_len >= sizeof(name) || !name_len || begins_route(text) ||
	    text[name_len - 1] == ':' || !utf8_name(name, sizeof(name), text, name_len))
		return -EINVAL;
	rule->service = strdup(name);
	if (!rule->service)
		return -ENOMEM;
	return name_len < len ? read_route(rule, text + name_len + 1, len - name_len - 1) : 0;
}

static void rule_close(struct rule *rule)
{
	free(rule->service);
	free(rule->route);
}

/* Takes the rule over. */
static int rules_add(struct rules *rules, const struct rule *rule)
{
	struct rule *grown;

	if (rules->count == LIMITS_RULES_MAX)
		return -EINVAL;
	grown = reallocarray(rules->items, rules->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	rules->items = grown;
	rules->items[rules->count++] = *rule;
	return 0;
}

static void rules_close(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		rule_close(&rules->items[i]);
	free(rules->items);
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_scope(const struct rule *a, const struct rule *b)
{
	return text_equal(a->service, b->service) && text_equal(a->route, b->route);
}

/* ":8001", or ":8001-2", as service_table.c appends it. */
static bool is_port(const char *suffix)
{
	return suffix[0] == ':' && suffix[1] && !suffix[1 + strspn(suffix + 1, "0123456789-")];
}

/* The higher, the more specific; -1: it does not match. */
static int rank_of(const struct rule *rule, const char *service, const char *route)
{
	int rank = 0;

	if (rule->route) {
		if (!route || strcmp(rule->route, route))
			return -1;
		rank = 3;
	}
	if (rule->service) {
		size_t len = strlen(rule->service);

		if (!service || strncmp(rule->service, service, len))
			return -1;
		if (!service[len])
			rank += 2;
		else if (is_port(service + len))
			rank += 1;
		else
			return -1;
	}
	return rank;
}

static int print_decimal(char *out, size_t size, uint64_t millionths)
{
	int len = snprintf(out, size, "%" PRIu64 ".%06" PRIu64, millionths / MILLION,
			   millionths % MILLION);

	while (out[len - 1] == '0')
		len--;
	if (out[len - 1] == '.')
		len--;
	out[len] = '\0';
	return len;
}

static void print_slo(struct slo *slo, uint64_t percent)
{
	uint64_t us = slo->limit_ns / US_NS;
	char number[32], ratio[32];
	const char *unit = "s";

	if (us % (3600 * MILLION) == 0) {
		us /= 3600;
		unit = "h";
	} else if (us % (60 * MILLION) == 0) {
		us /= 60;
		unit = "m";
	} else if (us < MILLION) {
		us *= 1000;
		unit = "ms";
	}
	print_decimal(number, sizeof(number), us);
	print_decimal(ratio, sizeof(ratio), percent);
	snprintf(slo->text, sizeof(slo->text), "%.9s@%.13s%s", ratio, number, unit);
}

/* NULL: no memory. */
static const struct slo *find_slo(struct limits *l, uint64_t percent, uint64_t limit_ns)
{
	struct known *known;

	for (known = l->known; known; known = known->next) {
		if (known->percent == percent && known->slo.limit_ns == limit_ns)
			return &known->slo;
	}
	known = calloc(1, sizeof(*known));
	if (!known)
		return NULL;
	known->percent = percent;
	known->slo.ratio = (double)percent / (double)(100 * MILLION);
	known->slo.limit_ns = limit_ns;
	print_slo(&known->slo, percent);
	known->next = l->known;
	l->known = known;
	return &known->slo;
}

static size_t append_slo(const struct slo **out, size_t count, const struct slo *slo)
{
	for (size_t i = 0; i < count; i++) {
		if (out[i] == slo)
			return count;
	}
	out[count] = slo;
	return count + (slo != NULL);
}

static bool is_ignored(const struct limits *l, const char *service, const char *route, int slo_rank)
{
	/* Most routes are dismissed by this: six compares of strings would cost more. */
	if (!route || !*route || !l->ignored_initials[(unsigned char)route[1]])
		return false;
	for (size_t i = 0; i < l->ignored.count; i++) {
		int rank = rank_of(&l->ignored.items[i], service, route);

		if (rank >= 0 && rank >= slo_rank)
			return true;
	}
	return false;
}

int limits_open(struct limits **out)
{
	static const char *const probes[] = {"/health", "/healthz", "/ready",
					     "/readyz", "/livez",   "/metrics"};
	struct limits *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->timeout_ns = LIMITS_TIMEOUT_DEFAULT_NS;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (limits_add_ignored(l, probes[i])) {
			limits_close(l);
			return -ENOMEM;
		}
	}
	*out = l;
	return 0;
}

int limits_add_timeout(struct limits *l, const char *text)
{
	const char *equals = strrchr(text, '=');
	struct rule rule = {0};
	int error = read_duration(equals ? equals + 1 : text, &rule.limit_ns);

	if (!error && !equals)
		l->timeout_ns = rule.limit_ns;
	if (error || !equals)
		return error;
	error = read_scope(&rule, text, (size_t)(equals - text));
	for (size_t i = 0; !error && i < l->timeouts.count; i++) {
		if (same_scope(&l->timeouts.items[i], &rule)) {
			l->timeouts.items[i].limit_ns = rule.limit_ns;
			rule_close(&rule);
			return 0;
		}
	}
	if (!error)
		error = rules_add(&l->timeouts, &rule);
	if (error)
		rule_close(&rule);
	return error;
}

/* 0, or 1 when the very same is there, or -EINVAL when there is no room for one more. */
static int look_for_slo(const struct rules *slos, const struct rule *rule)
{
	size_t count = 0;

	for (size_t i = 0; i < slos->count; i++) {
		if (!same_scope(&slos->items[i], rule))
			continue;
		if (slos->items[i].percent == rule->percent &&
		    slos->items[i].limit_ns == rule->limit_ns)
			return 1;
		count++;
	}
	return count < LIMITS_SLOS_MAX ? 0 : -EINVAL;
}

int limits_add_slo(struct limits *l, const char *text)
{
	const char *equals = strrchr(text, '=');
	struct rule rule = {0};
	int error = read_objective(equals ? equals + 1 : text, &rule);

	if (!error && equals)
		error = read_scope(&rule, text, (size_t)(equals - text));
	if (!error)
		error = look_for_slo(&l->slos, &rule);
	if (!error)
		error = rules_add(&l->slos, &rule);
	if (error)
		rule_close(&rule);
	return error < 0 ? error : 0;
}

int limits_add_ignored(struct limits *l, const char *text)
{
	struct rule rule = {0};
	int error;

	if (begins_route(text))
		error = read_route(&rule, text, strlen(text));
	else
		error = read_scope(&rule, text, strlen(text));
	if (!error && !rule.route)
		error = -EINVAL;
	if (!error)
		error = rules_add(&l->ignored, &rule);
	if (error)
		rule_close(&rule);
	else
		l->ignored_initials[(unsigned char)rule.route[1]] = true;
	return error;
}

uint64_t limits_timeout_ns(const struct limits *l, const char *service, const char *route)
{
	uint64_t limit_ns = l->timeout_ns;
	int best = -1;

	for (size_t i = 0; i < l->timeouts.count; i++) {
		int rank = rank_of(&l->timeouts.items[i], service, route);

		if (rank > best) {
			best = rank;
			limit_ns = l->timeouts.items[i].limit_ns;
		}
	}
	return limit_ns;
}

size_t limits_slos(struct limits *l, const char *service, const char *route,
		   const struct slo *out[static LIMITS_SLOS_MAX])
{
	static const struct rule usual = {.percent = PERCENT_DEFAULT};
	const struct rule *chosen[LIMITS_SLOS_MAX] = {&usual};
	size_t chosen_count = 1, count = 0;
	uint64_t timeout_ns;
	int best = -1;

	for (size_t i = 0; i < l->slos.count; i++) {
		const struct rule *rule = &l->slos.items[i];
		int rank = rank_of(rule, service, route);

		if (rank < 0 || rank < best)
			continue;
		if (rank > best)
			chosen_count = 0;
		best = rank;
		chosen[chosen_count++] = rule; /* one scope, so LIMITS_SLOS_MAX of them at most */
	}
	if (is_ignored(l, service, route, best))
		return 0;
	timeout_ns = limits_timeout_ns(l, service, route);
	for (size_t i = 0; i < chosen_count; i++) {
		uint64_t limit_ns = chosen[i]->limit_ns ? chosen[i]->limit_ns : timeout_ns;

		count = append_slo(out, count, find_slo(l, chosen[i]->percent, limit_ns));
	}
	return count;
}

void limits_close(struct limits *l)
{
	if (!l)
		return;
	rules_close(&l->timeouts);
	rules_close(&l->slos);
	rules_close(&l->ignored);
	while (l->known) {
		struct known *next = l->known->next;

		free(l->known);
		l->known = next;
	}
	free(l);
}
