// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bittern.skel.h"
#include "log.h"
#include "ring.h"

struct capture {
	struct bittern *skeleton;
	struct ring *ring;
	int wakeup_fd; /* an epoll set with the ring in it, edge-triggered */
	int cpu_count;
};

static int libbpf_log(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char line[1024];

	(void)level;
	if (log_level < LOG_LEVEL_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, arguments);
	log_debug("%s", line);
	return 0;
}

static const char *advice(int error)
{
	switch (-error) {
	case EPERM:
	case EACCES:
		return "run as root, or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and "
		       "CAP_DAC_READ_SEARCH";
	case ENOMEM:
		return "memory for BPF maps is limited: see the cgroup's limit, or use a smaller "
		       "--ring-size";
	default:
		return "see bittern check, and --log-level debug";
	}
}

static int explain(char *why, size_t why_len, const char *stage, int error)
{
	snprintf(why, why_len, "%s: %s; %s", stage, strerror(-error), advice(error));
	return error;
}

/* Level-triggered the set would always be readable under load, and the agent would never sleep. */
static int open_wakeup(struct capture *c)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	c->wakeup_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->wakeup_fd < 0)
		return -errno;
	if (epoll_ctl(c->wakeup_fd, EPOLL_CTL_ADD, bpf_map__fd(c->skeleton->maps.records), &event))
		return -errno;
	return 0;
}

/* What is used by TLS only is not even loaded without it. */
static int prepare_tls(struct bittern *skeleton, enum uprobe_mode mode)
{
	struct bpf_map *tables[] = {skeleton->maps.sessions, skeleton->maps.session_sockets,
				    skeleton->maps.session_aliases, skeleton->maps.tls_tags};
	struct bpf_program *program;
	int error = 0;

	bpf_object__for_each_program(program, skeleton->obj) {
		if (!strcmp(bpf_program__section_name(program), "uprobe"))
			uprobes_prepare(program, mode);
	}
	skeleton->rodata->tls_wanted = mode != UPROBE_NONE;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !error; i++) {
		if (mode == UPROBE_NONE)
			error = bpf_map__set_max_entries(tables[i], 1);
	}
	return error;
}

int capture_open(struct capture **out, const struct capture_config *config, char *why,
		 size_t why_len)
{
	struct capture *c = calloc(1, sizeof(*c));
	int error;

	if (!c)
		return explain(why, why_len, "memory", -ENOMEM);
	c->wakeup_fd = -1;
	libbpf_set_print(libbpf_log);
	c->cpu_count = libbpf_num_possible_cpus();
	c->skeleton = bittern__open();
	error = c->skeleton ? 0 : -errno;
	if (!error)
		error = bpf_map__set_max_entries(c->skeleton->maps.records, config->ring_bytes);
	if (!error)
		error = prepare_tls(c->skeleton, config->tls);
	if (!error)
		c->skeleton->rodata->ring_wakeup_bytes = config->ring_bytes / CAPTURE_WAKEUP_PART;
	if (!error) {
		c->skeleton->rodata->cpu_wanted = config->cpu;
		bpf_program__set_autoload(c->skeleton->progs.cpu_switch, config->cpu);
		bpf_program__set_autoload(c->skeleton->progs.cpu_waking, config->cpu);
		bpf_program__set_autoload(c->skeleton->progs.cpu_thread, config->cpu);
		bpf_program__set_autoload(c->skeleton->progs.cpu_exit, config->cpu);
		/* Iterators are attached when they are run. */
		bpf_program__set_autoattach(c->skeleton->progs.cpu_list, false);
		bpf_program__set_autoattach(c->skeleton->progs.socket_list, false);
		bpf_program__set_autoattach(c->skeleton->progs.socket_adopt, false);
		/* only where they are needed */
		bpf_program__set_autoattach(c->skeleton->progs.socket_receive_2, false);
		bpf_program__set_autoattach(c->skeleton->progs.socket_send_2, false);
	}
	if (!error)
		error = bittern__load(c->skeleton);
	if (error) {
		capture_close(c);
		return explain(why, why_len, "cannot load the BPF programs", error);
	}
	error = ring_open(&c->ring, bpf_map__fd(c->skeleton->maps.records), config->ring_bytes,
			  sizeof(struct record_io) + RECORD_DATA_MAX);
	if (!error)
		error = open_wakeup(c);
	if (error) {
		capture_close(c);
		return explain(why, why_len, "cannot map the ring buffer", error);
	}
	*out = c;
	return 0;
}

struct bpf_program *capture_program(const struct capture *c, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(c->skeleton->obj, name);

	return program && bpf_program__fd(program) >= 0 ? program : NULL;
}

