// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../agent/aggregate.h"
#include "../agent/http.h"
#include "../agent/limits.h"

#define MS 1000000ull
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Two services with routes, and a table. */
struct world {
	struct aggregate *aggregate;
	struct service shop, auth;
	const struct route *orders, *login;
	const struct slo slo;
};

static const struct route *place(struct service *service, const char *path)
{
	char template[ROUTES_TEMPLATE_MAX];
	size_t len = routes_fold(service->routes, path, strlen(path), template);

	return routes_place(service->routes, template, len, 200);
}

static int open_world(void **state, size_t max_series)
{
	struct world *w = calloc(1, sizeof(*w));

	memcpy((struct slo *)&w->slo, &(struct slo){.ratio = 0.99, .text = "99@8s"},
	       sizeof(w->slo));
	w->shop.id = 1;
	w->auth.id = 2;
	assert_int_equal(routes_open(&w->shop.routes, NULL, "shop", 100), 0);
	assert_int_equal(routes_open(&w->auth.routes, NULL, "auth", 100), 0);
	w->orders = place(&w->shop, "/orders");
	w->login = place(&w->auth, "/login");
	assert_int_equal(aggregate_open(&w->aggregate, max_series), 0);
	*state = w;
	return 0;
}

static int set_up(void **state)
{
	return open_world(state, 1000);
}

#define SMALL 10

static int set_up_small(void **state)
{
	return open_world(state, SMALL);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	aggregate_close(w->aggregate);
	routes_close(w->shop.routes);
	routes_close(w->auth.routes);
	free(w);
	return 0;
}

/* Every attribute that a request of shop can have. */
static struct series_key full_key(const struct world *w, enum instrument instrument)
{
	return (struct series_key){
		.service = &w->shop,
		.route = w->orders,
		.address = "backend",
		.slo = &w->slo,
		.status = 200,
		.port = 8000,
		.method = HTTP_GET,
		.version = 11,
		.scheme = SCHEME_HTTP,
		.instrument = instrument,
	};
}

static size_t snapshot_count(struct world *w)
{
	size_t count;

	assert_non_null(aggregate_snapshot(w->aggregate, &count));
	return count;
}

/* The only series of this instrument. */
static const struct snapshot_series *only(struct world *w, enum instrument instrument)
{
	const struct snapshot_series *list, *found = NULL;
	size_t count;

	list = aggregate_snapshot(w->aggregate, &count);
	for (size_t i = 0; i < count; i++) {
		if (list[i].instrument != instrument)
			continue;
		assert_null(found);
		found = &list[i];
	}
	assert_non_null(found);
	return found;
}

static void assert_text(const char *text, const char *expected)
{
	assert_string_equal(text ? text : "(none)", expected ? expected : "(none)");
}

