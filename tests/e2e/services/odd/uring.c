/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server on io_uring: accept, receive and send are requests of the ring, no system call of
 * ours. uring PORT TRUTH_FILE. One line for each response goes to TRUTH_FILE (see ../truth.py). */
#include <arpa/inet.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64

enum step { ACCEPT, RECEIVE, SEND };

struct connection {
	enum step step;
	int fd;
	uint64_t begin_ns;
	char buffer[4096];
};

static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
static struct connection connections[CONNECTIONS_MAX], listener;
static struct io_uring ring;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void submit(struct connection *c, enum step step)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	c->step = step;
	if (step == ACCEPT)
		io_uring_prep_accept(sqe, c->fd, NULL, NULL, 0);
	else if (step == RECEIVE)
		io_uring_prep_recv(sqe, c->fd, c->buffer, sizeof(c->buffer), 0);
	else
		io_uring_prep_send(sqe, c->fd, response, sizeof(response) - 1, 0);
	io_uring_sqe_set_data(sqe, c);
}

static void accepted(int fd)
{
	for (struct connection *c = connections; c < connections + CONNECTIONS_MAX; c++) {
		if (c->fd > 0)
			continue;
		c->fd = fd;
		submit(c, RECEIVE);
		break;
	}
	submit(&listener, ACCEPT);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct io_uring_cqe *cqe;
	int truth_fd;

	if (argc != 3)
		return 2;
	truth_fd = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	listener.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (truth_fd < 0 || bind(listener.fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener.fd, CONNECTIONS_MAX) || io_uring_queue_init(256, &ring, 0)) {
		perror("uring");
		return 1;
	}
	submit(&listener, ACCEPT);
	while (io_uring_submit_and_wait(&ring, 1) >= 0) {
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			struct connection *c = io_uring_cqe_get_data(cqe);
			int result = cqe->res;

			io_uring_cqe_seen(&ring, cqe);
			if (c->step == ACCEPT) {
				accepted(result);
			} else if (result <= 0) {
				close(c->fd);
				c->fd = 0;
			} else if (c->step == RECEIVE) {
				c->begin_ns = now_ns();
				submit(c, SEND);
			} else {
				dprintf(truth_fd,
					"{\"method\": \"GET\", \"path\": \"/ok\", \"status\": 200, "
					"\"begin_ns\": %llu, \"duration_ns\": %llu}\n",
					(unsigned long long)c->begin_ns,
					(unsigned long long)(now_ns() - c->begin_ns));
				submit(c, RECEIVE);
			}
		}
	}
	return 0;
}
