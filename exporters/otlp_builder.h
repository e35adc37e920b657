/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_builder - points, one after the other, into ExportMetricsServiceRequest messages.
 *
 * Resource, then metric, then its points; whatever is begun ends what was begun before. A resource
 * without points is left out. Messages are built in parts of at most OTLP_PART_POINTS points of one
 * resource and OTLP_PART_MAX bytes, and these fill requests: so memory is bounded by a part and
 * what is encoded, and a resource or a metric with more continues in another part or another
 * request, which is the same to a receiver.
 *
 * Names of metrics and keys are borrowed until the builder ends, all other strings too or copied:
 * only what is not valid UTF-8 is, each byte that is in no valid sequence becoming U+FFFD. */
#ifndef BITTERN_OTLP_BUILDER_H
#define BITTERN_OTLP_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "otlp.pb-c.h"

#define OTLP_PART_POINTS 1000
#define OTLP_PART_MAX (1024 * 1024)
/* What receivers take, by default of gRPC. */
#define OTLP_REQUEST_MAX (4 * 1024 * 1024 - 1)
#define OTLP_POINT_ATTRIBUTES 8
#define OTLP_RESOURCE_ATTRIBUTES_MAX 128
#define OTLP_PART_METRICS 64

struct otlp_request {
	uint8_t *data;
	size_t len;
	size_t point_count;
};

/* Zero it to begin. */
struct otlp_batch {
	struct otlp_request *requests;
	size_t count;
	uint64_t time_ns; /* the caller's: the moment it tells of, CLOCK_MONOTONIC */
};

struct otlp_attributes {
	size_t count, capacity;
	Otlp__KeyValue **list; /* capacity of each of the three */
	Otlp__KeyValue *pairs;
	Otlp__AnyValue *values;
};

enum otlp_kind { OTLP_HISTOGRAM, OTLP_COUNTER, OTLP_UP_DOWN_COUNTER, OTLP_GAUGE };

struct otlp_metric {
	const char *name, *unit, *description;
	enum otlp_kind kind;
	/* Read off the agent's state when it is exported, not added up by events: by the
	 * specification's preference "lowmemory" it stays cumulative. */
	bool asynchronous;
};

/* A point in the making: the first member is what is encoded. */
struct otlp_point {
	union {
		Otlp__NumberDataPoint number;
		Otlp__HistogramDataPoint histogram;
		Otlp__ExponentialHistogramDataPoint exponential;
	};
	Otlp__ExponentialHistogramDataPoint__Buckets buckets;
	struct otlp_attributes attributes;
	Otlp__KeyValue *attribute_list[OTLP_POINT_ATTRIBUTES];
	Otlp__KeyValue attribute_pairs[OTLP_POINT_ATTRIBUTES];
	Otlp__AnyValue attribute_values[OTLP_POINT_ATTRIBUTES];
};

struct otlp_part_metric {
	Otlp__Metric metric;
	union {
		Otlp__Gauge gauge;
		Otlp__Sum sum;
		Otlp__Histogram histogram;
		Otlp__ExponentialHistogram exponential;
	};
};

struct otlp_builder {
	size_t request_max;
	Otlp__InstrumentationScope scope;
	struct otlp_batch *batch;
	int error; /* 0 or -ENOMEM */
	Otlp__Resource resource;
	struct otlp_attributes attributes; /* of the resource */
	Otlp__KeyValue *attribute_list[OTLP_RESOURCE_ATTRIBUTES_MAX];
	Otlp__KeyValue attribute_pairs[OTLP_RESOURCE_ATTRIBUTES_MAX];
	Otlp__AnyValue attribute_values[OTLP_RESOURCE_ATTRIBUTES_MAX];
	struct arena resource_strings;
	/* The metric that points are added to. */
	const struct otlp_metric *metric;
	bool delta, exponential;
	/* The part in the making. A point that begins a part is made before the one before it is
	 * packed: so there are two arenas in turn. */
	struct arena arenas[2], *arena;
	size_t part_len; /* at least what it will take */
	size_t resource_len;
	struct otlp_part_metric metrics[OTLP_PART_METRICS];
	Otlp__Metric *metric_list[OTLP_PART_METRICS];
	size_t metric_count;
	void *points[OTLP_PART_POINTS];
	size_t point_count;
};

/* Appends to batch, which is the caller's, to be closed. request_max: bytes. */
void otlp_builder_begin(struct otlp_builder *b, struct otlp_batch *batch, size_t request_max,
			const char *scope_name, const char *scope_version);
/* Its attributes are to be added at once, to b->attributes by the functions below. */
void otlp_builder_resource(struct otlp_builder *b);
void otlp_builder_metric(struct otlp_builder *b, const struct otlp_metric *metric, bool delta,
			 bool exponential);
/* A point with nothing but its type's defaults, for otlp_builder_add(); NULL without memory, and
 * b->error tells. What is gotten from b->arena then lives as long as the point. */
struct otlp_point *otlp_builder_point(struct otlp_builder *b);
void otlp_builder_add(struct otlp_builder *b, struct otlp_point *point);
/* b->error. Nothing is left of b but batch. */
int otlp_builder_end(struct otlp_builder *b);

/* NULL or "" is an absent attribute; what finds no room is left out. */
void otlp_string(struct arena *arena, struct otlp_attributes *to, const char *key,
		 const char *value);
void otlp_integer(struct otlp_attributes *to, const char *key, int64_t value); /* 0: absent */
void otlp_bool(struct otlp_attributes *to, const char *key, bool value);

size_t otlp_batch_len(const struct otlp_batch *batch); /* bytes of all requests */
void otlp_batch_close(struct otlp_batch *batch); /* once more is fine */

#endif
