/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* work - which thread works for which request, and what that costs.
 *
 * A thread that has read a request works for it until it reads another one, or something that came
 * in answer to what was sent for another. Its CPU clock is the scheduler's own (sum_exec_runtime),
 * carried on by the time since it came to its CPU (cpu.bpf.c). Records of its calls take along what
 * it used since the last one; where there is none to take it, RECORD_WORK does.
 *
 * An event loop waits between the things that it does, and what it does after a wait, until the
 * next call on a socket tells, is for nobody known: a timer, or the very request that is read or
 * answered then. So three parts, before the first wait, from there to the last one, and after that,
 * are told apart. */
#ifndef BITTERN_WORK_BPF_H
#define BITTERN_WORK_BPF_H

#include "maps.bpf.h"

#define TICK_MAX_NS 12000000 /* at 100 Hz, and how late it can be */
#define JOB_MIN_NS 100000 /* less is the rest of the job before */

enum mark { MARK_RECEIVED, MARK_SENT, MARK_RESUMED };

/* A thread's storage while it runs; create: also for one that has none. NULL is fine. */
static __always_inline struct thread *thread_of(struct task_struct *task, u64 time_ns, bool create)
{
	struct thread *t = bpf_task_storage_get(&threads, task, NULL,
						create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);

	if (t && !t->on_ns) {
		/* Which lags behind by up to a tick: see cpu_switch. */
		t->base_ns = t->marked_ns = task->se.sum_exec_runtime;
		t->flags = THREAD_FRESH;
		t->on_ns = time_ns;
		t->marked_minor = task->min_flt;
		t->marked_major = task->maj_flt;
	}
	return t;
}

/* The CPU clock of a running thread. It is carried on by the time that passes, in which the
 * hypervisor may have taken the CPU away; but the scheduler's own is no older than a tick. */
static __always_inline u64 thread_clock(const struct thread *t, const struct task_struct *task,
					u64 time_ns)
{
	u64 clock = t->base_ns + (time_ns - t->on_ns);
	u64 most = task->se.sum_exec_runtime + TICK_MAX_NS;

	if ((s64)(clock - most) > 0)
		clock = most;
	return (s64)(clock - t->marked_ns) < 0 ? t->marked_ns : clock;
}

static __always_inline bool works_for(const struct thread *t, u64 cookie, u32 begin)
{
	return t->owner_cookie == cookie && t->owner_begin == begin;
}

/* From wait to resuming there is little to do. What took longer is of something else. */
#define RESUME_MAX_NS 500000

/* From where on what the thread did was for the request that it is resumed for at end: since it
 * last waited for events. Earlier, and if that was long, it did what is nobody's: timers. */
static __always_inline u64 resume_from(const struct thread *t, const struct task_struct *task,
				       u64 end, u32 *minor, u32 *major)
{
	*minor = task->min_flt;
	*major = task->maj_flt;
	if (end - t->waited_ns >= RESUME_MAX_NS || (s64)(t->waited_ns - t->marked_ns) < 0)
		return end;
	*minor = t->waited_minor;
	*major = t->waited_major;
	return t->waited_ns;
}

static __always_inline void cost_set(struct cost *cost, u64 cpu_ns, u32 minor, u32 major)
{
	cost->cpu_ns = (s64)cpu_ns < 0 ? 0 : cpu_ns;
	cost->minor_faults = minor;
	cost->major_faults = major;
}

/* Tells what the running thread used since it was last told. MARK_RESUMED: what came after a wait
 * stays, for the request that it is resumed for. */
static __always_inline void thread_mark(struct thread *t, const struct task_struct *task,
					u64 time_ns, enum mark mark, struct work *work)
{
	u64 end = thread_clock(t, task, time_ns);
	u32 minor = task->min_flt, major = task->maj_flt;

	work->owner_cookie = t->owner_cookie;
	work->owner_begin = t->owner_begin;
	work->tid = task->pid;
	work->wait_count = 0;
	__builtin_memset(&work->owner, 0, sizeof(work->owner));
	work->between_us = work->between_faults = 0;
	__builtin_memset(&work->own, 0, sizeof(work->own));
	if (t->flags & THREAD_SLEPT) {
		t->flags &= ~THREAD_SLEPT;
		work->wait_count = t->wait_count;
		cost_set(&work->owner, t->slept_ns - t->marked_ns, t->slept_minor - t->marked_minor,
			 t->slept_major - t->marked_major);
		work->between_us = (t->waited_ns - t->slept_ns) / 1000;
		work->between_faults =
			t->waited_minor - t->slept_minor + t->waited_major - t->slept_major;
		if (mark == MARK_RESUMED)
			end = resume_from(t, task, end, &minor, &major);
		else
			cost_set(&work->own, end - t->waited_ns, minor - t->waited_minor,
				 major - t->waited_major);
	} else {
		cost_set(mark == MARK_SENT ? &work->own : &work->owner, end - t->marked_ns,
			 minor - t->marked_minor, major - t->marked_major);
	}
	t->marked_ns = end;
	t->marked_minor = minor;
	t->marked_major = major;
}

/* It is resumed for the request that it worked for before: but for what it did in between. */
static __always_inline void thread_goes_on(struct thread *t, const struct task_struct *task,
					   u64 time_ns)
{
	u64 end = thread_clock(t, task, time_ns);
	u32 minor, major;

	if (!(t->flags & THREAD_SLEPT))
		return;
	end = resume_from(t, task, end, &minor, &major);
	t->flags &= ~THREAD_SLEPT;
	if ((s64)(t->slept_ns - t->marked_ns) < 0 || (s64)(end - t->slept_ns) < 0)
		return;
	t->marked_ns += end - t->slept_ns;
	t->marked_minor += minor - t->slept_minor;
	t->marked_major += major - t->slept_major;
}

