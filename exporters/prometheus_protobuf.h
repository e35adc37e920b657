/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_protobuf - samples as messages of Prometheus' exposition by protobuf; called by
 * prometheus_page, whose functions these stand for.
 *
 * The label set is kept encoded: it is the beginning of the Metric that its sample becomes, so one
 * Metric at a time is built of protobuf-c's structs, and no more memory is needed than the page
 * takes. About 4 us for a histogram. */
#ifndef BITTERN_PROMETHEUS_PROTOBUF_H
#define BITTERN_PROMETHEUS_PROTOBUF_H

#include "prometheus_page.h"

void protobuf_family(struct page *p, const char *unit); /* p->family; NULL: no unit */
void protobuf_label(struct page *p, const char *name, const char *value);
void protobuf_value(struct page *p, double value);
/* A native histogram, and the classic one next to it: who scrapes chooses. */
void protobuf_histogram(struct page *p, const struct histogram *h,
			const struct histogram_bounds *bounds);
void protobuf_end(struct page *p);

#endif