static void each_instrument_has_its_attributes_and_no_other(void **state)
{
	static const struct {
		const char *method, *scheme, *route, *version, *address, *slo;
		uint16_t status, port;
	} wanted[INSTRUMENT_COUNT] = {
		[INSTRUMENT_SERVER_DURATION] = {"GET", "http", "/orders", "1.1", NULL, NULL, 200,
						8000},
		[INSTRUMENT_TIME_TO_FIRST_BYTE] = {"GET", "http", "/orders", "1.1", NULL, NULL, 200,
						   8000},
		[INSTRUMENT_QUEUE_DURATION] = {.port = 8000},
		[INSTRUMENT_CLIENT_DURATION] = {"GET", "http", NULL, "1.1", "backend", NULL, 200,
						8000},
		[INSTRUMENT_SERVER_REQUESTS] = {.method = "GET", .route = "/orders"},
		[INSTRUMENT_CLIENT_REQUESTS] = {.method = "GET",
						.address = "backend",
						.port = 8000},
		[INSTRUMENT_CONNECT_FAILURES] = {.address = "backend", .port = 8000},
		[INSTRUMENT_COST] = {.route = "/orders"},
		[INSTRUMENT_SLO] = {.route = "/orders", .slo = "99@8s"},
		[INSTRUMENT_ACTIVE] = {.method = "GET",
				       .scheme = "http",
				       .route = "/orders",
				       .port = 8000},
		[INSTRUMENT_OLDEST] = {.route = "/orders"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < INSTRUMENT_COUNT; i++) {
		struct series_key key = full_key(w, i);
		const struct snapshot_series *s;

		aggregate_touch(w->aggregate, &key);
		s = only(w, i);
		assert_ptr_equal(s->service, &w->shop);
		assert_text(s->method, wanted[i].method);
		assert_text(s->scheme, wanted[i].scheme);
		assert_text(s->route, wanted[i].route);
		assert_text(s->protocol_version, wanted[i].version);
		assert_text(s->address, wanted[i].address);
		assert_text(s->slo, wanted[i].slo);
		assert_text(s->error_type, NULL);
		assert_int_equal(s->status, wanted[i].status);
		assert_int_equal(s->port, wanted[i].port);
		assert_false(s->overflow);
		assert_true(!s->duration == !s->bounds && !s->duration == !!s->counts);
	}
	assert_true(only(w, INSTRUMENT_SLO)->slo_ratio == 0.99);
	assert_int_equal(aggregate_series_count(w->aggregate), INSTRUMENT_COUNT);
}

/* A difference in what an instrument does not show must not make two series that look the same. */
static void attributes_that_an_instrument_lacks_make_no_series(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < INSTRUMENT_COUNT; i++) {
		struct series_key key = full_key(w, i);
		bool client = i == INSTRUMENT_CLIENT_DURATION || i == INSTRUMENT_CLIENT_REQUESTS ||
			      i == INSTRUMENT_CONNECT_FAILURES;

		aggregate_touch(w->aggregate, &key);
		if (client || i == INSTRUMENT_QUEUE_DURATION)
			key.route = NULL;
		if (!client)
			key.address = "another";
		if (i != INSTRUMENT_SLO)
			key.slo = NULL;
		if (i > INSTRUMENT_CLIENT_DURATION || i == INSTRUMENT_QUEUE_DURATION) {
			key.status = 503;
			key.version = 10;
			key.error_type = i == INSTRUMENT_CONNECT_FAILURES ? NULL : "timeout";
		}
		aggregate_touch(w->aggregate, &key);
		assert_int_equal(aggregate_series_count(w->aggregate), i + 1);
	}
}

static void each_attribute_that_it_has_makes_a_series(void **state)
{
	struct world *w = *state;
	struct series_key keys[9];

	for (size_t i = 0; i < COUNT(keys); i++)
		keys[i] = full_key(w, INSTRUMENT_SERVER_DURATION);
	keys[1].service = &w->auth;
	keys[2].route = NULL;
	keys[3].status = 201;
	keys[4].port = 8001;
	keys[5].method = HTTP_OTHER;
	keys[6].version = 10;
	keys[7].scheme = SCHEME_HTTPS;
	keys[8].error_type = "timeout";
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(keys); i++) {
			aggregate_observe(w->aggregate, &keys[i], i * MS);
			assert_int_equal(aggregate_series_count(w->aggregate),
					 round ? COUNT(keys) : i + 1);
		}
	}
}

