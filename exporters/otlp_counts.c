// SPDX-License-Identifier: Apache-2.0
#include "otlp_counts.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Parts of names in front of a dot. */
static const struct {
	const char *prometheus, *opentelemetry;
} own_prefixes[] = {
	{"bittern_agent_otlp_", "bittern.agent.otlp."},
	{"bittern_agent_", "bittern.agent."},
	{"", "bittern.agent."},
};

static const struct otlp_metric unread = {"bittern.http.server.unread_requests", "{request}",
					  "Requests that have arrived and wait to be read.",
					  OTLP_GAUGE, true};
static const struct otlp_metric undecoded = {
	"bittern.service.undecoded.connections", "{connection}",
	"Connections that the service accepted, or made, whose requests could not be read.",
	OTLP_COUNTER, false};
static const struct otlp_metric processes = {"bittern.service.processes", "{process}",
					     "Living processes of the service.",
					     OTLP_UP_DOWN_COUNTER, true};
static const struct otlp_metric exits = {"bittern.service.process.exits", "{process}",
					 "Processes of the service that ended, by how.",
					 OTLP_COUNTER, false};

static void put_unread(struct otlp_encoder *e, const struct service *service)
{
	struct otlp_point *p;

	points_metric(e, &unread);
	p = points_number(e);
	if (!p)
		return;
	if (service->process_count) {
		points_add_integer(e, p, service->unread_count);
		return;
	}
	points_add_nothing(e, p);
}

static void put_undecoded(struct otlp_encoder *e, const struct service *service)
{
	points_metric(e, &undecoded);
	for (size_t i = 0; i < UNDECODED_COUNT; i++) {
		uint64_t value = service->undecoded_counts[i];
		struct otlp_point *p =
			points_count(e, service->id, i, &value) ? points_number(e) : NULL;

		if (!p)
			continue;
		otlp_string(e->builder.arena, &p->attributes, "role", undecoded_labels[i].role);
		otlp_string(e->builder.arena, &p->attributes, "reason", undecoded_labels[i].reason);
		points_add_integer(e, p, value);
	}
}

static void put_processes(struct otlp_encoder *e, const struct service *service)
{
	struct otlp_point *p;

	points_metric(e, &processes);
	p = points_number(e);
	if (p)
		points_add_integer(e, p, service->process_count);
}

static void exit_attributes(struct otlp_encoder *e, struct otlp_point *p, enum service_exit how)
{
	const char *name = how == SERVICE_EXIT_OOM_KILLED ? "KILL" : sigabbrev_np((int)how);
	struct otlp_attributes *to = &p->attributes;
	char *text;

	if (how == SERVICE_EXIT_ZERO || how == SERVICE_EXIT_NONZERO) {
		otlp_string(e->builder.arena, to, "exit_code",
			    how == SERVICE_EXIT_ZERO ? "zero" : "nonzero");
		return;
	}
	text = arena_get(e->builder.arena, 16);
	if (text && name)
		snprintf(text, 16, "SIG%s", name);
	else if (text)
		snprintf(text, 16, "SIG%d", (int)how); /* a real-time signal */
	otlp_string(e->builder.arena, to, "signal", text);
	if (how == SERVICE_EXIT_OOM_KILLED)
		otlp_bool(to, "oom", true);
}

/* Those that tell of trouble exist from the beginning, so that the first one is an increase. */
static bool exit_is_shown(const struct service *service, enum service_exit how)
{
	return service->exit_counts[how] || how == SERVICE_EXIT_ZERO || how == SIGABRT ||
	       how == SIGKILL || how == SIGSEGV || how == SIGTERM || how == SERVICE_EXIT_NONZERO ||
	       how == SERVICE_EXIT_OOM_KILLED;
}

static void put_exits(struct otlp_encoder *e, const struct service *service)
{
	points_metric(e, &exits);
	for (enum service_exit how = 0; how < SERVICE_EXIT_COUNT; how++) {
		uint64_t value = service->exit_counts[how];
		struct otlp_point *p;

		if (!exit_is_shown(service, how) || !points_count(e, service->id, how, &value))
			continue;
		p = points_number(e);
		if (!p)
			return;
		exit_attributes(e, p, how);
		points_add_integer(e, p, value);
	}
}

void otlp_counts(struct otlp_encoder *e, const struct service *service)
{
	put_unread(e, service);
	put_undecoded(e, service);
	put_processes(e, service);
	put_exits(e, service);
}

/* --- bittern's own --- */

static bool cut_suffix(char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	if (len < suffix_len || strcmp(text + len - suffix_len, suffix) != 0)
		return false;
	text[len - suffix_len] = '\0';
	return true;
}

/* Prometheus' name and OpenTelemetry's name and unit say the same. */
static void describe_own(struct otlp_own_metric *own, const struct self_metric *m)
{
	size_t len, i = 0;

	while ((len = strlen(own_prefixes[i].prometheus)) &&
	       strncmp(m->name, own_prefixes[i].prometheus, len) != 0)
		i++;
	own->row_name = m->name;
	snprintf(own->name, sizeof(own->name), "%s%s", own_prefixes[i].opentelemetry,
		 m->name + len);
	cut_suffix(own->name, "_total");
	own->metric = (struct otlp_metric){
		.name = own->name,
		.unit = cut_suffix(own->name, "_seconds") ? "s"
			: cut_suffix(own->name, "_bytes") ? "By"
							  : "",
		.description = m->help,
		.kind = m->kind == SELF_COUNTER ? OTLP_COUNTER : OTLP_GAUGE,
		.asynchronous = true,
	};
}

/* NULL past the bound. */
static const struct otlp_metric *own_metric(struct otlp_encoder *e, const struct self_metric *m)
{
	for (size_t i = 0; i < OTLP_OWN_METRICS; i++) {
		struct otlp_own_metric *own = &e->own[i];

		if (!own->row_name)
			describe_own(own, m);
		if (!strcmp(own->row_name, m->name))
			return &own->metric;
	}
	return NULL;
}

static void put_own(struct otlp_encoder *e, const struct self_metric *m,
		    const struct otlp_metric *metric)
{
	struct otlp_delta_key key = {.id = (uintptr_t)m->label_value, .metric = metric};
	double value = m->value;
	struct otlp_point *p;

	points_metric(e, metric);
	if (e->builder.delta && !points_news(e, otlp_delta_number(e->delta, &key, &value)))
		return;
	p = points_number(e);
	if (!p)
		return;
	if (m->label)
		otlp_string(e->builder.arena, &p->attributes, m->label, m->label_value);
	if (!strcmp(metric->unit, "s"))
		points_add_double(e, p, value);
	else
		points_add_integer(e, p, (uint64_t)value);
}

void otlp_own_counts(struct otlp_encoder *e)
{
	for (size_t i = 0; i < e->snapshot->self_count; i++) {
		const struct self_metric *m = &e->snapshot->self[i];
		const struct otlp_metric *metric = own_metric(e, m);

		if (metric)
			put_own(e, m, metric);
	}
}
