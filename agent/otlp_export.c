// SPDX-License-Identifier: Apache-2.0
#include "otlp_export.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../exporters/otlp_client.h"
#include "../exporters/otlp_encode.h"
#include "../exporters/otlp_transport.h"
#include "clock.h"
#include "log.h"
#include "version.h"

#define FINISH_STEP_MS 20

struct otlp_export {
	const struct otlp_config *config;
	struct otlp_encoder *encoder;
	struct otlp_client *client;
	bool quiet;
	uint64_t due_ns, last_encode_ns;
	struct otlp_stats stats; /* of the last otlp_export_stats(), which points into it */
};

int otlp_export_open(struct otlp_export **out, const struct otlp_config *config, bool quiet,
		     uint64_t now_ns)
{
	struct otlp_encoding encoding = otlp_config_encoding(config);
	struct otlp_export *o = calloc(1, sizeof(*o));
	int error = o ? otlp_transport_init() : -ENOMEM;

	if (!error)
		error = otlp_encoder_open(&o->encoder, &encoding);
	if (!error)
		error = otlp_client_open(&o->client, config, BITTERN_VERSION);
	if (error) {
		log_error("OTLP: %s", strerror(-error));
		otlp_export_close(o);
		return error;
	}
	o->config = config;
	o->quiet = quiet;
	o->due_ns = now_ns + config->interval_ns;
	if (!quiet)
		log_info("sending metrics by OTLP to %s every %g s", config->url,
			 (double)config->interval_ns / 1e9);
	*out = o;
	return 0;
}

uint64_t otlp_export_due_ns(const struct otlp_export *o)
{
	return o->due_ns;
}

static void log_note(struct otlp_export *o)
{
	struct otlp_note note;

	if (!otlp_client_note(o->client, &note) || o->quiet)
		return;
	if (note.level == OTLP_NOTE_WARNING)
		log_warning("%s", note.text);
	else
		log_info("%s", note.text);
}

bool otlp_export_is_due(struct otlp_export *o, uint64_t now_ns)
{
	log_note(o);
	if (now_ns < o->due_ns)
		return false;
	o->due_ns += o->config->interval_ns;
	if (o->due_ns <= now_ns)
		o->due_ns = now_ns + o->config->interval_ns;
	return o->config->temporality == OTLP_CUMULATIVE || otlp_client_idle(o->client);
}

void otlp_export_send(struct otlp_export *o, const struct snapshot *snapshot)
{
	uint64_t began_ns = now_ns();
	struct otlp_batch batch;

	if (otlp_encode(o->encoder, snapshot, &batch)) {
		if (!o->quiet)
			log_error("OTLP: no memory for an export");
		return;
	}
	o->last_encode_ns = now_ns() - began_ns;
	batch.time_ns = snapshot->time_ns;
	otlp_client_put(o->client, &batch);
	malloc_trim(0); /* encoding takes more than it leaves */
}

struct self_otlp otlp_export_stats(struct otlp_export *o)
{
	o->stats = otlp_client_stats(o->client);
	return (struct self_otlp){
		.on = true,
		.exports = o->stats.exports,
		.retries = o->stats.retries,
		.sent_bytes = o->stats.sent_bytes,
		.replaced = o->stats.replaced,
		.lost_points = o->stats.lost_points,
		.rejected_points = o->stats.rejected_points,
		.queue_age_ns = o->stats.queue_age_ns,
		.last_encode_ns = o->last_encode_ns,
		.failures = o->stats.failures,
		.failure_names = otlp_failure_names,
		.failure_count = OTLP_FAILURE_COUNT,
	};
}

uint64_t otlp_export_told_ns(struct otlp_export *o)
{
	return otlp_client_stats(o->client).told_ns;
}

void otlp_export_finish(struct otlp_export *o, const struct snapshot *snapshot, int signal_fd)
{
	struct pollfd signals = {.fd = signal_fd, .events = POLLIN};
	uint64_t deadline_ns = now_ns() + o->config->export_timeout_ns;

	if (snapshot)
		otlp_export_send(o, snapshot);
	otlp_client_finish(o->client, deadline_ns);
	while (!otlp_client_idle(o->client) && now_ns() < deadline_ns) {
		log_note(o);
		if (poll(&signals, 1, FINISH_STEP_MS) <= 0)
			continue;
		otlp_client_finish(o->client, now_ns());
		break;
	}
	log_note(o);
}

void otlp_export_close(struct otlp_export *o)
{
	if (!o)
		return;
	otlp_client_close(o->client);
	otlp_encoder_close(o->encoder);
	free(o);
}