static void an_error_type_is_the_status_where_none_is_given(void **state)
{
	static const struct {
		uint8_t instrument;
		uint16_t status;
		const char *given, *expected;
	} cases[] = {
		{INSTRUMENT_SERVER_DURATION, 200, NULL, NULL},
		{INSTRUMENT_SERVER_DURATION, 499, NULL, NULL},
		{INSTRUMENT_SERVER_DURATION, 500, NULL, "500"},
		{INSTRUMENT_SERVER_DURATION, 0, "connection_reset", "connection_reset"},
		{INSTRUMENT_TIME_TO_FIRST_BYTE, 404, NULL, NULL},
		{INSTRUMENT_TIME_TO_FIRST_BYTE, 503, NULL, "503"},
		{INSTRUMENT_CLIENT_DURATION, 399, NULL, NULL},
		{INSTRUMENT_CLIENT_DURATION, 400, NULL, "400"},
		{INSTRUMENT_CLIENT_DURATION, 999, NULL, "999"},
		{INSTRUMENT_CLIENT_DURATION, 0, "timeout", "timeout"},
		{INSTRUMENT_CONNECT_FAILURES, 0, "connection_refused", "connection_refused"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct series_key key = full_key(w, cases[i].instrument);

		key.status = cases[i].status;
		key.error_type = cases[i].given;
		aggregate_touch(w->aggregate, &key);
		assert_text(only(w, cases[i].instrument)->error_type, cases[i].expected);
		aggregate_forget(w->aggregate, &w->shop);
	}
}

static void what_was_not_read_has_no_method(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_SERVER_REQUESTS);

	key.route = routes_unread(w->shop.routes);
	key.method = HTTP_OTHER;
	aggregate_count(w->aggregate, &key, OUTCOME_TIMEOUT);
	assert_text(only(w, INSTRUMENT_SERVER_REQUESTS)->route, "{unread}");
	assert_text(only(w, INSTRUMENT_SERVER_REQUESTS)->method, NULL);
}

static void values_go_to_the_histogram_with_the_bounds_of_the_instrument(void **state)
{
	static const struct {
		enum instrument instrument;
		const struct histogram_bounds *bounds;
		size_t bucket; /* of 0.3 ms */
	} cases[] = {
		{INSTRUMENT_SERVER_DURATION, &histogram_duration_bounds, 0},
		{INSTRUMENT_CLIENT_DURATION, &histogram_duration_bounds, 0},
		{INSTRUMENT_QUEUE_DURATION, &histogram_fine_bounds, 1},
		{INSTRUMENT_TIME_TO_FIRST_BYTE, &histogram_fine_bounds, 1},
	};
	struct world *w = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct series_key key = full_key(w, cases[i].instrument);
		const struct snapshot_series *s;

		aggregate_observe(w->aggregate, &key, 300000);
		aggregate_observe(w->aggregate, &key, 300000);
		aggregate_observe(w->aggregate, &key, 90000 * MS);
		s = only(w, cases[i].instrument);
		assert_ptr_equal(s->bounds, cases[i].bounds);
		assert_int_equal(s->duration->count, 3);
		assert_int_equal(s->duration->sum_ns, 90000 * MS + 600000);
		assert_int_equal(s->duration->explicit_counts[cases[i].bucket], 2);
		assert_int_equal(s->duration->explicit_counts[cases[i].bounds->count], 1);
	}
}

static void all_outcomes_exist_from_the_first_request_on(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_SERVER_REQUESTS);
	const union snapshot_counts *counts;

	aggregate_touch(w->aggregate, &key);
	counts = only(w, INSTRUMENT_SERVER_REQUESTS)->counts;
	for (size_t i = 0; i < OUTCOME_COUNT; i++)
		assert_int_equal(counts->outcomes[i], 0);
	for (size_t i = 0; i < OUTCOME_COUNT; i++) {
		for (size_t n = 0; n <= i; n++)
			aggregate_count(w->aggregate, &key, i);
	}
	for (size_t i = 0; i < OUTCOME_COUNT; i++)
		assert_int_equal(counts->outcomes[i], i + 1);
	assert_int_equal(aggregate_series_count(w->aggregate), 1);
}

static void failures_and_objectives_are_counted(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_CONNECT_FAILURES);

	key.error_type = "connection_refused";
	aggregate_fail(w->aggregate, &key);
	aggregate_fail(w->aggregate, &key);
	assert_int_equal(only(w, INSTRUMENT_CONNECT_FAILURES)->counts->failures, 2);
	key = full_key(w, INSTRUMENT_SLO);
	aggregate_slo(w->aggregate, &key, true);
	aggregate_slo(w->aggregate, &key, false);
	aggregate_slo(w->aggregate, &key, true);
	assert_int_equal(only(w, INSTRUMENT_SLO)->counts->slo.events, 3);
	assert_int_equal(only(w, INSTRUMENT_SLO)->counts->slo.good_events, 2);
}

