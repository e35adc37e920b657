/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_bed - a service that burns CPU time, and its client: for tests of cpu.bpf.c and work.bpf.h.
 *
 * The main thread is the service. What clients send comes from a thread that is no part of it: it
 * blocks in read(), which hands no work over. */
#ifndef BITTERN_TEST_CPU_BED_H
#define BITTERN_TEST_CPU_BED_H

#include "hooks_bed.h"

#define MS 1000000ull
#define TICK_NS (10 * MS) /* the scheduler's own clock of a running thread is as old at most */

/* The thread's clock. */
uint64_t cpu_ns(void);
/* Gives what it was, exactly. */
uint64_t burn(uint64_t ns);
/* The hooks carry the scheduler's clock on by the time that passes, the hypervisor's included. */
void assert_cpu(uint64_t ns, uint64_t least_ns, uint64_t most_ns);
/* Until a thread, which writes its id to *tid when it begins, has nothing to do; for as long as the
 * test may take. */
void wait_asleep(const uint32_t *tid);

/* What the clock was carried on too far in the test before is made up for. */
int cpu_setup(void **state);
#define CPU_TEST(f) cmocka_unit_test_setup_teardown(f, cpu_setup, bed_teardown)

/* Before the first test; 0 or an errno. */
int start_client(void);
void let_client_send(int fd, const char *text);
/* A request is read, and expected; and answered. */
void serve_request(struct bed *bed, struct pair *pair);
void answer(struct bed *bed, struct pair *pair);
#define REQUEST_LEN 42 /* of such a request */
/* For the pair's request, by the running thread. */
void assert_is_of(const struct work *work, const struct pair *pair);

#endif
