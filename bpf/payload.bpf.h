/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* payload - finds the user's bytes of the socket call that is being made.
 *
 * The hooks run after delivery, when the kernel's own iterator is used up. The buffer is found
 * again through the registers of the system call: its number and arguments are still there. They
 * are trusted only inside a system call (on x86 ax is -ENOSYS from entry to exit): io_uring
 * completes a receive behind any other call, or on a thread of its own. */
#ifndef BITTERN_PAYLOAD_BPF_H
#define BITTERN_PAYLOAD_BPF_H

#include "maps.bpf.h"

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
};
#endif

#define PAYLOAD_IOVECS_MAX 1024 /* UIO_MAXIOV */

/* One piece of user memory, then those of an iovec array. */
struct payload {
	u64 base, len; /* current piece */
	u64 iovecs; /* address of the next iovec */
	u64 iovec_count; /* left */
};

struct call_arguments {
	u64 number, a1, a2;
};

/* False outside a system call of this task, or in one of another word size. */
static __always_inline bool call_arguments(struct call_arguments *call, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & TS_COMPAT || (s64)regs->ax != -ENOSYS)
		return false;
	call->number = regs->orig_ax;
	call->a1 = regs->si;
	call->a2 = regs->dx;
#else
	if (regs->syscallno < 0)
		return false;
	call->number = regs->syscallno;
	call->a1 = regs->regs[1];
	call->a2 = regs->regs[2];
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

/* Steps to the next piece; false when there is none (or it cannot be read). */
static __always_inline bool payload_next(struct payload *p)
{
	struct iovec piece;

	if (!p->iovec_count || bpf_probe_read_user(&piece, sizeof(piece), (void *)p->iovecs))
		return false;
	p->iovecs += sizeof(piece);
	p->iovec_count--;
	p->base = (u64)piece.iov_base;
	p->len = piece.iov_len;
	return true;
}

static __always_inline bool payload_of_message(struct payload *p, u64 message)
{
	struct user_msghdr header;

	if (bpf_probe_read_user(&header, sizeof(header), (void *)message))
		return false;
	p->iovecs = (u64)header.msg_iov;
	p->iovec_count = header.msg_iovlen;
	return true;
}

/* recvmmsg and sendmmsg pass this hook once for each message; which one it is, the connection
 * remembers. */
static __always_inline bool payload_of_batch(struct payload *p, struct connection *c, u64 vector,
					     u32 count)
{
	if (c->batch != (u32)vector || c->batch_index >= count) {
		c->batch = vector;
		c->batch_index = 0;
	}
	return payload_of_message(p, vector + c->batch_index++ * sizeof(struct mmsghdr));
}

enum payload_result { PAYLOAD_FOUND, PAYLOAD_NONE, PAYLOAD_LOST };

/* An enum payload_result. PAYLOAD_NONE: the call has no user buffer (sendfile, splice).
 * PAYLOAD_LOST: counted by cause. Not inlined: the verifier walks it once. */
__weak __noinline int payload_find(struct payload *p, struct connection *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call_arguments call;

	if (!p || !c)
		return PAYLOAD_NONE;
	p->base = p->len = p->iovecs = p->iovec_count = 0;
	if (task->flags & PF_IO_WORKER) {
		loss_count(LOSS_UNREADABLE_IO_URING);
		return PAYLOAD_LOST;
	}
	if (!call_arguments(&call, task)) {
		loss_count(LOSS_UNREADABLE_SYSCALL);
		return PAYLOAD_LOST;
	}
	switch (call.number) {
	case SYS_read:
	case SYS_write:
	case SYS_recvfrom:
	case SYS_sendto:
		p->base = call.a1;
		p->len = call.a2;
		return PAYLOAD_FOUND;
	case SYS_readv:
	case SYS_writev:
	case SYS_preadv:
	case SYS_pwritev:
	case SYS_preadv2:
	case SYS_pwritev2:
		p->iovecs = call.a1;
		p->iovec_count = call.a2;
		break;
	case SYS_recvmsg:
	case SYS_sendmsg:
		if (!payload_of_message(p, call.a1))
			goto unreadable;
		break;
	case SYS_recvmmsg:
	case SYS_sendmmsg:
		if (!payload_of_batch(p, c, call.a1, call.a2))
			goto unreadable;
		break;
	case SYS_sendfile:
	case SYS_splice:
		return PAYLOAD_NONE;
	case SYS_io_uring_enter:
		loss_count(LOSS_UNREADABLE_IO_URING);
		return PAYLOAD_LOST;
	default:
		loss_count(LOSS_UNREADABLE_SYSCALL);
		return PAYLOAD_LOST;
	}
	if (p->iovec_count > PAYLOAD_IOVECS_MAX)
		p->iovec_count = PAYLOAD_IOVECS_MAX;
	return PAYLOAD_FOUND;
unreadable:
	loss_count(LOSS_UNREADABLE_MEMORY);
	return PAYLOAD_LOST;
}

#endif
