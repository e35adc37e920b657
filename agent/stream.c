// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#define LINE_FIRST_CAPACITY 256

void stream_begin(struct stream *s, uint64_t position, bool from_start)
{
	s->state = from_start ? STREAM_HEAD : STREAM_LOST;
	s->in_fields = s->line_cut = s->end_likely = s->head_cut = false;
	s->line_len = 0;
	s->next = position;
	memset(&s->fields, 0, sizeof(s->fields));
}

static void line_free(struct stream *s, struct stream_memory *memory)
{
	memory->used_bytes -= s->line_capacity;
	free(s->line);
	s->line = NULL;
	s->line_len = s->line_capacity = 0;
}

void stream_close(struct stream *s, struct stream_memory *memory)
{
	line_free(s, memory);
	s->state = STREAM_OFF;
}

bool stream_has_partial_line(const struct stream *s)
{
	return s->state == STREAM_HEAD && !s->in_fields && s->line_len > 0;
}

bool stream_in_message(const struct stream *s)
{
	return s->in_fields || s->state == STREAM_LENGTH || s->state == STREAM_CHUNKED ||
	       s->state == STREAM_CLOSE || s->state == STREAM_GUESS;
}

void stream_pass_over(struct stream *s, struct stream_memory *memory)
{
	line_free(s, memory);
	s->line_cut = false;
	s->state = STREAM_GUESS;
}

/* Keeps the beginning of a line until the rest arrives. */
static void line_keep(struct stream *s, const char *data, size_t len, struct stream_memory *memory)
{
	size_t want = s->line_len + len, capacity = s->line_capacity;
	char *grown;

	if (s->line_cut)
		return;
	if (want > STREAM_LINE_MAX) {
		s->line_cut = true;
		memory->cut_count++;
		len = STREAM_LINE_MAX - s->line_len;
		want = STREAM_LINE_MAX;
	}
	while (capacity < want)
		capacity = capacity ? capacity * 2 : LINE_FIRST_CAPACITY;
	if (capacity > s->line_capacity) {
		size_t more = capacity - s->line_capacity;

		grown = memory->used_bytes + more <= memory->limit_bytes
				? realloc(s->line, capacity)
				: NULL;
		if (!grown) {
			s->line_cut = true;
			memory->cut_count++;
			return;
		}
		memory->used_bytes += more;
		s->line = grown;
		s->line_capacity = capacity;
	}
	memcpy(s->line + s->line_len, data, len);
	s->line_len = want;
}

static void set_body(struct stream *s, enum stream_body body)
{
	switch (body) {
	case STREAM_BODY_NONE:
		s->state = STREAM_LENGTH; /* ends here */
		break;
	case STREAM_BODY_LENGTH:
		s->state = STREAM_LENGTH;
		s->next += s->fields.length;
		break;
	case STREAM_BODY_CHUNKED:
		s->state = STREAM_CHUNKED;
		http_chunked_begin(&s->chunked, s->next);
		break;
	case STREAM_BODY_CLOSE:
		s->state = STREAM_CLOSE;
		break;
	case STREAM_BODY_UNKNOWN:
		s->state = STREAM_GUESS;
		break;
	case STREAM_BODY_OFF:
		s->state = STREAM_OFF;
		break;
	}
}

static void head_end(struct stream *s, const struct slice *slice, const struct stream_owner *owner,
		     void *context)
{
	s->in_fields = false;
	s->end_likely = s->missed = false;
	s->guess_from = 0;
	s->resume_from = slice->begin + 1; /* not at this call again */
	set_body(s, owner->head_end(context, &s->fields, s->head_cut, slice->time_ns));
	s->head_cut = false;
	memset(&s->fields, 0, sizeof(s->fields));
}

/* One line without its LF. */
static void take_line(struct stream *s, const char *line, size_t len, const struct slice *slice,
		      const struct stream_owner *owner, void *context)
{
	if (len && !s->line_cut && line[len - 1] == '\r')
		len--;
	if (s->in_fields) {
		if (len) {
			http_field_line(&s->fields, line, len);
			if (owner->field && !s->line_cut)
				owner->field(context, line, len);
		} else if (!s->line_cut) {
			head_end(s, slice, owner, context);
		}
		return;
	}
	if (!len && !s->line_cut)
		return; /* empty lines before a start line, section 2.2 */
	if (owner->start_line(context, line, len, s->line_cut, slice, s->start_position,
			      s->start_ns)) {
		s->state = STREAM_LOST;
		s->resume_from = slice->begin + 1; /* not at this call again */
	} else {
		s->in_fields = true;
	}
}

