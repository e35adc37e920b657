// SPDX-License-Identifier: Apache-2.0
/* main - joins the rooms: ring -> decode -> exchange -> aggregate -> snapshot -> exporters.
 *
 * One thread, one loop. The ring is drained on a timer, and before its time when it is an eighth
 * full or a snapshot is wanted; everything else is done between two drains. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "../exporters/console.h"
#include "../exporters/server.h"
#include "account.h"
#include "aggregate.h"
#include "capture.h"
#include "check.h"
#include "clock.h"
#include "decode.h"
#include "exchange.h"
#include "host.h"
#include "kernel.h"
#include "log.h"
#include "options.h"
#include "otlp_export.h"
#include "priority.h"
#include "resident.h"
#include "self_metrics.h"
#include "services.h"
#include "signals.h"
#include "tls.h"
#include "version.h"

#define DRAIN_NS (100 * 1000000ull)
#define EXPIRE_NS (1000 * 1000000ull)
#define SCAN_NS (10 * 1000 * 1000000ull) /* right behind a drain: it forgets who has gone */
#define SETTLE_GRACE_NS 1000000ull
/* Files of /proc that are read before a snapshot, and in each round while some wait: some 2 ms, and
 * 1 % of a CPU. */
#define USAGE_FILES 250
#define USAGE_FILES_ROUND 150
#define PROCESSES_LISTED 1000 /* with --per-process */
#define LIST_COST_MAX 100 /* listing connections takes at most one in so many seconds */
#define DRAINS_MAX 64 /* of CAPTURE_DRAIN_MAX records each, before a snapshot */

struct agent {
	struct options options;
	struct host host;
	struct capture *capture;
	struct tls *tls; /* NULL: TLS is not looked into */
	struct services *services;
	struct exchanges *exchanges;
	struct aggregate *aggregate;
	struct account account;
	struct charges charges;
	struct server *server;
	struct console *console;
	struct otlp_export *otlp; /* NULL: nothing is sent */
	int signal_fd;
	bool ready, stop;
	uint64_t drained_ns, expired_ns, scanned_ns, console_ns;
	uint64_t empty_ns; /* records of before have all been read */
	uint64_t listed_ns; /* when connections were last listed ... */
	uint64_t list_cost_ns; /* ... and how long it took */
	uint64_t listed_lost; /* records lost by then */
	uint64_t start_time_ns;
	struct self_inputs self;
	uint64_t closed_routes_overflow, closed_addresses_overflow; /* of services gone for good */
	struct self_metric self_rows[SELF_METRICS_MAX];
	const struct service **service_list;
	size_t service_capacity;
	struct service_process *process_list; /* of PROCESSES_LISTED; NULL: not wanted */
	struct snapshot snapshot;
};

/* --- from record to series --- */

static void on_process(struct agent *agent, const struct record *record)
{
	const struct record_process *process = record->process;
	pid_t pid = (pid_t)record->head->pid;
	struct usage used;

	process_usage_of_record(&used, &process->usage);
	if (record->kind == RECORD_EXEC)
		services_exec(agent->services, pid, &used, record->head->time_ns);
	else if (record->kind == RECORD_FORK)
		services_fork(agent->services, (pid_t)process->parent, pid, record->head->time_ns);
	else if (record->kind == RECORD_EXIT)
		services_exit(agent->services, pid, process->exit_code,
			      record->head->flags & EXIT_OOM_VICTIM, &used, record->head->time_ns);
	else
		services_reaped(agent->services, pid, &used);
	if (record->kind == RECORD_REAPED)
		charges_forget_process(&agent->charges, record->head->pid);
}

