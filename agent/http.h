/* SPDX-License-Identifier: Apache-2.0 */
/* http - HTTP/1.x as it stands in bytes: lines of heads, and the frames of chunked bodies.
 *
 * Pure functions of their input; no allocation; any bytes are safe. Sections are those of RFC 9112
 * (HTTP/1.1) and RFC 9110 (HTTP Semantics). What a lenient server accepts is accepted: this is an
 * observer. */
#ifndef BITTERN_HTTP_H
#define BITTERN_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_method {
	HTTP_OTHER, /* reported as _OTHER (OpenTelemetry semantic conventions for HTTP) */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_CONNECT,
	HTTP_OPTIONS,
	HTTP_TRACE,
	HTTP_PATCH,
	HTTP_METHOD_COUNT,
};

const char *http_method_name(enum http_method method); /* "GET", ..., "_OTHER" */

struct http_request_line {
	enum http_method method;
	uint8_t version; /* 10 or 11 */
	const char *path; /* into the line; no query; "/" for an absolute-form target without one */
	size_t path_len; /* 0: CONNECT's authority-form and OPTIONS' asterisk-form have no path */
};

/* line without its CRLF. 0, or -1: not a request line of HTTP/1.x. */
int http_request_line(struct http_request_line *out, const char *line, size_t len);
/* The beginning of a line that was cut: what can be told; a path that is cut is not told. */
void http_request_line_cut(struct http_request_line *out, const char *line, size_t len);

struct http_status_line {
	uint16_t status; /* 100 to 999 */
	uint8_t version; /* 10 or 11 */
};

int http_status_line(struct http_status_line *out, const char *line, size_t len);

/* What the fields of a head say about framing. Zero it for each head. */
struct http_fields {
	bool has_length; /* Content-Length, valid and not contradicted */
	bool chunked; /* chunked is the final transfer coding */
	bool transfer; /* there is a Transfer-Encoding */
	bool bad_length; /* Content-Length that is no number, or two that differ */
	bool event_stream; /* Content-Type: text/event-stream */
	uint64_t length;
};

/* Takes one field line, without its CRLF; a line that is none is passed over. */
void http_field_line(struct http_fields *fields, const char *line, size_t len);

/* The value of a Host field (RFC 9110 section 7.2), without surrounding blanks; NULL: another
 * field, or an empty one. */
const char *http_host_value(const char *line, size_t len, size_t *value_len);

/* Follows a chunked body (section 7.1) through bytes that are only partly known. Positions are
 * stream positions. While each chunk-size line is among the known bytes, the end is exact. */
enum http_chunked_state {
	HTTP_CHUNK_SIZE, /* next is a chunk-size line */
	HTTP_CHUNK_TRAILER, /* next is a line of the trailer section */
	HTTP_CHUNK_END, /* next is behind the body */
	HTTP_CHUNK_LOST, /* a line that decides was not among the known bytes */
};

struct http_chunked {
	enum http_chunked_state state;
	uint8_t line_len;
	char line[20]; /* the part of the current line that is known so far */
	uint64_t next; /* position of what decides next */
};

void http_chunked_begin(struct http_chunked *c, uint64_t position);
/* The bytes at [position, position + len). Those before c->next are passed over, a gap before it
 * makes it LOST. */
void http_chunked_feed(struct http_chunked *c, uint64_t position, const void *bytes, size_t len);
/* No more is known up to end. */
void http_chunked_skip(struct http_chunked *c, uint64_t end);

/* Whether the last bytes of a call look like the end of a chunked body: the last chunk without a
 * trailer. */
bool http_chunked_end_likely(const void *tail, size_t len, bool whole_call);

#endif
