// SPDX-License-Identifier: Apache-2.0
/* Which files get probes, and that they hit exactly the calls there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tls_bed.h"

static void a_library_that_is_loaded_late_is_probed_at_once(void **state)
{
	struct bed *bed = *state;
	struct child *child = child_start(bed);

	tls_bed_want(bed, child);
	assert_false(tls_libraries_cover(bed->libraries, child->pid));
	child_tell(child, 'l', tls_bed_install(bed, "libssl.so.3", "libssl.so.3"), 1);
	tls_bed_run_until_files(bed, 1);
	assert_true(tls_libraries_cover(bed->libraries, child->pid));
	child_tell(child, 'w', NULL, 1000);
	tls_bed_assert_hits(bed, child, PROGRAM_WRITE, 1000);
	assert_int_equal(tls_bed_hits(bed, child, PROGRAM_WRITE).argument, 7);
}

static void a_library_that_was_loaded_before_is_found(void **state)
{
	struct bed *bed = *state;
	struct child *child = child_start(bed);

	child_tell(child, 'l', tls_bed_install(bed, "libssl.so.3", "libssl-8bd944e8.so.3"), 1);
	child_tell(child, 'w', NULL, 5);
	tls_bed_want(bed, child);
	child_tell(child, 'w', NULL, 3);
	tls_bed_assert_hits(bed, child, PROGRAM_WRITE, 3);
}

static void a_process_that_maps_a_probed_library_later_needs_nothing(void **state)
{
	struct bed *bed = *state;
	struct child *first = child_start(bed), *second = child_start(bed);
	const char *path = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");

	child_tell(first, 'l', path, 1);
	tls_bed_want(bed, first);
	child_tell(second, 'l', path, 1);
	child_tell(second, 'w', NULL, 3);
	tls_bed_assert_hits(bed, second, PROGRAM_WRITE, 3);
	assert_int_equal(tls_libraries_stats(bed->libraries).process_count, 1);
	tls_bed_want(bed, second);
	assert_int_equal(tls_libraries_stats(bed->libraries).process_count, 2);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);
	child_tell(second, 'w', NULL, 3);
	tls_bed_assert_hits(bed, second, PROGRAM_WRITE, 6);
}

static void the_last_process_takes_the_probes_with_it(void **state)
{
	struct bed *bed = *state;
	struct child *first = child_start(bed), *second = child_start(bed),
		     *unwanted = child_start(bed);
	const char *path = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");

	child_tell(first, 'l', path, 1);
	child_tell(second, 'l', path, 1);
	child_tell(unwanted, 'l', path, 1);
	tls_bed_want(bed, first);
	tls_bed_want(bed, second);
	tls_libraries_set_wanted(bed->libraries, first->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += 2 * TLS_IDLE_NS);
	child_tell(unwanted, 'w', NULL, 1);
	tls_bed_assert_hits(bed, unwanted, PROGRAM_WRITE, 1);

	tls_libraries_set_wanted(bed->libraries, second->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += SECOND);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);
	tls_bed_want(bed, first); /* one that comes back in time finds them there */
	tls_libraries_run(bed->libraries, bed->now_ns += 2 * TLS_IDLE_NS);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);

	tls_libraries_set_wanted(bed->libraries, first->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += SECOND);
	tls_libraries_run(bed->libraries, bed->now_ns += TLS_IDLE_NS);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 0);
	tls_libraries_close(bed->libraries); /* waits for the kernel */
	bed->libraries = NULL;
	child_tell(unwanted, 'w', NULL, 5);
	tls_bed_assert_hits(bed, unwanted, PROGRAM_WRITE, 1);
}

static void a_library_that_was_replaced_is_probed_as_the_process_has_it(void **state)
{
	struct bed *bed = *state;
	struct child *old = child_start(bed), *deleted = child_start(bed), *new = child_start(bed);
	const char *path = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");

	child_tell(old, 'l', path, 1);
	child_tell(deleted, 'l', path, 1);
	tls_bed_want(bed, old);
	tls_bed_install(bed, "libssl.so.3", "libssl.so.3");
	child_tell(new, 'l', path, 1);
	tls_bed_want(bed, new);
	tls_bed_want(bed, deleted); /* is known by now, though its name is another file's */
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 2);
	child_tell(old, 'w', NULL, 3);
	child_tell(deleted, 'w', NULL, 4);
	child_tell(new, 'w', NULL, 5);
	tls_bed_assert_hits(bed, old, PROGRAM_WRITE, 3);
	tls_bed_assert_hits(bed, deleted, PROGRAM_WRITE, 4);
	tls_bed_assert_hits(bed, new, PROGRAM_WRITE, 5);
	assert_int_equal(tls_libraries_stats(bed->libraries).refused_files, 0);
}

