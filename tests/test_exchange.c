// SPDX-License-Identifier: Apache-2.0
/* How messages are framed, and heads that come in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exchange_bed.h"

/* --- framing --- */

static void a_request_and_its_response_are_one_exchange(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/a?b=c"));
	expect(bed, "");
	expect_open(bed, 1);
	wire_send_text(w, OK);
	expect(bed, "GET /a 200");
	expect_open(bed, 0);
	assert_int_equal(bed->last.start_ns, WIRE_SECOND + WIRE_MILLISECOND);
	assert_int_equal(bed->last.first_byte_ns, WIRE_SECOND + 2 * WIRE_MILLISECOND);
	assert_int_equal(bed->last.end_ns, WIRE_SECOND + 2 * WIRE_MILLISECOND);
	assert_int_equal(bed->last.pid, 100);
	assert_int_equal(bed->last.port, 8000);
	assert_int_equal(bed->last.version, 11);
	assert_int_equal(bed->last.role, ROLE_SERVER);
}

static void keep_alive_gives_one_exchange_after_the_other(void **state)
{
	struct bed *bed = *state;
	int i;

	for (i = 0; i < 3; i++) {
		wire_receive_text(&bed->wire, GET("/a"));
		wire_send_text(&bed->wire, OK);
		wire_receive_text(&bed->wire, "DELETE /b HTTP/1.1\r\n" HOST);
		wire_send_text(&bed->wire, "HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n");
	}
	expect(bed,
	       "GET /a 200; DELETE /b 404; GET /a 200; DELETE /b 404; GET /a 200; DELETE /b 404");
	wire_finish(&bed->wire);
	expect(bed, "");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void http_1_0_without_length_ends_with_the_connection(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, "GET /old HTTP/1.0\r\n\r\n");
	wire_send_text(&bed->wire, "HTTP/1.0 200 OK\r\nServer: x\r\n\r\n");
	wire_send_text(&bed->wire, "some bytes");
	wire_send_text(&bed->wire, "and the last");
	expect(bed, "");
	bed->wire.now_ns += WIRE_SECOND;
	wire_finish(&bed->wire);
	expect(bed, "GET /old 200");
	assert_int_equal(bed->last.version, 10);
	assert_int_equal(bed->last.end_ns, WIRE_SECOND + 4 * WIRE_MILLISECOND); /* its last byte */
}

