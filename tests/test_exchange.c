// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HOST "Host: x\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST

/* Exchanges, a connection with records into them, and what was reported. */
struct bed {
	struct exchanges *exchanges;
	struct wire wire;
	size_t done_count;
	struct exchange last; /* its pointers are not valid */
	char log[2048]; /* "GET /a 200; POST - 0 aborted" as far as it fits */
};

static void on_request(void *context, struct exchange *x, const char *path, size_t path_len)
{
	(void)context;
	x->service = (struct service *)x; /* wanted */
	x->has_path = path_len > 0;
	x->template_len = path_len < sizeof(x->template) ? path_len : sizeof(x->template) - 1;
	if (path_len)
		memcpy(x->template, path, x->template_len);
	x->template[x->template_len] = '\0';
}

static void on_done(void *context, const struct exchange *x)
{
	struct bed *bed = context;
	size_t len = strlen(bed->log);

	assert_true(x->end_ns >= x->start_ns);
	bed->done_count++;
	bed->last = *x;
	snprintf(bed->log + len, sizeof(bed->log) - len, "%s%s %s %u%s%s", len ? "; " : "",
		 http_method_name(x->method), x->has_path ? x->template : "-", x->status,
		 x->error_type ? " " : "", x->error_type ? x->error_type : "");
}

static int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct exchange_sink sink = {.request = on_request, .done = on_done, .context = bed};

	*state = bed;
	if (!bed || exchanges_open(&bed->exchanges, &sink))
		return -1;
	wire_open(&bed->wire, bed->exchanges, 1);
	return 0;
}

static int bed_teardown(void **state)
{
	struct bed *bed = *state;

	wire_close(&bed->wire);
	exchanges_close(bed->exchanges);
	free(bed);
	return 0;
}

/* What was reported since the last call. */
static void expect(struct bed *bed, const char *log)
{
	assert_string_equal(bed->log, log);
	bed->log[0] = '\0';
}

static void expect_open(const struct bed *bed, size_t count)
{
	assert_int_equal(exchanges_stats(bed->exchanges).open_count, count);
}

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

/* --- request bodies --- */

