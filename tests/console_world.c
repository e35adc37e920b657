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

const struct service *add_service(struct world *w, const char *name)
{
	struct service *service = &w->services[w->snapshot.service_count];

	service->id = (uint32_t)w->snapshot.service_count + 7;
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

void serve(struct world *w, size_t series, size_t count, uint64_t duration_ns)
{
	while (count--)
		histogram_add(&w->histograms[series], &histogram_duration_bounds, duration_ns);
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
