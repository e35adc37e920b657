// SPDX-License-Identifier: Apache-2.0
/* The families of all instruments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../exporters/prometheus.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct world {
	struct service shop;
	const struct service *services[1];
	struct histogram duration;
	union snapshot_counts counts[8];
	struct snapshot_series series[16];
	struct snapshot snapshot;
	char *page;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->shop.name, "shop");
	w->shop.process_count = 1;
	w->services[0] = &w->shop;
	histogram_init(&w->duration);
	histogram_add(&w->duration, &histogram_fine_bounds, 300000);
	w->snapshot = (struct snapshot){.version = "1",
					.services = w->services,
					.service_count = 1,
					.series = w->series,
					.host_name = "",
					.host_id = ""};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	free(((struct world *)*state)->page);
	free(*state);
	return 0;
}

/* Adds one and gives it; in the order of a snapshot. */
static struct snapshot_series *add(struct world *w, enum instrument instrument)
{
	struct snapshot_series *s = &w->series[w->snapshot.series_count++];

	*s = (struct snapshot_series){.instrument = instrument, .service = &w->shop};
	return s;
}

static struct snapshot_series *add_counts(struct world *w, enum instrument instrument,
					  union snapshot_counts counts)
{
	struct snapshot_series *s = add(w, instrument);
	size_t i = w->snapshot.series_count - 1;

	w->counts[i] = counts;
	s->counts = &w->counts[i];
	return s;
}

static void render(struct world *w)
{
	struct text text = {};

	free(w->page);
	assert_int_equal(prometheus_render(&text, &w->snapshot, EXPOSITION_TEXT), 0);
	text_add(&text, "", 1);
	w->page = text.data;
}

static void assert_holds(const struct world *w, const char *text)
{
	if (!strstr(w->page, text))
		fail_msg("no %s in %s", text, w->page);
}

static void assert_lacks(const struct world *w, const char *text)
{
	if (strstr(w->page, text))
		fail_msg("%s in %s", text, w->page);
}

static void all_outcomes_of_a_route_are_lines(void **state)
{
	struct world *w = *state;
	struct snapshot_series *s = add_counts(
		w, INSTRUMENT_SERVER_REQUESTS,
		(union snapshot_counts){.outcomes = {[OUTCOME_OK] = 963, [OUTCOME_TIMEOUT] = 37}});

	s->route = "/orders";
	s->method = "GET";
	render(w);
#define LINE(outcome, n)                                                                \
	"bittern_http_server_requests_total{service_name=\"shop\",http_request_method=" \
	"\"GET\",http_route=\"/orders\",outcome=\"" outcome "\"} " n "\n"
	assert_holds(w, "# TYPE bittern_http_server_requests_total counter\n" LINE("ok", "963")
				LINE("error", "0") LINE("timeout", "37") LINE("aborted", "0")
					LINE("no_response", "0") "# ");
#undef LINE
}

static void outgoing_requests_have_the_peer_and_no_route(void **state)
{
	struct world *w = *state;
	struct snapshot_series *s = add(w, INSTRUMENT_CLIENT_DURATION);

	*s = (struct snapshot_series){.instrument = INSTRUMENT_CLIENT_DURATION,
				      .service = &w->shop,
				      .method = "POST",
				      .scheme = "http",
				      .address = "backend",
				      .error_type = "404",
				      .protocol_version = "1.1",
				      .status = 404,
				      .port = 8080,
				      .duration = &w->duration,
				      .bounds = &histogram_duration_bounds};
	s = add_counts(w, INSTRUMENT_CLIENT_REQUESTS,
		       (union snapshot_counts){.outcomes = {[OUTCOME_ERROR] = 1}});
	s->method = "POST";
	s->address = "backend";
	s->port = 8080;
	s = add_counts(w, INSTRUMENT_CONNECT_FAILURES, (union snapshot_counts){.failures = 3});
	s->address = "10.0.0.7";
	s->port = 8081;
	s->error_type = "connection_refused";
	render(w);
	assert_holds(w, "\nhttp_client_request_duration_seconds_count{service_name=\"shop\","
			"http_request_method=\"POST\",url_scheme=\"http\",server_address="
			"\"backend\",http_response_status_code=\"404\",error_type=\"404\","
			"network_protocol_version=\"1.1\",server_port=\"8080\"} 1\n");
	assert_holds(w, "\nbittern_http_client_requests_total{service_name=\"shop\","
			"http_request_method=\"POST\",server_address=\"backend\",server_port="
			"\"8080\",outcome=\"error\"} 1\n");
	assert_holds(w, "# TYPE bittern_client_connect_failures_total counter\n"
			"bittern_client_connect_failures_total{service_name=\"shop\","
			"server_address=\"10.0.0.7\",error_type=\"connection_refused\","
			"server_port=\"8081\"} 3\n");
}