/* The file descriptor of what an iterator writes, or -errno. The link is not needed for reading. */
static int open_iterator(struct bpf_program *program, const struct bpf_iter_attach_opts *options)
{
	struct bpf_link *link = bpf_program__attach_iter(program, options);
	int fd;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	return fd;
}

/* Listeners and connections that are older than the hooks. */
static int adopt(struct capture *c)
{
	int fd = open_iterator(c->skeleton->progs.socket_adopt, NULL);
	ssize_t n;
	char none;

	if (fd < 0)
		return fd;
	n = read(fd, &none, sizeof(none)); /* runs through all files */
	close(fd);
	return n < 0 ? -EIO : 0;
}

static int attach_second_copies(struct bittern *skeleton)
{
	skeleton->links.socket_receive_2 = bpf_program__attach(skeleton->progs.socket_receive_2);
	if (!skeleton->links.socket_receive_2)
		return -errno;
	skeleton->links.socket_send_2 = bpf_program__attach(skeleton->progs.socket_send_2);
	return skeleton->links.socket_send_2 ? 0 : -errno;
}

int capture_attach(struct capture *c, char *why, size_t why_len)
{
	struct bittern *skeleton = c->skeleton;
	int error = 0;

	/* Requests are seen last: none is read whose response or end would be missed. (Attaching
	 * one program takes milliseconds; libbpf leaves alone what has a link.) */
	skeleton->links.socket_send = bpf_program__attach(skeleton->progs.socket_send);
	skeleton->links.socket_state = bpf_program__attach(skeleton->progs.socket_state);
	if (!skeleton->links.socket_send || !skeleton->links.socket_state)
		error = -errno;
	if (!error)
		error = bittern__attach(skeleton);
	skeleton->bss->clients_wanted = true;
	if (!error)
		error = adopt(c);
	if (!error && skeleton->bss->hooks_preempted)
		error = attach_second_copies(skeleton);
	return error ? explain(why, why_len, "cannot attach the BPF programs", error) : 0;
}

int capture_fd(const struct capture *c)
{
	return c->wakeup_fd;
}

int capture_drain(struct capture *c, void (*record)(void *context, const void *bytes, size_t size),
		  void *context)
{
	struct epoll_event event;

	epoll_wait(c->wakeup_fd, &event, 1, 0); /* takes the wake-up, if there is one */
	return ring_drain(c->ring, CAPTURE_DRAIN_MAX, record, context);
}

void capture_set_aside(struct capture *c)
{
	if (ring_used(c->ring) >= ring_size(c->ring) / CAPTURE_WAKEUP_PART)
		ring_set_aside(c->ring);
}

void capture_set_wanted(struct capture *c, pid_t pid, bool wanted)
{
	int map = bpf_map__fd(c->skeleton->maps.unwanted_processes);
	__u32 key = pid;
	__u8 one = 1;

	/* A full map only means that the process's sockets are looked at in vain. */
	if (wanted)
		bpf_map_delete_elem(map, &key);
	else
		bpf_map_update_elem(map, &key, &one, BPF_ANY);
}

void capture_set_own_probes(struct capture *c, pid_t pid, unsigned groups)
{
	int map = bpf_map__fd(c->skeleton->maps.tls_own_probes);
	__u8 value = (__u8)groups;
	__u32 key = pid;

	if (groups)
		bpf_map_update_elem(map, &key, &value, BPF_ANY);
	else
		bpf_map_delete_elem(map, &key);
}

int capture_list(struct capture *c, bool all,
		 void (*connection)(void *context, const struct connection_state *state),
		 void *context)
{
	union bpf_iter_link_info info = {.map.map_fd = bpf_map__fd(c->skeleton->maps.connections)};
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info,
		    .link_info_len = sizeof(info));
	struct connection_state states[64];
	ssize_t n;
	int fd, i;

	c->skeleton->bss->list_all_connections = all;
	fd = open_iterator(c->skeleton->progs.socket_list, &options);
	if (fd < 0)
		return fd;
	while ((n = read(fd, states, sizeof(states))) > 0) {
		for (i = 0; i < (int)(n / (ssize_t)sizeof(states[0])); i++)
			connection(context, &states[i]);
	}
	close(fd);
	return n < 0 ? -EIO : 0;
}

int capture_list_work(struct capture *c,
		      void (*thread)(void *context, const struct thread_state *state),
		      void *context)
{
	struct thread_state states[64];
	int fd = open_iterator(c->skeleton->progs.cpu_list, NULL);
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = read(fd, states, sizeof(states))) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(states[0]); i++)
			thread(context, &states[i]);
	}
	close(fd);
	return n < 0 ? -EIO : 0;
}

