/* SPDX-License-Identifier: Apache-2.0 */
/* console - services and routes as a live table on a terminal, as plain lines elsewhere.
 *
 * Rates, error rates and quantiles are of the last interval: it keeps the previous state of each
 * series and takes the difference. OPEN and OLDEST are of this moment: requests without their
 * answer, unread ones on a line of their own. T/O are the timeouts since the agent's start,
 * standing out while there are new ones; QUEUE is the p99 of the service's queue time. CPU/R is
 * what a request of the route cost in the last interval, SHARE the route's part of what its service
 * used; what no request used is missing to 100 %. The first line names the route with the oldest
 * open request. On a terminal (isatty, and TERM is not "dumb") it uses the alternate screen,
 * respects width and height, is redrawn in place and on SIGWINCH (the caller calls console_draw),
 * and takes keys: q quits, r e d o a t c w n sort by rate, errors, duration (p95), open, age,
 * timeouts, CPU, wait (queue), name; arrows, j k, PgUp PgDn scroll. Ctrl-C still signals; Ctrl-Z
 * does not, for a stopped agent would lose records. The terminal is put back by console_close().
 * NO_COLOR is respected. A reader that is slow or stands still does not hold the caller up for more
 * than TERMINAL_PATIENCE_MS: what is drawn meanwhile is left out, and plain lines say how many
 * intervals were. SIGPIPE is the caller's to ignore. Loop thread only. */
#ifndef BITTERN_CONSOLE_H
#define BITTERN_CONSOLE_H

#include <stdbool.h>

#include "../agent/snapshot.h"

struct console;

/* output_fd is where to draw; input_fd where keys come from (-1: none). Neither is closed. 0 and
 * *out, -ENOMEM. */
int console_open(struct console **out, int output_fd, int input_fd);
/* What to poll for keys: input_fd, or -1 when no keys are taken (not a terminal, in the
 * background). */
int console_input_fd(const struct console *c);
/* Takes a new snapshot as the present and draws it: one table on a terminal, else a line for each
 * route that had requests or timeouts in the interval or has open ones, with its service's queue
 * (and one header line at the start). Without memory the last one stays. */
void console_update(struct console *c, const struct snapshot *snapshot);
/* Draws again what the last update showed (new size, new order). Nothing when not on a terminal. */
void console_draw(struct console *c);
/* Reads the keys that wait on input_fd and does what they say. False: the user wants to quit, or
 * the terminal is gone. */
bool console_keys(struct console *c);
void console_close(struct console *c); /* NULL is fine */

#endif
