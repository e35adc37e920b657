// SPDX-License-Identifier: Apache-2.0
#include "service_name.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "program.h"
#include "systemd_unit.h"
#include "utf8.h"
#include "workload.h"

#define NAME_SIZE sizeof(((struct service_identity *)0)->name)

int service_match_parse(struct service_match *match, const char *text)
{
	static const struct {
		const char *word;
		enum service_match_kind kind;
	} kinds[] = {
		{"port:", SERVICE_MATCH_PORT},
		{"unit:", SERVICE_MATCH_UNIT},
		{"container:", SERVICE_MATCH_CONTAINER},
		{"cmd:", SERVICE_MATCH_COMMAND},
	};
	const char *value = strchr(text, '=');
	struct service_match parsed = {0};
	unsigned long port;
	size_t kind = 0;
	char *end;

	if (!value || (size_t)(value - text) >= sizeof(parsed.name) ||
	    utf8_name(parsed.name, sizeof(parsed.name), text, (size_t)(value - text)) == 0)
		return -EINVAL;
	value++;
	while (strncmp(value, kinds[kind].word, strlen(kinds[kind].word)) != 0) {
		if (++kind == sizeof(kinds) / sizeof(*kinds))
			return -EINVAL;
	}
	value += strlen(kinds[kind].word);
	parsed.kind = kinds[kind].kind;
	if (*value == '\0' || strlen(value) >= sizeof(parsed.pattern))
		return -EINVAL;
	strcpy(parsed.pattern, value);
	if (parsed.kind == SERVICE_MATCH_PORT) {
		port = strtoul(value, &end, 10);
		if (!isdigit((unsigned char)*value) || *end || port == 0 || port > UINT16_MAX)
			return -EINVAL;
		parsed.port = (uint16_t)port;
	}
	*match = parsed;
	return 0;
}

static bool command_matches(const struct process_facts *facts, const char *pattern)
{
	char line[sizeof(facts->args) + 1] = "";
	size_t len = 0;

	for (size_t i = 0; i < facts->arg_count; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", i ? " " : "",
					facts->arg[i]);
	return fnmatch(pattern, line, 0) == 0;
}

static bool matches(const struct service_match *match, const struct process_facts *facts,
		    uint16_t port)
{
	switch (match->kind) {
	case SERVICE_MATCH_PORT:
		return port && match->port == port;
	case SERVICE_MATCH_UNIT:
		return systemd_unit_is(facts->cgroup, match->pattern);
	case SERVICE_MATCH_CONTAINER:
		return strcmp(match->pattern, facts->container_name) == 0 ||
		       strcmp(match->pattern, facts->container_service) == 0;
	case SERVICE_MATCH_COMMAND:
		return command_matches(facts, match->pattern);
	}
	return false;
}

static int hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* OTEL_RESOURCE_ATTRIBUTES: "key=value,key=value", reserved characters percent-encoded. */
static bool resource_attribute(char *value, size_t size, const char *attributes, const char *key)
{
	size_t key_len = strlen(key), len = 0;
	char decoded[512];
	const char *at = attributes;

	value[0] = '\0';
	for (;; at++) {
		at += strspn(at, " \t");
		if (strncmp(at, key, key_len) == 0 &&
		    at[key_len + strspn(at + key_len, " \t")] == '=')
			break;
		at = strchr(at, ',');
		if (!at)
			return false;
	}
	at = strchr(at, '=') + 1;
	for (; *at && *at != ',' && len < sizeof(decoded); at++) {
		bool escape = *at == '%' && isxdigit((unsigned char)at[1]) &&
			      isxdigit((unsigned char)at[2]);

		decoded[len++] = escape ? (char)(hex_value(at[1]) * 16 + hex_value(at[2])) : *at;
		at += escape ? 2 : 0;
	}
	return utf8_name(value, size, decoded, len) > 0;
}

static bool list_has(const char *const *list, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i], word) == 0)
			return true;
	}
	return false;
}

/* "20240131", "v1.2.3", "3f9c2e1a7": a release's folder. */
static bool is_version_or_hash(const char *word)
{
	const char *number = word + (*word == 'v');
	size_t hex = strspn(word, "0123456789abcdef");

	return number[strspn(number, "0123456789.-_")] == '\0' ||
	       (hex >= 7 && word[hex] == '\0' && strpbrk(word, "0123456789"));
}

/* Folders that say where programs are kept, not what they are. */
static bool is_boring_folder(const char *word)
{
	static const char *const words[] = {
		"bin",      "sbin",         "lib",     "dist",          "build", "out",
		"code",     "releases",     "current", "venv",          ".venv", "env",
		"versions", "node_modules", "usr",     "srv",           "opt",   "home",
		"var",      "root",         "tmp",     "www",           "local", "mnt",
		"data",     "share",        "latest",  "site-packages", ".bin",  "workspace"};

	return program_is_generic(word, strlen(word)) ||
	       list_has(words, sizeof(words) / sizeof(*words), word) || is_version_or_hash(word);
}

