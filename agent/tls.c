// SPDX-License-Identifier: Apache-2.0
#include "tls.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ARG1 PROLOGUE_ARG1
#define ARG12 (PROLOGUE_ARG1 | PROLOGUE_ARG2)
#define ARG123 (ARG12 | PROLOGUE_ARG3)
#define ARG124 (ARG12 | PROLOGUE_ARG4)
#define LIBSSL TLS_FILE_LIBSSL
#define NODE TLS_FILE_NODE
#define CALLER (TLS_FILE_LIBSSL | TLS_FILE_CALLER)

struct row {
	const char *program, *function;
	enum tls_place place;
	unsigned arguments;
	uint8_t files, groups;
	uint8_t cookie;
};

#define ROW(program, function, place, arguments, files, group)                               \
	{                                                                                    \
		program, function, TLS_PLACE_##place, arguments, files, TLS_GROUP_##group, 0 \
	}

/* The verifier takes its time over what tells plaintext: so that is one program. */
#define PLAINTEXT(what, function, place, arguments, files, group)                                  \
	{                                                                                          \
		"tls_plaintext", function, TLS_PLACE_##place, arguments, files, TLS_GROUP_##group, \
			TLS_##what                                                                 \
	}

/* In the order of attaching: ends before begins, so that no begin is seen without its end, and
 * writing before reading, so that no request is seen without its response. */
static const struct row table[] = {
	PLAINTEXT(READ_ENDS, "SSL_read", RETURN, 0, LIBSSL, BASE),
	PLAINTEXT(READ_ENDS, "SSL_read", RETURN, 0, NODE, CLIENT),
	PLAINTEXT(READ_EX_ENDS, "SSL_read_ex", BEHIND_CALL_OR_RETURN, 0, CALLER, BASE),
	ROW("tls_handshake_end", "SSL_do_handshake", BEHIND_CALL_OR_RETURN, 0, CALLER, BASE),
	ROW("tls_bio", "BIO_write", AT_CALL, 0, TLS_FILE_CALLER, BIO),
	ROW("tls_free", "SSL_free", ENTRY, ARG1, LIBSSL | NODE, BASE),
	ROW("tls_shutdown", "SSL_shutdown", ENTRY, ARG1, LIBSSL, BASE),
	ROW("tls_connect", "SSL_set_connect_state", ENTRY, ARG1, NODE, BASE),
	ROW("tls_certificate", "SSL_CTX_use_certificate", ENTRY, ARG1, NODE, BASE),
	PLAINTEXT(WRITES, "SSL_write", ENTRY, ARG123, LIBSSL | NODE, BASE),
	PLAINTEXT(WRITES, "SSL_write_ex", ENTRY, ARG123, LIBSSL, BASE),
	ROW("tls_handshake", "SSL_do_handshake", ENTRY, ARG1, LIBSSL, BASE),
	ROW("tls_read", "SSL_read", ENTRY, ARG12, LIBSSL, BASE),
	ROW("tls_read", "SSL_read", ENTRY, ARG12, NODE, CLIENT),
	ROW("tls_read_ex", "SSL_read_ex", ENTRY, ARG124, LIBSSL, BASE),
	PLAINTEXT(PARSES, "llhttp_execute", ENTRY, ARG12 | PROLOGUE_ARG3_OR_END, NODE, SERVER),
};

#define PROBE_COUNT (sizeof(table) / sizeof(table[0]))

struct process {
	pid_t pid;
	unsigned int requests; /* while it is undecided */
	uint8_t used; /* groups */
	uint8_t lacked; /* groups that it was without, if only for a while */
};

struct processes {
	struct process all[TLS_PROCESSES_LOOKED_AT];
	size_t count;
};

struct tls {
	struct tls_libraries *libraries;
	struct tls_probe probes[PROBE_COUNT];
	struct processes undecided; /* they have all groups */
	struct processes decided; /* they have not */
	bool runs; /* what is wanted from now on may be without probes at first */
	uint64_t missed_requests;
};

static_assert(TLS_OWN_SERVER == (int)TLS_GROUP_SERVER && TLS_OWN_CLIENT == (int)TLS_GROUP_CLIENT,
	      "the kernel side's");

static void on_own(void *context, pid_t pid, unsigned groups)
{
	capture_set_own_probes(context, pid, groups);
}

static void on_meanwhile(void *context)
{
	capture_set_aside(context);
}

int tls_open(struct tls **out, struct capture *capture, enum uprobe_mode mode)
{
	struct tls *t = calloc(1, sizeof(*t));
	struct tls_libraries_config config = {
		.proc_path = "/proc",
		.probe_count = PROBE_COUNT,
		.mode = mode,
		.own = uprobes_know_processes() ? on_own : NULL,
		.meanwhile = on_meanwhile,
		.context = capture,
	};
	int error = 0;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < PROBE_COUNT; i++) {
		t->probes[i] = (struct tls_probe){
			.program = capture_program(capture, table[i].program),
			.function = table[i].function,
			.place = table[i].place,
			.arguments = table[i].arguments,
			.files = table[i].files,
			.groups = table[i].groups,
			.cookie = table[i].cookie,
		};
		if (!t->probes[i].program)
			error = -ENOENT;
	}
	config.probes = t->probes;
	if (!error)
		error = tls_libraries_open(&t->libraries, &config);
	if (error) {
		free(t);
		return error;
	}
	*out = t;
	return 0;
}

