/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* syscall - the system call that a task is in, by its registers: its number and arguments are still
 * there. They are trusted only inside a system call (on x86 ax is -ENOSYS from entry to exit). */
#ifndef BITTERN_SYSCALL_BPF_H
#define BITTERN_SYSCALL_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#if defined(__TARGET_ARCH_x86)
enum syscall {
	SYS_read = 0,
	SYS_write = 1,
	SYS_readv = 19,
	SYS_writev = 20,
	SYS_sendfile = 40,
	SYS_sendto = 44,
	SYS_recvfrom = 45,
	SYS_sendmsg = 46,
	SYS_recvmsg = 47,
	SYS_splice = 275,
	SYS_preadv = 295,
	SYS_pwritev = 296,
	SYS_recvmmsg = 299,
	SYS_sendmmsg = 307,
	SYS_preadv2 = 327,
	SYS_pwritev2 = 328,
	SYS_io_uring_enter = 426,
	SYS_poll = 7,
	SYS_select = 23,
	SYS_accept = 43,
	SYS_futex = 202,
	SYS_epoll_wait = 232,
	SYS_pselect6 = 270,
	SYS_ppoll = 271,
	SYS_epoll_pwait = 281,
	SYS_accept4 = 288,
	SYS_epoll_pwait2 = 441,
};
#else
enum syscall {
	SYS_read = 63,
	SYS_write = 64,
	SYS_readv = 65,
	SYS_writev = 66,
	SYS_sendfile = 71,
	SYS_sendto = 206,
	SYS_recvfrom = 207,
	SYS_sendmsg = 211,
	SYS_recvmsg = 212,
	SYS_splice = 76,
	SYS_preadv = 69,
	SYS_pwritev = 70,
	SYS_recvmmsg = 243,
	SYS_sendmmsg = 269,
	SYS_preadv2 = 286,
	SYS_pwritev2 = 287,
	SYS_io_uring_enter = 426,
	SYS_poll = -1, /* there are none */
	SYS_select = -2,
	SYS_epoll_wait = -3,
	SYS_epoll_pwait = 22,
	SYS_pselect6 = 72,
	SYS_ppoll = 73,
	SYS_futex = 98,
	SYS_accept = 202,
	SYS_accept4 = 242,
	SYS_epoll_pwait2 = 441,
};
#endif

struct call_arguments {
	u64 number, a0, a1, a2, a3; /* and its first four arguments */
};

/* False outside a system call of this task, or in one of another word size. */
static __always_inline bool call_arguments(struct call_arguments *call, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & TS_COMPAT || (s64)regs->ax != -ENOSYS)
		return false;
	call->number = regs->orig_ax;
	call->a0 = regs->di;
	call->a1 = regs->si;
	call->a2 = regs->dx;
	call->a3 = regs->r10;
#else
	if (regs->syscallno < 0)
		return false;
	call->number = regs->syscallno;
	call->a0 = regs->orig_x0;
	call->a1 = regs->regs[1];
	call->a2 = regs->regs[2];
	call->a3 = regs->regs[3];
#endif
	return true;
}

/* Whether the second and third argument are one buffer and its length. */
static __always_inline bool syscall_has_buffer(u64 number)
{
	return number == SYS_read || number == SYS_write || number == SYS_recvfrom ||
	       number == SYS_sendto;
}

/* Whether they are a vector of buffers and its length. */
static __always_inline bool syscall_has_vector(u64 number)
{
	return number == SYS_readv || number == SYS_writev;
}

#endif
