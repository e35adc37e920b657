// SPDX-License-Identifier: Apache-2.0
#include "decode.h"

#include <errno.h>
#include <stdbool.h>

static bool io_is_valid(const struct record_io *io, size_t size)
{
	return size >= sizeof(*io) && io->captured <= size - sizeof(*io) &&
	       io->captured <= RECORD_DATA_MAX && io->offset <= io->len &&
	       io->captured <= io->len - io->offset && io->tail_len <= RECORD_TAIL_BYTES &&
	       io->tail_len <= io->len &&
	       (io->head.role == ROLE_SERVER || io->head.role == ROLE_CLIENT) &&
	       io->head.direction <= DIRECTION_SENT && io->begin + io->len >= io->begin;
}

int decode_record(struct record *out, const void *bytes, size_t size)
{
	const struct record_head *head = bytes;
	bool valid = false;

	if (size < sizeof(*head))
		return -EBADMSG;
	out->head = head;
	out->kind = head->kind;
	switch (out->kind) {
	case RECORD_IO:
		valid = io_is_valid(bytes, size);
		break;
	case RECORD_STATE:
		valid = size >= sizeof(struct record_state);
		break;
	case RECORD_UNDECODED:
		valid = size >= sizeof(struct record_undecoded) &&
			out->undecoded->len <= sizeof(out->undecoded->first);
		break;
	case RECORD_CONNECT_FAILED:
		valid = size >= sizeof(struct record_connect_failed);
		break;
	case RECORD_TLS:
		valid = size >= sizeof(struct record_tls) && out->tls->event < TLS_EVENTS;
		break;
	case RECORD_EXEC:
	case RECORD_FORK:
	case RECORD_EXIT:
	case RECORD_REAPED:
		valid = size >= sizeof(struct record_process);
		break;
	case RECORD_WORK:
		valid = size >= sizeof(struct record_work);
		break;
	case RECORD_JOB:
		valid = size >= sizeof(struct record_job);
		break;
	}
	return valid ? 0 : -EBADMSG;
}
