/* SPDX-License-Identifier: Apache-2.0 */
/* kernel - what the running kernel offers: asked of its BTF, never of its version number. */
#ifndef BITTERN_KERNEL_H
#define BITTERN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

enum kernel_variant {
	KERNEL_MAIN, /* tp_btf/sock_recv_length, sock_send_length (Linux 6.3 and later) */
	KERNEL_NONE, /* bittern cannot run here */
};

enum kernel_hook {
	HOOK_RECEIVE,
	HOOK_SEND,
	HOOK_ARRIVAL,
	HOOK_STATE,
	HOOK_EXEC,
	HOOK_FORK,
	HOOK_EXIT,
	HOOK_SWITCH,
	HOOK_WAKING,
	HOOK_TASK_LIST,
	HOOK_SOCKET_LIST,
	HOOK_FILE_LIST,
	HOOK_COUNT,
};

struct kernel {
	bool has_btf;
	bool has_hook[HOOK_COUNT];
	bool has_pt_regs_helper; /* bpf_task_pt_regs(), Linux 5.15 */
	enum kernel_variant variant;
};

/* Fills what can be told; never fails: a kernel without BTF has nothing. */
void kernel_probe(struct kernel *kernel);
const char *kernel_hook_name(enum kernel_hook hook); /* "tp_btf/sock_recv_length" */
const char *kernel_variant_name(enum kernel_variant variant);
/* Why bittern cannot run on a kernel of KERNEL_NONE, in why. */
void kernel_explain(const struct kernel *kernel, char *why, size_t why_len);

#endif
