// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* floor - the hooks of bittern with nothing in them: what no implementation on these hooks can
 * undercut. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EMPTY(hook)             \
	SEC("tp_btf/" #hook)    \
	int hook(void *context) \
	{                       \
		return 0;       \
	}

EMPTY(sock_recv_length)
EMPTY(sock_send_length)
EMPTY(inet_sock_set_state)
EMPTY(sched_process_exec)
EMPTY(sched_process_fork)
EMPTY(sched_process_exit)
