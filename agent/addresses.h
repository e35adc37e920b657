/* SPDX-License-Identifier: Apache-2.0 */
/* addresses - the names of the servers that one service sends requests to (server.address), with a
 * bound.
 *
 * A name keeps its place until close; past the bound every new one is "{other}". Owns all strings
 * it gives: equal names are one pointer, valid until close. Some 2 KB once the first name is there.
 * Loop thread only. */
#ifndef BITTERN_ADDRESSES_H
#define BITTERN_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

#define ADDRESSES_MAX 100 /* of a service, by default */
#define ADDRESS_LEN_MAX 253 /* bytes, as of a name in the DNS */

struct addresses;

/* 0 and *out, to be closed; -ENOMEM. max_count is at most 10,000. */
int addresses_open(struct addresses **out, size_t max_count);
/* The name that host, a Host field's value (any bytes, no NUL needed) or an address as text, stands
 * for: in lower case, without port, and without the brackets of an IPv6 literal. "{other}" when the
 * bound is reached (or memory). NULL when host names nothing: it is empty, longer than
 * ADDRESS_LEN_MAX, or has what no host name has (user names, paths, controls, invalid UTF-8).
 * One pass and one hash look-up; one allocation for a new name. */
const char *addresses_find(struct addresses *a, const char *host, size_t len);
/* How many calls found no place. */
uint64_t addresses_overflow_count(const struct addresses *a);
void addresses_close(struct addresses *a); /* NULL is fine */

#endif
