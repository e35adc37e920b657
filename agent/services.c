// SPDX-License-Identifier: Apache-2.0
#include "services.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "process_table.h"
#include "program.h"
#include "service_name.h"
#include "service_table.h"

#define ANCESTORS_MAX 32 /* how far up a family is followed */
#define LEARN_DEPTH 8 /* multiprocessing children of children whose parents are read on demand */

struct services {
	struct services_config config;
	struct process_table processes;
	struct service_table services;
	size_t exited_count, exited_unwanted_count;
	uint32_t epoch; /* grows when a service goes: there may be room again */
	uint64_t refused_processes, refused_services, unreadable_processes;
	/* Too big for the stack, and packed wherever they are kept. */
	struct process_facts work; /* of the process at hand */
	struct process_facts other; /* of one it is compared with */
	struct process_facts *shown; /* what services_facts() gave */
};

int services_open(struct services **out, const struct services_config *config)
{
	struct services *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->shown = calloc(1, sizeof(*s->shown));
	if (!s->shown) {
		free(s);
		return -ENOMEM;
	}
	s->config = *config;
	s->epoch = 1;
	process_table_init(&s->processes, SERVICES_PROCESSES_MAX);
	s->services = (struct service_table){
		.max_count = SERVICES_MAX,
		.host_id = config->host_id,
		.patterns = config->patterns,
		.max_routes = config->max_routes,
	};
	*out = s;
	return 0;
}

void services_close(struct services *s)
{
	if (!s)
		return;
	process_table_free(&s->processes);
	service_table_free(&s->services);
	free(s->shown);
	free(s);
}

static bool is_wanted(const struct services *s, enum runtime runtime)
{
	return s->config.all_runtimes || s->config.want_runtime[runtime];
}

static void tell_wanted(struct services *s, pid_t pid, bool wanted)
{
	if (s->config.set_wanted)
		s->config.set_wanted(s->config.context, pid, wanted);
}

static uint64_t moment(uint64_t now_ns)
{
	return now_ns ? now_ns : 1; /* 0 is "never" */
}

static bool is_past(uint64_t since_ns, uint64_t keep_ns, uint64_t now_ns)
{
	return now_ns > since_ns && now_ns - since_ns >= keep_ns;
}

/* Binds a process, which counts while it lives. */
static void join_service(struct process *process, struct service *service, uint64_t now_ns)
{
	process->service = service;
	if (!service)
		return;
	if (!process->exited_ns) {
		service->process_count++;
		service->gone_ns = 0;
	} else if (service->process_count == 0) {
		service->gone_ns = moment(now_ns);
	}
}

static void count_down(struct service *service, uint64_t now_ns)
{
	if (--service->process_count == 0)
		service->gone_ns = moment(now_ns);
}

static void mark_exited(struct services *s, struct process *process, uint64_t now_ns)
{
	process->exited_ns = moment(now_ns);
	s->exited_count++;
	s->exited_unwanted_count += !process->wanted;
	if (process->service)
		count_down(process->service, now_ns);
}

/* Back to a living process of which nothing is known. */
static void reset(struct services *s, struct process *process, uint64_t now_ns)
{
	if (process->exited_ns) {
		s->exited_count--;
		s->exited_unwanted_count -= !process->wanted;
	} else if (process->service) {
		count_down(process->service, now_ns);
	}
	packed_facts_drop(process->facts);
	process->facts = NULL;
	process->service = NULL;
	process->exited_ns = 0;
	process->refused_epoch = 0;
	process->runtime = RUNTIME_OTHER;
	process->wanted = false;
}

static void forget(struct services *s, struct process *process, uint64_t now_ns)
{
	reset(s, process, now_ns);
	process_table_remove(&s->processes, process);
}

/* When the table is full, those that have gone and were never of interest make room. */
static struct process *add_process(struct services *s, pid_t pid, uint64_t now_ns)
{
	struct process *process = process_table_add(&s->processes, pid);

	if (!process && s->exited_unwanted_count) {
		process_table_for_each(process, &s->processes)
		{
			if (process->exited_ns && !process->wanted)
				forget(s, process, now_ns);
		}
		process = process_table_add(&s->processes, pid);
	}
	if (!process)
		s->refused_processes++;
	return process;
}

static struct process *learn(struct services *s, pid_t pid, uint64_t now_ns, int depth);

/* A child that Python's multiprocessing started runs what its parent runs, whatever its
 * arguments say. */
