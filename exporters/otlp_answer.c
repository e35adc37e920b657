// SPDX-License-Identifier: Apache-2.0
#include "otlp_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "otlp.pb-c.h"

#define NS_PER_S 1000000000ull
#define GRPC_HEAD_LEN 5 /* compressed flag and length */
#define GZIP_WINDOW (15 + 16) /* inflateInit2()'s way to ask for a gzip header */
#define DETAILS_MAX 8192 /* of grpc-status-details-bin, decoded */
#define RETRY_INFO "google.rpc.RetryInfo"

const char *const otlp_failure_names[OTLP_FAILURE_COUNT] = {
	[OTLP_NO_FAILURE] = "none",
	[OTLP_FAILED_DNS] = "dns",
	[OTLP_FAILED_CONNECT] = "connect",
	[OTLP_FAILED_TLS] = "tls",
	[OTLP_FAILED_TIMEOUT] = "timeout",
	[OTLP_FAILED_INTERRUPTED] = "interrupted",
	[OTLP_FAILED_BAD_ANSWER] = "bad_answer",
	[OTLP_FAILED_ANSWER_TOO_LARGE] = "answer_too_large",
	[OTLP_FAILED_UNAUTHORIZED] = "unauthorized",
	[OTLP_FAILED_THROTTLED] = "throttled",
	[OTLP_FAILED_UNAVAILABLE] = "unavailable",
	[OTLP_FAILED_REJECTED] = "rejected",
	[OTLP_FAILED_MEMORY] = "memory",
};

/* By code; https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
static const struct grpc_code {
	const char *name;
	enum otlp_failure failure;
	bool retry;
} grpc_codes[] = {
	{"OK", OTLP_NO_FAILURE, false},
	{"CANCELLED", OTLP_FAILED_UNAVAILABLE, true},
	{"UNKNOWN", OTLP_FAILED_REJECTED, false},
	{"INVALID_ARGUMENT", OTLP_FAILED_REJECTED, false},
	{"DEADLINE_EXCEEDED", OTLP_FAILED_TIMEOUT, true},
	{"NOT_FOUND", OTLP_FAILED_REJECTED, false},
	{"ALREADY_EXISTS", OTLP_FAILED_REJECTED, false},
	{"PERMISSION_DENIED", OTLP_FAILED_UNAUTHORIZED, false},
	{"RESOURCE_EXHAUSTED", OTLP_FAILED_THROTTLED, false}, /* true with RetryInfo */
	{"FAILED_PRECONDITION", OTLP_FAILED_REJECTED, false},
	{"ABORTED", OTLP_FAILED_UNAVAILABLE, true},
	{"OUT_OF_RANGE", OTLP_FAILED_UNAVAILABLE, true},
	{"UNIMPLEMENTED", OTLP_FAILED_REJECTED, false},
	{"INTERNAL", OTLP_FAILED_REJECTED, false},
	{"UNAVAILABLE", OTLP_FAILED_UNAVAILABLE, true},
	{"DATA_LOSS", OTLP_FAILED_UNAVAILABLE, true},
	{"UNAUTHENTICATED", OTLP_FAILED_UNAUTHORIZED, false},
};

enum {
	GRPC_OK = 0,
	GRPC_UNKNOWN = 2,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
	GRPC_CODE_COUNT
};

_Static_assert(sizeof(grpc_codes) / sizeof(grpc_codes[0]) == GRPC_CODE_COUNT, "all codes");

/* Appends text that somebody else wrote; what is not ASCII to be printed becomes '?'. */
static void tell(struct otlp_answer *a, const char *text, size_t len)
{
	size_t at = strlen(a->message);

	for (size_t i = 0; i < len && text[i] && at < sizeof(a->message) - 1; i++)
		a->message[at++] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	a->message[at] = '\0';
}

static void bad_answer(struct otlp_answer *a, const char *what)
{
	a->result = OTLP_GIVE_UP;
	a->failure = OTLP_FAILED_BAD_ANSWER;
	snprintf(a->message, sizeof(a->message), "%s", what);
}

