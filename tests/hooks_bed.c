// SPDX-License-Identifier: Apache-2.0
#include "hooks_bed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RING_BYTES (16 << 20) /* the whole host's records are in it */
#define WAIT_STEPS 2000 /* of a millisecond */

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void wait_ms(int ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* --- records --- */

static void on_record(void *context, const void *bytes, size_t size)
{
	struct bed *bed = context;
	struct seen *seen = calloc(1, sizeof(*seen) + size);

	assert_non_null(seen);
	memcpy(seen->bytes, bytes, size);
	assert_int_equal(decode_record(&seen->record, seen->bytes, size), 0);
	*bed->end = seen;
	bed->end = &seen->next;
}

static void collect(struct bed *bed)
{
	while (capture_drain(bed->capture, on_record, bed) == CAPTURE_DRAIN_MAX)
		;
}

static void forget(struct bed *bed)
{
	while (bed->first) {
		struct seen *next = bed->first->next;

		free(bed->first);
		bed->first = next;
	}
	bed->end = &bed->first;
}

/* The socket that a record is of; 0: of none. */
static uint64_t record_cookie(const struct record *record)
{
	switch (record->kind) {
	case RECORD_IO:
		return record->io->cookie;
	case RECORD_STATE:
		return record->state->cookie;
	case RECORD_UNDECODED:
		return record->undecoded->cookie;
	default:
		return 0;
	}
}

/* What a record has to be: of a kind from first to last, of a process or else of a socket. */
struct wanted {
	enum record_kind first, last;
	pid_t pid; /* 0: by the socket's cookie, which is 0 for none */
	uint64_t cookie;
};

static bool is_wanted(const struct record *record, const struct wanted *wanted)
{
	if (record->kind < wanted->first || record->kind > wanted->last)
		return false;
	return wanted->pid ? record->head->pid == (uint32_t)wanted->pid
			   : record_cookie(record) == wanted->cookie;
}

static struct seen *find(struct bed *bed, const struct wanted *wanted)
{
	struct seen *seen;

	for (seen = bed->first; seen; seen = seen->next) {
		if (!seen->expected && is_wanted(&seen->record, wanted))
			break;
	}
	return seen;
}

static const struct record *next_wanted(struct bed *bed, const struct wanted *wanted)
{
	struct seen *seen = NULL;
	int i;

	for (i = 0; i < WAIT_STEPS && !seen; i++) {
		if (i)
			wait_ms(1);
		collect(bed);
		seen = find(bed, wanted);
	}
	if (!seen)
		fail_msg("no record of kind %d of process %d came", wanted->first, wanted->pid);
	seen->expected = true;
	assert_in_range(seen->record.head->time_ns, bed->since_ns, now_ns());
	return &seen->record;
}

static void expect_no_wanted(struct bed *bed, const struct wanted *wanted)
{
	const struct seen *seen;

	collect(bed);
	seen = find(bed, wanted);
	if (seen)
		fail_msg("a record of kind %d that was not expected", seen->record.kind);
}

static const struct record *next_record(struct bed *bed, uint64_t cookie, enum record_kind kind)
{
	return next_wanted(bed, &(struct wanted){.first = kind, .last = kind, .cookie = cookie});
}

static void expect_arrival(struct bed *bed, const struct expected_io *expected,
			   const struct record_io *io)
{
	uint64_t from_ns = expected->arrival_from_ns, to_ns = expected->arrival_to_ns;

	if (expected->arrival_any)
		return;
	if (expected->direction == DIRECTION_SENT || expected->role == ROLE_CLIENT ||
	    expected->arrival_unknown) {
		assert_int_equal(io->arrival_ns, 0);
		return;
	}
	assert_in_range(io->arrival_ns, from_ns ? from_ns : bed->since_ns,
			to_ns ? to_ns : io->head.time_ns);
}

void expect_io(struct bed *bed, struct pair *pair, const struct expected_io *expected)
{
	size_t captured = expected->captured;
	uint32_t len = expected->len;
	const struct record_io *io = next_record(bed, pair->cookie, RECORD_IO)->io;
	bool received = expected->direction == DIRECTION_RECEIVED;

	if (!captured && expected->data)
		captured = strlen(expected->data);
	if (!len)
		len = captured;
	assert_int_equal(io->head.direction, expected->direction);
	assert_int_equal(io->captured, captured);
	if (captured)
		assert_memory_equal(io->data, expected->data, captured);
	assert_int_equal(io->len, len);
	assert_int_equal(io->offset, expected->offset);
	assert_int_equal(io->tail_len, expected->tail_len);
	if (expected->tail_len)
		assert_memory_equal(io->tail, expected->tail, expected->tail_len);
	assert_int_equal(io->head.role, expected->role ? expected->role : ROLE_SERVER);
	assert_int_equal(io->head.pid, expected->pid ? expected->pid : getpid());
	assert_int_equal(io->head.flags, expected->flags | (expected->more ? 0 : IO_LAST) |
						 (pair->family == AF_UNIX ? IO_UNIX : 0) |
						 (pair->from_birth ? IO_FROM_BIRTH : 0));
	if (!pair->port_gone || io->local_port)
		assert_int_equal(io->local_port, pair->port);
	assert_int_equal(io->peer_port, pair->client_port);
	assert_int_equal(io->begin, received ? pair->received : pair->sent);
	assert_int_equal(io->other_end, received ? pair->sent : pair->received);
	expect_arrival(bed, expected, io);
	bed->work = io->work;
	if (!expected->more)
		*(received ? &pair->received : &pair->sent) += len;
}

void expect_state(struct bed *bed, struct pair *pair, const struct expected_state *expected)
{
	const struct record_state *state = next_record(bed, pair->cookie, RECORD_STATE)->state;

	assert_int_equal(state->new_state, expected->new_state);
	assert_int_equal(state->old_state, expected->old_state);
	assert_int_equal(state->shutdown, expected->shutdown);
	assert_int_equal(state->error, expected->error);
	assert_int_equal(state->exiting, expected->exiting);
	assert_int_equal(state->head.pid, expected->pid);
	assert_int_equal(state->listener_pid, pair->listener_unknown ? 0 : getpid());
	assert_int_equal(state->local_port, pair->port);
	if (expected->unread)
		assert_in_range(state->arrival_ns, bed->since_ns, state->head.time_ns);
	else
		assert_int_equal(state->arrival_ns, 0);
	assert_int_equal(state->received_end, pair->received);
	assert_int_equal(state->sent_end, pair->sent + expected->fin_sent);
	assert_int_equal(state->head.role | state->head.direction | state->head.flags, 0);
}

void expect_undecoded(struct bed *bed, struct pair *pair, enum role role, const char *first,
		      size_t len)
{
	const struct record_undecoded *undecoded =
		next_record(bed, pair->cookie, RECORD_UNDECODED)->undecoded;

	assert_int_equal(undecoded->head.role, role);
	assert_int_equal(undecoded->len, len);
	assert_memory_equal(undecoded->first, first, len);
	assert_int_equal(undecoded->local_port, pair->port);
	assert_int_equal(undecoded->head.pid, getpid());
}

void expect_hello(struct bed *bed, struct pair *pair)
{
	const struct record_undecoded *undecoded =
		next_record(bed, pair->cookie, RECORD_UNDECODED)->undecoded;

	assert_int_equal(undecoded->first[0], 22); /* a handshake */
	assert_int_equal(undecoded->local_port, pair->port);
}

const struct record_tls *expect_tls(struct bed *bed)
{
	return next_wanted(
		       bed,
		       &(struct wanted){.first = RECORD_TLS, .last = RECORD_TLS, .pid = getpid()})
		->tls;
}

static const struct record *next_of(struct bed *bed, pid_t pid, enum record_kind first,
				    enum record_kind last)
{
	return next_wanted(bed, &(struct wanted){.first = first, .last = last, .pid = pid});
}

const struct record_connect_failed *expect_connect_failed(struct bed *bed, pid_t pid)
{
	return next_of(bed, pid, RECORD_CONNECT_FAILED, RECORD_CONNECT_FAILED)->connect_failed;
}

void expect_no_connect_failed(struct bed *bed, pid_t pid)
{
	expect_no_wanted(bed, &(struct wanted){.first = RECORD_CONNECT_FAILED,
					       .last = RECORD_CONNECT_FAILED,
					       .pid = pid});
}

const struct record_process *expect_process(struct bed *bed, pid_t pid, enum record_kind kind)
{
	const struct record *record = next_of(bed, pid, RECORD_EXEC, RECORD_EXIT);

	assert_int_equal(record->kind, kind);
	return record->process;
}

const struct record_process *expect_reaped(struct bed *bed, pid_t pid)
{
	return next_of(bed, pid, RECORD_REAPED, RECORD_REAPED)->process;
}

void expect_not_reaped(struct bed *bed, pid_t pid)
{
	expect_no_wanted(
		bed, &(struct wanted){.first = RECORD_REAPED, .last = RECORD_REAPED, .pid = pid});
}

void expect_no_process(struct bed *bed, pid_t pid)
{
	expect_no_wanted(bed,
			 &(struct wanted){.first = RECORD_EXEC, .last = RECORD_EXIT, .pid = pid});
}

const struct record_work *expect_work(struct bed *bed)
{
	return next_of(bed, getpid(), RECORD_WORK, RECORD_WORK)->work;
}

const struct record_job *expect_job(struct bed *bed)
{
	return next_of(bed, getpid(), RECORD_JOB, RECORD_JOB)->job;
}

void expect_no_job(struct bed *bed)
{
	expect_no_wanted(
		bed, &(struct wanted){.first = RECORD_JOB, .last = RECORD_JOB, .pid = getpid()});
}

void expect_none_of(struct bed *bed, uint64_t cookie)
{
	expect_no_wanted(
		bed,
		&(struct wanted){.first = RECORD_IO, .last = RECORD_UNDECODED, .cookie = cookie});
}

void expect_none(struct bed *bed, const struct pair *pair)
{
	expect_none_of(bed, pair->cookie);
}

uint64_t losses(const struct bed *bed, enum loss cause)
{
	return capture_stats(bed->capture).losses[cause];
}

/* --- connections --- */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un path;
	};
	socklen_t len;
};

