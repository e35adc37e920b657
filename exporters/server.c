// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "gzip.h"
#include "prometheus.h"
#include "prometheus_accept.h"

#define NS_PER_S 1000000000ull
#define TRIM_BYTES (256 * 1024) /* pages of this size are given back to the system at once */
#define HTML_TYPE "text/html; charset=utf-8"
#define PLAIN_TYPE "text/plain; charset=utf-8"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* libmicrohttpd's timeout is of silence only: a client that sends or takes a byte now and then
 * holds its connection for ever. since_ns is the accept or the end of the last request. */
struct connection {
	int fd; /* -1: free */
	uint64_t since_ns;
};

struct server {
	struct MHD_Daemon *daemon;
	struct server_config config;
	struct server_stats stats;
	size_t page_count, page_bytes; /* given, not yet read by their clients */
	int fd;
	uint16_t port;
	struct connection connections[SERVER_CONNECTIONS_MAX];
	char version[64];
	char index[1024];
};

/* A metrics page on its way; lives as long as libmicrohttpd's response. */
struct page {
	struct server *server;
	enum exposition exposition;
	struct text text;
	bool gzipped; /* and so compressed while it is sent: its length is not known before */
	struct gzip gzip;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int parse_port(const char *text, uint16_t *port)
{
	size_t len = strspn(text, "0123456789");
	unsigned long value = strtoul(text, NULL, 10);

	if (!len || len > 5 || text[len] || value > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)value;
	return 0;
}

static int parse_host(const char *host, size_t len, union address *to)
{
	char text[INET6_ADDRSTRLEN];
	bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';

	*to = (union address){};
	if (!len) {
		to->v6.sin6_family = AF_INET6; /* [::], which takes IPv4 too */
		return 0;
	}
	if (bracketed) {
		host++;
		len -= 2;
	}
	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, host, len);
	text[len] = '\0';
	if (bracketed) {
		to->v6.sin6_family = AF_INET6;
		return inet_pton(AF_INET6, text, &to->v6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	to->v4.sin_family = AF_INET;
	if (strcmp(text, "localhost") == 0) {
		to->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return 0;
	}
	return inet_pton(AF_INET, text, &to->v4.sin_addr) == 1 ? 0 : -EINVAL;
}

static int parse_address(const char *text, union address *to)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	uint16_t port;
	int err;

	if (!colon)
		return -EINVAL;
	err = parse_host(text, (size_t)(colon - text), to);
	if (!err)
		err = parse_port(colon + 1, &port);
	if (err)
		return err;
	if (to->any.sa_family == AF_INET6)
		to->v6.sin6_port = htons(port);
	else
		to->v4.sin_port = htons(port);
	return 0;
}

int server_check_address(const char *text)
{
	union address address;

	return parse_address(text, &address);
}

/* The socket, listening, or -errno. libmicrohttpd's own would not tell what is wrong. */
static int listen_on(const union address *address)
{
	bool v6 = address->any.sa_family == AF_INET6;
	socklen_t len = v6 ? sizeof(address->v6) : sizeof(address->v4);
	const int on = 1, off = 0;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off))) ||
	    bind(fd, &address->any, len) || listen(fd, SERVER_CONNECTIONS_MAX)) {
		err = -errno;
		close(fd);
	}
	return err ? err : fd;
}

static int open_socket(const char *text)
{
	union address address;
	int fd, err = parse_address(text, &address);

	if (err)
		return err;
	fd = listen_on(&address);
	if (text[0] == ':' && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
		/* A host without IPv6. */
		in_port_t port_be = address.v6.sin6_port;

		address = (union address){.v4 = {.sin_family = AF_INET, .sin_port = port_be}};
		fd = listen_on(&address);
	}
	return fd;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
			      const char *type, struct MHD_Response *response)
{
	enum MHD_Result result = MHD_NO;

	if (!response)
		return MHD_NO;
	if (MHD_add_response_header(response, "Content-Type", type) &&
	    MHD_add_response_header(response, "Cache-Control", "no-store") &&
	    (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(response, "Allow", "GET, HEAD")) &&
	    (status != MHD_HTTP_SERVICE_UNAVAILABLE ||
	     MHD_add_response_header(response, "Retry-After", "1")))
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* text outlives the connection: a literal or a part of the server. */
static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned int status,
				   const char *type, const char *text)
{
	return answer(connection, status, type,
		      MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
						      MHD_RESPMEM_PERSISTENT));
}

static size_t page_memory(const struct page *page)
{
	return page->text.len + (page->gzipped ? GZIP_MEMORY : 0);
}

static void page_free(void *context)
{
	struct page *page = context;
	size_t bytes = page->text.capacity;

	page->server->page_count--;
	page->server->page_bytes -= page_memory(page);
	if (page->gzipped)
		gzip_close(&page->gzip);
	text_free(&page->text);
	free(page);
	if (bytes >= TRIM_BYTES)
		malloc_trim(0);
}

