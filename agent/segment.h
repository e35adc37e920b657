/* SPDX-License-Identifier: Apache-2.0 */
/* segment - one segment of a path: is it variable, and how is it written into a label?
 *
 * Pure functions over bytes from the network; no allocation, one or two passes, any thread.
 * A segment holds no '/', '?', '#' or path parameters (";..."); those are cut by the caller. */
#ifndef BITTERN_SEGMENT_H
#define BITTERN_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Variable, judged after percent-decoding:
 *  - digits with no letter: 42, -3.5, 10.0.0.1, 1,2,3, 2024-01-31, 10:30;
 *  - a UUID, in braces or not; 0x and hex digits;
 *  - any part between punctuation that is hex of 8 or more with a digit in it (so also a UUID
 * without dashes, main.3f2a9c1b.js, user-<uuid>), or has 8 digits in a row (20240131T100000Z,
 * order-12345678; not v20240131), and any YYYY-MM-DD (report-2024-01-31.csv);
 *  - a file whose name is a number: 12345.jpg, 42.tar.gz;
 *  - an e-mail address; a name@2x.png is none;
 *  - a stretch that looks random, as of a ULID, nanoid, KSUID, cuid, base64 or JWT (segment.c:
 * how). Not variable: words, kebab-case, camelCase, v1, v2.1, oauth2, index.html,
 * list-all-orders-2024, order-12345. The whole segment is judged, so 12345.jpg is one {id} and its
 * extension goes with it. */
bool segment_is_variable(const char *segment, size_t len);

/* Whether both are the same bytes once percent-decoded. */
bool segment_equal(const char *a, size_t a_len, const char *b, size_t b_len);

/* Writes the segment to out as a label can hold it: controls (C1 too), space, DEL, braces, a '%'
 * that begins no escape and whatever is not UTF-8 become %XX; escapes are kept, in upper case. No
 * NUL is added. Gives the length, or SIZE_MAX when it is more than room. */
size_t segment_encode(char *out, size_t room, const char *segment, size_t len);

#endif
