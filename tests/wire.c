// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/decode.h"

/* As in socket.bpf.c. */
#define REQUEST_BUDGET 8192
#define BODILESS_BUDGET (64 * RECORD_DATA_MAX)
#define RESPONSE_BUDGET 2048
#define BATCH_BUDGET 65536
#define WHOLE_MAX 1024
#define FIRST_BYTES 16
#define BATCH_SCAN_MIN 512
#define BATCH_SCAN_MAX 1024

#define CLIENT_PORT 40000

/* What the hook knows of one call. */
struct call {
	const uint8_t *bytes;
	size_t len, want;
	uint64_t begin, other_end, arrival_ns;
	uint8_t direction, flags;
	uint8_t tail_len;
	bool request;
};

void wire_open(struct wire *w, struct exchanges *e, uint64_t cookie)
{
	*w = (struct wire){
		.exchanges = e,
		.cookie = cookie,
		.now_ns = WIRE_SECOND,
		.step_ns = WIRE_MILLISECOND,
		.pid = 100,
		.listener_pid = 99,
		.port = 8000,
		.from_birth = true,
	};
	w->held_end = &w->held;
}

void wire_close(struct wire *w)
{
	while (w->held) {
		struct wire_record *next = w->held->next;

		free(w->held);
		w->held = next;
	}
	w->held_end = &w->held;
}

void wire_deliver(struct exchanges *e, struct wire_record *record)
{
	struct record decoded;

	assert_int_equal(decode_record(&decoded, record->bytes, record->size), 0);
	if (decoded.kind == RECORD_IO)
		exchanges_io(e, decoded.io);
	else
		exchanges_state(e, decoded.state);
	free(record);
}

struct wire_record *wire_take(struct wire *w)
{
	struct wire_record *records = w->held;

	w->held = NULL;
	w->held_end = &w->held;
	return records;
}

void wire_hold(struct wire *w)
{
	w->holding = true;
}

void wire_release(struct wire *w)
{
	struct wire_record *records = wire_take(w), *next;

	w->holding = false;
	for (; records; records = next) {
		next = records->next;
		wire_deliver(w->exchanges, records);
	}
}

static struct wire_record *record_new(size_t size)
{
	struct wire_record *record = calloc(1, sizeof(*record) + size);

	assert_non_null(record);
	record->size = size;
	return record;
}

static void pass_on(struct wire *w, struct wire_record *record)
{
	const struct record_io *io = (const void *)record->bytes;
	bool lost = w->lose_count > 0;

	w->record_count++;
	if (lost)
		w->lose_count--;
	else if (w->loses && io->head.kind == RECORD_IO)
		lost = w->loses(w->context, io);
	if (lost) {
		free(record);
	} else if (w->holding) {
		*w->held_end = record;
		w->held_end = &record->next;
	} else {
		wire_deliver(w->exchanges, record);
	}
}

static void emit(struct wire *w, const struct call *call, size_t offset, size_t captured, bool last)
{
	struct wire_record *record = record_new(sizeof(struct record_io) + captured);
	struct record_io *io = (void *)record->bytes;

	io->head = (struct record_head){
		.time_ns = w->now_ns,
		.pid = w->pid,
		.kind = RECORD_IO,
		.role = w->role,
		.direction = call->direction,
		.flags = call->flags | (last ? IO_LAST : 0),
	};
	io->cookie = w->is_tls ? w->cookie | COOKIE_TLS : w->cookie;
	io->begin = call->begin;
	io->other_end = call->other_end;
	io->len = call->len;
	io->offset = offset;
	io->captured = captured;
	io->arrival_ns = call->arrival_ns;
	if (!w->is_unix) {
		io->local_port = w->is_client ? CLIENT_PORT : w->port;
		io->peer_port = w->is_client ? w->port : CLIENT_PORT;
	}
	io->work = w->work;
	w->work = (struct work){0};
	if (captured)
		memcpy(io->data, call->bytes + offset, captured);
	if (last && call->tail_len) {
		io->tail_len = call->tail_len;
		memcpy(io->tail, call->bytes + call->len - call->tail_len, call->tail_len);
	}
	pass_on(w, record);
}

