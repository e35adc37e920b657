// SPDX-License-Identifier: Apache-2.0
/* What is in the messages. Deltas and sizes have files of their own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otlp_world.h"

#define MS 1000000ull

static struct histogram durations(const struct histogram_bounds *bounds)
{
	struct histogram h;

	histogram_init(&h);
	histogram_add(&h, bounds, 4 * MS);
	histogram_add(&h, bounds, 30 * MS);
	histogram_add(&h, bounds, 70000 * MS);
	histogram_add(&h, bounds, 0);
	return h;
}

static struct snapshot_series *add_request(struct otlp_world *w, const struct histogram *h)
{
	struct snapshot_series *s = otlp_world_add_histogram(w, INSTRUMENT_SERVER_DURATION, h);

	s->method = "GET";
	s->scheme = "http";
	s->route = "/orders/{id}";
	s->status = 503;
	s->error_type = "503";
	s->protocol_version = "1.1";
	s->port = 8000;
	return s;
}

static const char *resource_string(const struct otlp_world *w, const char *service, const char *key)
{
	Otlp__ResourceMetrics *r = otlp_world_resource(w, service);

	assert_non_null(r);
	return otlp_world_string(r->resource->n_attributes, r->resource->attributes, key);
}

static void a_service_is_a_resource_and_bittern_another(void **state)
{
	struct otlp_world *w = *state;

	strcpy(w->shop.namespace, "retail");
	strcpy(w->shop.container_id, "c0ffee");
	otlp_world_export(w, 10 * WORLD_SECOND);
	assert_int_equal(w->batch.count, 1);
	assert_int_equal(w->messages[0]->n_resource_metrics, 1);
	assert_string_equal(resource_string(w, "shop", "service.namespace"), "retail");
	assert_string_equal(resource_string(w, "shop", "service.instance.id"),
			    "0d1f6a2e-0000-5000-8000-000000000001");
	assert_string_equal(resource_string(w, "shop", "process.runtime.name"), "python");
	assert_string_equal(resource_string(w, "shop", "telemetry.sdk.language"), "python");
	assert_string_equal(resource_string(w, "shop", "container.id"), "c0ffee");
	assert_string_equal(resource_string(w, "shop", "host.name"), "reed");
	assert_string_equal(resource_string(w, "shop", "host.id"), "0123456789abcdef");
	assert_string_equal(resource_string(w, "shop", "os.type"), "linux");
	assert_string_equal(resource_string(w, "shop", "telemetry.sdk.name"), "bittern");
	assert_string_equal(resource_string(w, "shop", "telemetry.sdk.version"), "1.2");
	assert_string_equal(resource_string(w, "shop", "service.version"), "");

	w->self[0] =
		(struct self_metric){"bittern_agent_series", "Series.", SELF_GAUGE, NULL, NULL, 1};
	w->snapshot.self_count = 1;
	otlp_world_export(w, 11 * WORLD_SECOND);
	assert_int_equal(w->messages[0]->n_resource_metrics, 2);
	assert_string_equal(resource_string(w, "bittern", "service.version"), "1.2");
	assert_string_equal(resource_string(w, "bittern", "telemetry.sdk.language"), "c");
	assert_int_equal(strlen(resource_string(w, "bittern", "service.instance.id")), 36);
	assert_string_equal(otlp_world_resource(w, "shop")->scope_metrics[0]->scope->name,
			    "bittern");
	assert_string_equal(otlp_world_resource(w, "shop")->scope_metrics[0]->scope->version,
			    "1.2");
}

static void what_the_user_says_of_resources_wins_but_service_names_bittern_alone(void **state)
{
	static const struct otlp_attribute given[] = {{"service.name", "watcher"},
						      {"deployment.environment.name", "staging"},
						      {"host.name", "other"}};
	struct otlp_world *w = *state;

	w->config.attributes = given;
	w->config.attribute_count = 3;
	w->self[0] =
		(struct self_metric){"bittern_agent_series", "Series.", SELF_GAUGE, NULL, NULL, 1};
	w->snapshot.self_count = 1;
	otlp_world_export(w, 0);
	assert_string_equal(resource_string(w, "watcher", "deployment.environment.name"),
			    "staging");
	assert_string_equal(resource_string(w, "shop", "deployment.environment.name"), "staging");
	assert_string_equal(resource_string(w, "shop", "host.name"), "other");
	assert_null(otlp_world_resource(w, "bittern"));
}

static void a_duration_is_a_histogram_with_all_its_attributes(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	Otlp__HistogramDataPoint *p;
	Otlp__Metric *m;

	add_request(w, &h);
	otlp_world_export(w, 10 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", "http.server.request.duration");
	assert_string_equal(m->unit, "s");
	assert_int_equal(m->data_case, OTLP__METRIC__DATA_HISTOGRAM);
	assert_int_equal(m->histogram->aggregation_temporality,
			 OTLP__AGGREGATION_TEMPORALITY__CUMULATIVE);
	assert_int_equal(m->histogram->n_data_points, 1);
	p = m->histogram->data_points[0];
	assert_int_equal(p->n_attributes, 7);
#define STRING(key) otlp_world_string(p->n_attributes, p->attributes, key)
#define INTEGER(key) otlp_world_attribute(p->n_attributes, p->attributes, key)->int_value
	assert_string_equal(STRING("http.request.method"), "GET");
	assert_string_equal(STRING("url.scheme"), "http");
	assert_string_equal(STRING("http.route"), "/orders/{id}");
	assert_string_equal(STRING("error.type"), "503");
	assert_string_equal(STRING("network.protocol.version"), "1.1");
	assert_int_equal(INTEGER("http.response.status_code"), 503);
	assert_int_equal(INTEGER("server.port"), 8000);
#undef STRING
#undef INTEGER
	assert_int_equal(p->count, 4);
	assert_float_equal(p->sum, 70.034, 1e-9);
	assert_float_equal(p->min, 0, 1e-12);
	assert_float_equal(p->max, 70, 1e-9);
	assert_int_equal(p->n_explicit_bounds, 18);
	assert_int_equal(p->n_bucket_counts, 19);
	for (size_t i = 0; i < p->n_bucket_counts; i++)
		assert_int_equal(p->bucket_counts[i], i == 0 ? 2 : i == 3 || i == 18 ? 1 : 0);
	for (size_t i = 0; i < p->n_explicit_bounds; i++)
		assert_true(p->explicit_bounds[i] == histogram_duration_bounds.upper_s[i]);
}

static void a_base_2_histogram_has_scale_zero_and_trimmed_buckets(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	Otlp__ExponentialHistogramDataPoint *p;
	Otlp__Metric *m;
	uint64_t sum = 0;

	w->config.exponential = true;
	add_request(w, &h);
	otlp_world_export(w, 10 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", "http.server.request.duration");
	assert_int_equal(m->data_case, OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM);
	assert_int_equal(m->exponential_histogram->n_data_points, 1);
	p = m->exponential_histogram->data_points[0];
	assert_int_equal(p->n_attributes, 7);
	assert_int_equal(p->count, 4);
	assert_int_equal(p->zero_count, 1);
	assert_int_equal(p->scale, h.scale);
	assert_int_equal(p->positive->offset, h.offset);
	assert_int_equal(p->positive->n_bucket_counts, h.used_count);
	for (size_t i = 0; i < p->positive->n_bucket_counts; i++) {
		assert_int_equal(p->positive->bucket_counts[i], h.exponential_counts[i]);
		sum += p->positive->bucket_counts[i];
	}
	assert_int_equal(sum, 3);
	assert_float_equal(p->sum, 70.034, 1e-9);
	assert_float_equal(p->max, 70, 1e-9);
}

static void a_series_counts_from_when_its_service_was_found(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	Otlp__HistogramDataPoint *p;

	add_request(w, &h);
	for (int i = 0; i < 2; i++) {
		otlp_world_export(w, (10 + i) * WORLD_SECOND);
		p = otlp_world_metric(w, "shop", "http.server.request.duration")
			    ->histogram->data_points[0];
		assert_int_equal(p->start_time_unix_nano, WORLD_START_UNIX_NS + 5 * WORLD_SECOND);
		assert_int_equal(p->time_unix_nano, WORLD_START_UNIX_NS + (10 + i) * WORLD_SECOND);
	}
	w->shop.found_ns = 1; /* a service that was there before the agent */
	otlp_world_export(w, 12 * WORLD_SECOND);
	p = otlp_world_metric(w, "shop", "http.server.request.duration")->histogram->data_points[0];
	assert_int_equal(p->start_time_unix_nano, WORLD_START_UNIX_NS);
}

