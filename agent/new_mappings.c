// SPDX-License-Identifier: Apache-2.0
#include "new_mappings.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RING_PAGES 4 /* a power of two: some 100 mappings */
#define MAPS_LINES_MAX 100000
#define RECORD_MAX 4608 /* one with the longest path */

struct ring {
	int fd;
	struct perf_event_mmap_page *control; /* then the data */
};

/* Two epoll sets, one in the other: the inner has the rings, and as a whole is switched off while
 * resting; the outer has it and the timer that ends the rest. */
struct new_mappings {
	int fd, rings_fd, timer_fd;
	bool resting;
	size_t page_bytes;
	size_t ring_count;
	struct ring rings[];
};

/* PERF_RECORD_MMAP2; the path follows. */
struct mmap2 {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t address, len, page_offset;
	uint32_t major, minor;
	uint64_t inode, generation;
	uint32_t protection, flags;
};

static int open_ring(struct new_mappings *m, int cpu)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1, /* of what can be executed */
		.mmap2 = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	struct epoll_event event = {.events = EPOLLIN};
	struct ring *ring = &m->rings[m->ring_count];
	void *memory;

	ring->fd =
		(int)syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return errno == ENODEV ? 0 : -errno; /* that CPU is offline */
	memory = mmap(NULL, (RING_PAGES + 1) * m->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      ring->fd, 0);
	if (memory == MAP_FAILED) {
		int error = -errno;

		close(ring->fd);
		return error;
	}
	ring->control = memory;
	m->ring_count++;
	return epoll_ctl(m->rings_fd, EPOLL_CTL_ADD, ring->fd, &event) ? -errno : 0;
}

static int watch_rings(struct new_mappings *m, int operation, bool watched)
{
	struct epoll_event event = {.events = watched ? EPOLLIN : 0};

	return epoll_ctl(m->fd, operation, m->rings_fd, &event) ? -errno : 0;
}

static int open_sets(struct new_mappings *m)
{
	struct epoll_event event = {.events = EPOLLIN};
	int error;

	m->fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->fd < 0)
		return -errno;
	m->rings_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->rings_fd < 0)
		return -errno;
	m->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (m->timer_fd < 0)
		return -errno;
	error = watch_rings(m, EPOLL_CTL_ADD, true);
	if (!error && epoll_ctl(m->fd, EPOLL_CTL_ADD, m->timer_fd, &event))
		error = -errno;
	return error;
}

int new_mappings_open(struct new_mappings **out)
{
	long cpu_count = sysconf(_SC_NPROCESSORS_CONF);
	struct new_mappings *m;
	int error;

	if (cpu_count < 1)
		return -EINVAL;
	m = calloc(1, sizeof(*m) + (size_t)cpu_count * sizeof(m->rings[0]));
	if (!m)
		return -ENOMEM;
	m->fd = m->rings_fd = m->timer_fd = -1;
	m->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	error = open_sets(m);
	for (int cpu = 0; cpu < cpu_count && !error; cpu++)
		error = open_ring(m, cpu);
	if (error) {
		new_mappings_close(m);
		return error;
	}
	*out = m;
	return 0;
}

int new_mappings_fd(const struct new_mappings *m)
{
	return m->fd;
}

/* The ring wraps anywhere. */
static void copy_out(const struct new_mappings *m, const struct ring *ring, void *to, uint64_t at,
		     size_t len)
{
	const char *data = (const char *)ring->control + m->page_bytes;
	size_t bytes = RING_PAGES * m->page_bytes;
	size_t begin = at % bytes, first = bytes - begin < len ? bytes - begin : len;

	memcpy(to, data + begin, first);
	memcpy((char *)to + first, data, len - first);
}

static void tell(const char *bytes, size_t len,
		 void (*mapped)(void *context, const struct new_mapping *mapping), void *context)
{
	struct new_mapping mapping;
	struct mmap2 record;

	if (len <= sizeof(record) || bytes[len - 1] != '\0')
		return;
	memcpy(&record, bytes, sizeof(record));
	mapping = (struct new_mapping){
		.pid = (pid_t)record.pid,
		.begin = record.address,
		.end = record.address + record.len,
		.major = record.major,
		.minor = record.minor,
		.inode = record.inode,
		.path = bytes + sizeof(record),
	};
	mapped(context, &mapping);
}