static void read_tail(struct call *call)
{
	call->tail_len = call->len < RECORD_TAIL_BYTES ? call->len : RECORD_TAIL_BYTES;
}

static bool begins_request(const uint8_t *b, size_t len)
{
	size_t i, start = len > 2 && b[0] == '\r' && b[1] == '\n' ? 2 : 0;

	if (len > FIRST_BYTES)
		len = FIRST_BYTES;
	for (i = start; i < FIRST_BYTES; i++) {
		if (i >= len)
			return i > start;
		if (b[i] == ' ')
			break;
		if ((b[i] < 'A' || b[i] > 'Z') && b[i] != '-' && b[i] != '_')
			return false;
	}
	if (i < start + 2)
		return false;
	if (i + 1 >= len || i >= FIRST_BYTES - 1)
		return true;
	switch (b[i + 1]) {
	case '/':
	case 'h':
	case 'H':
		return true;
	case '*':
		return b[start] != 'P' || b[start + 1] != 'R' || b[start + 2] != 'I';
	default:
		return b[start] == 'C' && b[start + 1] == 'O' && b[i + 1] != '{';
	}
}

static bool begins_response(const struct call *call)
{
	return call->len >= 7 && !memcmp(call->bytes, "HTTP/1.", 7);
}

static bool holds_second_head(const uint8_t *bytes, size_t len)
{
	size_t i;

	if (len > BATCH_SCAN_MAX)
		len = BATCH_SCAN_MAX;
	for (i = 0; i + 4 < len; i++) {
		if (!memcmp(bytes + i, "\r\n\r\n", 4))
			return true;
	}
	return false;
}

static bool ends_with_empty_line(const struct call *call, size_t least)
{
	return call->len >= least && !memcmp(call->bytes + call->len - 4, "\r\n\r\n", 4);
}

static bool plan_request(struct wire *w, struct call *call)
{
	uint8_t first = call->bytes[0];

	if (call->request) {
		w->batch = w->awaiting;
		w->awaiting = true;
		w->bodiless = first && strchr("GHDOT", first);
		w->tunnel = call->len > 1 && first == 'C' && call->bytes[1] == 'O';
		w->request_left = REQUEST_BUDGET;
	}
	if (w->bodiless)
		w->request_left = BODILESS_BUDGET;
	else if (call->request && call->len > REQUEST_BUDGET && ends_with_empty_line(call, 8))
		w->request_left = BODILESS_BUDGET;
	if (!w->request_left)
		return false;
	call->want = call->len < w->request_left ? call->len : w->request_left;
	w->request_left -= call->want;
	return true;
}

static bool ends_http(const struct wire *w, const struct call *call)
{
	if (!w->awaiting || call->len < 12)
		return false;
	return !memcmp(call->bytes + 9, "101", 3) || (w->tunnel && call->bytes[9] == '2');
}

/* True: HTTP ends with it. */
static bool plan_response(struct wire *w, struct call *call)
{
	bool ends = false;

	if (begins_response(call)) {
		ends = ends_http(w, call);
		w->response_left = w->batch ? BATCH_BUDGET : RESPONSE_BUDGET;
		if (call->len >= 10 && call->bytes[9] != '1')
			w->awaiting = false;
	}
	call->want = call->len < w->response_left ? call->len : w->response_left;
	w->response_left -= call->want;
	return ends;
}

static void response_copied(struct wire *w, bool empty_line)
{
	if (empty_line && !w->batch)
		w->response_left = 0;
}

static void dismiss(struct wire *w)
{
	w->role = ROLE_NONE;
	w->dismissed = true;
}

static bool is_request_direction(const struct wire *w, const struct call *call)
{
	return (call->direction == DIRECTION_SENT) == w->is_client;
}

