/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_points - what all points of an export have in common: times, deltas, and when there is
 * nothing to say. Of otlp_encode; nobody else needs it. */
#ifndef BITTERN_OTLP_POINTS_H
#define BITTERN_OTLP_POINTS_H

#include "otlp_delta.h"
#include "otlp_encode.h"

/* About itself bittern has that many numbers at most, by name. */
#define OTLP_OWN_METRICS 96
#define OTLP_OWN_NAME_MAX 64

struct otlp_own_metric {
	const char *row_name; /* as the snapshot has it; NULL: not used */
	struct otlp_metric metric;
	char name[OTLP_OWN_NAME_MAX];
};

struct otlp_encoder {
	struct otlp_encoding config;
	struct otlp_delta *delta; /* NULL: all is cumulative */
	uint64_t last_time_unix_ns; /* of the export before; 0: there was none */
	struct otlp_own_metric own[OTLP_OWN_METRICS];
	/* The export at hand. */
	struct otlp_builder builder;
	const struct snapshot *snapshot;
	uint64_t time_unix_ns;
	uint64_t start_unix_ns; /* points_count_from() */
	int error; /* 0 or -ENOMEM */
};

/* Points of the resource at hand count from then (CLOCK_MONOTONIC), or from the agent's start if
 * that is later. */
void points_count_from(struct otlp_encoder *e, uint64_t time_ns);
void points_metric(struct otlp_encoder *e, const struct otlp_metric *m);
/* Of a point of the metric begun. */
uint64_t points_start(const struct otlp_encoder *e);
uint64_t points_time(const struct otlp_encoder *e);
/* A point of the metric begun, which has numbers, with its times but no value; NULL without memory.
 */
struct otlp_point *points_number(struct otlp_encoder *e);
/* Whether there is something to say; rc is that of otlp_delta_...(). */
bool points_news(struct otlp_encoder *e, int rc);
/* value of a counter becomes what is to be sent; false: nothing is. id and sub, with the metric
 * begun, name it. */
bool points_count(struct otlp_encoder *e, uint64_t id, uint64_t sub, uint64_t *value);
void points_add_integer(struct otlp_encoder *e, struct otlp_point *p, uint64_t value);
void points_add_double(struct otlp_encoder *e, struct otlp_point *p, double value);
void points_add_nothing(struct otlp_encoder *e, struct otlp_point *p); /* with the flag for that */

#endif
