// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interval.h"

#define OVERFLOW_ID UINT32_MAX /* no service has so many before it */
#define OVERFLOW_SERVICE "(others)"
#define OVERFLOW_ROUTE "{overflow}"

/* What makes a row, and what is remembered of it. */
struct row {
	uint32_t service_id;
	char service[sizeof(((struct service *)0)->name)];
	char route[ROUTES_TEMPLATE_MAX];
	char method[16];
	struct table_numbers interval;
	struct histogram total; /* of all statuses, since the series began */
	uint64_t error_total;
};

/* A service: rows first to first + count - 1, of both table.rows and table.sorted. */
struct group {
	uint32_t service_id;
	char service[sizeof(((struct service *)0)->name)];
	size_t first, count;
	struct table_numbers interval;
};

/* A line of the picture: a group's subtotal, its place for "no requests", or a row. */
struct place {
	enum table_line_kind kind;
	const struct group *group;
	const struct row *row;
};

/* One update's worth; replaced as a whole, so that a failed update leaves the last one. */
struct generation {
	struct row *rows; /* by service_id, route, method: the next generation finds its past by
			     merging */
	size_t row_count;
	const struct row **sorted; /* the same within each group, in the order shown */
	struct group *groups;
	size_t group_count;
	struct place *places;
	size_t place_count;
	double per_second;
	size_t service_count;
};

struct table {
	struct generation now;
	uint64_t time_ns; /* of the last update; 0: none */
	enum table_order order;
};

static uint32_t series_id(const struct snapshot_series *s)
{
	return s->service ? s->service->id : OVERFLOW_ID;
}

static const char *series_route(const struct snapshot_series *s)
{
	if (s->overflow)
		return OVERFLOW_ROUTE;
	return s->route ? s->route : "-";
}

static const char *series_method(const struct snapshot_series *s)
{
	return s->method ? s->method : "-";
}

static int compare_ids(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int compare_series(const void *a, const void *b)
{
	const struct snapshot_series *x = *(const struct snapshot_series *const *)a;
	const struct snapshot_series *y = *(const struct snapshot_series *const *)b;
	int order = compare_ids(series_id(x), series_id(y));

	if (!order)
		order = strcmp(series_route(x), series_route(y));
	return order ? order : strcmp(series_method(x), series_method(y));
}

static int compare_keys(const struct row *a, const struct row *b)
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

static void set_numbers(struct table_numbers *n, const struct histogram *gained,
			uint64_t error_count, double elapsed_s)
{
	n->count = gained->count;
	n->error_count = error_count;
	n->per_second = elapsed_s > 0 ? (double)gained->count / elapsed_s : 0;
	n->p50_s = histogram_quantile_s(gained, 0.5);
	n->p95_s = histogram_quantile_s(gained, 0.95);
	n->p99_s = histogram_quantile_s(gained, 0.99);
}

static void begin_row(struct row *row, const struct snapshot_series *s)
{
	row->service_id = series_id(s);
	copy_string(row->service, sizeof(row->service),
		    s->service ? s->service->name : OVERFLOW_SERVICE);
	copy_string(row->route, sizeof(row->route), series_route(s));
	copy_string(row->method, sizeof(row->method), series_method(s));
	histogram_init(&row->total);
}

/* The series by key and their number, to be freed; NULL without memory. */
static const struct snapshot_series **sorted_series(const struct snapshot *snapshot, size_t *count)
{
	const struct snapshot_series **series = calloc(snapshot->series_count + 1, sizeof(*series));

	if (!series)
		return NULL;
	*count = 0;
	for (size_t i = 0; i < snapshot->series_count; i++) {
		if (snapshot->series[i].instrument == INSTRUMENT_SERVER_DURATION)
			series[(*count)++] = &snapshot->series[i];
	}
	qsort(series, *count, sizeof(*series), compare_series);
	return series;
}

static void make_rows(struct generation *g, const struct snapshot_series **series, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct row *row;

		if (!i || compare_series(&series[i - 1], &series[i]) != 0)
			begin_row(&g->rows[g->row_count++], series[i]);
		row = &g->rows[g->row_count - 1];
		histogram_merge(&row->total, series[i]->duration);
		if (series[i]->error_type)
			row->error_total += series[i]->duration->count;
	}
}