static void emit_whole(struct wire *w, struct call *call)
{
	bool ends = false, empty_line = ends_with_empty_line(call, 4);

	if (is_request_direction(w, call)) {
		bool planned = plan_request(w, call) || empty_line;

		if (call->request && call->len > BATCH_SCAN_MIN)
			w->batch |= holds_second_head(call->bytes, call->len);
		if (!planned)
			return;
	} else {
		ends = plan_response(w, call);
		response_copied(w, empty_line);
	}
	emit(w, call, 0, call->len, true);
	if (ends)
		dismiss(w);
}

static void emit_slices(struct wire *w, const struct call *call, bool last)
{
	size_t offset = 0, n;

	for (; offset < call->want; offset += n) {
		n = call->want - offset < RECORD_DATA_MAX ? call->want - offset : RECORD_DATA_MAX;
		emit(w, call, offset, n, last && offset + n == call->want);
	}
}

static void emit_parts(struct wire *w, struct call *call)
{
	bool ends = false, end_too = false;
	size_t n;

	if (is_request_direction(w, call)) {
		bool planned = plan_request(w, call);

		read_tail(call);
		end_too = call->want < call->len && ends_with_empty_line(call, 8);
		if (!planned && !end_too)
			return;
		if (call->request && call->want > BATCH_SCAN_MIN)
			w->batch |= holds_second_head(call->bytes, call->want);
	} else {
		ends = plan_response(w, call);
		read_tail(call);
		response_copied(w, ends_with_empty_line(call, 8));
	}
	if (call->len <= FIRST_BYTES || (call->want < FIRST_BYTES && !end_too)) {
		n = call->len < FIRST_BYTES ? call->len : FIRST_BYTES;
		emit(w, call, 0, n, true);
	} else {
		if (call->want == call->len || end_too)
			call->tail_len = 0;
		emit_slices(w, call, !end_too);
		if (end_too) {
			n = call->len - call->want;
			n = n < RECORD_DATA_MAX ? n : RECORD_DATA_MAX;
			emit(w, call, call->len - n, n, true);
		}
	}
	if (ends)
		dismiss(w);
}

/* A hook runs. */
static void seen(struct wire *w, struct call *call)
{
	w->now_ns += w->step_ns;
	call->flags |= w->is_unix ? IO_UNIX : 0;
	call->flags |= w->is_tls ? IO_TLS : 0;
	call->flags |= w->from_birth && !w->is_unix ? IO_FROM_BIRTH : 0;
	if (w->dismissed)
		return;
	if (!call->bytes) {
		if (w->role != ROLE_NONE)
			emit(w, call, 0, 0, true);
		return;
	}
	call->request = is_request_direction(w, call) && begins_request(call->bytes, call->len);
	if (w->role != ROLE_NONE && call->len <= WHOLE_MAX) {
		emit_whole(w, call);
		return;
	}
	if (w->role == ROLE_NONE) {
		if (!call->request)
			return;
		w->role = w->is_client ? ROLE_CLIENT : ROLE_SERVER;
		call->flags |= w->shutdown & 1 ? IO_PEER_CLOSED : 0;
	}
	emit_parts(w, call);
}

void wire_receive_begin(struct wire *w, size_t len)
{
	w->received += len;
}

void wire_receive_hook(struct wire *w, const void *bytes, size_t len)
{
	struct call call = {.bytes = bytes, .len = len, .direction = DIRECTION_RECEIVED};

	call.begin = w->received_seen;
	w->received_seen += len;
	call.other_end = w->is_unix ? w->sent_seen : w->sent; /* TCP: write_seq */
	call.arrival_ns = w->is_client ? 0 : w->arrival_ns;
	w->arrival_ns = 0;
	seen(w, &call);
}

void wire_receive(struct wire *w, const void *bytes, size_t len)
{
	wire_receive_begin(w, len);
	wire_receive_hook(w, bytes, len);
}

void wire_send_begin(struct wire *w, size_t len)
{
	w->sent += len;
}

