// SPDX-License-Identifier: Apache-2.0
#include "http.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	uint8_t len;
} methods[HTTP_METHOD_COUNT] = {
	[HTTP_OTHER] = {"_OTHER", 6},    [HTTP_GET] = {"GET", 3},
	[HTTP_HEAD] = {"HEAD", 4},       [HTTP_POST] = {"POST", 4},
	[HTTP_PUT] = {"PUT", 3},         [HTTP_DELETE] = {"DELETE", 6},
	[HTTP_CONNECT] = {"CONNECT", 7}, [HTTP_OPTIONS] = {"OPTIONS", 7},
	[HTTP_TRACE] = {"TRACE", 5},     [HTTP_PATCH] = {"PATCH", 5},
};

const char *http_method_name(enum http_method method)
{
	return methods[method < HTTP_METHOD_COUNT ? method : HTTP_OTHER].name;
}

static enum http_method find_method(const char *name, size_t len)
{
	int i;

	for (i = HTTP_GET; i < HTTP_METHOD_COUNT; i++) {
		if (len == methods[i].len && !memcmp(name, methods[i].name, len))
			return i;
	}
	return HTTP_OTHER;
}

/* token of RFC 9110 section 5.6.2 */
static bool is_token_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The path of a target: origin-form "/path?query", absolute-form "http://host/path?query" (section
 * 3.2). */
static void find_path(struct http_request_line *out, const char *target, size_t len)
{
	const char *end = target + len, *p;

	out->path = NULL;
	out->path_len = 0;
	if (out->method == HTTP_CONNECT || !len || (len == 1 && target[0] == '*'))
		return;
	if (target[0] != '/') {
		p = memmem(target, len, "://", 3);
		if (!p)
			return;
		for (p += 3; p < end && *p != '/' && *p != '?'; p++)
			;
		if (p == end || *p == '?') {
			out->path = "/";
			out->path_len = 1;
			return;
		}
		target = p;
	}
	p = memchr(target, '?', end - target);
	out->path = target;
	out->path_len = (p ? p : end) - target;
}

int http_request_line(struct http_request_line *out, const char *line, size_t len)
{
	const char *end = line + len, *space, *version;
	size_t i, method_len;

	space = memchr(line, ' ', len);
	if (!space || space == line)
		return -1;
	method_len = space - line;
	for (i = 0; i < method_len; i++) {
		if (!is_token_byte(line[i]))
			return -1;
	}
	while (end > space && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	version = memrchr(space, ' ', end - space);
	if (version == space || end - version != 9 || memcmp(version + 1, "HTTP/1.", 7) ||
	    version[8] < '0' || version[8] > '9')
		return -1;
	out->method = find_method(line, method_len);
	out->version = version[8] == '0' ? 10 : 11;
	find_path(out, space + 1, version - space - 1);
	return 0;
}

void http_request_line_cut(struct http_request_line *out, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len), *query;

	memset(out, 0, sizeof(*out));
	out->version = 11;
	if (!space)
		return;
	out->method = find_method(line, space - line);
	query = memchr(space, '?', len - (space - line));
	if (query)
		find_path(out, space + 1, query - space - 1);
}

int http_status_line(struct http_status_line *out, const char *line, size_t len)
{
	int i;

	/* "HTTP/1.1 200", then nothing or a space and a reason (section 4) */
	if (len < 12 || memcmp(line, "HTTP/1.", 7) || line[7] < '0' || line[7] > '9' ||
	    line[8] != ' ' || line[9] < '1' || line[9] > '9' || (len > 12 && line[12] != ' '))
		return -1;
	out->status = 0;
	for (i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -1;
		out->status = out->status * 10 + (line[i] - '0');
	}
	out->version = line[7] == '0' ? 10 : 11;
	return 0;
}

static bool name_is(const char *line, size_t name_len, const char *name, size_t len)
{
	return name_len == len && !strncasecmp(line, name, len);
}

#define NAME_IS(line, name_len, name) name_is(line, name_len, name, sizeof(name) - 1)

