// SPDX-License-Identifier: Apache-2.0
#include "otlp_usage.h"

#include <string.h>

/* Of one process the names are others, so that a sum over a metric counts nothing twice. */
#define METRICS(name, unit, what, kind)                                     \
	{name, unit, what " of the service's processes.", kind, true},      \
	{                                                                   \
		"bittern." name, unit, what " of one process.", kind, true, \
	}

static const struct usage_metric {
	struct otlp_metric metric, of_process;
	const char *attribute; /* NULL: a gauge's, which has none */
	size_t first; /* enum usage_counter with an attribute, else enum usage_gauge */
	const char *values[2]; /* of first and of the next */
} usage_metrics[] = {
	{METRICS("process.cpu.time", "s", "CPU time", OTLP_COUNTER),
	 "cpu.mode",
	 USAGE_CPU_USER_NS,
	 {"user", "system"}},
	{METRICS("process.context_switches", "{context_switch}", "Context switches", OTLP_COUNTER),
	 "process.context_switch.type",
	 USAGE_SWITCHES_VOLUNTARY,
	 {"voluntary", "involuntary"}},
	{METRICS("process.paging.faults", "{fault}", "Page faults", OTLP_COUNTER),
	 "system.paging.fault.type",
	 USAGE_FAULTS_MINOR,
	 {"minor", "major"}},
	{METRICS("process.memory.usage", "By", "Resident memory", OTLP_UP_DOWN_COUNTER),
	 NULL,
	 USAGE_RESIDENT_BYTES,
	 {}},
	{METRICS("process.memory.virtual", "By", "Virtual memory", OTLP_UP_DOWN_COUNTER),
	 NULL,
	 USAGE_VIRTUAL_BYTES,
	 {}},
	{METRICS("process.thread.count", "{thread}", "Threads", OTLP_UP_DOWN_COUNTER),
	 NULL,
	 USAGE_THREADS,
	 {}},
	{METRICS("process.unix.file_descriptor.count", "{file_descriptor}", "Open file descriptors",
		 OTLP_UP_DOWN_COUNTER),
	 NULL,
	 USAGE_DESCRIPTORS,
	 {}},
};

#define USAGE_METRIC_COUNT (sizeof(usage_metrics) / sizeof(usage_metrics[0]))

static struct otlp_point *usage_point(struct otlp_encoder *e, const struct usage_metric *m,
				      pid_t pid, size_t i)
{
	struct otlp_point *p = points_number(e);

	if (!p)
		return NULL;
	otlp_integer(&p->attributes, "process.pid", pid);
	if (m->attribute)
		otlp_string(e->builder.arena, &p->attributes, m->attribute,
			    m->values[i - m->first]);
	return p;
}

/* A pid can be used again: then its counter begins anew. */
static void put_counter(struct otlp_encoder *e, const struct usage_metric *m,
			const struct service *service, pid_t pid, const struct usage *usage,
			size_t i)
{
	uint64_t id = (uint64_t)service->id << 32 | (uint32_t)pid, value = usage->counters[i];
	struct otlp_point *p;

	if (!usage->has_counter[i] || !points_count(e, id, i, &value))
		return;
	p = usage_point(e, m, pid, i);
	if (!p)
		return;
	if (!strcmp(m->metric.unit, "s"))
		points_add_double(e, p, (double)value / 1e9);
	else
		points_add_integer(e, p, value);
}

static void put_gauge(struct otlp_encoder *e, const struct usage_metric *m,
		      const struct service *service, pid_t pid, const struct usage *usage)
{
	struct otlp_point *p;

	if (!usage->has_gauge[m->first] && service->process_count)
		return;
	p = usage_point(e, m, pid, m->first);
	if (!p)
		return;
	if (service->process_count)
		points_add_integer(e, p, usage->gauges[m->first]);
	else
		points_add_nothing(e, p);
}

static void put_usage(struct otlp_encoder *e, const struct usage_metric *m,
		      const struct service *service, pid_t pid, const struct usage *usage)
{
	if (!m->attribute) {
		put_gauge(e, m, service, pid, usage);
		return;
	}
	put_counter(e, m, service, pid, usage, m->first);
	put_counter(e, m, service, pid, usage, m->first + 1);
}

void otlp_usage(struct otlp_encoder *e, const struct service *service, size_t *next)
{
	const struct snapshot *s = e->snapshot;
	size_t end = *next;

	points_count_from(e, service->usage_since_ns);
	while (end < s->process_count && s->processes[end].service == service)
		end++;
	for (size_t i = 0; i < USAGE_METRIC_COUNT; i++) {
		points_metric(e, &usage_metrics[i].metric);
		put_usage(e, &usage_metrics[i], service, 0, &service->usage);
		points_metric(e, &usage_metrics[i].of_process);
		for (size_t j = *next; j < end; j++)
			put_usage(e, &usage_metrics[i], service, s->processes[j].pid,
				  &s->processes[j].usage);
	}
	*next = end;
}
