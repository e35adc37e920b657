// SPDX-License-Identifier: Apache-2.0
/* The probes on TLS, at the system's libssl: this process is both ends of each session, on one
 * thread, as an event loop is. A server's end has its socket inside the library, or memory BIOs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "../agent/tls.h"
#include "hooks_bed.h"

/* Of the shared libraries, not of those that this program has inside. */
#define FUNCTIONS(X)               \
	X(TLS_method)              \
	X(SSL_CTX_new)             \
	X(SSL_CTX_free)            \
	X(SSL_CTX_ctrl)            \
	X(SSL_CTX_set_cipher_list) \
	X(SSL_new)                 \
	X(SSL_free)                \
	X(SSL_set_fd)              \
	X(SSL_set_bio)             \
	X(SSL_set_accept_state)    \
	X(SSL_set_connect_state)   \
	X(SSL_do_handshake)        \
	X(SSL_read)                \
	X(SSL_read_ex)             \
	X(SSL_write)               \
	X(SSL_write_ex)            \
	X(SSL_shutdown)            \
	X(SSL_get_error)           \
	X(BIO_new)                 \
	X(BIO_s_mem)               \
	X(BIO_read)                \
	X(BIO_write)

#define FIELD(function) typeof(function) *function;
static struct {
	FUNCTIONS(FIELD)
} api;

static SSL_CTX *context;
static struct tls *probes;

#define REQUEST "GET /sealed HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static int load(void)
{
	void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_GLOBAL);

	if (!library)
		return -1;