void wire_send_hook(struct wire *w, const void *bytes, size_t len)
{
	struct call call = {.bytes = bytes, .len = len, .direction = DIRECTION_SENT};

	call.begin = w->sent_seen;
	w->sent_seen += len;
	call.other_end = w->is_unix ? w->received_seen : w->received; /* TCP: copied_seq */
	seen(w, &call);
}

void wire_send(struct wire *w, const void *bytes, size_t len)
{
	wire_send_begin(w, len);
	wire_send_hook(w, bytes, len);
}

void wire_send_unseen(struct wire *w, size_t len, bool unreadable)
{
	struct call call = {.len = len, .direction = DIRECTION_SENT};

	call.begin = w->sent_seen;
	w->sent += len;
	w->sent_seen += len;
	call.other_end = w->received;
	call.flags = unreadable ? IO_UNREADABLE : 0;
	seen(w, &call);
}

void wire_receive_text(struct wire *w, const char *text)
{
	wire_receive(w, text, strlen(text));
}

void wire_send_text(struct wire *w, const char *text)
{
	wire_send(w, text, strlen(text));
}

void wire_eof(struct wire *w)
{
	struct call call = {
		.begin = w->received,
		.other_end = w->sent_seen,
		.direction = DIRECTION_RECEIVED,
		.flags = IO_EOF | IO_UNIX,
	};

	w->now_ns += w->step_ns;
	if (w->is_unix && w->role != ROLE_NONE)
		emit(w, &call, 0, 0, true);
}

void wire_state(struct wire *w, uint8_t new_state, uint32_t error)
{
	struct wire_record *record = record_new(sizeof(struct record_state));
	struct record_state *state = (void *)record->bytes;

	w->now_ns += w->step_ns;
	if (new_state == TCP_CLOSE && !w->is_client) {
		state->arrival_ns = w->arrival_ns;
		state->listener_pid = w->listener_pid;
	}
	if (w->role == ROLE_NONE && !state->arrival_ns) {
		free(record);
		return;
	}
	state->local_port = w->is_client ? CLIENT_PORT : w->port;
	state->shutdown = w->shutdown;
	state->head = (struct record_head){.time_ns = w->now_ns, .kind = RECORD_STATE};
	state->cookie = w->is_tls ? w->cookie | COOKIE_TLS : w->cookie;
	state->received_end = w->is_tls ? 0 : w->received_seen;
	state->sent_end = w->is_tls ? 0 : w->sent;
	state->error = error;
	state->old_state = TCP_ESTABLISHED;
	state->new_state = new_state;
	pass_on(w, record);
}

void wire_peer_fin(struct wire *w)
{
	w->shutdown |= 1;
	wire_state(w, TCP_CLOSE_WAIT, 0);
}

void wire_half_close(struct wire *w)
{
	w->shutdown |= 2;
	wire_state(w, TCP_FIN_WAIT1, 0);
}

void wire_close_begins(struct wire *w)
{
	bool peer_first = w->shutdown & 1;

	w->shutdown = 3;
	wire_state(w, peer_first ? TCP_LAST_ACK : TCP_FIN_WAIT1, 0);
}

void wire_finish(struct wire *w)
{
	wire_close_begins(w);
	wire_state(w, TCP_CLOSE, 0);
}

void wire_reset(struct wire *w)
{
	wire_state(w, TCP_CLOSE, ECONNRESET);
}

struct connection_state wire_listed(const struct wire *w)
{
	return (struct connection_state){
		.cookie = w->is_tls ? w->cookie | COOKIE_TLS : w->cookie,
		.received_end = w->is_tls ? 0 : w->received_seen,
		.sent_end = w->is_tls ? 0 : w->sent_seen,
		.arrival_ns = w->is_client ? 0 : w->arrival_ns,
		.listener_pid = w->listener_pid,
		.local_port = w->is_unix ? 0 : w->port,
		.role = w->role,
		.shutdown = w->shutdown,
		.is_unix = w->is_unix,
	};
}
