// SPDX-License-Identifier: Apache-2.0
/* Which groups of probes each process has. What attaches them is not here: the linker puts the
 * functions below in the place of tls_libraries.h and of the capture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "../agent/tls.h"

#define SHOP 100
#define OTHER 101
#define PIDS 1024

static struct {
	unsigned groups[PIDS]; /* 0: not wanted */
	bool covered[PIDS];
	size_t probe_count, closed_count;
	const char *missing; /* a program that the capture has not */
} world;

bool __wrap_uprobes_know_processes(void);
struct bpf_program *__wrap_capture_program(const struct capture *c, const char *name);
int __wrap_tls_libraries_open(struct tls_libraries **out,
			      const struct tls_libraries_config *config);
void __wrap_tls_libraries_set_wanted(struct tls_libraries *t, pid_t pid, bool wanted);
void __wrap_tls_libraries_run(struct tls_libraries *t, uint64_t now_ns)
{
	(void)t;
	(void)now_ns;
}

void __wrap_tls_libraries_set_groups(struct tls_libraries *t, pid_t pid, unsigned groups);
bool __wrap_tls_libraries_cover(const struct tls_libraries *t, pid_t pid);
struct tls_libraries_stats __wrap_tls_libraries_stats(const struct tls_libraries *t);
void __wrap_tls_libraries_close(struct tls_libraries *t);

bool __wrap_uprobes_know_processes(void)
{
	return true;
}

struct bpf_program *__wrap_capture_program(const struct capture *c, const char *name)
{
	(void)c;
	return world.missing && !strcmp(name, world.missing) ? NULL : (void *)&world;
}

int __wrap_tls_libraries_open(struct tls_libraries **out, const struct tls_libraries_config *config)
{
	world.probe_count = config->probe_count;
	*out = (void *)&world;
	return 0;
}

void __wrap_tls_libraries_set_wanted(struct tls_libraries *t, pid_t pid, bool wanted)
{
	(void)t;
	world.groups[pid] = wanted ? TLS_GROUPS_ALL : 0;
}

void __wrap_tls_libraries_set_groups(struct tls_libraries *t, pid_t pid, unsigned groups)
{
	(void)t;
	world.groups[pid] = groups;
}

bool __wrap_tls_libraries_cover(const struct tls_libraries *t, pid_t pid)
{
	(void)t;
	return world.covered[pid];
}

struct tls_libraries_stats __wrap_tls_libraries_stats(const struct tls_libraries *t)
{
	(void)t;
	return (struct tls_libraries_stats){.file_count = 3};
}

void __wrap_tls_libraries_close(struct tls_libraries *t)
{
	(void)t;
	world.closed_count++;
}

static int open_tls(void **state)
{
	struct tls *t = NULL;

	memset(&world, 0, sizeof(world));
	if (tls_open(&t, NULL, UPROBE_MULTI))
		return -1;
	tls_set_wanted(t, SHOP, true);
	*state = t;
	return 0;
}

static int close_tls(void **state)
{
	tls_close(*state);
	return world.closed_count == 1 ? 0 : -1;
}

static void serve(struct tls *t, pid_t pid, unsigned flags, unsigned count)
{
	struct record_io io = {.head = {.pid = (uint32_t)pid,
					.kind = RECORD_IO,
					.role = ROLE_SERVER,
					.direction = DIRECTION_RECEIVED,
					.flags = (uint8_t)(IO_LAST | flags)}};
	struct record record = {.kind = RECORD_IO, .io = &io};

	while (count--)
		tls_record(t, &record);
}

/* Anything else that passes: role, direction, the offset of a slice. */
static void pass(struct tls *t, enum role role, enum direction direction, uint32_t offset)
{
	struct record_io io = {.head = {.pid = SHOP,
					.kind = RECORD_IO,
					.role = (uint8_t)role,
					.direction = (uint8_t)direction,
					.flags = IO_TLS},
			       .offset = offset};

	tls_record(t, &(struct record){.kind = RECORD_IO, .io = &io});
}

static void tell(struct tls *t, enum tls_event event)
{
	struct record_tls tls = {.head = {.pid = SHOP, .kind = RECORD_TLS},
				 .event = (uint8_t)event};

	tls_record(t, &(struct record){.kind = RECORD_TLS, .tls = &tls});
}

static void begin_undecoded(struct tls *t, uint8_t first)
{
	struct record_undecoded undecoded = {
		.head = {.pid = SHOP, .kind = RECORD_UNDECODED}, .len = 1, .first = {first}};

	tls_record(t, &(struct record){.kind = RECORD_UNDECODED, .undecoded = &undecoded});
}

static void tell_process(struct tls *t, enum record_kind kind, pid_t pid, pid_t parent)
{
	struct record_process process = {.head = {.pid = (uint32_t)pid, .kind = (uint8_t)kind},
					 .parent = (uint32_t)parent};

	tls_record(t, &(struct record){.kind = kind, .process = &process});
}

