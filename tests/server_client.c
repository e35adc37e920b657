// SPDX-License-Identifier: Apache-2.0
#include "server_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../exporters/text.h"

const struct snapshot *give_snapshot(void *context)
{
	struct source *source = context;

	source->asked++;
	return source->out_of_memory ? NULL : &source->snapshot;
}

bool is_ready(void *context)
{
	return ((struct source *)context)->ready;
}

int open_on(struct source *source, const char *listen, struct server **out)
{
	const struct server_config config = {.listen = listen,
					     .version = "1.2.3",
					     .snapshot = give_snapshot,
					     .ready = is_ready,
					     .context = source};

	return server_open(out, &config);
}

int set_up(void **state)
{
	struct source *source = calloc(1, sizeof(*source));

	source->snapshot =
		(struct snapshot){.version = "1.2.3", .host_name = "node-1", .host_id = ""};
	source->ready = true;
	*state = source;
	return open_on(source, "127.0.0.1:0", &source->server);
}

int tear_down(void **state)
{
	struct source *source = *state;

	server_close(source->server);
	free(source);
	return 0;
}

int connect_to(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void turn(struct server *server, int client, short events)
{
	struct pollfd fds[] = {{.fd = server_fd(server), .events = POLLIN},
			       {.fd = client, .events = events}};
	int timeout_ms = server_timeout_ms(server);

	if (timeout_ms < 0 || timeout_ms > 100)
		timeout_ms = 100;
	poll(fds, 2, timeout_ms);
	server_run(server);
}

size_t turns_in_200_ms(struct server *server)
{
	uint64_t end_ms = now_ms() + 200;
	size_t turns = 0;

	while (now_ms() < end_ms) {
		turn(server, -1, 0);
		turns++;
	}
	return turns;
}

void send_all(struct server *server, int client, const char *bytes, size_t len)
{
	uint64_t end_ms = now_ms() + PATIENCE_MS;

	while (len && now_ms() < end_ms) {
		ssize_t sent = send(client, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return; /* the server has had enough of it */
		if (sent > 0) {
			bytes += sent;
			len -= (size_t)sent;
		}
		turn(server, client, sent < 0 ? POLLOUT : 0);
	}
}

char *receive_all(struct server *server, int client)
{
	uint64_t end_ms = now_ms() + PATIENCE_MS;
	struct text text = {};

	for (;;) {
		char *room = text_room(&text, 65536);
		ssize_t len = recv(client, room, 65535, 0);

		if (len > 0) {
			text.len += (size_t)len;
			continue;
		}
		if (len == 0 || errno != EAGAIN)
			break;
		if (now_ms() > end_ms)
			fail_msg("the connection stays open after: %.*s", (int)text.len, text.data);
		turn(server, client, POLLIN);
	}
	text_add(&text, "", 1);
	close(client);
	return text.data;
}

char *ask(struct server *server, const char *request)
{
	int client = connect_to(server_port(server));

	send_all(server, client, request, strlen(request));
	return receive_all(server, client);
}

char *get(struct server *server, const char *path)
{
	char request[256];

	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	return ask(server, request);
}

void assert_starts(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("expected %s at the start of %s", start, text);
}

void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("expected %s in %s", part, text);
}

const char *body(const char *response)
{
	const char *end = strstr(response, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}
