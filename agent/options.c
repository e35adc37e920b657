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

/* An option without an argument is as good as true. */
static bool read_flag(bool *flag, const char *text)
{
	*flag = !text || !strcasecmp(text, "true");
	return *flag || !strcasecmp(text, "false");
}

static bool read_console(struct options *o, const char *text)
{
	return read_flag(&o->console, text);
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
	return read_flag(&o->per_process, text);
}

static bool read_no_tls(struct options *o, const char *text)
{
	return read_flag(&o->no_tls, text);
}

static bool read_no_cpu(struct options *o, const char *text)
{
	return read_flag(&o->no_cpu, text);
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

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			o->log_level = i;
			return true;
		}
	}
	return false;
}

#define FLAG "true or false"

static const struct {
	const char *name, *argument, *help;
	bool (*read)(struct options *options, const char *text); /* false: not what is wanted */
	const char *wanted;
	bool repeats; /* may be given several times */
} rows[] = {
	{"listen", "ADDRESS:PORT",
	 "Serve /metrics, /healthz and /readyz there, or off (default " BITTERN_LISTEN_DEFAULT ")",
	 read_listen, "ADDRESS:PORT or off", false},
	{"console", NULL, "Show a live table of services and routes", read_console, FLAG, false},
	{"interval", "SECONDS", "Time between updates of the console (default 1)", read_interval,
	 "a number of seconds from 0.1 to 86400", false},
	{"runtime", "LIST",
	 "Runtimes to report: python, nodejs, or all for any process that speaks HTTP "
	 "(default python,nodejs)",
	 read_runtimes, "a list of python, nodejs or all", false},
	{"service", "NAME=MATCH",
	 "Name the service that MATCH finds: port:N, unit:NAME, container:NAME or cmd:GLOB; may be "
	 "given several times, the first that matches wins",
	 add_match, "NAME=MATCH (port:N, unit:NAME, container:NAME, cmd:GLOB)", true},
	{"timeout", "[SERVICE[:ROUTE]=]DURATION",
	 "How long a request may take, such as 300ms, 8s or 1m (default 8s); may be given several "
	 "times, the most specific wins",
	 add_timeout, "[SERVICE[:ROUTE]=]DURATION, from 1ms to 24h (300ms, 8s, shop:/report=1m)",
	 true},
	{"slo", "[SERVICE[:ROUTE]=]PERCENT[@DURATION]",
	 "Objective: this percentage of requests is good within DURATION (default 99 within the "
	 "timeout); may be given several times, those of the most specific scope all apply",
	 add_slo,
	 "[SERVICE[:ROUTE]=]PERCENT[@DURATION], above 0 and below 100, 8 for one scope at most",
	 true},
	{"slo-ignore", "ROUTE",
	 "A route, or SERVICE:ROUTE, without objectives, in addition to /health, /healthz, /ready, "
	 "/readyz, /livez and /metrics, unless an --slo names it; may be given several times",
	 add_ignored, "a route such as /ping, or SERVICE:ROUTE", true},
	{"route", "[SERVICE=]PATTERN",
	 "A route such as /orders/{id}/items or /files/{path...}; may be given several times, the "
	 "first that matches wins",
	 add_route, "a pattern such as /orders/{id}/items", true},
	{"per-process", NULL,
	 "CPU, memory, threads and descriptors of each process as well (bittern_process_...)",
	 read_per_process, FLAG, false},
	{"no-tls", NULL, "Do not look into TLS (HTTPS): no TLS library is probed", read_no_tls,
	 FLAG, false},
	{"no-cpu", NULL, "Do not account CPU time and page faults to routes", read_no_cpu, FLAG,
	 false},
	{"ring-size", "BYTES",
	 "Buffer between kernel and agent, a power of two; K and M are understood (default 4M)",
	 read_ring_size, "a power of two from 64K to 1024M", false},
	{"max-series", "N", "Bound on series (default 10000)", read_max_series,
	 "a number from 1 to 1000000", false},
	{"max-routes", "N", "Bound on routes of one service (default 200)", read_max_routes,
	 "a number from 1 to 10000", false},
	{"log-level", "LEVEL", "error, warning, info or debug (default info)", read_level,
	 "error, warning, info or debug", false},
};

#define ROW_COUNT ((int)(sizeof(rows) / sizeof(rows[0])))
#define KEY_COUNT (ROW_COUNT + OTLP_SETTING_COUNT) /* those of otlp_config.h come behind */

/* What parsing needs besides the options that it fills. */
struct parsing {
	struct options *options;
	bool given[KEY_COUNT]; /* on the command line */
	const char *config; /* the file; NULL: none */
};

static const char *name_of(int key)
{
	return key < ROW_COUNT ? rows[key].name : otlp_options[key - ROW_COUNT].name;
}

static void read_command(struct options *o, const char *text, unsigned int position)
{
	if (position == 0 && !strcmp(text, "check")) {
		o->command = COMMAND_CHECK;
	} else if (position > 0 || strcmp(text, "run")) {
		log_error("'%s': the command is run or check, given once", text);
		exit(2);
	}
}

/* where: what the line that complains of it begins with, in front of the option's name. */
static void set(struct options *o, int key, const char *text, const char *where)
{
	char what[384];

	if (key < ROW_COUNT) {
		if (rows[key].read(o, text))
			return;
		snprintf(what, sizeof(what), "'%.200s' is not %s", text, rows[key].wanted);
	} else {
		enum otlp_setting setting = key - ROW_COUNT;

		if (otlp_config_set(&o->otlp, setting, text))
			return;
		otlp_config_explain(setting, text, what, sizeof(what));
	}
	log_error("%s%s: %s", where, name_of(key), what);
	exit(2);
}

