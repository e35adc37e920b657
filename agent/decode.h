/* SPDX-License-Identifier: Apache-2.0 */
/* decode - bytes out of the ring, checked once, so that later rooms need not.
 *
 * Pure. The result points into the bytes given. */
#ifndef BITTERN_DECODE_H
#define BITTERN_DECODE_H

#include <stddef.h>

#include "../bpf/record.h"

struct record {
	enum record_kind kind;
	union {
		const struct record_head *head;
		const struct record_io *io;
		const struct record_state *state;
		const struct record_undecoded *undecoded;
		const struct record_connect_failed *connect_failed;
		const struct record_process *process;
		const struct record_tls *tls;
		const struct record_work *work;
		const struct record_job *job;
	};
};

/* 0, or -EBADMSG: a kind, a length or a value that the contract does not know. */
int decode_record(struct record *out, const void *bytes, size_t size);

#endif
