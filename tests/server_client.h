/* SPDX-License-Identifier: Apache-2.0 */
/* server_client - a server with a snapshot to give, and clients that talk to it, in one thread. */
#ifndef BITTERN_TEST_SERVER_CLIENT_H
#define BITTERN_TEST_SERVER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../exporters/server.h"

#define PATIENCE_MS 5000

/* What the server asks for a page. */
struct source {
	struct snapshot snapshot;
	size_t asked;
	bool ready, out_of_memory;
	struct server *server;
};

const struct snapshot *give_snapshot(void *context);
bool is_ready(void *context);
int open_on(struct source *source, const char *listen, struct server **out);

/* Each test begins with a server of its own. */
int set_up(void **state);
int tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

uint64_t now_ms(void);
int connect_to(uint16_t port);
/* One turn of a loop like main's: waits for the server and, if events are given, the client. */
void turn(struct server *server, int client, short events);
/* How many times a loop that does what it is told would call server_run() in 200 ms. */
size_t turns_in_200_ms(struct server *server);
void send_all(struct server *server, int client, const char *bytes, size_t len);
/* All that comes until the server closes, NUL-terminated, to be freed. */
char *receive_all(struct server *server, int client);
/* The response to a request that ends the connection, to be freed. */
char *ask(struct server *server, const char *request);
char *get(struct server *server, const char *path);

void assert_starts(const char *text, const char *start);
void assert_holds(const char *text, const char *part);
const char *body(const char *response);

#endif