static void each_histogram_has_the_bounds_of_its_series(void **state)
{
	struct world *w = *state;
	static const struct {
		enum instrument instrument;
		const struct histogram_bounds *bounds;
	} cases[] = {{INSTRUMENT_SERVER_DURATION, &histogram_duration_bounds},
		     {INSTRUMENT_TIME_TO_FIRST_BYTE, &histogram_fine_bounds},
		     {INSTRUMENT_QUEUE_DURATION, &histogram_fine_bounds}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct snapshot_series *s = add(w, cases[i].instrument);

		s->duration = &w->duration;
		s->bounds = cases[i].bounds;
	}
	render(w);
#define TTFB "bittern_http_server_time_to_first_byte_seconds"
#define QUEUE "bittern_http_server_queue_duration_seconds"
#define BUCKET(name, le, n) name "_bucket{service_name=\"shop\",le=\"" le "\"} " n "\n"
	assert_holds(w, "# TYPE " TTFB " histogram\n" BUCKET(TTFB, "0.0001", "0")
				BUCKET(TTFB, "0.0005", "1") BUCKET(TTFB, "0.001", "1")
					BUCKET(TTFB, "0.005", "1") BUCKET(TTFB, "0.01", "1"));
	assert_holds(w, "# TYPE " QUEUE " histogram\n" BUCKET(QUEUE, "0.0001", "0"));
	assert_holds(w, BUCKET(QUEUE, "60", "1") BUCKET(QUEUE, "+Inf", "1") QUEUE
		     "_sum{service_name=\"shop\"} 0.0003\n" QUEUE
		     "_count{service_name=\"shop\"} 1\n");
	assert_holds(w, "# TYPE http_server_request_duration_seconds histogram\n"
			"http_server_request_duration_seconds_bucket{service_name=\"shop\",le="
			"\"0.005\"} ");
#undef BUCKET
}

static void an_objective_is_three_families(void **state)
{
	struct world *w = *state;
	struct snapshot_series *s =
		add_counts(w, INSTRUMENT_SLO,
			   (union snapshot_counts){.slo = {.events = 1000, .good_events = 963}});

	s->route = "/orders";
	s->slo = "99@8s";
	s->slo_ratio = 0.99;
	render(w);
#define LABELS "{service_name=\"shop\",http_route=\"/orders\",slo=\"99@8s\"} "
	assert_holds(w, "# TYPE bittern_slo_events_total counter\n"
			"bittern_slo_events_total" LABELS "1000\n");
	assert_holds(w, "# TYPE bittern_slo_good_events_total counter\n"
			"bittern_slo_good_events_total" LABELS "963\n");
	assert_holds(w, "# TYPE bittern_slo_objective_ratio gauge\n"
			"bittern_slo_objective_ratio" LABELS "0.99\n");
	w->shop.process_count = 0; /* what the counters are divided by stays with them */
	render(w);
	assert_holds(w, "bittern_slo_objective_ratio" LABELS "0.99\n");
#undef LABELS
}

static void add_gauges(struct world *w)
{
	struct snapshot_series *s =
		add_counts(w, INSTRUMENT_ACTIVE, (union snapshot_counts){.open = {2, 0}});

	s->route = "/orders";
	s->method = "GET";
	s->scheme = "http";
	s->port = 8000;
	s = add_counts(w, INSTRUMENT_OLDEST, (union snapshot_counts){.open = {2, 1500000000}});
	s->route = "/orders";
	w->shop.unread_count = 5;
}

static void what_is_in_flight_is_a_gauge(void **state)
{
	struct world *w = *state;

	add_gauges(w);
	render(w);
	assert_holds(w, "# TYPE http_server_active_requests gauge\n"
			"http_server_active_requests{service_name=\"shop\",http_request_method="
			"\"GET\",url_scheme=\"http\",http_route=\"/orders\",server_port=\"8000\"} "
			"2\n");
	assert_holds(w, "# TYPE bittern_http_server_oldest_request_age_seconds gauge\n"
			"bittern_http_server_oldest_request_age_seconds{service_name=\"shop\","
			"http_route=\"/orders\"} 1.5\n");
	assert_holds(w, "# TYPE bittern_http_server_unread_requests gauge\n"
			"bittern_http_server_unread_requests{service_name=\"shop\"} 5\n");
}