static void on_record(void *context, const void *bytes, size_t size)
{
	struct agent *agent = context;
	struct record record;

	if (decode_record(&record, bytes, size)) {
		agent->self.bad_records++;
		return;
	}
	agent->self.records[record.kind]++;
	tls_record(agent->tls, &record);
	switch (record.kind) {
	case RECORD_IO:
		exchanges_io(agent->exchanges, record.io);
		break;
	case RECORD_STATE:
		exchanges_state(agent->exchanges, record.state);
		break;
	case RECORD_UNDECODED:
		account_undecoded(&agent->account, record.undecoded,
				  tls_covers(agent->tls, (pid_t)record.head->pid));
		break;
	case RECORD_CONNECT_FAILED:
		account_connect_failed(&agent->account, record.connect_failed);
		break;
	case RECORD_TLS:
		if (record.tls->event == TLS_ENDS)
			exchanges_session_end(agent->exchanges, record.tls);
		break;
	case RECORD_EXEC:
	case RECORD_FORK:
	case RECORD_EXIT:
	case RECORD_REAPED:
		on_process(agent, &record);
		break;
	case RECORD_WORK:
		exchanges_work(agent->exchanges, &record.work->work);
		break;
	case RECORD_JOB:
		charges_job(&agent->charges, record.job);
		break;
	}
}

static void on_wanted(void *context, pid_t pid, enum services_want want)
{
	struct agent *agent = context;

	if (want != SERVICES_GONE)
		capture_set_wanted(agent->capture, pid, want == SERVICES_WANTED);
	tls_set_wanted(agent->tls, pid, want == SERVICES_WANTED);
}

static void on_service_closed(void *context, const struct service *service)
{
	struct agent *agent = context;

	aggregate_forget(agent->aggregate, service);
	agent->closed_routes_overflow += routes_overflow_count(service->routes);
	agent->closed_addresses_overflow += addresses_overflow_count(service->addresses);
	exchanges_forget_service(agent->exchanges, service);
	charges_forget_service(&agent->charges, service);
}

static void on_listed(void *context, const struct connection_state *state)
{
	struct agent *agent = context;

	exchanges_listed(agent->exchanges, state);
}

static void on_listed_work(void *context, const struct thread_state *state)
{
	charges_listed(context, state);
}

/* --- from series to snapshot --- */

static int drain(struct agent *agent)
{
	size_t used = capture_ring_used(agent->capture);
	int count;

	if (used > agent->self.ring_peak_bytes)
		agent->self.ring_peak_bytes = used;
	agent->drained_ns = now_ns();
	count = capture_drain(agent->capture, on_record, agent);
	if (count < CAPTURE_DRAIN_MAX)
		agent->empty_ns = agent->drained_ns;
	tls_run(agent->tls, agent->drained_ns);
	charges_settle(&agent->charges, agent->drained_ns);
	return count;
}

/* Asks the kernel for what no record tells. Everything is asked for when records were lost. */
static void list_connections(struct agent *agent)
{
	uint64_t lost = capture_stats(agent->capture).losses[LOSS_RING_FULL];
	bool all = lost != agent->listed_lost;
	int error;

	agent->listed_ns = now_ns();
	account_list_begin(&agent->account);
	exchanges_list_begin(agent->exchanges, agent->listed_ns);
	error = capture_list(agent->capture, all, on_listed, agent);
	drain(agent);
	if (error)
		return;
	exchanges_list_end(agent->exchanges, all);
	agent->listed_lost = lost;
	agent->list_cost_ns = now_ns() - agent->listed_ns;
}

/* What happened before a snapshot is in it. A client can have its answer before the hook behind the
 * service's send has run (the wake-up of the client takes the CPU from the service), so when
 * requests are open the service gets a moment to come that far. */
static void catch_up(struct agent *agent)
{
	const struct timespec grace = {.tv_nsec = SETTLE_GRACE_NS};
	uint64_t now;

	for (int i = 0; i < DRAINS_MAX && drain(agent) >= CAPTURE_DRAIN_MAX; i++)
		;
	if (exchanges_stats(agent->exchanges).open_count) {
		nanosleep(&grace, NULL);
		drain(agent);
	}
	list_connections(agent);
	now = now_ns();
	exchanges_settle(agent->exchanges, now);
	exchanges_check_limits(agent->exchanges, agent->empty_ns);
	if (!agent->options.no_cpu) {
		charges_list_begin(&agent->charges, now);
		capture_list_work(agent->capture, on_listed_work, &agent->charges);
	}
	services_read_usage(agent->services, USAGE_FILES, now);
	account_in_flight(&agent->account, agent->exchanges, now);
}