static void requests_in_flight_are_those_told_since_begin(void **state)
{
	struct world *w = *state;
	struct series_key get = full_key(w, INSTRUMENT_ACTIVE), post = get;
	const struct snapshot_series *list;
	size_t count;

	post.method = HTTP_POST;
	for (int round = 0; round < 2; round++) {
		aggregate_active_begin(w->aggregate);
		aggregate_active(w->aggregate, &get, 5 * MS);
		aggregate_active(w->aggregate, &get, 7 * MS);
		aggregate_active(w->aggregate, &post, 6 * MS);
		list = aggregate_snapshot(w->aggregate, &count);
		assert_int_equal(count, 3);
		assert_text(list[0].method, "GET");
		assert_int_equal(list[0].counts->open.count, 2);
		assert_text(list[1].method, "POST");
		assert_int_equal(list[1].counts->open.count, 1);
		assert_int_equal(list[2].instrument, INSTRUMENT_OLDEST);
		assert_int_equal(list[2].counts->open.count, 3);
		assert_int_equal(list[2].counts->open.age_ns, 7 * MS);
	}
	aggregate_active_begin(w->aggregate);
	aggregate_active(w->aggregate, &post, 0);
	list = aggregate_snapshot(w->aggregate, &count);
	assert_int_equal(count, 3);
	assert_int_equal(list[0].counts->open.count, 0);
	assert_int_equal(list[1].counts->open.count, 1);
	assert_int_equal(list[2].counts->open.count, 1); /* an age of 0 is one */
	assert_int_equal(list[2].counts->open.age_ns, 0);
	aggregate_active_begin(w->aggregate);
	assert_int_equal(snapshot_count(w), 3);
	assert_int_equal(only(w, INSTRUMENT_OLDEST)->counts->open.count, 0);
}

static void what_is_unread_has_an_age_and_is_not_active(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_OLDEST);

	key.route = routes_unread(w->shop.routes);
	aggregate_active_begin(w->aggregate);
	aggregate_active(w->aggregate, &key, 9 * MS);
	assert_int_equal(snapshot_count(w), 1);
	assert_text(only(w, INSTRUMENT_OLDEST)->route, "{unread}");
	assert_int_equal(only(w, INSTRUMENT_OLDEST)->counts->open.age_ns, 9 * MS);
}

static void a_snapshot_is_by_instrument_then_service_then_creation(void **state)
{
	static const enum instrument instruments[] = {INSTRUMENT_SLO, INSTRUMENT_SERVER_REQUESTS};
	struct world *w = *state;
	const struct snapshot_series *list;
	size_t count;

	for (size_t i = 0; i < COUNT(instruments); i++) {
		for (uint32_t n = 0; n < 6; n++) {
			struct series_key key = full_key(w, instruments[i]);
			char path[8];

			key.service = n % 2 ? &w->shop : &w->auth;
			snprintf(path, sizeof(path), "/%c", (char)('z' - n));
			key.route = place(n % 2 ? &w->shop : &w->auth, path);
			aggregate_touch(w->aggregate, &key);
		}
	}
	list = aggregate_snapshot(w->aggregate, &count);
	assert_int_equal(count, 12);
	for (size_t i = 0; i < count; i++) {
		static const char *const routes[] = {"/y", "/w", "/u", "/z", "/x", "/v"};

		assert_int_equal(list[i].instrument,
				 i < 6 ? INSTRUMENT_SERVER_REQUESTS : INSTRUMENT_SLO);
		assert_int_equal(list[i].service->id, i % 6 < 3 ? 1 : 2);
		assert_string_equal(list[i].route, routes[i % 6]);
	}
}

