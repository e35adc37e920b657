/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_series - the series of all instruments as metrics and points. Of otlp_encode. */
#ifndef BITTERN_OTLP_SERIES_H
#define BITTERN_OTLP_SERIES_H

#include "otlp_points.h"

/* The series of each instrument that are still to be encoded. */
struct otlp_runs {
	size_t next[INSTRUMENT_COUNT], end[INSTRUMENT_COUNT];
};

void otlp_series_begin(struct otlp_runs *runs, const struct snapshot *snapshot);
/* Those of service, into the resource begun. Services come in the order of the snapshot, and NULL,
 * the overflow series, behind them. */
void otlp_series(struct otlp_encoder *e, struct otlp_runs *runs, const struct service *service);

#endif
