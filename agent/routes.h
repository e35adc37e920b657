/* SPDX-License-Identifier: Apache-2.0 */
/* routes - fold the paths of one service into routes, with a bound.
 *
 * Two steps, because a path takes a place only by its status (design: scanners fill no table):
 *  - routes_fold() when the request is read: configured patterns first (first match in order wins),
 *    then segments that look variable become {id}: numbers, UUIDs, long hex, base64-like tokens,
 *    dates, e-mail addresses. Bytes that a label cannot hold (controls, invalid UTF-8) become %XX.
 *  - routes_place() when the status is known: gives the template its place, folds a segment that
 * has taken more than ROUTES_SEGMENT_VALUES_MAX values in its place to {id}, and beyond max_count
 *    routes gives "{other}". 400, 404 and 405 give a template no place: "{unmatched}" until another
 *    status has placed it. A status of 0 (no answer) places nothing either. The routes of values
 * that have been folded are retired: never given again, and their places are free for others; so
 * ids are below 4 * max_count + 4. Owns all strings it returns; they live until close. Loop thread
 * only. routes_fold() and routes_find() never allocate. */
#ifndef BITTERN_ROUTES_H
#define BITTERN_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROUTES_TEMPLATE_MAX 256 /* bytes with the NUL; a longer template is "{other}" */
#define ROUTES_SEGMENT_VALUES_MAX 100
#define ROUTES_ID_MAX 0xffffffu /* no id is so high */

/* Ids are dense, from 0, within one struct routes; {other}, {unmatched}, {unread} and
 * {unattributed} have ids too. */
struct route {
	uint32_t id;
	char template[]; /* NUL-terminated, valid UTF-8 */
};

/* Configured patterns, shared by all services. A pattern is a path whose segments are literal,
 * {name} (any one segment that is not empty) or, as its last segment, {name...} (the rest of the
 * path, at least one byte). Literals are compared percent-decoded, parameters (";...") are no part
 * of a segment. The text of the pattern is the template, and is never folded. */
struct route_patterns;

int route_patterns_open(struct route_patterns **out);
/* service NULL: for every service. 0, -EINVAL for a pattern that is not one (no leading '/', empty
 * or unbalanced braces, too long, with bytes that neither path nor label can hold), -ENOMEM. Copies
 * its arguments. Patterns added after routes_open() are not seen there. */
int route_patterns_add(struct route_patterns *p, const char *service, const char *pattern);
void route_patterns_close(struct route_patterns *p); /* NULL is fine */

struct routes;

/* patterns may be NULL, and must outlive the routes otherwise. 0 and *out, to be closed; -ENOMEM.
 */
int routes_open(struct routes **out, const struct route_patterns *patterns, const char *service,
		size_t max_count);
/* Writes the template of path (no query, no NUL needed, any bytes) to template, NUL-terminated;
 * gives its length. An empty path is "/". Path parameters are cut from each segment, a query or
 * fragment from the end. Braces become %7B and %7D, so that no path can look like {id} or {other}.
 */
size_t routes_fold(const struct routes *r, const char *path, size_t path_len,
		   char template[static ROUTES_TEMPLATE_MAX]);
/* The route of a template that routes_fold() made, as things stand; never NULL: {unmatched} or
 * {other} when it has no place, the latter when the routes are full. For requests still in flight.
 */
const struct route *routes_find(const struct routes *r, const char *template, size_t template_len);
/* The same, and takes a place if status (HTTP status; 0: none) allows it. Never NULL; out of memory
 * is {other}. One hash look-up per segment when the template has its place, else up to one
 * allocation each. */
const struct route *routes_place(struct routes *r, const char *template, size_t template_len,
				 unsigned int status);
/* "{unread}": of requests that arrived and were not read, so that nothing is known of them. */
const struct route *routes_unread(const struct routes *r);
/* "{unattributed}": what the service used for no request that is known. */
const struct route *routes_unattributed(const struct routes *r);
/* How many requests that routes_place() would have placed found the table full ({other}). */
uint64_t routes_overflow_count(const struct routes *r);
void routes_close(struct routes *r); /* NULL is fine */

#endif
