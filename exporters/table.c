// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CPU time is read once a second at most: over less than that its growth would say nothing. */
#define CPU_INTERVAL_NS 1000000000ull

/* What a service used by some update. */
struct used {
	uint32_t service_id;
	uint64_t cpu_ns, time_ns;
	double cpu_share; /* NaN: not known */
};

/* A service: rows first to first + count - 1, of both rows.items and sorted. */
struct group {
	uint32_t service_id;
	char service[sizeof(((struct service *)0)->name)];
	size_t first, count;
	struct row_numbers numbers;
	double queue_p99_s, cpu_share;
	uint64_t resident_bytes;
	uint64_t cpu_gained_ns; /* of all routes and of no request */
};

/* A line of the picture: a group's subtotal, its place for "no requests", or a row. */
struct place {
	enum table_line_kind kind;
	const struct group *group;
	const struct row *row;
};

/* One update's worth; replaced as a whole, so that a failed update leaves the last one. */
struct generation {
	struct rows rows; /* by key: the next generation finds its past by merging */
	const struct row *oldest; /* NULL: nothing is open */
	const struct row **sorted; /* the same within each group, in the order shown */
	struct group *groups;
	size_t group_count;
	struct used *used; /* of each service, by service_id */
	struct place *places;
	size_t place_count;
	double per_second;
	size_t service_count;
	bool has_requests, has_cpu;
};

struct table {
	struct generation now;
	uint64_t time_ns; /* of the last update; 0: none */
	enum table_order order;
};

static int compare_ids(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

/* The same row at the last update, NULL: it is new. Rows are asked for in order. */
static const struct row *find_past(const struct row **past, const struct row *past_end,
				   const struct row *row)
{
	int order = 1;

	while (*past < past_end && (order = rows_compare(*past, row)) < 0)
		(*past)++;
	return order == 0 ? *past : NULL;
}

static bool is_older(double age_s, double than_s)
{
	return !isnan(age_s) && (isnan(than_s) || age_s > than_s);
}

static void add_numbers(struct row_numbers *sum, const struct row_numbers *n)
{
	sum->error_count += n->error_count;
	sum->timeouts_gained += n->timeouts_gained;
	sum->timeout_count += n->timeout_count;
	sum->open_count += n->open_count;
	if (is_older(n->oldest_s, sum->oldest_s))
		sum->oldest_s = n->oldest_s;
}

/* The routes' numbers of CPU: a route's rows are next to each other, and have the same. Sums up
 * what belongs to requests. */
static void set_cpu(struct row_numbers *sum, struct row *rows, size_t count)
{
	for (size_t i = 0, end; i < count; i = end) {
		uint64_t requests = 0;

		for (end = i; end < count && !strcmp(rows[end].route, rows[i].route); end++)
			requests += rows[end].numbers.count;
		for (size_t j = i; j < end; j++)
			rows[j].numbers.cpu_request_count = requests;
		sum->cpu_gained_ns += rows[i].numbers.cpu_gained_ns;
		sum->cpu_request_count += requests;
		sum->has_cpu |= rows[i].numbers.has_cpu;
	}
}

static void begin_group(struct group *group, uint32_t service_id, const char *service)
{
	group->service_id = service_id;
	snprintf(group->service, sizeof(group->service), "%s", service);
	group->numbers.oldest_s = NAN;
	group->queue_p99_s = NAN;
	group->cpu_share = NAN;
}

/* Gives the first row behind the group's. */
static size_t make_group(struct generation *g, size_t first, const struct row **past,
			 const struct row *past_end, double elapsed_s)
{
	struct group *group = &g->groups[g->group_count++];
	struct row *rows = g->rows.items;
	struct histogram gained, sum;
	size_t i = first;

	begin_group(group, rows[first].service_id, rows[first].service);
	rows_interval(&rows[i], find_past(past, past_end, &rows[i]), elapsed_s, &gained);
	group->queue_p99_s = rows[i].numbers.p99_s;
	group->cpu_gained_ns = rows[i].numbers.cpu_gained_ns;
	group->first = ++i;
	histogram_init(&sum);
	for (; i < g->rows.count && rows[i].service_id == group->service_id; i++) {
		struct row *row = &rows[i];

		rows_interval(row, find_past(past, past_end, row), elapsed_s, &gained);
		histogram_merge(&sum, &gained);
		add_numbers(&group->numbers, &row->numbers);
		if (is_older(row->numbers.oldest_s, g->oldest ? g->oldest->numbers.oldest_s : NAN))
			g->oldest = row;
		g->sorted[i] = row;
	}
	group->count = i - group->first;
	set_cpu(&group->numbers, rows + group->first, group->count);
	rows_set_durations(&group->numbers, &sum, elapsed_s);
	g->per_second += group->numbers.per_second;
	g->has_requests |= group->count > 0;
	g->has_cpu |= group->numbers.has_cpu;
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

			begin_group(group, service->id, service->name);
		}
	}
}

