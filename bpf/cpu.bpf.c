// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* cpu - the CPU clock of threads that work for requests, and how work goes from one to another.
 *
 * A thread that sleeps on a futex without a timeout until another one of its process wakes it, as
 * those of a pool wait for their queue, is given work by it. (A thread of CPython that waits for
 * the interpreter lock has a timeout, and is not.) So is one that waits for events in a loop of its
 * own (worker_threads). A pool's thread has done its job when it sleeps so again. */
#include "maps.bpf.h"
#include "syscall.bpf.h"
#include "work.bpf.h"
#include <bpf/bpf_tracing.h>

#define TASK_SLEEPS 3 /* TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE */
#define TASK_IS_DEAD 0x80 /* TASK_DEAD */
#define WOKEN_IN_VAIN_NS 20000 /* another thread had taken the job */
#define LISTED_MIN_NS 1000000
#define FUTEX_COMMAND 0x7f /* without its flags */
#define FUTEX_WAIT 0
#define FUTEX_WAIT_BITSET 9
#define FUTEX_CLOCK_REALTIME 0x100
#define LOCK_WAIT_MAX_NS 10000000
#define LOCK_BYTES 256

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum wait { WAIT_NONE, WAIT_QUEUE, WAIT_LOOP, WAIT_SOCKET };

/* A thread of CPython that wants the interpreter lock waits for it 5 ms at a time. The lock is one
 * struct, so all that it waits for without a timeout nearby is of the lock too. */
static __always_inline void lock_seen(u32 pid, const struct call_arguments *call, u64 time_ns)
{
	u64 *known = bpf_map_lookup_elem(&interpreter_locks, &pid), address = call->a0;
	struct {
		s64 s, ns;
	} until;

	if (known && *known == address)
		return;
	if ((call->a1 & FUTEX_COMMAND) != FUTEX_WAIT_BITSET || call->a1 & FUTEX_CLOCK_REALTIME ||
	    bpf_probe_read_user(&until, sizeof(until), (void *)call->a3))
		return;
	if (until.s * 1000000000 + until.ns - (s64)time_ns < LOCK_WAIT_MAX_NS)
		bpf_map_update_elem(&interpreter_locks, &pid, &address, BPF_ANY);
}

static __always_inline bool is_lock(u32 pid, u64 address)
{
	u64 *known = bpf_map_lookup_elem(&interpreter_locks, &pid);

	return known && address - *known + LOCK_BYTES < 2 * LOCK_BYTES;
}

/* What a thread that sleeps waits for, by its system call. */
static __always_inline enum wait wait_of(struct task_struct *task, u64 time_ns)
{
	struct call_arguments call;

	if (!call_arguments(&call, task))
		return WAIT_NONE;
	switch (call.number) {
	case SYS_futex:
		if (call.a3 && time_ns)
			lock_seen(task->tgid, &call, time_ns);
		/* The value 2: of a mutex. */
		if (call.a3 || ((call.a1 & FUTEX_COMMAND) != FUTEX_WAIT_BITSET &&
				((call.a1 & FUTEX_COMMAND) != FUTEX_WAIT || call.a2 == 2)))
			return WAIT_NONE;
		return is_lock(task->tgid, call.a0) ? WAIT_NONE : WAIT_QUEUE;
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return WAIT_LOOP;
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
	case SYS_accept:
	case SYS_accept4:
		return WAIT_SOCKET;
	default:
		return WAIT_NONE;
	}
}

/* Whether the running thread itself wakes another one, not an interrupt. */
static __always_inline bool wakes(struct task_struct *current)
{
	struct call_arguments call;

	if (!call_arguments(&call, current))
		return false;
	return call.number == SYS_futex || call.number == SYS_write || call.number == SYS_sendto ||
	       call.number == SYS_sendmsg;
}

/* The thread is not running: its clock stands. */
static __always_inline void job_ends(struct thread *t, struct task_struct *task, u64 time_ns)
{
	u64 cpu_ns = task->se.sum_exec_runtime;

	t->told_minor = task->min_flt;
	t->told_major = task->maj_flt;
	if (t->told_ns || cpu_ns - t->marked_ns > WOKEN_IN_VAIN_NS || t->flags & THREAD_ENDS)
		emit_job(t, task->tgid, task->pid, time_ns, cpu_ns);
	t->marked_ns = cpu_ns;
	t->marked_minor = t->told_minor;
	t->marked_major = t->told_major;
	t->told_ns = 0;
	t->owner_cookie = 0;
	t->flags = 0;
}

