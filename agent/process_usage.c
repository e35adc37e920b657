// SPDX-License-Identifier: Apache-2.0
#include "process_usage.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/record.h"
#include "cleanup.h"

#define FILE_MAX 4096 /* status is some 1.5 kB, stat less */
#define NS_PER_S 1000000000ull

void process_usage_open(struct usage_source *source, const char *proc_path)
{
	char path[256];
	struct stat status;

	*source = (struct usage_source){
		.proc_path = proc_path,
		.has_clocks = strcmp(proc_path, "/proc") == 0,
	};
	snprintf(path, sizeof(path), "%s/self/fd", proc_path);
	/* 0 in older kernels, although there are always some. */
	source->size_is_count = stat(path, &status) == 0 && status.st_size > 0;
}

/* With a NUL behind. 0 or -errno; one read(2), as these files are never longer. */
static int read_text(char text[static FILE_MAX], int folder, const char *name)
{
	cleanup_close int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, FILE_MAX - 1);

	if (len < 0)
		return -errno;
	text[len] = '\0';
	return 0;
}

/* The next of numbers separated by blanks. */
static bool take_number(const char **at, uint64_t *value)
{
	char *end;

	while (**at == ' ')
		(*at)++;
	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoull(*at, &end, 10);
	if (errno || (*end && *end != ' ' && *end != '\n'))
		return false;
	*at = end;
	return true;
}

/* The name in parentheses may hold anything, ") R 1 2" too: the last parenthesis ends it. */
static bool parse_stat(struct usage_reading *out, char *state, const char *text)
{
	enum { PARENT = 4, MINOR = 10, MAJOR = 12, USER = 14, SYSTEM, THREADS = 20, BEGIN = 22 };
	uint64_t fields[BEGIN + 1] = {}, tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	struct usage *usage = &out->usage;
	const char *at = strrchr(text, ')');

	if (!at || at[1] != ' ' || !at[2])
		return false;
	*state = at[2];
	at += 3;
	for (int i = PARENT; i <= BEGIN; i++) {
		while (*at == ' ')
			at++;
		if (*at == '-') /* no terminal, or nice: none that is wanted */
			at++;
		if (!take_number(&at, &fields[i]))
			return false;
	}
	usage->counters[USAGE_CPU_USER_NS] = fields[USER] * tick_ns;
	usage->counters[USAGE_CPU_SYSTEM_NS] = fields[SYSTEM] * tick_ns;
	usage->counters[USAGE_FAULTS_MINOR] = fields[MINOR];
	usage->counters[USAGE_FAULTS_MAJOR] = fields[MAJOR];
	usage->has_counter[USAGE_CPU_USER_NS] = usage->has_counter[USAGE_CPU_SYSTEM_NS] = true;
	usage->has_counter[USAGE_FAULTS_MINOR] = usage->has_counter[USAGE_FAULTS_MAJOR] = true;
	usage->gauges[USAGE_THREADS] = fields[THREADS];
	usage->has_gauge[USAGE_THREADS] = true;
	out->begin_ticks = fields[BEGIN];
	return true;
}

/* part / whole of total, whole not 0. */
static uint64_t share(uint64_t total, uint64_t part, uint64_t whole)
{
	return (uint64_t)((unsigned __int128)total * part / whole);
}

/* The ticks were rounded down, each by less than one: what is missing to the process's clock is
 * divided as these are, no more than a tick to each. More is missing if it is another process's, or
 * has run since. */
static void add_rest_of_ticks(struct usage *usage, pid_t pid)
{
	uint64_t *user = &usage->counters[USAGE_CPU_USER_NS];
	uint64_t *system = &usage->counters[USAGE_CPU_SYSTEM_NS];
	uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK), clock, rest, more_system;
	struct timespec now;
	clockid_t id;

	if (!usage->has_counter[USAGE_CPU_USER_NS] || clock_getcpuclockid(pid, &id) ||
	    clock_gettime(id, &now))
		return;
	clock = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	if (clock < *user + *system || clock - *user - *system > 2 * tick_ns)
		return;
	rest = clock - *user - *system;
	more_system = *system ? share(rest, *system, *user + *system) : 0;
	if (rest > tick_ns && more_system < rest - tick_ns)
		more_system = rest - tick_ns;
	if (more_system > tick_ns)
		more_system = tick_ns;
	*user += rest - more_system;
	*system += more_system;
}

static bool parse_statm(struct usage *usage, const char *text)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), total, resident;

	if (!take_number(&text, &total) || !take_number(&text, &resident))
		return false;
	usage->gauges[USAGE_VIRTUAL_BYTES] = total * page_bytes;
	usage->gauges[USAGE_RESIDENT_BYTES] = resident * page_bytes;
	usage->has_gauge[USAGE_VIRTUAL_BYTES] = usage->has_gauge[USAGE_RESIDENT_BYTES] = true;
	return true;
}

