/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_accept - what a scraper wants, from its Accept and Accept-Encoding fields.
 * RFC 9110, 12.5.1 and 12.5.3: the most specific range that fits decides about an exposition, the
 * greatest weight about the choice; of equals the first that was named. Nobody is refused: whoever
 * takes none of them gets the classic text, not compressed.
 * Pure: untrusted bytes are read once or twice, in time linear in their number, nothing is kept but
 * this value. A field that stands on several lines is the sum of them. */
#ifndef BITTERN_PROMETHEUS_ACCEPT_H
#define BITTERN_PROMETHEUS_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "prometheus.h"

/* What the ranges said of one thing, so far. */
struct preference {
	int specificity; /* 0: nothing */
	int weight; /* thousandths */
	size_t place; /* of the range among all, from 0 */
};

/* Zero it to begin. */
struct prometheus_accept {
	struct preference expositions[EXPOSITION_COUNT];
	struct preference gzip, identity;
	size_t range_count;
};

/* One line of the field, without NUL. */
void prometheus_accept_types(struct prometheus_accept *a, const char *value, size_t len);
void prometheus_accept_encodings(struct prometheus_accept *a, const char *value, size_t len);

enum exposition prometheus_accept_exposition(const struct prometheus_accept *a);
bool prometheus_accept_gzip(const struct prometheus_accept *a);

#endif
