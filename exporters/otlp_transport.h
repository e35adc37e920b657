/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_transport - one request to a collector and its answer, over libcurl: HTTP/protobuf, or a
 * unary call of gRPC, which is a POST over HTTP/2 of a message behind its length.
 *
 * Each request has a connection of its own. One thread at a
 * time; it blocks. */
#ifndef BITTERN_OTLP_TRANSPORT_H
#define BITTERN_OTLP_TRANSPORT_H

#include "otlp_answer.h"
#include "otlp_config.h"

struct otlp_transport;

/* Once in a process, before anything else, by its only thread; then nothing of these libraries is
 * done at exit, where a thread may still be inside of them. 0 or -ENOMEM. */
int otlp_transport_init(void);
/* Copies what it needs of config. 0 and *out, to be closed; -ENOMEM. */
int otlp_transport_open(struct otlp_transport **out, const struct otlp_config *config,
			const char *version);
/* Makes of a message what is sent, in place: compressed and framed as configured, once. 0, -ENOMEM.
 */
int otlp_transport_prepare(const struct otlp_transport *t, struct otlp_request *request);
/* Sends a prepared request. Ends early when stop() says so, which is asked every second or more
 * often; the answer is then that of a timeout. Gives how many bytes were sent. */
uint64_t otlp_transport_send(struct otlp_transport *t, const struct otlp_request *request,
			     uint64_t timeout_ns, bool (*stop)(void *context), void *context,
			     struct otlp_answer *answer);
void otlp_transport_close(struct otlp_transport *t); /* NULL is fine */

#endif
