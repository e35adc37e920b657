// SPDX-License-Identifier: Apache-2.0
#include "otlp_client.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "otlp_transport.h"

#define NS_PER_S 1000000000ull
#define CLOSE_GRACE_NS 100000000ull
#define REPEAT_NOTE_NS (600 * NS_PER_S) /* the same trouble is told again after so long */

struct otlp_client {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* by CLOCK_MONOTONIC */
	struct otlp_transport *transport;
	bool cumulative;
	uint64_t timeout_ns;
	/* Below: under the lock. */
	struct otlp_batch queued;
	uint64_t queued_ns; /* when it was put; 0: none is queued */
	uint64_t current_ns; /* when the one under way was put; 0: none is */
	bool finishing, ended;
	uint64_t deadline_ns;
	struct otlp_stats stats;
	struct otlp_note note;
	bool has_note;
	/* Of the thread alone. */
	uint64_t backoff_ns, random;
	bool refused; /* a request of the batch at hand was given up */
	enum otlp_failure trouble; /* that was told last */
	uint64_t trouble_ns; /* when */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Under the lock: until something changes, or a moment of CLOCK_MONOTONIC. */
static void wait_until(struct otlp_client *c, uint64_t until_ns)
{
	struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
				 .tv_nsec = (long)(until_ns % NS_PER_S)};

	pthread_cond_timedwait(&c->changed, &c->lock, &until);
}

static bool is_late(struct otlp_client *c)
{
	return c->finishing && now_ns() >= c->deadline_ns;
}

static bool must_stop(void *context)
{
	struct otlp_client *c = context;
	bool late;

	pthread_mutex_lock(&c->lock);
	late = is_late(c);
	pthread_mutex_unlock(&c->lock);
	return late;
}

/* --- notes --- */

__attribute__((format(printf, 3, 4))) static void
put_note(struct otlp_client *c, enum otlp_note_level level, const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&c->lock);
	va_start(arguments, format);
	vsnprintf(c->note.text, sizeof(c->note.text), format, arguments);
	va_end(arguments);
	c->note.level = level;
	c->has_note = true;
	pthread_mutex_unlock(&c->lock);
}

/* Once for each kind of trouble, and again when it lasts. */
static void note_failure(struct otlp_client *c, const struct otlp_answer *answer)
{
	uint64_t now = now_ns();

	if (c->trouble == answer->failure && now < c->trouble_ns + REPEAT_NOTE_NS)
		return;
	c->trouble = answer->failure;
	c->trouble_ns = now;
	put_note(c, OTLP_NOTE_WARNING, "OTLP export: %s; %s", answer->message,
		 answer->result == OTLP_RETRY && !must_stop(c) ? "it is tried again"
							       : "these points are given up");
}

static void note_success(struct otlp_client *c, const struct otlp_answer *answer)
{
	if (*answer->message)
		put_note(c, OTLP_NOTE_WARNING, "OTLP export: the collector took it, but says: %s",
			 answer->message);
	else if (c->trouble)
		put_note(c, OTLP_NOTE_INFO, "OTLP export: delivered again");
	c->trouble = OTLP_NO_FAILURE;
}

/* --- one request --- */

static void count_try(struct otlp_client *c, const struct otlp_request *request,
		      const struct otlp_answer *answer, bool first, uint64_t sent_bytes)
{
	pthread_mutex_lock(&c->lock);
	c->stats.requests++;
	c->stats.retries += !first;
	c->stats.sent_bytes += sent_bytes;
	if (answer->failure)
		c->stats.failures[answer->failure]++;
	if (answer->result == OTLP_GIVE_UP)
		c->stats.lost_points += request->point_count;
	c->stats.rejected_points += (uint64_t)answer->rejected_points;
	pthread_mutex_unlock(&c->lock);
}

/* xorshift64: only neighbours are not to come at the same time. */
static uint64_t jitter(struct otlp_client *c, uint64_t pause_ns)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return pause_ns / 5 * 4 + c->random % (pause_ns / 5 * 2);
}

