// SPDX-License-Identifier: Apache-2.0
#include "services.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "process_table.h"
#include "program.h"
#include "service_family.h"
#include "service_members.h"
#include "service_name.h"
#include "service_table.h"
#include "service_usage.h"

#define LEARN_DEPTH 8 /* multiprocessing children of children whose parents are read on demand */

struct services {
	struct services_config config;
	struct process_table processes;
	struct service_table services;
	size_t exited_count, exited_unwanted_count;
	uint32_t epoch; /* grows when a service goes: there may be room again */
	uint64_t refused_processes, refused_services, unreadable_processes, untold_services;
	uint64_t told_ns;
	struct usage_reader usage;
	/* Too big for the stack, and packed wherever they are kept. */
	struct process_facts work; /* of the process at hand */
	struct process_facts other; /* of one it is compared with */
	struct process_facts *shown; /* what services_facts() gave */
};

int services_open(struct services **out, const struct services_config *config)
{
	struct services *s = calloc(1, sizeof(*s));

	if (s)
		s->shown = calloc(1, sizeof(*s->shown));
	if (!s || !s->shown) {
		free(s);
		return -ENOMEM;
	}
	s->config = *config;
	s->epoch = 1;
	s->told_ns = UINT64_MAX;
	process_table_init(&s->processes, SERVICES_PROCESSES_MAX);
	process_usage_open(&s->usage.source, config->proc_path);
	s->services = (struct service_table){
		.max_count = SERVICES_MAX,
		.max_clients = SERVICES_CLIENT_MAX,
		.host_id = config->host_id,
		.patterns = config->patterns,
		.max_routes = config->max_routes,
		.matches = config->matches,
		.match_count = config->match_count,
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

static void tell_wanted(struct services *s, pid_t pid, enum services_want want)
{
	if (s->config.set_wanted)
		s->config.set_wanted(s->config.context, pid, want);
}

static bool is_past(uint64_t since_ns, uint64_t keep_ns, uint64_t now_ns)
{
	return now_ns > since_ns && now_ns - since_ns >= keep_ns;
}

static void mark_exited(struct services *s, struct process *process, uint64_t now_ns)
{
	struct service *service = process->service;

	service_leave(process, now_ns);
	process->exited_ns = now_ns ? now_ns : 1; /* 0: it lives */
	process->exit = EXIT_UNKNOWN;
	s->exited_count++;
	s->exited_unwanted_count += !process->wanted;
	process->service = service; /* its sockets' records follow */
}

/* Back to a living process of which nothing is known. */
static void reset(struct services *s, struct process *process, uint64_t now_ns)
{
	service_leave(process, now_ns);
	if (process->exited_ns) {
		s->exited_count--;
		s->exited_unwanted_count -= !process->wanted;
	}
	packed_facts_drop(process->facts);
	process->facts = NULL;
	free(process->ledger);
	process->ledger = NULL;
	process->exited_ns = 0;
	process->refused_epoch = 0;
	process->assumed = false;
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
	service_assume(process, parent->service, now_ns);
}

static struct family family_of(struct services *s, pid_t pid, const struct service_identity *name,
			       uint16_t port)
{
	return (struct family){
		.processes = &s->processes,
		.matches = s->config.matches,
		.match_count = s->config.match_count,
		.pid = pid,
		.facts = &s->work,
		.identity = name,
		.port = port,
		.scratch = &s->other,
	};
}

/* A worker that its master started as a program of its own, or a service that is started again:
 * it counts before it serves. The facts are in s->work. */
static void recognise(struct services *s, struct process *process, uint64_t now_ns)
{
	struct process *parent = process_table_find(&s->processes, process->parent);
	struct service_identity identity;
	struct family family = family_of(s, process->pid, &identity, 0);

	service_name_of(&identity, &s->work, 0, s->config.matches, s->config.match_count);
	if (parent && parent->service && family_same_program(&family, parent))
		service_assume(process, parent->service, now_ns);
	else
		service_assume(process, service_table_restarted(&s->services, &s->work, &s->other),
			       now_ns);
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
	else if (process->facts)
		recognise(s, process, now_ns);
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
	if (wanted)
		service_usage_begin(&s->usage, process, now_ns);
	/* Any program may be wanted with --runtime all: then only those that serve are read. */
	if (wanted && runtime != RUNTIME_OTHER && !read_facts(s, pid, now_ns, depth)) {
		reset(s, process, now_ns);
		mark_exited(s, process, now_ns);
		return NULL;
	}
	tell_wanted(s, pid, wanted ? SERVICES_WANTED : SERVICES_UNWANTED);
	return process_table_find(&s->processes, pid);
}

void services_exec(struct services *s, pid_t pid, const struct usage *used, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, pid);

	if (process && used)
		service_usage_add(process, used);
	process = learn(s, pid, now_ns, 0);
	if (process && process->wanted && used)
		service_usage_begin_at(process, used, now_ns);
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
	if (process->wanted)
		service_usage_begin_new(process, now_ns);
	/* Node.js itself never forks: it will be another program, or fail to become one. */
	if (process->runtime != RUNTIME_NODEJS)
		service_assume(process, inherited.service, now_ns);
	tell_wanted(s, child, process->wanted ? SERVICES_WANTED : SERVICES_UNWANTED);
}

void services_exit(struct services *s, pid_t pid, uint32_t code, bool oom_victim,
		   const struct usage *used, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, pid);

	if (process && used)
		service_usage_add(process, used);
	if (process && !process->exited_ns)
		mark_exited(s, process, now_ns);
	if (!process || process->exit != EXIT_UNKNOWN)
		return;
	process->exit = service_exit_of(code, oom_victim); /* a scan may have been faster */
	service_count_exit(process);
}

