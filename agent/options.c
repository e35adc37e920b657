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

#define RING_BYTES_DEFAULT (4u << 20)
#define RING_BYTES_MIN (64u << 10)
#define RING_BYTES_MAX (1u << 30)
#define FIRST_KEY 256 /* no option has a short form */

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

static bool add_timeout(struct options *o, const char *text)
{
	return !limits_add_timeout(o->limits, text);
}

static bool add_slo(struct options *o, const char *text)
{
	return !limits_add_slo(o->limits, text);
}

static bool add_ignored(struct options *o, const char *text)
{
	return !limits_add_ignored(o->limits, text);
}

static bool read_listen(struct options *o, const char *text)
{
	o->listen = strcmp(text, "off") ? text : NULL;
	return !o->listen || !server_check_address(text);
}

static bool read_console(struct options *o, const char *text)
{
	(void)text;
	o->console = true;
	return true;
}

static bool read_interval(struct options *o, const char *text)
{
	char *end;

	o->interval_s = strtod(text, &end);
	return end != text && !*end && isfinite(o->interval_s) && o->interval_s >= 0.1 &&
	       o->interval_s <= 86400;
}

static bool read_per_process(struct options *o, const char *text)
{
	(void)text;
	o->per_process = true;
	return true;
}

static bool read_no_tls(struct options *o, const char *text)
{
	(void)text;
	o->no_tls = true;
	return true;
}

static bool read_no_cpu(struct options *o, const char *text)
{
	(void)text;
	o->no_cpu = true;
	return true;
}

static bool read_ring_size(struct options *o, const char *text)
{
	return read_size(text, RING_BYTES_MIN, RING_BYTES_MAX, true, &o->ring_bytes) &&
	       !(o->ring_bytes & (o->ring_bytes - 1));
}

static bool read_max_series(struct options *o, const char *text)
{
	return read_size(text, 1, 1000000, false, &o->max_series);
}

static bool read_max_routes(struct options *o, const char *text)
{
	return read_size(text, 1, 10000, false, &o->max_routes);
}

static bool read_level(struct options *o, const char *text)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	size_t i;

	(void)o;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			log_level = i;
			return true;
		}
	}
	return false;
}

static const struct {
	const char *name, *argument, *help;
	bool (*read)(struct options *options, const char *text); /* false: not what is wanted */
	const char *wanted;
} rows[] = {
	{"listen", "ADDRESS:PORT",
	 "Serve /metrics, /healthz and /readyz there, or off (default " BITTERN_LISTEN_DEFAULT ")",
	 read_listen, "ADDRESS:PORT or off"},
	{"console", NULL, "Show a live table of services and routes", read_console, NULL},
	{"interval", "SECONDS", "Time between updates of the console (default 1)", read_interval,
	 "a number of seconds from 0.1 to 86400"},
	{"runtime", "LIST",
	 "Runtimes to report: python, nodejs, or all for any process that speaks HTTP "
	 "(default python,nodejs)",
	 read_runtimes, "a list of python, nodejs or all"},
	{"service", "NAME=MATCH",
	 "Name the service that MATCH finds: port:N, unit:NAME, container:NAME or cmd:GLOB; may be "
	 "given several times, the first that matches wins",
	 add_match, "NAME=MATCH (port:N, unit:NAME, container:NAME, cmd:GLOB)"},
	{"timeout", "[SERVICE[:ROUTE]=]DURATION",
	 "How long a request may take, such as 300ms, 8s or 1m (default 8s); may be given several "
	 "times, the most specific wins",
	 add_timeout, "[SERVICE[:ROUTE]=]DURATION, from 1ms to 24h (300ms, 8s, shop:/report=1m)"},
	{"slo", "[SERVICE[:ROUTE]=]PERCENT[@DURATION]",
	 "Objective: this percentage of requests is good within DURATION (default 99 within the "
	 "timeout); may be given several times, those of the most specific scope all apply",
	 add_slo,
	 "[SERVICE[:ROUTE]=]PERCENT[@DURATION], above 0 and below 100, 8 for one scope at most"},
	{"slo-ignore", "ROUTE",
	 "A route, or SERVICE:ROUTE, without objectives, in addition to /health, /healthz, /ready, "
	 "/readyz, /livez and /metrics, unless an --slo names it; may be given several times",
	 add_ignored, "a route such as /ping, or SERVICE:ROUTE"},
	{"route", "[SERVICE=]PATTERN",
	 "A route such as /orders/{id}/items or /files/{path...}; may be given several times, the "
	 "first that matches wins",
	 add_route, "a pattern such as /orders/{id}/items"},
	{"per-process", NULL,
	 "CPU, memory, threads and descriptors of each process as well (bittern_process_...)",
	 read_per_process, NULL},
	{"no-tls", NULL, "Do not look into TLS (HTTPS): no TLS library is probed", read_no_tls,
	 NULL},
	{"no-cpu", NULL, "Do not account CPU time and page faults to routes", read_no_cpu, NULL},
	{"ring-size", "BYTES",
	 "Buffer between kernel and agent, a power of two; K and M are understood (default 4M)",
	 read_ring_size, "a power of two from 64K to 1024M"},
	{"max-series", "N", "Bound on series (default 10000)", read_max_series,
	 "a number from 1 to 1000000"},
	{"max-routes", "N", "Bound on routes of one service (default 200)", read_max_routes,
	 "a number from 1 to 10000"},
	{"log-level", "LEVEL", "error, warning, info or debug (default info)", read_level,
	 "error, warning, info or debug"},
};

