// SPDX-License-Identifier: Apache-2.0
#include "uprobes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "priority.h"

#define FD_PATH_BYTES 32
/* enum bpf_attach_type of Linux 6.6; the headers of Debian 12 are older */
#define TRACE_UPROBE_MULTI ((enum bpf_attach_type)48)
#define TRACE_KPROBE_SESSION ((enum bpf_attach_type)56) /* of Linux 6.10 */

struct uprobes {
	enum uprobe_mode mode;
	void (*meanwhile)(void *context);
	void *context;
	pthread_t stand_in;
	bool has_stand_in;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* one of the next two; under the lock */
	bool attaching, closing;
	pthread_cond_t none_left;
	size_t detaching; /* threads; under the lock */
};

struct uprobe {
	size_t link_count;
	struct bpf_link *links[UPROBE_PLACES_MAX];
};

static int load(enum bpf_attach_type type, int returned)
{
	const struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = returned},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, load, .expected_attach_type = type);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", instructions, 2, &load);
}

/* Asks for a link at something that is no file: a kernel that knows such links says so, any other
 * says that it does not know what is asked. */
static bool has_multi(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, create);
	cleanup_close int program = load(TRACE_UPROBE_MULTI, 0);
	const unsigned long offset = 0;
	int link;

	if (program < 0)
		return false;
	create.uprobe_multi.path = "/";
	create.uprobe_multi.offsets = &offset;
	create.uprobe_multi.cnt = 1;
	link = bpf_link_create(program, -1, TRACE_UPROBE_MULTI, &create);
	if (link < 0)
		return link == -EBADF;
	close(link);
	return true;
}

/* Perf events of uprobes have a type of their own, and want CAP_SYS_ADMIN since CVE-2025-38466 was
 * mended: asked in the same way. */
static bool has_perf(void)
{
	struct perf_event_attr attributes = {.size = sizeof(attributes)};
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	unsigned type;
	int fields;

	if (!file)
		return false;
	fields = fscanf(file, "%u", &type);
	fclose(file);
	if (fields != 1)
		return false;
	attributes.type = type;
	attributes.uprobe_path = (uint64_t)(uintptr_t) "/";
	return syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC) < 0 &&
	       errno == EINVAL;
}

enum uprobe_mode uprobes_mode(void)
{
	if (has_multi())
		return UPROBE_MULTI;
	return has_perf() ? UPROBE_PERF : UPROBE_NONE;
}

/* A kernel that knows sessions allows their programs 0 and 1 only. */
bool uprobes_know_processes(void)
{
	cleanup_close int good = load(TRACE_KPROBE_SESSION, 0);
	cleanup_close int bad = load(TRACE_KPROBE_SESSION, 2);

	return good >= 0 && bad < 0;
}

void uprobes_prepare(struct bpf_program *program, enum uprobe_mode mode)
{
	bpf_program__set_autoattach(program, false);
	if (mode == UPROBE_NONE)
		bpf_program__set_autoload(program, false);
	else if (mode == UPROBE_MULTI)
		bpf_program__set_expected_attach_type(program, TRACE_UPROBE_MULTI);
}

/* pid: -1 for all processes. */
static int attach_multi(struct uprobe *u, struct bpf_program *program, const char *path,
			const struct uprobe_places *places, pid_t pid)
{
	LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
	unsigned long offsets[UPROBE_PLACES_MAX];
	__u64 cookies[UPROBE_PLACES_MAX];

	for (size_t i = 0; i < places->count; i++) {
		offsets[i] = places->offsets[i];
		cookies[i] = places->cookie;
	}
	options.offsets = offsets;
	options.cookies = cookies;
	options.cnt = places->count;
	options.retprobe = places->is_return;
	u->links[0] = bpf_program__attach_uprobe_multi(program, pid, path, NULL, &options);
	if (!u->links[0])
		return -errno;
	u->link_count = 1;
	return 0;
}

static int attach_perf(struct uprobe *u, struct bpf_program *program, const char *path,
		       const struct uprobe_places *places)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = places->cookie,
		    .retprobe = places->is_return);

	while (u->link_count < places->count) {
		struct bpf_link *link = bpf_program__attach_uprobe_opts(
			program, -1, path, places->offsets[u->link_count], &options);

		if (!link)
			return -errno;
		u->links[u->link_count++] = link;
	}
	return 0;
}