void services_reaped(struct services *s, pid_t pid, const struct usage *used)
{
	struct process *process = process_table_find(&s->processes, pid);

	if (process && process->exited_ns) /* a living one has its pid after it */
		service_usage_add(process, used);
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
	char *end;
	long pid;

	if (!directory)
		return -errno;
	process_table_for_each(process, &s->processes) process->seen = false;
	for (;;) {
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
		if (process->seen || process->exited_ns)
			continue;
		mark_exited(s, process, now_ns);
		tell_wanted(s, process->pid, SERVICES_GONE);
	}
	return 0;
}

static bool is_related(void *family, const struct service *service)
{
	return family_serves(family, service);
}

/* The master, its workers and their forks are processes of the service as well, and the master is
 * what is started again. */
static void bind_family(struct services *s, const struct family *family, struct service *service,
			uint64_t now_ns)
{
	pid_t top = family_top(family);
	struct process *process = process_table_find(&s->processes, top);

	service_table_set_command(service, process->facts);
	process_table_for_each(process, &s->processes)
	{
		if (!process->service && !process->exited_ns && process->wanted &&
		    family_is_member(family, top, process))
			service_assume(process, service, now_ns);
	}
}

static bool is_refused(const struct services *s, const struct process *process, bool client)
{
	return process->refused_epoch == s->epoch && (client || !process->refused_client);
}

static struct service *refuse(struct services *s, struct process *process, bool client)
{
	process->refused_epoch = s->epoch;
	process->refused_client = client;
	s->refused_services++;
	return NULL;
}

/* Asks for the service of a process that is bound to none, or by assumption. */
static struct service *bind(struct services *s, struct process *process, uint16_t port, bool client,
			    uint64_t now_ns)
{
	struct service_identity identity;
	struct family family = family_of(s, process->pid, &identity, port);
	struct service_request request = {
		.identity = &identity,
		.facts = &s->work,
		.now_ns = now_ns,
		.port = port,
		.client = client,
		.related = is_related,
		.context = &family,
	};
	struct service *service;

	if (!process->facts && !process->exited_ns) {
		read_facts(s, family.pid, now_ns, 0);
		process = process_table_find(&s->processes, family.pid);
	}
	if (!process->facts)
		return NULL;
	if (client && process->service)
		return process->service; /* recognised by its facts */
	if (is_refused(s, process, client))
		return refuse(s, process, client);
	packed_facts_unpack(&s->work, process->facts);
	service_name_of(&identity, &s->work, port, s->config.matches, s->config.match_count);
	request.previous = process->service;
	service_leave(process, now_ns);
	service = service_table_get(&s->services, &request);
	if (!service)
		return refuse(s, process, client);
	process->assumed = client;
	service_join(process, service, now_ns);
	if (service != request.previous)
		bind_family(s, &family, service, now_ns);
	return service;
}

