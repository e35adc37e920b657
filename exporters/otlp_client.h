/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_client - delivers batches of encoded requests, on a thread of its own that owns what was
 * handed to it: the only crossing. The loop never waits for it.
 *
 * One batch is being delivered and one waits. Of cumulative batches a newer one replaces the one
 * that waits, and also the one under way when it has to be tried again: the newest holds all that
 * the others held, so memory is bounded and nothing is lost however long the collector is away.
 * Deltas are never dropped but where the collector refuses them for good; hand over a new batch
 * only when the client is idle, and what happens meanwhile will be in that one.
 *
 * Tries again after OTLP_BACKOFF_FIRST_NS, doubled up to OTLP_BACKOFF_MAX_NS, each 20 % more or
 * less by chance, and not before the collector wants it. */
#ifndef BITTERN_OTLP_CLIENT_H
#define BITTERN_OTLP_CLIENT_H

#include "otlp_answer.h"
#include "otlp_builder.h"
#include "otlp_config.h"

#define OTLP_BACKOFF_FIRST_NS 1000000000ull
#define OTLP_BACKOFF_MAX_NS 30000000000ull
#define OTLP_NOTE_MAX 512

struct otlp_client;

struct otlp_stats {
	uint64_t exports; /* batches delivered, to the last request */
	uint64_t told_ns; /* time_ns of the last one that was delivered or refused for good */
	uint64_t requests; /* tries, of which they had one or more */
	uint64_t failures[OTLP_FAILURE_COUNT]; /* tries that failed */
	uint64_t retries; /* tries that were not the first of their request */
	uint64_t sent_bytes; /* of bodies, as sent */
	uint64_t replaced; /* batches that a newer one made superfluous */
	uint64_t lost_points; /* of requests that were given up */
	uint64_t rejected_points; /* of requests that were taken */
	uint64_t queue_age_ns; /* of the oldest batch that is not delivered; 0: there is none */
};

/* Something that the user should know. */
struct otlp_note {
	enum otlp_note_level { OTLP_NOTE_WARNING, OTLP_NOTE_INFO } level;
	char text[OTLP_NOTE_MAX];
};

/* What config points to need not outlive the call. 0 and *out, to be closed; -ENOMEM, -EAGAIN (no
 * thread). */
int otlp_client_open(struct otlp_client **out, const struct otlp_config *config,
		     const char *version);
/* Takes batch over, and zeroes it. */
void otlp_client_put(struct otlp_client *c, struct otlp_batch *batch);
bool otlp_client_idle(struct otlp_client *c); /* nothing waits and nothing is under way */
struct otlp_stats otlp_client_stats(struct otlp_client *c);
/* The newest note that was not taken yet; false: there is none. */
bool otlp_client_note(struct otlp_client *c, struct otlp_note *note);
/* From now on a pause ends at once, and what is not delivered by deadline_ns (CLOCK_MONOTONIC) is
 * given up. */
void otlp_client_finish(struct otlp_client *c, uint64_t deadline_ns);
/* NULL is fine. Waits for the thread at most until 100 ms past the deadline: one that is stuck (in
 * a look-up of a name) is left to itself, with its memory. */
void otlp_client_close(struct otlp_client *c);

#endif
