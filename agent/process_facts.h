/* SPDX-License-Identifier: Apache-2.0 */
/* process_facts - what /proc tells of one process: its runtime and all that its name can come
 * from.
 *
 * Reads exe, cmdline, environ (only the variables named below are kept), cwd, cgroup and status
 * once; and the nearest package.json for Node.js and manage.py for Django, through
 * /proc/PID/root, so that containers work. No state.
 *
 * The runtime is the base name of exe: python, python3.13t, pypy3 and the like; node, nodejs,
 * node20; uwsgi, which is nearly always Python, unless its arguments name another language.
 * Programs that carry an interpreter inside (PyInstaller, Electron, mod_wsgi), Bun and Deno are
 * "other".
 *
 * /proc is untrusted: any file may vanish, be huge or hold garbage. Names are valid UTF-8
 * without control characters; exe, cwd and args are as the kernel gave them. */
#ifndef BITTERN_PROCESS_FACTS_H
#define BITTERN_PROCESS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum runtime { RUNTIME_OTHER, RUNTIME_PYTHON, RUNTIME_NODEJS, RUNTIME_COUNT };

#define PROCESS_ARGS_MAX 64

struct process_facts {
	pid_t pid, parent;
	enum runtime runtime;
	char exe[1024]; /* link target, " (deleted)" removed; "" when unreadable */
	char cwd[1024];
	char args[4096]; /* NUL-separated, as much as fits */
	size_t arg_count; /* at most PROCESS_ARGS_MAX */
	const char *arg[PROCESS_ARGS_MAX]; /* into args: copy with process_facts_copy() */
	char cgroup[512]; /* path of the process's (systemd or unified) cgroup, "" for none */
	char container_id[65]; /* 64 hex digits out of the cgroup path; "" for none */
	char container_name[128]; /* as Docker, Podman or containerd know it; "" when not known */
	char container_service[128]; /* of Compose or Swarm: the same for all replicas */
	char pod_name[128]; /* as the container's labels or HOSTNAME tell; "" for none */
	char package_name[128]; /* of the nearest package.json (Node.js), without an @scope/ */
	char django_settings[128]; /* DJANGO_SETTINGS_MODULE, else what manage.py sets */
	/* of its environment */
	char otel_service_name[128];
	char otel_resource_attributes[512]; /* whole pairs only */
	char flask_app[128]; /* FLASK_APP */
	char pm2_script[256]; /* what pm2 was told to run; counts only below its ProcessContainer */
	char hostname[128]; /* HOSTNAME: the pod's name under Kubernetes; "" if it is the host's */
	bool kubernetes; /* KUBERNETES_SERVICE_HOST is set */
	/* from the container's labels or the service account mount */
	char kubernetes_namespace[128];
};

/* The runtime alone: one readlink. 0; -ESRCH when the process is gone or has no program (kernel
 * threads, zombies), -EACCES. */
int process_runtime_read(enum runtime *runtime, const char *proc_path, pid_t pid);
/* 0; -ESRCH (as above), -EACCES, -ENOMEM. Every field is set on success. */
int process_facts_read(struct process_facts *facts, const char *proc_path, pid_t pid);
/* A process with the host's root and names, also when bittern is in a container itself that shows
 * it the host's processes: init, or, where a security module closes that to all, this process's
 * parent (of a container that is the engine's). */
pid_t process_of_host(const char *proc_path);
/* Whether the process is in the host's UTS namespace; false also where that cannot be read. */
bool process_has_host_name(const char *proc_path, pid_t pid);
void process_facts_copy(struct process_facts *to, const struct process_facts *from);
/* Whether both run the same file with the same arguments. */
bool process_facts_same_arguments(const struct process_facts *a, const struct process_facts *b);
const char *runtime_name(enum runtime runtime); /* "python", "nodejs", "other" */

#endif