#define ROW_COUNT ((int)(sizeof(rows) / sizeof(rows[0])))
#define KEY_COUNT (ROW_COUNT + OTLP_SETTING_COUNT) /* those of otlp_config.h come behind */

static void read_command(struct options *o, const char *text, unsigned int position)
{
	if (position == 0 && !strcmp(text, "check")) {
		o->command = COMMAND_CHECK;
	} else if (position > 0 || strcmp(text, "run")) {
		log_error("'%s': the command is run or check, given once", text);
		exit(2);
	}
}

static void read_otlp(struct options *o, enum otlp_setting setting, const char *text)
{
	const struct otlp_option *option = &otlp_options[setting];

	if (otlp_config_set(&o->otlp, setting, text))
		return;
	log_error("--%s: '%s' is not %s", option->name, text, option->wanted);
	exit(2);
}

static error_t parse_key(int key, char *text, struct argp_state *state)
{
	int row = key - FIRST_KEY;

	if (key == ARGP_KEY_INIT) {
		state->err_stream = NULL; /* getopt has said what is wrong: one line is enough */
	} else if (key == ARGP_KEY_ARG) {
		read_command(state->input, text, state->arg_num);
	} else if (row >= ROW_COUNT && row < KEY_COUNT) {
		read_otlp(state->input, row - ROW_COUNT, text);
	} else if (row < 0 || row >= ROW_COUNT) {
		return ARGP_ERR_UNKNOWN;
	} else if (!rows[row].read(state->input, text)) {
		log_error("--%s: '%s' is not %s", rows[row].name, text, rows[row].wanted);
		exit(2);
	}
	return 0;
}

static void parse(struct options *options, int argc, char **argv)
{
	struct argp_option table[KEY_COUNT + 1] = {{0}};
	struct argp argp = {
		.options = table,
		.parser = parse_key,
		.args_doc = "[run|check]",
		.doc = "Reports request rate, errors and duration of the Python and Node.js "
		       "services of this host, seen from the kernel.\v"
		       "run (the default) watches until it is stopped; check tells whether it "
		       "could.",
	};
	int i;

	for (i = 0; i < ROW_COUNT; i++) {
		table[i].name = rows[i].name;
		table[i].key = FIRST_KEY + i;
		table[i].arg = rows[i].argument;
		table[i].doc = rows[i].help;
	}
	for (i = 0; i < OTLP_SETTING_COUNT; i++) {
		table[ROW_COUNT + i].name = otlp_options[i].name;
		table[ROW_COUNT + i].key = FIRST_KEY + ROW_COUNT + i;
		table[ROW_COUNT + i].arg = otlp_options[i].argument;
		table[ROW_COUNT + i].doc = otlp_options[i].help;
	}
	argp_program_version = "bittern " BITTERN_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, options))
		exit(2);
}

void options_parse(struct options *options, int argc, char **argv)
{
	char why[512];

	*options = (struct options){
		.listen = BITTERN_LISTEN_DEFAULT,
		.interval_s = 1,
		.want_runtime = {[RUNTIME_PYTHON] = true, [RUNTIME_NODEJS] = true},
		.ring_bytes = RING_BYTES_DEFAULT,
		.max_series = 10000,
		.max_routes = 200,
	};
	if (route_patterns_open(&options->patterns) || limits_open(&options->limits)) {
		log_error("no memory");
		exit(1);
	}
	otlp_config_init(&options->otlp);
	parse(options, argc, argv);
	if (options->command == COMMAND_RUN &&
	    otlp_config_finish(&options->otlp, why, sizeof(why))) {
		log_error("%s", why);
		exit(2);
	}
}

void options_close(struct options *options)
{
	free(options->matches);
	options->matches = NULL;
	route_patterns_close(options->patterns);
	options->patterns = NULL;
	limits_close(options->limits);
	options->limits = NULL;
	otlp_config_close(&options->otlp);
}