#define LOAD(function)                                              \
	if (!(*(void **)&api.function = dlsym(library, #function))) \
		return -1;
	FUNCTIONS(LOAD)
#undef LOAD
	/* Without a certificate, as TLS 1.2 can. */
	context = api.SSL_CTX_new(api.TLS_method());
	if (!context || !api.SSL_CTX_set_cipher_list(context, "AECDH-AES128-SHA:@SECLEVEL=0"))
		return -1;
	api.SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_2_VERSION, NULL);
	return 0;
}

static int open_all(void **state)
{
	struct bed *bed;

	if (load() || bed_open(state))
		return -1;
	bed = *state;
	if (tls_open(&probes, bed->capture, uprobes_mode()))
		return -1;
	tls_set_wanted(probes, getpid(), true);
	tls_run(probes, now_ns());
	return tls_covers(probes, getpid()) ? 0 : -1;
}

static int close_all(void **state)
{
	tls_close(probes);
	api.SSL_CTX_free(context);
	return bed_close(state);
}

/* --- one session and its connection --- */

struct session {
	SSL *client, *server;
	BIO *in, *out; /* the server's; NULL: it has the socket itself */
	int server_fd;
	struct pair of_server, of_client; /* as the records of its plaintext have it */
};

/* What the server's end does around the library with memory BIOs. */
static void receive(struct session *s)
{
	char bytes[16384];
	ssize_t len = s->in ? recv(s->server_fd, bytes, sizeof(bytes), MSG_DONTWAIT) : 0;

	if (len > 0)
		assert_int_equal(api.BIO_write(s->in, bytes, (int)len), len);
}

static void flush(struct session *s)
{
	char bytes[16384];
	int len = s->out ? api.BIO_read(s->out, bytes, sizeof(bytes)) : 0;

	if (len > 0)
		send_all(s->server_fd, bytes, (size_t)len);
}

static void begin(struct session *s, struct pair *pair, bool has_bios)
{
	*s = (struct session){.client = api.SSL_new(context),
			      .server = api.SSL_new(context),
			      .server_fd = pair->server,
			      .of_server = *pair,
			      .of_client = pair_reversed(pair)};
	assert_true(s->client && s->server);
	s->of_server.cookie |= COOKIE_TLS;
	s->of_client.cookie |= COOKIE_TLS;
	assert_int_equal(fcntl(pair->client, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(pair->server, F_SETFL, O_NONBLOCK), 0);
	api.SSL_set_fd(s->client, pair->client);
	if (has_bios) {
		s->in = api.BIO_new(api.BIO_s_mem());
		s->out = api.BIO_new(api.BIO_s_mem());
		api.SSL_set_bio(s->server, s->in, s->out);
	} else {
		api.SSL_set_fd(s->server, pair->server);
	}
	api.SSL_set_connect_state(s->client);
	api.SSL_set_accept_state(s->server);
}

static void shake_hands(struct session *s)
{
	bool client = false, server = false;

	for (int i = 0; i < 1000 && !(client && server); i++) {
		client = client || api.SSL_do_handshake(s->client) == 1;
		receive(s);
		server = server || api.SSL_do_handshake(s->server) == 1;
		flush(s);
	}
	assert_true(client && server);
}

static void open_session(struct bed *bed, struct session *s, bool has_bios)
{
	struct pair *pair = pair_open(bed, AF_INET);

	begin(s, pair, has_bios);
	shake_hands(s);
	expect_hello(bed, pair);
}

static void close_session(struct session *s)
{
	api.SSL_free(s->client);
	api.SSL_free(s->server);
}

static int read_some(struct session *s, char *bytes, int size)
{
	int len = -1;

	for (int i = 0; i < 1000 && len <= 0; i++) {
		receive(s);
		len = api.SSL_read(s->server, bytes, size);
	}
	return len;
}

static void ask(struct session *s)
{
	char bytes[256];

	assert_int_equal(api.SSL_write(s->client, REQUEST, strlen(REQUEST)), strlen(REQUEST));
	assert_int_equal(read_some(s, bytes, sizeof(bytes)), strlen(REQUEST));
	assert_memory_equal(bytes, REQUEST, strlen(REQUEST));
}

static void answer(struct session *s)
{
	char bytes[256];
	int len = -1;

	assert_int_equal(api.SSL_write(s->server, RESPONSE, strlen(RESPONSE)), strlen(RESPONSE));
	flush(s);
	for (int i = 0; i < 1000 && len <= 0; i++)
		len = api.SSL_read(s->client, bytes, sizeof(bytes));
	assert_int_equal(len, strlen(RESPONSE));
}

static void expect_asked(struct bed *bed, struct session *s)
{
	EXPECT_IO(bed, &s->of_server, .direction = DIRECTION_RECEIVED, .data = REQUEST,
		  .flags = IO_TLS, .arrival_any = true);
	EXPECT_IO(bed, &s->of_client, .direction = DIRECTION_SENT, .data = REQUEST, .flags = IO_TLS,
		  .role = ROLE_CLIENT);
}

static void expect_answered(struct bed *bed, struct session *s)
{
	EXPECT_IO(bed, &s->of_server, .direction = DIRECTION_SENT, .data = RESPONSE,
		  .flags = IO_TLS);
	EXPECT_IO(bed, &s->of_client, .direction = DIRECTION_RECEIVED, .data = RESPONSE,
		  .flags = IO_TLS, .role = ROLE_CLIENT);
}

static void expect_nothing_more(struct bed *bed, struct session *s)
{
	expect_none(bed, &s->of_server);
	expect_none(bed, &s->of_client);
}

/* --- tests --- */

static void check_both_ends(struct bed *bed, bool has_bios)
{
	struct session s;

	open_session(bed, &s, has_bios);
	for (int i = 0; i < 3; i++) {
		ask(&s);
		expect_asked(bed, &s);
		answer(&s);
		expect_answered(bed, &s);
	}
	expect_nothing_more(bed, &s);
	close_session(&s);
}

static void the_plaintext_of_a_session_with_its_socket_inside_is_told(void **state)
{
	check_both_ends(*state, false);
}

static void the_plaintext_of_a_session_with_memory_bios_is_told(void **state)
{
	check_both_ends(*state, true);
}

static void the_ex_functions_are_seen_as_well(void **state)
{
	struct bed *bed = *state;
	struct session s;
	char bytes[256];
	size_t len = 0;

	open_session(bed, &s, false);
	assert_int_equal(api.SSL_write_ex(s.client, REQUEST, strlen(REQUEST), &len), 1);
	assert_int_equal(len, strlen(REQUEST));
	len = 0;
	for (int i = 0; i < 1000 && !len; i++)
		api.SSL_read_ex(s.server, bytes, sizeof(bytes), &len);
	assert_int_equal(len, strlen(REQUEST));
	expect_asked(bed, &s);
	expect_nothing_more(bed, &s);
	close_session(&s);
}

static void reads_that_give_nothing_are_not_told(void **state)
{
	struct bed *bed = *state;
	struct session s;
	char bytes[256];

	open_session(bed, &s, false);
	ask(&s);
	expect_asked(bed, &s);
	memcpy(bytes, REQUEST, strlen(REQUEST)); /* as if it had been read */
	for (int i = 0; i < 3; i++) {
		int result = api.SSL_read(s.server, bytes, sizeof(bytes));

		assert_int_equal(api.SSL_get_error(s.server, result), SSL_ERROR_WANT_READ);
	}
	api.SSL_shutdown(s.client);
	wait_readable(s.server_fd, 1);
	assert_int_equal(api.SSL_read(s.server, bytes, sizeof(bytes)), 0); /* the client's end */
	expect_nothing_more(bed, &s);
	close_session(&s);
}

static void a_client_that_shuts_down_has_ended(void **state)
{
	struct bed *bed = *state;
	const struct record_tls *end;
	struct session s;

	open_session(bed, &s, false);
	ask(&s);
	expect_asked(bed, &s);
	api.SSL_shutdown(s.client);
	end = expect_tls(bed);
	assert_int_equal(end->event, TLS_ENDS);
	assert_int_equal(end->cookie, s.of_client.cookie);
	api.SSL_write(s.server, RESPONSE, strlen(RESPONSE));
	EXPECT_IO(bed, &s.of_server, .direction = DIRECTION_SENT, .data = RESPONSE,
		  .flags = IO_TLS);
	expect_nothing_more(bed, &s);
	close_session(&s);
}

static void http_2_is_told_once_at_both_ends_of_a_session(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	int len = sizeof(preface) - 1;
	struct bed *bed = *state;
	struct session s;
	char bytes[256];

	for (int i = 0; i < 2; i++) {
		open_session(bed, &s, i);
		assert_int_equal(api.SSL_write(s.client, preface, len), len);
		assert_int_equal(read_some(&s, bytes, sizeof(bytes)), len);
		expect_undecoded(bed, &s.of_client, ROLE_CLIENT, preface, 16);
		expect_undecoded(bed, &s.of_server, ROLE_SERVER, preface, 16);
		answer(&s); /* what looks like HTTP/1 in it is not told */
		ask(&s);
		expect_nothing_more(bed, &s);
		close_session(&s);
	}
}

static void send_record(struct pair *pair, bool request, uint8_t type, uint8_t len)
{
	char bytes[5 + UINT8_MAX] = {(char)type, 3, 3, 0, (char)len};

	if (request)
		pair_request(pair, bytes, 5 + len);
	else
		pair_response(pair, bytes, 5 + len);
}

/* As by a library that has no probes: what it reads stays hidden, that it answers does not. */
static void a_server_whose_session_is_not_seen_is_told_when_it_answers(void **state)
{
	enum { HANDSHAKE = 22, DATA = 23 };
	struct bed *bed = *state;

	for (int early = 0; early < 2; early++) {
		struct pair *pair = pair_open(bed, AF_INET);
		bool told[] = {false, false, early, true, true, false, false, false, true};

		for (int turn = 1; turn <= 8; turn++) {
			uint8_t type = turn == 1 ? HANDSHAKE : DATA;

			/* The second is the handshake's end, alone or with a request. */
			send_record(pair, true, type, turn == 2 && early ? 180 : 75);
			send_record(pair, false, type, 100);
			if (turn == 1)
				expect_hello(bed, pair);
			else if (told[turn])
				expect_undecoded(bed, pair, ROLE_SERVER, "", 0);
			else
				expect_none(bed, pair);
		}
	}
}

static void what_comes_after_a_free_is_another_session(void **state)
{
	struct bed *bed = *state;
	struct session s[2];

	open_session(bed, &s[0], false);
	ask(&s[0]);
	expect_asked(bed, &s[0]);
	close_session(&s[0]);
	open_session(bed, &s[1], false);
	ask(&s[1]);
	expect_asked(bed, &s[1]); /* from position 0 on, on its own socket */
	expect_nothing_more(bed, &s[0]);
	expect_nothing_more(bed, &s[1]);
	close_session(&s[1]);
}

/* Both are received for before the thread turns to either. */
static void sessions_that_mix_on_a_thread_keep_their_sockets(void **state)
{
	struct bed *bed = *state;
	struct session s[2];
	char bytes[256];

	for (int i = 0; i < 2; i++)
		open_session(bed, &s[i], true);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			api.SSL_write(s[i].client, REQUEST, strlen(REQUEST));
			wait_readable(s[i].server_fd, strlen(REQUEST));
		}
		receive(&s[0]);
		receive(&s[1]);
		for (int i = 0; i < 2; i++) {
			int k = (round + i) % 2;

			assert_int_equal(api.SSL_read(s[k].server, bytes, sizeof(bytes)),
					 strlen(REQUEST));
			expect_asked(bed, &s[k]);
			expect_none(bed, &s[1 - k].of_server);
			answer(&s[k]);
			expect_answered(bed, &s[k]);
		}
	}
	for (int i = 0; i < 2; i++)
		close_session(&s[i]);
}

