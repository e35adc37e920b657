/* SPDX-License-Identifier: Apache-2.0 */
/* account_bed - the rooms from exchange to aggregate, joined as in the agent, over a fake /proc;
 * and what series come out. */
#ifndef BITTERN_TEST_ACCOUNT_BED_H
#define BITTERN_TEST_ACCOUNT_BED_H

#include "../agent/account.h"
#include "services_bench.h"
#include "wire.h"

#define LIMIT_NS LIMITS_TIMEOUT_DEFAULT_NS
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define NOT_FOUND "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: api.example\r\n\r\n"

/* Process 100 is "shop" and listens on port 8000. */
struct account_bed {
	struct bench *bench;
	struct limits *limits;
	struct aggregate *aggregate;
	struct exchanges *exchanges;
	struct charges charges;
	struct account account;
	struct wire wire;
	char shown[4096];
};

int account_setup(void **state);
int account_teardown(void **state);
#define ACCOUNT_TEST(f) cmocka_unit_test_setup_teardown(f, account_setup, account_teardown)

/* Another connection to (or of) a process. */
void account_connect(struct account_bed *bed, uint32_t pid, uint16_t port, bool is_client);
/* A request, and its whole answer, on a new connection to shop. */
void account_answer(struct account_bed *bed, const char *request, const char *answer);
/* Limits are looked at, after_ns from now. */
void account_check(struct account_bed *bed, uint64_t after_ns);
/* What is in flight, and a listing with the current connection in it before. */
void account_look(struct account_bed *bed, bool listed);

/* The series of an instrument in the order of the snapshot, separated by "; ", without the
 * service's name if it is shop. What is absent is "-".
 *   durations       METHOD ROUTE STATUS ERROR_TYPE VERSION :PORT xCOUNT
 *   queue           :PORT xCOUNT
 *   of clients      METHOD ADDRESS:PORT STATUS ERROR_TYPE VERSION xCOUNT
 *   requests        METHOD ROUTE OK,ERROR,TIMEOUT,ABORTED,NO_RESPONSE
 *   of clients      METHOD ADDRESS:PORT OK,ERROR,TIMEOUT,ABORTED,NO_RESPONSE
 *   failures        ADDRESS:PORT ERROR_TYPE xCOUNT
 *   objectives      ROUTE SLO GOOD/EVENTS
 *   costs           ROUTE CPUus MINOR+MAJOR, or ROUTE CPUus (PART split) MINOR+MAJOR
 *   active          METHOD ROUTE :PORT xCOUNT
 *   oldest          ROUTE AGEms, or ROUTE none */
void expect_series(struct account_bed *bed, enum instrument instrument, const char *shown);
/* Of a histogram with one series. */
uint64_t account_sum_ns(struct account_bed *bed, enum instrument instrument);

#endif
