// SPDX-License-Identifier: Apache-2.0
/* Every rule of design.md, section 3, on outcomes and error.type. */
#include "../agent/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT 8000 /* in the tables, milliseconds */
#define ABORTED "aborted"
#define NO_RESPONSE "no_response"
#define RESET "connection_reset"
#define TIMEOUT "timeout"

struct rule {
	const char *what;
	struct {
		unsigned int arrival, start, first_byte, end; /* ms; 0: not known, none */
	} ms;
	unsigned int status;
	bool streamed;
	const char *cut_short;
	enum outcome outcome;
	const char *error_type;
};

static const struct rule of_servers[] = {
	{"answered", {0, 1, 2, 3}, 200, false, NULL, OUTCOME_OK, NULL},
	{"a client's fault", {0, 1, 2, 3}, 404, false, NULL, OUTCOME_OK, NULL},
	{"the last client's fault", {0, 1, 2, 3}, 499, false, NULL, OUTCOME_OK, NULL},
	{"the service's fault", {0, 1, 2, 3}, 500, false, NULL, OUTCOME_ERROR, NULL},
	{"a bad gateway", {0, 1, 2, 3}, 502, false, NULL, OUTCOME_ERROR, NULL},
	{"switched protocols", {0, 1, 2, 3}, 101, false, NULL, OUTCOME_OK, NULL},
	{"408 says so", {0, 1, 2, 3}, 408, false, NULL, OUTCOME_TIMEOUT, NULL},
	{"504 says so", {0, 1, 2, 3}, 504, false, NULL, OUTCOME_TIMEOUT, NULL},

	{"just in time", {0, 1, 0, 1 + LIMIT}, 200, false, NULL, OUTCOME_OK, NULL},
	{"late", {0, 1, 0, 2 + LIMIT}, 200, false, NULL, OUTCOME_TIMEOUT, NULL},
	{"late and an error", {0, 1, 0, 2 + LIMIT}, 500, false, NULL, OUTCOME_TIMEOUT, NULL},
	{"in time with its queue", {1000, 5000, 0, 9000}, 200, false, NULL, OUTCOME_OK, NULL},
	{"late by its queue", {1000, 5000, 0, 9001}, 200, false, NULL, OUTCOME_TIMEOUT, NULL},
	{"a stream lasts", {0, 1, 1000, 60000}, 200, true, NULL, OUTCOME_OK, NULL},
	{"a stream begins late", {0, 1, 2 + LIMIT, 60000}, 200, true, NULL, OUTCOME_TIMEOUT, NULL},
	{"its queue counts too", {1, 5000, 8002, 8003}, 200, true, NULL, OUTCOME_TIMEOUT, NULL},
	{"with a length it must end", {0, 1, 2, 60000}, 200, false, NULL, OUTCOME_TIMEOUT, NULL},

	{"the client closed", {0, 1, 0, 3}, 0, false, ABORTED, OUTCOME_ABORTED, ABORTED},
	{"the client reset", {0, 1, 0, 3}, 0, false, RESET, OUTCOME_ABORTED, RESET},
	{"reset within 200", {0, 1, 2, 3}, 200, false, RESET, OUTCOME_ABORTED, NULL},
	{"reset within 500", {0, 1, 2, 3}, 500, false, RESET, OUTCOME_ABORTED, NULL},
	{"closed before all of 200", {0, 1, 2, 3}, 200, false, ABORTED, OUTCOME_ABORTED, NULL},
	{"no answer", {0, 1, 0, 3}, 0, false, NO_RESPONSE, OUTCOME_NO_RESPONSE, NO_RESPONSE},
	{"half an answer", {0, 1, 2, 3}, 200, false, NO_RESPONSE, OUTCOME_NO_RESPONSE, NULL},
	{"half a stream", {0, 1, 2, 60000}, 200, true, NO_RESPONSE, OUTCOME_NO_RESPONSE, NULL},
	{"the limit passed before it closed",
	 {0, 1, 0, 2 + LIMIT},
	 0,
	 false,
	 ABORTED,
	 OUTCOME_TIMEOUT,
	 ABORTED},
	{"the limit passed before it was killed",
	 {0, 1, 0, 2 + LIMIT},
	 0,
	 false,
	 NO_RESPONSE,
	 OUTCOME_TIMEOUT,
	 NO_RESPONSE},
	{"the limit did not pass before the stream was left",
	 {0, 1, 2, 60000},
	 200,
	 true,
	 ABORTED,
	 OUTCOME_ABORTED,
	 NULL},
};