static ssize_t page_read(void *context, uint64_t position, char *to, size_t size)
{
	struct page *page = context;
	size_t len = gzip_read(&page->gzip, to, size);

	(void)position; /* only ever forward */
	return len ? (ssize_t)len : MHD_CONTENT_READER_END_OF_STREAM;
}

/* 0 or -ENOMEM; the text is then still to be freed. */
static int page_fill(struct page *page, struct server *s, const struct prometheus_accept *accept)
{
	const struct snapshot *snapshot = s->config.snapshot(s->config.context);

	if (!snapshot)
		return -ENOMEM;
	/* As large as the last one at once, so that it need not be moved while it grows. */
	text_room(&page->text, s->stats.last_scrape_bytes + s->stats.last_scrape_bytes / 8);
	page->exposition = prometheus_accept_exposition(accept);
	if (prometheus_render(&page->text, snapshot, page->exposition))
		return -ENOMEM;
	if (!prometheus_accept_gzip(accept))
		return 0;
	if (gzip_open(&page->gzip, page->text.data, page->text.len))
		return -ENOMEM;
	page->gzipped = true;
	return 0;
}

/* 0 and *out; -EAGAIN when too much is unread already; -ENOMEM. */
static int page_make(struct page **out, struct server *s, const struct prometheus_accept *accept)
{
	uint64_t start_ns = now_ns();
	struct page *page;

	if (s->page_count && s->page_bytes + s->stats.last_scrape_bytes > SERVER_PAGES_BYTES)
		return -EAGAIN;
	page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	if (page_fill(page, s, accept)) {
		text_free(&page->text);
		free(page);
		return -ENOMEM;
	}
	page->server = s;
	s->page_count++;
	s->page_bytes += page_memory(page);
	s->stats.scrapes++;
	s->stats.last_scrape_bytes = page->text.len;
	s->stats.last_scrape_seconds = (double)(now_ns() - start_ns) / (double)NS_PER_S;
	*out = page;
	return 0;
}

static enum MHD_Result note_field(void *context, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	struct prometheus_accept *accept = context;

	(void)kind;
	if (!value)
		return MHD_YES;
	if (strcasecmp(name, "Accept") == 0)
		prometheus_accept_types(accept, value, strlen(value));
	else if (strcasecmp(name, "Accept-Encoding") == 0)
		prometheus_accept_encodings(accept, value, strlen(value));
	return MHD_YES;
}

static enum MHD_Result give_metrics(struct server *s, struct MHD_Connection *connection, bool head)
{
	struct prometheus_accept accept = {};
	struct MHD_Response *response;
	struct page *page = NULL;
	int err;

	MHD_get_connection_values(connection, MHD_HEADER_KIND, note_field, &accept);
	if (head)
		accept.gzip = (struct preference){}; /* libmicrohttpd would send a last chunk */
	err = page_make(&page, s, &accept);
	if (err == -EAGAIN) {
		s->stats.refused_scrapes++;
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, PLAIN_TYPE,
				   "too many pages are still being read\n");
	}
	if (err)
		return answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, PLAIN_TYPE,
				   "out of memory\n");
	if (page->gzipped)
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SERVER_MEMORY_BYTES,
							     page_read, page, page_free);
	else
		response = MHD_create_response_from_buffer_with_free_callback_cls(
			page->text.len, page->text.data, page_free, page);
	if (!response) {
		page_free(page);
		return MHD_NO;
	}
	if (!MHD_add_response_header(response, "Vary", "Accept, Accept-Encoding") ||
	    (page->gzipped && !MHD_add_response_header(response, "Content-Encoding", "gzip"))) {
		MHD_destroy_response(response); /* and the page */
		return MHD_NO;
	}
	return answer(connection, MHD_HTTP_OK, prometheus_types[page->exposition], response);
}

static enum MHD_Result give_health(struct server *s, struct MHD_Connection *connection, bool head)
{
	(void)head;
	(void)s;
	return answer_text(connection, MHD_HTTP_OK, PLAIN_TYPE, "ok\n");
}

static enum MHD_Result give_readiness(struct server *s, struct MHD_Connection *connection,
				      bool head)
{
	(void)head;
	if (s->config.ready(s->config.context))
		return answer_text(connection, MHD_HTTP_OK, PLAIN_TYPE, "ready\n");
	return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, PLAIN_TYPE, "not ready\n");
}

static enum MHD_Result give_index(struct server *s, struct MHD_Connection *connection, bool head)
{
	(void)head;
	return answer_text(connection, MHD_HTTP_OK, HTML_TYPE, s->index);
}

static const struct endpoint {
	const char *path;
	/* libmicrohttpd leaves the body of an answer to HEAD out. */
	enum MHD_Result (*give)(struct server *s, struct MHD_Connection *connection, bool head);
} endpoints[] = {
	{"/", give_index},
	{"/metrics", give_metrics},
	{"/healthz", give_health},
	{"/readyz", give_readiness},
};

