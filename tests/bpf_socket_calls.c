// SPDX-License-Identifier: Apache-2.0
/* socket.bpf.c and payload.bpf.h: each system call that moves a socket's bytes, over TCP and unix
 * sockets. The first request of a connection goes the long way, the second the short way where its
 * call has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks_bed.h"

#define REQUEST "GET /calls?a=1 HTTP/1.1\r\nHost: bittern.example\r\nAccept: */*\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

static const int families[] = {AF_INET, AF_INET6, AF_UNIX};

/* A way to move len bytes in one call. */
struct way {
	const char *name;
	ssize_t (*move)(int fd, char *bytes, size_t len);
};

/* bytes in so many pieces, each second one empty. */
static int pieces_of(struct iovec *pieces, int count, char *bytes, size_t len)
{
	size_t each = len / ((count + 1) / 2), at = 0;
	int i;

	for (i = 0; i < count; i++) {
		size_t n = i % 2 ? 0 : i + 2 >= count ? len - at : each;

		pieces[i] = (struct iovec){.iov_base = bytes + at, .iov_len = n};
		at += n;
	}
	return count;
}

#define FEW 3 /* pieces on the short way */
#define MANY 11

static ssize_t by_read(int fd, char *bytes, size_t len)
{
	return read(fd, bytes, len);
}

static ssize_t by_recv(int fd, char *bytes, size_t len)
{
	return recv(fd, bytes, len, 0);
}

static ssize_t by_recvfrom(int fd, char *bytes, size_t len)
{
	return recvfrom(fd, bytes, len, MSG_WAITALL, NULL, NULL);
}

static ssize_t by_readv(int fd, char *bytes, size_t len)
{
	struct iovec pieces[FEW];

	return readv(fd, pieces, pieces_of(pieces, FEW, bytes, len));
}

static ssize_t by_readv_of_many(int fd, char *bytes, size_t len)
{
	struct iovec pieces[MANY];

	return readv(fd, pieces, pieces_of(pieces, MANY, bytes, len));
}

static ssize_t by_preadv2(int fd, char *bytes, size_t len)
{
	struct iovec pieces[FEW];

	return preadv2(fd, pieces, pieces_of(pieces, FEW, bytes, len), -1, 0);
}

static ssize_t by_recvmsg(int fd, char *bytes, size_t len)
{
	struct iovec pieces[MANY];
	struct msghdr message = {.msg_iov = pieces,
				 .msg_iovlen = pieces_of(pieces, MANY, bytes, len)};

	return recvmsg(fd, &message, 0);
}

static ssize_t by_recvmmsg(int fd, char *bytes, size_t len)
{
	struct iovec piece = {.iov_base = bytes, .iov_len = len};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};

	return recvmmsg(fd, &message, 1, 0, NULL) == 1 ? (ssize_t)message.msg_len : -1;
}

static ssize_t by_write(int fd, char *bytes, size_t len)
{
	return write(fd, bytes, len);
}

static ssize_t by_send(int fd, char *bytes, size_t len)
{
	return send(fd, bytes, len, MSG_NOSIGNAL);
}

static ssize_t by_writev(int fd, char *bytes, size_t len)
{
	struct iovec pieces[FEW];

	return writev(fd, pieces, pieces_of(pieces, FEW, bytes, len));
}

static ssize_t by_writev_of_many(int fd, char *bytes, size_t len)
{
	struct iovec pieces[MANY];

	return writev(fd, pieces, pieces_of(pieces, MANY, bytes, len));
}

static ssize_t by_pwritev2(int fd, char *bytes, size_t len)
{
	struct iovec pieces[FEW];

	return pwritev2(fd, pieces, pieces_of(pieces, FEW, bytes, len), -1, 0);
}

static ssize_t by_sendmsg(int fd, char *bytes, size_t len)
{
	struct iovec pieces[MANY];
	struct msghdr message = {.msg_iov = pieces,
				 .msg_iovlen = pieces_of(pieces, MANY, bytes, len)};

	return sendmsg(fd, &message, 0);
}

