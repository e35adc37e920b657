// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "prometheus_page.h"

static const struct family unread = {"bittern_http_server_unread_requests", FAMILY_GAUGE,
				     "Requests that have arrived and wait to be read."};
static const struct family undecoded = {
	"bittern_service_undecoded_connections_total", FAMILY_COUNTER,
	"Connections that the service accepted, or made, whose requests could not be read."};
static const struct family processes = {"bittern_service_processes", FAMILY_GAUGE,
					"Living processes of the service."};
static const struct family exits = {"bittern_service_process_exits_total", FAMILY_COUNTER,
				    "Processes of the service that ended, by how."};
/* Names and attributes of the semantic conventions; those of one process are of a family of their
 * own, so that a sum over a family counts nothing twice. */
static const struct usage_family {
	struct family family, of_process;
	const char *label;
	size_t first; /* enum usage_counter with a label, else enum usage_gauge */
	const char *values[2]; /* of first and of the next */
	bool seconds;
} usage_families[] = {
	{{"process_cpu_time_seconds_total", FAMILY_COUNTER, "CPU time of the service's processes."},
	 {"bittern_process_cpu_time_seconds_total", FAMILY_COUNTER, "CPU time of one process."},
	 "cpu_mode",
	 USAGE_CPU_USER_NS,
	 {"user", "system"},
	 true},
	{{"process_context_switches_total", FAMILY_COUNTER,
	  "Context switches of the service's processes."},
	 {"bittern_process_context_switches_total", FAMILY_COUNTER,
	  "Context switches of one process."},
	 "process_context_switch_type",
	 USAGE_SWITCHES_VOLUNTARY,
	 {"voluntary", "involuntary"},
	 false},
	{{"process_paging_faults_total", FAMILY_COUNTER, "Page faults of the service's processes."},
	 {"bittern_process_paging_faults_total", FAMILY_COUNTER, "Page faults of one process."},
	 "system_paging_fault_type",
	 USAGE_FAULTS_MINOR,
	 {"minor", "major"},
	 false},
	{{"process_memory_usage_bytes", FAMILY_GAUGE,
	  "Resident memory of the service's processes."},
	 {"bittern_process_memory_usage_bytes", FAMILY_GAUGE, "Resident memory of one process."},
	 NULL,
	 USAGE_RESIDENT_BYTES,
	 {},
	 false},
	{{"process_memory_virtual_bytes", FAMILY_GAUGE,
	  "Virtual memory of the service's processes."},
	 {"bittern_process_memory_virtual_bytes", FAMILY_GAUGE, "Virtual memory of one process."},
	 NULL,
	 USAGE_VIRTUAL_BYTES,
	 {},
	 false},
	{{"process_thread_count", FAMILY_GAUGE, "Threads of the service's processes."},
	 {"bittern_process_thread_count", FAMILY_GAUGE, "Threads of one process."},
	 NULL,
	 USAGE_THREADS,
	 {},
	 false},
	{{"process_unix_file_descriptor_count", FAMILY_GAUGE,
	  "Open file descriptors of the service's processes."},
	 {"bittern_process_unix_file_descriptor_count", FAMILY_GAUGE,
	  "Open file descriptors of one process."},
	 NULL,
	 USAGE_DESCRIPTORS,
	 {},
	 false},
};

static const struct family service_info = {"bittern_service_info", FAMILY_INFO,
					   "A service that is watched, and what it is."};

static void render_unread(struct page *p, const struct snapshot *snapshot)
{
	bool begun = false;

	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		if (!service->process_count)
			continue;
		if (!begun)
			page_family(p, &unread);
		begun = true;
		page_sample(p);
		page_service_labels(p, service);
		page_number(p, service->unread_count);
	}
}

static void render_undecoded(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	page_family(p, &undecoded);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		for (size_t what = 0; what < UNDECODED_COUNT; what++) {
			page_sample(p);
			page_service_labels(p, service);
			page_label(p, "role", undecoded_labels[what].role);
			page_label(p, "reason", undecoded_labels[what].reason);
			page_number(p, service->undecoded_counts[what]);
		}
	}
}

