/* SPDX-License-Identifier: Apache-2.0 */
/* server - /metrics, /healthz, /readyz and an index page over libmicrohttpd, in the caller's event
 * loop.
 *
 * The page is in the exposition that the request's Accept asks for, compressed if its
 * Accept-Encoding does.
 *
 * No thread. The caller polls server_fd() for reading (an epoll fd of libmicrohttpd's), calls
 * server_run() when it is readable or when server_timeout_ms() has passed, and gives the snapshot
 * when a page asks for one.
 *
 * Bounds: SERVER_CONNECTIONS_MAX connections, half of them from one address; SERVER_IDLE_S without
 * a byte and SERVER_REQUEST_S for a request and its answer end a connection; SERVER_MEMORY_BYTES of
 * request head each (431 past it). Metric pages that clients have not read yet take at most
 * SERVER_PAGES_BYTES together, but one page is always given: past that a scrape is answered 503 and
 * counted. A page's memory goes back to the system once it is read. */
#ifndef BITTERN_SERVER_H
#define BITTERN_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "../agent/snapshot.h"

#define SERVER_CONNECTIONS_MAX 64
#define SERVER_IDLE_S 10
#define SERVER_REQUEST_S 30
#define SERVER_MEMORY_BYTES (16 * 1024)
#define SERVER_PAGES_BYTES (8 * 1024 * 1024)

struct server;

struct server_config {
	/* "127.0.0.1:2488", "[::1]:2488", "localhost:2488" (127.0.0.1), ":2488" (every address,
	 * IPv6 too) */
	const char *listen;
	const char *version;
	unsigned int idle_s, request_s; /* 0: SERVER_IDLE_S, SERVER_REQUEST_S */
	/* A snapshot for one scrape, valid until the call returns to the loop; NULL when out of
	 * memory (500). */
	const struct snapshot *(*snapshot)(void *context);
	bool (*ready)(void *context); /* /readyz: 200 or 503 */
	void *context;
};

struct server_stats {
	uint64_t scrapes; /* /metrics pages given */
	uint64_t refused_scrapes; /* 503: too many pages unread */
	/* Snapshot and rendering, without what is done while it is sent: compression, network. */
	double last_scrape_seconds;
	uint64_t last_scrape_bytes; /* not compressed */
};

/* 0 if text is ADDRESS:PORT as server_config.listen wants it, else -EINVAL. */
int server_check_address(const char *text);
/* Copies config but not what context points to. 0 and *out, to be closed; -EINVAL (address),
 * -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -ENOMEM, -EMFILE. */
int server_open(struct server **out, const struct server_config *config);
int server_fd(const struct server *s);
int server_timeout_ms(const struct server *s); /* -1: none */
void server_run(struct server *s);
uint16_t server_port(const struct server *s); /* the port in use, when the configured one was 0 */
struct server_stats server_stats(const struct server *s);
void server_close(struct server *s); /* NULL is fine */

#endif