static void a_body_by_length_may_come_in_many_calls(void **state)
{
	struct bed *bed = *state;
	char body[1000];
	int i;

	memset(body, 'x', sizeof(body));
	wire_receive_text(&bed->wire, GET("/big"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	for (i = 0; i < 999; i++)
		wire_send(&bed->wire, body, sizeof(body));
	expect(bed, "");
	wire_send(&bed->wire, body, sizeof(body));
	expect(bed, "GET /big 200");
	assert_int_equal(bed->last.end_ns, WIRE_SECOND + 1002 * WIRE_MILLISECOND);
	assert_int_equal(bed->last.first_byte_ns, WIRE_SECOND + 2 * WIRE_MILLISECOND);
}

static void a_body_by_sendfile_has_no_bytes_but_a_length(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/file"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	wire_send_unseen(&bed->wire, 600000, false);
	expect(bed, "");
	wire_send_unseen(&bed->wire, 400000, false);
	expect(bed, "GET /file 200");
}

static void chunks_that_contain_an_end_do_not_end_the_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/chunks"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	wire_send_text(w, "7\r\n\r\n0\r\n\r\n\r\n");
	exchanges_settle(bed->exchanges, w->now_ns);
	expect(bed, "");
	wire_send_text(w, "19\r\nlonger than what is copied\r\n0\r\n\r\n" +
				  1); /* 9 bytes, then more */
	expect(bed, "");
	wire_finish(w);
}

static void chunked_framing_is_followed_exactly(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/chunks"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	wire_send_text(w, "7;name=value\r\n\r\n0\r\n\r\n\r\n");
	wire_send_text(w, "1a\r\nabcdefghijklmnopqrs\r\n0\r\n\r\n\r\n");
	exchanges_settle(bed->exchanges, w->now_ns);
	expect(bed, "");
	wire_send_text(w, "0\r\n\r\n");
	expect(bed, "GET /chunks 200");
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

static void six_hundred_small_chunks_are_one_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	int i;

	wire_receive_text(w, GET("/small"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (i = 0; i < 600; i++)
		wire_send_text(w, "5\r\nsmall\r\n");
	expect(bed, "");
	wire_send_text(w, "0\r\n\r\n");
	expect(bed, "GET /small 200");
	assert_int_equal(bed->last.end_ns - bed->last.start_ns, 602 * WIRE_MILLISECOND);
}

/* Sizes of chunks that were not copied: only the look of the last bytes tells the end. */
static void send_uncopied_chunks(struct wire *w, const char *end)
{
	char call[8192];
	size_t len = 0;

	while (len < 6000)
		len += sprintf(call + len, "c8\r\n%0200d\r\n", 0);
	len += sprintf(call + len, "%s", end);
	wire_send(w, call, len);
}

static void a_likely_end_of_chunks_is_believed_when_settled(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/guess"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	send_uncopied_chunks(w, "");
	exchanges_settle(bed->exchanges, w->now_ns);
	expect(bed, "");
	send_uncopied_chunks(w, "0\r\n\r\n");
	expect(bed, "");
	exchanges_settle(bed->exchanges, w->now_ns + WIRE_SECOND);
	expect(bed, "GET /guess 200");
	assert_int_equal(bed->last.end_ns, WIRE_SECOND + 4 * WIRE_MILLISECOND);
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

static void a_likely_end_of_chunks_is_believed_when_the_next_response_begins(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/guess"));
	wire_send_text(w, "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	send_uncopied_chunks(w, "0\r\n\r\n");
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /guess 201; GET /next 200");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 0);
}

static void a_trailer_section_belongs_to_the_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/trailer"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	wire_send_text(w, "5\r\nhello\r\n");
	wire_send_text(w, "0\r\nX-Checksum: 0123456789abcdef\r\nX-Other: 1\r\n\r\n");
	exchanges_settle(bed->exchanges, w->now_ns);
	expect(bed, "GET /trailer 200");
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

static void what_cannot_be_told_of_chunks_ends_at_the_next_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/trailer"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	send_uncopied_chunks(w, "0\r\nX-Checksum: 0123456789abcdef\r\n\r\n");
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /trailer 200; GET /next 200");
}

static void responses_without_body_end_with_their_head(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "HEAD /h HTTP/1.1\r\n" HOST);
	wire_send_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	expect(bed, "HEAD /h 200");
	wire_receive_text(w, "HEAD /h HTTP/1.1\r\n" HOST);
	wire_send_text(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	expect(bed, "HEAD /h 200");
	wire_receive_text(w, GET("/n"));
	wire_send_text(w, "HTTP/1.1 204 No Content\r\n\r\n");
	expect(bed, "GET /n 204");
	wire_receive_text(w, GET("/m"));
	wire_send_text(w, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
	expect(bed, "GET /m 304");
	wire_receive_text(w, GET("/z"));
	wire_send_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /z 200");
}

static void informational_responses_are_none(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/hints"));
	wire_send_text(w, "HTTP/1.1 102 Processing\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	expect(bed, "");
	wire_send_text(w, OK);
	expect(bed, "GET /hints 200");
	assert_int_equal(bed->last.first_byte_ns, WIRE_SECOND + 4 * WIRE_MILLISECOND);
	wire_receive_text(w, GET("/both"));
	wire_send_text(w, "HTTP/1.1 103 Early Hints\r\n\r\n" OK); /* in one call */
	expect(bed, "GET /both 200");
}

static void a_request_may_wait_for_100_continue(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w,
			  "PUT /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 100 Continue\r\n\r\n");
	wire_receive_text(w, "hello");
	expect(bed, "");
	wire_send_text(w, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "PUT /f 201");
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

/* The length still holds (RFC 9112 section 6.3): who wants to go on sends the body. */
static void a_refused_expectation_leaves_the_connection_usable(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w,
			  "PUT /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "PUT /f 417");
	wire_receive_text(w, "hello");
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

static void switching_protocols_ends_http(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
	expect(bed, "GET /ws 101");
	wire_receive_text(w, GET("/not/http"));
	wire_send_text(w, OK);
	wire_finish(w);
	expect(bed, "");
	expect_open(bed, 0);
}

static void connect_has_no_path_and_ends_http_when_it_succeeds(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "CONNECT example.com:443 HTTP/1.1\r\n" HOST);
	wire_send_text(w,
		       "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "CONNECT - 407");
	wire_receive_text(w, "CONNECT example.com:443 HTTP/1.1\r\n" HOST);
	wire_send_text(w, "HTTP/1.1 200 Connection established\r\n\r\n");
	expect(bed, "CONNECT - 200");
	wire_receive_text(w, "\x16\x03\x01 TLS");
	wire_send_text(w, "\x16\x03\x03 TLS");
	wire_finish(w);
	expect(bed, "");
}

static void targets_come_in_four_forms(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET http://example.com/abs?x HTTP/1.1\r\n" HOST);
	wire_send_text(w, OK);
	wire_receive_text(w, "OPTIONS * HTTP/1.1\r\n" HOST);
	wire_send_text(w, OK);
	wire_receive_text(w, "PROPFIND /dav HTTP/1.1\r\n" HOST);
	wire_send_text(w, "HTTP/1.1 207 Multi-Status\r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w,
			  "\r\nGET /after/empty/line HTTP/1.1\r\n" HOST); /* RFC 9112 section 2.2 */
	wire_send_text(w, OK);
	expect(bed, "GET /abs 200; OPTIONS - 200; _OTHER /dav 207; GET /after/empty/line 200");
}

/* --- heads in pieces --- */

static void heads_may_come_byte_by_byte(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const char *request = GET("/bytes"), *response = OK, *p;
	uint64_t start_ns, first_ns;

	start_ns = w->now_ns + w->step_ns;
	for (p = request; *p; p++)
		wire_receive(w, p, 1);
	first_ns = w->now_ns + w->step_ns;
	for (p = response; *p; p++)
		wire_send(w, p, 1);
	expect(bed, "GET /bytes 200");
	assert_int_equal(bed->last.start_ns, start_ns);
	assert_int_equal(bed->last.first_byte_ns, first_ns);
	assert_int_equal(bed->last.end_ns, w->now_ns);
}

static void heads_may_be_split_anywhere(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const char *request = "POST /split HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
	const char *response = "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops";
	size_t cut;

	for (cut = 2; cut < strlen(request); cut++) {
		wire_receive(w, request, cut);
		wire_receive_text(w, request + cut);
		wire_send_text(w, response);
		expect(bed, "POST /split 500");
	}
	for (cut = 1; cut < strlen(response); cut++) {
		wire_receive_text(w, request);
		wire_send(w, response, cut);
		wire_send_text(w, response + cut);
		expect(bed, "POST /split 500");
	}
}

static void a_request_line_longer_than_what_is_kept_has_no_path(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const size_t len = 65536;
	char *line = malloc(len + 64);

	assert_non_null(line);
	memset(line, 'x', len);
	memcpy(line, "GET /", 5);
	sprintf(line + len, " HTTP/1.1\r\n" HOST);
	wire_receive(w, line, 30000); /* in two reads */
	wire_receive_text(w, line + 30000);
	wire_send_text(w, "HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET - 414");
	wire_receive_text(w, line); /* in one */
	wire_send_text(w, OK);
	assert_int_equal(bed->done_count, 2);
	assert_int_equal(bed->last.status, 200);
	bed->log[0] = '\0';
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
	memcpy(line, "GET /a?b", 8);
	wire_receive(w, line, 30000);
	wire_receive_text(w, line + 30000);
	wire_send_text(w, OK);
	expect(bed, "GET /a 200"); /* the path was whole */
	free(line);
}

static void a_header_block_of_a_megabyte_is_followed_or_passed_over(void **state)
{
	static const char *const first_lines[] = {"GET /long HTTP/1.1\r\n",
						  "PUT /long HTTP/1.1\r\n"};
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char block[16000];
	size_t len, i, j;

	for (len = 0; len + 200 < sizeof(block);)
		len += sprintf(block + len, "X-Name: %0150d\r\n", 0);
	for (i = 0; i < 2; i++) {
		wire_receive_text(w, first_lines[i]);
		for (j = 0; j < 1000000 / len; j++)
			wire_receive(w, block, len);
		wire_receive_text(w, "\r\n");
		wire_send_text(w, OK);
		wire_receive_text(w, GET("/next"));
		wire_send_text(w, OK);
	}
	expect(bed, "GET /long 200; GET /next 200; PUT /long 200; GET /next 200");
}

static void a_response_head_longer_than_what_is_copied_ends_with_the_next_one(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char head[6000];
	size_t len;

	len = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
	while (len < 4000)
		len += sprintf(head + len, "Set-Cookie: %0150d\r\n", 0);
	len += sprintf(head + len, "\r\nhello");
	wire_receive_text(w, GET("/cookies"));
	wire_send(w, head, len);
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /cookies 200; GET /next 200");
	wire_receive_text(w, GET("/cookies"));
	wire_send(w, head, len);
	wire_finish(w);
	expect(bed, "GET /cookies 200");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_response_are_one_exchange),
		TEST(keep_alive_gives_one_exchange_after_the_other),
		TEST(http_1_0_without_length_ends_with_the_connection),
		TEST(a_body_by_length_may_come_in_many_calls),
		TEST(a_body_by_sendfile_has_no_bytes_but_a_length),
		TEST(chunks_that_contain_an_end_do_not_end_the_response),
		TEST(chunked_framing_is_followed_exactly),
		TEST(six_hundred_small_chunks_are_one_response),
		TEST(a_likely_end_of_chunks_is_believed_when_settled),
		TEST(a_likely_end_of_chunks_is_believed_when_the_next_response_begins),
		TEST(a_trailer_section_belongs_to_the_response),
		TEST(what_cannot_be_told_of_chunks_ends_at_the_next_response),
		TEST(responses_without_body_end_with_their_head),
		TEST(informational_responses_are_none),
		TEST(a_request_may_wait_for_100_continue),
		TEST(a_refused_expectation_leaves_the_connection_usable),
		TEST(switching_protocols_ends_http),
		TEST(connect_has_no_path_and_ends_http_when_it_succeeds),
		TEST(targets_come_in_four_forms),
		TEST(heads_may_come_byte_by_byte),
		TEST(heads_may_be_split_anywhere),
		TEST(a_request_line_longer_than_what_is_kept_has_no_path),
		TEST(a_header_block_of_a_megabyte_is_followed_or_passed_over),
		TEST(a_response_head_longer_than_what_is_copied_ends_with_the_next_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
