/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_export - when a snapshot is sent by OTLP, and what is said about it: joins encoder and
 * client. Loop thread only; nothing here waits but otlp_export_finish(). */
#ifndef BITTERN_OTLP_EXPORT_H
#define BITTERN_OTLP_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "../exporters/otlp_config.h"
#include "self_metrics.h"
#include "snapshot.h"

struct otlp_export;

/* config must outlive it; with an endpoint. quiet: nothing is logged, the terminal is in use. 0 and
 * *out, to be closed; -errno, and it has been logged. */
int otlp_export_open(struct otlp_export **out, const struct otlp_config *config, bool quiet,
		     uint64_t now_ns);
/* When a snapshot is wanted next, CLOCK_MONOTONIC. */
uint64_t otlp_export_due_ns(const struct otlp_export *o);
/* Whether it is time for one; logs what happened since. With deltas and a collector that has not
 * taken the ones before it is not: they are in the next export. */
bool otlp_export_is_due(struct otlp_export *o, uint64_t now_ns);
void otlp_export_send(struct otlp_export *o, const struct snapshot *snapshot);
struct self_otlp otlp_export_stats(struct otlp_export *o);
/* CLOCK_MONOTONIC: what happened until then is no longer waiting to be delivered. */
uint64_t otlp_export_told_ns(struct otlp_export *o);
/* The last one: blocks until it is delivered, at most as long as configured, or until signal_fd can
 * be read (a second signal). */
void otlp_export_finish(struct otlp_export *o, const struct snapshot *snapshot, int signal_fd);
void otlp_export_close(struct otlp_export *o); /* NULL is fine */

#endif