/* Services come by id, now as in the past. */
static void set_used(struct generation *g, const struct snapshot *snapshot,
		     const struct generation *past)
{
	size_t j = 0;

	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct service *service = snapshot->services[i];
		const uint64_t *counters = service->usage.counters;
		struct used *used = &g->used[i], *before = NULL;
		uint64_t cpu_ns = counters[USAGE_CPU_USER_NS] + counters[USAGE_CPU_SYSTEM_NS];

		while (j < past->service_count && past->used[j].service_id < service->id)
			j++;
		if (j < past->service_count && past->used[j].service_id == service->id)
			before = &past->used[j];
		*used = (struct used){service->id, cpu_ns, snapshot->time_ns, NAN};
		if (before && snapshot->time_ns - before->time_ns < CPU_INTERVAL_NS)
			*used = *before;
		else if (before && service->usage.has_counter[USAGE_CPU_USER_NS])
			used->cpu_share = (double)(cpu_ns - before->cpu_ns) /
					  (double)(snapshot->time_ns - before->time_ns);
	}
}

static int compare_used(const void *id, const void *used)
{
	return compare_ids(*(const uint32_t *)id, ((const struct used *)used)->service_id);
}

static void add_usage(struct generation *g, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < g->group_count; i++) {
		struct group *group = &g->groups[i];
		const struct used *used =
			bsearch(&group->service_id, g->used, snapshot->service_count,
				sizeof(*g->used), compare_used);
		const struct service *service = used ? snapshot->services[used - g->used] : NULL;

		if (!service || !service->process_count)
			continue;
		group->cpu_share = used->cpu_share;
		if (service->usage.has_gauge[USAGE_RESIDENT_BYTES])
			group->resident_bytes = service->usage.gauges[USAGE_RESIDENT_BYTES];
	}
}

static void free_generation(struct generation *g)
{
	rows_free(&g->rows);
	free(g->sorted);
	free(g->groups);
	free(g->used);
	free(g->places);
	*g = (struct generation){};
}

static int allocate_generation(struct generation *g, size_t service_count)
{
	size_t row_count = g->rows.count, group_count = row_count + service_count; /* at most */

	g->sorted = calloc(row_count + 1, sizeof(const struct row *));
	g->groups = calloc(group_count + 1, sizeof(*g->groups));
	g->used = calloc(service_count + 1, sizeof(*g->used));
	g->places = calloc(row_count + group_count + 1, sizeof(*g->places));
	return g->sorted && g->groups && g->used && g->places ? 0 : -ENOMEM;
}

static int make_generation(struct generation *g, const struct snapshot *snapshot,
			   const struct generation *past, double elapsed_s)
{
	const struct row *past_row = past->rows.items, *past_end = past_row + past->rows.count;
	int err = rows_make(&g->rows, snapshot);

	if (!err)
		err = allocate_generation(g, snapshot->service_count);
	if (err)
		return err;
	for (size_t i = 0; i < g->rows.count;)
		i = make_group(g, i, &past_row, past_end, elapsed_s);
	add_unused_services(g, snapshot);
	set_used(g, snapshot, past);
	add_usage(g, snapshot);
	g->service_count = snapshot->service_count;
	return 0;
}

static int compare_counts(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* NaN is less than any duration. */
static int compare_durations(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(b) - isnan(a);
	return (a > b) - (a < b);
}

/* The larger first; 0 for the order by name. */
static int compare_numbers(const struct row_numbers *a, const struct row_numbers *b,
			   enum table_order order)
{
	switch (order) {
	case TABLE_BY_RATE:
		return compare_counts(b->count, a->count);
	case TABLE_BY_ERRORS:
		return compare_counts(b->error_count, a->error_count);
	case TABLE_BY_DURATION:
		return compare_durations(b->p95_s, a->p95_s);
	case TABLE_BY_OPEN:
		return compare_counts(b->open_count, a->open_count);
	case TABLE_BY_OLDEST:
		return compare_durations(b->oldest_s, a->oldest_s);
	case TABLE_BY_TIMEOUTS:
		return compare_counts(b->timeout_count, a->timeout_count);
	case TABLE_BY_CPU:
		return compare_counts(b->cpu_gained_ns, a->cpu_gained_ns);
	case TABLE_BY_QUEUE:
	case TABLE_BY_NAME:
		break;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b, void *context)
{
	const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
	int order = compare_numbers(&x->numbers, &y->numbers, *(const enum table_order *)context);

	return order ? order : rows_compare(x, y);
}

static int compare_groups(const void *a, const void *b, void *context)
{
	const struct group *x = a, *y = b;
	enum table_order by = *(const enum table_order *)context;
	int order = compare_numbers(&x->numbers, &y->numbers, by);

	if (by == TABLE_BY_QUEUE)
		order = compare_durations(y->queue_p99_s, x->queue_p99_s);
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
				  .numbers = place->group->numbers,
				  .queue_p99_s = place->group->queue_p99_s,
				  .cpu_share = place->group->cpu_share,
				  .cpu_gained_ns = place->group->cpu_gained_ns,
				  .resident_bytes = place->group->resident_bytes};

	if (place->row) {
		line.method = place->row->method;
		line.route = place->row->route;
		line.numbers = place->row->numbers;
		line.alone = place->group->count == 1;
	}
	return line;
}

bool table_oldest(const struct table *t, struct table_line *line)
{
	const struct row *row = t->now.oldest;

	if (!row)
		return false;
	*line = (struct table_line){.kind = TABLE_ROUTE,
				    .service = row->service,
				    .method = row->method,
				    .route = row->route,
				    .numbers = row->numbers,
				    .queue_p99_s = NAN};
	return true;
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
	return t->now.has_requests;
}

bool table_has_cpu(const struct table *t)
{
	return t->now.has_cpu;
}

void table_close(struct table *t)
{
	if (!t)
		return;
	free_generation(&t->now);
	free(t);
}
