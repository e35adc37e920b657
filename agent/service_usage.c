// SPDX-License-Identifier: Apache-2.0
#include "service_usage.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "service_table.h"

static struct usage_ledger *open_ledger(struct process *process)
{
	free(process->ledger);
	process->ledger = calloc(1, sizeof(*process->ledger));
	return process->ledger;
}

void service_usage_begin_at(struct process *process, const struct usage *used, uint64_t now_ns)
{
	struct usage_ledger *ledger = open_ledger(process);

	if (!ledger)
		return;
	ledger->now = *used;
	ledger->begin_ns = now_ns;
	memcpy(ledger->begin, used->counters, sizeof(ledger->begin));
	memcpy(ledger->entered, used->counters, sizeof(ledger->entered));
}

void service_usage_begin_new(struct process *process, uint64_t now_ns)
{
	struct usage nothing = {};

	memset(nothing.has_counter, true, sizeof(nothing.has_counter));
	service_usage_begin_at(process, &nothing, now_ns);
}

void service_usage_begin(struct usage_reader *reader, struct process *process, uint64_t now_ns)
{
	struct usage_reading reading;
	int error = process_usage_read(&reading, &reader->source, process->pid);

	if (error)
		return;
	reader->refused_count += reading.refused_count;
	service_usage_begin_at(process, &reading.usage, now_ns);
	if (process->ledger) {
		process->ledger->read_ns = now_ns;
		process->ledger->begin_ticks = reading.begin_ticks;
	}
}

/* The kernel only knows the sum exactly, and may split it otherwise later. Neither part goes back,
 * and the sum stays right: as it does itself, in cputime_adjust(). */
static void take_cpu(uint64_t now[USAGE_COUNTERS], uint64_t user, uint64_t system)
{
	uint64_t sum = user + system;

	if (sum <= now[USAGE_CPU_USER_NS] + now[USAGE_CPU_SYSTEM_NS])
		return;
	if (system < now[USAGE_CPU_SYSTEM_NS])
		system = now[USAGE_CPU_SYSTEM_NS];
	if (sum - system < now[USAGE_CPU_USER_NS])
		system = sum - now[USAGE_CPU_USER_NS];
	now[USAGE_CPU_USER_NS] = sum - system;
	now[USAGE_CPU_SYSTEM_NS] = system;
}

/* What was not known so far begins now. */
static void take(struct usage_ledger *ledger, const struct usage *used)
{
	struct usage *now = &ledger->now;

	for (size_t i = 0; i < USAGE_COUNTERS; i++) {
		if (!used->has_counter[i])
			continue;
		if (!now->has_counter[i])
			now->counters[i] = ledger->begin[i] = ledger->entered[i] =
				used->counters[i];
		else if (i > USAGE_CPU_SYSTEM_NS && used->counters[i] > now->counters[i])
			now->counters[i] = used->counters[i];
		now->has_counter[i] = true;
	}
	if (used->has_counter[USAGE_CPU_USER_NS])
		take_cpu(now->counters, used->counters[USAGE_CPU_USER_NS],
			 used->counters[USAGE_CPU_SYSTEM_NS]);
}

void service_usage_enter(struct process *process)
{
	struct usage_ledger *ledger = process->ledger;

	if (!ledger || !process->service)
		return;
	if (!process->service->usage_since_ns)
		process->service->usage_since_ns = ledger->begin_ns;
	for (size_t i = 0; i < USAGE_COUNTERS; i++) {
		struct usage *sum = &process->service->usage;

		if (!ledger->now.has_counter[i])
			continue;
		sum->has_counter[i] = true;
		sum->counters[i] += ledger->now.counters[i] - ledger->entered[i];
		ledger->entered[i] = ledger->now.counters[i];
	}
}

void service_usage_add(struct process *process, const struct usage *used)
{
	if (!process->ledger)
		return;
	take(process->ledger, used);
	service_usage_enter(process);
}