static error_t parse_key(int argp_key, char *text, struct argp_state *state)
{
	struct parsing *parsing = state->input;
	int key = argp_key - FIRST_KEY;

	if (argp_key == ARGP_KEY_INIT) {
		state->err_stream = NULL; /* getopt has said what is wrong: one line is enough */
	} else if (argp_key == ARGP_KEY_ARG) {
		read_command(parsing->options, text, state->arg_num);
	} else if (key == KEY_COUNT) {
		parsing->config = text;
	} else if (key >= 0 && key < KEY_COUNT) {
		parsing->given[key] = true;
		set(parsing->options, key, text, "--");
	} else {
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* --no-tls is --no-tls=true; --no-tls=false takes back what the file says. */
static struct argp_option argp_row(int key, const char *argument, const char *help)
{
	return (struct argp_option){
		.name = name_of(key),
		.key = FIRST_KEY + key,
		.arg = argument ? argument : "true|false",
		.flags = argument ? 0 : OPTION_ARG_OPTIONAL,
		.doc = help,
	};
}

static void parse(struct parsing *parsing, int argc, char **argv)
{
	struct argp_option table[KEY_COUNT + 2] = {{0}};
	struct argp argp = {
		.options = table,
		.parser = parse_key,
		.args_doc = "[run|check]",
		.doc = "Reports request rate, errors and duration of the Python and Node.js "
		       "services of this host, seen from the kernel.\v"
		       "run (the default) watches until it is stopped; check tells whether it "
		       "could.",
	};

	for (int i = 0; i < ROW_COUNT; i++)
		table[i] = argp_row(i, rows[i].argument, rows[i].help);
	for (int i = 0; i < OTLP_SETTING_COUNT; i++)
		table[ROW_COUNT + i] =
			argp_row(ROW_COUNT + i, otlp_options[i].argument, otlp_options[i].help);
	table[KEY_COUNT] = (struct argp_option){
		.name = "config",
		.key = FIRST_KEY + KEY_COUNT,
		.arg = "FILE",
		.doc = "Read options from there as well: YAML, whose keys are their names; what "
		       "is given here takes the place of what is there",
	};
	argp_program_version = "bittern " BITTERN_VERSION;
	if (argp_parse(&argp, argc, argv, 0, NULL, parsing))
		exit(2);
}

static void options_open(struct options *options)
{
	*options = (struct options){
		.listen = BITTERN_LISTEN_DEFAULT,
		.interval_s = 1,
		.want_runtime = {[RUNTIME_PYTHON] = true, [RUNTIME_NODEJS] = true},
		.ring_bytes = RING_BYTES_DEFAULT,
		.max_series = 10000,
		.max_routes = 200,
		.log_level = LOG_LEVEL_INFO,
	};
	if (route_patterns_open(&options->patterns) || limits_open(&options->limits)) {
		log_error("no memory");
		exit(1);
	}
	otlp_config_init(&options->otlp);
}

/* --- the file --- */

static int find_option(const char *name)
{
	for (int i = 0; i < KEY_COUNT; i++) {
		if (!strcmp(name_of(i), name))
			return i;
	}
	return -1;
}

/* What the command line has given already goes to replaced: it only has to be right. */
static void read_config_key(struct parsing *parsing, const struct config_key *key,
			    struct options *replaced)
{
	int option = find_option(key->name);
	char where[512];

	if (option < 0) {
		log_error("%s:%zu: unknown key '%.100s'; the keys are the options of bittern "
			  "--help, but config, help and version",
			  parsing->config, key->line, key->name);
		exit(2);
	}
	if (key->list && (option >= ROW_COUNT || !rows[option].repeats)) {
		log_error("%s:%zu: %s: one value is wanted, not a list; text that begins with '[' "
			  "is quoted",
			  parsing->config, key->line, key->name);
		exit(2);
	}
	for (size_t i = 0; i < key->value_count; i++) {
		snprintf(where, sizeof(where), "%s:%zu: ", parsing->config, key->values[i].line);
		set(parsing->given[option] ? replaced : parsing->options, option,
		    key->values[i].text, where);
	}
}

static void read_config(struct parsing *parsing)
{
	struct config_file *file = &parsing->options->file;
	struct options replaced; /* by the command line */
	char why[512];
	int error = config_file_read(file, parsing->config, why, sizeof(why));

	if (error) {
		log_error("%s", why);
		exit(error == -ENOMEM ? 1 : 2);
	}
	options_open(&replaced);
	for (size_t i = 0; i < file->key_count; i++)
		read_config_key(parsing, &file->keys[i], &replaced);
	options_close(&replaced);
}

/* --- the whole --- */

static void finish(struct parsing *parsing)
{
	struct options *o = parsing->options;
	enum otlp_setting wrong;
	char why[512], where[512] = "";

	if (!otlp_config_finish(&o->otlp, why, sizeof(why)))
		return;
	wrong = o->otlp.wrong;
	if (wrong != OTLP_SETTING_COUNT && !parsing->given[ROW_COUNT + wrong])
		snprintf(where, sizeof(where), "%s:%zu: ", parsing->config,
			 config_file_find(&o->file, otlp_options[wrong].name)->line);
	log_error("%s%s", where, why);
	exit(2);
}

void options_parse(struct options *options, int argc, char **argv)
{
	struct parsing parsing = {.options = options};

	options_open(options);
	parse(&parsing, argc, argv);
	if (parsing.config)
		read_config(&parsing);
	log_level = options->log_level;
	finish(&parsing);
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
	config_file_close(&options->file);
}
