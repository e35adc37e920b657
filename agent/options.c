// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../exporters/server.h"
#include "log.h"
#include "version.h"

#define RING_BYTES_DEFAULT (2u << 20)
#define RING_BYTES_MIN	   (64u << 10)
#define RING_BYTES_MAX	   (1u << 30)

enum key {
	KEY_LISTEN = 256,
	KEY_CONSOLE,
	KEY_INTERVAL,
	KEY_RUNTIME,
	KEY_SERVICE,
	KEY_ROUTE,
	KEY_RING_SIZE,
	KEY_MAX_SERIES,
	KEY_MAX_ROUTES,
	KEY_LOG_LEVEL,
};

static const struct argp_option table[] = {
	{"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
	 "Serve /metrics, /healthz and /readyz there, or off (default " BITTERN_LISTEN_DEFAULT ")", 0},
	{"console", KEY_CONSOLE, NULL, 0, "Show a live table of services and routes", 0},
	{"interval", KEY_INTERVAL, "SECONDS", 0, "Time between updates of the console (default 1)", 0},
	{"runtime", KEY_RUNTIME, "LIST", 0,
	 "Runtimes to report: python, nodejs, or all for any process that speaks HTTP "
	 "(default python,nodejs)", 0},
	{"service", KEY_SERVICE, "NAME=MATCH", 0,
	 "Name the service that MATCH finds: port:N, unit:NAME, container:NAME or cmd:GLOB; may be "
	 "given several times, the first that matches wins", 0},
	{"route", KEY_ROUTE, "[SERVICE=]PATTERN", 0,
	 "A route such as /orders/{id}/items or /files/{path...}; may be given several times, the "
	 "first that matches wins", 0},
	{"ring-size", KEY_RING_SIZE, "BYTES", 0,
	 "Buffer between kernel and agent, a power of two; K and M are understood (default 2M)", 0},
	{"max-series", KEY_MAX_SERIES, "N", 0, "Bound on series (default 10000)", 0},
	{"max-routes", KEY_MAX_ROUTES, "N", 0, "Bound on routes of one service (default 200)", 0},
	{"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "error, warning, info or debug (default info)", 0},
	{0},
};

static bool read_size(const char *text, size_t min, size_t max, bool suffix, size_t *out)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || !isdigit((unsigned char)text[0]))
		return false;
	if (suffix && (*end == 'K' || *end == 'k') && value < SIZE_MAX >> 10) {
		value <<= 10;
		end++;
	} else if (suffix && (*end == 'M' || *end == 'm') && value < SIZE_MAX >> 20) {
		value <<= 20;
		end++;
	}
	if (*end || value < min || value > max)
		return false;
	*out = value;
	return true;
}

static bool read_runtimes(struct options *o, const char *text)
{
	bool any = false;

	o->all_runtimes = false;
	memset(o->want_runtime, 0, sizeof(o->want_runtime));
	while (*text) {
		size_t len = strcspn(text, ",");

		if (len == 3 && !strncmp(text, "all", 3))
			o->all_runtimes = true;
		else if (len == 6 && !strncmp(text, "python", 6))
			o->want_runtime[RUNTIME_PYTHON] = true;
		else if (len == 6 && !strncmp(text, "nodejs", 6))
			o->want_runtime[RUNTIME_NODEJS] = true;
		else
			return false;
		any = true;
		text += len;
		if (*text == ',' && !*++text)
			return false;
	}
	return any;
}

static bool add_match(struct options *o, const char *text)
{
	struct service_match match, *grown;

	if (service_match_parse(&match, text))
		return false;
	grown = realloc(o->matches, (o->match_count + 1) * sizeof(match));
	if (!grown)
		return false;
	o->matches = grown;
	o->matches[o->match_count++] = match;
	return true;
}