static bool list_services(struct agent *agent)
{
	struct snapshot *snapshot = &agent->snapshot;
	struct service *service = NULL;
	size_t count = 0;

	agent->self.routes_overflow = agent->closed_routes_overflow;
	agent->self.addresses_overflow = agent->closed_addresses_overflow;
	while ((service = services_next(agent->services, service))) {
		if (count == agent->service_capacity) {
			size_t capacity = count ? count * 2 : 16;
			const struct service **grown =
				realloc(agent->service_list, capacity * sizeof(*grown));

			if (!grown)
				return false;
			agent->service_list = grown;
			agent->service_capacity = capacity;
		}
		agent->service_list[count++] = service;
		agent->self.routes_overflow += routes_overflow_count(service->routes);
		agent->self.addresses_overflow += addresses_overflow_count(service->addresses);
	}
	snapshot->services = agent->service_list;
	snapshot->service_count = count;
	return true;
}

static void list_processes(struct agent *agent)
{
	size_t count;

	if (!agent->process_list)
		return;
	count = services_list_processes(agent->services, agent->process_list, PROCESSES_LISTED);
	agent->snapshot.processes = agent->process_list;
	agent->snapshot.process_count = count < PROCESSES_LISTED ? count : PROCESSES_LISTED;
	agent->self.processes_left_out = count - agent->snapshot.process_count;
}

static void add_lost(void *context, pid_t pid, uint64_t count)
{
	struct agent *agent = context;

	(void)pid;
	agent->self.lost_requests += count;
}

static void list_self(struct agent *agent)
{
	struct self_inputs *self = &agent->self;

	self->capture = capture_stats(agent->capture);
	self->exchange = exchanges_stats(agent->exchanges);
	self->services = services_stats(agent->services);
	self->pool = pool_jobs_stats(agent->charges.jobs);
	self->tls = tls_stats(agent->tls);
	self->series_count = aggregate_series_count(agent->aggregate);
	self->series_overflow = aggregate_overflow_count(agent->aggregate);
	self->lost_requests = 0;
	capture_lost_requests(agent->capture, add_lost, agent);
	if (agent->server) {
		struct server_stats stats = server_stats(agent->server);

		self->scrapes = stats.scrapes;
		self->last_scrape_seconds = stats.last_scrape_seconds;
	}
	if (agent->otlp)
		self->otlp = otlp_export_stats(agent->otlp);
	agent->snapshot.self = agent->self_rows;
	agent->snapshot.self_count = self_metrics(agent->self_rows, self);
	self->ring_peak_bytes = 0;
}

/* NULL when out of memory. */
static const struct snapshot *take_snapshot(void *context)
{
	struct agent *agent = context;
	struct snapshot *snapshot = &agent->snapshot;

	catch_up(agent);
	snapshot->time_ns = now_ns();
	snapshot->time_unix_ns = clock_ns(CLOCK_REALTIME);
	snapshot->start_time_ns = agent->start_time_ns;
	snapshot->start_time_unix_ns = agent->self.start_time_unix_ns;
	snapshot->version = BITTERN_VERSION;
	snapshot->host_name = agent->host.name;
	snapshot->host_id = agent->host.id;
	snapshot->series = aggregate_snapshot(agent->aggregate, &snapshot->series_count);
	if (!list_services(agent) ||
	    (!snapshot->series && aggregate_series_count(agent->aggregate)))
		return NULL;
	list_processes(agent);
	list_self(agent);
	return snapshot;
}

static bool is_ready(void *context)
{
	return ((struct agent *)context)->ready;
}

/* --- the loop --- */

static void update_console(struct agent *agent)
{
	const struct snapshot *snapshot = take_snapshot(agent);

	agent->console_ns = now_ns();
	if (snapshot)
		console_update(agent->console, snapshot);
}

static void send_otlp(struct agent *agent)
{
	const struct snapshot *snapshot = take_snapshot(agent);

	if (snapshot)
		otlp_export_send(agent->otlp, snapshot);
}

