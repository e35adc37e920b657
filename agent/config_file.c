// SPDX-License-Identifier: Apache-2.0
#include "config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cleanup.h"
#include "untrusted_file.h"

/* libyaml tells events, one after the other; more than the next two levels is never asked for, so
 * deep nesting costs nothing. */
struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one */
	struct config_file *file;
	size_t value_count; /* of all keys */
	const char *path, *text;
	char *why;
	size_t why_len;
};

/* --- what is wrong --- */

__attribute__((format(printf, 3, 4))) static int fail(struct reader *r, size_t line,
						      const char *format, ...)
{
	int len = snprintf(r->why, r->why_len, "%s:%zu: ", r->path, line);
	va_list arguments;

	va_start(arguments, format);
	if (len >= 0 && (size_t)len < r->why_len)
		vsnprintf(r->why + len, r->why_len - (size_t)len, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int fail_memory(struct reader *r)
{
	snprintf(r->why, r->why_len, "%s: no memory", r->path);
	return -ENOMEM;
}

/* The line of the last event. */
static size_t line_of(const struct reader *r)
{
	return r->event.start_mark.line + 1;
}

/* What libyaml complains of. */
static int fail_yaml(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	size_t line = 1;

	if (p->error == YAML_MEMORY_ERROR)
		return fail_memory(r);
	if (p->error == YAML_READER_ERROR) { /* knows the byte only */
		for (size_t i = 0; i < p->problem_offset; i++)
			line += r->text[i] == '\n';
		return fail(r, line, "not YAML: %s", p->problem);
	}
	line = p->problem_mark.line + 1;
	if (!p->context)
		return fail(r, line, "not YAML: %s", p->problem);
	return fail(r, line, "not YAML: %s %s that begins in line %zu", p->problem, p->context,
		    p->context_mark.line + 1);
}

/* --- events --- */

static bool has_reference(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	default:
		return false;
	}
}

/* The next one, into r->event. */
static int advance(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return fail_yaml(r);
	if (has_reference(&r->event))
		return fail(r, line_of(r),
			    "anchors (&), aliases (*) and tags (!) are not understood; text that "
			    "begins so is quoted");
	return 0;
}

/* A value that is not there, in any of YAML's words for it. */
static bool is_null(const yaml_event_t *e)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	if (e->type != YAML_SCALAR_EVENT || e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp((const char *)e->data.scalar.value, words[i]))
			return true;
	}
	return false;
}

/* The text of the scalar that r->event is, to be freed. */
static int copy_text(struct reader *r, char **out)
{
	const char *text = (const char *)r->event.data.scalar.value;
	size_t len = r->event.data.scalar.length;

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return fail(r, line_of(r),
				    "a text with a line break or another control character");
	}
	*out = strdup(text);
	return *out ? 0 : fail_memory(r);
}

/* --- keys and values --- */

static int add_value(struct reader *r, struct config_key *key)
{
	struct config_value *grown;
	char *text = NULL;
	int error;

	if (is_null(&r->event))
		return fail(r, line_of(r), "'%.100s' has no value here", key->name);
	if (r->value_count == CONFIG_FILE_VALUES_MAX)
		return fail(r, line_of(r), "more than %d values", CONFIG_FILE_VALUES_MAX);
	error = copy_text(r, &text);
	if (error)
		return error;
	grown = reallocarray(key->values, key->value_count + 1, sizeof(*grown));
	if (!grown) {
		free(text);
		return fail_memory(r);
	}
	key->values = grown;
	key->values[key->value_count++] = (struct config_value){text, line_of(r)};
	r->value_count++;
	return 0;
}

static int add_list(struct reader *r, struct config_key *key)
{
	int error;

	key->list = true;
	while (!(error = advance(r)) && r->event.type != YAML_SEQUENCE_END_EVENT) {
		if (r->event.type != YAML_SCALAR_EVENT)
			return fail(r, line_of(r),
				    "'%.100s' takes texts, no list or mapping as one of them; "
				    "text with '[', '{' or ': ' in it is quoted",
				    key->name);
		error = add_value(r, key);
		if (error)
			break;
	}
	return error;
}

