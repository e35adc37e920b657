// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* tls_hits - counts how often each program ran, by process. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)
#define THIRD_ARGUMENT(ctx) ((ctx)->dx)
#define RESULT(ctx) ((ctx)->ax)
#else
#define THIRD_ARGUMENT(ctx) ((ctx)->regs[2])
#define RESULT(ctx) ((ctx)->regs[0])
#endif

enum { PROGRAM_WRITE, PROGRAM_READ_END, PROGRAM_PARSE };

struct hit_key {
	u32 pid, program;
};

struct hit {
	u64 count, cookie, argument, result; /* the last three of the last one */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct hit_key);
	__type(value, struct hit);
} hits SEC(".maps");

static __always_inline int count(struct pt_regs *ctx, u32 program)
{
	struct hit_key key = {.pid = bpf_get_current_pid_tgid() >> 32, .program = program};
	struct hit hit = {0}, *before = bpf_map_lookup_elem(&hits, &key);

	hit.count = before ? before->count + 1 : 1;
	hit.cookie = bpf_get_attach_cookie(ctx);
	hit.argument = THIRD_ARGUMENT(ctx);
	hit.result = RESULT(ctx);
	bpf_map_update_elem(&hits, &key, &hit, BPF_ANY);
	return 0;
}

SEC("uprobe")
int tls_write(struct pt_regs *ctx)
{
	return count(ctx, PROGRAM_WRITE);
}

SEC("uprobe")
int tls_read_end(struct pt_regs *ctx)
{
	return count(ctx, PROGRAM_READ_END);
}

SEC("uprobe")
int tls_parse(struct pt_regs *ctx)
{
	return count(ctx, PROGRAM_PARSE);
}