static const struct endpoint *find_endpoint(const char *path)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
		if (strcmp(endpoints[i].path, path) == 0)
			return &endpoints[i];
	return NULL;
}

/* Called when a request's head is there, for each part of its body, and at its end. A request with
 * a body is refused at its head; GET and HEAD are answered at their end, so that the connection
 * stays. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *http_version,
				  const char *body, size_t *body_len, void **request)
{
	const struct endpoint *endpoint = find_endpoint(path);
	bool readable = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

	(void)http_version;
	(void)body;
	if (readable && !*request) {
		*request = context;
		return MHD_YES;
	}
	if (*body_len) {
		*body_len = 0; /* read and dropped */
		return MHD_YES;
	}
	if (!endpoint)
		return answer_text(connection, MHD_HTTP_NOT_FOUND, PLAIN_TYPE, "not found\n");
	if (!readable)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, PLAIN_TYPE,
				   "only GET and HEAD\n");
	return endpoint->give(context, connection, strcmp(method, "HEAD") == 0);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct server *s = context;
	struct connection *c = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (c)
			c->fd = -1;
		return;
	}
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		c = &s->connections[i];
		if (c->fd >= 0)
			continue;
		c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd;
		c->since_ns = now_ns();
		*socket_context = c;
		return;
	}
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *c = info ? info->socket_context : NULL;

	(void)context;
	(void)request;
	(void)code;
	if (c)
		c->since_ns = now_ns();
}

/* No timer: a connection without events falls to idle_s, one with events brings us here. */
static void end_overdue(struct server *s)
{
	uint64_t now = now_ns();

	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		const struct connection *c = &s->connections[i];

		if (c->fd >= 0 && now - c->since_ns > s->config.request_s * NS_PER_S)
			shutdown(c->fd, SHUT_RDWR); /* the daemon sees its end and closes it */
	}
}

static void write_index(struct server *s)
{
	snprintf(
		s->index, sizeof(s->index),
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>bittern</title></head>\n<body>\n"
		"<h1>bittern</h1>\n<p>Watches Python and Node.js services. Version %s.</p>\n<ul>\n"
		"<li><a href=\"/metrics\">/metrics</a>: for Prometheus</li>\n"
		"<li><a href=\"/healthz\">/healthz</a>: is it alive</li>\n"
		"<li><a href=\"/readyz\">/readyz</a>: does it watch</li>\n"
		"</ul>\n</body>\n</html>\n",
		s->version);
}

/* Takes listen_fd in every case. */
static int start_daemon(struct server *s, int listen_fd)
{
	const struct MHD_OptionItem options[] = {
		{MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, SERVER_CONNECTIONS_MAX, NULL},
		{MHD_OPTION_PER_IP_CONNECTION_LIMIT, SERVER_CONNECTIONS_MAX / 2, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, s->config.idle_s, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, SERVER_MEMORY_BYTES, NULL},
		{MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
		{MHD_OPTION_END, 0, NULL},
	};
	int err;

	errno = 0;
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_ARRAY,
				     options, MHD_OPTION_END);
	if (s->daemon)
		return 0;
	err = errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
	/* Some versions have closed it already; there is no thread that could have reused it. */
	close(listen_fd);
	return err;
}

int server_open(struct server **out, const struct server_config *config)
{
	union address bound;
	socklen_t bound_len = sizeof(bound);
	struct server *s = calloc(1, sizeof(*s));
	int listen_fd, err;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	if (!s->config.idle_s)
		s->config.idle_s = SERVER_IDLE_S;
	if (!s->config.request_s)
		s->config.request_s = SERVER_REQUEST_S;
	snprintf(s->version, sizeof(s->version), "%s", config->version);
	write_index(s);
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		s->connections[i].fd = -1;
	listen_fd = open_socket(config->listen);
	if (listen_fd < 0) {
		server_close(s);
		return listen_fd;
	}
	/* Both families have their port at the same place. */
	if (getsockname(listen_fd, &bound.any, &bound_len) == 0)
		s->port = ntohs(bound.v4.sin_port);
	err = start_daemon(s, listen_fd);
	if (err) {
		server_close(s);
		return err;
	}
	s->fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	*out = s;
	return 0;
}

int server_fd(const struct server *s)
{
	return s->fd;
}

int server_timeout_ms(const struct server *s)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	if (MHD_get_timeout(s->daemon, &timeout_ms) != MHD_YES)
		return -1;
	return timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
}

void server_run(struct server *s)
{
	end_overdue(s);
	MHD_run(s->daemon);
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

struct server_stats server_stats(const struct server *s)
{
	return s->stats;
}

void server_close(struct server *s)
{
	if (!s)
		return;
	if (s->daemon)
		MHD_stop_daemon(s->daemon); /* frees the pages under way */
	free(s);
}