static bool take_ring(struct new_mappings *m, struct ring *ring, bool *lost,
		      void (*mapped)(void *context, const struct new_mapping *mapping),
		      void *context)
{
	uint64_t head = __atomic_load_n(&ring->control->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->control->data_tail;
	bool any = head != tail;
	/* The kernel tells of a loss with the next record only; until then it shows by this. */
	bool was_full = head - tail > RING_PAGES * m->page_bytes - RECORD_MAX;
	char bytes[RECORD_MAX];
	struct perf_event_header header;

	*lost = *lost || was_full;
	while (head - tail >= sizeof(header)) {
		copy_out(m, ring, &header, tail, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail)
			break;
		if (header.type == PERF_RECORD_LOST) {
			*lost = true;
		} else if (header.type == PERF_RECORD_MMAP2 && header.size <= sizeof(bytes)) {
			copy_out(m, ring, bytes, tail, header.size);
			tell(bytes, header.size, mapped, context);
		}
		tail += header.size;
	}
	__atomic_store_n(&ring->control->data_tail, head, __ATOMIC_RELEASE);
	return any;
}

static void rest(struct new_mappings *m)
{
	const struct itimerspec until = {.it_value.tv_nsec = NEW_MAPPINGS_REST_MS * 1000000};

	if (m->resting || !watch_rings(m, EPOLL_CTL_MOD, false))
		m->resting = !timerfd_settime(m->timer_fd, 0, &until, NULL);
	if (!m->resting)
		watch_rings(m, EPOLL_CTL_MOD, true);
}

bool new_mappings_take(struct new_mappings *m,
		       void (*mapped)(void *context, const struct new_mapping *mapping),
		       void *context)
{
	bool any = false, lost = false;
	uint64_t expirations;
	bool rested = m->resting &&
		      read(m->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations);

	for (size_t i = 0; i < m->ring_count; i++)
		any = take_ring(m, &m->rings[i], &lost, mapped, context) || any;
	if (any && (rested || !m->resting))
		rest(m);
	else if (rested)
		m->resting = watch_rings(m, EPOLL_CTL_MOD, true) != 0;
	return !lost;
}

/* begin-end rwxp offset major:minor inode path */
static bool parse_line(struct new_mapping *mapping, char *line)
{
	unsigned long long begin, end, inode;
	int path_at = 0;
	char rights[5];

	if (sscanf(line, "%llx-%llx %4s %*x %x:%x %llu %n", &begin, &end, rights, &mapping->major,
		   &mapping->minor, &inode, &path_at) < 6 ||
	    !path_at || rights[2] != 'x')
		return false;
	line[strcspn(line, "\n")] = '\0';
	mapping->begin = begin;
	mapping->end = end;
	mapping->inode = inode;
	mapping->path = line + path_at;
	return true;
}

void new_mappings_read(const char *proc_path, pid_t pid,
		       void (*mapped)(void *context, const struct new_mapping *mapping),
		       void *context)
{
	struct new_mapping mapping = {.pid = pid};
	char path[64], line[4400];
	FILE *maps;

	snprintf(path, sizeof(path), "%s/%d/maps", proc_path, pid);
	maps = fopen(path, "re");
	if (!maps)
		return;
	for (int i = 0; i < MAPS_LINES_MAX && fgets(line, sizeof(line), maps); i++) {
		if (parse_line(&mapping, line))
			mapped(context, &mapping);
	}
	fclose(maps);
}

void new_mappings_close(struct new_mappings *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->ring_count; i++) {
		munmap(m->rings[i].control, (RING_PAGES + 1) * m->page_bytes);
		close(m->rings[i].fd);
	}
	if (m->fd >= 0)
		close(m->fd);
	if (m->rings_fd >= 0)
		close(m->rings_fd);
	if (m->timer_fd >= 0)
		close(m->timer_fd);
	free(m);
}