static void trim(const char **value, const char **end)
{
	while (*value < *end && (**value == ' ' || **value == '\t'))
		(*value)++;
	while (*end > *value && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
		(*end)--;
}

/* Content-Length: digits; a list of equal values is one value (RFC 9110 section 8.6). */
static void take_length(struct http_fields *fields, const char *value, const char *end)
{
	while (value < end) {
		uint64_t length = 0;
		const char *p = value;

		for (; p < end && *p >= '0' && *p <= '9'; p++) {
			if (length > (UINT64_MAX / 2 - 9) / 10) {
				fields->bad_length = true;
				return;
			}
			length = length * 10 + (*p - '0');
		}
		if (p == value || (fields->has_length && fields->length != length)) {
			fields->bad_length = true;
			fields->has_length = false;
			return;
		}
		fields->has_length = true;
		fields->length = length;
		while (p < end && (*p == ' ' || *p == ',' || *p == '\t'))
			p++;
		value = p;
	}
}

/* Only the last coding of the last line counts (section 6.1). */
static void take_transfer_encoding(struct http_fields *fields, const char *value, const char *end)
{
	const char *comma = memrchr(value, ',', end - value);

	if (comma)
		value = comma + 1;
	trim(&value, &end);
	fields->transfer = true;
	fields->chunked = NAME_IS(value, (size_t)(end - value), "chunked");
}

void http_field_line(struct http_fields *fields, const char *line, size_t len)
{
	const char *colon, *value, *end = line + len;
	size_t name_len;

	/* All fields of interest begin with Content- or Transfer-. */
	if (len < 14 || !(((line[0] | 0x20) == 'c' && line[7] == '-') ||
			  ((line[0] | 0x20) == 't' && line[8] == '-')))
		return;
	colon = memchr(line, ':', len);
	if (!colon)
		return;
	name_len = colon - line;
	value = colon + 1;
	trim(&value, &end);
	if (NAME_IS(line, name_len, "content-length")) {
		take_length(fields, value, end);
	} else if (NAME_IS(line, name_len, "transfer-encoding")) {
		take_transfer_encoding(fields, value, end);
	} else if (NAME_IS(line, name_len, "content-type")) {
		fields->event_stream =
			end - value >= 17 && !strncasecmp(value, "text/event-stream", 17);
	}
}

const char *http_host_value(const char *line, size_t len, size_t *value_len)
{
	const char *end = line + len;

	if (len < 5 || strncasecmp(line, "host:", 5))
		return NULL;
	line += 5;
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*value_len = (size_t)(end - line);
	return end > line ? line : NULL;
}

void http_chunked_begin(struct http_chunked *c, uint64_t position)
{
	c->state = HTTP_CHUNK_SIZE;
	c->line_len = 0;
	c->next = position;
}

/* The size in a chunk-size line: hex digits up to an extension or the line's end; -1: none. */
static int64_t chunk_size(const char *line, size_t len)
{
	int64_t size = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		char c = line[i];
		int digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20) - 'a' + 10;
		else
			break;
		if (i >= 15)
			return -1;
		size = size * 16 + digit;
	}
	return i ? size : -1;
}

/* One whole line, which ends before c->next. */
static void chunked_line(struct http_chunked *c)
{
	size_t len = c->line_len;
	int64_t size;

	c->line_len = 0;
	if (c->state == HTTP_CHUNK_TRAILER) {
		if (!len || (len == 1 && c->line[0] == '\r'))
			c->state = HTTP_CHUNK_END;
		return;
	}
	size = chunk_size(c->line, len);
	if (size < 0)
		c->state = HTTP_CHUNK_LOST;
	else if (size == 0)
		c->state = HTTP_CHUNK_TRAILER;
	else
		c->next += size + 2; /* the chunk's data and its CRLF */
}

void http_chunked_feed(struct http_chunked *c, uint64_t position, const void *bytes, size_t len)
{
	const char *data = bytes;

	while (c->state == HTTP_CHUNK_SIZE || c->state == HTTP_CHUNK_TRAILER) {
		if (c->next >= position + len)
			return;
		if (c->next < position) {
			c->state = HTTP_CHUNK_LOST;
			return;
		}
		char byte = data[c->next - position];

		c->next++;
		if (byte == '\n')
			chunked_line(c);
		else if (c->line_len < sizeof(c->line)) /* only an extension can be longer */
			c->line[c->line_len++] = byte;
	}
}

void http_chunked_skip(struct http_chunked *c, uint64_t end)
{
	if ((c->state == HTTP_CHUNK_SIZE || c->state == HTTP_CHUNK_TRAILER) && c->next < end)
		c->state = HTTP_CHUNK_LOST;
}

bool http_chunked_end_likely(const void *tail, size_t len, bool whole_call)
{
	const char *end = (const char *)tail + len;

	if (len < 5 || memcmp(end - 5, "0\r\n\r\n", 5))
		return false;
	if (len == 5)
		return whole_call;
	return len >= 7 && end[-7] == '\r' && end[-6] == '\n';
}
