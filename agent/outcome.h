/* SPDX-License-Identifier: Apache-2.0 */
/* outcome - what became of a request. Pure; the rules are design.md's, section 3.
 *
 * The first of these to happen decides, once: its limit passed (timeout, or the status 408 or 504);
 * the client closed or reset before the response was complete (aborted); the service closed or
 * ended without a complete response (no_response); else the status does (error, ok). */
#ifndef BITTERN_OUTCOME_H
#define BITTERN_OUTCOME_H

#include "exchange.h"
#include "snapshot.h"

/* What the client waited: from the arrival of the request's first byte (where that is not known,
 * from its being read) to the end of the response, or for one that is streamed to its first byte.
 */
uint64_t outcome_waited_ns(const struct exchange *x);
/* Of an exchange that is done and not counted so far. */
enum outcome outcome_of(const struct exchange *x);
/* error.type of an exchange that is done: NULL if it has a status, which says it then. */
const char *outcome_error_type(const struct exchange *x);

#endif
