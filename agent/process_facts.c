// SPDX-License-Identifier: Apache-2.0
#include "process_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "application_files.h"
#include "cleanup.h"
#include "container.h"
#include "path.h"
#include "program.h"
#include "untrusted_file.h"
#include "utf8.h"

#define ENVIRON_MAX_BYTES (1024 * 1024)
#define STATUS_MAX_BYTES (64 * 1024)

const char *runtime_name(enum runtime runtime)
{
	static const char *const names[RUNTIME_COUNT] = {"other", "python", "nodejs"};

	return names[runtime < RUNTIME_COUNT ? runtime : RUNTIME_OTHER];
}

static const char *skip_prefix(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* python3.13t, python3.11-dbg, pypy3.10-c; but not python3-config or node_exporter. */
static enum runtime runtime_of_name(const char *name)
{
	static const char *const pythons[] = {"python", "pypy"};
	static const char *const nodes[] = {"nodejs", "node"};
	const char *rest;

	for (size_t i = 0; i < 2; i++) {
		rest = skip_prefix(name, pythons[i]);
		if (!rest)
			continue;
		rest += strspn(rest, "0123456789.");
		rest += strspn(rest, "tdm");
		if (*rest == '\0' || strcmp(rest, "-dbg") == 0 || strcmp(rest, "-c") == 0)
			return RUNTIME_PYTHON;
	}
	for (size_t i = 0; i < 2; i++) {
		rest = skip_prefix(name, nodes[i]);
		if (rest && rest[strspn(rest, "-.0123456789")] == '\0')
			return RUNTIME_NODEJS;
	}
	return skip_prefix(name, "uwsgi") ? RUNTIME_PYTHON : RUNTIME_OTHER;
}

/* uWSGI serves other languages by plugins, which it loads after exec: its arguments tell, not
 * its maps. */
static bool is_foreign_uwsgi(const char *const *arg, size_t count)
{
	static const char *const languages[] = {"psgi", "perl", "rack", "rails", "ruby",
						"php",  "lua",  "jvm",  "cgi",   "mono"};

	for (size_t i = 1; i < count; i++) {
		const char *word = arg[i] + strspn(arg[i], "-");
		const char *plugin = strchr(word, '=');

		if (word == arg[i] && !skip_prefix(arg[i - 1], "--plugin"))
			continue;
		if (skip_prefix(word, "plugin") && plugin)
			word = plugin + 1;
		for (size_t j = 0; j < sizeof(languages) / sizeof(*languages); j++) {
			if (skip_prefix(word, languages[j]))
				return true;
		}
	}
	return false;
}

static int process_errno(void)
{
	return errno == EACCES || errno == EPERM ? -EACCES : errno == ENOMEM ? -ENOMEM : -ESRCH;
}

static int read_link(char *to, size_t size, int directory, const char *name)
{
	static const char deleted[] = " (deleted)";
	const size_t deleted_len = sizeof(deleted) - 1;
	ssize_t len = readlinkat(directory, name, to, size - 1);

	to[len > 0 ? len : 0] = '\0';
	if (len < 0)
		return process_errno();
	if (len > (ssize_t)deleted_len && strcmp(to + len - deleted_len, deleted) == 0)
		to[len - (ssize_t)deleted_len] = '\0';
	return 0;
}

static int read_proc_file(char **out, size_t *len, int process, const char *name, size_t max_bytes)
{
	cleanup_close int fd = openat(process, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? process_errno() : untrusted_fd_read(out, len, fd, max_bytes);
}

static int read_args(struct process_facts *facts, int process)
{
	cleanup_close int fd = openat(process, "cmdline", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;

	if (fd < 0)
		return process_errno();
	while (len < sizeof(facts->args) - 1) {
		ssize_t got = read(fd, facts->args + len, sizeof(facts->args) - 1 - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return process_errno();
		if (got == 0)
			break;
		len += (size_t)got;
	}
	/* A title shorter than the arguments it replaces is followed by NULs. */
	while (len && facts->args[len - 1] == '\0')
		len--;
	for (size_t at = 0; at < len && facts->arg_count < PROCESS_ARGS_MAX;) {
		facts->arg[facts->arg_count++] = facts->args + at;
		at += strlen(facts->args + at) + 1;
	}
	return 0;
}

/* exe, arguments and runtime. A process without exe is a kernel thread, a zombie or gone. */
static int read_program(struct process_facts *facts, int process)
{
	int error = read_link(facts->exe, sizeof(facts->exe), process, "exe");

	if (!error)
		error = read_args(facts, process);
	if (error)
		return error;
	facts->runtime = runtime_of_name(path_base(facts->exe));
	if (skip_prefix(path_base(facts->exe), "uwsgi") &&
	    is_foreign_uwsgi(facts->arg, facts->arg_count))
		facts->runtime = RUNTIME_OTHER;
	return 0;
}

static int open_process(const char *proc_path, pid_t pid)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%d", proc_path, (int)pid);
	/* All is read through this descriptor: it never turns to another process of the same
	 * pid. */
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? process_errno() : fd;
}

int process_runtime_read(enum runtime *runtime, const char *proc_path, pid_t pid)
{
	char path[512], exe[1024];
	cleanup_free struct process_facts *facts = NULL;
	cleanup_close int process = -1;
	int error;

	snprintf(path, sizeof(path), "%s/%d/exe", proc_path, (int)pid);
	error = read_link(exe, sizeof(exe), AT_FDCWD, path);
	if (error)
		return error;
	if (!skip_prefix(path_base(exe), "uwsgi")) {
		*runtime = runtime_of_name(path_base(exe));
		return 0;
	}
	facts = calloc(1, sizeof(*facts));
	if (!facts)
		return -ENOMEM;
	process = open_process(proc_path, pid);
	if (process < 0)
		return process;
	error = read_program(facts, process);
	*runtime = facts->runtime;
	return error;
}

static void read_parent(struct process_facts *facts, int process)
{
	cleanup_free char *text = NULL;
	const char *at;
	size_t len;

	if (read_proc_file(&text, &len, process, "status", STATUS_MAX_BYTES))
		return;
	at = strstr(text, "\nPPid:");
	if (at)
		facts->parent = (pid_t)strtol(at + 6, NULL, 10);
}

/* The kernel gives cwd as seen from this process's root; facts->cwd is as seen from its own. */
static void read_cwd(struct process_facts *facts, int process)
{
	char root[sizeof(facts->cwd)];
	size_t root_len;

	read_link(facts->cwd, sizeof(facts->cwd), process, "cwd");
	read_link(root, sizeof(root), process, "root");
	root_len = strlen(root);
	if (facts->cwd[0] != '/') { /* "(unreachable)/srv" */
		facts->cwd[0] = '\0';
	} else if (root_len > 1 && strncmp(facts->cwd, root, root_len) == 0 &&
		   (facts->cwd[root_len] == '/' || facts->cwd[root_len] == '\0')) {
		memmove(facts->cwd, facts->cwd + root_len, strlen(facts->cwd + root_len) + 1);
		if (facts->cwd[0] == '\0')
			strcpy(facts->cwd, "/");
	}
}

/* Inside a cgroup namespace of our own, as in a container, the way to others leads up first. */
static char *skip_parents(char *path)
{
	while (strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0'))
		path += 3;
	return path;
}

/* Lines are "hierarchy:controllers:path". The unified hierarchy has no controllers; in hybrid
 * mode either it or name=systemd is the one that systemd uses, and the other may be "/". A
 * container engine may use any. */
static void read_cgroup(struct process_facts *facts, int process)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	size_t len;

	if (read_proc_file(&text, &len, process, "cgroup", STATUS_MAX_BYTES))
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		char id[CONTAINER_ID_LEN + 1];

		if (!path)
			continue;
		*path++ = '\0';
		path = skip_parents(path);
		if (container_id_of(id, path) && !facts->container_id[0])
			strcpy(facts->container_id, id);
		if (path[0] == '\0' || strcmp(path, "/") == 0 ||
		    strlen(path) >= sizeof(facts->cgroup))
			continue;
		if (strcmp(controllers, ":name=systemd") == 0 ||
		    (strcmp(controllers, ":") == 0 && !facts->cgroup[0]))
			strcpy(facts->cgroup, path);
	}
}

/* What pm2 runs in a worker of its cluster mode is inside a JSON text. */
static void read_pm2_script(struct process_facts *facts, const char *json)
{
	const char *at = strstr(json, "\"pm_exec_path\":\"");
	size_t len;

	if (!at)
		return;
	at += 16;
	len = strcspn(at, "\"\\");
	if (len < sizeof(facts->pm2_script))
		snprintf(facts->pm2_script, sizeof(facts->pm2_script), "%.*s", (int)len, at);
}

static void read_variable(struct process_facts *facts, const char *name, size_t name_len,
			  const char *value)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} wanted[] = {
		{"OTEL_SERVICE_NAME", facts->otel_service_name, sizeof(facts->otel_service_name)},
		{"OTEL_RESOURCE_ATTRIBUTES", facts->otel_resource_attributes,
		 sizeof(facts->otel_resource_attributes)},
		{"HOSTNAME", facts->hostname, sizeof(facts->hostname)},
		{"DJANGO_SETTINGS_MODULE", facts->django_settings, sizeof(facts->django_settings)},
		{"FLASK_APP", facts->flask_app, sizeof(facts->flask_app)},
		{"pm_exec_path", facts->pm2_script, sizeof(facts->pm2_script)},
	};
	size_t len = strlen(value);

	if (name_len == 23 && memcmp(name, "KUBERNETES_SERVICE_HOST", 23) == 0)
		facts->kubernetes = *value != '\0';
	else if (name_len == 7 && memcmp(name, "pm2_env", 7) == 0)
		read_pm2_script(facts, value);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		if (strlen(wanted[i].name) != name_len ||
		    memcmp(wanted[i].name, name, name_len) != 0)
			continue;
		if (wanted[i].to == facts->otel_resource_attributes && len >= wanted[i].size) {
			for (len = wanted[i].size - 1; len && value[len] != ',';)
				len--;
		}
		utf8_name(wanted[i].to, wanted[i].size, value, len);
	}
}