static const struct rule of_clients[] = {
	{"answered", {0, 1, 2, 3}, 200, false, NULL, OUTCOME_OK, NULL},
	{"answered after any time", {0, 1, 2, 60000}, 200, false, NULL, OUTCOME_OK, NULL},
	{"redirected", {0, 1, 2, 3}, 399, false, NULL, OUTCOME_OK, NULL},
	{"its fault", {0, 1, 2, 3}, 400, false, NULL, OUTCOME_ERROR, NULL},
	{"not found", {0, 1, 2, 3}, 404, false, NULL, OUTCOME_ERROR, NULL},
	{"the server's fault", {0, 1, 2, 3}, 503, false, NULL, OUTCOME_ERROR, NULL},
	{"408 says so", {0, 1, 2, 3}, 408, false, NULL, OUTCOME_TIMEOUT, NULL},
	{"504 says so", {0, 1, 2, 3}, 504, false, NULL, OUTCOME_TIMEOUT, NULL},
	{"it gave up", {0, 1, 0, 500}, 0, false, TIMEOUT, OUTCOME_TIMEOUT, TIMEOUT},
	{"it gave up within 200", {0, 1, 2, 500}, 200, false, TIMEOUT, OUTCOME_TIMEOUT, NULL},
	{"it closed", {0, 1, 0, 50}, 0, false, ABORTED, OUTCOME_ABORTED, ABORTED},
	{"the server reset", {0, 1, 0, 50}, 0, false, RESET, OUTCOME_NO_RESPONSE, RESET},
	{"reset within 200", {0, 1, 2, 50}, 200, false, RESET, OUTCOME_NO_RESPONSE, NULL},
	{"no answer", {0, 1, 0, 50}, 0, false, NO_RESPONSE, OUTCOME_NO_RESPONSE, NO_RESPONSE},
};

static uint64_t ns(unsigned int ms)
{
	return ms * 1000000ull;
}

static void judge(const struct rule *rules, size_t count, enum role role, uint64_t limit_ns)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const struct rule *rule = &rules[i];
		struct exchange x = {
			.arrival_ns = ns(rule->ms.arrival),
			.start_ns = ns(rule->ms.start),
			.first_byte_ns = ns(rule->ms.first_byte),
			.end_ns = ns(rule->ms.end),
			.limit_ns = limit_ns,
			.status = rule->status,
			.streamed = rule->streamed,
			.cut_short = rule->cut_short,
			.role = role,
		};
		const char *error_type = outcome_error_type(&x);

		if (outcome_of(&x) != rule->outcome)
			print_error("%s: outcome\n", rule->what);
		assert_int_equal(outcome_of(&x), rule->outcome);
		if (rule->error_type) {
			assert_non_null(error_type);
			assert_string_equal(error_type, rule->error_type);
		} else {
			assert_null(error_type);
		}
	}
}

static void what_becomes_of_a_servers_request(void **state)
{
	(void)state;
	judge(of_servers, sizeof(of_servers) / sizeof(of_servers[0]), ROLE_SERVER, ns(LIMIT));
}

static void what_becomes_of_a_clients_request(void **state)
{
	(void)state;
	judge(of_clients, sizeof(of_clients) / sizeof(of_clients[0]), ROLE_CLIENT, 0);
}

static void the_client_waited_from_arrival_to_the_end(void **state)
{
	struct exchange x = {.arrival_ns = 5, .start_ns = 20, .first_byte_ns = 30, .end_ns = 100};

	(void)state;
	assert_int_equal(outcome_waited_ns(&x), 95);
	x.arrival_ns = 0; /* not known */
	assert_int_equal(outcome_waited_ns(&x), 80);
	x.streamed = true;
	assert_int_equal(outcome_waited_ns(&x), 10);
	x.first_byte_ns = 0; /* cut short before it */
	assert_int_equal(outcome_waited_ns(&x), 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_becomes_of_a_servers_request),
		cmocka_unit_test(what_becomes_of_a_clients_request),
		cmocka_unit_test(the_client_waited_from_arrival_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