int uprobes_open(struct uprobes **out, enum uprobe_mode mode, void (*meanwhile)(void *context),
		 void *context)
{
	struct uprobes *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->mode = mode;
	u->meanwhile = meanwhile;
	u->context = context;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	pthread_cond_init(&u->none_left, NULL);
	*out = u;
	return 0;
}

/* Does for who waits what it would do itself, under the lock; and never while nobody waits. */
static void *stand_in(void *argument)
{
	struct uprobes *u = argument;
	struct timespec until;
	uint64_t ns;

	priority_raise(); /* as the loop has */
	pthread_mutex_lock(&u->lock);
	while (!u->closing) {
		if (!u->attaching) {
			pthread_cond_wait(&u->changed, &u->lock);
			continue;
		}
		ns = now_ns() + UPROBES_MEANWHILE_NS;
		until.tv_sec = (time_t)(ns / 1000000000);
		until.tv_nsec = (long)(ns % 1000000000);
		pthread_cond_clockwait(&u->changed, &u->lock, CLOCK_MONOTONIC, &until);
		if (u->attaching)
			u->meanwhile(u->context);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

static void set_attaching(struct uprobes *u, bool attaching)
{
	if (!u->meanwhile)
		return;
	pthread_mutex_lock(&u->lock);
	if (!u->has_stand_in)
		u->has_stand_in = !pthread_create(&u->stand_in, NULL, stand_in, u);
	u->attaching = attaching;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

static int attach(struct uprobes *u, struct uprobe **out, struct bpf_program *program, int fd,
		  const struct uprobe_places *places, pid_t pid)
{
	char path[FD_PATH_BYTES];
	struct uprobe *uprobe;
	int error;

	if (u->mode == UPROBE_NONE || !places->count || places->count > UPROBE_PLACES_MAX)
		return -EINVAL;
	uprobe = calloc(1, sizeof(*uprobe));
	if (!uprobe)
		return -ENOMEM;
	/* By this name the kernel finds the very inode, also a deleted one. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	set_attaching(u, true);
	error = u->mode == UPROBE_MULTI ? attach_multi(uprobe, program, path, places, pid)
					: attach_perf(uprobe, program, path, places);
	set_attaching(u, false);
	if (error) {
		uprobes_detach(u, uprobe);
		return error;
	}
	*out = uprobe;
	return 0;
}

int uprobes_attach(struct uprobes *u, struct uprobe **out, struct bpf_program *program, int fd,
		   const struct uprobe_places *places)
{
	return attach(u, out, program, fd, places, -1);
}

int uprobes_attach_to(struct uprobes *u, struct uprobe **out, struct bpf_program *program, int fd,
		      const struct uprobe_places *places, pid_t pid)
{
	return u->mode == UPROBE_MULTI ? attach(u, out, program, fd, places, pid) : -EOPNOTSUPP;
}

struct detaching {
	struct uprobes *u;
	struct bpf_link *link;
};

static void *detach_link(void *argument)
{
	struct detaching *d = argument;
	struct uprobes *u = d->u;

	bpf_link__destroy(d->link);
	free(d);
	pthread_mutex_lock(&u->lock);
	if (--u->detaching == 0)
		pthread_cond_signal(&u->none_left);
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

static bool start_detaching(struct uprobes *u, struct bpf_link *link)
{
	struct detaching *d = malloc(sizeof(*d));
	pthread_t thread;

	if (!d)
		return false;
	*d = (struct detaching){.u = u, .link = link};
	pthread_mutex_lock(&u->lock);
	u->detaching++;
	pthread_mutex_unlock(&u->lock);
	if (pthread_create(&thread, NULL, detach_link, d)) {
		pthread_mutex_lock(&u->lock);
		u->detaching--;
		pthread_mutex_unlock(&u->lock);
		free(d);
		return false;
	}
	pthread_detach(thread);
	return true;
}

void uprobes_detach(struct uprobes *u, struct uprobe *uprobe)
{
	if (!uprobe)
		return;
	for (size_t i = 0; i < uprobe->link_count; i++) {
		if (!start_detaching(u, uprobe->links[i]))
			bpf_link__destroy(uprobe->links[i]);
	}
	free(uprobe);
}

void uprobes_close(struct uprobes *u)
{
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	while (u->detaching)
		pthread_cond_wait(&u->none_left, &u->lock);
	u->closing = true;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
	if (u->has_stand_in)
		pthread_join(u->stand_in, NULL);
	pthread_cond_destroy(&u->changed);
	pthread_cond_destroy(&u->none_left);
	pthread_mutex_destroy(&u->lock);
	free(u);
}