static ssize_t by_sendmmsg(int fd, char *bytes, size_t len)
{
	struct iovec piece = {.iov_base = bytes, .iov_len = len};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};

	return sendmmsg(fd, &message, 1, 0) == 1 ? (ssize_t)message.msg_len : -1;
}

static void receive_by(const struct way *way, int family, struct bed *bed)
{
	struct pair *pair = pair_open(bed, family);
	char bytes[sizeof(REQUEST)] = "";
	int i;

	for (i = 0; i < 2; i++) {
		send_all(pair->client, REQUEST, strlen(REQUEST));
		wait_readable(pair->server, strlen(REQUEST));
		assert_int_equal(way->move(pair->server, bytes, strlen(REQUEST)), strlen(REQUEST));
		assert_string_equal(bytes, REQUEST);
		EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
		pair_response_text(pair, RESPONSE);
		EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = RESPONSE);
	}
}

static void send_by(const struct way *way, int family, struct bed *bed)
{
	struct pair *pair = pair_open(bed, family);
	char bytes[] = RESPONSE, answer[sizeof(RESPONSE)] = "";
	int i;

	for (i = 0; i < 2; i++) {
		pair_request_text(pair, REQUEST);
		EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
		assert_int_equal(way->move(pair->server, bytes, strlen(bytes)), strlen(bytes));
		EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = RESPONSE);
		receive_all(pair->client, answer, strlen(RESPONSE));
		assert_string_equal(answer, RESPONSE);
	}
}

static void in_each_way(void **state, const struct way *ways, size_t count,
			void (*test)(const struct way *way, int family, struct bed *bed))
{
	struct bed *bed = *state;
	size_t i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < sizeof(families) / sizeof(families[0]); j++) {
			bed->doing = ways[i].name;
			test(&ways[i], families[j], bed);
			bed->doing = NULL;
			bed_teardown(state);
			bed_setup(state);
		}
	}
}

static void each_call_that_receives_gives_its_bytes(void **state)
{
	static const struct way ways[] = {
		{"read", by_read},
		{"recv", by_recv},
		{"recvfrom", by_recvfrom},
		{"readv", by_readv},
		{"readv of many pieces", by_readv_of_many},
		{"preadv2", by_preadv2},
		{"recvmsg", by_recvmsg},
		{"recvmmsg", by_recvmmsg},
	};

	in_each_way(state, ways, sizeof(ways) / sizeof(ways[0]), receive_by);
}

static void each_call_that_sends_gives_its_bytes(void **state)
{
	static const struct way ways[] = {
		{"write", by_write},       {"send", by_send},
		{"writev", by_writev},     {"writev of many pieces", by_writev_of_many},
		{"pwritev2", by_pwritev2}, {"sendmsg", by_sendmsg},
		{"sendmmsg", by_sendmmsg},
	};

	in_each_way(state, ways, sizeof(ways) / sizeof(ways[0]), send_by);
}

#define FIRST_PART 30 /* bytes of the first message of two */

static void messages_of_one_recvmmsg_are_told_apart(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	char bytes[sizeof(REQUEST)] = "";
	struct iovec pieces[] = {{bytes, FIRST_PART},
				 {bytes + FIRST_PART, sizeof(bytes) - FIRST_PART}};
	struct mmsghdr messages[] = {{.msg_hdr = {.msg_iov = &pieces[0], .msg_iovlen = 1}},
				     {.msg_hdr = {.msg_iov = &pieces[1], .msg_iovlen = 1}}};

	send_all(pair->client, REQUEST, strlen(REQUEST));
	wait_readable(pair->server, strlen(REQUEST));
	assert_int_equal(recvmmsg(pair->server, messages, 2, MSG_DONTWAIT, NULL), 2);
	assert_string_equal(bytes, REQUEST);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST,
		  .captured = FIRST_PART);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST + FIRST_PART);
}

