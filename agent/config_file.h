/* SPDX-License-Identifier: Apache-2.0 */
/* config_file - a YAML file as keys and what they are given, each with its line.
 *
 *   listen: 0.0.0.0:2488                   one text
 *   timeout: [2s, shop=5s]                 a list of texts, in either of YAML's forms
 *
 * There is nothing else to it: one document, no mapping and no list below these, no anchors,
 * aliases and tags, no key twice. A scalar is its text, quoted or not: true, 8 and 1.50 are "true",
 * "8" and "1.50", and what they mean is for whom they are. A text holds no control character (so no
 * NUL, no line break), and a key without a value (or null, ~) is a mistake. An empty file, or one
 * of comments, has no keys.
 *
 * Bounds: the file's size, its keys and its values; what is past one is a mistake as well. The
 * parser is libyaml; its memory (100 KB) is given back, what is kept is the texts. */
#ifndef BITTERN_CONFIG_FILE_H
#define BITTERN_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_FILE_LEN_MAX (256u << 10)
#define CONFIG_FILE_KEYS_MAX 100
#define CONFIG_FILE_VALUES_MAX 10000

struct config_value {
	char *text;
	size_t line; /* from 1 */
};

struct config_key {
	char *name;
	size_t line;
	bool list; /* else there is one value */
	struct config_value *values;
	size_t value_count;
};

struct config_file {
	struct config_key *keys; /* in the file's order */
	size_t key_count;
};

/* Reads path, which may be a pipe. 0 and *f, to be closed; else *f is empty, and why says in one
 * line what is wrong, "PATH:LINE: ..." or "PATH: ...": -EINVAL, -ENOMEM, or why it cannot be read.
 */
int config_file_read(struct config_file *f, const char *path, char *why, size_t why_len);
/* The same of text, which was read from path: pure. */
int config_file_parse(struct config_file *f, const char *path, const char *text, size_t len,
		      char *why, size_t why_len);
/* NULL: it has no such key. */
const struct config_key *config_file_find(const struct config_file *f, const char *name);
void config_file_close(struct config_file *f); /* one of zeroes is fine */

#endif
