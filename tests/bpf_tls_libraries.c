// SPDX-License-Identifier: Apache-2.0
/* Processes that load libraries early, late, twice and from deleted files; each calls the probed
 * functions so many times, and so many hits there must be. Libraries are tests/tls_made, copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../agent/tls_libraries.h"

#define SECOND 1000000000ull
#define TIMEOUT_MS 10000
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
	char made[512], directory[64]; /* where the libraries are built; the test's own */
	struct child children[CHILDREN_MAX];
	size_t child_count;
};

/* --- processes --- */

struct order {
	char verb; /* l: load path, w: SSL_write, r: SSL_read_ex by _ssl, n: SSL_read_ex itself */
	char path[127];
};

static int obey(const struct order *order)
{
	static void *library;
	char buffer[64];
	int (*write)(void *, const void *, int);
	int (*read)(void *, void *, size_t);
	int (*read_ex)(void *, void *, size_t, size_t *);
	size_t count;

	if (order->verb == 'l') {
		library = dlopen(order->path, RTLD_LAZY | RTLD_GLOBAL);
		return library != NULL;
	}
	*(void **)&write = dlsym(library, "SSL_write");
	*(void **)&read = dlsym(RTLD_DEFAULT, "made_read");
	*(void **)&read_ex = dlsym(library, "SSL_read_ex");
	if (order->verb == 'w')
		return write && write(buffer, buffer, 7);
	if (order->verb == 'r')
		return read && read(buffer, buffer, 64) == 32;
	return read_ex && read_ex(buffer, buffer, 64, &count) == 41;
}

static void live(int from, int to)
{
	struct order order;
	char done;

	while (read(from, &order, sizeof(order)) == sizeof(order)) {
		done = (char)obey(&order);
		if (write(to, &done, 1) != 1)
			break;
	}
	_exit(0);
}

static struct child *start(struct bed *bed)
{
	struct child *child = &bed->children[bed->child_count++];
	int to[2], from[2];

