/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* payload - finds the user's bytes of the socket call that is being made.
 *
 * The hooks run after delivery, when the kernel's own iterator is used up. The buffer is found
 * again through the system call's arguments (syscall.bpf.h). io_uring completes a receive behind
 * any other call, or on a thread of its own. */
#ifndef BITTERN_PAYLOAD_BPF_H
#define BITTERN_PAYLOAD_BPF_H

#include "maps.bpf.h"
#include "syscall.bpf.h"

#define PAYLOAD_IOVECS_MAX 1024 /* UIO_MAXIOV */

/* One piece of user memory, then those of an iovec array. */
struct payload {
	u64 base, len; /* current piece */
	u64 iovecs; /* address of the next iovec */
	u64 iovec_count; /* left */
};

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
