/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_encode - a snapshot as ExportMetricsServiceRequest messages: a resource for each service,
 * and bittern's own with its numbers about itself and the overflow series.
 *
 * Start times: a cumulative series counts from when its service was found (the agent's own from
 * its start), so that it was 0 then, and a service that was forgotten, or another run of the agent,
 * begins anew. A delta counts from the export before, or from when the service was found since.
 * What has no value now (in flight at a service without process; nothing in flight) is a point with
 * the flag for that. Deltas of 0 are left out, but for a series that is new. */
#ifndef BITTERN_OTLP_ENCODE_H
#define BITTERN_OTLP_ENCODE_H

#include "../agent/snapshot.h"
#include "otlp_builder.h"

enum otlp_temporality {
	OTLP_CUMULATIVE,
	OTLP_DELTA, /* histograms and counters */
	OTLP_LOWMEMORY, /* histograms and counters that are added up by events */
};

struct otlp_attribute {
	const char *key, *value; /* UTF-8 */
};

struct otlp_encoding {
	enum otlp_temporality temporality;
	bool exponential; /* histograms, instead of explicit bounds */
	size_t request_max; /* bytes; 0: OTLP_REQUEST_MAX */
	/* Of every resource: they win over what is found. service.* are of bittern's alone. */
	const struct otlp_attribute *attributes;
	size_t attribute_count;
};

struct otlp_encoder;

/* What config points to must outlive it. 0 and *out, to be closed; -ENOMEM. */
int otlp_encoder_open(struct otlp_encoder **out, const struct otlp_encoding *config);
/* 0 and *batch, which is the caller's, to be closed; -ENOMEM. With deltas what is in *batch will
 * not be in another one: hand it over only to somebody who delivers it. */
int otlp_encode(struct otlp_encoder *e, const struct snapshot *snapshot, struct otlp_batch *batch);
void otlp_encoder_close(struct otlp_encoder *e); /* NULL is fine */

#endif
