// SPDX-License-Identifier: Apache-2.0
/* Probes that only the processes are hit by that ask for them. SSL_write() has one here that not
 * all need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <unistd.h>

#include "tls_bed.h"

static int open_own(void **state)
{
	int error = tls_bed_open_multi(state);

	((struct bed *)*state)->own = true;
	return error;
}

static void run(struct bed *bed)
{
	tls_libraries_run(bed->libraries, bed->now_ns);
}

static struct child *start_with(struct bed *bed, const char *library)
{
	struct child *child = child_start(bed);

	child_tell(child, 'l', library, 1);
	return child;
}

/* Until each call of the child makes so many hits: detaching takes its time. */
static void assert_hits_become(struct bed *bed, struct child *child, uint64_t hits)
{
	for (int i = 0; i < 100; i++) {
		uint64_t before = tls_bed_hits(bed, child, PROGRAM_WRITE).count;

		child_tell(child, 'w', NULL, 3);
		if (tls_bed_hits(bed, child, PROGRAM_WRITE).count == before + 3 * hits)
			return;
		usleep(50000);
	}
	fail_msg("a call does not make %d hits", (int)hits);
}

static void what_one_process_asks_for_hits_no_other(void **state)
{
	struct bed *bed = *state;
	const char *library = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");
	struct child *asks = start_with(bed, library), *wanted = start_with(bed, library),
		     *unwanted = start_with(bed, library);

	tls_bed_want(bed, asks);
	assert_int_equal(bed->last_own, asks->pid);
	tls_libraries_set_wanted(bed->libraries, wanted->pid, true);
	tls_libraries_set_groups(bed->libraries, wanted->pid, TLS_GROUP_BASE);
	run(bed);
	child_tell(asks, 'w', NULL, 1000);
	child_tell(wanted, 'w', NULL, 3);
	child_tell(unwanted, 'w', NULL, 3);
	tls_bed_assert_hits(bed, asks, PROGRAM_WRITE, 1000);
	tls_bed_assert_hits(bed, wanted, PROGRAM_WRITE, 0);
	tls_bed_assert_hits(bed, unwanted, PROGRAM_WRITE, 0);
	assert_int_equal(tls_bed_hits(bed, asks, PROGRAM_WRITE).cookie, TLS_COOKIE_OWN);
	assert_int_equal(bed->last_own, asks->pid); /* the other was told of nothing */
}

static void a_process_that_no_longer_asks_loses_its_own(void **state)
{
	struct bed *bed = *state;
	struct child *child = start_with(bed, tls_bed_install(bed, "libssl.so.3", "libssl.so.3"));

	tls_bed_want(bed, child);
	tls_libraries_set_groups(bed->libraries, child->pid, TLS_GROUP_BASE);
	run(bed);
	assert_int_equal(bed->last_own, -child->pid);
	assert_hits_become(bed, child, 0);
	tls_libraries_set_groups(bed->libraries, child->pid, TLS_GROUPS_ALL);
	run(bed);
	assert_int_equal(bed->last_own, child->pid);
	assert_hits_become(bed, child, 1);
	tls_libraries_set_wanted(bed->libraries, child->pid, false);
	assert_int_equal(bed->last_own, -child->pid);
	assert_hits_become(bed, child, 0);
}

static void many_processes_share_one_probe_for_all(void **state)
{
	struct bed *bed = *state;
	const char *library = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");
	struct child *children[TLS_OWN_MAX + 1], *unwanted = start_with(bed, library);

	/* all before the first link: a child keeps those that there are when it is forked */
	for (int i = 0; i <= TLS_OWN_MAX; i++)
		children[i] = start_with(bed, library);
	for (int i = 0; i < TLS_OWN_MAX; i++) {
		tls_bed_want(bed, children[i]);
		assert_int_equal(bed->last_own, children[i]->pid);
	}
	child_tell(unwanted, 'w', NULL, 3);
	tls_bed_assert_hits(bed, unwanted, PROGRAM_WRITE, 0);

	tls_bed_want(bed, children[TLS_OWN_MAX]);
	assert_true(bed->last_own < 0);
	child_tell(unwanted, 'w', NULL, 3);
	tls_bed_assert_hits(bed, unwanted, PROGRAM_WRITE, 3);
	for (int i = 0; i <= TLS_OWN_MAX; i++) {
		assert_hits_become(bed, children[i], 1);
		assert_int_equal(tls_bed_hits(bed, children[i], PROGRAM_WRITE).cookie, 0);
	}

	tls_libraries_set_wanted(bed->libraries, children[0]->pid, false);
	run(bed);
	assert_true(bed->last_own > 0);
	assert_hits_become(bed, unwanted, 0);
	assert_hits_become(bed, children[0], 0);
	for (int i = 1; i <= TLS_OWN_MAX; i++) {
		assert_hits_become(bed, children[i], 1);
		assert_int_equal(tls_bed_hits(bed, children[i], PROGRAM_WRITE).cookie,
				 TLS_COOKIE_OWN);
	}
}

/* Its end may be told before it was looked at. */
static void a_process_that_has_gone_gets_none(void **state)
{
	struct bed *bed = *state;
	struct child *child = start_with(bed, tls_bed_install(bed, "libssl.so.3", "libssl.so.3"));
	pid_t pid = child->pid;

	tls_bed_want(bed, child);
	child_end(child);
	tls_libraries_set_groups(bed->libraries, pid, TLS_GROUP_BASE | TLS_GROUP_SERVER);
	run(bed);
	tls_libraries_set_groups(bed->libraries, pid, TLS_GROUPS_ALL);
	run(bed); /* ESRCH */
	run(bed);
	tls_libraries_set_wanted(bed->libraries, pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += SECOND);
	tls_libraries_run(bed->libraries, bed->now_ns += TLS_IDLE_NS);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 0);
	assert_int_equal(tls_libraries_stats(bed->libraries).refused_files, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_one_process_asks_for_hits_no_other),
		TEST(a_process_that_no_longer_asks_loses_its_own),
		TEST(many_processes_share_one_probe_for_all),
		TEST(a_process_that_has_gone_gets_none),
	};

	if (uprobes_mode() != UPROBE_MULTI || !uprobes_know_processes()) {
		puts("SKIPPED probes of one process: this kernel has none");
		return 0;
	}
	alarm(120);
	return cmocka_run_group_tests_name("tls_own", tests, open_own, tls_bed_close);
}