static void past_the_bound_each_instrument_has_one_overflow_series(void **state)
{
	struct world *w = *state;
	const struct snapshot_series *list;
	size_t count, overflows = 0;

	for (uint16_t i = 0; i < SMALL; i++) {
		struct series_key key = full_key(w, INSTRUMENT_SERVER_DURATION);

		key.status = 200 + i;
		aggregate_observe(w->aggregate, &key, MS);
	}
	for (uint16_t i = 0; i < 20; i++) {
		struct series_key key = full_key(w, INSTRUMENT_SERVER_DURATION);

		key.status = 200 + i;
		aggregate_observe(w->aggregate, &key, MS);
		key.instrument = INSTRUMENT_SERVER_REQUESTS;
		aggregate_count(w->aggregate, &key, i % OUTCOME_COUNT);
		key.instrument = INSTRUMENT_SLO;
		aggregate_slo(w->aggregate, &key, i % 2);
		key.instrument = INSTRUMENT_CONNECT_FAILURES;
		aggregate_fail(w->aggregate, &key);
		key.instrument = INSTRUMENT_QUEUE_DURATION;
		aggregate_observe(w->aggregate, &key, MS);
		key.instrument = INSTRUMENT_ACTIVE;
		aggregate_active(w->aggregate, &key, (20 - i) * MS);
	}
	assert_int_equal(aggregate_series_count(w->aggregate), SMALL);
	list = aggregate_snapshot(w->aggregate, &count);
	assert_int_equal(count, SMALL + 7);
	for (size_t i = 0; i < count; i++) {
		overflows += list[i].overflow;
		assert_int_equal(list[i].overflow, !list[i].service);
		assert_true(!i || list[i - 1].instrument <= list[i].instrument);
		assert_true(!list[i].overflow || (!list[i].method && !list[i].route &&
						  !list[i].scheme && !list[i].port));
	}
	assert_int_equal(overflows, 7);
	assert_true(list[SMALL].overflow); /* the last of its instrument */
	assert_int_equal(list[SMALL].duration->count, 10);
	for (size_t i = 0; i < OUTCOME_COUNT; i++)
		assert_int_equal(only(w, INSTRUMENT_SERVER_REQUESTS)->counts->outcomes[i], 4);
	assert_int_equal(only(w, INSTRUMENT_SLO)->counts->slo.events, 20);
	assert_int_equal(only(w, INSTRUMENT_SLO)->counts->slo.good_events, 10);
	assert_null(only(w, INSTRUMENT_SLO)->slo);
	assert_int_equal(only(w, INSTRUMENT_CONNECT_FAILURES)->counts->failures, 20);
	assert_int_equal(only(w, INSTRUMENT_QUEUE_DURATION)->duration->count, 20);
	assert_int_equal(only(w, INSTRUMENT_ACTIVE)->counts->open.count, 20);
	assert_int_equal(only(w, INSTRUMENT_OLDEST)->counts->open.age_ns, 20 * MS);
	assert_int_equal(aggregate_overflow_count(w->aggregate), 10 + 20 + 20 + 20 + 20);
	aggregate_active_begin(w->aggregate);
	assert_int_equal(only(w, INSTRUMENT_ACTIVE)->counts->open.count, 0);
	aggregate_active_begin(w->aggregate);
}

static void a_forgotten_service_gives_its_places_back(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_ACTIVE), other = key;
	const struct snapshot_series *list;
	size_t count;

	other.service = &w->auth;
	other.route = w->login;
	for (int round = 0; round < 3; round++) {
		for (uint16_t i = 0; i < 3; i++) {
			struct series_key duration = full_key(w, INSTRUMENT_SERVER_DURATION);

			duration.status = 200 + i;
			aggregate_observe(w->aggregate, &duration, MS);
		}
		aggregate_active(w->aggregate, &key, MS);
		aggregate_active(w->aggregate, &other, MS);
		assert_int_equal(aggregate_series_count(w->aggregate), 7);
		aggregate_forget(w->aggregate, &w->shop);
		assert_int_equal(aggregate_series_count(w->aggregate), 2);
		aggregate_active_begin(w->aggregate); /* of what is left */
		list = aggregate_snapshot(w->aggregate, &count);
		assert_int_equal(count, 2);
		assert_ptr_equal(list[0].service, &w->auth);
		assert_int_equal(list[0].counts->open.count, 0);
		assert_ptr_equal(list[1].service, &w->auth);
	}
	assert_int_equal(aggregate_overflow_count(w->aggregate), 0);
}