	assert_true(bed->child_count <= CHILDREN_MAX);
	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		live(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	child->to = to[1];
	child->from = from[0];
	return child;
}

static void tell(struct child *child, char verb, const char *path, int times)
{
	struct order order = {.verb = verb};
	char done = 0;

	snprintf(order.path, sizeof(order.path), "%s", path ? path : "");
	while (times-- > 0) {
		assert_int_equal(write(child->to, &order, sizeof(order)), sizeof(order));
		assert_int_equal(read(child->from, &done, 1), 1);
		assert_int_equal(done, 1);
	}
}

static void end(struct child *child)
{
	if (child->pid <= 0)
		return;
	close(child->to);
	close(child->from);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

/* --- bed --- */

static int bed_open(void **state, enum uprobe_mode mode)
{
	static struct bed bed;
	char path[640];
	ssize_t len = readlink("/proc/self/exe", bed.made, sizeof(bed.made) - 1);

	assert_true(len > 0);
	bed.made[len] = '\0';
	bed.mode = mode;
	dirname(bed.made);
	snprintf(path, sizeof(path), "%s/tls_hits.bpf.o", bed.made);
	strcat(bed.made, "/tls_made");
	bed.object = bpf_object__open(path);
	assert_non_null(bed.object);
	bed.probes[PROGRAM_WRITE] = (struct tls_probe){
		.program = bpf_object__find_program_by_name(bed.object, "tls_write"),
		.function = "SSL_write",
		.arguments = PROLOGUE_ARG1 | PROLOGUE_ARG3,
		.files = TLS_FILE_LIBSSL,
		.groups = TLS_GROUP_CLIENT,
	};
	bed.probes[PROGRAM_READ_END] = (struct tls_probe){
		.program = bpf_object__find_program_by_name(bed.object, "tls_read_end"),
		.function = "SSL_read_ex",
		.place = TLS_PLACE_BEHIND_CALL_OR_RETURN,
		.files = TLS_FILE_LIBSSL | TLS_FILE_CALLER,
		.groups = TLS_GROUP_BASE,
	};
	bed.probes[PROGRAM_PARSE] = (struct tls_probe){
		.program = bpf_object__find_program_by_name(bed.object, "tls_parse"),
		.function = "llhttp_execute",
		.arguments = PROLOGUE_ARG1 | PROLOGUE_ARG3_OR_END,
		.files = TLS_FILE_NODE,
		.groups = TLS_GROUP_SERVER,
	};
	for (int i = 0; i < PROGRAM_COUNT; i++)
		uprobes_prepare(bed.probes[i].program, mode);
	assert_int_equal(bpf_object__load(bed.object), 0);
	bed.hits_fd = bpf_object__find_map_fd_by_name(bed.object, "hits");
	*state = &bed;
	return 0;
}

static int open_multi(void **state)
{
	return bed_open(state, UPROBE_MULTI);
}

static int open_perf(void **state)
{
	return bed_open(state, UPROBE_PERF);
}

static int bed_close(void **state)
{
	bpf_object__close(((struct bed *)*state)->object);
	return 0;
}

static int bed_setup(void **state)
{
	struct bed *bed = *state;
	struct tls_libraries_config config = {
		.proc_path = "/proc",
		.mode = bed->mode,
		.probes = bed->probes,
		.probe_count = PROGRAM_COUNT,
	};

	bed->now_ns = SECOND;
	bed->child_count = 0;
	snprintf(bed->directory, sizeof(bed->directory), "%s/bittern-tls-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(bed->directory));
	return tls_libraries_open(&bed->libraries, &config);
}

static int bed_teardown(void **state)
{
	struct bed *bed = *state;
	char command[128];

	for (size_t i = 0; i < bed->child_count; i++)
		end(&bed->children[i]);
	tls_libraries_close(bed->libraries);
	snprintf(command, sizeof(command), "rm -rf %s", bed->directory);
	return system(command);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

/* A copy of a built library, under another name in the test's directory. */
static const char *install(const struct bed *bed, const char *library, const char *as)
{
	static char path[4][256];
	static int next;
	char *to = path[next++ % 4], command[1024];

	snprintf(to, sizeof(path[0]), "%s/%s", bed->directory, as);
	snprintf(command, sizeof(command), "cp --remove-destination %s/%s %s", bed->made, library,
		 to);
	assert_int_equal(system(command), 0);
	return to;
}

static void want(struct bed *bed, const struct child *child)
{
	tls_libraries_set_wanted(bed->libraries, child->pid, true);
	tls_libraries_run(bed->libraries, bed->now_ns);
}

/* Waits for news, as the loop does; there may be others' first. */
static void run_until_files(struct bed *bed, size_t file_count)
{
	struct pollfd fd = {.fd = tls_libraries_fd(bed->libraries), .events = POLLIN};

	while (tls_libraries_stats(bed->libraries).file_count < file_count) {
		assert_int_equal(poll(&fd, 1, TIMEOUT_MS), 1);
		tls_libraries_run(bed->libraries, bed->now_ns);
	}
}

static struct hit hits_of(const struct bed *bed, const struct child *child, int program)
{
	struct hit_key key = {.pid = (uint32_t)child->pid, .program = (uint32_t)program};
	struct hit hit = {0};

	bpf_map_lookup_elem(bed->hits_fd, &key, &hit);
	return hit;
}

static void assert_hits(const struct bed *bed, const struct child *child, int program,
			uint64_t count)
{
	assert_int_equal(hits_of(bed, child, program).count, count);
}

/* --- tests --- */

static void a_library_that_is_loaded_late_is_probed_at_once(void **state)
{
	struct bed *bed = *state;
	struct child *child = start(bed);

	want(bed, child);
	assert_false(tls_libraries_cover(bed->libraries, child->pid));
	tell(child, 'l', install(bed, "libssl.so.3", "libssl.so.3"), 1);
	run_until_files(bed, 1);
	assert_true(tls_libraries_cover(bed->libraries, child->pid));
	tell(child, 'w', NULL, 1000);
	assert_hits(bed, child, PROGRAM_WRITE, 1000);
	assert_int_equal(hits_of(bed, child, PROGRAM_WRITE).argument, 7);
}

static void a_library_that_was_loaded_before_is_found(void **state)
{
	struct bed *bed = *state;
	struct child *child = start(bed);

	tell(child, 'l', install(bed, "libssl.so.3", "libssl-8bd944e8.so.3"), 1);
	tell(child, 'w', NULL, 5);
	want(bed, child);
	tell(child, 'w', NULL, 3);
	assert_hits(bed, child, PROGRAM_WRITE, 3);
}

static void a_process_that_maps_a_probed_library_later_needs_nothing(void **state)
{
	struct bed *bed = *state;
	struct child *first = start(bed), *second = start(bed);
	const char *path = install(bed, "libssl.so.3", "libssl.so.3");

	tell(first, 'l', path, 1);
	want(bed, first);
	tell(second, 'l', path, 1);
	tell(second, 'w', NULL, 3);
	assert_hits(bed, second, PROGRAM_WRITE, 3);
	assert_int_equal(tls_libraries_stats(bed->libraries).process_count, 1);
	want(bed, second);
	assert_int_equal(tls_libraries_stats(bed->libraries).process_count, 2);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);
	tell(second, 'w', NULL, 3);
	assert_hits(bed, second, PROGRAM_WRITE, 6);
}

static void the_last_process_takes_the_probes_with_it(void **state)
{
	struct bed *bed = *state;
	struct child *first = start(bed), *second = start(bed), *unwanted = start(bed);
	const char *path = install(bed, "libssl.so.3", "libssl.so.3");

	tell(first, 'l', path, 1);
	tell(second, 'l', path, 1);
	tell(unwanted, 'l', path, 1);
	want(bed, first);
	want(bed, second);
	tls_libraries_set_wanted(bed->libraries, first->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += 2 * TLS_IDLE_NS);
	tell(unwanted, 'w', NULL, 1);
	assert_hits(bed, unwanted, PROGRAM_WRITE, 1);

	tls_libraries_set_wanted(bed->libraries, second->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += SECOND);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);
	want(bed, first); /* one that comes back in time finds them there */
	tls_libraries_run(bed->libraries, bed->now_ns += 2 * TLS_IDLE_NS);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);

	tls_libraries_set_wanted(bed->libraries, first->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns += SECOND);
	tls_libraries_run(bed->libraries, bed->now_ns += TLS_IDLE_NS);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 0);
	tls_libraries_close(bed->libraries); /* waits for the kernel */
	bed->libraries = NULL;
	tell(unwanted, 'w', NULL, 5);
	assert_hits(bed, unwanted, PROGRAM_WRITE, 1);
}

