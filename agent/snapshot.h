/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - what exporters see: every service, every series and bittern's own numbers at one
 * moment.
 *
 * Filled by aggregate (series), services and main (self-metrics). Strings, services and values are
 * borrowed: the snapshot is valid until the loop thread goes on. Exporters never look further
 * upstream than this header and the two it includes. */
#ifndef BITTERN_SNAPSHOT_H
#define BITTERN_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "services.h"

/* What is measured, in the order of a snapshot. Behind each its OpenTelemetry name and what
 * attributes its series have, besides those of the service. */
enum instrument {
	/* Histograms. */
	INSTRUMENT_SERVER_DURATION, /* http.server.request.duration: method, scheme, route, status,
				     * error type, protocol version, port */
	INSTRUMENT_TIME_TO_FIRST_BYTE, /* bittern.http.server.time_to_first_byte: the same */
	INSTRUMENT_QUEUE_DURATION, /* bittern.http.server.queue.duration: port */
	INSTRUMENT_CLIENT_DURATION, /* http.client.request.duration: method, scheme, address, port,
				     * status, error type, protocol version */
	/* Counters by outcome. */
	INSTRUMENT_SERVER_REQUESTS, /* bittern.http.server.requests: method, route */
	INSTRUMENT_CLIENT_REQUESTS, /* bittern.http.client.requests: method, address, port */
	/* A counter. */
	INSTRUMENT_CONNECT_FAILURES, /* bittern.client.connect.failures: address, port, error type
				      */
	/* Four counters: bittern.http.server.cpu.time, .cpu.time.split, .page_faults of two kinds.
	 */
	INSTRUMENT_COST, /* route */
	/* Two counters and an objective. */
	INSTRUMENT_SLO, /* bittern.slo.events, .good_events, .objective: route, objective */
	/* Gauges: those of a service without a living process are not to be shown. */
	INSTRUMENT_ACTIVE, /* http.server.active_requests: method, scheme, route, port */
	INSTRUMENT_OLDEST, /* bittern.http.server.oldest_request.age: route */
	INSTRUMENT_COUNT,
};

/* How a request came to its end. */
enum outcome {
	OUTCOME_OK,
	OUTCOME_ERROR,
	OUTCOME_TIMEOUT,
	OUTCOME_ABORTED,
	OUTCOME_NO_RESPONSE,
	OUTCOME_COUNT
};

/* The values of the attribute "outcome". */
extern const char *const outcome_names[OUTCOME_COUNT];

/* The attributes of bittern.service.undecoded.connections. */
extern const struct undecoded_labels {
	const char *role, *reason;
} undecoded_labels[UNDECODED_COUNT];

/* The value of a series that is no histogram; which member is told by its instrument. */
union snapshot_counts {
	uint64_t outcomes[OUTCOME_COUNT]; /* INSTRUMENT_SERVER_REQUESTS, _CLIENT_REQUESTS */
	uint64_t failures; /* INSTRUMENT_CONNECT_FAILURES */
	struct {
		uint64_t cpu_ns;
		uint64_t split_ns; /* of cpu_ns: it may have been used for another route */
		uint64_t minor_faults, major_faults;
	} cost; /* INSTRUMENT_COST */
	struct {
		uint64_t events, good_events;
	} slo; /* INSTRUMENT_SLO */
	struct {
		uint64_t count; /* 0 in INSTRUMENT_OLDEST: there is no age to be shown */
		uint64_t age_ns; /* INSTRUMENT_OLDEST: of the oldest of them */
	} open; /* INSTRUMENT_ACTIVE, _OLDEST */
};

/* One series of one instrument: one set of attributes. */
struct snapshot_series {
	uint64_t id; /* as long as the agent runs no other series has it */
	enum instrument instrument;
	/* otel.metric.overflow="true", no other attribute but the outcome, service NULL */
	bool overflow;
	const struct service *service;
	/* NULL: the attribute is absent */
	const char *route; /* absent: CONNECT, asterisk-form */
	const char *method; /* http.request.method; absent: route "{unread}" */
	const char *address; /* server.address of the peer */
	const char *error_type;
	const char *protocol_version; /* "1.0", "1.1" */
	const char *scheme; /* "http", "https" */
	const char *slo; /* "99@8s" */
	double slo_ratio; /* 0.99 */
	uint16_t status; /* 0: absent */
	uint16_t port; /* 0: absent */
	const struct histogram *duration; /* of a histogram, else NULL */
	const struct histogram_bounds *bounds; /* of a histogram, else NULL */
	const union snapshot_counts *counts; /* of all others, else NULL */
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
	uint64_t start_time_ns, start_time_unix_ns; /* of the agent, by both clocks */
	const char *version;
	const struct service *const *services;
	size_t service_count;
	/* With --per-process, else none: by service, then pid. */
	const struct service_process *processes;
	size_t process_count;
	/* By instrument, then service, then creation; an instrument's overflow series is its last.
	 */
	const struct snapshot_series *series;
	size_t series_count;
	const struct self_metric *self;
	size_t self_count;
	/* Attributes of the host, "" when not known. */
	const char *host_name, *host_id;
};

#endif
