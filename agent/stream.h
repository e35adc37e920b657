/* SPDX-License-Identifier: Apache-2.0 */
/* stream - one direction of a connection as a sequence of HTTP/1.x messages.
 *
 * Fed with the slices that the kernel side copied, in order of their positions, it finds start
 *lines, ends of heads and ends of bodies. It needs no body bytes for Content-Length and only the
 *chunk-size lines for chunked.
 *
 *	          start line, fields            body by its framing
 *	  HEAD ------------------------> LENGTH | CHUNKED | CLOSE ------> HEAD ...
 *	    \  bytes missed                |  a size line missed
 *	     `-----------> LOST <----------'-----> GUESS (ends by the look of its last bytes)
 *
 * In LOST and GUESS the next message begins with a call that begins like one, if the owner expects
 *one there
 * (`expects`). Nothing is allocated but the part of a line that is split over calls. */
#ifndef BITTERN_STREAM_H
#define BITTERN_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"

#define STREAM_LINE_MAX 8192 /* of a split line; what is longer is cut */

/* A slice of one call of send or receive. */
struct slice {
	uint64_t time_ns;
	uint64_t begin, end; /* stream positions of the whole call */
	uint64_t other_end; /* of the other direction at that moment */
	uint64_t arrival_ns; /* received: when the call's first byte came in; 0: not known */
	uint64_t position; /* of data[0] */
	const uint8_t *data;
	size_t len;
	const uint8_t *tail; /* the call's last bytes, if data does not reach its end */
	size_t tail_len;
	bool last; /* no more slices of this call */
};

enum stream_body {
	STREAM_BODY_NONE,
	STREAM_BODY_LENGTH,
	STREAM_BODY_CHUNKED,
	STREAM_BODY_CLOSE, /* until the sender closes */
	STREAM_BODY_UNKNOWN, /* its framing was not seen: GUESS */
	STREAM_BODY_OFF, /* no HTTP from here on */
};

enum stream_state {
	STREAM_HEAD,
	STREAM_LENGTH,
	STREAM_CHUNKED,
	STREAM_CLOSE,
	STREAM_GUESS,
	STREAM_LOST,
	STREAM_OFF,
};

/* What split lines of all connections may hold together. */
struct stream_memory {
	size_t used_bytes, limit_bytes;
	uint64_t cut_count; /* lines cut because of a limit */
};

struct stream {
	enum stream_state state;
	bool in_fields; /* the start line is behind */
	bool line_cut; /* the current line is longer than what is kept */
	bool end_likely; /* GUESS: the last bytes look like an end */
	bool head_cut; /* bytes of this head were missed */
	bool missed; /* GUESS: bytes were missed that may have ended it, and begun others */
	uint16_t line_len, line_capacity;
	char *line; /* the known part of a split line */
	uint64_t next; /* position of the next byte that matters */
	uint64_t resume_from; /* LOST: calls that begin before hold nothing new */
	uint64_t guess_from; /* GUESS: by its length it does not end before; UINT64_MAX: when closed
			      */
	/* The current message's first byte: its position, when it passed, how far the other
	 * direction was then. */
	uint64_t start_position, start_ns, start_other_end, start_arrival_ns;
	uint64_t last_ns; /* when its last byte so far passed */
	struct http_fields fields;
	struct http_chunked chunked;
};

struct stream_owner {
	/* A start line (without CRLF; cut: only its beginning). start_ns: its first byte, at
	 * position. 0, or -1 when it is none: the stream is LOST then. */
	int (*start_line)(void *context, const char *line, size_t len, bool cut,
			  const struct slice *slice, uint64_t position, uint64_t start_ns);
	/* A field line of the head, whole. May be NULL. */
	void (*field)(void *context, const char *line, size_t len);
	/* The head is complete; cut: bytes of it were missed. Says how the body is framed. */
	enum stream_body (*head_end)(void *context, const struct http_fields *fields, bool cut,
				     uint64_t time_ns);
	/* The message is complete, its last byte passed at time_ns. */
	void (*message_end)(void *context, uint64_t time_ns);
	/* Whether a message may begin with this call, for a stream that has lost its framing; and
	 * that it does. in_order: the last one has likely ended just before. */
	bool (*expects)(void *context, const struct slice *slice, bool in_order);
	void (*resumed)(void *context, uint64_t position, bool in_order);
	/* Bytes that may have held messages were missed: len of them, before position. */
	void (*lost)(void *context, uint64_t position, uint64_t len);
	/* Whether bytes look like the beginning of a message. */
	bool (*begins)(const uint8_t *data, size_t len);
};

/* Zeroed is a stream that is LOST at 0 until stream_begin(). from_start: position is where a
 * message begins. */
void stream_begin(struct stream *s, uint64_t position, bool from_start);
void stream_feed(struct stream *s, const struct slice *slice, const struct stream_owner *owner,
		 void *context, struct stream_memory *memory);
/* The sender closed; clean: by itself, and nothing that it sent was missed. A body that ends so is
 * complete. False if a message was under way that is not complete. */
bool stream_finish(struct stream *s, bool clean, const struct stream_owner *owner, void *context);
/* Takes a likely end for the end (before a snapshot). */
void stream_commit(struct stream *s, const struct stream_owner *owner, void *context);
/* A start line has begun and is not complete. */
bool stream_has_partial_line(const struct stream *s);
/* A message has begun and is not complete; its start line is known. */
bool stream_in_message(const struct stream *s);
/* Passes over the message whose start line has begun. */
void stream_pass_over(struct stream *s, struct stream_memory *memory);
void stream_close(struct stream *s, struct stream_memory *memory);

#endif
