// SPDX-License-Identifier: Apache-2.0
#include "application_files.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "path.h"
#include "untrusted_file.h"
#include "utf8.h"

#define FILE_MAX_BYTES (1024 * 1024)

static bool read_package(char *name, size_t size, int root, const char *directory)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	char path[PATH_MAX];
	cleanup_free char *text = NULL;
	json_auto_t *package = NULL;
	const char *value, *slash;
	size_t len, skip = 0;

	if (path_join(path, sizeof(path), directory, "package.json") ||
	    untrusted_file_read(&text, &len, root, path, FILE_MAX_BYTES))
		return false;
	if (strncmp(text, byte_order_mark, 3) == 0)
		skip = 3;
	package = json_loadb(text + skip, len - skip, 0, NULL);
	value = json_string_value(json_object_get(package, "name"));
	if (!value)
		return false;
	slash = *value == '@' ? strchr(value, '/') : NULL;
	if (slash)
		value = slash + 1;
	return utf8_name(name, size, value, strlen(value)) > 0;
}

static bool search_upward(char *name, size_t size, int root, char *directory)
{
	for (; directory[0]; path_cut(directory)) {
		if (read_package(name, size, root, directory))
			return true;
	}
	return false;
}

void application_package_name(char *name, size_t size, int root, const char *cwd,
			      const char *script)
{
	char from_script[PATH_MAX] = "", from_cwd[PATH_MAX];
	bool is_tool;

	name[0] = '\0';
	if (script)
		path_join(from_script, sizeof(from_script), cwd, script);
	is_tool = strstr(from_script, "/node_modules/");
	if (!is_tool && search_upward(name, size, root, from_script))
		return;
	path_join(from_cwd, sizeof(from_cwd), cwd, "");
	if (search_upward(name, size, root, from_cwd))
		return;
	if (is_tool)
		search_upward(name, size, root, from_script);
}

void application_django_settings(char *settings, size_t size, int root, const char *cwd,
				 const char *script)
{
	static const char variable[] = "DJANGO_SETTINGS_MODULE";
	char path[PATH_MAX];
	cleanup_free char *text = NULL;
	const char *at, *begin;
	size_t len;

	settings[0] = '\0';
	if (path_join(path, sizeof(path), cwd, script) ||
	    untrusted_file_read(&text, &len, root, path, FILE_MAX_BYTES))
		return;
	/* os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings') */
	at = strstr(text, variable);
	if (!at)
		return;
	at += sizeof(variable) - 1;
	at += *at == '"' || *at == '\'';
	at += strspn(at, " \t\r\n,]=)");
	if (*at != '"' && *at != '\'')
		return;
	begin = at + 1;
	len = strcspn(begin, "\"'\n");
	if (begin[len] == *at)
		utf8_name(settings, size, begin, len);
}