static void a_deleted_library_is_probed(void **state)
{
	struct bed *bed = *state;
	struct child *child = child_start(bed);
	const char *path = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");

	child_tell(child, 'l', path, 1);
	assert_int_equal(unlink(path), 0);
	tls_bed_want(bed, child);
	child_tell(child, 'w', NULL, 3);
	tls_bed_assert_hits(bed, child, PROGRAM_WRITE, 3);
}

static void a_process_that_has_gone_meanwhile_leaves_nothing(void **state)
{
	struct bed *bed = *state;

	for (int i = 0; i < 4; i++) {
		struct child *child = child_start(bed);
		pid_t pid = child->pid;

		child_tell(child, 'l', tls_bed_install(bed, "libssl.so.3", "libssl.so.3"), 1);
		tls_libraries_set_wanted(bed->libraries, pid, true);
		if (i & 1)
			tls_libraries_run(bed->libraries, bed->now_ns);
		child_end(child);
		tls_libraries_run(bed->libraries, bed->now_ns);
		tls_libraries_set_wanted(bed->libraries, pid, false);
		tls_libraries_run(bed->libraries, bed->now_ns += SECOND);
		tls_libraries_run(bed->libraries, bed->now_ns += TLS_IDLE_NS);
		assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 0);
		assert_int_equal(tls_libraries_stats(bed->libraries).process_count, 0);
	}
	assert_int_equal(tls_libraries_stats(bed->libraries).refused_files, 0);
}

static void a_library_without_the_functions_is_refused_once(void **state)
{
	struct bed *bed = *state;
	struct child *first = child_start(bed), *second = child_start(bed);
	const char *path = tls_bed_install(bed, "_ssl.made.so", "libssl.so.9");

	child_tell(first, 'l', path, 1);
	child_tell(second, 'l', path, 1);
	tls_bed_want(bed, first);
	tls_bed_want(bed, second);
	assert_int_equal(tls_libraries_stats(bed->libraries).refused_files, 1);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 0);
	assert_false(tls_libraries_cover(bed->libraries, first->pid));
}

static void what_a_call_returned_is_seen_behind_it(void **state)
{
	struct bed *bed = *state;
	struct child *child = child_start(bed);
	const char *library = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");
	const char *caller = tls_bed_install(bed, "_ssl.made.so", "_ssl.cpython-311.so");

	tls_bed_want(bed, child);
	child_tell(child, 'l', library, 1);
	child_tell(child, 'l', caller, 1);
	tls_bed_run_until_files(bed, 2);
	child_tell(child, 'r', NULL, 20);
	tls_bed_assert_hits(bed, child, PROGRAM_READ_END, 20);
	assert_int_equal((uint32_t)tls_bed_hits(bed, child, PROGRAM_READ_END).result, 41);
}

static void without_a_caller_the_return_is_probed(void **state)
{
	struct bed *bed = *state;
	struct child *with = child_start(bed), *without = child_start(bed);
	const char *library = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");

	child_tell(without, 'l', library, 1);
	tls_bed_want(bed, without);
	child_tell(without, 'n', NULL, 20);
	tls_bed_assert_hits(bed, without, PROGRAM_READ_END, 20);
	assert_int_equal((uint32_t)tls_bed_hits(bed, without, PROGRAM_READ_END).result, 41);

	/* when all have one it goes */
	child_tell(with, 'l', library, 1);
	child_tell(with, 'l', tls_bed_install(bed, "_ssl.made.so", "_ssl.cpython-311.so"), 1);
	tls_bed_want(bed, with);
	tls_libraries_set_wanted(bed->libraries, without->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns);
	for (int i = 0; i < 100; i++) { /* detaching takes its time */
		uint64_t before = tls_bed_hits(bed, with, PROGRAM_READ_END).count;

		child_tell(with, 'r', NULL, 1);
		if (tls_bed_hits(bed, with, PROGRAM_READ_END).count == before + 1)
			return;
		usleep(50000);
	}
	fail_msg("the return is still probed");
}

