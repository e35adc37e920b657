// SPDX-License-Identifier: Apache-2.0
#include "systemd_unit.h"

#include <ctype.h>
#include <string.h>

#include "utf8.h"

#define UNIT_SIZE 256 /* UNIT_NAME_MAX of systemd, NUL included */

static const char *suffix_of(const char *unit, size_t len)
{
	static const char *const suffixes[] = {".service", ".scope"};

	for (size_t i = 0; i < 2; i++) {
		size_t suffix_len = strlen(suffixes[i]);

		if (len > suffix_len &&
		    strncmp(unit + len - suffix_len, suffixes[i], suffix_len) == 0)
			return unit + len - suffix_len;
	}
	return NULL;
}

/* The innermost part of the path that is a service or a scope, its escapes (\x2d) decoded. */
static bool innermost_unit(char unit[static UNIT_SIZE], const char *path)
{
	const char *found = NULL;
	size_t found_len = 0, len = 0;

	while (*path) {
		size_t part = strcspn(path, "/");

		if (part < UNIT_SIZE && suffix_of(path, part)) {
			found = path;
			found_len = part;
		}
		path += part;
		path += *path == '/';
	}
	for (size_t i = 0; i < found_len; i++) {
		if (found_len - i >= 4 && found[i] == '\\' && found[i + 1] == 'x' &&
		    isxdigit((unsigned char)found[i + 2]) &&
		    isxdigit((unsigned char)found[i + 3])) {
			static const char digits[] = "0123456789abcdef";
			long high = strchr(digits, tolower((unsigned char)found[i + 2])) - digits;
			long low = strchr(digits, tolower((unsigned char)found[i + 3])) - digits;

			unit[len++] = (char)(high * 16 + low);
			i += 3;
		} else {
			unit[len++] = found[i];
		}
	}
	unit[len] = '\0';
	return found;
}

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

/* run-u12, run-p12-i34, run-r0123456789abcdef0123456789abcdef: systemd-run without --unit. */
static bool is_transient(const char *name)
{
	size_t hex;

	if (strncmp(name, "run-", 4) != 0)
		return false;
	hex = strspn(name + 5, "0123456789abcdef");
	if (name[4] == 'r')
		return hex == 32 && name[5 + hex] == '\0';
	return (name[4] == 'u' || name[4] == 'p') && isdigit((unsigned char)name[5]) &&
	       name[5 + strspn(name + 5, "0123456789-i")] == '\0';
}

static bool is_application(const char *name, const char *path)
{
	static const char *const others[] = {
		"user",     "init",         "ssh",           "sshd",
		"cron",     "crond",        "anacron",       "atd",
		"getty",    "serial-getty", "console-getty", "container-getty",
		"rc-local", "dbus",         "docker",        "containerd",
		"podman",   "crio",         "cri-o",         "kubelet",
		"k3s",      "k3s-agent",    "rke2-server",   "rke2-agent",
		"lxc",      "lxd",          "incus",         "nomad",
		"pm2",      "supervisor",   "supervisord",   "circus",
		"circusd",  "monit",        "uwsgi",         "uwsgi-emperor",
		"tmux",     "screen",       "emacs",         "gnome-terminal-server",
		"xrdp"};

	if (is_one_of(name, others, sizeof(others) / sizeof(*others)))
		return false;
	if (strncmp(name, "pm2-", 4) == 0 || is_transient(name))
		return false;
	/* Desktops start terminals in units named by the XDG rule. */
	return !(strncmp(name, "app-", 4) == 0 && strstr(path, "/user@"));
}

bool systemd_unit_name(char *name, size_t size, const char *cgroup_path)
{
	char unit[UNIT_SIZE];
	const char *suffix;

	name[0] = '\0';
	if (!innermost_unit(unit, cgroup_path))
		return false;
	suffix = suffix_of(unit, strlen(unit));
	if (!suffix || strcmp(suffix, ".service") != 0)
		return false;
	unit[suffix - unit] = '\0';
	unit[strcspn(unit, "@")] = '\0';
	return is_application(unit, cgroup_path) && utf8_name(name, size, unit, strlen(unit)) > 0;
}

bool systemd_unit_is(const char *cgroup_path, const char *wanted)
{
	char unit[UNIT_SIZE];
	const char *suffix;

	if (!innermost_unit(unit, cgroup_path))
		return false;
	if (strcmp(unit, wanted) == 0)
		return true;
	suffix = suffix_of(unit, strlen(unit));
	if (suffix)
		unit[suffix - unit] = '\0';
	if (strcmp(unit, wanted) == 0)
		return true;
	unit[strcspn(unit, "@")] = '\0';
	return strcmp(unit, wanted) == 0;
}
