// SPDX-License-Identifier: Apache-2.0
#include "account.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "addresses.h"
#include "outcome.h"

/* A connect() given up sooner was no timeout: of two addresses the other was faster, for one. */
#define CONNECT_TIMEOUT_NS (100 * 1000000ull)

static struct series_key key_of(const struct exchange *x, enum instrument instrument)
{
	return (struct series_key){
		.service = x->service,
		.address = x->address,
		.error_type = outcome_error_type(x),
		.status = x->status,
		.port = x->port,
		.method = x->method,
		.version = x->version,
		.scheme = x->is_tls ? SCHEME_HTTPS : SCHEME_HTTP,
		.instrument = instrument,
	};
}

/* The route as things stand. */
static const struct route *route_now(const struct exchange *x)
{
	return x->has_path ? routes_find(x->service->routes, x->template, x->template_len) : NULL;
}

/* It is that, and will be: also a request without a path, which has no route. */
static bool has_place(const struct route *route)
{
	return !route || route->template[0] != '{';
}

/* A request that has been decided takes its place. */
static const struct route *route_for(const struct exchange *x, bool hung)
{
	unsigned int status = hung && !x->status ? 200 : x->status;

	return x->has_path ? routes_place(x->service->routes, x->template, x->template_len, status)
			   : NULL;
}

/* --- servers --- */

static void decide(struct account *a, struct series_key *key, enum outcome outcome,
		   uint64_t waited_ns)
{
	const struct slo *slos[LIMITS_SLOS_MAX];
	size_t i, count;

	key->instrument = INSTRUMENT_SERVER_REQUESTS;
	aggregate_count(a->aggregate, key, outcome);
	if (outcome == OUTCOME_ABORTED)
		return;
	count = limits_slos(a->limits, key->service->name, key->route ? key->route->template : NULL,
			    slos);
	key->instrument = INSTRUMENT_SLO;
	for (i = 0; i < count; i++) {
		key->slo = slos[i];
		aggregate_slo(a->aggregate, key,
			      outcome == OUTCOME_OK && waited_ns <= slos[i]->limit_ns);
	}
}

static void observe_queue(struct account *a, const struct exchange *x)
{
	struct series_key key = key_of(x, INSTRUMENT_QUEUE_DURATION);

	if (x->arrival_ns)
		aggregate_observe(a->aggregate, &key, x->start_ns - x->arrival_ns);
}

static void server_done(struct account *a, struct exchange *x)
{
	enum outcome outcome = outcome_of(x);
	struct series_key key = key_of(x, INSTRUMENT_SERVER_DURATION);

	if (!x->head_complete)
		observe_queue(a, x);
	key.route = route_for(x, outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_NO_RESPONSE);
	aggregate_observe(a->aggregate, &key, x->end_ns - x->start_ns);
	x->route = key.route;
	if (a->charges)
		charges_enter(a->charges, x, x->route);
	if (!x->counted)
		decide(a, &key, outcome, outcome_waited_ns(x));
}

/* --- clients --- */

static void client_done(struct account *a, const struct exchange *x)
{
	struct series_key key = key_of(x, INSTRUMENT_CLIENT_DURATION);

	aggregate_observe(a->aggregate, &key, x->end_ns - x->start_ns);
	key.instrument = INSTRUMENT_CLIENT_REQUESTS;
	aggregate_count(a->aggregate, &key, outcome_of(x));
}

static const char *connect_error(const struct record_connect_failed *record)
{
	switch (record->error) {
	case 0: /* given up */
		return record->head.time_ns >= record->begin_ns + CONNECT_TIMEOUT_NS ? "timeout"
										     : "aborted";
	case ECONNREFUSED:
		return "connection_refused";
	case ETIMEDOUT:
		return "timeout";
	case ECONNRESET:
		return "connection_reset";
	case EHOSTUNREACH:
		return "host_unreachable";
	case ENETUNREACH:
		return "network_unreachable";
	default:
		return "_OTHER"; /* as the semantic conventions have it */
	}
}

static const char *connect_address(struct service *service,
				   const struct record_connect_failed *record)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291, 2.5.5.2 */
	const uint8_t *address = record->peer_address;
	char text[INET6_ADDRSTRLEN];
	int family = record->family;

	if (family == AF_INET6 && !memcmp(address, mapped, sizeof(mapped))) {
		family = AF_INET;
		address += sizeof(mapped);
	}
	if (!inet_ntop(family, address, text, sizeof(text)))
		return NULL;
	return addresses_find(service->addresses, text, strlen(text));
}

void account_connect_failed(struct account *a, const struct record_connect_failed *record)
{
	struct series_key key = {
		.service = services_bind_client(a->services, (pid_t)record->head.pid,
						record->head.time_ns),
		.error_type = connect_error(record),
		.port = record->peer_port,
		.instrument = INSTRUMENT_CONNECT_FAILURES,
	};

	if (!key.service)
		return;
	key.address = connect_address((struct service *)key.service, record);
	aggregate_fail(a->aggregate, &key);
}