static void a_snapshot_follows_its_values_without_being_made_anew(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_SERVER_DURATION);
	const struct snapshot_series *before;
	size_t count;

	before = aggregate_snapshot(w->aggregate, &count);
	assert_int_equal(count, 0);
	aggregate_observe(w->aggregate, &key, MS);
	before = aggregate_snapshot(w->aggregate, &count);
	assert_int_equal(count, 1);
	aggregate_observe(w->aggregate, &key, MS);
	assert_ptr_equal(aggregate_snapshot(w->aggregate, &count), before);
	assert_int_equal(before->duration->count, 2);
}

/* What a request costs here: its duration, queue time, outcome and objective. */
static void known_series_cost_no_memory_and_little_time(void **state)
{
	struct world *w = *state;
	struct timespec start, end;
	struct mallinfo2 before = {}, after = {};
	const int rounds = 200000;
	double ns;

	for (int i = -1; i < rounds; i++) {
		struct series_key key = full_key(w, INSTRUMENT_SERVER_DURATION);

		if (!i) {
			before = mallinfo2();
			clock_gettime(CLOCK_MONOTONIC, &start);
		}
		aggregate_observe(w->aggregate, &key, MS);
		key.instrument = INSTRUMENT_QUEUE_DURATION;
		aggregate_observe(w->aggregate, &key, MS);
		key.instrument = INSTRUMENT_SERVER_REQUESTS;
		aggregate_count(w->aggregate, &key, OUTCOME_OK);
		key.instrument = INSTRUMENT_SLO;
		aggregate_slo(w->aggregate, &key, true);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	after = mallinfo2();
	ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
	print_message("four measurements: %.0f ns\n", ns / rounds);
	assert_int_equal(after.uordblks, before.uordblks);
	assert_int_equal(only(w, INSTRUMENT_SLO)->counts->slo.events, rounds + 1);
	assert_true(ns / rounds < 5000); /* with sanitizers, too */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_series_has_a_number_that_no_other_gets(void **state)
{
	struct world *w = *state;
	struct series_key key = full_key(w, INSTRUMENT_SERVER_REQUESTS);
	uint64_t id;

	aggregate_touch(w->aggregate, &key);
	id = only(w, INSTRUMENT_SERVER_REQUESTS)->id;
	aggregate_touch(w->aggregate, &key);
	assert_int_equal(only(w, INSTRUMENT_SERVER_REQUESTS)->id, id);
	aggregate_forget(w->aggregate, &w->shop);
	aggregate_touch(w->aggregate, &key);
	assert_int_not_equal(only(w, INSTRUMENT_SERVER_REQUESTS)->id, id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_instrument_has_its_attributes_and_no_other),
		TEST(attributes_that_an_instrument_lacks_make_no_series),
		TEST(each_attribute_that_it_has_makes_a_series),
		TEST(an_error_type_is_the_status_where_none_is_given),
		TEST(what_was_not_read_has_no_method),
		TEST(values_go_to_the_histogram_with_the_bounds_of_the_instrument),
		TEST(all_outcomes_exist_from_the_first_request_on),
		TEST(failures_and_objectives_are_counted),
		TEST(requests_in_flight_are_those_told_since_begin),
		TEST(what_is_unread_has_an_age_and_is_not_active),
		TEST(a_snapshot_is_by_instrument_then_service_then_creation),
		cmocka_unit_test_setup_teardown(
			past_the_bound_each_instrument_has_one_overflow_series, set_up_small,
			tear_down),
		cmocka_unit_test_setup_teardown(a_series_has_a_number_that_no_other_gets, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_forgotten_service_gives_its_places_back,
						set_up_small, tear_down),
		TEST(a_snapshot_follows_its_values_without_being_made_anew),
		TEST(known_series_cost_no_memory_and_little_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
