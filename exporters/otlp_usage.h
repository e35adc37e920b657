/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_usage - what processes use and hold, as metrics and points. Of otlp_encode. */
#ifndef BITTERN_OTLP_USAGE_H
#define BITTERN_OTLP_USAGE_H

#include "otlp_points.h"

/* process.* of a service, and with --per-process bittern.process.* of its processes: those of the
 * snapshot from *next on, which moves behind them. Into the resource begun. */
void otlp_usage(struct otlp_encoder *e, const struct service *service, size_t *next);

#endif
