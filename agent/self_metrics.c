// SPDX-License-Identifier: Apache-2.0
#include "self_metrics.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "version.h"

struct row_set {
	struct self_metric *rows;
	size_t count;
};

static void add(struct row_set *set, const char *name, enum self_metric_kind kind, const char *help,
		const char *label, const char *label_value, double value)
{
	if (set->count < SELF_METRICS_MAX)
		set->rows[set->count++] = (struct self_metric){
			.name = name,
			.help = help,
			.kind = kind,
			.label = label,
			.label_value = label_value,
			.value = value,
		};
}

static double own_cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double own_resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(file);
	return (double)pages * sysconf(_SC_PAGESIZE);
}

static void add_records(struct row_set *set, const struct self_inputs *in)
{
	static const char *const kinds[RECORD_KINDS] = {
		[RECORD_IO] = "io",
		[RECORD_STATE] = "state",
		[RECORD_UNDECODED] = "undecoded",
		[RECORD_CONNECT_FAILED] = "connect_failed",
		[RECORD_EXEC] = "exec",
		[RECORD_FORK] = "fork",
		[RECORD_EXIT] = "exit",
		[RECORD_REAPED] = "reaped",
		[RECORD_TLS] = "tls",
		[RECORD_WORK] = "work",
		[RECORD_JOB] = "job",
	};
	int i;

	for (i = RECORD_IO; i < RECORD_KINDS; i++)
		add(set, "bittern_agent_records_total", SELF_COUNTER,
		    "Records read from the kernel side.", "kind", kinds[i], in->records[i]);
}