static bool add_line(uint64_t *sum, const char *text, const char *name)
{
	const char *line = strstr(text, name);
	uint64_t value;

	if (!line)
		return false;
	line += strlen(name);
	while (*line == '\t')
		line++;
	if (!take_number(&line, &value))
		return false;
	*sum += value;
	return true;
}

/* A thread that has gone meanwhile is none. */
static bool add_switches(struct usage *usage, int folder, const char *path)
{
	char text[FILE_MAX];
	int error = read_text(text, folder, path);

	if (error == -ENOENT || error == -ESRCH)
		return true;
	return !error &&
	       add_line(&usage->counters[USAGE_SWITCHES_VOLUNTARY], text,
			"\nvoluntary_ctxt_switches:") &&
	       add_line(&usage->counters[USAGE_SWITCHES_INVOLUNTARY], text,
			"\nnonvoluntary_ctxt_switches:");
}

static bool read_threads(struct usage_reading *out, int process)
{
	cleanup_close int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_directory DIR *threads = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char path[64];

	out->file_count++;
	if (!threads)
		return false;
	fd = -1; /* the directory's */
	while ((entry = readdir(threads))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "%.20s/status", entry->d_name);
		out->file_count++;
		if (!add_switches(&out->usage, dirfd(threads), path))
			return false;
	}
	return true;
}

static bool read_switches(struct usage_reading *out, int process)
{
	struct usage *usage = &out->usage;
	uint64_t threads = usage->has_gauge[USAGE_THREADS] ? usage->gauges[USAGE_THREADS] : 0;
	bool known;

	if (threads == 1)
		out->file_count++;
	if (threads > PROCESS_USAGE_THREADS_MAX)
		return false;
	known = threads == 1 ? add_switches(usage, process, "status") : read_threads(out, process);
	usage->has_counter[USAGE_SWITCHES_VOLUNTARY] = known;
	usage->has_counter[USAGE_SWITCHES_INVOLUNTARY] = known;
	return known;
}

static bool count_entries(uint64_t *count, int process)
{
	cleanup_close int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_directory DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!folder)
		return false;
	fd = -1; /* the directory's */
	*count = 0;
	while ((entry = readdir(folder)))
		*count += entry->d_name[0] != '.';
	return true;
}

static bool read_descriptors(struct usage_reading *out, const struct usage_source *source,
			     int process)
{
	uint64_t *count = &out->usage.gauges[USAGE_DESCRIPTORS];
	struct stat status;
	bool known;

	out->file_count++;
	if (source->size_is_count) {
		known = fstatat(process, "fd", &status, 0) == 0;
		*count = known ? (uint64_t)status.st_size : 0;
	} else {
		known = count_entries(count, process);
	}
	out->usage.has_gauge[USAGE_DESCRIPTORS] = known;
	return known;
}

int process_usage_read(struct usage_reading *out, const struct usage_source *source, pid_t pid)
{
	cleanup_close int process = -1;
	char path[256], text[FILE_MAX], state = 0;
	int error;

	*out = (struct usage_reading){.file_count = 2};
	snprintf(path, sizeof(path), "%s/%d", source->proc_path, (int)pid);
	process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return -ESRCH;
	error = read_text(text, process, "stat");
	if (error == -ENOENT || error == -ESRCH)
		return -ESRCH;
	out->refused_count += error || !parse_stat(out, &state, text);
	if (source->has_clocks)
		add_rest_of_ticks(&out->usage, pid);
	if (state == 'Z' || state == 'X')
		return -ESRCH;
	error = read_text(text, process, "statm");
	if (error == -ENOENT || error == -ESRCH)
		return -ESRCH;
	out->refused_count += error || !parse_statm(&out->usage, text);
	out->refused_count += !read_descriptors(out, source, process);
	out->refused_count += !read_switches(out, process);
	return 0;
}

void process_usage_of_record(struct usage *out, const struct record_usage *record)
{
	uint64_t user = record->shown_user_ns, system = record->shown_system_ns;
	uint64_t run = record->run_ns, sampled = record->user_ns + record->system_ns;

	if (user + system < run) {
		uint64_t exact = !sampled ? 0 : share(run, record->system_ns, sampled);

		if (exact > system)
			system = exact;
		if (run - system < user)
			system = run - user;
		user = run - system;
	}
	*out = (struct usage){
		.counters = {[USAGE_CPU_USER_NS] = user,
			     [USAGE_CPU_SYSTEM_NS] = system,
			     [USAGE_SWITCHES_VOLUNTARY] = record->voluntary_switches,
			     [USAGE_SWITCHES_INVOLUNTARY] = record->involuntary_switches,
			     [USAGE_FAULTS_MINOR] = record->minor_faults,
			     [USAGE_FAULTS_MAJOR] = record->major_faults},
	};
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		out->has_counter[i] = true;
}
