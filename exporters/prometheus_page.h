/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_page - the parts of a page of text exposition: heads of families, label sets, samples.
 *
 * labels is scratch: the label set of the sample at hand, without braces. Errors are the texts'. */
#ifndef BITTERN_PROMETHEUS_PAGE_H
#define BITTERN_PROMETHEUS_PAGE_H

#include "../agent/snapshot.h"
#include "text.h"

/* What stands in a bucket's line between its labels and its value. */
struct bucket_end {
	char text[TEXT_SECONDS_MAX + 8];
	size_t len;
};

struct page {
	struct text *out;
	struct text labels; /* the page's, to be freed */
	const struct histogram_bounds *bounds; /* that ends are of */
	struct bucket_end ends[HISTOGRAM_EXPLICIT_MAX];
};

struct family {
	const char *name, *type, *help;
};

void page_family(struct page *p, const struct family *f);
/* Adds to the label set. An absent value (NULL or empty, 0) is an absent label. */
void page_label(struct page *p, const char *name, const char *value);
void page_label_number(struct page *p, const char *name, uint64_t value);
void page_service_labels(struct page *p, const struct service *service);
/* Everything of a sample's line before its value, with the labels. */
void page_sample(struct page *p, const char *name, const char *suffix);
/* A whole line. */
void page_number(struct page *p, const char *name, uint64_t value);

/* The families about services as such (prometheus_services.c). */
void prometheus_services(struct page *p, const struct snapshot *snapshot);

#endif