static void add_losses(struct row_set *set, const struct self_inputs *in)
{
	static const char *const causes[LOSS_COUNT] = {
		[LOSS_RING_FULL] = "ring_full",
		[LOSS_UNREADABLE_MEMORY] = "unreadable_memory",
		[LOSS_UNREADABLE_IO_URING] = "unreadable_io_uring",
		[LOSS_UNREADABLE_SYSCALL] = "unreadable_syscall",
		[LOSS_CONNECTION_STATE] = "connection_state",
		[LOSS_SKIPPED_RUN] = "skipped_run",
	};
	const struct {
		const char *cause;
		uint64_t count;
	} more[] = {
		{"bad_record", in->bad_records},
		{"gap", in->exchange.gaps},
		{"unpaired_request", in->exchange.requests_lost},
		{"connection_table_full", in->exchange.connections_refused},
		{"exchange_table_full", in->exchange.requests_refused},
		{"tls_probe_late", in->tls.missed_requests},
	};
	const char *name = "bittern_agent_losses_total";
	const char *help =
		"What was missed, by cause: 0 everywhere means that all that bittern can read was "
		"counted. What it cannot is told by bittern_service_undecoded_connections_total, "
		"bittern_agent_refusals_total and bittern_agent_tls_*.";
	size_t i;

	for (i = 0; i < LOSS_COUNT; i++)
		add(set, name, SELF_COUNTER, help, "cause", causes[i], in->capture.losses[i]);
	for (i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		add(set, name, SELF_COUNTER, help, "cause", more[i].cause, more[i].count);
	add(set, "bittern_agent_missed_arrivals_total", SELF_COUNTER,
	    "Arrivals that were not seen: a request may be without queue time for each.", NULL,
	    NULL, in->capture.skipped_arrivals);
	add(set, "bittern_agent_lost_requests_total", SELF_COUNTER,
	    "Requests whose record found the ring full.", NULL, NULL, in->lost_requests);
}

static void add_tables(struct row_set *set, const struct self_inputs *in)
{
	const struct {
		const char *table;
		uint64_t refused;
	} refused[] = {
		{"processes", in->services.refused_processes},
		{"services", in->services.refused_services},
		{"series", in->series_overflow},
		{"routes", in->routes_overflow},
		{"addresses", in->addresses_overflow},
		{"pool_loops", in->pool.loops_refused},
		{"pool_requests", in->pool.requests_refused},
		{"pool_jobs", in->pool.jobs_refused},
		{"tls_processes", in->tls.libraries.refused_processes},
	};
	size_t i;

	add(set, "bittern_agent_connections", SELF_GAUGE,
	    "Connections with HTTP that are followed.", NULL, NULL, in->exchange.connection_count);
	add(set, "bittern_agent_open_exchanges", SELF_GAUGE,
	    "Requests that wait for their response.", NULL, NULL, in->exchange.open_count);
	add(set, "bittern_agent_processes", SELF_GAUGE, "Processes known.", NULL, NULL,
	    in->services.process_count);
	add(set, "bittern_agent_services", SELF_GAUGE, "Services known.", NULL, NULL,
	    in->services.service_count);
	add(set, "bittern_agent_series", SELF_GAUGE, "Series of all instruments.", NULL, NULL,
	    in->series_count);
	add(set, "bittern_agent_evictions_total", SELF_COUNTER,
	    "Idle connections forgotten for want of room.", NULL, NULL,
	    in->exchange.connections_evicted);
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		add(set, "bittern_agent_refusals_total", SELF_COUNTER,
		    "Requests, jobs, processes or measurements that found a table at its bound.",
		    "table", refused[i].table, refused[i].refused);
	add(set, "bittern_agent_unreadable_processes_total", SELF_COUNTER,
	    "Processes gone, or not to be read, before their runtime was known.", NULL, NULL,
	    in->services.unreadable_processes);
	add(set, "bittern_agent_unreadable_usage_total", SELF_COUNTER,
	    "Files of /proc on CPU, memory or descriptors that could not be read.", NULL, NULL,
	    in->services.unreadable_usage);
	add(set, "bittern_agent_usage_waiting_processes", SELF_GAUGE,
	    "Processes whose CPU and memory were not read anew for this page, for want of time.",
	    NULL, NULL, in->services.usage_waiting_count);
	add(set, "bittern_agent_processes_left_out", SELF_GAUGE,
	    "Processes past the bound of --per-process.", NULL, NULL, in->processes_left_out);
	add(set, "bittern_agent_malformed_heads_total", SELF_COUNTER,
	    "Start lines that are not HTTP/1.x on connections that had begun as HTTP.", NULL, NULL,
	    in->exchange.malformed);
	add(set, "bittern_agent_unmatched_responses_total", SELF_COUNTER,
	    "Responses to requests that were not seen, such as a 408 on an idle connection.", NULL,
	    NULL, in->exchange.responses_lost);
	add(set, "bittern_agent_cut_lines_total", SELF_COUNTER,
	    "Lines of request or response heads longer than what is kept.", NULL, NULL,
	    in->exchange.lines_cut);
}

static void add_otlp(struct row_set *set, const struct self_inputs *inputs)
{
	const struct self_otlp *in = &inputs->otlp;
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{"bittern_agent_otlp_exports_total", "Snapshots delivered by OTLP.", in->exports},
		{"bittern_agent_otlp_replaced_total",
		 "Snapshots that were not delivered before a newer one, which holds their counts.",
		 in->replaced},
		{"bittern_agent_otlp_retries_total", "Requests that were sent again.", in->retries},
		{"bittern_agent_otlp_sent_bytes_total", "Bytes of requests, as they were sent.",
		 in->sent_bytes},
		{"bittern_agent_otlp_lost_points_total",
		 "Points of requests that were refused for good, or not delivered at the end.",
		 in->lost_points},
		{"bittern_agent_otlp_rejected_points_total",
		 "Points that the collector rejected of requests that it took.",
		 in->rejected_points},
		{"bittern_agent_otlp_untold_services_total",
		 "Services forgotten for want of room before their last counts were delivered.",
		 inputs->services.untold_services},
	};
	size_t i;

	if (!in->on)
		return;
	for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		add(set, counters[i].name, SELF_COUNTER, counters[i].help, NULL, NULL,
		    counters[i].value);
	for (i = 1; i < in->failure_count; i++)
		add(set, "bittern_agent_otlp_failures_total", SELF_COUNTER,
		    "Requests that were not delivered, by reason.", "reason", in->failure_names[i],
		    in->failures[i]);
	add(set, "bittern_agent_otlp_queue_age_seconds", SELF_GAUGE,
	    "How long the oldest snapshot has waited for delivery; 0 if there is none.", NULL, NULL,
	    in->queue_age_ns / 1e9);
	add(set, "bittern_agent_otlp_last_encode_seconds", SELF_GAUGE,
	    "Time to encode the last snapshot, in which nothing else is done.", NULL, NULL,
	    in->last_encode_ns / 1e9);
}

