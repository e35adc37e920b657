// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* process - reports processes that begin, change their program, or end.
 *
 * A child of vfork() or posix_spawn() runs in its parent's memory until it becomes another program:
 * it is no process of its parent's service, and is first heard of at its exec. */
#include "maps.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void emit(const struct record_process *what, u64 wake)
{
	u64 time_ns = bpf_ktime_get_ns();
	struct record_process *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		loss_count(LOSS_RING_FULL);
		return;
	}
	*record = *what;
	record->head.time_ns = time_ns;
	bpf_ringbuf_submit(record, wake ? wake : record_wakeup(time_ns));
}

/* A new program may be wanted, whatever the old one was; its /proc is read at once, so wake the
 * reader. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	u32 pid = task->tgid;
	struct record_process record = {.head = {.pid = pid, .kind = RECORD_EXEC}};

	bpf_map_delete_elem(&unwanted_processes, &pid);
	emit(&record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 pid = child->tgid, parent_pid = parent->tgid;
	struct record_process record = {.head = {.pid = pid, .kind = RECORD_FORK},
					.parent = parent_pid};
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
	if (child->mm != parent->mm)
		emit(&record, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	u32 pid = task->tgid;
	struct record_process record = {.head = {.pid = pid, .kind = RECORD_EXIT}};

	if (signal->live.counter)
		return 0; /* other threads live on */
	bpf_map_delete_elem(&unwanted_processes, &pid);
	record.exit_code = signal->group_exit_code;
	if (!record.exit_code)
		record.exit_code = task->exit_code;
	if (bpf_core_field_exists(signal->oom_mm) && signal->oom_mm)
		record.head.flags = EXIT_OOM_VICTIM;
	emit(&record, 0);
	return 0;
}