/* Gives the files that it took. */
static size_t read_process(struct usage_reader *reader, struct process *process, uint64_t now_ns)
{
	struct usage_ledger *ledger = process->ledger;
	struct usage_reading reading;
	int error = process_usage_read(&reading, &reader->source, process->pid);

	ledger->read_ns = now_ns;
	/* It has ended and holds nothing, or it is another one: its record is on the way. */
	if (error || (ledger->begin_ticks && reading.begin_ticks != ledger->begin_ticks)) {
		memset(ledger->now.gauges, 0, sizeof(ledger->now.gauges));
		memset(ledger->now.has_gauge, true, sizeof(ledger->now.has_gauge));
		return reading.file_count;
	}
	ledger->begin_ticks = reading.begin_ticks;
	reader->refused_count += reading.refused_count;
	memcpy(ledger->now.gauges, reading.usage.gauges, sizeof(ledger->now.gauges));
	memcpy(ledger->now.has_gauge, reading.usage.has_gauge, sizeof(ledger->now.has_gauge));
	service_usage_add(process, &reading.usage);
	return reading.file_count;
}

static bool is_readable(const struct process *process)
{
	return process->pid && process->ledger && process->service && !process->exited_ns;
}

static void read_due(struct usage_reader *reader, const struct process_table *processes,
		     size_t file_max, uint64_t now_ns)
{
	uint32_t first = reader->cursor < processes->used_count ? reader->cursor : 0;
	size_t file_count = 0;

	reader->waiting_count = 0;
	for (uint32_t i = 0; i < processes->used_count; i++) {
		uint32_t place = (first + i) % processes->used_count;
		struct process *process = &processes->pool[place];

		if (!is_readable(process) ||
		    (process->ledger->read_ns &&
		     now_ns < process->ledger->read_ns + SERVICE_USAGE_KEEP_NS))
			continue;
		if (file_count >= file_max) {
			if (!reader->waiting_count++)
				reader->cursor = place;
			continue;
		}
		file_count += read_process(reader, process, now_ns);
	}
}

/* The sum is known when that of each process is; first those are marked of which it is not. */
static void sum_gauges(const struct process_table *processes, const struct service_table *services)
{
	bool none[USAGE_GAUGES] = {};
	struct service *service = NULL;
	struct process *process;

	while ((service = service_table_next(services, service))) {
		memset(service->usage.gauges, 0, sizeof(service->usage.gauges));
		memset(service->usage.has_gauge, false, sizeof(none));
	}
	process_table_for_each(process, processes)
	{
		struct usage *sum;

		if (!is_readable(process) || !process->ledger->read_ns)
			continue;
		sum = &process->service->usage;
		for (size_t i = 0; i < USAGE_GAUGES; i++) {
			sum->gauges[i] += process->ledger->now.gauges[i];
			sum->has_gauge[i] = true;
		}
	}
	process_table_for_each(process, processes)
	{
		if (!is_readable(process) || !process->ledger->read_ns)
			continue;
		for (size_t i = 0; i < USAGE_GAUGES; i++)
			if (!process->ledger->now.has_gauge[i])
				process->service->usage.has_gauge[i] = false;
	}
}

void service_usage_read(struct usage_reader *reader, const struct process_table *processes,
			const struct service_table *services, size_t file_max, uint64_t now_ns)
{
	read_due(reader, processes, file_max, now_ns);
	sum_gauges(processes, services);
}

static int compare_processes(const void *a, const void *b)
{
	const struct process *x = *(const struct process *const *)a;
	const struct process *y = *(const struct process *const *)b;
	uint32_t xs = x->service->id, ys = y->service->id;

	return xs != ys ? (xs > ys) - (xs < ys) : (x->pid > y->pid) - (x->pid < y->pid);
}

static void describe(struct service_process *out, const struct process *process)
{
	const struct usage_ledger *ledger = process->ledger;

	*out = (struct service_process){process->service, process->pid, ledger->now};
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		out->usage.counters[i] -= ledger->begin[i];
}

size_t service_usage_list(const struct process_table *processes, struct service_process *out,
			  size_t max)
{
	cleanup_free const struct process **sorted =
		malloc((processes->count + 1) * sizeof(const struct process *));
	const struct process *process;
	size_t count = 0;

	process_table_for_each(process, processes)
	{
		if (sorted && is_readable(process) && process->ledger->read_ns)
			sorted[count++] = process;
	}
	if (count)
		qsort(sorted, count, sizeof(*sorted), compare_processes);
	for (size_t i = 0; i < count && i < max; i++)
		describe(&out[i], sorted[i]);
	return count;
}