/* All probes for a while, then what it uses. */
static void assert_is_decided(struct tls *t, unsigned groups)
{
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL);
	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS - 1);
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL);
	serve(t, SHOP, 0, 1);
	assert_int_equal(world.groups[SHOP], groups);
}

static void a_process_has_all_probes_until_it_has_served_enough(void **state)
{
	assert_is_decided(*state, TLS_GROUP_BASE);
}

static void only_requests_that_are_served_count(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS - 1);
	pass(t, ROLE_SERVER, DIRECTION_SENT, 0);
	pass(t, ROLE_SERVER, DIRECTION_RECEIVED, 4096); /* a further slice */
	pass(t, ROLE_CLIENT, DIRECTION_SENT, 0);
	serve(t, OTHER, 0, 2 * TLS_DECIDE_REQUESTS); /* is not wanted */
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL);
	assert_int_equal(world.groups[OTHER], 0);
	serve(t, SHOP, 0, 1);
	assert_int_not_equal(world.groups[SHOP], TLS_GROUPS_ALL);
}

static void who_serves_tls_and_asks_nobody_has_no_probe_on_what_it_reads(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, IO_TLS, 1);
	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[SHOP], TLS_GROUP_BASE | TLS_GROUP_SERVER);
}

static void who_does_both_keeps_both(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, IO_TLS, 1);
	tell(t, TLS_CONNECTS);
	serve(t, SHOP, IO_TLS, TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[SHOP], TLS_GROUP_BASE | TLS_GROUP_SERVER | TLS_GROUP_CLIENT);
}

static void a_session_that_was_opened_before_tells_of_a_client_too(void **state)
{
	struct tls *t = *state;

	pass(t, ROLE_CLIENT, DIRECTION_SENT, 0);
	serve(t, SHOP, IO_TLS, TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[SHOP],
			 TLS_GROUP_BASE | TLS_GROUP_SERVER | TLS_GROUP_CLIENT | TLS_GROUP_BIO);
}

static void bios_are_probed_where_sessions_are_received_for_together(void **state)
{
	struct tls *t = *state;

	tell(t, TLS_BATCHES);
	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[SHOP], TLS_GROUP_BASE | TLS_GROUP_BIO);
}

static void a_session_that_begins_brings_the_parser_back(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	begin_undecoded(t, 'P'); /* of HTTP/2 without TLS */
	assert_int_equal(world.groups[SHOP], TLS_GROUP_BASE);
	begin_undecoded(t, TLS_HANDSHAKE);
	assert_is_decided(t, TLS_GROUP_BASE | TLS_GROUP_SERVER);
	begin_undecoded(t, TLS_HANDSHAKE); /* nothing new */
	assert_int_equal(world.groups[SHOP], TLS_GROUP_BASE | TLS_GROUP_SERVER);
}

static void a_certificate_brings_the_parser_back(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	tell(t, TLS_SERVES);
	assert_is_decided(t, TLS_GROUP_BASE | TLS_GROUP_SERVER);
}

static void a_server_that_asks_others_has_its_reads_probed(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, IO_TLS, TLS_DECIDE_REQUESTS);
	tell(t, TLS_CONNECTS);
	assert_is_decided(t, TLS_GROUP_BASE | TLS_GROUP_SERVER | TLS_GROUP_CLIENT);
}

static void what_no_probe_was_there_for_is_counted(void **state)
{
	struct tls *t = *state;

	tell(t, TLS_UNASKED); /* its request was read before the agent was there */
	tell(t, TLS_UNHEARD);
	assert_int_equal(tls_stats(t).missed_requests, 0);
	tls_set_wanted(t, SHOP, false);
	tls_set_wanted(t, SHOP, true);
	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	tell(t, TLS_UNASKED);
	assert_int_equal(tls_stats(t).missed_requests, 1);
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL); /* if nothing else has told */
	tell(t, TLS_UNASKED); /* one that was read before the probe was back */
	assert_int_equal(tls_stats(t).missed_requests, 2);
	serve(t, SHOP, IO_TLS, TLS_DECIDE_REQUESTS);
	tell(t, TLS_UNASKED);
	assert_int_equal(tls_stats(t).missed_requests, 3);
}

static void what_a_new_process_answers_before_it_has_probes_is_counted(void **state)
{
	struct tls *t = *state;

	tls_run(t, 1);
	tell(t, TLS_UNASKED); /* it was there before the probes were */
	assert_int_equal(tls_stats(t).missed_requests, 0);
	tls_set_wanted(t, SHOP, true); /* it is another program now */
	tell(t, TLS_UNASKED);
	tell(t, TLS_UNHEARD);
	assert_int_equal(tls_stats(t).missed_requests, 2);
}