/* Lines of a head among the known bytes; s->next moves behind what was taken. */
static void feed_head(struct stream *s, const struct slice *slice, const struct stream_owner *owner,
		      void *context, struct stream_memory *memory)
{
	const char *data = (const char *)slice->data + (s->next - slice->position);
	size_t len = slice->position + slice->len - s->next;
	const char *lf = memchr(data, '\n', len);
	size_t taken = lf ? (size_t)(lf - data) + 1 : len;

	if (!s->in_fields && !s->line_len && !s->line_cut) {
		s->start_position = s->next;
		s->start_ns = slice->time_ns;
		s->start_other_end = slice->other_end;
		s->start_arrival_ns = slice->arrival_ns;
	}
	s->last_ns = slice->time_ns;
	if (!lf || s->line_len)
		line_keep(s, data, lf ? taken - 1 : taken, memory);
	s->next += taken;
	if (!lf)
		return;
	if (s->line_len || s->line_cut) {
		take_line(s, s->line, s->line_len, slice, owner, context);
		line_free(s, memory);
		s->line_cut = false;
	} else {
		take_line(s, data, taken - 1, slice, owner, context);
	}
}

/* The rest of a head will never be known, up to position at least. Its body ends at the earliest
 * where it would if the head ended with what is known of it. */
static void cut_head(struct stream *s, uint64_t position, const struct slice *slice,
		     const struct stream_owner *owner, void *context)
{
	uint64_t from = UINT64_MAX;

	if (s->fields.chunked)
		from = 0;
	else if (s->fields.has_length)
		from = s->next + s->fields.length;
	s->next = position;
	s->head_cut = true;
	head_end(s, slice, owner, context);
	s->resume_from = position;
	s->guess_from = from;
	if (position == slice->position &&
	    s->state != STREAM_OFF) { /* more than this head was missed, perhaps */
		s->missed = true;
		s->end_likely = s->state == STREAM_LENGTH; /* there is no body */
		s->state = STREAM_GUESS;
	}
}

/* Bytes between s->next and position will never be known. */
static void gap(struct stream *s, uint64_t position, const struct slice *slice,
		const struct stream_owner *owner, void *context, struct stream_memory *memory)
{
	uint64_t len = position - s->next;

	if (stream_has_partial_line(s))
		s->in_fields = !owner->start_line(context, s->line, s->line_len, true, slice,
						  s->start_position, s->start_ns);
	line_free(s, memory);
	s->line_cut = false;
	if (s->in_fields) {
		cut_head(s, position, slice, owner, context);
		return;
	}
	s->next = s->resume_from = position;
	owner->lost(context, position, len);
	s->state = STREAM_LOST;
}

/* A stream without framing begins anew at a call that begins like a message. */
static bool resume(struct stream *s, const struct slice *slice, const struct stream_owner *owner,
		   void *context)
{
	bool in_order;

	if (slice->position != slice->begin || slice->begin < s->resume_from || !slice->len ||
	    !owner->begins(slice->data, slice->len))
		return false;
	in_order =
		s->state == STREAM_GUESS && s->end_likely && !s->missed && s->next == slice->begin;
	if (!owner->expects(context, slice, in_order))
		return false;
	if (s->state == STREAM_GUESS) {
		s->state = STREAM_LOST;
		owner->message_end(context, s->last_ns);
	}
	owner->resumed(context, slice->begin, in_order);
	stream_begin(s, slice->begin, true);
	return true;
}

