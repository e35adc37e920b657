/* SPDX-License-Identifier: Apache-2.0 */
/* uprobes - BPF programs at instructions of a file that processes map.
 *
 * A link holds its places for all processes that map the file, now or later, and the file's inode,
 * also when its name is gone. Where the kernel has uprobe_multi links (Linux 6.6) they are used:
 * those need no CAP_SYS_ADMIN. Else each place is a perf event. Both cost the same per hit.
 *
 * Attaching takes the kernel some 20 ms, and 0.1 s and more where the CPUs are busy: a thread does
 * meanwhile what cannot wait. Detaching takes 0.1 s and is done in a thread. */
#ifndef BITTERN_UPROBES_H
#define BITTERN_UPROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UPROBE_PLACES_MAX 8

struct bpf_program;

enum uprobe_mode { UPROBE_NONE, UPROBE_PERF, UPROBE_MULTI };

/* What this kernel and the privileges allow, by trying: some 100 us. */
enum uprobe_mode uprobes_mode(void);
/* Whether links for one process alone are for all its threads, which not all kernels with
 * uprobe_multi links know (mended in Linux 6.10): by something else that came then. */
bool uprobes_know_processes(void);
/* Between open and load of the object: the program, of SEC("uprobe"), is loaded as mode wants it
 * (UPROBE_NONE: not at all), and attached by uprobes_attach() only. */
void uprobes_prepare(struct bpf_program *program, enum uprobe_mode mode);

struct uprobe_places {
	size_t count;
	uint64_t offsets[UPROBE_PLACES_MAX]; /* in the file */
	uint64_t cookie; /* what bpf_get_attach_cookie() tells */
	bool is_return; /* when the functions that begin there return */
};

struct uprobes; /* all there are */
struct uprobe; /* a program at places of one file */

#define UPROBES_MEANWHILE_NS 5000000ull

/* meanwhile: called by another thread, each time that something has been attached for so long; it
 * must not call anything here, and never runs when nothing is being attached. NULL: nothing is to
 * be done. 0 and *out, to be closed; -errno. */
int uprobes_open(struct uprobes **out, enum uprobe_mode mode, void (*meanwhile)(void *context),
		 void *context);
/* fd: the file, open for reading; not needed any more afterwards. 0 and *out, to be detached;
 * -errno. */
int uprobes_attach(struct uprobes *u, struct uprobe **out, struct bpf_program *program, int fd,
		   const struct uprobe_places *places);
/* The same for one process alone; where uprobes_know_processes(). -ESRCH: it has gone. */
int uprobes_attach_to(struct uprobes *u, struct uprobe **out, struct bpf_program *program, int fd,
		      const struct uprobe_places *places, pid_t pid);
/* The program may still run for a moment. NULL is fine. */
void uprobes_detach(struct uprobes *u, struct uprobe *uprobe);
/* After all have been detached: waits until none runs any more. NULL is fine. */
void uprobes_close(struct uprobes *u);

#endif
