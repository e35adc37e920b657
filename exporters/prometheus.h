/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus - a snapshot as Prometheus text exposition 0.0.4.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ ; names by the OTLP translation
 * rules. Pure: no state but the buffer it fills; about 0.05 us a line. Families come in a fixed
 * order, the samples of one in the order of the snapshot; a family without samples is left out.
 * Label values and help texts leave as valid UTF-8 whatever came in. */
#ifndef BITTERN_PROMETHEUS_H
#define BITTERN_PROMETHEUS_H

#include "../agent/snapshot.h"
#include "text.h"

#define PROMETHEUS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends the page to out. 0 or -ENOMEM (out is then as far as it came). */
int prometheus_render(struct text *out, const struct snapshot *snapshot);

#endif
