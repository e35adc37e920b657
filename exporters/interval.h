/* SPDX-License-Identifier: Apache-2.0 */
/* interval - what a cumulative histogram gained between two moments. Pure; cost: one pass over its
 * buckets. */
#ifndef BITTERN_INTERVAL_H
#define BITTERN_INTERVAL_H

#include "../agent/histogram.h"

/* gained = now - before, at the coarser of both scales. Its min_ns and max_ns are exact where now
 * went past before's, else the middle of the outermost bucket that gained. When before holds more
 * than now anywhere, now began anew, and all of it is gained. gained is neither before nor now. */
void interval_between(struct histogram *gained, const struct histogram *before,
		      const struct histogram *now);

#endif