static void a_library_that_was_replaced_is_probed_as_the_process_has_it(void **state)
{
	struct bed *bed = *state;
	struct child *old = start(bed), *deleted = start(bed), *new = start(bed);
	const char *path = install(bed, "libssl.so.3", "libssl.so.3");

	tell(old, 'l', path, 1);
	tell(deleted, 'l', path, 1);
	want(bed, old);
	install(bed, "libssl.so.3", "libssl.so.3");
	tell(new, 'l', path, 1);
	want(bed, new);
	want(bed, deleted); /* is known by now, though its name is another file's */
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 2);
	tell(old, 'w', NULL, 3);
	tell(deleted, 'w', NULL, 4);
	tell(new, 'w', NULL, 5);
	assert_hits(bed, old, PROGRAM_WRITE, 3);
	assert_hits(bed, deleted, PROGRAM_WRITE, 4);
	assert_hits(bed, new, PROGRAM_WRITE, 5);
	assert_int_equal(tls_libraries_stats(bed->libraries).refused_files, 0);
}

static void a_deleted_library_is_probed(void **state)
{
	struct bed *bed = *state;
	struct child *child = start(bed);
	const char *path = install(bed, "libssl.so.3", "libssl.so.3");

	tell(child, 'l', path, 1);
	assert_int_equal(unlink(path), 0);
	want(bed, child);
	tell(child, 'w', NULL, 3);
	assert_hits(bed, child, PROGRAM_WRITE, 3);
}

static void a_process_that_has_gone_meanwhile_leaves_nothing(void **state)
{
	struct bed *bed = *state;

	for (int i = 0; i < 4; i++) {
		struct child *child = start(bed);
		pid_t pid = child->pid;

		tell(child, 'l', install(bed, "libssl.so.3", "libssl.so.3"), 1);
		tls_libraries_set_wanted(bed->libraries, pid, true);
		if (i & 1)
			tls_libraries_run(bed->libraries, bed->now_ns);
		end(child);
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
	struct child *first = start(bed), *second = start(bed);
	const char *path = install(bed, "_ssl.made.so", "libssl.so.9");

	tell(first, 'l', path, 1);
	tell(second, 'l', path, 1);
	want(bed, first);
	want(bed, second);
	assert_int_equal(tls_libraries_stats(bed->libraries).refused_files, 1);
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 0);
	assert_false(tls_libraries_cover(bed->libraries, first->pid));
}