/* Without a record that would take it along. Weak: two objects have it. */
__weak __noinline int emit_work(const struct work *work, u32 pid, u64 time_ns)
{
	struct record_work *record;

	if (!work || (!work->owner.cpu_ns && !work->owner.minor_faults))
		return 0;
	record = record_reserve(sizeof(*record), RECORD_WORK, pid, time_ns);
	if (!record)
		return 0;
	record->work = *work;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* What a job has cost up to a moment, and what comes then is another one's. */
__weak __noinline int emit_job(struct thread *t, u32 pid, u32 tid, u64 time_ns, u64 cpu_ns)
{
	struct record_job *record;

	if (!t)
		return 0;
	record = record_reserve(sizeof(*record), RECORD_JOB, pid, time_ns);
	if (!record)
		return 0;
	record->work.owner_cookie = t->owner_cookie;
	record->work.owner_begin = t->owner_begin;
	record->work.tid = tid;
	record->begin_ns = t->job_ns;
	record->told_ns = t->told_ns;
	record->waker_tid = t->waker_tid;
	record->unwoken = t->unwoken;
	record->last = !!(t->flags & THREAD_ENDS);
	if ((s64)(cpu_ns - t->marked_ns) > 0)
		record->work.owner.cpu_ns = cpu_ns - t->marked_ns;
	record->work.owner.minor_faults = t->told_minor - t->marked_minor;
	record->work.owner.major_faults = t->told_major - t->marked_major;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The running thread, in a job, tells its result. If it did so before, without having slept since,
 * it has done two: what it took up in between it found in its queue. Not certain: it wakes the
 * other thread with the interpreter lock; that may be all, and it goes on when it has it again. */
static __always_inline void job_told(struct thread *t, struct task_struct *task, u64 time_ns,
				     bool certain)
{
	u64 cpu_ns = thread_clock(t, task, time_ns);
	bool again = t->flags & THREAD_TOLD;

	if (again && !certain)
		return;
	if (again && (s64)(cpu_ns - t->told_cpu_ns) > JOB_MIN_NS) {
		emit_job(t, task->tgid, task->pid, t->told_ns, t->told_cpu_ns);
		t->marked_ns = t->told_cpu_ns;
		t->marked_minor = t->told_minor;
		t->marked_major = t->told_major;
		t->job_ns = t->told_ns;
		t->unwoken = 1;
	}
	if (certain)
		t->flags |= THREAD_TOLD;
	t->told_ns = time_ns;
	t->told_cpu_ns = cpu_ns;
	t->told_minor = task->min_flt;
	t->told_major = task->maj_flt;
}

/* A call on a connection with HTTP is about to be told of. begins: it is the one with a request's
 * first byte, at position begin. Nothing of a pool's thread: it is told when the job ends. */
static __always_inline void work_told(struct connection *c, const struct task_struct *task,
				      struct thread *t, u8 direction, bool begins, u32 begin,
				      u64 time_ns, struct work *work)
{
	if (!t) {
		__builtin_memset(work, 0, sizeof(*work));
		return;
	}
	if (c->role == ROLE_SERVER) {
		thread_mark(t, task, time_ns,
			    direction == DIRECTION_SENT ? MARK_SENT : MARK_RECEIVED, work);
		if (begins)
			c->work_begin = begin;
		t->owner_cookie = c->cookie;
		t->owner_begin = c->work_begin;
		t->flags = (t->flags & THREAD_FRESH) | THREAD_SERVES |
			   (direction == DIRECTION_SENT ? THREAD_ANSWERS : 0);
		return;
	}
	if (t->flags & THREAD_JOB) {
		__builtin_memset(work, 0, sizeof(*work));
		return;
	}
	thread_mark(t, task, time_ns, direction == DIRECTION_SENT ? MARK_RECEIVED : MARK_RESUMED,
		    work);
	if (direction == DIRECTION_SENT) {
		c->work_cookie = t->owner_cookie;
		c->work_begin = t->owner_begin;
	} else if (c->work_cookie) {
		t->owner_cookie = c->work_cookie;
		t->owner_begin = c->work_begin;
	}
}

/* A call that no record tells of, on a connection that a request may have been sent to for another,
 * or with a part of a request's body. */
__weak __noinline int work_untold(struct connection *c, u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 time_ns, cookie;
	struct work work;
	struct thread *t;

	if (!c || !cpu_wanted)
		return 0;
	time_ns = bpf_ktime_get_ns();
	t = thread_of(task, time_ns, false);
	if (!t)
		return 0;
	if (t->flags & THREAD_JOB) {
		if (c->flags & CONNECTION_UNIX && direction == DIRECTION_SENT)
			job_told(t, task, time_ns, true); /* perhaps: asyncio's socket pair */
		return 0;
	}
	if (c->role != ROLE_SERVER && direction == DIRECTION_SENT) {
		c->work_cookie = t->owner_cookie;
		c->work_begin = t->owner_begin;
		return 0;
	}
	cookie = c->role == ROLE_SERVER ? c->cookie : c->work_cookie;
	if (!cookie)
		return 0;
	if (works_for(t, cookie, c->work_begin)) {
		thread_goes_on(t, task, time_ns);
		return 0;
	}
	thread_mark(t, task, time_ns, MARK_RESUMED, &work);
	emit_work(&work, task->tgid, time_ns);
	t->owner_cookie = cookie;
	t->owner_begin = c->work_begin;
	return 0;
}

#endif
