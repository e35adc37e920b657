/* SPDX-License-Identifier: Apache-2.0 */
/* services - which process belongs to which service.
 *
 * A table of processes (by pid in the agent's pid namespace), filled by a scan of /proc at
 * start, by exec, fork and exit records, and on demand for a pid not seen before; and a table of
 * services. A process becomes part of a service when it is first seen to serve (services_bind)
 * or to make a request (services_bind_client), so that a Python script which does neither is no
 * service. Naming is service_name.h's; reading /proc is process_facts.h's. No timers: the caller
 * passes the time. Owns its services, their routes and
 * addresses. Loop thread only.
 *
 * With a process come its master, the master's other workers and their forks, also those that
 * have not served yet: they are the processes of the service, and their exits are its exits. A
 * child that runs another program (fork and exec) is none, whatever becomes of it. A service that
 * has gone has come back when its command line is run again in its folder, before it serves:
 * a crash loop counts its exits.
 *
 * A name that was chosen (configuration, OTEL_*, Kubernetes, container) is one service.
 * Processes of the same guessed name (unit, package, module, folder) are one service if they
 * share a port, if they are family (master and workers), or if the service had no living process
 * and comes back; otherwise they are told apart by their lowest ports, and the older one is
 * renamed too: shop:8000 and shop:8001.
 *
 * A process that only makes requests belongs to the service of its family or of its chosen name.
 * Else all of one program and name are one service, which never makes a serving one change its
 * name, and takes the plain name only while it has it alone; then it is told apart by its program
 * (script or module, else "client"): shop and shop:cron. When it serves it stays the service it is,
 * and is named as any that serves.
 *
 * CPU time, context switches and page faults of a service are those of its processes since they
 * were first seen, living and gone: they never go back. Its memory, threads and descriptors are the
 * sums over its living processes when they were last read. A process that is not reaped within
 * PROCESS_KEEP_NS after its exit, or whose exit's record is lost, takes its last moments with it.
 *
 * A process costs 56 bytes, and about 800 more if its runtime is wanted; 500 of them its forks
 * share. */
#ifndef BITTERN_SERVICES_H
#define BITTERN_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addresses.h"
#include "costs.h"
#include "process_facts.h"
#include "process_usage.h"
#include "routes.h"

#define SERVICES_PROCESSES_MAX 65536
#define SERVICES_MAX 1000
/* Of these, at most so many that never served: when it is reached, further clients are refused. */
#define SERVICES_CLIENT_MAX (SERVICES_MAX / 2)
/* Those of them that have gone: more go after PROCESS_KEEP_NS already, the longest gone first. */
#define SERVICES_CLIENT_GONE_MAX (SERVICES_MAX / 4)
#define SERVICE_KEEP_NS (5 * 60 * 1000000000ull) /* counters outlive the last exit so long */
#define SERVICE_SETTLE_NS 2000000000ull /* and do not change any more so long after it */
#define PROCESS_KEEP_NS (10 * 1000000000ull) /* its sockets' records follow its exit */

/* How a process ended. 1 to SERVICE_EXIT_SIGNAL_MAX: the signal that killed it. */
enum service_exit {
	SERVICE_EXIT_ZERO,
	SERVICE_EXIT_SIGNAL_MAX = 64,
	SERVICE_EXIT_NONZERO,
	SERVICE_EXIT_OOM_KILLED, /* SIGKILL, and the kernel had chosen it to free memory */
	SERVICE_EXIT_COUNT
};

/* What connections carried instead of HTTP/1: those that were accepted; and of those that the
 * service made HTTP/2, as what else it speaks with others (a database) misses no request. */
enum undecoded {
	UNDECODED_HTTP2,
	UNDECODED_TLS,
	UNDECODED_OTHER,
	UNDECODED_CLIENT_HTTP2,
	UNDECODED_COUNT
};

/* Whether the sessions inside the TLS connections that a service accepts are seen, where its
 * processes have a library with probes: another may be the one that reads them. */
enum tls_sessions { TLS_SESSIONS_UNDECIDED, TLS_SESSIONS_SEEN, TLS_SESSIONS_UNSEEN };

struct service {
	uint32_t id; /* never used again */
	/* With the namespace unique among the services there are, port suffix included; valid
	 * UTF-8. Changes when another of that name appears. */
	char name[128];
	char namespace[128]; /* "" when not known */
	char instance_id[37]; /* UUID v5 of host.id, namespace and name; changes with the name */
	char container_id[65]; /* of its first process; "" when none */
	enum runtime runtime;
	uint64_t found_ns; /* when its first process was bound: its counters are of what came after
			    */
	bool served; /* false: so far its processes only made requests */
	uint16_t lowest_port; /* of those it has served on; 0: none (unix sockets) */
	uint32_t process_count; /* living ones: masters, workers and their forks */
	uint64_t gone_ns; /* when process_count fell to 0; 0 while there are any */
	struct routes *routes;
	struct addresses *addresses; /* of the servers that it asks */
	uint32_t unread_count; /* requests that arrived and are not read; set by each listing */
	uint64_t unread_since_ns; /* when the oldest of them arrived */
	uint64_t undecoded_counts[UNDECODED_COUNT];
	enum tls_sessions tls_sessions;
	uint32_t tls_undecided_count; /* connections until then; account.c's, as is since when */
	uint64_t tls_undecided_ns;
	uint64_t exit_counts[SERVICE_EXIT_COUNT]; /* of its processes, since it was found */
	struct usage usage; /* of its processes, as told above ... */
	uint64_t usage_since_ns; /* ... since the first that was bound was first seen; 0: none was
				  */
	/* Of that: what has entered the series of routes; and what is charged to requests and will.
	 * charges.c's. */
	struct costs attributed, charged;
	int64_t undecided_ns; /* of pool jobs that are not charged so far */
	uint64_t running_ns; /* the same of those that are not done */
};