static void messages_of_one_sendmmsg_are_told_apart(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	char bytes[] = RESPONSE;
	struct iovec pieces[] = {{bytes, FIRST_PART},
				 {bytes + FIRST_PART, strlen(RESPONSE) - FIRST_PART}};
	struct mmsghdr messages[] = {{.msg_hdr = {.msg_iov = &pieces[0], .msg_iovlen = 1}},
				     {.msg_hdr = {.msg_iov = &pieces[1], .msg_iovlen = 1}}};
	int i;

	for (i = 0; i < 2; i++) {
		pair_request_text(pair, REQUEST);
		EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
		assert_int_equal(sendmmsg(pair->server, messages, 2, 0), 2);
		EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = RESPONSE,
			  .captured = FIRST_PART);
		EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .data = RESPONSE + FIRST_PART);
		receive_all(pair->client, (char[sizeof(RESPONSE)]){0}, strlen(RESPONSE));
	}
}

static void a_sendfile_moves_the_position_without_bytes(void **state)
{
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct pair *pair = pair_open(bed, families[i]);
		int file = memfd_create("body", MFD_CLOEXEC);
		uint64_t lost = losses(bed, LOSS_UNREADABLE_SYSCALL);

		assert_true(file >= 0);
		assert_int_equal(write(file, RESPONSE, 40), 40);
		pair_request_text(pair, REQUEST);
		EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
		assert_int_equal(sendfile(pair->server, file, &(off_t){0}, 40), 40);
		EXPECT_IO(bed, pair, .direction = DIRECTION_SENT, .len = 40);
		assert_int_equal(losses(bed, LOSS_UNREADABLE_SYSCALL), lost);
		close(file);
	}
}

/* Bytes that stay in the socket, or that nobody gets, are no content. */
static void a_peek_gives_no_record(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	char bytes[sizeof(REQUEST)] = "";

	send_all(pair->client, REQUEST, strlen(REQUEST));
	wait_readable(pair->server, strlen(REQUEST));
	assert_int_equal(recv(pair->server, bytes, sizeof(bytes), MSG_PEEK), strlen(REQUEST));
	expect_none(bed, pair);
	assert_int_equal(recv(pair->server, bytes, sizeof(bytes), 0), strlen(REQUEST));
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
}

static void discarded_bytes_show_as_a_gap(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	char bytes[sizeof(REQUEST)] = "";

	pair_request_text(pair, REQUEST);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
	send_all(pair->client, REQUEST, strlen(REQUEST));
	wait_readable(pair->server, strlen(REQUEST));
	assert_int_equal(recv(pair->server, bytes, 20, MSG_TRUNC), 20);
	expect_none(bed, pair);
	pair->received += 20;
	assert_int_equal(recv(pair->server, bytes, sizeof(bytes), 0), strlen(REQUEST) - 20);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST + 20);
}

static void a_call_without_bytes_gives_no_record(void **state)
{
	struct bed *bed = *state;
	struct pair *pair = pair_open(bed, AF_INET);
	char byte;

	pair_request_text(pair, REQUEST);
	EXPECT_IO(bed, pair, .direction = DIRECTION_RECEIVED, .data = REQUEST);
	assert_int_equal(recv(pair->server, &byte, 1, MSG_DONTWAIT), -1); /* EAGAIN */
	expect_none(bed, pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_call_that_receives_gives_its_bytes),
		TEST(each_call_that_sends_gives_its_bytes),
		TEST(messages_of_one_recvmmsg_are_told_apart),
		TEST(messages_of_one_sendmmsg_are_told_apart),
		TEST(a_sendfile_moves_the_position_without_bytes),
		TEST(a_peek_gives_no_record),
		TEST(discarded_bytes_show_as_a_gap),
		TEST(a_call_without_bytes_gives_no_record),
	};

	return RUN_TESTS(tests);
}