static void render_processes(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	page_family(p, &processes);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		page_sample(p);
		page_service_labels(p, snapshot->services[i]);
		page_number(p, snapshot->services[i]->process_count);
	}
}

static void exit_labels(struct page *p, enum service_exit how)
{
	const char *name = how == SERVICE_EXIT_OOM_KILLED ? "KILL" : sigabbrev_np((int)how);
	char text[16];

	if (how == SERVICE_EXIT_ZERO) {
		page_label(p, "exit_code", "zero");
	} else if (how == SERVICE_EXIT_NONZERO) {
		page_label(p, "exit_code", "nonzero");
	} else {
		if (name)
			snprintf(text, sizeof(text), "SIG%s", name);
		else
			snprintf(text, sizeof(text), "SIG%d", (int)how); /* a real-time signal */
		page_label(p, "signal", text);
	}
	if (how == SERVICE_EXIT_OOM_KILLED)
		page_label(p, "oom", "true");
}

/* Those that tell of trouble exist from the beginning, so that the first one is an increase. */
static bool exit_is_shown(const struct service *service, enum service_exit how)
{
	return service->exit_counts[how] || how == SERVICE_EXIT_ZERO || how == SIGABRT ||
	       how == SIGKILL || how == SIGSEGV || how == SIGTERM || how == SERVICE_EXIT_NONZERO ||
	       how == SERVICE_EXIT_OOM_KILLED;
}

static void render_exits(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	page_family(p, &exits);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		for (enum service_exit how = 0; how < SERVICE_EXIT_COUNT; how++) {
			if (!exit_is_shown(service, how))
				continue;
			page_sample(p);
			page_service_labels(p, service);
			exit_labels(p, how);
			page_number(p, service->exit_counts[how]);
		}
	}
}

/* The value of one service or process (pid not 0), if it is known. begun: f's head is there. */
static void put_usage(struct page *p, const struct usage_family *f, const struct service *service,
		      pid_t pid, const struct usage *usage, bool *begun)
{
	const struct family *family = pid ? &f->of_process : &f->family;
	size_t count = f->label ? 2 : 1;

	for (size_t i = f->first; i < f->first + count; i++) {
		if (f->label ? !usage->has_counter[i]
			     : !usage->has_gauge[i] || !service->process_count)
			continue;
		if (!*begun)
			page_family(p, family);
		*begun = true;
		page_sample(p);
		page_service_labels(p, service);
		page_since(p, service->usage_since_ns);
		page_label_number(p, "process_pid", (uint64_t)pid);
		if (f->label)
			page_label(p, f->label, f->values[i - f->first]);
		if (f->seconds)
			page_seconds(p, usage->counters[i]);
		else
			page_number(p, f->label ? usage->counters[i] : usage->gauges[i]);
	}
}

static void render_usage(struct page *p, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < sizeof(usage_families) / sizeof(usage_families[0]); i++) {
		const struct usage_family *f = &usage_families[i];
		bool begun = false, process_begun = false;

		for (size_t j = 0; j < snapshot->service_count; j++) {
			const struct service *service = snapshot->services[j];

			put_usage(p, f, service, 0, &service->usage, &begun);
		}
		for (size_t j = 0; j < snapshot->process_count; j++) {
			const struct service_process *process = &snapshot->processes[j];

			put_usage(p, f, process->service, process->pid, &process->usage,
				  &process_begun);
		}
	}
}

static void render_service_info(struct page *p, const struct snapshot *snapshot)
{
	if (!snapshot->service_count)
		return;
	page_family(p, &service_info);
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		page_sample(p);
		page_service_labels(p, service);
		page_label(p, "service_instance_id", service->instance_id);
		if (service->runtime != RUNTIME_OTHER)
			page_label(p, "process_runtime_name", runtime_name(service->runtime));
		page_label(p, "container_id", service->container_id);
		page_number(p, 1);
	}
}

void prometheus_services(struct page *p, const struct snapshot *snapshot)
{
	render_unread(p, snapshot);
	render_undecoded(p, snapshot);
	render_processes(p, snapshot);
	render_exits(p, snapshot);
	render_usage(p, snapshot);
	render_service_info(p, snapshot);
}
