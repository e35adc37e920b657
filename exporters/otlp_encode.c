// SPDX-License-Identifier: Apache-2.0
#include "otlp_encode.h"

#include <errno.h>
#include <stdlib.h>

#include "otlp_counts.h"
#include "otlp_delta.h"
#include "otlp_points.h"
#include "otlp_resource.h"
#include "otlp_series.h"
#include "otlp_usage.h"

#define SCOPE_NAME "bittern"

static void put_service(struct otlp_encoder *e, struct otlp_runs *runs,
			const struct service *service, size_t *next_process)
{
	otlp_resource(&e->builder, &e->config, e->snapshot, service);
	points_count_from(e, service->found_ns);
	otlp_series(e, runs, service);
	otlp_counts(e, service);
	otlp_usage(e, service, next_process);
}

static void put_own(struct otlp_encoder *e, struct otlp_runs *runs)
{
	otlp_resource(&e->builder, &e->config, e->snapshot, NULL);
	points_count_from(e, 0);
	otlp_series(e, runs, NULL);
	otlp_own_counts(e);
}

/* Times of one series rise, whatever is done to the clock. */
static void begin(struct otlp_encoder *e, const struct snapshot *snapshot)
{
	e->snapshot = snapshot;
	e->error = 0;
	e->time_unix_ns = snapshot->time_unix_ns;
	if (e->time_unix_ns <= e->last_time_unix_ns)
		e->time_unix_ns = e->last_time_unix_ns + 1;
}

int otlp_encode(struct otlp_encoder *e, const struct snapshot *snapshot, struct otlp_batch *batch)
{
	struct otlp_batch made = {};
	struct otlp_runs runs;
	size_t next_process = 0;
	int error;

	begin(e, snapshot);
	otlp_builder_begin(&e->builder, &made, e->config.request_max, SCOPE_NAME,
			   snapshot->version);
	otlp_series_begin(&runs, snapshot);
	for (size_t i = 0; i < snapshot->service_count; i++)
		put_service(e, &runs, snapshot->services[i], &next_process);
	put_own(e, &runs);
	error = otlp_builder_end(&e->builder);
	e->snapshot = NULL;
	if (!error)
		error = e->error;
	if (error) {
		otlp_batch_close(&made);
		return error;
	}
	if (e->delta)
		otlp_delta_end(e->delta);
	e->last_time_unix_ns = e->time_unix_ns;
	*batch = made;
	return 0;
}

int otlp_encoder_open(struct otlp_encoder **out, const struct otlp_encoding *config)
{
	struct otlp_encoder *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->config = *config;
	if (!e->config.request_max)
		e->config.request_max = OTLP_REQUEST_MAX;
	if (config->temporality != OTLP_CUMULATIVE && otlp_delta_open(&e->delta)) {
		free(e);
		return -ENOMEM;
	}
	*out = e;
	return 0;
}

void otlp_encoder_close(struct otlp_encoder *e)
{
	if (!e)
		return;
	otlp_delta_close(e->delta);
	free(e);
}
