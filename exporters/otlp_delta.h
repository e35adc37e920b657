/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_delta - what has been added to counters and histograms since the export before.
 *
 * Keeps of each the value that it had. What is not asked for between two otlp_delta_end() is
 * forgotten: its service has gone. A histogram costs 1.6 KB, a counter 48 bytes. */
#ifndef BITTERN_OTLP_DELTA_H
#define BITTERN_OTLP_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/histogram.h"

/* What a value is of. */
struct otlp_delta_key {
	uint64_t id;
	const void *metric;
	uint64_t sub;
};

struct otlp_delta;

int otlp_delta_open(struct otlp_delta **out); /* 0 and *out, to be closed; -ENOMEM */
/* *value becomes what was added; all of it if it is less than it was, for then it began anew. 1 if
 * there is something to say: it grew, or is seen for the first time; else 0. -ENOMEM: nothing
 * changed. */
int otlp_delta_integer(struct otlp_delta *d, const struct otlp_delta_key *key, uint64_t *value);
int otlp_delta_number(struct otlp_delta *d, const struct otlp_delta_key *key, double *value);
int otlp_delta_histogram(struct otlp_delta *d, const struct otlp_delta_key *key,
			 struct histogram *value);
void otlp_delta_end(struct otlp_delta *d); /* of one export */
size_t otlp_delta_count(const struct otlp_delta *d); /* values kept */
void otlp_delta_close(struct otlp_delta *d); /* NULL is fine */

#endif