static void take_signal(struct agent *agent)
{
	struct signalfd_siginfo info;

	while (read(agent->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGWINCH)
			agent->stop = true;
		else if (agent->console)
			console_draw(agent->console);
	}
}

static void do_due_work(struct agent *agent)
{
	uint64_t now = now_ns();

	if (now >= agent->drained_ns + DRAIN_NS || now >= agent->scanned_ns + SCAN_NS) {
		drain(agent);
		if (services_stats(agent->services).usage_waiting_count)
			services_read_usage(agent->services, USAGE_FILES_ROUND, now);
	}
	exchanges_check_limits(agent->exchanges, agent->empty_ns);
	if (now >= agent->expired_ns + EXPIRE_NS) {
		agent->expired_ns = now;
		if (now >= agent->listed_ns + LIST_COST_MAX * agent->list_cost_ns)
			list_connections(agent);
		exchanges_settle(agent->exchanges, now);
		exchanges_expire(agent->exchanges, now);
		if (agent->otlp)
			services_keep_untold(agent->services, otlp_export_told_ns(agent->otlp));
		services_expire(agent->services, now);
	}
	if (now >= agent->scanned_ns + SCAN_NS) {
		agent->scanned_ns = now;
		services_scan(agent->services, now);
	}
	if (agent->console &&
	    now >= agent->console_ns + (uint64_t)(agent->options.interval_s * 1e9))
		update_console(agent);
	if (agent->otlp && otlp_export_is_due(agent->otlp, now))
		send_otlp(agent);
}

static int milliseconds_until_due(const struct agent *agent)
{
	uint64_t now = now_ns(), due = agent->drained_ns + DRAIN_NS;
	int ms, server_ms;

	if (agent->console && agent->console_ns + (uint64_t)(agent->options.interval_s * 1e9) < due)
		due = agent->console_ns + (uint64_t)(agent->options.interval_s * 1e9);
	if (agent->otlp && otlp_export_due_ns(agent->otlp) < due)
		due = otlp_export_due_ns(agent->otlp);
	ms = due > now ? (int)((due - now + 999999) / 1000000) : 0;
	server_ms = agent->server ? server_timeout_ms(agent->server) : -1;
	return server_ms >= 0 && server_ms < ms ? server_ms : ms;
}

static int run(struct agent *agent)
{
	struct pollfd fds[] = {
		{.fd = capture_fd(agent->capture), .events = POLLIN},
		{.fd = agent->signal_fd, .events = POLLIN},
		{.fd = agent->server ? server_fd(agent->server) : -1, .events = POLLIN},
		{.fd = agent->console ? console_input_fd(agent->console) : -1, .events = POLLIN},
		{.fd = tls_fd(agent->tls), .events = POLLIN},
	};

	while (!agent->stop) {
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), milliseconds_until_due(agent)) < 0 &&
		    errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			return 1;
		}
		if (fds[0].revents || fds[4].revents)
			drain(agent);
		do_due_work(agent);
		if (fds[1].revents)
			take_signal(agent);
		if (agent->server)
			server_run(agent->server);
		if (fds[3].revents && !console_keys(agent->console))
			agent->stop = true;
	}
	return 0;
}

static int open_server(struct agent *agent)
{
	struct server_config config = {
		.listen = agent->options.listen,
		.version = BITTERN_VERSION,
		.snapshot = take_snapshot,
		.ready = is_ready,
		.context = agent,
	};
	int error;

	if (!agent->options.listen)
		return 0;
	error = server_open(&agent->server, &config);
	if (error)
		log_error("cannot listen on %s: %s; choose another address with --listen",
			  config.listen, strerror(-error));
	return error;
}