static void add_tls(struct row_set *set, const struct self_inputs *in)
{
	const uint64_t *counts = in->capture.tls_counts;

	add(set, "bittern_agent_tls_files", SELF_GAUGE,
	    "Libraries and programs with probes on TLS.", NULL, NULL, in->tls.libraries.file_count);
	add(set, "bittern_agent_tls_refused_files_total", SELF_COUNTER,
	    "Libraries and programs that could not be probed: their TLS is not seen.", NULL, NULL,
	    in->tls.libraries.refused_files);
	add(set, "bittern_agent_tls_lost_mappings_total", SELF_COUNTER,
	    "Times that news of loaded libraries were lost: all processes are looked through "
	    "again.",
	    NULL, NULL, in->tls.libraries.lost_mappings);
	add(set, "bittern_agent_tls_sessions_total", SELF_COUNTER, "TLS sessions seen.", NULL, NULL,
	    counts[TLS_SESSIONS]);
	add(set, "bittern_agent_tls_unjoined_sessions_total", SELF_COUNTER,
	    "TLS sessions whose socket was not known: they count, without a port and queue time.",
	    NULL, NULL, counts[TLS_UNJOINED]);
	add(set, "bittern_agent_tls_contradictions_total", SELF_COUNTER,
	    "Signs that a TLS session has another socket, which were not believed.", NULL, NULL,
	    counts[TLS_CONTRADICTIONS]);
	add(set, "bittern_agent_tls_evictions_total", SELF_COUNTER,
	    "TLS sessions forgotten for want of room.", NULL, NULL, in->capture.sessions_evicted);
}

size_t self_metrics(struct self_metric rows[static SELF_METRICS_MAX], const struct self_inputs *in)
{
	struct row_set set = {.rows = rows};

	add(&set, "bittern_agent_build_info", SELF_GAUGE, "Version of the agent.", "version",
	    BITTERN_VERSION, 1);
	add(&set, "bittern_agent_start_time_seconds", SELF_GAUGE,
	    "When the agent began, in Unix time: what it counts began at 0 then, or later.", NULL,
	    NULL, (double)in->start_time_unix_ns / 1e9);
	add(&set, "bittern_agent_cpu_seconds_total", SELF_COUNTER, "CPU time of the agent itself.",
	    NULL, NULL, own_cpu_seconds());
	add(&set, "bittern_agent_resident_memory_bytes", SELF_GAUGE,
	    "Resident memory of the agent itself.", NULL, NULL, own_resident_bytes());
	add_records(&set, in);
	add_losses(&set, in);
	add(&set, "bittern_agent_ring_size_bytes", SELF_GAUGE, "Size of the ring buffer.", NULL,
	    NULL, in->capture.ring_bytes);
	add(&set, "bittern_agent_ring_used_bytes", SELF_GAUGE,
	    "Largest fill of the ring buffer at a drain since the last scrape.", NULL, NULL,
	    in->ring_peak_bytes);
	add_tables(&set, in);
	add_tls(&set, in);
	add(&set, "bittern_agent_scrapes_total", SELF_COUNTER, "Pages of /metrics given.", NULL,
	    NULL, in->scrapes);
	add(&set, "bittern_agent_last_scrape_seconds", SELF_GAUGE,
	    "Time to write the last page of /metrics.", NULL, NULL, in->last_scrape_seconds);
	add_otlp(&set, in);
	return set.count;
}