/* r->event is the key's. */
static int add_key(struct reader *r)
{
	struct config_file *f = r->file;
	const struct config_key *same;
	struct config_key *key;
	int error;

	if (r->event.type != YAML_SCALAR_EVENT)
		return fail(r, line_of(r), "a key is a text, as in KEY: VALUE");
	if (f->key_count == CONFIG_FILE_KEYS_MAX)
		return fail(r, line_of(r), "more than %d keys", CONFIG_FILE_KEYS_MAX);
	key = &f->keys[f->key_count];
	error = copy_text(r, &key->name);
	if (error)
		return error;
	key->line = line_of(r);
	same = config_file_find(f, key->name);
	f->key_count++;
	if (same)
		return fail(r, key->line, "'%.100s' is there twice, first in line %zu", key->name,
			    same->line);
	error = advance(r);
	if (error)
		return error;
	if (r->event.type == YAML_SEQUENCE_START_EVENT)
		return add_list(r, key);
	if (r->event.type == YAML_SCALAR_EVENT)
		return add_value(r, key);
	return fail(r, line_of(r),
		    "'%.100s' takes a text or a list of texts, no mapping; text with '{' or ': ' "
		    "in it is quoted",
		    key->name);
}

/* r->event is what the document holds. */
static int read_document(struct reader *r)
{
	int error;

	if (is_null(&r->event))
		return 0;
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return fail(r, line_of(r), "lines such as KEY: VALUE are wanted");
	while (!(error = advance(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
		error = add_key(r);
		if (error)
			break;
	}
	return error;
}

static int read_stream(struct reader *r)
{
	int error = advance(r); /* the stream's begin */

	if (!error)
		error = advance(r);
	if (error || r->event.type == YAML_STREAM_END_EVENT)
		return error;
	error = advance(r); /* that was the document's begin */
	if (!error)
		error = read_document(r);
	if (!error)
		error = advance(r); /* its end */
	if (!error)
		error = advance(r);
	if (error || r->event.type == YAML_STREAM_END_EVENT)
		return error;
	return fail(r, line_of(r), "a second document begins here");
}

int config_file_parse(struct config_file *f, const char *path, const char *text, size_t len,
		      char *why, size_t why_len)
{
	struct reader r = {.file = f, .path = path, .text = text, .why = why, .why_len = why_len};
	int error = 0;

	*f = (struct config_file){.keys = calloc(CONFIG_FILE_KEYS_MAX, sizeof(*f->keys))};
	if (!f->keys || !yaml_parser_initialize(&r.parser))
		error = fail_memory(&r);
	if (!error) {
		yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
		error = read_stream(&r);
		yaml_event_delete(&r.event);
		yaml_parser_delete(&r.parser);
	}
	if (error)
		config_file_close(f);
	return error;
}

int config_file_read(struct config_file *f, const char *path, char *why, size_t why_len)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup_free char *text = NULL;
	size_t len;
	int error = fd < 0 ? -errno : 0;

	*f = (struct config_file){0};
	if (!error)
		error = untrusted_fd_read(&text, &len, fd, CONFIG_FILE_LEN_MAX + 1);
	if (error) {
		snprintf(why, why_len, "%s: %s", path, strerror(-error));
		return error;
	}
	if (len > CONFIG_FILE_LEN_MAX) {
		snprintf(why, why_len, "%s: more than %u KB", path, CONFIG_FILE_LEN_MAX >> 10);
		return -EINVAL;
	}
	return config_file_parse(f, path, text, len, why, why_len);
}

const struct config_key *config_file_find(const struct config_file *f, const char *name)
{
	for (size_t i = 0; i < f->key_count; i++) {
		if (!strcmp(f->keys[i].name, name))
			return &f->keys[i];
	}
	return NULL;
}

void config_file_close(struct config_file *f)
{
	for (size_t i = 0; i < f->key_count; i++) {
		for (size_t j = 0; j < f->keys[i].value_count; j++)
			free(f->keys[i].values[j].text);
		free(f->keys[i].values);
		free(f->keys[i].name);
	}
	free(f->keys);
	*f = (struct config_file){0};
}