static __always_inline void sleeps(struct thread *t, struct task_struct *task, u64 time_ns)
{
	enum wait wait = wait_of(task, time_ns);

	if (t->flags & THREAD_JOB) {
		if (wait == WAIT_QUEUE || wait == WAIT_LOOP)
			job_ends(t, task, time_ns);
		return;
	}
	if (wait == WAIT_NONE || (wait == WAIT_QUEUE && !(t->flags & THREAD_ANSWERS)))
		return;
	t->waited_ns = task->se.sum_exec_runtime;
	t->waited_minor = task->min_flt;
	t->waited_major = task->maj_flt;
	if (t->flags & THREAD_SLEPT) {
		t->wait_count += t->wait_count < WORK_WAITS_MAX;
		return;
	}
	t->flags |= THREAD_SLEPT;
	t->wait_count = 1;
	t->slept_ns = t->waited_ns;
	t->slept_minor = t->waited_minor;
	t->slept_major = t->waited_major;
}

/* state: of a task that gives up its CPU by itself; 0: it was taken from it. */
static __always_inline void leaves_cpu(struct task_struct *task, u64 time_ns, unsigned int state)
{
	struct thread *t = bpf_task_storage_get(&threads, task, NULL, 0);

	if (!t || !t->on_ns)
		return;
	if (t->flags & THREAD_FRESH) { /* now the clock is known; it was carried on from a guess */
		t->marked_ns += task->se.sum_exec_runtime - (t->base_ns + (time_ns - t->on_ns));
		t->flags &= ~THREAD_FRESH;
	}
	if (state & TASK_SLEEPS)
		sleeps(t, task, time_ns);
	else if (state & TASK_IS_DEAD && t->flags & THREAD_JOB)
		job_ends(t, task, time_ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(cpu_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	struct thread *t;
	u64 time_ns;

	if (!next->bpf_storage && !prev->bpf_storage)
		return 0;
	time_ns = bpf_ktime_get_ns();
	if (prev->bpf_storage)
		leaves_cpu(prev, time_ns, preempt ? 0 : prev_state);
	if (!next->bpf_storage)
		return 0;
	t = bpf_task_storage_get(&threads, next, NULL, 0);
	if (!t)
		return 0;
	t->base_ns = next->se.sum_exec_runtime;
	t->on_ns = time_ns;
	return 0;
}

/* Storage for a thread that does not run; NULL: no memory, and its work is told for nobody. */
static __always_inline struct thread *thread_idle(struct task_struct *task)
{
	struct thread *t =
		bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (t && !t->on_ns) {
		t->marked_ns = task->se.sum_exec_runtime;
		t->marked_minor = task->min_flt;
		t->marked_major = task->maj_flt;
		t->base_ns = t->marked_ns;
		t->on_ns = bpf_ktime_get_ns();
	}
	return t;
}

/* What a thread that does not run has used for the request that it worked for: up to its first
 * wait for events. */
static __always_inline void idle_told(struct thread *t, struct task_struct *task)
{
	struct work work = {.owner_cookie = t->owner_cookie,
			    .owner_begin = t->owner_begin,
			    .tid = task->pid,
			    .wait_count = 1};
	u64 cpu_ns = task->se.sum_exec_runtime, end = cpu_ns;
	u32 minor = task->min_flt, major = task->maj_flt;

	if (t->flags & THREAD_SLEPT) {
		end = t->slept_ns;
		minor = t->slept_minor;
		major = t->slept_major;
	}
	cost_set(&work.owner, end - t->marked_ns, minor - t->marked_minor, major - t->marked_major);
	if (t->owner_cookie)
		emit_work(&work, task->tgid, bpf_ktime_get_ns());
	t->marked_ns = cpu_ns;
	t->marked_minor = task->min_flt;
	t->marked_major = task->maj_flt;
	t->flags &= ~THREAD_SLEPT;
}

/* The thread, which sleeps or is new, gets work from the running one. */
static __always_inline void hand_over(const struct thread *from, u32 from_tid,
				      struct task_struct *task, enum wait wait)
{
	struct thread *t = thread_idle(task);

	if (!t || t->flags & (THREAD_JOB | THREAD_HANDS_ON))
		return;
	if (t->flags & THREAD_SERVES && wait == WAIT_QUEUE) {
		if (!(t->flags & THREAD_ANSWERS))
			return; /* it waits for a lock */
		if (from->flags & THREAD_JOB) {
			/* Or for the one that it has given the job: that is no wait for events. */
			if (from->waker_tid == (u32)task->pid && t->wait_count == 1)
				t->flags &= ~THREAD_SLEPT;
			return;
		}
	}
	idle_told(t, task);
	t->owner_cookie = from->owner_cookie;
	t->owner_begin = from->owner_begin;
	if (t->flags & THREAD_SERVES)
		return;
	t->flags |= THREAD_JOB;
	t->unwoken = 0;
	t->job_ns = bpf_ktime_get_ns();
	/* One worker may wake the next for what a loop gave to both. */
	t->waker_tid = from->flags & THREAD_JOB ? from->waker_tid : from_tid;
}

#define THREAD_WAITS_FOR_NEXT (THREAD_SERVES | THREAD_ANSWERS | THREAD_SLEPT)

/* The running thread, which works for nobody known, wakes one that has answered and waits in a
 * queue for the next request: it has accepted a connection, or seen that it can be read. What it
 * has used since it did so last belongs to what comes before that one is read. So its marks are set
 * back. */
static __always_inline void hand_on(struct task_struct *current, struct task_struct *task)
{
	struct thread *to = bpf_task_storage_get(&threads, task, NULL, 0), *from;
	u64 time_ns, end;
	u32 minor, major;

	if (!to || (to->flags & THREAD_WAITS_FOR_NEXT) != THREAD_WAITS_FOR_NEXT ||
	    wait_of(task, 0) != WAIT_QUEUE || !wakes(current))
		return;
	time_ns = bpf_ktime_get_ns();
	from = thread_of(current, time_ns, true);
	if (!from)
		return;
	end = thread_clock(from, current, time_ns);
	minor = current->min_flt - from->marked_minor;
	major = current->maj_flt - from->marked_major;
	to->marked_ns -= end - from->marked_ns;
	to->slept_ns -= end - from->marked_ns;
	to->waited_ns -= end - from->marked_ns;
	to->marked_minor -= minor;
	to->slept_minor -= minor;
	to->waited_minor -= minor;
	to->marked_major -= major;
	to->slept_major -= major;
	to->waited_major -= major;
	from->marked_ns = end;
	from->marked_minor += minor;
	from->marked_major += major;
	from->flags |= THREAD_HANDS_ON;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(cpu_waking, struct task_struct *task)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct thread *t = NULL;
	enum wait wait;

	if (task->tgid != current->tgid || task == current)
		return 0;
	if (current->bpf_storage)
		t = bpf_task_storage_get(&threads, current, NULL, 0);
	if (!t || !t->owner_cookie) {
		if (task->bpf_storage)
			hand_on(current, task);
		return 0;
	}
	wait = wait_of(task, 0);
	if (t->flags & THREAD_JOB && (u32)task->pid == t->waker_tid)
		job_told(t, current, bpf_ktime_get_ns(), wait != WAIT_NONE);
	if ((wait == WAIT_QUEUE || wait == WAIT_LOOP) && wakes(current))
		hand_over(t, current->pid, task, wait);
	return 0;
}

/* A new thread of a process takes its first work from the one that began it. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(cpu_thread, struct task_struct *parent, struct task_struct *child)
{
	struct thread *t;

	if (!parent->bpf_storage || child->tgid != parent->tgid)
		return 0;
	t = bpf_task_storage_get(&threads, parent, NULL, 0);
	if (t && t->owner_cookie)
		hand_over(t, parent->pid, child, WAIT_QUEUE);
	return 0;
}

/* What a thread did last is told when it ends; of a job when it leaves its CPU for good, since its
 * end takes about as long as Django's jobs do that close a response. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(cpu_exit, struct task_struct *task)
{
	u64 time_ns = bpf_ktime_get_ns();
	struct work work;
	struct thread *t;

	if (!task->bpf_storage)
		return 0;
	t = thread_of(task, time_ns, false);
	if (!t || !t->owner_cookie)
		return 0;
	if (t->flags & THREAD_JOB) {
		t->flags |= THREAD_ENDS;
		return 0;
	}
	thread_mark(t, task, time_ns, MARK_RESUMED, &work);
	emit_work(&work, task->tgid, time_ns);
	t->owner_cookie = 0;
	return 0;
}

/* What was used and is in no record: of a thread that computes for long. */
SEC("iter/task")
int cpu_list(struct bpf_iter__task *context)
{
	struct thread_state state = {};
	struct task_struct *task = context->task;
	u32 minor, major;
	struct thread *t;
	u64 cpu_ns;

	if (!task || !task->bpf_storage)
		return 0;
	t = bpf_task_storage_get(&threads, task, NULL, 0);
	if (!t || !t->owner_cookie)
		return 0;
	cpu_ns = task->se.sum_exec_runtime;
	minor = task->min_flt;
	major = task->maj_flt;
	barrier_var(cpu_ns); /* or the compiler reads one of two structs with one instruction */
	barrier_var(minor);
	barrier_var(major);
	if (t->flags & THREAD_SLEPT) {
		cpu_ns = t->slept_ns;
		minor = t->slept_minor;
		major = t->slept_major;
	}
	if ((s64)(cpu_ns - t->marked_ns) < LISTED_MIN_NS)
		return 0;
	state.pid = task->tgid;
	state.tid = task->pid;
	state.owner_cookie = t->owner_cookie;
	state.owner_begin = t->owner_begin;
	state.cost.cpu_ns = cpu_ns - t->marked_ns;
	state.cost.minor_faults = minor - t->marked_minor;
	state.cost.major_faults = major - t->marked_major;
	if (t->flags & THREAD_JOB) {
		state.begin_ns = t->job_ns;
		state.told_ns = t->told_ns;
		state.waker_tid = t->waker_tid;
	}
	bpf_seq_write(context->meta->seq, &state, sizeof(state));
	return 0;
}