static void what_a_call_returned_is_seen_behind_it(void **state)
{
	struct bed *bed = *state;
	struct child *child = start(bed);
	const char *library = install(bed, "libssl.so.3", "libssl.so.3");
	const char *caller = install(bed, "_ssl.made.so", "_ssl.cpython-311.so");

	want(bed, child);
	tell(child, 'l', library, 1);
	tell(child, 'l', caller, 1);
	run_until_files(bed, 2);
	tell(child, 'r', NULL, 20);
	assert_hits(bed, child, PROGRAM_READ_END, 20);
	assert_int_equal((uint32_t)hits_of(bed, child, PROGRAM_READ_END).result, 41);
}

static void without_a_caller_the_return_is_probed(void **state)
{
	struct bed *bed = *state;
	struct child *with = start(bed), *without = start(bed);
	const char *library = install(bed, "libssl.so.3", "libssl.so.3");

	tell(without, 'l', library, 1);
	want(bed, without);
	tell(without, 'n', NULL, 20);
	assert_hits(bed, without, PROGRAM_READ_END, 20);
	assert_int_equal((uint32_t)hits_of(bed, without, PROGRAM_READ_END).result, 41);

	/* when all have one it goes */
	tell(with, 'l', library, 1);
	tell(with, 'l', install(bed, "_ssl.made.so", "_ssl.cpython-311.so"), 1);
	want(bed, with);
	tls_libraries_set_wanted(bed->libraries, without->pid, false);
	tls_libraries_run(bed->libraries, bed->now_ns);
	for (int i = 0; i < 100; i++) { /* detaching takes its time */
		uint64_t before = hits_of(bed, with, PROGRAM_READ_END).count;

		tell(with, 'r', NULL, 1);
		if (hits_of(bed, with, PROGRAM_READ_END).count == before + 1)
			return;
		usleep(50000);
	}
	fail_msg("the return is still probed");
}

static void only_groups_that_a_process_asks_for_are_attached(void **state)
{
	struct bed *bed = *state;
	struct child *first = start(bed), *second = start(bed);
	const char *path = install(bed, "libssl.so.3", "libssl.so.3");

	tell(first, 'l', path, 1);
	tls_libraries_set_wanted(bed->libraries, first->pid, true);
	tls_libraries_set_groups(bed->libraries, first->pid, TLS_GROUP_BASE);
	tls_libraries_run(bed->libraries, bed->now_ns);
	tell(first, 'w', NULL, 3);
	assert_hits(bed, first, PROGRAM_WRITE, 0);
	tell(second, 'l', path, 1);
	want(bed, second); /* asks for all */
	tell(first, 'w', NULL, 4);
	assert_hits(bed, first, PROGRAM_WRITE, 4);
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
		children[i] = start(bed);
		strcat(path, "/libssl.so.3");
		tell(children[i], 'l', path, 1);
		want(bed, children[i]);
	}
	assert_int_equal(tls_libraries_stats(bed->libraries).file_count, 1);
	for (int i = 0; i < 2; i++) {
		tell(children[i], 'w', NULL, 3);
		assert_hits(bed, children[i], PROGRAM_WRITE, 3);
		assert_true(tls_libraries_cover(bed->libraries, children[i]->pid));
	}
	for (int i = 0; i < 2; i++) {
		end(children[i]);
		snprintf(path, sizeof(path), "%s/m%d", bed->directory, i);
		umount2(path, MNT_DETACH);
	}
}

/* More than the rings hold: what was lost is found by reading all maps again. */
static void news_that_were_lost_are_made_up_for(void **state)
{
	struct bed *bed = *state;
	struct child *child = start(bed);

	want(bed, child);
	assert_int_equal(system("for i in $(seq 300); do /bin/true; done"), 0);
	tell(child, 'l', install(bed, "libssl.so.3", "libssl.so.3"), 1);
	/* The kernel tells that some were lost with the next one on that CPU; maps are then read a
	 * few at a time. */
	for (int i = 0; !tls_libraries_stats(bed->libraries).file_count; i++) {
		assert_true(i < 1000);
		assert_int_equal(system("/bin/true"), 0);
		tls_libraries_run(bed->libraries, bed->now_ns);
	}
	tell(child, 'w', NULL, 3);
	assert_hits(bed, child, PROGRAM_WRITE, 3);
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
	failed = cmocka_run_group_tests_name("tls_libraries by perf events", tests, open_perf,
					     bed_close);
	if (best == UPROBE_MULTI)
		failed += cmocka_run_group_tests_name("tls_libraries by uprobe_multi", tests,
						      open_multi, bed_close);
	return failed;
}