/* Or NULL when it is not wanted. */
static struct process *find_wanted(struct services *s, pid_t pid, uint64_t now_ns)
{
	struct process *process = process_table_find(&s->processes, pid);

	if (!process)
		process = learn(s, pid, now_ns, 0);
	return process && process->wanted ? process : NULL;
}

struct service *services_bind(struct services *s, pid_t pid, uint16_t port, uint64_t now_ns)
{
	struct process *process = find_wanted(s, pid, now_ns);

	if (!process)
		return NULL;
	if (!process->service || process->assumed)
		return bind(s, process, port, false, now_ns);
	service_table_add_port(process->service, port);
	return process->service;
}

struct service *services_bind_client(struct services *s, pid_t pid, uint64_t now_ns)
{
	struct process *process = find_wanted(s, pid, now_ns);

	if (!process)
		return NULL;
	return process->service ? process->service : bind(s, process, 0, true, now_ns);
}

struct service *services_find_serving(const struct services *s, pid_t pid, uint16_t port)
{
	const struct process *process = pid ? process_table_find(&s->processes, pid) : NULL;

	return service_table_serving(&s->services, port, process ? process->service : NULL);
}

void services_keep_untold(struct services *s, uint64_t told_ns)
{
	s->told_ns = told_ns;
}

static bool is_told(const struct services *s, const struct service *service)
{
	return is_past(service->gone_ns, SERVICE_SETTLE_NS, s->told_ns);
}

static void close_service(struct services *s, struct service *service)
{
	struct process *process;

	s->untold_services += !is_told(s, service);
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

/* Scripts that made a few requests and ended leave room for others. */
static void expire_clients(struct services *s, uint64_t now_ns)
{
	for (;;) {
		struct service *service = NULL, *longest = NULL;
		size_t gone_count = 0;

		while ((service = service_table_next(&s->services, service))) {
			if (service->served || !service->gone_ns)
				continue;
			gone_count++;
			if (!longest || service->gone_ns < longest->gone_ns)
				longest = service;
		}
		if (gone_count <= SERVICES_CLIENT_GONE_MAX ||
		    !is_past(longest->gone_ns, PROCESS_KEEP_NS, now_ns))
			return;
		close_service(s, longest);
	}
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
		if (service->gone_ns && is_past(service->gone_ns, SERVICE_KEEP_NS, now_ns) &&
		    (is_told(s, service) || s->services.count > SERVICES_MAX / 2))
			close_service(s, service);
	}
	expire_clients(s, now_ns);
}

struct service *services_next(const struct services *s, const struct service *previous)
{
	return service_table_next(&s->services, previous);
}

void services_read_usage(struct services *s, size_t file_max, uint64_t now_ns)
{
	service_usage_read(&s->usage, &s->processes, &s->services, file_max, now_ns);
}

size_t services_list_processes(const struct services *s, struct service_process *out, size_t max)
{
	return service_usage_list(&s->processes, out, max);
}

struct services_stats services_stats(const struct services *s)
{
	return (struct services_stats){
		.process_count = s->processes.count - s->exited_count,
		.service_count = s->services.count,
		.refused_processes = s->refused_processes,
		.refused_services = s->refused_services,
		.unreadable_processes = s->unreadable_processes,
		.untold_services = s->untold_services,
		.unreadable_usage = s->usage.refused_count,
		.usage_waiting_count = s->usage.waiting_count,
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

struct service *services_of(const struct services *s, pid_t pid)
{
	const struct process *process = process_table_find(&s->processes, pid);
	return process ? process->service : NULL;
}
