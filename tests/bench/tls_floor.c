// SPDX-License-Identifier: Apache-2.0
/* tls_floor OBJECT PID - attaches the programs of the object, by their names, where bittern has its
 * own once it knows that the process serves TLS; says "ready", and stays until it is killed.
 *
 * Where that is the agent's own code decides, which this program is linked with: all but the
 * capture, whose place the object takes. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../agent/tls.h"

struct capture {
	struct bpf_object *object;
};

struct bpf_program *capture_program(const struct capture *c, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(c->object, name);

	if (!program)
		fprintf(stderr, "tls_floor.bpf.c has no %s, which the agent has\n", name);
	return program;
}

/* Programs that do nothing may run twice. */
void capture_set_own_probes(struct capture *c, pid_t pid, unsigned groups)
{
	(void)c;
	(void)pid;
	(void)groups;
}

void capture_set_aside(struct capture *c)
{
	(void)c;
}

static bool load(struct capture *c, const char *path, enum uprobe_mode mode)
{
	struct bpf_program *program;

	c->object = bpf_object__open_file(path, NULL);
	if (!c->object)
		return false;
	bpf_object__for_each_program(program, c->object) {
		uprobes_prepare(program, mode);
	}
	return !bpf_object__load(c->object);
}

/* What the ring would tell of a process that has served requests by TLS. */
static void serve(struct tls *tls, pid_t pid)
{
	struct record_io io = {.head = {.pid = (uint32_t)pid,
					.kind = RECORD_IO,
					.role = ROLE_SERVER,
					.direction = DIRECTION_RECEIVED,
					.flags = IO_TLS}};
	struct record record = {.kind = RECORD_IO, .io = &io};

	for (int i = 0; i < TLS_DECIDE_REQUESTS; i++)
		tls_record(tls, &record);
}

int main(int argc, char **argv)
{
	enum uprobe_mode mode = uprobes_mode();
	pid_t pid = argc == 3 ? atoi(argv[2]) : 0;
	struct capture capture;
	struct tls *tls;

	if (!pid || mode == UPROBE_NONE || !load(&capture, argv[1], mode) ||
	    tls_open(&tls, &capture, mode))
		return 1;
	tls_set_wanted(tls, pid, true);
	serve(tls, pid);
	tls_run(tls, 1);
	if (!tls_covers(tls, pid))
		return 1;
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
