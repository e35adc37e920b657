/* SPDX-License-Identifier: Apache-2.0 */
/* cells - text of a given width, and numbers short enough for a column. Pure.
 * Widths are those of the thread's LC_CTYPE, which has to be a UTF-8 one (uselocale) for more than
 * ASCII. */
#ifndef BITTERN_CELLS_H
#define BITTERN_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

#define CELLS_NUMBER_MAX 24

enum cells_align { CELLS_LEFT, CELLS_RIGHT };

/* Appends string in exactly width columns: padded, or clipped with an ellipsis. What a terminal
 * would obey instead of show (controls, directions, invalid UTF-8) becomes '?'. */
void cells_add(struct text *out, const char *string, int width, enum cells_align align);
int cells_width(const char *string);

/* "0.43ms", "12.1ms", "1.23s"; "-" for NaN. */
void cells_duration(char out[static CELLS_NUMBER_MAX], double seconds);
/* "0.02", "1.5", "120" */
void cells_rate(char out[static CELLS_NUMBER_MAX], double per_second);
/* "9999", "10k", "1.2M" */
void cells_count(char out[static CELLS_NUMBER_MAX], uint64_t count);
/* "0K", "640K", "8.5M", "120M", "1.2G", powers of 1024 */
void cells_bytes(char out[static CELLS_NUMBER_MAX], uint64_t bytes);
/* part of whole: "0%", "<0.1%", "2.5%", "33%", ">99%"; "100%" is all of it. "-" when whole is 0. */
void cells_share(char out[static CELLS_NUMBER_MAX], uint64_t part, uint64_t whole);

#endif
