// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* process - reports processes that begin, change their program, or end.
 *
 * A child of vfork() or posix_spawn() runs in its parent's memory until it becomes another program:
 * it is no process of its parent's service, and is first heard of at its exec.
 *
 * What a process used in its last moments cannot be read from /proc, which is gone with it. So the
 * records carry it: the exit has all but the rest of the exit itself, and when the kernel frees the
 * last of the process, after its parent has asked for it, the sums are complete. */
#include "maps.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define EEXIST 17

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

static __always_inline void add_usage(struct record_usage *usage, const struct task_struct *task)
{
	usage->user_ns += task->utime;
	usage->system_ns += task->stime;
	usage->run_ns += task->se.sum_exec_runtime;
	usage->voluntary_switches += task->nvcsw;
	usage->involuntary_switches += task->nivcsw;
	usage->minor_faults += task->min_flt;
	usage->major_faults += task->maj_flt;
}

/* Of the threads that are gone: all of them when the process is. */
static __always_inline void set_usage(struct record_usage *usage,
				      const struct signal_struct *signal)
{
	usage->user_ns = signal->utime;
	usage->system_ns = signal->stime;
	usage->run_ns = signal->sum_sched_runtime;
	usage->voluntary_switches = signal->nvcsw;
	usage->involuntary_switches = signal->nivcsw;
	usage->minor_faults = signal->min_flt;
	usage->major_faults = signal->maj_flt;
	if (bpf_core_field_exists(signal->prev_cputime)) {
		usage->shown_user_ns = signal->prev_cputime.utime;
		usage->shown_system_ns = signal->prev_cputime.stime;
	}
}

/* Of a process whose only living thread is this one. Its first thread stays to the end, also if it
 * ended before. */
static __always_inline void set_usage_of(struct record_usage *usage, const struct task_struct *task)
{
	set_usage(usage, task->signal);
	add_usage(usage, task);
	if (task->group_leader != task)
		add_usage(usage, task->group_leader);
}

/* A new program may be wanted, whatever the old one was; its /proc is read at once, so wake the
 * reader. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	u32 pid = task->tgid;
	struct record_process record = {.head = {.pid = pid, .kind = RECORD_EXEC}};

	bpf_map_delete_elem(&unwanted_processes, &pid);
	set_usage_of(&record.usage, task);
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
	bpf_map_delete_elem(&exited_processes, &pid);
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
	u8 wanted = !bpf_map_lookup_elem(&unwanted_processes, &pid);

	if (signal->live.counter)
		return 0; /* other threads live on */
	if (bpf_map_update_elem(&exited_processes, &pid, &wanted, BPF_NOEXIST) == -EEXIST)
		return 0; /* told by another thread that ends at the same moment */
	bpf_map_delete_elem(&unwanted_processes, &pid);
	record.exit_code = signal->group_exit_code;
	if (!record.exit_code)
		record.exit_code = task->exit_code;
	if (bpf_core_field_exists(signal->oom_mm) && signal->oom_mm)
		record.head.flags = EXIT_OOM_VICTIM;
	set_usage_of(&record.usage, task);
	emit(&record, 0);
	return 0;
}

/* Some milliseconds after the parent has waited for it: the kernel lets those finish who may still
 * look at the task. The first thread is the last to go. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(process_reaped, struct task_struct *task)
{
	u32 pid = task->tgid;
	struct record_process record = {.head = {.pid = pid, .kind = RECORD_REAPED}};

	u8 *wanted, was_wanted;

	if (task->pid != task->tgid)
		return 0;
	wanted = bpf_map_lookup_elem(&exited_processes, &pid);
	if (!wanted)
		return 0;
	was_wanted = *wanted;
	bpf_map_delete_elem(&exited_processes, &pid);
	if (!was_wanted)
		return 0;
	set_usage(&record.usage, task->signal);
	emit(&record, 0);
	return 0;
}
