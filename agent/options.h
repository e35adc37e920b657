/* SPDX-License-Identifier: Apache-2.0 */
/* options - the command line and the configuration file (--config), checked.
 *
 * Each option but --config, --help and --version is a key of the file by its name, and its value is
 * what would follow the option: true or false for one without an argument; a list gives one that
 * may be given several times so. An option of the command line takes the place of its key, whatever
 * the file has there (and that must be right all the same). OTEL_* variables come last.
 *
 * Every mistake is one line on standard error and exit status 2, before anything has been touched:
 * of the file with FILE:LINE: in front. */
#ifndef BITTERN_OPTIONS_H
#define BITTERN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "../exporters/otlp_config.h"
#include "config_file.h"
#include "limits.h"
#include "log.h"
#include "process_facts.h"
#include "routes.h"
#include "service_name.h"

enum command { COMMAND_RUN, COMMAND_CHECK };

struct options {
	enum command command;
	const char *listen; /* NULL: off */
	bool console;
	double interval_s;
	bool all_runtimes;
	bool want_runtime[RUNTIME_COUNT];
	struct service_match *matches;
	size_t match_count;
	struct route_patterns *patterns;
	struct limits *limits;
	bool per_process;
	bool no_tls; /* --no-tls */
	struct otlp_config otlp; /* without a URL nothing is sent */
	bool no_cpu; /* --no-cpu */
	size_t ring_bytes, max_series, max_routes;
	enum log_level log_level;
	struct config_file file; /* texts point into it */
};

/* Exits on --help, --version and wrong use; else fills options, to be closed. Sets log_level. */
void options_parse(struct options *options, int argc, char **argv);
void options_close(struct options *options);

#endif
