/* SPDX-License-Identifier: Apache-2.0 */
/* self_metrics - bittern's own numbers as rows of a snapshot. */
#ifndef BITTERN_SELF_METRICS_H
#define BITTERN_SELF_METRICS_H

#include "aggregate.h"
#include "capture.h"
#include "exchange.h"
#include "pool_jobs.h"
#include "services.h"
#include "snapshot.h"
#include "tls.h"

#define SELF_METRICS_MAX 96

#define RECORD_KINDS (RECORD_JOB + 1)

/* Of the exporter by OTLP. */
struct self_otlp {
	bool on; /* false: it is not in use, and has no rows */
	uint64_t exports, retries, sent_bytes, replaced, lost_points, rejected_points;
	uint64_t queue_age_ns, last_encode_ns;
	const uint64_t *failures; /* failure_count of them; that of the first name is no failure */
	const char *const *failure_names;
	size_t failure_count;
};

struct self_inputs {
	uint64_t start_time_unix_ns; /* of the agent */
	struct capture_stats capture;
	struct exchange_stats exchange;
	struct services_stats services;
	struct tls_stats tls;
	struct pool_jobs_stats pool;
	uint64_t records[RECORD_KINDS]; /* by enum record_kind */
	uint64_t bad_records;
	uint64_t lost_requests; /* whose record found the ring full */
	size_t ring_peak_bytes; /* largest fill at a drain since the last snapshot */
	size_t series_count;
	/* Measurements, requests and outgoing requests that found no place. */
	uint64_t series_overflow, routes_overflow, addresses_overflow;
	uint64_t processes_left_out; /* of --per-process, past its bound, at this moment */
	uint64_t scrapes;
	double last_scrape_seconds;
	struct self_otlp otlp;
};

/* Fills rows; their number. The process's own CPU time and memory are read here. */
size_t self_metrics(struct self_metric rows[static SELF_METRICS_MAX], const struct self_inputs *in);

#endif