static void what_a_server_asks_without_a_probe_is_counted(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, IO_TLS, TLS_DECIDE_REQUESTS);
	tell(t, TLS_UNHEARD);
	assert_int_equal(tls_stats(t).missed_requests, 1);
	tell(t, TLS_UNASKED); /* it was never without that one */
	assert_int_equal(tls_stats(t).missed_requests, 1);
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL);
}

static void a_fork_of_a_process_with_tls_is_wanted_and_undecided(void **state)
{
	struct tls *t = *state;

	world.covered[SHOP] = true;
	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	tell_process(t, RECORD_FORK, OTHER, SHOP);
	assert_int_equal(world.groups[OTHER], TLS_GROUPS_ALL);
	serve(t, OTHER, IO_TLS, TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[OTHER], TLS_GROUP_BASE | TLS_GROUP_SERVER);
	assert_int_equal(world.groups[SHOP], TLS_GROUP_BASE);
	tell_process(t, RECORD_FORK, OTHER + 1, OTHER); /* which has no library */
	assert_int_equal(world.groups[OTHER + 1], 0);
}

static void a_process_that_ends_is_forgotten_and_its_pid_begins_anew(void **state)
{
	struct tls *t = *state;

	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS);
	tell_process(t, RECORD_EXIT, SHOP, 0);
	assert_int_equal(world.groups[SHOP], 0);
	tell(t, TLS_SERVES); /* came late */
	assert_int_equal(world.groups[SHOP], 0);
	tls_set_wanted(t, SHOP, true);
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL);
	serve(t, SHOP, 0, TLS_DECIDE_REQUESTS - 1);
	assert_int_equal(world.groups[SHOP], TLS_GROUPS_ALL);
}

static void processes_beyond_the_bound_keep_all_probes(void **state)
{
	struct tls *t = *state;
	pid_t last = SHOP + TLS_PROCESSES_LOOKED_AT - 1;

	for (pid_t pid = SHOP + 1; pid <= last + 1; pid++)
		tls_set_wanted(t, pid, true);
	serve(t, last, 0, TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[last], TLS_GROUP_BASE);
	serve(t, last + 1, 0, 2 * TLS_DECIDE_REQUESTS);
	assert_int_equal(world.groups[last + 1], TLS_GROUPS_ALL);
}

static void a_program_that_is_missing_is_an_error(void **state)
{
	struct tls *t = NULL;

	(void)state;
	memset(&world, 0, sizeof(world));
	world.missing = "tls_plaintext";
	assert_int_equal(tls_open(&t, NULL, UPROBE_MULTI), -ENOENT);
	assert_null(t);
	assert_int_equal(world.probe_count, 0);
}

static void nothing_is_looked_into_without_it(void **state)
{
	(void)state;
	assert_int_equal(tls_fd(NULL), -1);
	tls_run(NULL, 1);
	tls_set_wanted(NULL, SHOP, true);
	serve(NULL, SHOP, 0, 1);
	assert_false(tls_covers(NULL, SHOP));
	assert_int_equal(tls_stats(NULL).libraries.file_count, 0);
	tls_close(NULL);
}

static void what_the_libraries_tell_is_passed_on(void **state)
{
	struct tls *t = *state;

	world.covered[SHOP] = true;
	assert_true(tls_covers(t, SHOP));
	assert_false(tls_covers(t, OTHER));
	assert_int_equal(tls_stats(t).libraries.file_count, 3);
	assert_in_range(world.probe_count, 1, TLS_PROBES_MAX);
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, open_tls, close_tls)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TLS_TEST(a_process_has_all_probes_until_it_has_served_enough),
		TLS_TEST(only_requests_that_are_served_count),
		TLS_TEST(who_serves_tls_and_asks_nobody_has_no_probe_on_what_it_reads),
		TLS_TEST(who_does_both_keeps_both),
		TLS_TEST(a_session_that_was_opened_before_tells_of_a_client_too),
		TLS_TEST(bios_are_probed_where_sessions_are_received_for_together),
		TLS_TEST(a_session_that_begins_brings_the_parser_back),
		TLS_TEST(a_certificate_brings_the_parser_back),
		TLS_TEST(a_server_that_asks_others_has_its_reads_probed),
		TLS_TEST(what_no_probe_was_there_for_is_counted),
		TLS_TEST(what_a_new_process_answers_before_it_has_probes_is_counted),
		TLS_TEST(what_a_server_asks_without_a_probe_is_counted),
		TLS_TEST(a_fork_of_a_process_with_tls_is_wanted_and_undecided),
		TLS_TEST(a_process_that_ends_is_forgotten_and_its_pid_begins_anew),
		TLS_TEST(processes_beyond_the_bound_keep_all_probes),
		TLS_TEST(what_the_libraries_tell_is_passed_on),
		cmocka_unit_test(a_program_that_is_missing_is_an_error),
		cmocka_unit_test(nothing_is_looked_into_without_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