/* What row gained since past, the same row at the last update (NULL: it is new). */
static void make_interval(struct row *row, const struct row *past, double elapsed_s,
			  struct histogram *gained)
{
	uint64_t error_count = row->error_total;

	*gained = row->total;
	if (past) {
		interval_between(gained, &past->total, &row->total);
		if (error_count >= past->error_total)
			error_count -= past->error_total;
	}
	set_numbers(&row->interval, gained, error_count, elapsed_s);
}

static size_t make_group(struct generation *g, size_t first, const struct row **past,
			 const struct row *past_end, double elapsed_s)
{
	struct group *group = &g->groups[g->group_count++];
	struct histogram gained, sum;
	uint64_t error_count = 0;
	size_t i = first;

	group->service_id = g->rows[first].service_id;
	memcpy(group->service, g->rows[first].service, sizeof(group->service));
	group->first = first;
	histogram_init(&sum);
	for (; i < g->row_count && g->rows[i].service_id == group->service_id; i++) {
		struct row *row = &g->rows[i];
		int order = 1;

		while (*past < past_end && (order = compare_keys(*past, row)) < 0)
			(*past)++;
		make_interval(row, order == 0 ? *past : NULL, elapsed_s, &gained);
		histogram_merge(&sum, &gained);
		error_count += row->interval.error_count;
		g->sorted[i] = row;
	}
	group->count = i - first;
	set_numbers(&group->interval, &sum, error_count, elapsed_s);
	g->per_second += group->interval.per_second;
	return i;
}

static bool has_group(const struct generation *g, size_t count, uint32_t service_id)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->groups[middle].service_id < service_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && g->groups[low].service_id == service_id;
}

static void add_unused_services(struct generation *g, const struct snapshot *snapshot)
{
	size_t used = g->group_count; /* these are sorted */

	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];

		if (!has_group(g, used, service->id)) {
			struct group *group = &g->groups[g->group_count++];

			group->service_id = service->id;
			copy_string(group->service, sizeof(group->service), service->name);
		}
	}
}

static void free_generation(struct generation *g)
{
	free(g->rows);
	free(g->sorted);
	free(g->groups);
	free(g->places);
	*g = (struct generation){};
}

static size_t count_rows(const struct snapshot_series **series, size_t count)
{
	size_t rows = 0;

	for (size_t i = 0; i < count; i++)
		rows += !i || compare_series(&series[i - 1], &series[i]) != 0;
	return rows;
}

static int allocate_generation(struct generation *g, size_t row_count, size_t service_count)
{
	size_t group_count = row_count + service_count; /* at most */

	g->rows = calloc(row_count + 1, sizeof(*g->rows));
	g->sorted = calloc(row_count + 1, sizeof(const struct row *));
	g->groups = calloc(group_count + 1, sizeof(*g->groups));
	g->places = calloc(row_count + group_count + 1, sizeof(*g->places));
	return g->rows && g->sorted && g->groups && g->places ? 0 : -ENOMEM;
}

static int make_generation(struct generation *g, const struct snapshot *snapshot,
			   const struct generation *past, double elapsed_s)
{
	size_t count;
	const struct snapshot_series **series = sorted_series(snapshot, &count);
	const struct row *past_row = past->rows;
	int err = -ENOMEM;

	if (series)
		err = allocate_generation(g, count_rows(series, count), snapshot->service_count);
	if (!err) {
		make_rows(g, series, count);
		for (size_t i = 0; i < g->row_count;)
			i = make_group(g, i, &past_row, past->rows + past->row_count, elapsed_s);
		add_unused_services(g, snapshot);
		g->service_count = snapshot->service_count;
	}
	free(series);
	return err;
}