static struct process *find(struct processes *processes, pid_t pid)
{
	for (size_t i = 0; i < processes->count; i++) {
		if (processes->all[i].pid == pid)
			return &processes->all[i];
	}
	return NULL;
}

static bool add(struct processes *processes, struct process process)
{
	if (processes->count == TLS_PROCESSES_LOOKED_AT)
		return false;
	processes->all[processes->count++] = process;
	return true;
}

static void remove_process(struct processes *processes, pid_t pid)
{
	struct process *process = find(processes, pid);

	if (process)
		*process = processes->all[--processes->count];
}

int tls_fd(const struct tls *t)
{
	return t ? tls_libraries_fd(t->libraries) : -1;
}

void tls_run(struct tls *t, uint64_t now_ns)
{
	if (!t)
		return;
	tls_libraries_run(t->libraries, now_ns);
	t->runs = true;
}

void tls_set_wanted(struct tls *t, pid_t pid, bool wanted)
{
	if (!t)
		return;
	remove_process(&t->undecided, pid);
	remove_process(&t->decided, pid);
	tls_libraries_set_wanted(t->libraries, pid, wanted);
	if (wanted)
		add(&t->undecided, (struct process){
					   .pid = pid,
					   .lacked = t->runs ? TLS_GROUPS_ALL : 0,
				   });
}

/* What it uses from now on it has at once, and all else for another while. */
static void use(struct tls *t, pid_t pid, uint8_t group)
{
	struct process *process = find(&t->undecided, pid), again;

	if (process) {
		process->used |= group;
		return;
	}
	process = find(&t->decided, pid);
	if (!process || process->used & group)
		return;
	process->used |= group;
	again = *process;
	again.requests = 0;
	tls_libraries_set_groups(t->libraries, pid, TLS_GROUPS_ALL);
	if (add(&t->undecided, again))
		remove_process(&t->decided, pid);
}

static void decide(struct tls *t, struct process decided)
{
	uint8_t groups = TLS_GROUP_BASE | decided.used;

	decided.lacked |= TLS_GROUPS_ALL & ~groups;
	remove_process(&t->undecided, decided.pid);
	if (add(&t->decided, decided))
		tls_libraries_set_groups(t->libraries, decided.pid, groups);
}

static void on_io(struct tls *t, const struct record_io *io)
{
	bool is_server = io->head.role == ROLE_SERVER, is_tls = io->head.flags & IO_TLS;
	struct process *process;

	if (!t->undecided.count || io->offset || (!is_server && !is_tls) ||
	    io->head.direction != (is_server ? DIRECTION_RECEIVED : DIRECTION_SENT))
		return;
	process = find(&t->undecided, (pid_t)io->head.pid);
	if (!process)
		return;
	if (is_tls) /* a client that opens several sessions at once some day */
		process->used |= is_server ? TLS_GROUP_SERVER : TLS_GROUP_CLIENT | TLS_GROUP_BIO;
	if (is_server && ++process->requests >= TLS_DECIDE_REQUESTS)
		decide(t, *process);
}

/* A probe was missing: whether that is since this process was thought to need none. */
static void on_missed(struct tls *t, pid_t pid, uint8_t group)
{
	const struct process *process = find(&t->decided, pid);

	if (!process)
		process = find(&t->undecided, pid);
	if (process && process->lacked & group)
		t->missed_requests++;
	use(t, pid, group);
}

static void on_tls(struct tls *t, pid_t pid, enum tls_event event)
{
	switch (event) {
	case TLS_CONNECTS:
		use(t, pid, TLS_GROUP_CLIENT);
		break;
	case TLS_SERVES:
		use(t, pid, TLS_GROUP_SERVER);
		break;
	case TLS_BATCHES:
		use(t, pid, TLS_GROUP_BIO);
		break;
	case TLS_UNASKED:
		on_missed(t, pid, TLS_GROUP_SERVER);
		break;
	case TLS_UNHEARD:
		on_missed(t, pid, TLS_GROUP_CLIENT);
		break;
	default:
		break;
	}
}

static void on_fork(struct tls *t, const struct record_process *fork)
{
	if (tls_libraries_cover(t->libraries, (pid_t)fork->parent))
		tls_set_wanted(t, (pid_t)fork->head.pid, true);
}

void tls_record(struct tls *t, const struct record *record)
{
	pid_t pid = (pid_t)record->head->pid;

	if (!t)
		return;
	switch (record->kind) {
	case RECORD_IO:
		on_io(t, record->io);
		break;
	case RECORD_UNDECODED:
		if (record->undecoded->first[0] == TLS_HANDSHAKE)
			use(t, pid, TLS_GROUP_SERVER);
		break;
	case RECORD_TLS:
		on_tls(t, pid, record->tls->event);
		break;
	case RECORD_FORK:
		on_fork(t, record->process);
		break;
	case RECORD_EXIT:
		tls_set_wanted(t, pid, false);
		break;
	default:
		break;
	}
}

bool tls_covers(const struct tls *t, pid_t pid)
{
	return t && tls_libraries_cover(t->libraries, pid);
}

struct tls_stats tls_stats(const struct tls *t)
{
	return t ? (struct tls_stats){tls_libraries_stats(t->libraries), t->missed_requests}
		 : (struct tls_stats){0};
}

void tls_close(struct tls *t)
{
	if (!t)
		return;
	tls_libraries_close(t->libraries);
	free(t);
}
