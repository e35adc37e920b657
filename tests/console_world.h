/* SPDX-License-Identifier: Apache-2.0 */
/* console_world - a console, its screen, and what the agent would hold for it. */
#ifndef BITTERN_TEST_CONSOLE_WORLD_H
#define BITTERN_TEST_CONSOLE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "screen.h"
#include "../exporters/console.h"

#define MS 1000000ull
#define S 1000000000ull
#define SERIES_MAX 64

/* Services, series and time, as the agent would hold them. */
struct world {
	struct screen screen;
	struct console *console;
	struct service services[4];
	const struct service *service_list[4];
	struct snapshot_series series[SERIES_MAX];
	struct histogram histograms[SERIES_MAX];
	union snapshot_counts counts[SERIES_MAX];
	char routes[SERIES_MAX][32];
	struct snapshot snapshot;
};

/* Each test begins with a world of its own. */
int set_up(void **state);
int tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

void open_screen(struct world *w, int width, int height);
struct service *add_service(struct world *w, const char *name);
size_t add_series(struct world *w, const struct service *service, const char *route,
		  uint16_t status);
/* A series of any instrument; its counts, or its histogram for serve(), are those of its index. */
size_t add_instrument(struct world *w, enum instrument instrument, const struct service *service,
		      const char *route, const char *method);
/* Requests in flight on a route, by the two series they are in. */
void set_open(struct world *w, const struct service *service, const char *method, const char *route,
	      uint64_t count, uint64_t oldest_ns);
void serve(struct world *w, size_t series, size_t count, uint64_t duration_ns);
/* Draws; the screen reads it. */
void update(struct world *w);
/* Time passes. */
void pass(struct world *w, uint64_t ns);
/* False: the console is to end. */
bool type(struct world *w, const char *keys);
/* The line that holds text, its runs of blanks made one. */
void assert_line(struct world *w, const char *text, const char *expected);

#endif
