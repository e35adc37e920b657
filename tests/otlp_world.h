/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_world - a snapshot to be encoded, and its messages decoded again. */
#ifndef BITTERN_TESTS_OTLP_WORLD_H
#define BITTERN_TESTS_OTLP_WORLD_H

#include "../exporters/otlp_encode.h"

#define WORLD_SERIES_MAX 12000
#define WORLD_START_NS 1000000000ull /* of the agent, CLOCK_MONOTONIC */
#define WORLD_START_UNIX_NS 1700000000000000000ull
#define WORLD_SECOND 1000000000ull

struct otlp_world {
	struct service shop, cart;
	const struct service *services[2];
	struct snapshot_series *series;
	union snapshot_counts counts[16];
	struct self_metric self[8];
	struct snapshot snapshot;
	struct otlp_encoding config;
	struct otlp_encoder *encoder;
	struct otlp_batch batch;
	Otlp__ExportMetricsServiceRequest *messages[64]; /* of batch */
};

int otlp_world_open(void **state); /* one service, shop, alive; no series */
int otlp_world_close(void **state);
/* Adds a series of shop; in the order of a snapshot. */
struct snapshot_series *otlp_world_add(struct otlp_world *w, enum instrument instrument);
struct snapshot_series *otlp_world_add_histogram(struct otlp_world *w, enum instrument instrument,
						 const struct histogram *h);
struct snapshot_series *otlp_world_add_counts(struct otlp_world *w, enum instrument instrument,
					      union snapshot_counts counts);
/* Encodes after_ns after the agent's start and decodes; opens the encoder at the first time. */
void otlp_world_export(struct otlp_world *w, uint64_t after_ns);

/* NULL: there is none. Only of the first request, where a resource and a metric are once. */
Otlp__ResourceMetrics *otlp_world_resource(const struct otlp_world *w, const char *service);
Otlp__Metric *otlp_world_metric(const struct otlp_world *w, const char *service, const char *name);
Otlp__AnyValue *otlp_world_attribute(size_t count, Otlp__KeyValue **list, const char *key);
/* "" when there is none; fails when it is no string. */
const char *otlp_world_string(size_t count, Otlp__KeyValue **list, const char *key);
/* The value of the sum's point with this string attribute; fails when it is not there. */
int64_t otlp_world_sum(const struct otlp_world *w, const char *service, const char *name,
		       const char *key, const char *value);

#endif
