// SPDX-License-Identifier: Apache-2.0
#include "outcome.h"

#include <string.h>

uint64_t outcome_waited_ns(const struct exchange *x)
{
	uint64_t from = x->arrival_ns ? x->arrival_ns : x->start_ns;
	uint64_t to = x->streamed && x->first_byte_ns ? x->first_byte_ns : x->end_ns;

	return to > from ? to - from : 0;
}

enum outcome outcome_of(const struct exchange *x)
{
	bool client = x->role == ROLE_CLIENT;

	if (x->limit_ns && outcome_waited_ns(x) > x->limit_ns)
		return OUTCOME_TIMEOUT;
	if (x->cut_short) {
		if (!strcmp(x->cut_short, "timeout"))
			return OUTCOME_TIMEOUT;
		if (!strcmp(x->cut_short, "no_response"))
			return OUTCOME_NO_RESPONSE;
		/* Who resets is the other side: to a client that is a missing response. */
		if (client && !strcmp(x->cut_short, "connection_reset"))
			return OUTCOME_NO_RESPONSE;
		return OUTCOME_ABORTED;
	}
	if (x->status == 408 || x->status == 504)
		return OUTCOME_TIMEOUT;
	return x->status >= (client ? 400 : 500) ? OUTCOME_ERROR : OUTCOME_OK;
}

const char *outcome_error_type(const struct exchange *x)
{
	return x->status ? NULL : x->cut_short;
}