pid_t process_of_host(const char *proc_path)
{
	char path[512], root[2];

	snprintf(path, sizeof(path), "%s/1/root", proc_path);
	return read_link(root, sizeof(root), AT_FDCWD, path) ? getppid() : 1;
}

bool process_has_host_name(const char *proc_path, pid_t pid)
{
	char path[512], hosts[64], its[64];

	snprintf(path, sizeof(path), "%s/%d/ns/uts", proc_path, (int)process_of_host(proc_path));
	if (read_link(hosts, sizeof(hosts), AT_FDCWD, path))
		return false;
	snprintf(path, sizeof(path), "%s/%d/ns/uts", proc_path, (int)pid);
	return read_link(its, sizeof(its), AT_FDCWD, path) == 0 && strcmp(hosts, its) == 0;
}

static void read_environ(struct process_facts *facts, const char *proc_path, int process)
{
	cleanup_free char *text = NULL;
	struct utsname host;
	size_t len;

	if (read_proc_file(&text, &len, process, "environ", ENVIRON_MAX_BYTES))
		return;
	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		const char *equals = strchr(text + at, '=');

		if (equals)
			read_variable(facts, text + at, (size_t)(equals - (text + at)), equals + 1);
	}
	/* A pod in the host's network has the node's name, which names no workload. */
	if (process_has_host_name(proc_path, facts->pid) ||
	    (uname(&host) == 0 && strcmp(facts->hostname, host.nodename) == 0))
		facts->hostname[0] = '\0';
}

