// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../exporters/otlp_answer.h"

#define S 1000000000ull
/* google.rpc.Status 8 with a RetryInfo of 1.5 s, as protobuf's own library encodes it. */
#define RETRY_INFO                                                 \
	"CAgSBnNsb3dlcho2Cih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5y" \
	"cGMuUmV0cnlJbmZvEgoKCAgBEIDKte4B"

static struct otlp_answer answer_http(long status, int64_t retry_after_s, const char *body)
{
	struct otlp_reply reply = {.http_status = status,
				   .retry_after_s = retry_after_s,
				   .body = (const uint8_t *)body,
				   .body_len = strlen(body)};
	struct otlp_answer answer;

	otlp_answer(&answer, &reply);
	return answer;
}

static struct otlp_answer answer_grpc(const char *status, const char *message, const char *details,
				      const char *body, size_t body_len)
{
	struct otlp_reply reply = {.grpc = true,
				   .http_status = 200,
				   .content_type = "application/grpc",
				   .grpc_status = status,
				   .grpc_message = message,
				   .grpc_details = details,
				   .body = (const uint8_t *)body,
				   .body_len = body_len};
	struct otlp_answer answer;

	otlp_answer(&answer, &reply);
	return answer;
}

static void an_empty_success_is_delivered(void **state)
{
	struct otlp_answer a = answer_http(200, 0, "");

	(void)state;
	assert_int_equal(a.result, OTLP_DELIVERED);
	assert_int_equal(a.failure, OTLP_NO_FAILURE);
	assert_string_equal(a.message, "");
	a = answer_grpc("0", NULL, NULL, "\0\0\0\0\0", 5);
	assert_int_equal(a.result, OTLP_DELIVERED);
}

static void a_partial_success_is_delivered_and_told(void **state)
{
	struct otlp_answer a = answer_http(200, 0, "\x0a\x08\x08\x03\x12\x04no\n?");

	(void)state;
	assert_int_equal(a.result, OTLP_DELIVERED);
	assert_int_equal(a.rejected_points, 3);
	assert_string_equal(a.message, "3 points rejected: no??");
	a = answer_grpc("0", NULL, NULL, "\0\0\0\0\x0a\x0a\x08\x08\x03\x12\x04no\n?", 15);
	assert_int_equal(a.result, OTLP_DELIVERED);
	assert_int_equal(a.rejected_points, 3);
}

static void a_status_says_whether_to_try_again(void **state)
{
	(void)state;
	for (long status = 300; status < 600; status++) {
		bool again = status == 429 || status == 502 || status == 503 || status == 504;

		assert_int_equal(answer_http(status, 0, "").result,
				 again ? OTLP_RETRY : OTLP_GIVE_UP);
	}
	assert_int_equal(answer_http(403, 0, "").failure, OTLP_FAILED_UNAUTHORIZED);
	assert_int_equal(answer_http(429, 0, "").failure, OTLP_FAILED_THROTTLED);
	assert_int_equal(answer_http(503, 0, "").failure, OTLP_FAILED_UNAVAILABLE);
	assert_int_equal(answer_http(400, 0, "").failure, OTLP_FAILED_REJECTED);
}

static void a_pause_is_taken_from_answers_to_be_tried_again_alone_and_bounded(void **state)
{
	(void)state;
	assert_int_equal(answer_http(503, 7, "").retry_after_ns, 7 * S);
	assert_int_equal(answer_http(400, 7, "").retry_after_ns, 0);
	assert_int_equal(answer_http(503, INT64_MAX, "").retry_after_ns,
			 OTLP_RETRY_AFTER_MAX_S * S);
}

static void what_a_refusal_says_is_told_as_printable_text(void **state)
{
	(void)state;
	/* a Status with a message, and text */
	assert_string_equal(answer_http(400, 0, "\x08\x03\x12\x05too\x1b!").message,
			    "HTTP status 400: too?!");
	assert_string_equal(answer_http(502, 0, "<html>\nbad").message,
			    "HTTP status 502: <html>?bad");
	assert_string_equal(answer_grpc("3", "a%20b%0Ac%", NULL, "", 0).message,
			    "gRPC status INVALID_ARGUMENT: a b?c%");
}

