/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - what exporters see: every service, every series and bittern's own numbers at one
 * moment.
 *
 * Filled by aggregate (series), services and main (self-metrics). Strings, services and histograms
 * are borrowed: the snapshot is valid until the loop thread goes on. Exporters never look further
 * upstream than this header and the two it includes. */
#ifndef BITTERN_SNAPSHOT_H
#define BITTERN_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "services.h"

/* One series of http.server.request.duration. */
struct snapshot_series {
	const struct service *service;
	const char *route; /* NULL: the attribute is absent (CONNECT, asterisk-form, overflow) */
	const char *method; /* http.request.method; NULL on the overflow series */
	const char *error_type; /* NULL: absent */
	const char *protocol_version; /* "1.0", "1.1" */
	const char *scheme; /* "http", "https" */
	uint16_t status; /* 0: absent */
	uint16_t port; /* 0: absent */
	bool overflow; /* otel.metric.overflow="true", no other attribute, service NULL */
	const struct histogram *duration;
};

enum self_metric_kind { SELF_COUNTER, SELF_GAUGE };

/* One value about bittern itself. Values of one name stand next to each other. */
struct self_metric {
	const char *name; /* as Prometheus has it: bittern_agent_..., with _total for counters */
	const char *help;
	enum self_metric_kind kind;
	const char *label, *label_value; /* NULL: no label */
	double value;
};

struct snapshot {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t time_unix_ns; /* CLOCK_REALTIME */
	uint64_t start_time_unix_ns; /* of the agent */
	const char *version;
	const struct service *const *services;
	size_t service_count;
	const struct snapshot_series *series; /* those of one service stand next to each other */
	size_t series_count;
	const struct self_metric *self;
	size_t self_count;
	/* Attributes of the host, "" when not known. */
	const char *host_name, *host_id;
};

#endif