/* Which socket each has cannot be known, as nothing tells of their BIOs: they are told under names
 * of their own, and under no socket's. */
static void sessions_whose_sockets_cannot_be_known_are_told_under_none(void **state)
{
	struct bed *bed = *state;
	uint64_t unjoined = capture_stats(bed->capture).tls_counts[TLS_UNJOINED];
	struct session s[2];
	struct pair *pairs[2];
	bool done[4] = {0};

	for (int i = 0; i < 2; i++) {
		pairs[i] = pair_open(bed, AF_INET);
		begin(&s[i], pairs[i], true);
	}
	for (int n = 0; n < 1000 && !(done[0] && done[1] && done[2] && done[3]); n++) {
		for (int i = 0; i < 2; i++)
			done[i] = done[i] || api.SSL_do_handshake(s[i].client) == 1;
		for (int i = 0; i < 2; i++)
			receive(&s[i]);
		for (int i = 0; i < 2; i++) {
			done[2 + i] = done[2 + i] || api.SSL_do_handshake(s[i].server) == 1;
			flush(&s[i]);
		}
	}
	for (int i = 0; i < 2; i++) {
		expect_hello(bed, pairs[i]);
		api.SSL_write(s[i].client, REQUEST, strlen(REQUEST));
		wait_readable(s[i].server_fd, strlen(REQUEST));
	}
	for (int i = 0; i < 2; i++)
		receive(&s[i]);
	for (int i = 0; i < 2; i++) {
		char bytes[256];

		assert_int_equal(api.SSL_read(s[1 - i].server, bytes, sizeof(bytes)),
				 strlen(REQUEST));
		EXPECT_IO(bed, &s[i].of_client, .direction = DIRECTION_SENT, .data = REQUEST,
			  .flags = IO_TLS, .role = ROLE_CLIENT);
	}
	for (int i = 0; i < 2; i++)
		expect_nothing_more(bed, &s[i]);
	assert_int_equal(capture_stats(bed->capture).tls_counts[TLS_UNJOINED], unjoined + 2);
	for (int i = 0; i < 2; i++)
		close_session(&s[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_plaintext_of_a_session_with_its_socket_inside_is_told),
		TEST(the_plaintext_of_a_session_with_memory_bios_is_told),
		TEST(the_ex_functions_are_seen_as_well),
		TEST(reads_that_give_nothing_are_not_told),
		TEST(a_client_that_shuts_down_has_ended),
		TEST(http_2_is_told_once_at_both_ends_of_a_session),
		TEST(what_comes_after_a_free_is_another_session),
		/* From here on the thread is known to receive for several first. */
		TEST(sessions_that_mix_on_a_thread_keep_their_sockets),
		TEST(sessions_whose_sockets_cannot_be_known_are_told_under_none),
		TEST(a_server_whose_session_is_not_seen_is_told_when_it_answers),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