static struct address loopback(int family)
{
	struct address a = {.len = sizeof(a.v4)};

	a.any.sa_family = family;
	if (family == AF_INET) {
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else if (family == AF_INET6) {
		a.v6.sin6_addr = in6addr_loopback;
		a.len = sizeof(a.v6);
	} else {
		a.len = sizeof(sa_family_t); /* the kernel chooses an abstract name */
	}
	return a;
}

static uint16_t port_of(int fd)
{
	struct address a = {.len = sizeof(a.path)};

	assert_int_equal(getsockname(fd, &a.any, &a.len), 0);
	if (a.any.sa_family == AF_UNIX)
		return 0;
	return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void pair_close_client(struct pair *pair)
{
	close_end(&pair->client);
}

void pair_close_server(struct pair *pair)
{
	close_end(&pair->server);
}

void pair_close_listener(struct pair *pair)
{
	close_end(&pair->listener);
}

struct pair *pair_connect(struct bed *bed, int family)
{
	struct pair *pair = &bed->pairs[bed->pair_count];
	struct address a = loopback(family);

	assert_true(bed->pair_count < PAIRS_MAX);
	*pair = (struct pair){.family = family, .server = -1, .from_birth = family != AF_UNIX};
	pair->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(pair->listener >= 0);
	assert_int_equal(bind(pair->listener, &a.any, a.len), 0);
	assert_int_equal(listen(pair->listener, 1), 0);
	a.len = sizeof(a.path);
	assert_int_equal(getsockname(pair->listener, &a.any, &a.len), 0);
	pair->client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(pair->client >= 0);
	assert_int_equal(connect(pair->client, &a.any, a.len), 0);
	pair->client_cookie = cookie_of(pair->client);
	pair->port = port_of(pair->listener);
	pair->client_port = port_of(pair->client);
	bed->pair_count++;
	return pair;
}

void pair_accept(struct pair *pair)
{
	pair->server = accept4(pair->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(pair->server >= 0);
	pair->cookie = cookie_of(pair->server);
	pair_close_listener(pair);
}

struct pair *pair_open(struct bed *bed, int family)
{
	struct pair *pair = pair_connect(bed, family);

	pair_accept(pair);
	return pair;
}

struct pair pair_reversed(const struct pair *pair)
{
	struct pair reversed = *pair;

	reversed.cookie = pair->client_cookie;
	reversed.port = pair->client_port;
	reversed.client_port = pair->port;
	return reversed;
}

void pair_reset_on_close(int fd)
{
	struct linger linger = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

void wait_readable(int fd, size_t len)
{
	int i, available = 0;

	for (i = 0; i < WAIT_STEPS; i++) {
		assert_int_equal(ioctl(fd, SIOCINQ, &available), 0);
		if ((size_t)available >= len)
			return;
		wait_ms(1);
	}
	fail_msg("%d bytes came, not %zu", available, len);
}

void send_all(int fd, const char *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, 0), len);
}

void receive_all(int fd, char *bytes, size_t len)
{
	wait_readable(fd, len);
	assert_int_equal(recv(fd, bytes, len, 0), len);
}

static void pass(int from, int to, const char *bytes, size_t len)
{
	char *copy = malloc(len);

	assert_non_null(copy);
	send_all(from, bytes, len);
	receive_all(to, copy, len);
	assert_memory_equal(copy, bytes, len);
	free(copy);
}

void pair_request(struct pair *pair, const char *bytes, size_t len)
{
	pass(pair->client, pair->server, bytes, len);
}

void pair_response(struct pair *pair, const char *bytes, size_t len)
{
	pass(pair->server, pair->client, bytes, len);
}

void pair_request_text(struct pair *pair, const char *text)
{
	pair_request(pair, text, strlen(text));
}

void pair_response_text(struct pair *pair, const char *text)
{
	pair_response(pair, text, strlen(text));
}

/* --- tests --- */

int bed_open(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	const struct capture_config config = {
		.ring_bytes = RING_BYTES, .tls = uprobes_mode(), .cpu = true};
	char why[256] = "";

	*state = bed;
	if (!bed)
		return -1;
	alarm(60);
	bed->end = &bed->first;
	if (capture_open(&bed->capture, &config, why, sizeof(why)) ||
	    capture_attach(bed->capture, why, sizeof(why))) {
		print_error("%s\n", why);
		bed_close(state);
		return -1;
	}
	return 0;
}

int bed_close(void **state)
{
	struct bed *bed = *state;

	if (!bed)
		return 0;
	capture_close(bed->capture);
	forget(bed);
	free(bed);
	*state = NULL;
	return 0;
}

int bed_setup(void **state)
{
	struct bed *bed = *state;

	collect(bed);
	forget(bed);
	bed->since_ns = now_ns();
	bed->pair_count = 0;
	return 0;
}

int bed_teardown(void **state)
{
	struct bed *bed = *state;
	size_t i;

	if (bed->doing)
		print_error("it was %s, family %d\n", bed->doing, bed->pairs[0].family);
	bed->doing = NULL;
	for (i = 0; i < bed->pair_count; i++)
		expect_none(bed, &bed->pairs[i]);
	for (i = 0; i < bed->pair_count; i++) {
		pair_close_client(&bed->pairs[i]);
		pair_close_server(&bed->pairs[i]);
		pair_close_listener(&bed->pairs[i]);
	}
	return 0;
}
