// SPDX-License-Identifier: Apache-2.0
#include "console_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	setenv("TZ", "UTC", 1);
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	w->snapshot = (struct snapshot){.time_ns = 1000 * S,
					.time_unix_ns = 1700000000 * S, /* 22:13:20 UTC */
					.start_time_unix_ns = 1700000000 * S - 2 * S,
					.version = "1.2.3",
					.services = w->service_list,
					.series = w->series,
					.host_name = "",
					.host_id = ""};
	*state = w;
	return 0;
}

int tear_down(void **state)
{
	struct world *w = *state;

	console_close(w->console);
	if (w->screen.master)
		screen_close(&w->screen);
	free(w);
	return 0;
}

void open_screen(struct world *w, int width, int height)
{
	screen_open(&w->screen, width, height);
	assert_int_equal(console_open(&w->console, w->screen.slave, w->screen.slave), 0);
}

struct service *add_service(struct world *w, const char *name)
{
	struct service *service = &w->services[w->snapshot.service_count];

	service->id = (uint32_t)w->snapshot.service_count + 7;
	service->process_count = 1;
	snprintf(service->name, sizeof(service->name), "%s", name);
	w->service_list[w->snapshot.service_count++] = service;
	return service;
}

size_t add_series(struct world *w, const struct service *service, const char *route,
		  uint16_t status)
{
	size_t i = w->snapshot.series_count++;

	assert_true(i < SERIES_MAX);
	histogram_init(&w->histograms[i]);
	w->series[i] = (struct snapshot_series){.service = service,
						.route = route,
						.method = "GET",
						.error_type = status >= 500 ? "5xx" : NULL,
						.status = status,
						.duration = &w->histograms[i],
						.bounds = &histogram_duration_bounds};
	return i;
}

size_t add_instrument(struct world *w, enum instrument instrument, const struct service *service,
		      const char *route, const char *method)
{
	size_t i = add_series(w, service, route, 0);

	w->series[i].instrument = instrument;
	w->series[i].method = method;
	w->series[i].overflow = !service;
	w->counts[i] = (union snapshot_counts){};
	if (instrument <= INSTRUMENT_CLIENT_DURATION)
		return i;
	w->series[i].duration = NULL;
	w->series[i].bounds = NULL;
	w->series[i].counts = &w->counts[i];
	return i;
}

/* The counts of a series, which is added if need be. */
static union snapshot_counts *counts_of(struct world *w, enum instrument instrument,
					const struct service *service, const char *route,
					const char *method)
{
	for (size_t i = 0; i < w->snapshot.series_count; i++) {
		const struct snapshot_series *s = &w->series[i];

		if (s->instrument == instrument && s->service == service && s->route == route &&
		    s->method == method)
			return &w->counts[i];
	}
	return &w->counts[add_instrument(w, instrument, service, route, method)];
}

void set_open(struct world *w, const struct service *service, const char *method, const char *route,
	      uint64_t count, uint64_t oldest_ns)
{
	counts_of(w, INSTRUMENT_ACTIVE, service, route, method)->open.count = count;
	counts_of(w, INSTRUMENT_OLDEST, service, route, NULL)->open.count = count;
	counts_of(w, INSTRUMENT_OLDEST, service, route, NULL)->open.age_ns = oldest_ns;
}

void serve(struct world *w, size_t series, size_t count, uint64_t duration_ns)
{
	while (count--)
		histogram_add(&w->histograms[series], w->series[series].bounds, duration_ns);
}

void update(struct world *w)
{
	console_update(w->console, &w->snapshot);
	if (w->screen.master)
		screen_read(&w->screen);
}

void pass(struct world *w, uint64_t ns)
{
	w->snapshot.time_ns += ns;
	w->snapshot.time_unix_ns += ns;
}

bool type(struct world *w, const char *keys)
{
	bool goes_on;

	screen_type(&w->screen, keys);
	goes_on = console_keys(w->console);
	screen_read(&w->screen);
	return goes_on;
}

void assert_line(struct world *w, const char *text, const char *expected)
{
	int row = screen_find(&w->screen, text);
	char squeezed[512];
	size_t len = 0;

	if (row < 0)
		fail_msg("no line holds %s", text);
	for (const char *p = screen_line(&w->screen, row); *p; p++)
		if (*p != ' ' || (len && squeezed[len - 1] != ' '))
			squeezed[len++] = *p;
	squeezed[len] = '\0';
	assert_string_equal(squeezed, expected);
}
