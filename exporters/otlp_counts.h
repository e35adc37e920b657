/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_counts - what is counted by service alone, and bittern's numbers about itself, as metrics
 * and points. Of otlp_encode. */
#ifndef BITTERN_OTLP_COUNTS_H
#define BITTERN_OTLP_COUNTS_H

#include "otlp_points.h"

/* Into the resource begun. */
void otlp_counts(struct otlp_encoder *e, const struct service *service);
/* By OpenTelemetry's names: bittern_agent_cpu_seconds_total is bittern.agent.cpu, unit s. */
void otlp_own_counts(struct otlp_encoder *e);

#endif
