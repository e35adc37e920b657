/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus - a snapshot as a page for Prometheus, in the exposition that was asked for:
 * the classic text 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/),
 * OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/), which has units, and
 * _created: when a counter or histogram was 0, or protobuf, which has native histograms besides.
 * Names are by the OTLP translation rules.
 * Pure: no state but the buffer it fills; about 0.05 us a line. Families come in a fixed
 * order, the samples of one in the order of the snapshot; a family without samples is left out.
 * Label values and help texts leave as valid UTF-8 whatever came in. */
#ifndef BITTERN_PROMETHEUS_H
#define BITTERN_PROMETHEUS_H

#include "../agent/snapshot.h"
#include "text.h"

enum exposition { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_PROTOBUF, EXPOSITION_COUNT };

/* The Content-Type of each. */
extern const char *const prometheus_types[EXPOSITION_COUNT];

/* Appends the page to out. 0 or -ENOMEM (out is then as far as it came). */
int prometheus_render(struct text *out, const struct snapshot *snapshot,
		      enum exposition exposition);

#endif
