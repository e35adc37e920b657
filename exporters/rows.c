// SPDX-License-Identifier: Apache-2.0
/* Series of several instruments make one row: those of the same service, route and method. The age
 * of the oldest request and the CPU are by route alone; their series sort before the rows of the
 * route, which take it from there. CPU of no request (route "{unattributed}"), or of a route
 * without a row, is the service's only. */
#include "rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interval.h"

#define OVERFLOW_SERVICE "(others)"
#define OVERFLOW_ROUTE "{overflow}"
#define UNREAD_ROUTE "{unread}"
#define NONE "-"

static uint32_t series_id(const struct snapshot_series *s)
{
	return s->service ? s->service->id : ROWS_OVERFLOW_ID;
}

static const char *series_route(const struct snapshot_series *s)
{
	if (s->instrument == INSTRUMENT_QUEUE_DURATION)
		return "";
	if (s->overflow)
		return OVERFLOW_ROUTE;
	return s->route ? s->route : NONE;
}

/* An age or a cost that is for all methods of a route. */
static bool is_of_route(const struct snapshot_series *s)
{
	if (s->instrument == INSTRUMENT_COST)
		return true;
	return s->instrument == INSTRUMENT_OLDEST && !s->overflow &&
	       strcmp(series_route(s), UNREAD_ROUTE) != 0;
}

static const char *series_method(const struct snapshot_series *s)
{
	if (s->instrument == INSTRUMENT_QUEUE_DURATION || is_of_route(s))
		return "";
	return s->method ? s->method : NONE;
}

