/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_answer - what a collector's answer means: delivered, to be tried again, or given up. Pure.
 *
 * The rules are those of the specification of OTLP, "Failures" of both transports:
 * https://opentelemetry.io/docs/specs/otlp/ */
#ifndef BITTERN_OTLP_ANSWER_H
#define BITTERN_OTLP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OTLP_ANSWER_MAX (4 * 1024 * 1024) /* bytes of an answer; a longer one is refused */
#define OTLP_RETRY_AFTER_MAX_S 3600 /* a longer pause that a collector asks for is cut to this */

enum otlp_result { OTLP_DELIVERED, OTLP_RETRY, OTLP_GIVE_UP };

/* Why a request was not delivered, as the self-metric has it. */
enum otlp_failure {
	OTLP_NO_FAILURE,
	OTLP_FAILED_DNS,
	OTLP_FAILED_CONNECT,
	OTLP_FAILED_TLS,
	OTLP_FAILED_TIMEOUT,
	OTLP_FAILED_INTERRUPTED, /* the connection ended before the answer did */
	OTLP_FAILED_BAD_ANSWER, /* not what the protocol says */
	OTLP_FAILED_ANSWER_TOO_LARGE,
	OTLP_FAILED_UNAUTHORIZED, /* 401, 403; UNAUTHENTICATED, PERMISSION_DENIED */
	OTLP_FAILED_THROTTLED, /* 429, RESOURCE_EXHAUSTED */
	OTLP_FAILED_UNAVAILABLE, /* the other statuses that are to be tried again */
	OTLP_FAILED_REJECTED, /* all others */
	OTLP_FAILED_MEMORY, /* bittern's own */
	OTLP_FAILURE_COUNT
};
extern const char *const otlp_failure_names[OTLP_FAILURE_COUNT];

/* What came over the wire. Strings are NULL when absent. */
struct otlp_reply {
	bool grpc;
	long http_status;
	const char *content_type;
	const char *grpc_status, *grpc_message, *grpc_details; /* as they are in the trailers */
	int64_t retry_after_s; /* 0: absent, or in the past */
	const uint8_t *body;
	size_t body_len;
};

struct otlp_answer {
	enum otlp_result result;
	enum otlp_failure failure;
	uint64_t retry_after_ns; /* the least pause that was asked for; 0: none */
	int64_t rejected_points; /* of a delivered request: a partial success */
	/* What to tell the user, printable; "" when there is nothing to tell. */
	char message[256];
};

void otlp_answer(struct otlp_answer *a, const struct otlp_reply *reply);

#endif