static void feed_chunked(struct stream *s, const struct slice *slice)
{
	bool missed = s->next < slice->begin;

	http_chunked_feed(&s->chunked, slice->position, slice->data, slice->len);
	if (slice->last) {
		http_chunked_feed(&s->chunked, slice->end - slice->tail_len, slice->tail,
				  slice->tail_len);
		http_chunked_skip(&s->chunked, slice->end);
	}
	if (s->chunked.state == HTTP_CHUNK_LOST) {
		s->state = STREAM_GUESS;
		s->missed = missed;
		s->resume_from = missed ? slice->begin : slice->begin + 1;
	}
	s->next = s->chunked.next;
}

/* Chunks end with an empty one; if that begins its call, a trailer section may follow it
 * (section 7.1.2). */
static bool chunks_end_likely(const struct slice *slice)
{
	const uint8_t *tail = slice->tail_len ? slice->tail : slice->data;
	size_t len = slice->tail_len ? slice->tail_len : slice->len;

	if (http_chunked_end_likely(tail, len, slice->end - slice->begin == len))
		return true;
	return slice->position == slice->begin && slice->len >= 3 && len >= 4 &&
	       !memcmp(slice->data, "0\r\n", 3) && !memcmp(tail + len - 4, "\r\n\r\n", 4);
}

static void guess_end(struct stream *s, const struct slice *slice)
{
	s->last_ns = slice->time_ns;
	if (slice->position > s->next)
		s->missed = true;
	s->next = slice->last ? slice->end : slice->position + slice->len;
	if (!slice->last)
		return;
	if (!s->guess_from)
		s->end_likely = chunks_end_likely(slice);
	else
		s->end_likely = slice->end >= s->guess_from;
}

/* One step in the current state. False: nothing more to be had from this slice. */
static bool step(struct stream *s, const struct slice *slice, const struct stream_owner *owner,
		 void *context, struct stream_memory *memory)
{
	uint64_t known_end = slice->position + slice->len;
	uint64_t end = slice->last ? slice->end : known_end;

	switch (s->state) {
	case STREAM_HEAD:
		if (s->next < slice->position) {
			gap(s, slice->position, slice, owner, context, memory);
			return true;
		}
		if (s->next < known_end) {
			feed_head(s, slice, owner, context, memory);
			return true;
		}
		if (s->next >= end)
			return false;
		gap(s, end, slice, owner, context, memory);
		return true;
	case STREAM_LENGTH:
		if (slice->begin < s->next) /* else the record with its last byte was missed */
			s->last_ns = slice->time_ns;
		if (end < s->next)
			return false;
		s->state = STREAM_HEAD;
		owner->message_end(context, s->last_ns);
		return true;
	case STREAM_CHUNKED:
		feed_chunked(s, slice);
		if (s->state == STREAM_GUESS)
			return true;
		s->last_ns = slice->time_ns;
		if (s->chunked.state != HTTP_CHUNK_END)
			return false;
		s->state = STREAM_HEAD;
		owner->message_end(context, slice->time_ns);
		return true;
	case STREAM_GUESS:
		if (!resume(s, slice, owner, context)) {
			guess_end(s, slice);
			return false;
		}
		return true;
	case STREAM_LOST:
		return resume(s, slice, owner, context);
	case STREAM_CLOSE:
		s->last_ns = slice->time_ns;
		return false;
	case STREAM_OFF:
		return false;
	}
	return false;
}

void stream_feed(struct stream *s, const struct slice *slice, const struct stream_owner *owner,
		 void *context, struct stream_memory *memory)
{
	while (step(s, slice, owner, context, memory))
		;
}

void stream_commit(struct stream *s, const struct stream_owner *owner, void *context)
{
	if (s->state != STREAM_GUESS || !s->end_likely)
		return;
	s->state = s->missed ? STREAM_LOST : STREAM_HEAD;
	owner->message_end(context, s->last_ns);
}

bool stream_finish(struct stream *s, bool clean, const struct stream_owner *owner, void *context)
{
	bool under_way = stream_in_message(s);
	bool ends = (s->state == STREAM_CLOSE && clean) ||
		    (s->state == STREAM_GUESS && s->end_likely) ||
		    (s->state == STREAM_GUESS && s->guess_from == UINT64_MAX && clean);

	s->state = STREAM_OFF;
	s->in_fields = false;
	if (ends)
		owner->message_end(context, s->last_ns);
	return ends || !under_way;
}