static void request_bodies_are_passed_over(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char body[50000];
	int i;

	memset(body, 'b', sizeof(body));
	wire_receive_text(w, "POST /small HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	wire_send_text(w, OK);
	wire_receive_text(w, "POST /two HTTP/1.1\r\nContent-Length: 3\r\n\r\n");
	wire_receive_text(w, "abc");
	wire_send_text(w, OK);
	wire_receive_text(w, "POST /large HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
	for (i = 0; i < 20; i++)
		wire_receive(w, body, sizeof(body));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "POST /small 200; POST /two 200; POST /large 200; GET /next 200");
}

static void a_chunked_request_body_may_be_longer_than_what_is_copied(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char chunk[1100];
	int i;

	sprintf(chunk, "400\r\n%01024d\r\n", 0);
	wire_receive_text(w, "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (i = 0; i < 30; i++)
		wire_receive_text(w, chunk);
	wire_receive_text(w, "0\r\n\r\n");
	wire_send_text(w, OK);
	for (i = 0; i < 3; i++) {
		wire_receive_text(w, GET("/next"));
		wire_send_text(w, OK);
	}
	expect(bed, "POST /up 200; GET /next 200; GET /next 200; GET /next 200");
}

static void a_body_that_looks_like_a_request_is_none(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "POST /log HTTP/1.1\r\nContent-Length: 200\r\n\r\n");
	wire_receive_text(w, GET("/inside"));
	wire_receive_text(w, "HTTP/1.1 200 OK\r\n\r\n");
	wire_send_text(w, OK);
	expect(bed, "POST /log 200");
	expect_open(bed, 0);
}

static void an_answer_may_come_before_the_body(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char body[50000];
	int i;

	memset(body, 'b', sizeof(body));
	wire_receive_text(w, "POST /early HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
	wire_receive(w, body, sizeof(body));
	wire_send_text(w, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "POST /early 413");
	for (i = 0; i < 19; i++)
		wire_receive(w, body, sizeof(body));
	wire_receive_text(w, GET("/next"));
	wire_send_text(w, OK);
	expect(bed, "GET /next 200");
}

/* --- pipelining --- */

static void a_batch_in_one_call_is_many_exchanges(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1") GET("/2") "HEAD /3 HTTP/1.1\r\n" HOST GET("/4"));
	wire_send_text(w, OK "HTTP/1.1 404 \r\nContent-Length: 3\r\n\r\nabc"
			     "HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\n");
	expect(bed, "GET /1 200; GET /2 404; HEAD /3 200");
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /4 500");
}

static void a_batch_may_be_cut_anywhere(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const char *requests =
		GET("/1") "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" GET("/3");
	const char *responses =
		OK "HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		   "HTTP/1.1 204 \r\n\r\n";
	size_t cut;

	for (cut = 2; cut < strlen(requests); cut++) {
		wire_receive(w, requests, cut);
		wire_receive_text(w, requests + cut);
		wire_send_text(w, responses);
		expect(bed, "GET /1 200; POST /2 404; GET /3 204");
	}
	for (cut = 1; cut < strlen(responses); cut++) {
		wire_receive_text(w, requests);
		wire_send(w, responses, cut);
		wire_send_text(w, responses + cut);
		exchanges_settle(bed->exchanges, w->now_ns);
		expect(bed, "GET /1 200; POST /2 404; GET /3 204");
	}
}

static void a_batch_over_several_slices_is_counted_whole(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	const char *request = "GET /many HTTP/1.1\r\nX: 01234567890123456789\r\n\r\n";
	const size_t count = 1000, len = strlen(request);
	char *batch = malloc(count * len + 1);
	size_t i;

	assert_non_null(batch);
	for (i = 0; i < count; i++)
		memcpy(batch + i * len, request, len);
	wire_receive(w, batch, count * len);
	expect_open(bed, count);
	for (i = 0; i < count; i++)
		wire_send_text(w, OK);
	assert_int_equal(bed->done_count, count);
	assert_int_equal(bed->last.status, 200);
	expect_open(bed, 0);
	free(batch);
}

static void a_request_may_be_recorded_before_the_last_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	uint64_t start_ns;

	w->is_unix = true; /* where the hooks know of a send only once it was seen */
	w->from_birth = false;
	wire_receive_text(w, GET("/1"));
	wire_send_begin(w, strlen(OK));
	start_ns = w->now_ns + w->step_ns;
	wire_receive_text(w, GET("/2"));
	wire_send_hook(w, OK, strlen(OK));
	expect(bed, "GET /1 200");
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	assert_int_equal(bed->last.start_ns, start_ns);
}

static void times_that_go_back_give_no_negative_duration(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	bed->wire.now_ns -= 2 * WIRE_MILLISECOND;
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET / 200");
	assert_int_equal(bed->last.end_ns, bed->last.start_ns);
	assert_int_equal(bed->last.first_byte_ns, bed->last.start_ns);
}

/* --- ends of connections --- */

static void a_close_without_answer_is_no_response(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/1") GET("/2"));
	wire_finish(&bed->wire);
	expect(bed, "GET /1 0 no_response; GET /2 0 no_response");
	assert_int_equal(bed->last.end_ns, bed->wire.now_ns - WIRE_MILLISECOND);
}

static void a_close_within_an_answer_is_no_response(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	wire_finish(&bed->wire);
	expect(bed, "GET / 200 no_response");
}

static void a_close_after_the_client_has_closed_is_aborted(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	expect(bed, "");
	wire_finish(&bed->wire);
	expect(bed, "GET / 0 aborted");
}

static void a_half_close_decides_nothing(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_peer_fin(&bed->wire);
	wire_send_text(&bed->wire, OK);
	expect(bed, "GET / 200");
	wire_finish(&bed->wire);
	expect(bed, "");
}

static void a_reset_ends_what_is_open(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, GET("/"));
	wire_send_text(&bed->wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 connection_reset");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_reset_within_a_body_until_close_is_no_end(void **state)
{
	struct bed *bed = *state;

	wire_receive_text(&bed->wire, "GET / HTTP/1.0\r\n\r\n");
	wire_send_text(&bed->wire, "HTTP/1.0 200 OK\r\n\r\nhalf");
	wire_reset(&bed->wire);
	expect(bed, "GET / 200 connection_reset");
}

static void a_reset_may_be_recorded_before_the_last_send(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/"));
	wire_send_begin(w, strlen(OK));
	wire_reset(w);
	expect(bed, "");
	w->role = ROLE_SERVER;
	wire_send_hook(w, OK, strlen(OK));
	expect(bed, "GET / 200");
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_send_that_never_shows_up_leaves_no_invented_answer(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/"));
	w->lose_count = 1;
	wire_send_text(w, OK);
	wire_finish(w);
	exchanges_settle(bed->exchanges, w->now_ns);
	expect_open(bed, 1);
	exchanges_settle(bed->exchanges, w->now_ns + WIRE_SECOND);
	expect(bed, "");
	expect_open(bed, 0);
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

/* --- unix sockets --- */

static void a_unix_socket_that_is_no_longer_listed_has_closed(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct connection_state listed = {.cookie = 1, .role = ROLE_SERVER};

	w->is_unix = true;
	w->from_birth = false;
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 200");
	assert_int_equal(bed->last.port, 0);
	wire_receive_text(w, GET("/2"));
	assert_int_equal(exchanges_unix_count(bed->exchanges), 1);
	exchanges_unix_begin(bed->exchanges);
	exchanges_unix_alive(bed->exchanges, &listed);
	exchanges_unix_end(bed->exchanges, w->now_ns + 1);
	expect(bed, "");
	exchanges_unix_begin(bed->exchanges);
	exchanges_unix_end(bed->exchanges, w->now_ns + 1);
	expect(bed, "GET /2 0 no_response");
	assert_int_equal(exchanges_unix_count(bed->exchanges), 0);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_unix_socket_newer_than_the_listing_is_left_alone(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->is_unix = true;
	w->from_birth = false;
	exchanges_unix_begin(bed->exchanges);
	wire_receive_text(w, GET("/"));
	exchanges_unix_end(bed->exchanges, w->now_ns - 1);
	expect(bed, "");
	assert_int_equal(exchanges_unix_count(bed->exchanges), 1);
}

static void the_peer_of_a_unix_socket_closes_first(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct connection_state listed = {.cookie = 2, .role = ROLE_SERVER, .shutdown = 3};

	w->is_unix = true;
	w->from_birth = false;
	wire_receive_text(w, GET("/eof"));
	wire_eof(w);
	expect(bed, "");
	wire_send_text(w, OK); /* a half-close */
	expect(bed, "GET /eof 200");
	wire_receive_text(w, GET("/eof"));
	wire_eof(w);
	exchanges_unix_begin(bed->exchanges);
	exchanges_unix_end(bed->exchanges, w->now_ns + 1);
	expect(bed, "GET /eof 0 aborted");

	wire_open(w, bed->exchanges, 2);
	w->is_unix = true;
	w->from_birth = false;
	wire_receive_text(w, GET("/gone"));
	exchanges_unix_begin(bed->exchanges);
	exchanges_unix_alive(bed->exchanges, &listed);
	exchanges_unix_end(bed->exchanges, w->now_ns + 1);
	expect(bed, "");
	exchanges_unix_begin(bed->exchanges);
	exchanges_unix_end(bed->exchanges, w->now_ns + 1);
	expect(bed, "GET /gone 0 aborted");
}

/* --- what is no request --- */

static void a_partial_head_counts_only_if_it_is_answered(void **state)
{
	static const char *const partial[] = {"GET /slow", "GET /slow HTTP/1.1\r\nHost:"};
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	size_t i;

	for (i = 0; i < 2; i++) {
		wire_open(w, bed->exchanges, 10 + i);
		wire_receive_text(w, partial[i]);
		wire_finish(w);
		expect(bed, "");
		expect_open(bed, 0);
		wire_open(w, bed->exchanges, 20 + i);
		wire_receive_text(w, partial[i]);
		wire_send_text(w, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
		wire_finish(w);
		expect(bed, i ? "GET /slow 408" : "GET - 408");
	}
}

static void a_partial_head_that_was_answered_counts_once(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET /xxxxxxxxxxxxxxxxx");
	wire_send_text(w, "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET - 431");
	wire_receive_text(w, "xxxxxxxx HTTP/1.1\r\n" HOST);
	wire_finish(w);
	expect(bed, "");
	expect_open(bed, 0);
}

static void garbage_is_no_request_and_what_follows_is_right(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "GET /garbage\x01\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	expect(bed, "");
	assert_int_equal(exchanges_stats(bed->exchanges).malformed, 1);
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 200; GET /2 200");
}

static void a_connection_found_in_its_middle_is_picked_up_at_its_next_request(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->from_birth = false;
	w->received = 1000;
	w->sent = w->sent_seen = 3000;
	wire_send_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
	wire_receive_text(w, "in the middle of a body");
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200; GET /2 404");
}

static void a_response_to_a_request_from_before_is_not_taken_for_the_next(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->from_birth = false;
	w->received = 1000;
	w->sent = w->sent_seen = 3000;
	wire_receive_text(w, GET("/1")); /* while an older one is being answered */
	wire_send_text(w, "the rest of a body");
	wire_send_text(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	expect(bed, "");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
}

/* --- losses --- */

static void a_lost_request_takes_only_its_response_with_it(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	w->lose_count = 1;
	wire_receive_text(w, GET("/lost"));
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200; GET /2 404");
	assert_int_equal(exchanges_stats(bed->exchanges).responses_lost, 1);
}

static void a_lost_first_request_takes_only_its_response_with_it(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	w->lose_count = 1;
	wire_receive_text(w, GET("/lost"));
	wire_receive_text(w, GET("/1")); /* pipelined behind it */
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	wire_send_text(w, OK);
	expect(bed, "");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
}

static void a_lost_response_takes_only_its_request_with_it(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/lost"));
	w->lose_count = 1;
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
	expect_open(bed, 0);
}

static void a_lost_response_and_a_lost_request_do_not_stop_the_connection(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/lost"));
	w->lose_count = 3; /* its response, a request and that one's response */
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/lost"));
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/1"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 404; GET /2 200");
	expect_open(bed, 0);
}

static void a_pipelined_request_that_is_lost_shifts_no_status(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1"));
	w->lose_count = 1;
	wire_receive_text(w, GET("/lost"));
	wire_receive_text(w, GET("/3"));
	wire_send_text(w, OK);
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 403 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /1 200");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/4"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	wire_receive_text(w, GET("/5"));
	wire_send_text(w, OK);
	expect(bed, "GET /4 404; GET /5 200");
}

static void a_response_whose_last_bytes_were_lost_keeps_its_status(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	uint64_t last_ns;

	wire_receive_text(w, GET("/1"));
	wire_send_text(w, "HTTP/1.1 201 \r\nContent-Length: 4\r\n\r\n");
	wire_send_text(w, "ab");
	last_ns = w->now_ns;
	w->lose_count = 1;
	wire_send_text(w, "cd");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /1 201; GET /2 200");
	wire_receive_text(w, GET("/3"));
	wire_send_text(w, "HTTP/1.1 202 \r\nTransfer-Encoding: chunked\r\n\r\n");
	last_ns = w->now_ns;
	w->lose_count = 1;
	wire_send_text(w, "0\r\n\r\n");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, "POST /4 HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	wire_send_text(w, "HTTP/1.1 101 \r\n\r\n");
	expect(bed, "GET /3 202; POST /4 101");
	assert_true(bed->last.start_ns - last_ns > 10 * WIRE_SECOND);
	/* the duration of what was lost is that of what was seen */
	wire_open(w, bed->exchanges, 2);
	wire_receive_text(w, GET("/5"));
	wire_send_text(w, "HTTP/1.1 202 \r\nContent-Length: 3\r\n\r\n");
	last_ns = w->now_ns;
	w->lose_count = 1;
	wire_send_text(w, "abc");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/6"));
	wire_send_text(w, "HTTP/1.1 200 \r\nContent-Length: 100\r\n\r\n");
	expect(bed, "GET /5 202");
	assert_int_equal(bed->last.end_ns, last_ns);
}

/* A batch whose second slice is lost: only what is certain is reported. */
static void a_lost_slice_shifts_no_status(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	char batch[16384];
	size_t len = 0, i;

	for (i = 0; len < 12000; i++)
		len += sprintf(batch + len, "GET /%zu HTTP/1.1\r\nX: 0123456789\r\n\r\n", i);
	wire_hold(w);
	wire_receive(w, batch, len);
	struct wire_record *records = wire_take(w), *second = records->next;

	records->next = second->next;
	free(second);
	w->held = records;
	wire_release(w);
	w->held_end = &w->held;
	for (size_t j = 0; j < i; j++) {
		char response[80];

		sprintf(response, "HTTP/1.1 %zu \r\nContent-Length: 0\r\n\r\n", 200 + j);
		wire_send_text(w, response);
		if (j == 0)
			expect(bed, "GET /0 200");
		assert_true(bed->last.status == 200 + strtoul(bed->last.template + 1, NULL, 10) ||
			    bed->last.method == HTTP_OTHER);
		assert_true(!bed->last.has_path ||
			    bed->last.status == 200 + strtoul(bed->last.template + 1, NULL, 10));
	}
	assert_true(bed->done_count > 50);
	bed->log[0] = '\0';
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/after"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /after 404");
}

static void a_start_line_cut_by_a_loss_is_no_request_without_its_method(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, "DEL");
	w->lose_count = 1;
	wire_receive_text(w, "ETE /1 HTTP/1.1\r\nHost:");
	wire_receive_text(w, " x\r\n\r\n");
	wire_send_text(w, OK);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /2 200");
}

static void an_unreadable_send_is_a_loss_of_one_response(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;

	wire_receive_text(w, GET("/1"));
	wire_send_unseen(w, 100, true);
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	expect(bed, "GET /2 200");
	assert_int_equal(exchanges_stats(bed->exchanges).requests_lost, 1);
}

/* --- bounds --- */

static void idle_connections_are_forgotten_and_come_back(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire, other;

	wire_receive_text(w, GET("/1"));
	wire_send_text(w, OK);
	wire_open(&other, bed->exchanges, 2);
	wire_receive_text(&other, GET("/open"));
	exchanges_expire(bed->exchanges, w->now_ns + EXCHANGE_IDLE_NS / 2);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 2);
	exchanges_expire(bed->exchanges, w->now_ns + 2 * EXCHANGE_IDLE_NS);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 1);
	expect(bed, "GET /1 200");
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, OK);
	wire_send_text(&other, OK);
	expect(bed, "GET /2 200; GET /open 200");
}

/* A connection that only waits is opened by its first request. */
static void open_idle(struct bed *bed, uint64_t cookie, bool answer)
{
	struct wire w;

	wire_open(&w, bed->exchanges, cookie);
	wire_receive_text(&w, GET("/"));
	if (answer)
		wire_send_text(&w, OK);
}

static void seventy_thousand_connections_fit_by_forgetting_idle_ones(void **state)
{
	struct bed *bed = *state;
	struct exchange_stats stats;
	uint64_t i;

	for (i = 0; i < 70000; i++)
		open_idle(bed, 1000 + i, true);
	stats = exchanges_stats(bed->exchanges);
	assert_int_equal(bed->done_count, 70000);
	assert_int_equal(stats.connection_count, EXCHANGE_CONNECTIONS_MAX);
	assert_int_equal(stats.connections_evicted, 70000 - EXCHANGE_CONNECTIONS_MAX);
	assert_int_equal(stats.connections_refused, 0);
	exchanges_expire(bed->exchanges, 1000 * WIRE_SECOND);
	assert_int_equal(exchanges_stats(bed->exchanges).connection_count, 0);
}

static void a_few_hundred_silent_open_requests_do_not_stop_new_connections(void **state)
{
	struct bed *bed = *state;
	uint64_t i;

	for (i = 0; i < 500; i++)
		open_idle(bed, 1000 + i, false);
	for (; i < EXCHANGE_CONNECTIONS_MAX + 10; i++)
		open_idle(bed, 1000 + i, true); /* the last few find no room */
	bed->done_count = 0;
	for (i = 0; i < 1000; i++)
		open_idle(bed, 100000 + i, true);
	assert_int_equal(bed->done_count, 1000);
	expect_open(bed, 500);
}

static void a_table_full_of_open_requests_refuses_more_and_counts_them(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire;
	struct exchange_stats stats;
	uint64_t i;

	wire_receive_text(w, GET("/first"));
	for (i = 0; i < 70000; i++)
		open_idle(bed, 1000 + i, false);
	stats = exchanges_stats(bed->exchanges);
	assert_int_equal(stats.connection_count, EXCHANGE_CONNECTIONS_MAX);
	assert_int_equal(stats.open_count, EXCHANGE_OPEN_MAX);
	assert_true(stats.connections_refused > 0);
	wire_send_text(w, OK);
	expect(bed, "GET /first 200");
}

static void requests_past_the_bound_take_only_their_responses_with_them(void **state)
{
	struct bed *bed = *state;
	struct wire *w = &bed->wire, *flood;
	uint64_t i;

	flood = malloc(sizeof(*flood));
	assert_non_null(flood);
	wire_open(flood, bed->exchanges, 2);
	wire_receive_text(w, GET("/1"));
	for (i = 0; i < EXCHANGE_OPEN_MAX; i++)
		wire_receive_text(flood, GET("/flood"));
	wire_receive_text(w, GET("/refused"));
	assert_true(exchanges_stats(bed->exchanges).requests_refused > 0);
	wire_send_text(w, OK);
	expect(bed, "GET /1 200");
	wire_finish(flood);
	bed->log[0] = '\0';
	wire_send_text(w, "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n");
	w->now_ns += 10 * WIRE_SECOND;
	wire_receive_text(w, GET("/2"));
	wire_send_text(w, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	expect(bed, "GET /2 404");
	free(flood);
}

static void split_lines_are_bounded_together(void **state)
{
	struct bed *bed = *state;
	struct exchange_stats stats;
	char line[9000];
	uint64_t i;

	memset(line, 'x', sizeof(line));
	memcpy(line, "GET /", 5);
	for (i = 0; i < 2000; i++) {
		struct wire w;

		wire_open(&w, bed->exchanges, 1000 + i);
		wire_receive(&w, line, 8000);
		if (i == 1999) { /* the memory is used up: its line cannot be kept */
			wire_receive_text(&w, " HTTP/1.1\r\n" HOST);
			wire_send_text(&w, OK);
			wire_receive_text(&w, GET("/next"));
			wire_send_text(&w, OK);
		}
	}
	stats = exchanges_stats(bed->exchanges);
	assert_true(stats.lines_cut > 0);
	assert_non_null(strstr(bed->log, "GET /next 200"));
	assert_int_equal(bed->done_count, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
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
		TEST(request_bodies_are_passed_over),
		TEST(a_chunked_request_body_may_be_longer_than_what_is_copied),
		TEST(a_body_that_looks_like_a_request_is_none),
		TEST(an_answer_may_come_before_the_body),
		TEST(a_batch_in_one_call_is_many_exchanges),
		TEST(a_batch_may_be_cut_anywhere),
		TEST(a_batch_over_several_slices_is_counted_whole),
		TEST(a_request_may_be_recorded_before_the_last_response),
		TEST(times_that_go_back_give_no_negative_duration),
		TEST(a_close_without_answer_is_no_response),
		TEST(a_close_within_an_answer_is_no_response),
		TEST(a_close_after_the_client_has_closed_is_aborted),
		TEST(a_half_close_decides_nothing),
		TEST(a_reset_ends_what_is_open),
		TEST(a_reset_within_a_body_until_close_is_no_end),
		TEST(a_reset_may_be_recorded_before_the_last_send),
		TEST(a_send_that_never_shows_up_leaves_no_invented_answer),
		TEST(a_unix_socket_that_is_no_longer_listed_has_closed),
		TEST(a_unix_socket_newer_than_the_listing_is_left_alone),
		TEST(the_peer_of_a_unix_socket_closes_first),
		TEST(a_partial_head_counts_only_if_it_is_answered),
		TEST(a_partial_head_that_was_answered_counts_once),
		TEST(garbage_is_no_request_and_what_follows_is_right),
		TEST(a_connection_found_in_its_middle_is_picked_up_at_its_next_request),
		TEST(a_response_to_a_request_from_before_is_not_taken_for_the_next),
		TEST(a_lost_request_takes_only_its_response_with_it),
		TEST(a_lost_first_request_takes_only_its_response_with_it),
		TEST(a_lost_response_takes_only_its_request_with_it),
		TEST(a_lost_response_and_a_lost_request_do_not_stop_the_connection),
		TEST(a_pipelined_request_that_is_lost_shifts_no_status),
		TEST(a_response_whose_last_bytes_were_lost_keeps_its_status),
		TEST(a_lost_slice_shifts_no_status),
		TEST(a_start_line_cut_by_a_loss_is_no_request_without_its_method),
		TEST(an_unreadable_send_is_a_loss_of_one_response),
		TEST(idle_connections_are_forgotten_and_come_back),
		TEST(seventy_thousand_connections_fit_by_forgetting_idle_ones),
		TEST(a_few_hundred_silent_open_requests_do_not_stop_new_connections),
		TEST(a_table_full_of_open_requests_refuses_more_and_counts_them),
		TEST(requests_past_the_bound_take_only_their_responses_with_them),
		TEST(split_lines_are_bounded_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