/* NaN is less than any duration. */
static int compare_durations(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(b) - isnan(a);
	return (a > b) - (a < b);
}

/* The larger first; 0 for the order by name. */
static int compare_numbers(const struct table_numbers *a, const struct table_numbers *b,
			   enum table_order order)
{
	switch (order) {
	case TABLE_BY_RATE:
		return (b->count > a->count) - (b->count < a->count);
	case TABLE_BY_ERRORS:
		return (b->error_count > a->error_count) - (b->error_count < a->error_count);
	case TABLE_BY_DURATION:
		return compare_durations(b->p95_s, a->p95_s);
	case TABLE_BY_NAME:
		break;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b, void *context)
{
	const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
	int order = compare_numbers(&x->interval, &y->interval, *(const enum table_order *)context);

	return order ? order : compare_keys(x, y);
}

static int compare_groups(const void *a, const void *b, void *context)
{
	const struct group *x = a, *y = b;
	int order = compare_numbers(&x->interval, &y->interval, *(const enum table_order *)context);

	if (!order)
		order = (y->count > 0) - (x->count > 0); /* those without requests last */
	if (!order)
		order = strcmp(x->service, y->service);
	return order ? order : compare_ids(x->service_id, y->service_id);
}

static void add_place(struct generation *g, enum table_line_kind kind, const struct group *group,
		      const struct row *row)
{
	g->places[g->place_count++] = (struct place){kind, group, row};
}

void table_sort(struct table *t, enum table_order order)
{
	struct generation *g = &t->now;

	t->order = order;
	g->place_count = 0;
	if (!g->groups)
		return;
	qsort_r(g->groups, g->group_count, sizeof(*g->groups), compare_groups, &order);
	for (size_t i = 0; i < g->group_count; i++) {
		const struct group *group = &g->groups[i];
		const struct row **rows = g->sorted + group->first;

		qsort_r(rows, group->count, sizeof(const struct row *), compare_rows, &order);
		if (!group->count)
			add_place(g, TABLE_UNUSED, group, NULL);
		if (group->count > 1)
			add_place(g, TABLE_SUBTOTAL, group, NULL);
		for (size_t j = 0; j < group->count; j++)
			add_place(g, TABLE_ROUTE, group, rows[j]);
	}
}

int table_open(struct table **out)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*out = t;
	return 0;
}

int table_update(struct table *t, const struct snapshot *snapshot)
{
	double elapsed_s = (double)(snapshot->time_ns - t->time_ns) / 1e9;
	struct generation next = {};
	int err;

	if (!t->time_ns)
		elapsed_s = (double)(snapshot->time_unix_ns - snapshot->start_time_unix_ns) / 1e9;
	err = make_generation(&next, snapshot, &t->now, elapsed_s);
	if (err) {
		free_generation(&next);
		return err;
	}
	free_generation(&t->now);
	t->now = next;
	t->time_ns = snapshot->time_ns;
	table_sort(t, t->order);
	return 0;
}

size_t table_line_count(const struct table *t)
{
	return t->now.place_count;
}

struct table_line table_line(const struct table *t, size_t i)
{
	const struct place *place = &t->now.places[i];
	struct table_line line = {.kind = place->kind,
				  .service = place->group->service,
				  .method = "",
				  .route = "",
				  .interval = place->group->interval};

	if (place->row) {
		line.method = place->row->method;
		line.route = place->row->route;
		line.interval = place->row->interval;
	}
	return line;
}

double table_per_second(const struct table *t)
{
	return t->now.per_second;
}

size_t table_service_count(const struct table *t)
{
	return t->now.service_count;
}

bool table_has_requests(const struct table *t)
{
	return t->now.row_count > 0;
}

void table_close(struct table *t)
{
	if (!t)
		return;
	free_generation(&t->now);
	free(t);
}