static int open_tables(struct agent *agent)
{
	const struct options *o = &agent->options;
	struct services_config services = {
		.proc_path = "/proc",
		.host_id = agent->host.id,
		.all_runtimes = o->all_runtimes,
		.max_routes = o->max_routes,
		.patterns = o->patterns,
		.matches = o->matches,
		.match_count = o->match_count,
		.set_wanted = on_wanted,
		.closed = on_service_closed,
		.context = agent,
	};
	struct exchange_sink sink = account_sink(&agent->account);

	memcpy(services.want_runtime, o->want_runtime, sizeof(services.want_runtime));
	if (o->per_process)
		agent->process_list = calloc(PROCESSES_LISTED, sizeof(*agent->process_list));
	if ((o->per_process && !agent->process_list) ||
	    aggregate_open(&agent->aggregate, o->max_series) ||
	    services_open(&agent->services, &services) ||
	    charges_open(&agent->charges, agent->services, agent->aggregate) ||
	    exchanges_open(&agent->exchanges, &sink)) {
		log_error("no memory");
		return -ENOMEM;
	}
	agent->account = (struct account){
		.services = agent->services,
		.aggregate = agent->aggregate,
		.limits = o->limits,
		.charges = o->no_cpu ? NULL : &agent->charges,
	};
	agent->charges.exchanges = agent->exchanges;
	return 0;
}

/* The scan comes before the hooks, so that what unwanted processes do is never looked at, and once
 * more after them, for what began in between. */
static int open_capture(struct agent *agent)
{
	struct capture_config config = {
		.ring_bytes = agent->options.ring_bytes,
		.tls = agent->options.no_tls ? UPROBE_NONE : uprobes_mode(),
		.cpu = !agent->options.no_cpu,
	};
	char why[256];
	struct kernel kernel;
	int error = capture_open(&agent->capture, &config, why, sizeof(why));

	if (!error) {
		error = open_tables(agent);
	} else {
		kernel_probe(&kernel); /* not before: it takes milliseconds */
		if (kernel.variant == KERNEL_NONE)
			kernel_explain(&kernel, why, sizeof(why));
		log_error("%s", why);
	}
	if (error)
		return error;
	if (config.tls != UPROBE_NONE && tls_open(&agent->tls, agent->capture, config.tls))
		log_warning("TLS is not looked into: its probes cannot be set up");
	services_scan(agent->services, now_ns());
	error = capture_attach(agent->capture, why, sizeof(why));
	if (error) {
		log_error("%s", why);
		return error;
	}
	agent->scanned_ns = now_ns();
	services_scan(agent->services, agent->scanned_ns);
	tls_run(agent->tls, agent->scanned_ns);
	return 0;
}

static int agent_open(struct agent *agent)
{
	agent->start_time_ns = now_ns();
	agent->self.start_time_unix_ns = clock_ns(CLOCK_REALTIME);
	host_read(&agent->host, "/proc");
	if (priority_raise())
		log_debug("no higher priority: it takes CAP_SYS_NICE");
	agent->signal_fd = signals_open();
	if (open_server(agent) || open_capture(agent))
		return -1;
	if (agent->options.console && console_open(&agent->console, STDOUT_FILENO, STDIN_FILENO)) {
		log_error("no memory");
		return -1;
	}
	if (*agent->options.otlp.url &&
	    otlp_export_open(&agent->otlp, &agent->options.otlp, agent->console, now_ns()))
		return -1;
	agent->drained_ns = agent->expired_ns = now_ns();
	resident_give_back();
	agent->ready = true;
	if (agent->server && !agent->console)
		log_info("watching; metrics on http://%s/metrics", agent->options.listen);
	return 0;
}

static void agent_close(struct agent *agent)
{
	otlp_export_close(agent->otlp);
	console_close(agent->console);
	server_close(agent->server);
	tls_close(agent->tls);
	capture_close(agent->capture);
	exchanges_close(agent->exchanges);
	charges_close(&agent->charges);
	services_close(agent->services);
	aggregate_close(agent->aggregate);
	free(agent->service_list);
	free(agent->process_list);
	if (agent->signal_fd > 0)
		close(agent->signal_fd);
	options_close(&agent->options);
}

int main(int argc, char **argv)
{
	static struct agent agent;
	int status;

	options_parse(&agent.options, argc, argv);
	if (agent.options.command == COMMAND_CHECK)
		status = check_run(&agent.options);
	else
		status = agent_open(&agent) ? 1 : run(&agent);
	if (agent.otlp && !status)
		otlp_export_finish(agent.otlp, take_snapshot(&agent), agent.signal_fd);
	agent_close(&agent);
	return status;
}