static void resource_exhausted_is_tried_again_only_with_retry_info(void **state)
{
	struct otlp_answer a = answer_grpc("8", NULL, NULL, "", 0);

	(void)state;
	assert_int_equal(a.result, OTLP_GIVE_UP);
	assert_int_equal(a.failure, OTLP_FAILED_THROTTLED);
	a = answer_grpc("8", NULL, RETRY_INFO, "", 0);
	assert_int_equal(a.result, OTLP_RETRY);
	assert_int_equal(a.retry_after_ns, 3 * S / 2);
	a = answer_grpc("3", NULL, RETRY_INFO, "", 0);
	assert_int_equal(a.result, OTLP_GIVE_UP);
	assert_int_equal(a.retry_after_ns, 0);
	a = answer_grpc("8", NULL, "!not base64", "", 0);
	assert_int_equal(a.result, OTLP_GIVE_UP);
}

static void a_stream_without_status_was_cut_or_is_no_grpc(void **state)
{
	struct otlp_reply reply = {
		.grpc = true, .http_status = 200, .content_type = "application/grpc+proto"};
	struct otlp_answer a = answer_grpc(NULL, NULL, NULL, "\0\0\0\0\0", 5);

	(void)state;
	assert_int_equal(a.result, OTLP_RETRY);
	assert_int_equal(a.failure, OTLP_FAILED_INTERRUPTED);
	otlp_answer(&a, &reply);
	assert_int_equal(a.result, OTLP_RETRY);
	reply.content_type = "text/html";
	otlp_answer(&a, &reply);
	assert_int_equal(a.result, OTLP_GIVE_UP);
	reply.http_status = 503;
	otlp_answer(&a, &reply);
	assert_int_equal(a.result, OTLP_RETRY);
	reply.http_status = 404;
	otlp_answer(&a, &reply);
	assert_int_equal(a.result, OTLP_GIVE_UP);
}

static void a_message_that_is_not_what_it_says_is_a_bad_answer(void **state)
{
	(void)state;
	assert_int_equal(answer_grpc("0", NULL, NULL, "", 0).failure, OTLP_FAILED_BAD_ANSWER);
	assert_int_equal(answer_grpc("0", NULL, NULL, "\0\0\0\0\x07", 5).failure,
			 OTLP_FAILED_BAD_ANSWER);
	assert_int_equal(answer_grpc("0", NULL, NULL, "\1\0\0\0\3abc", 8).failure,
			 OTLP_FAILED_BAD_ANSWER);
	assert_int_equal(answer_http(200, 0, "\xff\xff").failure, OTLP_FAILED_BAD_ANSWER);
	assert_int_equal(answer_grpc("-1", NULL, NULL, "", 0).result, OTLP_GIVE_UP);
	assert_int_equal(answer_grpc("ok", NULL, NULL, "", 0).result, OTLP_GIVE_UP);
}

static void a_compressed_answer_is_read(void **state)
{
	/* gzip of a partial success with 3 rejected points */
	static const char body[] = "\1\0\0\0\x1c\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xe3"
				   "\x62\xe3\x60\x16\x62\xca\xcb\x07\x00\xbc\x7f\x26\xe3\x08"
				   "\x00\x00\x00";
	struct otlp_answer a = answer_grpc("0", NULL, NULL, body, sizeof(body) - 1);

	(void)state;
	assert_int_equal(a.result, OTLP_DELIVERED);
	assert_int_equal(a.rejected_points, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_success_is_delivered),
		cmocka_unit_test(a_partial_success_is_delivered_and_told),
		cmocka_unit_test(a_status_says_whether_to_try_again),
		cmocka_unit_test(a_pause_is_taken_from_answers_to_be_tried_again_alone_and_bounded),
		cmocka_unit_test(what_a_refusal_says_is_told_as_printable_text),
		cmocka_unit_test(resource_exhausted_is_tried_again_only_with_retry_info),
		cmocka_unit_test(a_stream_without_status_was_cut_or_is_no_grpc),
		cmocka_unit_test(a_message_that_is_not_what_it_says_is_a_bad_answer),
		cmocka_unit_test(a_compressed_answer_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