static void times_rise_though_the_clock_is_set_back(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	Otlp__HistogramDataPoint *p;
	uint64_t before;

	add_request(w, &h);
	otlp_world_export(w, 20 * WORLD_SECOND);
	p = otlp_world_metric(w, "shop", "http.server.request.duration")->histogram->data_points[0];
	before = p->time_unix_nano;
	otlp_world_export(w, 10 * WORLD_SECOND);
	p = otlp_world_metric(w, "shop", "http.server.request.duration")->histogram->data_points[0];
	assert_int_equal(p->time_unix_nano, before + 1);
}

static void a_point_is_not_before_its_start(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	Otlp__HistogramDataPoint *p;

	add_request(w, &h);
	otlp_world_export(w, 1 * WORLD_SECOND); /* set back by an hour at the second second */
	p = otlp_world_metric(w, "shop", "http.server.request.duration")->histogram->data_points[0];
	assert_int_equal(p->time_unix_nano, p->start_time_unix_nano);
}

static void requests_are_a_monotonic_sum_by_outcome(void **state)
{
	struct otlp_world *w = *state;
	union snapshot_counts counts = {.outcomes = {[OUTCOME_OK] = 963, [OUTCOME_TIMEOUT] = 37}};
	struct snapshot_series *s = otlp_world_add_counts(w, INSTRUMENT_SERVER_REQUESTS, counts);
	Otlp__Metric *m;

	s->method = "GET";
	s->route = "/";
	otlp_world_export(w, 10 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", "bittern.http.server.requests");
	assert_string_equal(m->unit, "{request}");
	assert_true(m->sum->is_monotonic);
	assert_int_equal(m->sum->n_data_points, OUTCOME_COUNT);
#define OF(outcome) otlp_world_sum(w, "shop", "bittern.http.server.requests", "outcome", outcome)
	assert_int_equal(OF("ok"), 963);
	assert_int_equal(OF("error"), 0);
	assert_int_equal(OF("timeout"), 37);
	assert_int_equal(OF("aborted"), 0);
	assert_int_equal(OF("no_response"), 0);
#undef OF
}

static void an_objective_is_two_counters_and_a_gauge(void **state)
{
	struct otlp_world *w = *state;
	union snapshot_counts counts = {.slo = {.events = 10, .good_events = 9}};
	struct snapshot_series *s = otlp_world_add_counts(w, INSTRUMENT_SLO, counts);
	Otlp__Metric *m;

	s->route = "/";
	s->slo = "99@8s";
	s->slo_ratio = 0.99;
	otlp_world_export(w, 10 * WORLD_SECOND);
	assert_int_equal(otlp_world_sum(w, "shop", "bittern.slo.events", "slo", "99@8s"), 10);
	assert_int_equal(otlp_world_sum(w, "shop", "bittern.slo.good_events", "slo", "99@8s"), 9);
	m = otlp_world_metric(w, "shop", "bittern.slo.objective");
	assert_int_equal(m->data_case, OTLP__METRIC__DATA_GAUGE);
	assert_string_equal(m->unit, "1");
	assert_true(m->gauge->data_points[0]->as_double == 0.99);
	assert_false(m->gauge->data_points[0]->has_start_time_unix_nano);
}

static void outgoing_requests_and_connections_name_the_peer(void **state)
{
	struct otlp_world *w = *state;
	union snapshot_counts counts = {.outcomes = {[OUTCOME_OK] = 3}};
	union snapshot_counts failed = {.failures = 2};
	struct snapshot_series *s = otlp_world_add_counts(w, INSTRUMENT_CLIENT_REQUESTS, counts);

	s->method = "GET";
	s->address = "cart";
	s->port = 80;
	s = otlp_world_add_counts(w, INSTRUMENT_CONNECT_FAILURES, failed);
	s->address = "10.0.0.7";
	s->error_type = "connection_refused";
	otlp_world_export(w, 10 * WORLD_SECOND);
	assert_int_equal(
		otlp_world_sum(w, "shop", "bittern.http.client.requests", "server.address", "cart"),
		3);
	assert_int_equal(otlp_world_sum(w, "shop", "bittern.client.connect.failures", "error.type",
					"connection_refused"),
			 2);
}

static void what_is_in_flight_has_a_value_while_it_can_have_one(void **state)
{
	struct otlp_world *w = *state;
	union snapshot_counts open = {.open = {.count = 2, .age_ns = 1500 * MS}};
	Otlp__NumberDataPoint *active, *oldest;
	Otlp__Metric *m;

	otlp_world_add_counts(w, INSTRUMENT_ACTIVE, open)->route = "/";
	otlp_world_add_counts(w, INSTRUMENT_OLDEST, open)->route = "/";
#define POINTS()                                                                        \
	m = otlp_world_metric(w, "shop", "http.server.active_requests");                \
	assert_false(m->sum->is_monotonic);                                             \
	active = m->sum->data_points[0];                                                \
	oldest = otlp_world_metric(w, "shop", "bittern.http.server.oldest_request.age") \
			 ->gauge->data_points[0];
	otlp_world_export(w, 10 * WORLD_SECOND);
	POINTS();
	assert_int_equal(active->as_int, 2);
	assert_int_equal(active->flags, 0);
	assert_true(oldest->as_double == 1.5);

	w->counts[0].open.count = w->counts[1].open.count = 0; /* all are answered */
	otlp_world_export(w, 11 * WORLD_SECOND);
	POINTS();
	assert_int_equal(active->value_case, OTLP__NUMBER_DATA_POINT__VALUE_AS_INT);
	assert_int_equal(active->as_int, 0);
	assert_int_equal(oldest->value_case, OTLP__NUMBER_DATA_POINT__VALUE__NOT_SET);
	assert_int_equal(oldest->flags, 1);

	w->shop.process_count = 0; /* the service has gone */
	otlp_world_export(w, 12 * WORLD_SECOND);
	POINTS();
	assert_int_equal(active->value_case, OTLP__NUMBER_DATA_POINT__VALUE__NOT_SET);
	assert_int_equal(active->flags, 1);
	assert_int_equal(oldest->flags, 1);
	m = otlp_world_metric(w, "shop", "bittern.http.server.unread_requests");
	assert_int_equal(m->gauge->data_points[0]->flags, 1);
	m = otlp_world_metric(w, "shop", "bittern.service.processes");
	assert_int_equal(m->sum->data_points[0]->as_int, 0);
	assert_int_equal(m->sum->data_points[0]->flags, 0);
#undef POINTS
}

static void what_processes_use_counts_from_when_they_were_seen(void **state)
{
	struct otlp_world *w = *state;
	struct service_process workers[] = {{.service = &w->shop, .pid = 41},
					    {.service = &w->shop, .pid = 42},
					    {.service = &w->cart, .pid = 43}};
	Otlp__Metric *m;

	w->shop.usage_since_ns = WORLD_START_NS + 2 * WORLD_SECOND;
	w->shop.usage.counters[USAGE_CPU_SYSTEM_NS] = 1500 * MS;
	w->shop.usage.has_counter[USAGE_CPU_SYSTEM_NS] = true;
	w->shop.usage.counters[USAGE_FAULTS_MAJOR] = 3;
	w->shop.usage.has_counter[USAGE_FAULTS_MAJOR] = true;
	w->shop.usage.gauges[USAGE_RESIDENT_BYTES] = 123456;
	w->shop.usage.has_gauge[USAGE_RESIDENT_BYTES] = true;
	workers[1].usage = workers[2].usage = w->shop.usage;
	w->snapshot.service_count = 2;
	w->snapshot.processes = workers;
	w->snapshot.process_count = 3;
	otlp_world_export(w, 10 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", "process.cpu.time");
	assert_string_equal(m->unit, "s");
	assert_int_equal(m->sum->n_data_points, 1); /* of user time nothing is known */
	assert_true(m->sum->data_points[0]->as_double == 1.5);
	assert_int_equal(m->sum->data_points[0]->start_time_unix_nano,
			 WORLD_START_UNIX_NS + 2 * WORLD_SECOND);
	assert_string_equal(otlp_world_string(m->sum->data_points[0]->n_attributes,
					      m->sum->data_points[0]->attributes, "cpu.mode"),
			    "system");
	assert_int_equal(otlp_world_sum(w, "shop", "process.paging.faults",
					"system.paging.fault.type", "major"),
			 3);
	m = otlp_world_metric(w, "shop", "process.memory.usage");
	assert_false(m->sum->is_monotonic);
	assert_int_equal(m->sum->data_points[0]->as_int, 123456);
	assert_null(otlp_world_metric(w, "shop", "process.thread.count"));
	for (size_t i = 1; i < 3; i++) {
		m = otlp_world_metric(w, i == 1 ? "shop" : "cart", "bittern.process.memory.usage");
		assert_int_equal(m->sum->n_data_points, 1);
		assert_int_equal(
			otlp_world_attribute(1, m->sum->data_points[0]->attributes, "process.pid")
				->int_value,
			41 + i);
	}
	assert_null(otlp_world_metric(w, "cart", "process.memory.usage"));

	w->shop.process_count = 0;
	w->snapshot.process_count = 0;
	otlp_world_export(w, 11 * WORLD_SECOND);
	m = otlp_world_metric(w, "shop", "process.memory.usage");
	assert_int_equal(m->sum->data_points[0]->flags, 1);
	assert_true(
		otlp_world_metric(w, "shop", "process.cpu.time")->sum->data_points[0]->as_double ==
		1.5);
}

static void exits_are_told_apart(void **state)
{
	struct otlp_world *w = *state;
	Otlp__Metric *m;
	size_t oom = 0;

	w->shop.exit_counts[SERVICE_EXIT_ZERO] = 3;
	w->shop.exit_counts[SIGKILL] = 2;
	w->shop.exit_counts[SERVICE_EXIT_OOM_KILLED] = 1;
	w->shop.exit_counts[40] = 4;
	otlp_world_export(w, 10 * WORLD_SECOND);
#define EXITS(key, value) otlp_world_sum(w, "shop", "bittern.service.process.exits", key, value)
	assert_int_equal(EXITS("exit_code", "zero"), 3);
	assert_int_equal(EXITS("exit_code", "nonzero"), 0);
	assert_int_equal(EXITS("signal", "SIGKILL"), 2);
	assert_int_equal(EXITS("signal", "SIG40"), 4);
#undef EXITS
	m = otlp_world_metric(w, "shop", "bittern.service.process.exits");
	for (size_t i = 0; i < m->sum->n_data_points; i++) {
		Otlp__NumberDataPoint *p = m->sum->data_points[i];

		if (!otlp_world_attribute(p->n_attributes, p->attributes, "oom"))
			continue;
		assert_int_equal(p->as_int, 1);
		oom++;
	}
	assert_int_equal(oom, 1);
}

static void series_past_the_bound_are_one_point_at_bittern(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	struct snapshot_series *s;
	Otlp__HistogramDataPoint *p;

	add_request(w, &h);
	s = otlp_world_add_histogram(w, INSTRUMENT_SERVER_DURATION, &h);
	s->service = NULL;
	s->overflow = true;
	otlp_world_export(w, 10 * WORLD_SECOND);
	p = otlp_world_metric(w, "bittern", "http.server.request.duration")
		    ->histogram->data_points[0];
	assert_int_equal(p->n_attributes, 1);
	assert_true(otlp_world_attribute(1, p->attributes, "otel.metric.overflow")->bool_value);
	assert_int_equal(p->start_time_unix_nano, WORLD_START_UNIX_NS);
	assert_int_equal(otlp_world_metric(w, "shop", "http.server.request.duration")
				 ->histogram->n_data_points,
			 1);
}

static void each_service_has_its_own_series(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);

	w->snapshot.service_count = 2;
	add_request(w, &h);
	add_request(w, &h)->service = &w->cart;
	add_request(w, &h)->service = &w->cart;
	otlp_world_add_counts(w, INSTRUMENT_SERVER_REQUESTS,
			      (union snapshot_counts){.outcomes = {5}})
		->service = &w->cart;
	otlp_world_export(w, 10 * WORLD_SECOND);
#define POINTS(service) \
	otlp_world_metric(w, service, "http.server.request.duration")->histogram->n_data_points
	assert_int_equal(POINTS("shop"), 1);
	assert_int_equal(POINTS("cart"), 2);
#undef POINTS
	assert_null(otlp_world_metric(w, "shop", "bittern.http.server.requests"));
	assert_int_equal(otlp_world_sum(w, "cart", "bittern.http.server.requests", "outcome", "ok"),
			 5);
}

static void bytes_that_are_no_utf_8_are_replaced(void **state)
{
	struct otlp_world *w = *state;
	struct histogram h = durations(&histogram_duration_bounds);
	Otlp__HistogramDataPoint *p;

	add_request(w, &h)->route = "/caf\xe9/\xc3\xa9";
	otlp_world_export(w, 10 * WORLD_SECOND);
	p = otlp_world_metric(w, "shop", "http.server.request.duration")->histogram->data_points[0];
	assert_string_equal(otlp_world_string(p->n_attributes, p->attributes, "http.route"),
			    "/caf\xef\xbf\xbd/\xc3\xa9");
}

static void numbers_about_bittern_have_names_and_units_of_opentelemetry(void **state)
{
	struct otlp_world *w = *state;
	Otlp__Metric *m;

	w->self[0] = (struct self_metric){
		"bittern_agent_cpu_seconds_total", "CPU.", SELF_COUNTER, NULL, NULL, 1.25};
	w->self[1] = (struct self_metric){
		"bittern_agent_losses_total", "Lost.", SELF_COUNTER, "cause", "ring_full", 7};
	w->self[2] = (struct self_metric){
		"bittern_agent_losses_total", "Lost.", SELF_COUNTER, "cause", "gap", 8};
	w->self[3] = (struct self_metric){
		"bittern_agent_resident_memory_bytes", "RSS.", SELF_GAUGE, NULL, NULL, 9e6};
	w->self[4] = (struct self_metric){
		"bittern_agent_otlp_sent_bytes_total", "Sent.", SELF_COUNTER, NULL, NULL, 99};
	w->snapshot.self_count = 5;
	otlp_world_export(w, 10 * WORLD_SECOND);
	m = otlp_world_metric(w, "bittern", "bittern.agent.otlp.sent");
	assert_string_equal(m->unit, "By");
	assert_int_equal(m->sum->data_points[0]->as_int, 99);
	m = otlp_world_metric(w, "bittern", "bittern.agent.cpu");
	assert_string_equal(m->unit, "s");
	assert_string_equal(m->description, "CPU.");
	assert_true(m->sum->is_monotonic);
	assert_true(m->sum->data_points[0]->as_double == 1.25);
	assert_int_equal(m->sum->data_points[0]->start_time_unix_nano, WORLD_START_UNIX_NS);
	assert_int_equal(otlp_world_sum(w, "bittern", "bittern.agent.losses", "cause", "ring_full"),
			 7);
	assert_int_equal(otlp_world_sum(w, "bittern", "bittern.agent.losses", "cause", "gap"), 8);
	m = otlp_world_metric(w, "bittern", "bittern.agent.resident_memory");
	assert_string_equal(m->unit, "By");
	assert_int_equal(m->gauge->data_points[0]->as_int, 9000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, otlp_world_open, otlp_world_close)
	const struct CMUnitTest tests[] = {
		TEST(a_service_is_a_resource_and_bittern_another),
		TEST(what_the_user_says_of_resources_wins_but_service_names_bittern_alone),
		TEST(a_duration_is_a_histogram_with_all_its_attributes),
		TEST(a_base_2_histogram_has_scale_zero_and_trimmed_buckets),
		TEST(a_series_counts_from_when_its_service_was_found),
		TEST(times_rise_though_the_clock_is_set_back),
		TEST(a_point_is_not_before_its_start),
		TEST(requests_are_a_monotonic_sum_by_outcome),
		TEST(an_objective_is_two_counters_and_a_gauge),
		TEST(outgoing_requests_and_connections_name_the_peer),
		TEST(what_is_in_flight_has_a_value_while_it_can_have_one),
		TEST(what_processes_use_counts_from_when_they_were_seen),
		TEST(exits_are_told_apart),
		TEST(series_past_the_bound_are_one_point_at_bittern),
		TEST(each_service_has_its_own_series),
		TEST(bytes_that_are_no_utf_8_are_replaced),
		TEST(numbers_about_bittern_have_names_and_units_of_opentelemetry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