/* --- what exchanges report --- */

/* The text that --timeout means by a route: its template, folded as far as is known. */
static const char *route_name(const struct exchange *x, const struct route *route)
{
	return !route || route->template[0] != '{' ? (route ? route->template : NULL) : x->template;
}

static void on_request(void *context, struct exchange *x, const char *path, size_t path_len)
{
	struct account *a = context;
	const struct route *route;

	if (x->role == ROLE_CLIENT) {
		x->service = services_bind_client(a->services, (pid_t)x->pid, x->start_ns);
		return;
	}
	x->service = services_bind(a->services, (pid_t)x->pid, x->port, x->start_ns);
	if (!x->service)
		return;
	if (x->is_tls)
		x->service->tls_sessions = TLS_SESSIONS_SEEN;
	x->deferred = x->service->runtime == RUNTIME_PYTHON;
	x->has_path = path_len > 0;
	if (x->has_path)
		x->template_len =
			(uint16_t)routes_fold(x->service->routes, path, path_len, x->template);
	route = route_now(x);
	x->class_id = route ? route->id : ROUTES_ID_MAX;
	x->limit_ns = limits_timeout_ns(a->limits, x->service->name, route_name(x, route));
}

static void on_host(void *context, struct exchange *x, const char *host, size_t host_len)
{
	(void)context;
	x->address = addresses_find(x->service->addresses, host, host_len);
}

static void on_begun(void *context, struct exchange *x)
{
	struct account *a = context;
	struct series_key key = key_of(x, INSTRUMENT_SERVER_REQUESTS);

	if (x->role == ROLE_CLIENT)
		return;
	observe_queue(a, x);
	key.route = route_now(x);
	if (has_place(key.route))
		aggregate_touch(a->aggregate, &key);
}

static void on_first_byte(void *context, const struct exchange *x)
{
	struct account *a = context;
	struct series_key key = key_of(x, INSTRUMENT_TIME_TO_FIRST_BYTE);

	if (x->role == ROLE_CLIENT)
		return;
	key.route = route_for(x, false);
	aggregate_observe(a->aggregate, &key, x->first_byte_ns - x->start_ns);
}

static void on_timed_out(void *context, struct exchange *x)
{
	struct account *a = context;
	struct series_key key = key_of(x, INSTRUMENT_SERVER_REQUESTS);

	x->counted = true;
	key.route = route_for(x, true);
	decide(a, &key, OUTCOME_TIMEOUT, UINT64_MAX);
}

static void on_done(void *context, struct exchange *x)
{
	if (x->role == ROLE_CLIENT)
		client_done(context, x);
	else
		server_done(context, x);
}

static void on_read(void *context, struct exchange *x)
{
	struct account *a = context;

	if (a->charges && x->service && x->role == ROLE_SERVER)
		charges_read(a->charges, x);
}

static void on_gone(void *context, struct exchange *x)
{
	struct account *a = context;

	if (a->charges)
		charges_gone(a->charges, x);
}

static void on_worked(void *context, struct exchange *x, enum exchange_work how,
		      const struct costs *costs)
{
	struct account *a = context;

	if (a->charges)
		charges_worked(a->charges, x, how, costs);
}

static void on_worked_turn(void *context, struct exchange *const *list, size_t count,
			   const struct costs *costs)
{
	struct account *a = context;

	if (a->charges)
		charges_worked_turn(a->charges, list, count, costs);
}

static bool on_begun_turn(void *context, const struct exchange *x, uint64_t cpu_ns)
{
	struct account *a = context;

	return !a->charges || charges_begun_turn(a->charges, x, cpu_ns);
}

static void on_worked_after(void *context, const struct exchange_ended *ended, bool certain,
			    const struct costs *costs)
{
	struct account *a = context;

	if (a->charges)
		charges_worked_after(a->charges, ended, certain, costs);
}

/* --- what nobody reads --- */

static uint64_t unread_limit_ns(struct account *a, const struct service *service)
{
	return limits_timeout_ns(a->limits, service->name,
				 routes_unread(service->routes)->template);
}

static bool on_unread(void *context, const struct exchange_unread *unread)
{
	struct account *a = context;
	struct service *service =
		services_find_serving(a->services, (pid_t)unread->pid, unread->port);

	if (!service)
		return false;
	if (!service->unread_count++ || unread->arrival_ns < service->unread_since_ns)
		service->unread_since_ns = unread->arrival_ns;
	return unread->seen_ns > unread->arrival_ns + unread_limit_ns(a, service);
}

static void on_unread_ended(void *context, const struct exchange_unread *unread, bool died)
{
	struct account *a = context;
	struct series_key key = {.port = unread->port};
	struct service *service =
		services_find_serving(a->services, (pid_t)unread->pid, unread->port);

	if (!service)
		return;
	key.service = service;
	key.route = routes_unread(service->routes);
	if (died && unread->seen_ns <= unread->arrival_ns + unread_limit_ns(a, service))
		decide(a, &key, OUTCOME_NO_RESPONSE, UINT64_MAX);
	else
		decide(a, &key, OUTCOME_TIMEOUT, UINT64_MAX);
}

