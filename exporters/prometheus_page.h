/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_page - families, label sets and samples, in the exposition that was asked for.
 *
 * A family is begun, then come its samples: page_sample(), its labels, its value. The functions
 * that put a value write the whole sample by the type of the family, so that whoever calls them
 * need not know the exposition. Errors are the texts': see prometheus_render(). */
#ifndef BITTERN_PROMETHEUS_PAGE_H
#define BITTERN_PROMETHEUS_PAGE_H

#include "../agent/snapshot.h"
#include "prometheus.h"
#include "text.h"

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM, FAMILY_INFO };

/* The name is that of its samples in the classic text: of a counter it ends in _total, of an info
 * in _info. A unit, too, is part of the name. */
struct family {
	const char *name;
	enum family_type type;
	const char *help;
};

/* What stands in a bucket's line between its labels and its value. */
struct bucket_end {
	char text[TEXT_SECONDS_MAX + 8];
	size_t len;
};

struct page {
	struct text *out;
	const struct snapshot *snapshot;
	enum exposition exposition;
	const struct family *family; /* the one begun */
	size_t stem_len; /* of its name without _total or _info */
	/* The page's, to be freed. Labels: of the sample at hand, as they will be written. */
	struct text labels, scratch;
	uint64_t since_unix_ns; /* when the sample at hand was 0; 0: not known */
	bool family_open; /* protobuf: its length is still to be written, at this place of out */
	size_t family_at;
	const struct histogram_bounds *bounds; /* that ends are of */
	struct bucket_end ends[HISTOGRAM_EXPLICIT_MAX];
};

void page_family(struct page *p, const struct family *f); /* f is borrowed until the next one */
/* A sample without labels so far; since the agent's start. */
void page_sample(struct page *p);
/* Adds to the label set. An absent value (NULL or empty, 0) is an absent label. */
void page_label(struct page *p, const char *name, const char *value);
void page_label_number(struct page *p, const char *name, uint64_t value);
/* The sample was 0 then, by CLOCK_MONOTONIC, or at the agent's start if that was later. */
void page_since(struct page *p, uint64_t since_ns);
/* And the sample is since the service was found. */
void page_service_labels(struct page *p, const struct service *service);
/* What the labels are, and back to that: for samples that have these and others. */
size_t page_labels_mark(const struct page *p);
void page_labels_return(struct page *p, size_t mark);

/* The sample's value: of a counter, a gauge or an info (1). */
void page_number(struct page *p, uint64_t value);
void page_seconds(struct page *p, uint64_t value_ns);
void page_double(struct page *p, double value);
/* The same of a histogram. */
void page_histogram(struct page *p, const struct histogram *h,
		    const struct histogram_bounds *bounds);

void page_end(struct page *p);

/* The families about services as such (prometheus_services.c). */
void prometheus_services(struct page *p, const struct snapshot *snapshot);

#endif
