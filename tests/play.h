/* SPDX-License-Identifier: Apache-2.0 */
/* play - random connections of servers and clients: random messages, cut into random calls, with
 * the truth about them. The same seed plays the same. */
#ifndef BITTERN_TEST_PLAY_H
#define BITTERN_TEST_PLAY_H

#include "wire.h"

#define MESSAGES_MAX 40
#define CALLS_MAX 64

uint64_t random_next(void);
size_t below(size_t n);
bool one_in(size_t n);

/* Bytes with the places where a call may end. */
struct bytes {
	char *data;
	size_t len, capacity;
	size_t cuts[CALLS_MAX]; /* ends of calls, rising; the last is len */
	size_t cut_count;
};

struct message {
	struct bytes request, response;
	enum http_method method;
	unsigned int status;
	char path[16];
	size_t final_begin; /* of the response that is not 1xx */
	bool until_close;
	bool long_upload; /* a chunked body whose end is found again only after the answer */
	/* What is to be reported. */
	uint64_t start_ns, first_byte_ns, end_ns;
	bool reported;
};

struct play {
	struct exchanges *exchanges;
	struct wire wire;
	struct message messages[MESSAGES_MAX];
	size_t count;
	size_t done_count; /* without losses: the next expected */
	bool lossy, hostile_bodies, pipelines, short_uploads;
	bool losing;
	uint64_t exact_from_ns; /* with losses: requests from here on are all to be reported */
	unsigned int seed;
};

void play_open(struct play *p, unsigned int seed, struct exchanges *e);
void play_finish(struct play *p); /* the connection ends, by the server's close */
void play_close(struct play *p);

/* One after the other; a response's last hook may run after the next request was read. */
void play_alternating(struct play *p, size_t messages, bool close);
/* A window of requests, in calls cut anywhere; responses leave while more is being read. */
void play_window(struct play *p, size_t messages);

/* For the sink, with the play as its context: what is reported is compared with the truth. */
void play_on_request(void *context, struct exchange *x, const char *path, size_t path_len);
void play_on_done(void *context, struct exchange *x);

/* Prints a message and what is wrong with it. */
void play_describe(const struct play *p, const struct message *m, const char *what);

#endif
