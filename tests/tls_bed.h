/* SPDX-License-Identifier: Apache-2.0 */
/* tls_bed - processes that load libraries early, late, twice and from deleted files, and call their
 * functions so many times, while tls_libraries.h has probes there: programs that count hits.
 * Libraries are tests/tls_made, copied. Needs root (make check-bpf). */
#ifndef BITTERN_TEST_TLS_BED_H
#define BITTERN_TEST_TLS_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../agent/tls_libraries.h"

#define SECOND 1000000000ull
#define CHILDREN_MAX 8

enum { PROGRAM_WRITE, PROGRAM_READ_END, PROGRAM_PARSE, PROGRAM_COUNT };

struct hit_key {
	uint32_t pid, program;
};

struct hit {
	uint64_t count, cookie, argument, result;
};

/* A process that does what it is told, one byte after the other. */
struct child {
	pid_t pid;
	int to, from;
};

struct bed {
	enum uprobe_mode mode;
	struct bpf_object *object;
	int hits_fd;
	struct tls_probe probes[PROGRAM_COUNT];
	struct tls_libraries *libraries;
	uint64_t now_ns;
	bool own; /* processes may have probes of their own */
	pid_t last_own; /* that was told to have, or -1 times that, no longer to have such */
	char made[512], directory[64]; /* where the libraries are built; the test's own */
	struct child children[CHILDREN_MAX];
	size_t child_count;
};

#define TEST(f) cmocka_unit_test_setup_teardown(f, tls_bed_setup, tls_bed_teardown)

/* For groups of tests, with probes of either mode. */
int tls_bed_open_multi(void **state);
int tls_bed_open_perf(void **state);
int tls_bed_close(void **state);
int tls_bed_setup(void **state);
int tls_bed_teardown(void **state);

/* A new process; verb as in struct order (tls_bed.c), so many times. */
struct child *child_start(struct bed *bed);
void child_tell(struct child *child, char verb, const char *path, int times);
void child_end(struct child *child);

/* A copy of a built library, under another name in the test's directory. */
const char *tls_bed_install(const struct bed *bed, const char *library, const char *as);
void tls_bed_want(struct bed *bed, const struct child *child);
/* Waits for news, as the loop does; there may be others' first. */
void tls_bed_run_until_files(struct bed *bed, size_t file_count);
struct hit tls_bed_hits(const struct bed *bed, const struct child *child, int program);
void tls_bed_assert_hits(const struct bed *bed, const struct child *child, int program,
			 uint64_t count);

#endif
