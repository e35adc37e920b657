/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* vmlinux.h - the kernel's structs and fields that bittern reads, and nothing else.
 *
 * Trimmed by hand; offsets come from the running kernel's BTF at load (CO-RE), so the order here
 * means nothing. One page for x86_64 and arm64. */
#ifndef BITTERN_VMLINUX_H
#define BITTERN_VMLINUX_H

#include <linux/types.h>
#include <linux/bpf.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
enum { false = 0, true = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Registers of a task in a system call, or at a probe in its code. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx, cx, r10, r8, r9, ax, orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
};
struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			u64 regs[31];
		};
	};
	u64 orig_x0;
	s32 syscallno;
};
#else
#error "bittern knows the system calls of x86_64 and arm64"
#endif

struct thread_info {
	unsigned long flags;
	u32 status; /* x86_64 only */
};

typedef struct {
	int counter;
} atomic_t;

struct mm_struct;

struct prev_cputime {
	u64 utime, stime; /* what /proc has shown */
};

/* Of a thread group; sums are of its threads that are gone. */
struct signal_struct {
	atomic_t live;
	int group_exit_code;
	struct mm_struct *oom_mm; /* set once the OOM killer has chosen the process */
	u64 utime, stime;
	unsigned long long sum_sched_runtime;
	struct prev_cputime prev_cputime;
	unsigned long nvcsw, nivcsw, min_flt, maj_flt;
};

struct sched_entity {
	u64 sum_exec_runtime;
};

struct bpf_local_storage;

/* Its fields do not matter, only whether it exists: see hooks_preemptible(). */
typedef struct {
	void *lock;
} class_srcu_fast_notrace_t;

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid, tgid;
	int exit_code;
	struct task_struct *real_parent, *group_leader;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct sched_entity se;
	u64 utime, stime;
	unsigned long nvcsw, nivcsw, min_flt, maj_flt;
	struct bpf_local_storage *bpf_storage;
};

struct linux_binprm;

/* Sockets. */
struct sock_common {
	u16 skc_family;
	volatile unsigned char skc_state;
	u16 skc_num; /* local port, host order */
	u16 skc_dport; /* peer's port, network order */
	u32 skc_daddr; /* peer's address, network order */
	struct in6_addr {
		u8 in6_u[16];
	} skc_v6_daddr;
};

struct sk_buff_head {
	u32 qlen;
};

struct upid {
	int nr;
};

struct pid {
	struct upid numbers[1];
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type, sk_protocol;
	int sk_err;
	u8 sk_shutdown;
	u32 sk_max_ack_backlog;
	struct sk_buff_head sk_receive_queue;
	struct pid *sk_peer_pid; /* unix: of a listener, who called listen() */
};

struct socket {
	struct sock *sk;
};

struct file;

struct tcp_sock {
	u32 copied_seq, rcv_nxt, write_seq, snd_una;
	u64 bytes_received, bytes_acked;
};

struct inet_sock {
	u16 inet_sport; /* local port, network order */
};

struct unix_address;

struct unix_sock {
	struct unix_address *addr;
};

struct bpf_iter_meta;

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

#pragma clang attribute pop

/* User memory, laid out by the system call ABI: never relocated. */
struct iovec {
	void *iov_base;
	u64 iov_len;
};

struct user_msghdr {
	void *msg_name;
	int msg_namelen;
	int padding;
	struct iovec *msg_iov;
	u64 msg_iovlen;
	void *msg_control;
	u64 msg_controllen;
	unsigned int msg_flags;
	unsigned int padding2;
};

struct mmsghdr {
	struct user_msghdr msg_hdr;
	unsigned int msg_len;
	unsigned int padding;
};

/* Macros are not in BTF. */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define EAGAIN 11
#define ENOSYS 38
#define PF_EXITING 0x4
#define PF_IO_WORKER 0x10
#define TS_COMPAT 0x2

#define RCV_SHUTDOWN 1

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_FIN_WAIT1 4
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10

#endif
