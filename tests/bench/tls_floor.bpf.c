// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* tls_floor - the programs that bittern has at functions of TLS, with nothing in them: what probes
 * at those places cost whatever they do. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EMPTY(name)             \
	SEC("uprobe")           \
	int name(void *context) \
	{                       \
		return 0;       \
	}

EMPTY(tls_plaintext)
EMPTY(tls_handshake)
EMPTY(tls_handshake_end)
EMPTY(tls_read)
EMPTY(tls_read_ex)
EMPTY(tls_bio)
EMPTY(tls_free)
EMPTY(tls_shutdown)
EMPTY(tls_connect)
EMPTY(tls_certificate)