/* The pause before the next try; false: there will be none for this batch, for there is a newer one
 * (after the pause), or no more time. */
static bool pause_before_retry(struct otlp_client *c, uint64_t retry_after_ns)
{
	uint64_t pause_ns = jitter(c, c->backoff_ns), until_ns;
	bool goes_on;

	c->backoff_ns *= 2;
	if (c->backoff_ns > OTLP_BACKOFF_MAX_NS)
		c->backoff_ns = OTLP_BACKOFF_MAX_NS;
	if (pause_ns < retry_after_ns)
		pause_ns = retry_after_ns;
	until_ns = now_ns() + pause_ns;
	pthread_mutex_lock(&c->lock);
	/* when bittern ends: at once for the first time, then by pauses that the deadline cuts */
	if (!c->finishing) {
		while (!c->finishing && now_ns() < until_ns)
			wait_until(c, until_ns);
	} else {
		if (until_ns > c->deadline_ns)
			until_ns = c->deadline_ns;
		while (now_ns() < until_ns)
			wait_until(c, until_ns);
	}
	goes_on = !is_late(c) && !(c->cumulative && c->queued_ns);
	pthread_mutex_unlock(&c->lock);
	return goes_on;
}

static uint64_t time_for_try(struct otlp_client *c)
{
	uint64_t timeout_ns = c->timeout_ns, now = now_ns();

	pthread_mutex_lock(&c->lock);
	if (c->finishing && c->deadline_ns < now + timeout_ns)
		timeout_ns = c->deadline_ns > now ? c->deadline_ns - now : 1;
	pthread_mutex_unlock(&c->lock);
	return timeout_ns;
}

/* Whether the next request of the batch may follow. */
static bool deliver_request(struct otlp_client *c, struct otlp_request *request)
{
	struct otlp_answer answer = {.result = OTLP_RETRY, .failure = OTLP_FAILED_MEMORY};

	while (otlp_transport_prepare(c->transport, request)) {
		count_try(c, request, &answer, true, 0);
		if (!pause_before_retry(c, 0))
			return false;
	}
	for (bool first = true;; first = false) {
		uint64_t sent_bytes = otlp_transport_send(c->transport, request, time_for_try(c),
							  must_stop, c, &answer);

		count_try(c, request, &answer, first, sent_bytes);
		if (answer.failure)
			note_failure(c, &answer);
		else
			note_success(c, &answer);
		if (answer.result != OTLP_RETRY) {
			c->refused |= answer.result == OTLP_GIVE_UP;
			c->backoff_ns = OTLP_BACKOFF_FIRST_NS;
			return true;
		}
		if (!pause_before_retry(c, answer.retry_after_ns))
			return false;
	}
}

/* --- batches --- */

/* What is not delivered of it is in a newer one, or lost. */
static void end_batch(struct otlp_client *c, const struct otlp_batch *batch, size_t done)
{
	uint64_t put_ns;

	pthread_mutex_lock(&c->lock);
	put_ns = c->current_ns;
	c->current_ns = 0;
	if (done == batch->count) {
		c->stats.exports += !c->refused;
		c->stats.told_ns = batch->time_ns;
	} else if (c->cumulative && c->queued_ns) {
		c->stats.replaced++;
		c->queued_ns = put_ns; /* what was in it waits as long as that */
	} else {
		for (; done < batch->count; done++)
			c->stats.lost_points += batch->requests[done].point_count;
	}
	pthread_mutex_unlock(&c->lock);
}

static void deliver(struct otlp_client *c, struct otlp_batch *batch)
{
	size_t done = 0;

	c->refused = false;
	while (done < batch->count && deliver_request(c, &batch->requests[done])) {
		free(batch->requests[done].data); /* the memory of what is delivered is not kept */
		batch->requests[done].data = NULL;
		done++;
	}
	end_batch(c, batch, done);
	otlp_batch_close(batch);
	malloc_trim(0);
}

