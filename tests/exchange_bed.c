// SPDX-License-Identifier: Apache-2.0
#include "exchange_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add(char *log, size_t size, const char *format, ...)
{
	size_t len = strlen(log);
	va_list arguments;

	if (len)
		len += snprintf(log + len, size - len, "; ");
	va_start(arguments, format);
	if (len < size)
		vsnprintf(log + len, size - len, format, arguments);
	va_end(arguments);
}

static void tell(struct bed *bed, const char *what, const struct exchange *x)
{
	if (bed->tells_all)
		add(bed->log, sizeof(bed->log), "%s %s %s", what, http_method_name(x->method),
		    x->has_path ? x->template : "-");
}

static void on_request(void *context, struct exchange *x, const char *path, size_t path_len)
{
	const struct bed *bed = context;

	x->service = bed->service;
	x->limit_ns = bed->limit_ns;
	x->deferred = bed->deferred;
	x->has_path = path_len > 0;
	x->template_len = path_len < sizeof(x->template) ? path_len : sizeof(x->template) - 1;
	if (path_len)
		memcpy(x->template, path, x->template_len);
	x->template[x->template_len] = '\0';
}

static void on_host(void *context, struct exchange *x, const char *host, size_t host_len)
{
	struct bed *bed = context;

	if (bed->tells_all)
		add(bed->log, sizeof(bed->log), "host %s %.*s", x->template, (int)host_len, host);
}

static void on_begun(void *context, struct exchange *x)
{
	tell(context, "begun", x);
}

static void on_first_byte(void *context, const struct exchange *x)
{
	assert_true(x->first_byte_ns >= x->start_ns);
	tell(context, "first_byte", x);
}

static void on_timed_out(void *context, struct exchange *x)
{
	assert_false(x->counted);
	x->counted = true;
	tell(context, "timed_out", x);
}

static void on_done(void *context, struct exchange *x)
{
	struct bed *bed = context;

	assert_true(x->end_ns >= x->start_ns);
	assert_true(x->arrival_ns <= x->start_ns);
	bed->done_count++;
	bed->last = *x;
	add(bed->log, sizeof(bed->log), "%s %s %u%s%s%s", http_method_name(x->method),
	    x->has_path ? x->template : "-", x->status, x->cut_short ? " " : "",
	    x->cut_short ? x->cut_short : "", bed->tells_all && x->counted ? " counted" : "");
}

static bool on_unread(void *context, const struct exchange_unread *unread)
{
	struct bed *bed = context;

	bed->last_unread = *unread;
	if (bed->tells_all)
		add(bed->log, sizeof(bed->log), "unread %u:%u", unread->pid, unread->port);
	return bed->limit_ns && unread->seen_ns > unread->arrival_ns + bed->limit_ns;
}

static void on_unread_ended(void *context, const struct exchange_unread *unread, bool died)
{
	struct bed *bed = context;

	bed->last_unread = *unread;
	if (bed->tells_all)
		add(bed->log, sizeof(bed->log), "unread_ended %u:%u%s", unread->pid, unread->port,
		    died ? " died" : "");
}

static void on_read(void *context, struct exchange *x)
{
	struct bed *bed = context;

	assert_int_not_equal(x->tid, 0);
	bed->read_count++;
}

static void on_gone(void *context, struct exchange *x)
{
	struct bed *bed = context;

	assert_int_not_equal(x->tid, 0);
	bed->gone_count++;
}

static void tell_work(struct bed *bed, const char *what, const char *whom,
		      const struct costs *costs)
{
	if (bed->tells_work)
		add(bed->log, sizeof(bed->log), "%s%s %lu", what, whom,
		    costs->cpu_ns / WIRE_MILLISECOND);
}

static void on_worked(void *context, struct exchange *x, enum exchange_work how,
		      const struct costs *costs)
{
	static const char *const names[] = {
		[WORKED_FOR] = "for ",
		[WORKED_BEFORE] = "before ",
		[WORKED_UNTIL_WAIT] = "until wait ",
		[WORKED_BETWEEN] = "between ",
		[WORKED_UNTIL_ANSWER] = "until answer ",
		[WORKED_ALONE] = "alone ",
	};

	tell_work(context, names[how], x->template, costs);
	if (how != WORKED_ALONE)
		costs_add(&x->costs, costs);
}

static void on_worked_turn(void *context, struct exchange *const *list, size_t count,
			   const struct costs *costs)
{
	char names[256] = "";
	size_t i;

	assert_int_not_equal(count, 0);
	for (i = 0; i < count; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), " %.20s",
			 list[i]->template);
	tell_work(context, "turn", names, costs);
	costs_add(&list[0]->costs, costs);
}

static bool on_begun_turn(void *context, const struct exchange *x, uint64_t cpu_ns)
{
	(void)context;
	(void)x;
	return cpu_ns > WIRE_MILLISECOND;
}

static void on_worked_after(void *context, const struct exchange_ended *ended, bool certain,
			    const struct costs *costs)
{
	struct bed *bed = context;

	assert_ptr_equal(ended->service, bed->service);
	tell_work(bed, certain ? "job after" : "after", "", costs);
}

int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct exchange_sink sink = {
		.request = on_request,
		.host = on_host,
		.begun = on_begun,
		.first_byte = on_first_byte,
		.timed_out = on_timed_out,
		.done = on_done,
		.read = on_read,
		.gone = on_gone,
		.worked = on_worked,
		.worked_turn = on_worked_turn,
		.begun_turn = on_begun_turn,
		.worked_after = on_worked_after,
		.unread = on_unread,
		.unread_ended = on_unread_ended,
		.context = bed,
	};

	*state = bed;
	if (!bed || exchanges_open(&bed->exchanges, &sink))
		return -1;
	bed->service = (struct service *)bed; /* wanted */
	wire_open(&bed->wire, bed->exchanges, 1);
	return 0;
}

int bed_teardown(void **state)
{
	struct bed *bed = *state;

	wire_close(&bed->wire);
	exchanges_close(bed->exchanges);
	free(bed);
	return 0;
}

void expect(struct bed *bed, const char *log)
{
	assert_string_equal(bed->log, log);
	bed->log[0] = '\0';
}

void expect_open(const struct bed *bed, size_t count)
{
	assert_int_equal(exchanges_stats(bed->exchanges).open_count, count);
}

struct in_flight {
	char list[256];
};

static void add_open(void *context, struct exchange *x)
{
	struct in_flight *in_flight = context;

	add(in_flight->list, sizeof(in_flight->list), "%s", x->template);
}

void expect_in_flight(const struct bed *bed, const char *list)
{
	struct in_flight in_flight = {.list = ""};

	exchanges_each_open(bed->exchanges, add_open, &in_flight);
	assert_string_equal(in_flight.list, list);
}

void list(struct bed *bed, bool all, size_t count, const struct connection_state *listed)
{
	size_t i;

	bed->wire.now_ns += bed->wire.step_ns;
	exchanges_list_begin(bed->exchanges, bed->wire.now_ns);
	for (i = 0; i < count; i++)
		exchanges_listed(bed->exchanges, &listed[i]);
	exchanges_list_end(bed->exchanges, all);
}