/* The message of a request that was taken. It is not sent again, whatever it says. */
static void read_response(struct otlp_answer *a, const uint8_t *body, size_t len)
{
	Otlp__ExportMetricsServiceResponse *response =
		otlp__export_metrics_service_response__unpack(NULL, len, body);
	Otlp__ExportMetricsPartialSuccess *partial;

	if (!response) {
		bad_answer(a, "the answer is no ExportMetricsServiceResponse");
		return;
	}
	a->result = OTLP_DELIVERED;
	partial = response->partial_success;
	if (partial) {
		a->rejected_points =
			partial->rejected_data_points > 0 ? partial->rejected_data_points : 0;
		if (a->rejected_points)
			snprintf(a->message, sizeof(a->message),
				 "%lld points rejected: ", (long long)a->rejected_points);
		if (partial->error_message)
			tell(a, partial->error_message, strlen(partial->error_message));
	}
	otlp__export_metrics_service_response__free_unpacked(response, NULL);
}

static void set_pause(struct otlp_answer *a, int64_t seconds, int32_t nanoseconds)
{
	if (seconds < 0 || nanoseconds < 0)
		return;
	if (seconds >= OTLP_RETRY_AFTER_MAX_S)
		a->retry_after_ns = OTLP_RETRY_AFTER_MAX_S * NS_PER_S;
	else
		a->retry_after_ns = (uint64_t)seconds * NS_PER_S + (uint32_t)nanoseconds;
}

/* --- HTTP --- */

static void tell_status(struct otlp_answer *a, const struct otlp_reply *r)
{
	Otlp__Status *status = NULL;

	snprintf(a->message, sizeof(a->message), "HTTP status %ld", r->http_status);
	if (!r->body_len)
		return;
	status = otlp__status__unpack(NULL, r->body_len, r->body);
	tell(a, ": ", 2);
	if (status && status->message && *status->message)
		tell(a, status->message, strlen(status->message));
	else
		tell(a, (const char *)r->body, r->body_len);
	if (status)
		otlp__status__free_unpacked(status, NULL);
}

static void read_http(struct otlp_answer *a, const struct otlp_reply *r)
{
	long status = r->http_status;

	if (status >= 200 && status < 300) {
		read_response(a, r->body, r->body_len);
		return;
	}
	tell_status(a, r);
	a->result = OTLP_GIVE_UP;
	a->failure =
		status == 401 || status == 403 ? OTLP_FAILED_UNAUTHORIZED : OTLP_FAILED_REJECTED;
	if (status != 429 && status != 502 && status != 503 && status != 504)
		return;
	a->result = OTLP_RETRY;
	a->failure = status == 429 ? OTLP_FAILED_THROTTLED : OTLP_FAILED_UNAVAILABLE;
	set_pause(a, r->retry_after_s, 0);
}

/* --- gRPC --- */

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* With padding or without; stops at what is no digit. */
static size_t base64_decode(uint8_t *to, size_t room, const char *text)
{
	uint32_t bits = 0;
	int bit_count = 0, digit;
	size_t len = 0;

	for (; (digit = base64_digit(*text)) >= 0 && len < room; text++) {
		bits = bits << 6 | (uint32_t)digit;
		bit_count += 6;
		if (bit_count < 8)
			continue;
		bit_count -= 8;
		to[len++] = (uint8_t)(bits >> bit_count);
	}
	return len;
}

static bool ends_with(const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	return len >= suffix_len && !strcmp(text + len - suffix_len, suffix);
}

static bool read_retry_info(struct otlp_answer *a, const Otlp__Any *any)
{
	Otlp__RetryInfo *info;

	if (!any->type_url || !ends_with(any->type_url, "/" RETRY_INFO))
		return false;
	info = otlp__retry_info__unpack(NULL, any->value.len, any->value.data);
	if (!info)
		return false;
	if (info->retry_delay)
		set_pause(a, info->retry_delay->seconds, info->retry_delay->nanos);
	otlp__retry_info__free_unpacked(info, NULL);
	return true;
}

/* Whether the status comes with a RetryInfo; its pause is set. */
static bool find_retry_info(struct otlp_answer *a, const char *details)
{
	uint8_t *bytes = details ? malloc(DETAILS_MAX) : NULL;
	size_t len = bytes ? base64_decode(bytes, DETAILS_MAX, details) : 0;
	Otlp__Status *status = bytes ? otlp__status__unpack(NULL, len, bytes) : NULL;
	bool found = false;

	for (size_t i = 0; status && i < status->n_details && !found; i++)
		found = read_retry_info(a, status->details[i]);
	if (status)
		otlp__status__free_unpacked(status, NULL);
	free(bytes);
	return found;
}

/* What a status of HTTP means where none of gRPC came:
 * https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
static int code_of_http(long status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

/* grpc-message has %XX for what a header cannot hold. */
static void tell_percent(struct otlp_answer *a, const char *text)
{
	for (; *text; text++) {
		unsigned int byte;

		if (text[0] == '%' && sscanf(text + 1, "%2x", &byte) == 1 && text[2]) {
			tell(a, &(char){(char)byte}, 1);
			text += 2;
		} else {
			tell(a, text, 1);
		}
	}
}