static void only_groups_that_a_process_asks_for_are_attached(void **state)
{
	struct bed *bed = *state;
	struct child *first = child_start(bed), *second = child_start(bed);
	const char *path = tls_bed_install(bed, "libssl.so.3", "libssl.so.3");

	child_tell(first, 'l', path, 1);
	tls_libraries_set_wanted(bed->libraries, first->pid, true);
	tls_libraries_set_groups(bed->libraries, first->pid, TLS_GROUP_BASE);
	tls_libraries_run(bed->libraries, bed->now_ns);
	child_tell(first, 'w', NULL, 3);
	tls_bed_assert_hits(bed, first, PROGRAM_WRITE, 0);
	child_tell(second, 'l', path, 1);
	tls_bed_want(bed, second); /* asks for all */
	child_tell(first, 'w', NULL, 4);
	tls_bed_assert_hits(bed, first, PROGRAM_WRITE, 4);
}

/* Two containers of one image: each sees the library in an overlay of its own. */
static void a_library_below_two_overlays_is_hit_once(void **state)
{
	struct bed *bed = *state;
	struct child *children[2];
	char path[256], options[256], command[1024];

	snprintf(command, sizeof(command),
		 "cd %s && mkdir lower u0 w0 m0 u1 w1 m1 && cp %s/libssl.so.3 lower",
		 bed->directory, bed->made);
	assert_int_equal(system(command), 0);
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/m%d", bed->directory, i);
		snprintf(options, sizeof(options),
			 "lowerdir=%s/lower,upperdir=%s/u%d,workdir=%s/w%d", bed->directory,
			 bed->directory, i, bed->directory, i);
		assert_int_equal(mount("overlay", path, "overlay", 0, options), 0);
		children[i] = child_start(bed);
		strcat(path, "/libssl.so.3");
		child_tell(children[i], 'l', path, 1);
		tls_bed_want(bed, children[i]);
	}
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);
	for (int i = 0; i < 2; i++) {
		child_tell(children[i], 'w', NULL, 3);
		tls_bed_assert_hits(bed, children[i], PROGRAM_WRITE, 3);
		assert_true(tls_libraries_cover(bed->libraries, children[i]->pid));
	}
	for (int i = 0; i < 2; i++) {
		child_end(children[i]);
		snprintf(path, sizeof(path), "%s/m%d", bed->directory, i);
		umount2(path, MNT_DETACH);
	}
}

/* More than the rings hold: what was lost is found by reading all maps again. */
static void news_that_were_lost_are_made_up_for(void **state)
{
	struct bed *bed = *state;
	struct child *child = child_start(bed);

	tls_bed_want(bed, child);
	assert_int_equal(system("for i in $(seq 300); do /bin/true; done"), 0);
	child_tell(child, 'l', tls_bed_install(bed, "libssl.so.3", "libssl.so.3"), 1);
	/* The kernel tells that some were lost with the next one on that CPU; maps are then read a
	 * few at a time. */
	for (int i = 0; !tls_libraries_stats(bed->libraries).file_count; i++) {
		assert_true(i < 1000);
		assert_int_equal(system("/bin/true"), 0);
		tls_libraries_run(bed->libraries, bed->now_ns);
	}
	child_tell(child, 'w', NULL, 3);
	tls_bed_assert_hits(bed, child, PROGRAM_WRITE, 3);
	assert_true(tls_libraries_stats(bed->libraries).lost_mappings > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_library_that_is_loaded_late_is_probed_at_once),
		TEST(a_library_that_was_loaded_before_is_found),
		TEST(a_process_that_maps_a_probed_library_later_needs_nothing),
		TEST(the_last_process_takes_the_probes_with_it),
		TEST(a_library_that_was_replaced_is_probed_as_the_process_has_it),
		TEST(a_deleted_library_is_probed),
		TEST(a_process_that_has_gone_meanwhile_leaves_nothing),
		TEST(a_library_without_the_functions_is_refused_once),
		TEST(what_a_call_returned_is_seen_behind_it),
		TEST(without_a_caller_the_return_is_probed),
		TEST(only_groups_that_a_process_asks_for_are_attached),
		TEST(news_that_were_lost_are_made_up_for),
		TEST(a_library_below_two_overlays_is_hit_once),
	};

	enum uprobe_mode best = uprobes_mode();
	int failed;

	alarm(240);
	failed = cmocka_run_group_tests_name("tls_libraries by perf events", tests,
					     tls_bed_open_perf, tls_bed_close);
	if (best == UPROBE_MULTI)
		failed += cmocka_run_group_tests_name("tls_libraries by uprobe_multi", tests,
						      tls_bed_open_multi, tls_bed_close);
	return failed;
}