static int compare_ids(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int compare_series(const struct snapshot_series *x, const struct snapshot_series *y)
{
	int order = compare_ids(series_id(x), series_id(y));

	if (!order)
		order = strcmp(series_route(x), series_route(y));
	return order ? order : strcmp(series_method(x), series_method(y));
}

static int compare_series_pointers(const void *a, const void *b)
{
	return compare_series(*(const struct snapshot_series *const *)a,
			      *(const struct snapshot_series *const *)b);
}

int rows_compare(const struct row *a, const struct row *b)
{
	int order = compare_ids(a->service_id, b->service_id);

	if (!order)
		order = strcmp(a->route, b->route);
	return order ? order : strcmp(a->method, b->method);
}

static void copy_string(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

static struct row *begin_row(struct rows *rows, const struct snapshot_series *s)
{
	struct row *row = &rows->items[rows->count++];

	row->service_id = series_id(s);
	copy_string(row->service, sizeof(row->service),
		    s->service ? s->service->name : OVERFLOW_SERVICE);
	copy_string(row->route, sizeof(row->route), series_route(s));
	copy_string(row->method, sizeof(row->method), series_method(s));
	row->numbers.oldest_s = NAN;
	histogram_init(&row->total);
	return row;
}

static struct row *begin_service(struct rows *rows, const struct snapshot_series *s)
{
	struct row *row = begin_row(rows, s);

	row->is_service = true;
	row->route[0] = row->method[0] = '\0';
	return row;
}

static bool is_shown(const struct snapshot_series *s)
{
	switch (s->instrument) {
	case INSTRUMENT_SERVER_DURATION:
	case INSTRUMENT_QUEUE_DURATION:
	case INSTRUMENT_SERVER_REQUESTS:
	case INSTRUMENT_COST:
		return true;
	case INSTRUMENT_ACTIVE:
	case INSTRUMENT_OLDEST:
		return s->overflow || s->service->process_count;
	default:
		return false;
	}
}

/* The series by key and their number, to be freed; NULL without memory. */
static const struct snapshot_series **sorted_series(const struct snapshot *snapshot, size_t *count)
{
	const struct snapshot_series **series = calloc(snapshot->series_count + 1, sizeof(*series));

	if (!series)
		return NULL;
	*count = 0;
	for (size_t i = 0; i < snapshot->series_count; i++) {
		if (is_shown(&snapshot->series[i]))
			series[(*count)++] = &snapshot->series[i];
	}
	qsort(series, *count, sizeof(*series), compare_series_pointers);
	return series;
}

static void set_oldest(struct row_numbers *n, const struct snapshot_series *oldest)
{
	if (oldest->counts->open.count)
		n->oldest_s = (double)oldest->counts->open.age_ns / 1e9;
}

/* What is known of a route as a whole; NULL: nothing. */
struct of_route {
	const struct snapshot_series *oldest, *cost;
};

static void add_cost(struct row *row, const struct snapshot_series *cost)
{
	row->numbers.has_cpu = true;
	row->cpu_total_ns += cost->counts->cost.cpu_ns;
}

static void take_series(struct row *row, const struct snapshot_series *s,
			const struct of_route *route)
{
	struct row_numbers *n = &row->numbers;

	switch (s->instrument) {
	case INSTRUMENT_SERVER_DURATION:
		if (s->error_type)
			row->error_total += s->duration->count;
		histogram_merge(&row->total, s->duration);
		break;
	case INSTRUMENT_QUEUE_DURATION:
		histogram_merge(&row->total, s->duration);
		break;
	case INSTRUMENT_SERVER_REQUESTS:
		n->timeout_count += s->counts->outcomes[OUTCOME_TIMEOUT];
		break;
	case INSTRUMENT_ACTIVE:
		n->open_count += s->counts->open.count;
		if (route->oldest && s->counts->open.count)
			set_oldest(n, route->oldest);
		break;
	default: /* the age of {unread} or {overflow} */
		if (!s->overflow)
			n->open_count = s->service->unread_count;
		set_oldest(n, s);
	}
}

static void fill_rows(struct rows *rows, const struct snapshot_series **series, size_t count)
{
	const struct snapshot_series *previous = NULL;
	struct of_route route = {};
	struct row *row = NULL, *service = NULL;

	for (size_t i = 0; i < count; previous = series[i++]) {
		const struct snapshot_series *s = series[i];
		bool is_new = !previous || compare_series(previous, s) != 0;

		if (!previous || series_id(s) != series_id(previous))
			service = begin_service(rows, s);
		if (!previous || series_id(s) != series_id(previous) ||
		    strcmp(series_route(s), series_route(previous)) != 0)
			route = (struct of_route){};
		if (s->instrument == INSTRUMENT_QUEUE_DURATION) {
			take_series(service, s, &route);
		} else if (s->instrument == INSTRUMENT_COST) {
			route.cost = s;
			add_cost(service, s);
		} else if (is_of_route(s)) {
			route.oldest = s;
		} else {
			if (is_new) {
				row = begin_row(rows, s);
				if (route.cost)
					add_cost(row, route.cost);
			}
			take_series(row, s, &route);
		}
	}
}

/* At most. */
static size_t count_rows(const struct snapshot_series **series, size_t count)
{
	size_t rows = 0;

	for (size_t i = 0; i < count; i++) {
		rows += !i || compare_series(series[i - 1], series[i]) != 0;
		rows += !i || series_id(series[i - 1]) != series_id(series[i]); /* the service */
	}
	return rows;
}

int rows_make(struct rows *out, const struct snapshot *snapshot)
{
	const struct snapshot_series **series;
	size_t count;

	*out = (struct rows){};
	series = sorted_series(snapshot, &count);
	if (!series)
		return -ENOMEM;
	out->items = calloc(count_rows(series, count) + 1, sizeof(*out->items));
	if (out->items)
		fill_rows(out, series, count);
	free(series);
	return out->items ? 0 : -ENOMEM;
}

void rows_set_durations(struct row_numbers *n, const struct histogram *gained, double elapsed_s)
{
	n->count = gained->count;
	n->per_second = elapsed_s > 0 ? (double)gained->count / elapsed_s : 0;
	n->p50_s = histogram_quantile_s(gained, 0.5);
	n->p95_s = histogram_quantile_s(gained, 0.95);
	n->p99_s = histogram_quantile_s(gained, 0.99);
}

/* What a counter gained; all of it when it began anew. */
static uint64_t counter_gained(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

void rows_interval(struct row *row, const struct row *past, double elapsed_s,
		   struct histogram *gained)
{
	struct row_numbers *n = &row->numbers;

	if (past)
		interval_between(gained, &past->total, &row->total);
	else
		*gained = row->total;
	rows_set_durations(n, gained, elapsed_s);
	n->error_count = counter_gained(past ? past->error_total : 0, row->error_total);
	n->timeouts_gained =
		counter_gained(past ? past->numbers.timeout_count : 0, n->timeout_count);
	n->cpu_gained_ns = counter_gained(past ? past->cpu_total_ns : 0, row->cpu_total_ns);
}

void rows_free(struct rows *rows)
{
	free(rows->items);
	*rows = (struct rows){};
}