/* false: bittern ends and there is nothing more. */
static bool take_batch(struct otlp_client *c, struct otlp_batch *batch)
{
	bool taken;

	pthread_mutex_lock(&c->lock);
	while (!c->queued_ns && !c->finishing)
		pthread_cond_wait(&c->changed, &c->lock);
	taken = c->queued_ns;
	if (taken) {
		*batch = c->queued;
		c->queued = (struct otlp_batch){};
		c->current_ns = c->queued_ns;
		c->queued_ns = 0;
	} else {
		c->ended = true;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return taken;
}

static void *work(void *context)
{
	struct otlp_client *c = context;
	struct otlp_batch batch;

	while (take_batch(c, &batch))
		deliver(c, &batch);
	return NULL;
}

/* --- the loop's side --- */

void otlp_client_put(struct otlp_client *c, struct otlp_batch *batch)
{
	struct otlp_batch replaced = {};

	pthread_mutex_lock(&c->lock);
	if (c->queued_ns) {
		replaced = c->queued;
		c->stats.replaced++;
	}
	c->queued = *batch;
	if (!c->queued_ns) /* the age of what is not delivered is that of the first one */
		c->queued_ns = now_ns();
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	*batch = (struct otlp_batch){};
	otlp_batch_close(&replaced);
}

bool otlp_client_idle(struct otlp_client *c)
{
	bool idle;

	pthread_mutex_lock(&c->lock);
	idle = !c->queued_ns && !c->current_ns;
	pthread_mutex_unlock(&c->lock);
	return idle;
}

struct otlp_stats otlp_client_stats(struct otlp_client *c)
{
	struct otlp_stats stats;
	uint64_t oldest_ns;

	pthread_mutex_lock(&c->lock);
	stats = c->stats;
	oldest_ns = c->current_ns ? c->current_ns : c->queued_ns;
	pthread_mutex_unlock(&c->lock);
	stats.queue_age_ns = oldest_ns ? now_ns() - oldest_ns : 0;
	return stats;
}

bool otlp_client_note(struct otlp_client *c, struct otlp_note *note)
{
	bool has_note;

	pthread_mutex_lock(&c->lock);
	has_note = c->has_note;
	if (has_note)
		*note = c->note;
	c->has_note = false;
	pthread_mutex_unlock(&c->lock);
	return has_note;
}

void otlp_client_finish(struct otlp_client *c, uint64_t deadline_ns)
{
	pthread_mutex_lock(&c->lock);
	c->finishing = true;
	c->deadline_ns = deadline_ns;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* --- opening and closing --- */

static void free_client(struct otlp_client *c)
{
	otlp_transport_close(c->transport);
	otlp_batch_close(&c->queued);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int otlp_client_open(struct otlp_client **out, const struct otlp_config *config,
		     const char *version)
{
	struct otlp_client *c = calloc(1, sizeof(*c));
	pthread_condattr_t attributes;
	int error;

	if (!c)
		return -ENOMEM;
	c->cumulative = config->temporality == OTLP_CUMULATIVE;
	c->timeout_ns = config->timeout_ns;
	c->backoff_ns = OTLP_BACKOFF_FIRST_NS;
	c->random = now_ns() | 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	error = otlp_transport_open(&c->transport, config, version);
	if (!error)
		error = -pthread_create(&c->thread, NULL, work, c);
	if (error) {
		free_client(c);
		return error;
	}
	*out = c;
	return 0;
}

void otlp_client_close(struct otlp_client *c)
{
	uint64_t until_ns;
	bool ended;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (!c->finishing)
		c->deadline_ns = 0;
	c->finishing = true;
	pthread_cond_broadcast(&c->changed);
	until_ns = (c->deadline_ns ? c->deadline_ns : now_ns()) + CLOSE_GRACE_NS;
	while (!c->ended && now_ns() < until_ns)
		wait_until(c, until_ns);
	ended = c->ended;
	pthread_mutex_unlock(&c->lock);
	if (!ended) {
		pthread_detach(c->thread);
		return;
	}
	pthread_join(c->thread, NULL);
	free_client(c);
}