size_t capture_ring_used(const struct capture *c)
{
	return ring_used(c->ring);
}

static uint64_t sum(const __u64 *values, int count)
{
	uint64_t total = 0;

	while (count-- > 0)
		total += values[count];
	return total;
}

void capture_lost_requests(struct capture *c,
			   void (*lost)(void *context, pid_t pid, uint64_t count), void *context)
{
	int map = bpf_map__fd(c->skeleton->maps.lost_requests);
	__u32 key, *previous = NULL;
	__u64 values[c->cpu_count];

	while (!bpf_map_get_next_key(map, previous, &key)) {
		if (!bpf_map_lookup_elem(map, &key, values))
			lost(context, key, sum(values, c->cpu_count));
		previous = &key;
	}
}

static uint64_t skipped_runs(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &len)
		       ? 0
		       : info.recursion_misses;
}

/* More have begun than have ended and are still there. */
static uint64_t sessions_evicted(const struct capture *c, const uint64_t *counts)
{
	uint64_t there = counts[TLS_SESSIONS] - counts[TLS_SESSIONS_ENDED], found = 0;
	struct bpf_map *map = c->skeleton->maps.sessions;
	struct {
		__u64 name, pid;
	} key;
	void *previous = NULL;

	if (there < bpf_map__max_entries(map) / 2)
		return 0;
	while (!bpf_map_get_next_key(bpf_map__fd(map), previous, &key)) {
		previous = &key;
		found++;
	}
	return there > found ? there - found : 0;
}

static void read_counts(const struct capture *c, const struct bpf_map *map, uint64_t *out,
			__u32 count)
{
	__u64 values[c->cpu_count];
	__u32 key;

	for (key = 0; key < count; key++) {
		if (!bpf_map_lookup_elem(bpf_map__fd(map), &key, values))
			out[key] = sum(values, c->cpu_count);
	}
}

static uint64_t without(uint64_t all, uint64_t some)
{
	return all > some ? all - some : 0;
}

/* What the first copies were skipped for and the second ones saw. */
static uint64_t made_up_for(struct capture *c, uint32_t direction)
{
	struct {
		__u64 task, sk, passed_over;
	} marks[c->cpu_count];
	uint64_t total = 0;
	int cpu;

	if (bpf_map_lookup_elem(bpf_map__fd(c->skeleton->maps.hook_marks), &direction, marks))
		return 0;
	for (cpu = 0; cpu < c->cpu_count; cpu++)
		total += marks[cpu].passed_over;
	return total;
}

/* What one copy of a hook was skipped for the other has seen, unless it was skipped too. */
static uint64_t all_skipped_runs(struct capture *c)
{
	const struct bittern *s = c->skeleton;
	uint64_t first = skipped_runs(s->progs.socket_state);
	uint64_t second = skipped_runs(s->progs.socket_state_2);
	struct bpf_program *program;
	uint64_t total = 0;

	bpf_object__for_each_program(program, s->obj) {
		if (program == s->progs.socket_receive)
			total += without(skipped_runs(program), made_up_for(c, DIRECTION_RECEIVED));
		else if (program == s->progs.socket_send)
			total += without(skipped_runs(program), made_up_for(c, DIRECTION_SENT));
		else if (program != s->progs.socket_receive_2 &&
			 program != s->progs.socket_send_2 && program != s->progs.socket_state &&
			 program != s->progs.socket_state_2 && program != s->progs.socket_arrival)
			total += skipped_runs(program);
	}
	return total + (first < second ? first : second);
}

struct capture_stats capture_stats(struct capture *c)
{
	struct capture_stats stats = {
		.skipped_arrivals = skipped_runs(c->skeleton->progs.socket_arrival),
		.hooks_preempted = c->skeleton->bss->hooks_preempted,
		.preempted_runs = skipped_runs(c->skeleton->progs.socket_receive) +
				  skipped_runs(c->skeleton->progs.socket_send),
	};

	read_counts(c, c->skeleton->maps.losses, stats.losses, LOSS_COUNT);
	read_counts(c, c->skeleton->maps.tls_counts, stats.tls_counts, TLS_COUNTS);
	stats.sessions_evicted = sessions_evicted(c, stats.tls_counts);
	stats.losses[LOSS_SKIPPED_RUN] += all_skipped_runs(c);
	stats.ring_bytes = ring_size(c->ring);
	return stats;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	if (c->wakeup_fd >= 0)
		close(c->wakeup_fd);
	ring_close(c->ring);
	bittern__destroy(c->skeleton);
	free(c);
}
