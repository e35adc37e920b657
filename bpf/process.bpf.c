// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* process - reports processes that begin, change their program, or end. */
#include "maps.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* wake: at once. */
static __always_inline void emit(u8 kind, u32 pid, u32 parent, u32 exit_code, bool wake)
{
	u64 time_ns = bpf_ktime_get_ns();
	struct record_process *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		loss_count(LOSS_RING_FULL);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->head.time_ns = time_ns;
	record->head.pid = pid;
	record->head.kind = kind;
	record->parent = parent;
	record->exit_code = exit_code;
	bpf_ringbuf_submit(record, wake ? BPF_RB_FORCE_WAKEUP : record_wakeup(time_ns));
}

/* A new program may be wanted, whatever the old one was; its /proc is read at once, so wake the
 * reader. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	u32 pid = task->tgid;

	bpf_map_delete_elem(&unwanted_processes, &pid);
	emit(RECORD_EXEC, pid, 0, 0, true);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 pid = child->tgid, parent_pid = parent->tgid;
	u8 *unwanted;

	if (child->pid != child->tgid)
		return 0; /* a thread */
	unwanted = bpf_map_lookup_elem(&unwanted_processes, &parent_pid);
	if (unwanted) {
		bpf_map_update_elem(&unwanted_processes, &pid, unwanted, BPF_ANY);
		return 0;
	}
	bpf_map_delete_elem(&unwanted_processes,
			    &pid); /* said of an earlier process of that number */
	emit(RECORD_FORK, pid, parent_pid, 0, false);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	u32 pid = task->tgid;
	int code;

	if (task->signal->live.counter)
		return 0; /* other threads live on */
	code = task->signal->group_exit_code;
	bpf_map_delete_elem(&unwanted_processes, &pid);
	emit(RECORD_EXIT, pid, 0, code ? code : task->exit_code, false);
	return 0;
}
