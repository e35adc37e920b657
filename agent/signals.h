/* SPDX-License-Identifier: Apache-2.0 */
/* signals - those that end the agent, or that say the terminal's size has changed, as a file. */
#ifndef BITTERN_SIGNALS_H
#define BITTERN_SIGNALS_H

/* Blocks them, and SIGPIPE is ignored. A descriptor of signalfd(2), non-blocking, or -1. */
int signals_open(void);

#endif