static void read_container(struct process_facts *facts, const char *proc_path, int root)
{
	static const char namespace_path[] =
		"/var/run/secrets/kubernetes.io/serviceaccount/namespace";
	cleanup_close int host_root = -1;
	cleanup_free char *namespace = NULL;
	struct container container;
	char path[512];
	size_t len;

	if (facts->container_id[0]) {
		snprintf(path, sizeof(path), "%s/%d/root", proc_path,
			 (int)process_of_host(proc_path));
		host_root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		container_read(&container, host_root, facts->container_id);
		strcpy(facts->container_name, container.name);
		strcpy(facts->container_service, container.service);
		strcpy(facts->pod_name, container.pod_name);
		strcpy(facts->kubernetes_namespace, container.pod_namespace);
	}
	if (facts->kubernetes && !facts->pod_name[0])
		strcpy(facts->pod_name, facts->hostname);
	if (facts->kubernetes && !facts->kubernetes_namespace[0] &&
	    untrusted_file_read(&namespace, &len, root, namespace_path, 256) == 0)
		utf8_name(facts->kubernetes_namespace, sizeof(facts->kubernetes_namespace),
			  namespace, len);
}

static void read_application(struct process_facts *facts, int root)
{
	char directory[4096];
	struct program program;

	program_of(&program, facts);
	if (path_join(directory, sizeof(directory), facts->cwd,
		      program.directory ? program.directory : ""))
		strcpy(directory, facts->cwd);
	if (facts->runtime == RUNTIME_NODEJS)
		application_package_name(facts->package_name, sizeof(facts->package_name), root,
					 directory, program.script);
	else if (program.django && program.script && !facts->django_settings[0])
		application_django_settings(facts->django_settings, sizeof(facts->django_settings),
					    root, directory, program.script);
}

int process_facts_read(struct process_facts *facts, const char *proc_path, pid_t pid)
{
	cleanup_close int process = open_process(proc_path, pid);
	cleanup_close int root = -1;
	int error;

	memset(facts, 0, sizeof(*facts));
	if (process < 0)
		return process;
	facts->pid = pid;
	error = read_program(facts, process);
	if (error)
		return error;
	/* From here on what cannot be read stays "". */
	root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	read_parent(facts, process);
	read_cwd(facts, process);
	read_cgroup(facts, process);
	read_environ(facts, proc_path, process);
	read_container(facts, proc_path, root);
	read_application(facts, root);
	return 0;
}

void process_facts_copy(struct process_facts *to, const struct process_facts *from)
{
	*to = *from;
	for (size_t i = 0; i < from->arg_count; i++)
		to->arg[i] = to->args + (from->arg[i] - from->args);
}

bool process_facts_same_arguments(const struct process_facts *a, const struct process_facts *b)
{
	if (strcmp(a->exe, b->exe) != 0 || a->arg_count != b->arg_count)
		return false;
	for (size_t i = 0; i < a->arg_count; i++) {
		if (strcmp(a->arg[i], b->arg[i]) != 0)
			return false;
	}
	return true;
}
