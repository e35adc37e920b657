// SPDX-License-Identifier: Apache-2.0
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
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tls_bed.h"

#define TIMEOUT_MS 10000

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

struct child *child_start(struct bed *bed)
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

void child_tell(struct child *child, char verb, const char *path, int times)
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

void child_end(struct child *child)
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

static int tls_bed_open(void **state, enum uprobe_mode mode)
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

int tls_bed_open_multi(void **state)
{
	return tls_bed_open(state, UPROBE_MULTI);
}

int tls_bed_open_perf(void **state)
{
	return tls_bed_open(state, UPROBE_PERF);
}

int tls_bed_close(void **state)
{
	bpf_object__close(((struct bed *)*state)->object);
	return 0;
}

static void on_own(void *context, pid_t pid, unsigned groups)
{
	((struct bed *)context)->last_own = groups ? pid : -pid;
}

int tls_bed_setup(void **state)
{
	struct bed *bed = *state;
	struct tls_libraries_config config = {
		.proc_path = "/proc",
		.mode = bed->mode,
		.probes = bed->probes,
		.probe_count = PROGRAM_COUNT,
		.own = bed->own ? on_own : NULL,
		.context = bed,
	};

	bed->now_ns = SECOND;
	bed->child_count = 0;
	bed->last_own = 0;
	snprintf(bed->directory, sizeof(bed->directory), "%s/bittern-tls-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(bed->directory));
	return tls_libraries_open(&bed->libraries, &config);
}

int tls_bed_teardown(void **state)
{
	struct bed *bed = *state;
	char command[128];

	for (size_t i = 0; i < bed->child_count; i++)
		child_end(&bed->children[i]);
	tls_libraries_close(bed->libraries);
	snprintf(command, sizeof(command), "rm -rf %s", bed->directory);
	return system(command);
}

const char *tls_bed_install(const struct bed *bed, const char *library, const char *as)
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

void tls_bed_want(struct bed *bed, const struct child *child)
{
	tls_libraries_set_wanted(bed->libraries, child->pid, true);
	tls_libraries_run(bed->libraries, bed->now_ns);
}

void tls_bed_run_until_files(struct bed *bed, size_t file_count)
{
	struct pollfd fd = {.fd = tls_libraries_fd(bed->libraries), .events = POLLIN};

	while (tls_libraries_stats(bed->libraries).file_count < file_count) {
		assert_int_equal(poll(&fd, 1, TIMEOUT_MS), 1);
		tls_libraries_run(bed->libraries, bed->now_ns);
	}
}

struct hit tls_bed_hits(const struct bed *bed, const struct child *child, int program)
{
	struct hit_key key = {.pid = (uint32_t)child->pid, .program = (uint32_t)program};
	struct hit hit = {0};

	bpf_map_lookup_elem(bed->hits_fd, &key, &hit);
	return hit;
}

void tls_bed_assert_hits(const struct bed *bed, const struct child *child, int program,
			 uint64_t count)
{
	assert_int_equal(tls_bed_hits(bed, child, program).count, count);
}