void account_list_begin(struct account *a)
{
	struct service *service = NULL;

	while ((service = services_next(a->services, service)))
		service->unread_count = 0;
}

/* --- in flight --- */

struct in_flight {
	struct account *account;
	uint64_t now_ns;
};

static void add_open(void *context, struct exchange *x)
{
	const struct in_flight *in_flight = context;
	struct account *a = in_flight->account;
	struct series_key key = key_of(x, INSTRUMENT_ACTIVE);

	if (x->role == ROLE_CLIENT)
		return;
	key.route = route_now(x);
	aggregate_active(a->aggregate, &key,
			 in_flight->now_ns > x->start_ns ? in_flight->now_ns - x->start_ns : 0);
	if (a->charges)
		charges_in_flight(a->charges, x, has_place(key.route), key.route);
}

void account_in_flight(struct account *a, struct exchanges *exchanges, uint64_t now_ns)
{
	struct in_flight in_flight = {.account = a, .now_ns = now_ns};
	struct service *service = NULL;

	aggregate_active_begin(a->aggregate);
	if (a->charges)
		charges_in_flight_begin(a->charges);
	exchanges_each_open(exchanges, add_open, &in_flight);
	while ((service = services_next(a->services, service))) {
		struct series_key key = {.service = service, .instrument = INSTRUMENT_OLDEST};

		if (!service->unread_count || now_ns < service->unread_since_ns)
			continue;
		key.route = routes_unread(service->routes);
		aggregate_active(a->aggregate, &key, now_ns - service->unread_since_ns);
	}
	if (a->charges)
		charges_unattributed(a->charges);
}

/* --- the rest --- */

/* RFC 9113, section 3.4: what a client sends first, and the SETTINGS frame of a server. */
static bool begins_http2(const struct record_undecoded *record)
{
	static const uint8_t settings[] = {4, 0, 0, 0, 0, 0}; /* type, flags, stream */

	if (record->len >= 14 && !memcmp(record->first, "PRI * HTTP/2.0", 14))
		return true;
	return record->len >= 9 && !memcmp(record->first + 3, settings, sizeof(settings));
}

/* Probes may have come while connections were open: what these did before proves nothing. */
#define TLS_UNDECIDED_NS 1000000000

/* A TLS connection that a service accepted. */
static void account_tls(struct service *service, uint64_t time_ns, bool library_is_seen)
{
	if (!library_is_seen || service->tls_sessions == TLS_SESSIONS_UNSEEN) {
		service->undecoded_counts[UNDECODED_TLS]++;
	} else if (service->tls_sessions == TLS_SESSIONS_UNDECIDED) {
		if (!service->tls_undecided_ns)
			service->tls_undecided_ns = time_ns;
		service->tls_undecided_count++;
	}
}

/* One of them has answered, and no session was seen. */
static void account_unseen(struct service *service, uint64_t time_ns)
{
	if (service->tls_sessions != TLS_SESSIONS_UNDECIDED)
		return;
	if (!service->tls_undecided_ns)
		service->tls_undecided_ns = time_ns;
	if (time_ns < service->tls_undecided_ns + TLS_UNDECIDED_NS)
		return;
	service->tls_sessions = TLS_SESSIONS_UNSEEN;
	service->undecoded_counts[UNDECODED_TLS] += service->tls_undecided_count;
}

void account_undecoded(struct account *a, const struct record_undecoded *record,
		       bool library_is_seen)
{
	bool is_client = record->head.role == ROLE_CLIENT;
	uint64_t time_ns = record->head.time_ns;
	pid_t pid = (pid_t)record->head.pid;
	struct service *service =
		is_client ? services_bind_client(a->services, pid, time_ns)
			  : services_bind(a->services, pid, record->local_port, time_ns);

	if (!service)
		return;
	if (!is_client && record->cookie & COOKIE_TLS)
		service->tls_sessions = TLS_SESSIONS_SEEN;
	if (!record->len && library_is_seen)
		account_unseen(service, time_ns);
	else if (begins_http2(record))
		service->undecoded_counts[is_client ? UNDECODED_CLIENT_HTTP2 : UNDECODED_HTTP2]++;
	else if (record->len >= 3 && record->first[0] == TLS_HANDSHAKE && record->first[1] == 3)
		account_tls(service, time_ns, library_is_seen);
	else if (record->len)
		service->undecoded_counts[UNDECODED_OTHER]++;
}

struct exchange_sink account_sink(struct account *account)
{
	return (struct exchange_sink){
		.request = on_request,
		.host = on_host,
		.begun = on_begun,
		.first_byte = on_first_byte,
		.timed_out = on_timed_out,
		.done = on_done,
		.read = on_read,
		.gone = on_gone,
		.worked = on_worked,
		.worked_turn = on_worked_turn,
		.begun_turn = on_begun_turn,
		.worked_after = on_worked_after,
		.unread = on_unread,
		.unread_ended = on_unread_ended,
		.context = account,
	};
}