/* SERVICE may not begin with '/', so that the '=' of a pattern is no separator. */
static bool add_route(struct options *o, const char *text)
{
	const char *equals = text[0] == '/' ? NULL : strchr(text, '=');
	char service[128];

	if (!equals)
		return !route_patterns_add(o->patterns, NULL, text);
	if (equals == text || (size_t)(equals - text) >= sizeof(service))
		return false;
	memcpy(service, text, equals - text);
	service[equals - text] = '\0';
	return !route_patterns_add(o->patterns, service, equals + 1);
}

static bool read_level(const char *text)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			log_level = i;
			return true;
		}
	}
	return false;
}

static bool read_interval(struct options *o, const char *text)
{
	char *end;

	o->interval_s = strtod(text, &end);
	return end != text && !*end && isfinite(o->interval_s) && o->interval_s >= 0.1 &&
	       o->interval_s <= 86400;
}

static error_t parse_key(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_LISTEN:
		o->listen = strcmp(text, "off") ? text : NULL;
		if (o->listen && server_check_address(text))
			argp_error(state, "--listen: '%s' is not ADDRESS:PORT or off", text);
		break;
	case KEY_CONSOLE:
		o->console = true;
		break;
	case KEY_INTERVAL:
		if (!read_interval(o, text))
			argp_error(state, "--interval: '%s' is not a number of seconds from 0.1 to 86400", text);
		break;
	case KEY_RUNTIME:
		if (!read_runtimes(o, text))
			argp_error(state, "--runtime: '%s' is not a list of python, nodejs or all", text);
		break;
	case KEY_SERVICE:
		if (!add_match(o, text))
			argp_error(state, "--service: '%s' is not NAME=MATCH (port:N, unit:NAME, container:NAME, cmd:GLOB)", text);
		break;
	case KEY_ROUTE:
		if (!add_route(o, text))
			argp_error(state, "--route: '%s' is not a pattern such as /orders/{id}/items", text);
		break;
	case KEY_RING_SIZE:
		if (!read_size(text, RING_BYTES_MIN, RING_BYTES_MAX, true, &o->ring_bytes) ||
		    o->ring_bytes & (o->ring_bytes - 1))
			argp_error(state, "--ring-size: '%s' is not a power of two from 64K to 1024M", text);
		break;
	case KEY_MAX_SERIES:
		if (!read_size(text, 1, 1000000, false, &o->max_series))
			argp_error(state, "--max-series: '%s' is not a number from 1 to 1000000", text);
		break;
	case KEY_MAX_ROUTES:
		if (!read_size(text, 1, 10000, false, &o->max_routes))
			argp_error(state, "--max-routes: '%s' is not a number from 1 to 10000", text);
		break;
	case KEY_LOG_LEVEL:
		if (!read_level(text))
			argp_error(state, "--log-level: '%s' is not error, warning, info or debug", text);
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "'%s': there is one command at most", text);
		if (!strcmp(text, "check"))
			o->command = COMMAND_CHECK;
		else if (strcmp(text, "run"))
			argp_error(state, "'%s' is no command: run or check", text);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void options_parse(struct options *options, int argc, char **argv)
{
	static const struct argp argp = {
		.options = table,
		.parser = parse_key,
		.args_doc = "[run|check]",
		.doc = "Reports request rate, errors and duration of the Python and Node.js services of this "
		       "host, seen from the kernel.\v"
		       "run (the default) watches until it is stopped; check tells whether it could.",
	};

	*options = (struct options){
		.listen = BITTERN_LISTEN_DEFAULT,
		.interval_s = 1,
		.want_runtime = {[RUNTIME_PYTHON] = true, [RUNTIME_NODEJS] = true},
		.ring_bytes = RING_BYTES_DEFAULT,
		.max_series = 10000,
		.max_routes = 200,
	};
	argp_program_version = "bittern " BITTERN_VERSION;
	argp_err_exit_status = 2;
	if (route_patterns_open(&options->patterns)) {
		log_error("no memory");
		exit(1);
	}
	argp_parse(&argp, argc, argv, 0, NULL, options);
}

void options_close(struct options *options)
{
	free(options->matches);
	options->matches = NULL;
	route_patterns_close(options->patterns);
	options->patterns = NULL;
}