/* A living process of a service: what it used since it was first seen, and what it holds. */
struct service_process {
	const struct service *service;
	pid_t pid;
	struct usage usage;
};

enum services_want {
	SERVICES_UNWANTED,
	SERVICES_WANTED,
	SERVICES_GONE, /* found by a scan; records of its end may follow, or be lost */
};

struct services_config {
	const char *proc_path; /* "/proc" */
	const char *host_id; /* for instance_id */
	bool all_runtimes; /* --runtime all */
	bool want_runtime[RUNTIME_COUNT];
	size_t max_routes; /* per service */
	const struct route_patterns *patterns; /* may be NULL */
	/* --service NAME=MATCH, in order; see service_name.h */
	const struct service_match *matches;
	size_t match_count;
	/* Told of each process once its runtime is known, of each fork of a known one, and again
	 * after each exec: the kernel side drops what unwanted processes do. */
	void (*set_wanted)(void *context, pid_t pid, enum services_want want);
	/* Told before a service goes for good (SERVICE_KEEP_NS after its last exit, or earlier: see
	 * SERVICES_CLIENT_GONE_MAX), by services_expire() only. */
	void (*closed)(void *context, const struct service *service);
	void *context;
};

struct services;

/* Copies config; what it points to must outlive the services. 0 and *out, to be closed; -ENOMEM. */
int services_open(struct services **out, const struct services_config *config);
/* Reads all of /proc once; 0 or -errno when proc_path cannot be read. Later ones add what was
 * missed: new processes, other programs, exits. Some 3 us a process: not more often than every
 * 10 s. */
int services_scan(struct services *s, uint64_t now_ns);

/* used: what the process had used by then (counters); NULL: not known. */
void services_exec(struct services *s, pid_t pid, const struct usage *used, uint64_t now_ns);
/* The child starts with what its parent is, and counts as its service's at once, but for a child
 * of Node.js, which forks only to execute another program. */
void services_fork(struct services *s, pid_t parent, pid_t child, uint64_t now_ns);
/* code as wait(2) has it; oom_victim: the kernel had chosen it to free memory; used as above. An
 * exit that is only found by a scan is not counted: how it ended is not known. */
void services_exit(struct services *s, pid_t pid, uint32_t code, bool oom_victim,
		   const struct usage *used, uint64_t now_ns);
/* After its exit: what it used in all. */
void services_reaped(struct services *s, pid_t pid, const struct usage *used);
/* The service of a process that serves on port (host order, 0 for a unix socket); NULL when the
 * process is not wanted or a table is full (counted). Usually one hash look-up; reads /proc for
 * a pid not seen before. Binds the process at its first call, and adds port to what the service
 * serves on. */
struct service *services_bind(struct services *s, pid_t pid, uint16_t port, uint64_t now_ns);
/* The service of a process that makes a request: the one it is bound to, else one found by name,
 * as told above. NULL as in services_bind(). */
struct service *services_bind_client(struct services *s, pid_t pid, uint64_t now_ns);
/* The service that serves on port, of the process that listens there (0: not known); else the only
 * one that serves on such a port at all. NULL: none so far. Binds nothing. */
struct service *services_find_serving(const struct services *s, pid_t pid, uint16_t port);
/* Forgets exited processes after PROCESS_KEEP_NS and services after SERVICE_KEEP_NS. Call once a
 * second or less often. */
void services_expire(struct services *s, uint64_t now_ns);
/* What was counted until told_ns has been delivered to whoever keeps it. A service that has gone
 * later is not forgotten before that, as long as no more than half of SERVICES_MAX are known; then
 * it is counted (untold_services). Without a call all are taken for told. */
void services_keep_untold(struct services *s, uint64_t told_ns);

/* Reads what processes of services use and sums it up, each at most once a second; after some
 * file_max files (5 to 10 us each; 4 a process, and one for each thread) the others wait for the
 * next call: see usage_waiting_count. */
void services_read_usage(struct services *s, size_t file_max, uint64_t now_ns);

/* Processes whose usage is known, by service and pid: how many there are. The first max of them are
 * in out; when there are more, those of the last services are missing. */
size_t services_list_processes(const struct services *s, struct service_process *out, size_t max);

/* Iteration in order of creation: pass NULL for the first; NULL at the end. */
struct service *services_next(const struct services *s, const struct service *previous);

struct services_stats {
	size_t process_count; /* living ones that are known */
	size_t service_count;
	uint64_t refused_processes, refused_services; /* a table was full */
	uint64_t unreadable_processes; /* gone before /proc was read, or no permission */
	uint64_t untold_services; /* forgotten before what they had counted was delivered */
	uint64_t unreadable_usage; /* files that tell of usage; those of processes gone are none */
	size_t usage_waiting_count; /* processes whose usage the last call left unread */
};
struct services_stats services_stats(const struct services *s);

/* How many living processes of each runtime were found, for bittern check. */
void services_count_runtimes(const struct services *s, size_t counts[static RUNTIME_COUNT]);
/* Until the next call; NULL: not known or not wanted. A fork has the arguments of its parent's
 * exec. */
const struct process_facts *services_facts(const struct services *s, pid_t pid);
/* The service that it is bound to; NULL: none, or not known. */
struct service *services_of(const struct services *s, pid_t pid);
void services_close(struct services *s); /* NULL is fine */

#endif
