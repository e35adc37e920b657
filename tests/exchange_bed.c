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

static void on_request(void *context, struct exchange *x, const char *path, size_t path_len)
{
	(void)context;
	x->service = (struct service *)x; /* wanted */
	x->has_path = path_len > 0;
	x->template_len = path_len < sizeof(x->template) ? path_len : sizeof(x->template) - 1;
	if (path_len)
		memcpy(x->template, path, x->template_len);
	x->template[x->template_len] = '\0';
}

static void on_done(void *context, const struct exchange *x)
{
	struct bed *bed = context;
	size_t len = strlen(bed->log);

	assert_true(x->end_ns >= x->start_ns);
	bed->done_count++;
	bed->last = *x;
	snprintf(bed->log + len, sizeof(bed->log) - len, "%s%s %s %u%s%s", len ? "; " : "",
		 http_method_name(x->method), x->has_path ? x->template : "-", x->status,
		 x->cut_short ? " " : "", x->cut_short ? x->cut_short : "");
}

int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct exchange_sink sink = wire_sink(on_request, on_done, bed);

	*state = bed;
	if (!bed || exchanges_open(&bed->exchanges, &sink))
		return -1;
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
