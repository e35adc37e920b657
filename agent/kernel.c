// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *btf_type; /* what the kernel's BTF has when the hook exists */
	int kind;
} hooks[HOOK_COUNT] = {
	[HOOK_RECEIVE] = {"tp_btf/sock_recv_length", "btf_trace_sock_recv_length",
			  BTF_KIND_TYPEDEF},
	[HOOK_SEND] = {"tp_btf/sock_send_length", "btf_trace_sock_send_length", BTF_KIND_TYPEDEF},
	[HOOK_ARRIVAL] = {"tp_btf/sk_data_ready", "btf_trace_sk_data_ready", BTF_KIND_TYPEDEF},
	[HOOK_STATE] = {"tp_btf/inet_sock_set_state", "btf_trace_inet_sock_set_state",
			BTF_KIND_TYPEDEF},
	[HOOK_EXEC] = {"tp_btf/sched_process_exec", "btf_trace_sched_process_exec",
		       BTF_KIND_TYPEDEF},
	[HOOK_FORK] = {"tp_btf/sched_process_fork", "btf_trace_sched_process_fork",
		       BTF_KIND_TYPEDEF},
	[HOOK_EXIT] = {"tp_btf/sched_process_exit", "btf_trace_sched_process_exit",
		       BTF_KIND_TYPEDEF},
	[HOOK_SWITCH] = {"tp_btf/sched_switch", "btf_trace_sched_switch", BTF_KIND_TYPEDEF},
	[HOOK_WAKING] = {"tp_btf/sched_waking", "btf_trace_sched_waking", BTF_KIND_TYPEDEF},
	[HOOK_TASK_LIST] = {"iter/task", "bpf_iter__task", BTF_KIND_STRUCT},
	[HOOK_SOCKET_LIST] = {"iter/bpf_sk_storage_map", "bpf_iter__bpf_sk_storage_map",
			      BTF_KIND_STRUCT},
	[HOOK_FILE_LIST] = {"iter/task_file", "bpf_iter__task_file", BTF_KIND_STRUCT},
};

const char *kernel_hook_name(enum kernel_hook hook)
{
	return hooks[hook].name;
}

const char *kernel_variant_name(enum kernel_variant variant)
{
	return variant == KERNEL_MAIN ? "main (tp_btf)" : "none";
}

void kernel_explain(const struct kernel *kernel, char *why, size_t why_len)
{
	const char *missing = "BTF";
	int i;

	for (i = HOOK_COUNT; kernel->has_btf && i-- > 0;) {
		if (!kernel->has_hook[i])
			missing = hooks[i].name;
	}
	snprintf(why, why_len, "the kernel has no %s: it takes Linux 6.3 or later with BTF",
		 missing);
}

void kernel_probe(struct kernel *kernel)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool complete = true;
	int i;

	memset(kernel, 0, sizeof(*kernel));
	kernel->variant = KERNEL_NONE;
	if (!btf)
		return;
	kernel->has_btf = true;
	for (i = 0; i < HOOK_COUNT; i++) {
		kernel->has_hook[i] =
			btf__find_by_name_kind(btf, hooks[i].btf_type, hooks[i].kind) > 0;
		complete = complete && kernel->has_hook[i];
	}
	kernel->has_pt_regs_helper =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACING, BPF_FUNC_task_pt_regs, NULL) != 0;
	btf__free(btf);
	if (complete)
		kernel->variant = KERNEL_MAIN;
}
