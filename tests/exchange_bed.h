/* SPDX-License-Identifier: Apache-2.0 */
/* exchange_bed - exchanges, a connection with records into them, and what was reported. */
#ifndef BITTERN_TEST_EXCHANGE_BED_H
#define BITTERN_TEST_EXCHANGE_BED_H

#include "wire.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HOST "Host: x\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST

struct bed {
	struct exchanges *exchanges;
	struct wire wire;
	size_t done_count;
	struct exchange last; /* its pointers are not valid */
	char log[2048]; /* "GET /a 200; POST - 0 aborted" as far as it fits */
};

/* Each test begins with a bed of its own. */
int bed_setup(void **state);
int bed_teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

/* What was reported since the last call. */
void expect(struct bed *bed, const char *log);
void expect_open(const struct bed *bed, size_t count);

#endif