static void inherit(struct services *s, pid_t pid, uint64_t now_ns, int depth)
{
	pid_t parent_pid = s->work.parent;
	struct process *parent = process_table_find(&s->processes, parent_pid), *process;

	if (!parent && parent_pid > 1 && depth < LEARN_DEPTH)
		parent = learn(s, parent_pid, now_ns, depth + 1);
	process = process_table_find(&s->processes, pid);
	if (!process || !parent || !parent->facts || parent->runtime != process->runtime)
		return;
	packed_facts_drop(process->facts);
	process->facts = packed_facts_share(parent->facts);
	join_service(process, parent->service, now_ns);
}

/* Keeps the facts of a process in the table; false when it is gone. */
static bool read_facts(struct services *s, pid_t pid, uint64_t now_ns, int depth)
{
	struct process *process = process_table_find(&s->processes, pid);
	struct program program;

	if (process_facts_read(&s->work, s->config.proc_path, pid)) {
		s->unreadable_processes++;
		return false;
	}
	process->facts = packed_facts_new(&s->work);
	if (s->work.parent)
		process->parent = s->work.parent;
	program_of(&program, &s->work);
	if (program.child)
		inherit(s, pid, now_ns, depth);
	return true;
}

/* Reads what a process is, known or not; NULL when it is gone (a known one has exited then),
 * when it has no program, or when the table is full. */
static struct process *learn(struct services *s, pid_t pid, uint64_t now_ns, int depth)
{
	struct process *process = process_table_find(&s->processes, pid);
	enum runtime runtime = RUNTIME_OTHER;
	int error = process_runtime_read(&runtime, s->config.proc_path, pid);
	bool wanted;

	if (process)
		reset(s, process, now_ns);
	s->unreadable_processes += error != 0;
	if (error && error != -EACCES) {
		if (process)
			mark_exited(s, process, now_ns);
		return NULL;
	}
	if (!process)
		process = add_process(s, pid, now_ns);
	if (!process)
		return NULL;
	wanted = !error && is_wanted(s, runtime);
	process->runtime = (uint8_t)runtime;
	process->wanted = wanted;
	/* Any program may be wanted with --runtime all: then only those that serve are read. */
	if (wanted && runtime != RUNTIME_OTHER && !read_facts(s, pid, now_ns, depth)) {
		reset(s, process, now_ns);
		mark_exited(s, process, now_ns);
		return NULL;
	}
	tell_wanted(s, pid, wanted);
	return process_table_find(&s->processes, pid);
}

void services_exec(struct services *s, pid_t pid, uint64_t now_ns)
{
	learn(s, pid, now_ns, 0);
}

void services_fork(struct services *s, pid_t parent, pid_t child, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, child);
	struct process *found, inherited;

	if (process)
		forget(s, process, now_ns); /* an earlier process of that pid */
	found = process_table_find(&s->processes, parent);
	if (!found)
		return; /* read when it is first heard of */
	inherited = *found; /* adding may move the table */
	process = add_process(s, child, now_ns);
	if (!process)
		return;
	process->parent = parent;
	process->runtime = inherited.runtime;
	process->wanted = inherited.wanted;
	process->facts = packed_facts_share(inherited.facts);
	join_service(process, inherited.service, now_ns);
	tell_wanted(s, child, process->wanted);
}

void services_exit(struct services *s, pid_t pid, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, pid);

	if (process && !process->exited_ns)
		mark_exited(s, process, now_ns);
}

static void scan_process(struct services *s, pid_t pid, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, pid);
	enum runtime runtime = RUNTIME_OTHER;
	int error = process_runtime_read(&runtime, s->config.proc_path, pid);

	if (error == -ESRCH)
		return; /* gone, a zombie or a kernel thread */
	/* An exited one that has a program is another of the same pid; a living one with another
	 * runtime is one whose exec was missed. */
	if (!process || (!error && (process->exited_ns || runtime != process->runtime)))
		process = learn(s, pid, now_ns, 0);
	if (process)
		process->seen = true;
}

int services_scan(struct services *s, uint64_t now_ns)
{
	cleanup_directory DIR *directory = opendir(s->config.proc_path);
	struct process *process;
	struct dirent *entry;

	if (!directory)
		return -errno;
	process_table_for_each(process, &s->processes) process->seen = false;
	for (;;) {
		char *end;
		long pid;

		errno = 0;
		entry = readdir(directory);
		if (!entry)
			break;
		pid = strtol(entry->d_name, &end, 10);

		if (isdigit((unsigned char)entry->d_name[0]) && *end == '\0' && pid > 0 &&
		    pid <= INT32_MAX)
			scan_process(s, (pid_t)pid, now_ns);
	}
	if (errno)
		return -errno;
	process_table_for_each(process, &s->processes)
	{
		if (!process->seen && !process->exited_ns)
			mark_exited(s, process, now_ns);
	}
	return 0;
}

struct family {
	struct services *s;
	const struct service_identity *identity;
	pid_t pid;
};

static struct process *parent_of(const struct services *s, const struct process *process)
{
	return process_table_find(&s->processes, process->parent);
}