/* Some servers compress as the request was, whether that is asked for or not. NULL: bad, larger
 * than an answer may be, or no memory. */
static uint8_t *uncompress_message(const uint8_t *data, size_t len, size_t *out_len)
{
	z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)len};
	uint8_t *out = NULL;
	int rc = Z_OK;

	if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
		return NULL;
	for (size_t room = 4096; rc == Z_OK && room <= OTLP_ANSWER_MAX; room *= 4) {
		uint8_t *grown = realloc(out, room);

		if (!grown)
			break;
		out = grown;
		stream.next_out = out + stream.total_out;
		stream.avail_out = (uInt)(room - stream.total_out);
		rc = inflate(&stream, Z_NO_FLUSH);
		if (rc == Z_BUF_ERROR && !stream.avail_out)
			rc = Z_OK;
	}
	*out_len = stream.total_out;
	inflateEnd(&stream);
	if (rc == Z_STREAM_END)
		return out;
	free(out);
	return NULL;
}

static void read_compressed(struct otlp_answer *a, const uint8_t *data, size_t data_len)
{
	size_t len;
	uint8_t *message = uncompress_message(data, data_len, &len);

	if (message)
		read_response(a, message, len);
	else
		bad_answer(a, "the answer cannot be uncompressed");
	free(message);
}

static void read_grpc_body(struct otlp_answer *a, const struct otlp_reply *r)
{
	uint32_t len;

	if (r->body_len < GRPC_HEAD_LEN) {
		bad_answer(a, "status OK without a message");
		return;
	}
	len = (uint32_t)r->body[1] << 24 | (uint32_t)r->body[2] << 16 | (uint32_t)r->body[3] << 8 |
	      r->body[4];
	if (len != r->body_len - GRPC_HEAD_LEN)
		bad_answer(a, "the answer's length is not what it says");
	else if (r->body[0])
		read_compressed(a, r->body + GRPC_HEAD_LEN, len);
	else
		read_response(a, r->body + GRPC_HEAD_LEN, len);
}

/* -1: not a number. */
static long read_code(const char *text)
{
	char *end;
	long code = strtol(text, &end, 10);

	return *text && !*end && code >= 0 ? code : -1;
}

/* libcurl does not always tell that a stream had no end. */
static void read_no_status(struct otlp_answer *a, const struct otlp_reply *r)
{
	if (!r->content_type || strncasecmp(r->content_type, "application/grpc", 16) != 0) {
		bad_answer(a, "no grpc-status: this is no gRPC server");
		return;
	}
	a->result = OTLP_RETRY;
	a->failure = OTLP_FAILED_INTERRUPTED;
	snprintf(a->message, sizeof(a->message), "the answer ended without a grpc-status");
}

static void read_grpc(struct otlp_answer *a, const struct otlp_reply *r)
{
	long code = r->grpc_status ? read_code(r->grpc_status) : code_of_http(r->http_status);
	const struct grpc_code *known;

	if (!r->grpc_status && r->http_status == 200) {
		read_no_status(a, r);
		return;
	}
	if (code == GRPC_OK) {
		read_grpc_body(a, r);
		return;
	}
	known = &grpc_codes[code > 0 && code < GRPC_CODE_COUNT ? code : GRPC_UNKNOWN];
	if (r->grpc_status)
		snprintf(a->message, sizeof(a->message), "gRPC status %s", known->name);
	else
		snprintf(a->message, sizeof(a->message), "HTTP status %ld", r->http_status);
	if (r->grpc_message && *r->grpc_message) {
		tell(a, ": ", 2);
		tell_percent(a, r->grpc_message);
	}
	a->failure = known->failure;
	a->result = known->retry ? OTLP_RETRY : OTLP_GIVE_UP;
	if (!r->grpc_status)
		set_pause(a, r->retry_after_s, 0);
	if (find_retry_info(a, r->grpc_details) && code == GRPC_RESOURCE_EXHAUSTED)
		a->result = OTLP_RETRY;
	if (a->result != OTLP_RETRY)
		a->retry_after_ns = 0;
}

void otlp_answer(struct otlp_answer *a, const struct otlp_reply *reply)
{
	*a = (struct otlp_answer){};
	if (reply->grpc)
		read_grpc(a, reply);
	else
		read_http(a, reply);
}