/* The nearest folder that names something: "shop" of /srv/shop/releases/42/src. A user's home names
 * something only to what runs right in it. */
static bool folder_name(char *name, const char *directory)
{
	char path[4096];
	bool climbed = false;

	if (path_join(path, sizeof(path), directory, ""))
		return false;
	for (; path[0]; path_cut(path), climbed = true) {
		const char *base = path_base(path);

		if (climbed && strncmp(path, "/home/", 6) == 0 && base == path + 6)
			return false;
		if (!is_boring_folder(base))
			return utf8_name(name, NAME_SIZE, base, strlen(base)) > 0;
	}
	return false;
}

static bool word_name(char *name, const char *word, size_t len)
{
	return len && !program_is_generic(word, len) && utf8_name(name, NAME_SIZE, word, len) > 0;
}

/* "sales" of dashboards/sales.py:app. */
static bool stem_name(char *name, const char *script)
{
	const char *base = path_base(script);

	return word_name(name, base, strcspn(base, ".:"));
}

/* Where a program is: by its script if it has one, by its working directory. Never empty. */
static void place_name(char *name, const struct process_facts *facts, const struct program *program)
{
	char work[4096], script[4096] = "";
	const char *base;

	if (path_join(work, sizeof(work), facts->cwd, program->directory ? program->directory : ""))
		work[0] = '\0';
	if (program->script && !path_join(script, sizeof(script), work, program->script)) {
		if (facts->runtime == RUNTIME_NODEJS && strstr(script, "/node_modules/"))
			script[0] = '\0';
		path_cut(script);
		/* A command of a virtual environment: its folder names nothing. */
		if (facts->runtime == RUNTIME_PYTHON && strcmp(path_base(script), "bin") == 0 &&
		    stem_name(name, program->script))
			return;
	}
	if (folder_name(name, script) || folder_name(name, work))
		return;
	if (program->script && stem_name(name, program->script))
		return;
	/* Only generic names are left: better "app" than nothing. */
	base = script[0] ? path_base(script) : path_base(work);
	if (*base && utf8_name(name, NAME_SIZE, base, strlen(base)))
		return;
	base = path_base(facts->exe);
	if (utf8_name(name, NAME_SIZE, base, strlen(base)) == 0)
		strcpy(name, "unknown_service");
}

static void application_name(char *name, const struct process_facts *facts)
{
	struct program program;
	const char *module;

	if (facts->runtime == RUNTIME_NODEJS && facts->package_name[0]) {
		strcpy(name, facts->package_name);
		return;
	}
	program_of(&program, facts);
	module = program.module;
	if (program.django && !module[0])
		module = facts->django_settings;
	if (word_name(name, module, strcspn(module, ".")))
		return;
	if (program.script_names && program.script && stem_name(name, program.script))
		return;
	place_name(name, facts, &program);
}

/* Named by somebody, in one of the ways that make two processes one service. */
static bool chosen_name(char *name, const struct process_facts *facts, uint16_t port,
			const struct service_match *match, size_t match_count)
{
	const char *container =
		facts->container_service[0] ? facts->container_service : facts->container_name;

	for (size_t i = 0; i < match_count; i++) {
		if (matches(&match[i], facts, port)) {
			strcpy(name, match[i].name);
			return true;
		}
	}
	if (utf8_name(name, NAME_SIZE, facts->otel_service_name, NAME_SIZE))
		return true;
	if (resource_attribute(name, NAME_SIZE, facts->otel_resource_attributes, "service.name"))
		return true;
	if (workload_of_pod(name, NAME_SIZE, facts->pod_name))
		return true;
	return utf8_name(name, NAME_SIZE, container, NAME_SIZE) && !is_version_or_hash(name);
}

void service_name_of(struct service_identity *identity, const struct process_facts *facts,
		     uint16_t port, const struct service_match *match, size_t match_count)
{
	memset(identity, 0, sizeof(*identity));
	if (!resource_attribute(identity->namespace, sizeof(identity->namespace),
				facts->otel_resource_attributes, "service.namespace"))
		strcpy(identity->namespace, facts->kubernetes_namespace);
	identity->chosen = chosen_name(identity->name, facts, port, match, match_count);
	if (!identity->chosen && !systemd_unit_name(identity->name, NAME_SIZE, facts->cgroup))
		application_name(identity->name, facts);
}

bool service_name_same_program(const struct process_facts *a, const struct process_facts *b)
{
	struct program program_a, program_b;

	program_of(&program_a, a);
	program_of(&program_b, b);
	if (!program_a.module[0] && !program_a.script)
		return process_facts_same_arguments(a, b);
	return a->runtime == b->runtime && strcmp(program_a.module, program_b.module) == 0 &&
	       strcmp(path_base(program_a.script ? program_a.script : ""),
		      path_base(program_b.script ? program_b.script : "")) == 0;
}