/* Whether other, an ancestor of the process in s->work, is its master: of the same name and
 * program. */
static bool is_master(const struct family *family, const struct process *other)
{
	struct services *s = family->s;
	struct service_identity identity;

	if (!other->facts)
		return false;
	packed_facts_unpack(&s->other, other->facts);
	if (!service_name_same_program(&s->work, &s->other))
		return false;
	service_name_of(&identity, &s->other, 0, s->config.matches, s->config.match_count);
	return strcmp(identity.name, family->identity->name) == 0 &&
	       strcmp(identity.namespace, family->identity->namespace) == 0;
}

static bool descends(const struct services *s, const struct process *process, pid_t ancestor)
{
	for (int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (process->pid == ancestor)
			return true;
		process = parent_of(s, process);
	}
	return false;
}

/* An ancestor or a descendant is bound to service, or another worker of the same master is. */
static bool is_family(void *context, const struct service *service)
{
	const struct family *family = context;
	struct services *s = family->s;
	struct process *process = process_table_find(&s->processes, family->pid);
	pid_t top = family->pid;

	process = parent_of(s, process);
	for (int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (process->service == service)
			return true;
		if (is_master(family, process))
			top = process->pid;
		process = parent_of(s, process);
	}
	process_table_for_each(process, &s->processes)
	{
		if (process->service == service && descends(s, process, top))
			return true;
	}
	return false;
}

static struct service *bind_new(struct services *s, struct process *process, uint16_t port,
				uint64_t now_ns)
{
	struct service_identity identity;
	struct family family = {s, &identity, process->pid};
	struct service_request request = {&identity, &s->work, port, is_family, &family};
	struct service *service;

	if (!process->facts && !process->exited_ns) {
		read_facts(s, family.pid, now_ns, 0);
		process = process_table_find(&s->processes, family.pid);
	}
	if (!process->facts)
		return NULL;
	if (process->refused_epoch == s->epoch) {
		s->refused_services++;
		return NULL;
	}
	packed_facts_unpack(&s->work, process->facts);
	service_name_of(&identity, &s->work, port, s->config.matches, s->config.match_count);
	service = service_table_get(&s->services, &request);
	if (service) {
		join_service(process, service, now_ns);
		return service;
	}
	process->refused_epoch = s->epoch;
	s->refused_services++;
	return NULL;
}

struct service *services_bind(struct services *s, pid_t pid, uint16_t port, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, pid);

	if (!process)
		process = learn(s, pid, now_ns, 0);
	if (!process || !process->wanted)
		return NULL;
	if (!process->service)
		return bind_new(s, process, port, now_ns);
	service_table_add_port(process->service, port);
	return process->service;
}

static void close_service(struct services *s, struct service *service)
{
	struct process *process;

	if (s->config.closed)
		s->config.closed(s->config.context, service);
	process_table_for_each(process, &s->processes)
	{
		if (process->service == service)
			process->service = NULL;
	}
	service_table_remove(&s->services, service);
	s->epoch++;
}

void services_expire(struct services *s, uint64_t now_ns)
{
	struct service *service = service_table_next(&s->services, NULL), *next;
	struct process *process;

	if (s->exited_count) {
		process_table_for_each(process, &s->processes)
		{
			if (process->exited_ns &&
			    is_past(process->exited_ns, PROCESS_KEEP_NS, now_ns))
				forget(s, process, now_ns);
		}
	}
	for (; service; service = next) {
		next = service_table_next(&s->services, service);
		if (service->gone_ns && is_past(service->gone_ns, SERVICE_KEEP_NS, now_ns))
			close_service(s, service);
	}
}

struct service *services_next(const struct services *s, const struct service *previous)
{
	return service_table_next(&s->services, previous);
}

struct services_stats services_stats(const struct services *s)
{
	return (struct services_stats){
		.process_count = s->processes.count - s->exited_count,
		.service_count = s->services.count,
		.refused_processes = s->refused_processes,
		.refused_services = s->refused_services,
		.unreadable_processes = s->unreadable_processes,
	};
}

void services_count_runtimes(const struct services *s, size_t counts[static RUNTIME_COUNT])
{
	const struct process *process;

	memset(counts, 0, RUNTIME_COUNT * sizeof(*counts));
	process_table_for_each(process, &s->processes)
	{
		if (!process->exited_ns)
			counts[process->runtime]++;
	}
}

const struct process_facts *services_facts(const struct services *s, pid_t pid)
{
	const struct process *process = process_table_find(&s->processes, pid);

	if (!process || !process->facts)
		return NULL;
	packed_facts_unpack(s->shown, process->facts);
	s->shown->pid = pid;
	s->shown->parent = process->parent;
	return s->shown;
}
