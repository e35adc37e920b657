// SPDX-License-Identifier: Apache-2.0
#include "prometheus_page.h"

/* byte, what stands for it behind a backslash */
#define LABEL_ESCAPES "\\\\\"\"\nn"
#define HELP_ESCAPES "\\\\\nn"

void page_family(struct page *p, const struct family *f)
{
	text_string(p->out, "# HELP ");
	text_string(p->out, f->name);
	text_string(p->out, " ");
	text_utf8(p->out, f->help, HELP_ESCAPES);
	text_string(p->out, "\n# TYPE ");
	text_string(p->out, f->name);
	text_string(p->out, " ");
	text_string(p->out, f->type);
	text_string(p->out, "\n");
}

static void label_begin(struct page *p, const char *name)
{
	if (p->labels.len)
		text_add(&p->labels, ",", 1);
	text_string(&p->labels, name);
	text_add(&p->labels, "=\"", 2);
}

void page_label(struct page *p, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	label_begin(p, name);
	text_utf8(&p->labels, value, LABEL_ESCAPES);
	text_add(&p->labels, "\"", 1);
}

void page_label_number(struct page *p, const char *name, uint64_t value)
{
	if (!value)
		return;
	label_begin(p, name);
	text_number(&p->labels, value);
	text_add(&p->labels, "\"", 1);
}

void page_service_labels(struct page *p, const struct service *service)
{
	page_label(p, "service_name", service->name);
	page_label(p, "service_namespace", service->namespace);
}

void page_sample(struct page *p, const char *name, const char *suffix)
{
	text_string(p->out, name);
	text_string(p->out, suffix);
	if (p->labels.len) {
		text_add(p->out, "{", 1);
		text_add(p->out, p->labels.data, p->labels.len);
		text_add(p->out, "}", 1);
	}
	text_add(p->out, " ", 1);
}

void page_number(struct page *p, const char *name, uint64_t value)
{
	page_sample(p, name, "");
	text_number(p->out, value);
	text_add(p->out, "\n", 1);
}
