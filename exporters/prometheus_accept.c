// SPDX-License-Identifier: Apache-2.0
#include "prometheus_accept.h"

#include <string.h>
#include <strings.h>

#define WEIGHT_MAX 1000

struct slice {
	const char *at;
	size_t len;
};

/* What must be said of a type for us to have it: name and value of parameters, NULL at the end. A
 * parameter that is not here (charset, and Prometheus' own escaping) changes nothing. */
static const struct exposition_type {
	const char *type;
	const char *subtype;
	struct {
		const char *name, *value;
		bool needed; /* it cannot be left out */
	} parameters[2];
} exposition_types[EXPOSITION_COUNT] = {
	[EXPOSITION_TEXT] = {"text", "plain", {{"version", "0.0.4", false}}},
	[EXPOSITION_OPENMETRICS] = {"application",
				    "openmetrics-text",
				    {{"version", "1.0.0", false}}},
	[EXPOSITION_PROTOBUF] = {"application",
				 "vnd.google.protobuf",
				 {{"proto", "io.prometheus.client.MetricFamily", true},
				  {"encoding", "delimited", true}}},
};

enum { FITS_ANY = 1, FITS_TYPE, FITS_EXACTLY };

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice trimmed(const char *at, const char *end)
{
	while (at < end && is_space(*at))
		at++;
	while (at < end && is_space(end[-1]))
		end--;
	return (struct slice){at, (size_t)(end - at)};
}

/* Takes what stands before the next separator outside of quotes off the front of rest; false when
 * there is nothing left. */
static bool take(struct slice *rest, char separator, struct slice *out)
{
	const char *p = rest->at, *end = rest->at + rest->len;
	bool quoted = false;

	if (!rest->len)
		return false;
	for (; p < end && (quoted || *p != separator); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && p + 1 < end)
			p++;
	}
	*out = trimmed(rest->at, p);
	p += p < end;
	*rest = (struct slice){p, (size_t)(end - p)};
	return true;
}

static bool is_word(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

/* NAME=VALUE; the value without its quotes. false when it is none. */
static bool split_parameter(struct slice s, struct slice *name, struct slice *value)
{
	const char *end = s.at + s.len, *equals = memchr(s.at, '=', s.len);

	if (!equals)
		return false;
	*name = trimmed(s.at, equals);
	*value = trimmed(equals + 1, end);
	if (value->len >= 2 && value->at[0] == '"' && value->at[value->len - 1] == '"')
		*value = (struct slice){value->at + 1, value->len - 2};
	return true;
}

/* "0.25" is 250; what is past three digits is dropped. -1: no weight between 0 and 1. */
static int parse_weight(struct slice s)
{
	int weight, unit = WEIGHT_MAX;

	if (!s.len || (s.at[0] != '0' && s.at[0] != '1') || (s.len > 1 && s.at[1] != '.'))
		return -1;
	weight = (s.at[0] - '0') * WEIGHT_MAX;
	for (size_t i = 2; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return -1;
		unit /= 10;
		weight += (s.at[i] - '0') * unit;
	}
	return weight <= WEIGHT_MAX ? weight : -1;
}

/* The weight among the parameters; WEIGHT_MAX when it is not told, -1 when it is none. */
static int find_weight(struct slice parameters)
{
	struct slice parameter, name, value;

	while (take(&parameters, ';', &parameter)) {
		if (split_parameter(parameter, &name, &value) && is_word(name, "q"))
			return parse_weight(value);
	}
	return WEIGHT_MAX;
}

/* Whether the parameters say nothing against the type, and all that it needs. */
static bool parameters_fit(const struct exposition_type *type, struct slice parameters)
{
	struct slice parameter, name, value;
	bool found[2] = {};

	while (take(&parameters, ';', &parameter)) {
		if (!split_parameter(parameter, &name, &value))
			continue;
		for (size_t i = 0; i < 2; i++) {
			if (!type->parameters[i].name || !is_word(name, type->parameters[i].name))
				continue;
			if (!is_word(value, type->parameters[i].value))
				return false;
			found[i] = true;
		}
	}
	return (found[0] || !type->parameters[0].needed) &&
	       (found[1] || !type->parameters[1].needed);
}

/* How closely the range means the type; 0 when it does not. */
static int type_fits(const struct exposition_type *type, struct slice range,
		     struct slice parameters)
{
	const char *slash = memchr(range.at, '/', range.len);
	struct slice main_type, subtype;

	if (!slash)
		return 0;
	main_type = (struct slice){range.at, (size_t)(slash - range.at)};
	subtype = (struct slice){slash + 1, range.len - main_type.len - 1};
	if (is_word(main_type, "*"))
		return is_word(subtype, "*") ? FITS_ANY : 0;
	if (!is_word(main_type, type->type))
		return 0;
	if (is_word(subtype, "*"))
		return FITS_TYPE;
	return is_word(subtype, type->subtype) && parameters_fit(type, parameters) ? FITS_EXACTLY
										   : 0;
}

static void note(struct preference *p, int specificity, int weight, size_t place)
{
	if (specificity > p->specificity ||
	    (specificity && specificity == p->specificity && weight > p->weight))
		*p = (struct preference){specificity, weight, place};
}

void prometheus_accept_types(struct prometheus_accept *a, const char *value, size_t len)
{
	struct slice rest = {value, len}, element, range;

	while (take(&rest, ',', &element)) {
		int weight;

		if (!take(&element, ';', &range))
			continue;
		weight = find_weight(element);
		if (weight < 0)
			continue;
		for (size_t i = 0; i < EXPOSITION_COUNT; i++)
			note(&a->expositions[i], type_fits(&exposition_types[i], range, element),
			     weight, a->range_count);
		a->range_count++;
	}
}

void prometheus_accept_encodings(struct prometheus_accept *a, const char *value, size_t len)
{
	struct slice rest = {value, len}, element, coding;

	while (take(&rest, ',', &element)) {
		int weight;

		if (!take(&element, ';', &coding))
			continue;
		weight = find_weight(element);
		if (weight < 0)
			continue;
		if (is_word(coding, "gzip") || is_word(coding, "x-gzip"))
			note(&a->gzip, FITS_EXACTLY, weight, 0);
		else if (is_word(coding, "identity"))
			note(&a->identity, FITS_EXACTLY, weight, 0);
		else if (is_word(coding, "*"))
			note(&a->gzip, FITS_ANY, weight, 0);
	}
}

enum exposition prometheus_accept_exposition(const struct prometheus_accept *a)
{
	enum exposition best = EXPOSITION_TEXT;

	for (size_t i = 0; i < EXPOSITION_COUNT; i++) {
		const struct preference *p = &a->expositions[i], *than = &a->expositions[best];

		if (p->weight > than->weight ||
		    (p->weight && p->weight == than->weight && p->place < than->place))
			best = i;
	}
	return best;
}

bool prometheus_accept_gzip(const struct prometheus_accept *a)
{
	return a->gzip.weight && a->gzip.weight >= a->identity.weight;
}
