// SPDX-License-Identifier: Apache-2.0
#include "account_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int account_setup(void **state)
{
	struct account_bed *bed = calloc(1, sizeof(*bed));
	struct exchange_sink sink;

	*state = bed;
	if (!bed || set_up((void **)&bed->bench) || limits_open(&bed->limits) ||
	    aggregate_open(&bed->aggregate, 1000))
		return -1;
	bed->account = (struct account){
		.services = bed->bench->services,
		.aggregate = bed->aggregate,
		.limits = bed->limits,
	};
	sink = account_sink(&bed->account);
	if (exchanges_open(&bed->exchanges, &sink) ||
	    charges_open(&bed->charges, bed->bench->services, bed->aggregate))
		return -1;
	bed->charges.exchanges = bed->exchanges;
	bed->account.charges = &bed->charges;
	exec_python(bed->bench, 100, "shop");
	wire_open(&bed->wire, bed->exchanges, 1);
	bed->wire.now_ns = 1000 * WIRE_SECOND;
	bed->wire.listener_pid = 100;
	return 0;
}

int account_teardown(void **state)
{
	struct account_bed *bed = *state;

	wire_close(&bed->wire);
	exchanges_close(bed->exchanges);
	charges_close(&bed->charges);
	aggregate_close(bed->aggregate);
	limits_close(bed->limits);
	tear_down((void **)&bed->bench);
	free(bed);
	return 0;
}

void account_connect(struct account_bed *bed, uint32_t pid, uint16_t port, bool is_client)
{
	uint64_t now_ns = bed->wire.now_ns, cookie = bed->wire.cookie + 1;

	wire_open(&bed->wire, bed->exchanges, cookie);
	bed->wire.now_ns = now_ns;
	bed->wire.pid = bed->wire.listener_pid = pid;
	bed->wire.port = port;
	bed->wire.is_client = is_client;
}

void account_answer(struct account_bed *bed, const char *request, const char *answer)
{
	account_connect(bed, 100, 8000, false);
	wire_receive_text(&bed->wire, request);
	wire_send_text(&bed->wire, answer);
}

void account_check(struct account_bed *bed, uint64_t after_ns)
{
	exchanges_check_limits(bed->exchanges, bed->wire.now_ns + after_ns);
}

void account_look(struct account_bed *bed, bool listed)
{
	struct connection_state connection = wire_listed(&bed->wire);

	bed->wire.now_ns++;
	account_list_begin(&bed->account);
	exchanges_list_begin(bed->exchanges, bed->wire.now_ns);
	if (listed)
		exchanges_listed(bed->exchanges, &connection);
	exchanges_list_end(bed->exchanges, false);
	account_in_flight(&bed->account, bed->exchanges, bed->wire.now_ns);
}

/* --- what comes out --- */

static void show(struct account_bed *bed, const char *format, ...)
{
	size_t len = strlen(bed->shown);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(bed->shown + len, sizeof(bed->shown) - len, format, arguments);
	va_end(arguments);
}

/* The attributes that the instrument has, each with a blank behind it. */
static void show_attributes(struct account_bed *bed, const struct snapshot_series *s)
{
	bool of_client = s->instrument == INSTRUMENT_CLIENT_DURATION ||
			 s->instrument == INSTRUMENT_CLIENT_REQUESTS ||
			 s->instrument == INSTRUMENT_CONNECT_FAILURES;
	bool has_method = s->instrument != INSTRUMENT_QUEUE_DURATION &&
			  s->instrument != INSTRUMENT_CONNECT_FAILURES &&
			  s->instrument != INSTRUMENT_SLO && s->instrument != INSTRUMENT_COST &&
			  s->instrument != INSTRUMENT_OLDEST;

	if (strcmp(s->service->name, "shop") != 0)
		show(bed, "%s: ", s->service->name);
	if (has_method)
		show(bed, "%s ", s->method ? s->method : "-");
	else
		assert_null(s->method);
	if (of_client)
		show(bed, "%s:%u ", s->address ? s->address : "-", s->port);
	else if (s->instrument != INSTRUMENT_QUEUE_DURATION)
		show(bed, "%s ", s->route ? s->route : "-");
	else
		assert_null(s->route);
	if (s->instrument == INSTRUMENT_CONNECT_FAILURES)
		show(bed, "%s ", s->error_type);
	if (s->duration && s->instrument != INSTRUMENT_QUEUE_DURATION)
		show(bed, "%u %s %s ", s->status, s->error_type ? s->error_type : "-",
		     s->protocol_version);
	if (!of_client && (s->duration || s->instrument == INSTRUMENT_ACTIVE))
		show(bed, ":%u ", s->port);
}

static void show_value(struct account_bed *bed, const struct snapshot_series *s)
{
	size_t i;

	switch (s->instrument) {
	case INSTRUMENT_SERVER_REQUESTS:
	case INSTRUMENT_CLIENT_REQUESTS:
		for (i = 0; i < OUTCOME_COUNT; i++)
			show(bed, "%s%lu", i ? "," : "", s->counts->outcomes[i]);
		break;
	case INSTRUMENT_CONNECT_FAILURES:
		show(bed, "x%lu", s->counts->failures);
		break;
	case INSTRUMENT_SLO:
		show(bed, "%s %lu/%lu", s->slo, s->counts->slo.good_events, s->counts->slo.events);
		break;
	case INSTRUMENT_COST:
		show(bed, "%luus", s->counts->cost.cpu_ns / WIRE_MICROSECOND);
		if (s->counts->cost.split_ns)
			show(bed, " (%lu split)", s->counts->cost.split_ns / WIRE_MICROSECOND);
		show(bed, " %lu+%lu", s->counts->cost.minor_faults, s->counts->cost.major_faults);
		break;
	case INSTRUMENT_ACTIVE:
		show(bed, "x%lu", s->counts->open.count);
		break;
	case INSTRUMENT_OLDEST:
		if (s->counts->open.count)
			show(bed, "%lums", s->counts->open.age_ns / WIRE_MILLISECOND);
		else
			show(bed, "none");
		break;
	default:
		show(bed, "x%lu", s->duration->count);
	}
}

void expect_series(struct account_bed *bed, enum instrument instrument, const char *shown)
{
	const struct snapshot_series *list;
	size_t count, i;

	list = aggregate_snapshot(bed->aggregate, &count);
	bed->shown[0] = '\0';
	for (i = 0; i < count; i++) {
		if (list[i].instrument != instrument)
			continue;
		assert_false(list[i].overflow);
		if (bed->shown[0])
			show(bed, "; ");
		show_attributes(bed, &list[i]);
		show_value(bed, &list[i]);
	}
	assert_string_equal(bed->shown, shown);
}

uint64_t account_sum_ns(struct account_bed *bed, enum instrument instrument)
{
	const struct snapshot_series *list, *found = NULL;
	size_t count, i;

	list = aggregate_snapshot(bed->aggregate, &count);
	for (i = 0; i < count; i++) {
		if (list[i].instrument != instrument)
			continue;
		assert_null(found);
		found = &list[i];
	}
	assert_non_null(found);
	return found->duration->sum_ns;
}