static void there_is_no_oldest_of_no_requests(void **state)
{
	struct world *w = *state;

	add_gauges(w);
	w->counts[0].open.count = 0;
	w->counts[1].open.count = 0;
	render(w);
	assert_holds(w, "server_port=\"8000\"} 0\n");
	assert_lacks(w, "bittern_http_server_oldest_request_age_seconds");
	w->counts[1].open.count = 1;
	w->counts[1].open.age_ns = 0; /* begun this very moment */
	render(w);
	assert_holds(w, "bittern_http_server_oldest_request_age_seconds{service_name=\"shop\","
			"http_route=\"/orders\"} 0\n");
}

static void gauges_end_with_the_last_process_and_counters_stay(void **state)
{
	struct world *w = *state;

	add_counts(w, INSTRUMENT_SERVER_REQUESTS, (union snapshot_counts){.outcomes = {1}})->route =
		"/orders";
	add_gauges(w);
	w->shop.process_count = 0;
	render(w);
	assert_lacks(w, "http_server_active_requests");
	assert_lacks(w, "bittern_http_server_oldest_request_age_seconds");
	assert_lacks(w, "bittern_http_server_unread_requests");
	assert_holds(w, "outcome=\"ok\"} 1\n");
	assert_holds(w, "bittern_service_info{service_name=\"shop\"} 1\n");
}

static void what_overflows_keeps_its_outcome_and_no_other_label(void **state)
{
	struct world *w = *state;
	static const enum instrument instruments[] = {INSTRUMENT_SERVER_REQUESTS, INSTRUMENT_SLO,
						      INSTRUMENT_ACTIVE, INSTRUMENT_OLDEST};
	static const union snapshot_counts counts[] = {{.outcomes = {[OUTCOME_ABORTED] = 4}},
						       {.slo = {7, 6}},
						       {.open = {3, 0}},
						       {.open = {3, 1000000000}}};

	for (size_t i = 0; i < COUNT(instruments); i++) {
		struct snapshot_series *s = add_counts(w, instruments[i], counts[i]);

		s->overflow = true;
		s->service = NULL;
	}
	render(w);
	assert_holds(w, "\nbittern_http_server_requests_total{otel_metric_overflow=\"true\","
			"outcome=\"aborted\"} 4\n");
	assert_holds(w, "\nbittern_slo_events_total{otel_metric_overflow=\"true\"} 7\n");
	assert_holds(w, "\nbittern_slo_good_events_total{otel_metric_overflow=\"true\"} 6\n");
	assert_lacks(w, "bittern_slo_objective_ratio"); /* there is none of several */
	assert_holds(w, "\nhttp_server_active_requests{otel_metric_overflow=\"true\"} 3\n");
	assert_holds(w, "\nbittern_http_server_oldest_request_age_seconds{otel_metric_overflow="
			"\"true\"} 1\n");
}

static void families_come_once_in_a_fixed_order(void **state)
{
	static const char *const families[] = {
		"http_server_request_duration_seconds",
		"bittern_http_server_requests_total",
		"http_server_active_requests",
		"bittern_http_server_oldest_request_age_seconds",
		"bittern_http_server_queue_duration_seconds",
		"bittern_http_server_time_to_first_byte_seconds",
		"http_client_request_duration_seconds",
		"bittern_http_client_requests_total",
		"bittern_client_connect_failures_total",
		"bittern_slo_events_total",
		"bittern_slo_good_events_total",
		"bittern_slo_objective_ratio",
		"bittern_http_server_unread_requests",
		"bittern_service_undecoded_connections_total",
	};
	struct world *w = *state;
	union snapshot_counts one = {.open = {1, 1}};
	char *at;

	for (enum instrument i = 0; i < INSTRUMENT_COUNT; i++) {
		struct snapshot_series *s = add(w, i);

		if (i <= INSTRUMENT_CLIENT_DURATION) {
			s->duration = &w->duration;
			s->bounds = &histogram_duration_bounds;
		} else {
			s->counts = &one;
		}
	}
	render(w);
	at = w->page;
	for (size_t i = 0; i < COUNT(families); i++) {
		char type[100];

		snprintf(type, sizeof(type), "# TYPE %s ", families[i]);
		at = strstr(at, type);
		assert_non_null(at);
		assert_null(strstr(at + 1, type));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_outcomes_of_a_route_are_lines),
		TEST(outgoing_requests_have_the_peer_and_no_route),
		TEST(each_histogram_has_the_bounds_of_its_series),
		TEST(an_objective_is_three_families),
		TEST(what_is_in_flight_is_a_gauge),
		TEST(there_is_no_oldest_of_no_requests),
		TEST(gauges_end_with_the_last_process_and_counters_stay),
		TEST(what_overflows_keeps_its_outcome_and_no_other_label),
		TEST(families_come_once_in_a_fixed_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
