// SPDX-License-Identifier: Apache-2.0
/* Run in the root of the tree: the example of a file and README.md are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../agent/config_file.h"
#include "../agent/log.h"
#include "../agent/options.h"
#include "../agent/route_patterns.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define S 1000000000ull

struct bed {
	char folder[64], path[128]; /* of the configuration file */
	struct options options;
	bool parsed;
};

static struct bed bed;

static int set_up(void **state)
{
	(void)state;
	for (char **variable = environ; *variable;) {
		char *name = strndup(*variable, strcspn(*variable, "="));

		if (strncmp(name, "OTEL_", 5) != 0)
			variable++;
		else
			assert_int_equal(unsetenv(name), 0); /* the next one takes its place */
		free(name);
	}
	strcpy(bed.folder, "/tmp/bittern-options-XXXXXX");
	assert_non_null(mkdtemp(bed.folder));
	snprintf(bed.path, sizeof(bed.path), "%s/bittern.yaml", bed.folder);
	return 0;
}

static void close_options(void)
{
	if (bed.parsed)
		options_close(&bed.options);
	bed.parsed = false;
}

static int tear_down(void **state)
{
	(void)state;
	close_options();
	log_level = LOG_LEVEL_INFO;
	unlink(bed.path);
	return rmdir(bed.folder);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 1 << 18);

	if (!file)
		fail_msg("%s is not here: run this in the root of the tree", path);
	assert_true(fread(text, 1, (1 << 18) - 1, file) < (1 << 18) - 1);
	fclose(file);
	return text;
}

/* "--config PATH" and then the words of line. */
static int make_arguments(char **arguments, char *line)
{
	int count = 0;
	char *word;

	arguments[count++] = "bittern";
	arguments[count++] = "--config";
	arguments[count++] = bed.path;
	while ((word = strsep(&line, " "))) {
		if (*word)
			arguments[count++] = word;
	}
	arguments[count] = NULL;
	return count;
}

/* What is wrong ends this test program: see wrong() for that. */
static const struct options *parse(const char *config, const char *line)
{
	char *arguments[32], *words = strdup(line);
	int count = make_arguments(arguments, words);

	close_options();
	write_file(bed.path, config);
	options_parse(&bed.options, count, arguments);
	bed.parsed = true;
	free(words); /* of what points into them nothing is looked at here */
	return &bed.options;
}

/* In a process of its own: how it ended, and what it wrote. */
static int run(const char *line, char *out, size_t out_len)
{
	char *arguments[32], *words = strdup(line);
	int count = make_arguments(arguments, words), ends[2], status;
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	fflush(NULL);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		options_parse(&bed.options, count, arguments);
		options_close(&bed.options);
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], out + len, out_len - 1 - len)) > 0)
		len += (size_t)got;
	out[len] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	free(words);
	return WEXITSTATUS(status);
}

/* Exit status 2 and this line; $ in what stands for the file. */
static void assert_wrong(const char *config, const char *line, const char *what)
{
	char out[4096], wanted[1024];
	const char *dollar = strchr(what, '$');
	int status;

	write_file(bed.path, config);
	status = run(line, out, sizeof(out));
	if (dollar)
		snprintf(wanted, sizeof(wanted), "bittern: error: %.*s%s%s\n", (int)(dollar - what),
			 what, bed.path, dollar + 1);
	else
		snprintf(wanted, sizeof(wanted), "bittern: error: %s\n", what);
	assert_string_equal(out, wanted);
	assert_int_equal(status, 2);
}

static void each_key_is_an_option(void **state)
{
	const struct options *o = parse("listen: off\n"
					"console: true\n"
					"interval: 2.5\n"
					"runtime: nodejs\n"
					"service: [shop=port:8000, \"mail=cmd:*celery*\"]\n"
					"timeout:\n  - 2s\n  - shop=5s\n  - shop:/report=1m\n"
					"slo: shop=90@1s\n"
					"slo-ignore: /ping\n"
					"route:\n  - /orders/{id}/items\n  - shop=/a/{b...}\n"
					"per-process: True\n"
					"no-tls: true\n"
					"no-cpu: \"true\"\n"
					"ring-size: 1M\n"
					"max-series: 10\n"
					"max-routes: 20\n"
					"log-level: warning\n"
					"otlp-endpoint: localhost:4317\n"
					"otlp-protocol: grpc\n"
					"otlp-insecure: true\n"
					"otlp-headers: a=b%20c,d=e\n"
					"resource-attributes: x=1,y=2\n",
					"");
	const struct slo *slos[LIMITS_SLOS_MAX];

	(void)state;
	assert_int_equal(o->command, COMMAND_RUN);
	assert_null(o->listen);
	assert_true(o->console);
	assert_true(o->interval_s == 2.5);
	assert_false(o->want_runtime[RUNTIME_PYTHON]);
	assert_true(o->want_runtime[RUNTIME_NODEJS]);
	assert_int_equal(o->match_count, 2);
	assert_string_equal(o->matches[0].name, "shop");
	assert_int_equal(o->matches[0].port, 8000);
	assert_string_equal(o->matches[1].pattern, "*celery*");
	assert_int_equal(limits_timeout_ns(o->limits, "other", NULL), 2 * S);
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/x"), 5 * S);
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/report"), 60 * S);
	assert_int_equal(limits_slos(o->limits, "shop", "/x", slos), 1);
	assert_string_equal(slos[0]->text, "90@1s");
	assert_int_equal(limits_slos(o->limits, "other", "/ping", slos), 0);
	assert_string_equal(route_patterns_at(o->patterns, 0)->text, "/orders/{id}/items");
	assert_string_equal(route_patterns_at(o->patterns, 1)->service, "shop");
	assert_null(route_patterns_at(o->patterns, 2));
	assert_true(o->per_process && o->no_tls && o->no_cpu);
	assert_int_equal(o->ring_bytes, 1 << 20);
	assert_int_equal(o->max_series, 10);
	assert_int_equal(o->max_routes, 20);
	assert_int_equal(log_level, LOG_LEVEL_WARNING);
	assert_memory_equal(o->otlp.url, "http://localhost:4317/", 22);
	assert_int_equal(o->otlp.header_count, 2);
	assert_string_equal(o->otlp.headers[0], "a: b c");
	assert_int_equal(o->otlp.attribute_count, 2);
}

static void a_file_without_keys_leaves_the_defaults(void **state)
{
	const struct options *o = parse("# nothing\n", "");

	(void)state;
	assert_string_equal(o->listen, "127.0.0.1:2488");
	assert_true(o->interval_s == 1);
	assert_true(o->want_runtime[RUNTIME_PYTHON] && o->want_runtime[RUNTIME_NODEJS]);
	assert_false(o->all_runtimes || o->console || o->no_tls || o->no_cpu || o->per_process);
	assert_int_equal(o->match_count, 0);
	assert_null(route_patterns_at(o->patterns, 0));
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/x"), LIMITS_TIMEOUT_DEFAULT_NS);
	assert_int_equal(o->ring_bytes, 4 << 20);
	assert_string_equal(o->otlp.url, "");
	assert_int_equal(log_level, LOG_LEVEL_INFO);
}

static void false_and_an_empty_list_are_as_good_as_nothing(void **state)
{
	const struct options *o = parse("console: false\nno-tls: False\nno-cpu: FALSE\n"
					"per-process: false\ntimeout: []\nroute: []\n",
					"");

	(void)state;
	assert_false(o->console || o->no_tls || o->no_cpu || o->per_process);
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/x"), LIMITS_TIMEOUT_DEFAULT_NS);
	assert_null(route_patterns_at(o->patterns, 0));
}

static void the_command_line_takes_the_place_of_a_key(void **state)
{
	static const char config[] = "timeout: [2s, shop=5s]\nslo: [90@1s, shop=80]\n"
				     "slo-ignore: /ping\nroute: ['/a/{b}', /c]\n"
				     "service: [a=port:1, b=port:2]\nlog-level: debug\n"
				     "runtime: python\nmax-series: 5\nno-cpu: true\n";
	const struct slo *slos[LIMITS_SLOS_MAX];
	const struct options *o;

	(void)state;
	o = parse(config, "--timeout=x=3s --timeout=4s --slo=70 --slo-ignore=/pong --route=/d "
			  "--service=c=port:3 --log-level=error --runtime=nodejs --max-series=6");
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/x"), 4 * S);
	assert_int_equal(limits_timeout_ns(o->limits, "x", "/x"), 3 * S);
	assert_int_equal(limits_slos(o->limits, "shop", "/ping", slos), 1);
	assert_string_equal(slos[0]->text, "70@4s");
	assert_int_equal(limits_slos(o->limits, "shop", "/pong", slos), 0);
	assert_string_equal(route_patterns_at(o->patterns, 0)->text, "/d");
	assert_null(route_patterns_at(o->patterns, 1));
	assert_int_equal(o->match_count, 1);
	assert_string_equal(o->matches[0].name, "c");
	assert_int_equal(log_level, LOG_LEVEL_ERROR);
	assert_false(o->want_runtime[RUNTIME_PYTHON]);
	assert_int_equal(o->max_series, 6);
	assert_true(o->no_cpu);

	o = parse(config, "--no-cpu=false --no-tls --per-process=true");
	assert_false(o->no_cpu);
	assert_true(o->no_tls && o->per_process);
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/x"), 5 * S);
	assert_int_equal(log_level, LOG_LEVEL_DEBUG);
}

static void a_key_goes_before_its_variable_and_an_option_before_both(void **state)
{
	const struct options *o;

	(void)state;
	setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://variable/x", 1);
	setenv("OTEL_EXPORTER_OTLP_INSECURE", "true", 1);
	setenv("OTEL_METRIC_EXPORT_INTERVAL", "7000", 1);
	setenv("OTEL_RESOURCE_ATTRIBUTES", "from=variable", 1);
	o = parse("timeout: 1s\n", "");
	assert_string_equal(o->otlp.url, "http://variable/x");

	o = parse("otlp-endpoint: http://file\nresource-attributes: from=file\n", "");
	assert_string_equal(o->otlp.url, "http://file/v1/metrics");
	assert_true(o->otlp.insecure);
	assert_int_equal(o->otlp.interval_ns, 7 * S);
	assert_int_equal(o->otlp.attribute_count, 1);
	assert_string_equal(o->otlp.attributes[0].value, "file");

	o = parse("otlp-endpoint: http://file\notlp-insecure: false\notlp-interval: 5s\n",
		  "--otlp-endpoint=http://line --otlp-interval=3s");
	assert_string_equal(o->otlp.url, "http://line/v1/metrics");
	assert_false(o->otlp.insecure);
	assert_int_equal(o->otlp.interval_ns, 3 * S);
	assert_string_equal(o->otlp.attributes[0].value, "variable");
}

#define TIMEOUT "[SERVICE[:ROUTE]=]DURATION, from 1ms to 24h (300ms, 8s, shop:/report=1m)"
#define UNKNOWN "; the keys are the options of bittern --help, but config, help and version"
#define LIST "one value is wanted, not a list; text that begins with '[' is quoted"

static void what_is_wrong_in_the_file_is_one_line_and_status_2(void **state)
{
	static const struct {
		const char *config, *what;
	} cases[] = {
		{"listen: off\ntimeouts: 2s\n", "$:2: unknown key 'timeouts'" UNKNOWN},
		{"no_tls: true\n", "$:1: unknown key 'no_tls'" UNKNOWN},
		{"--no-tls: true\n", "$:1: unknown key '--no-tls'" UNKNOWN},
		{"nope: []\n", "$:1: unknown key 'nope'" UNKNOWN},
		{"config: b.yaml\n", "$:1: unknown key 'config'" UNKNOWN},
		{"help: true\n", "$:1: unknown key 'help'" UNKNOWN},
		{"version: 1\n", "$:1: unknown key 'version'" UNKNOWN},
		{"\"\": 1\n", "$:1: unknown key ''" UNKNOWN},
		{"listen: here\n", "$:1: listen: 'here' is not ADDRESS:PORT or off"},
		{"timeout:\n  - 2s\n  - soon\n", "$:3: timeout: 'soon' is not " TIMEOUT},
		{"timeout: 8\n", "$:1: timeout: '8' is not " TIMEOUT},
		{"timeout: \"\"\n", "$:1: timeout: '' is not " TIMEOUT},
		{"no-tls: yes\n", "$:1: no-tls: 'yes' is not true or false"},
		{"console: 1\n", "$:1: console: '1' is not true or false"},
		{"listen: [off]\n", "$:1: listen: " LIST},
		{"listen: [] \n", "$:1: listen: " LIST},
		{"no-cpu: [true]\n", "$:1: no-cpu: " LIST},
		{"otlp-headers: [a=b]\n", "$:1: otlp-headers: " LIST},
		{"max-series: 10\nmax-series: 10\n",
		 "$:2: 'max-series' is there twice, first in line 1"},
		{"otlp-protocol: http/json\n",
		 "$:1: otlp-protocol: 'http/json' is not grpc or http/protobuf"},
		{"otlp-certificate: /no/such/file\n",
		 "$:1: otlp-certificate: '/no/such/file' is not a file that can be read"},
		{"otlp-headers: SECRET\n", "$:1: otlp-headers: what it holds is not a list "
					   "NAME=VALUE,..., values percent-encoded"},
		{"\notlp-endpoint: localhost:4318\n",
		 "$:2: OTLP endpoint 'localhost:4318' is not a URL such as http://localhost:4318 "
		 "(a user goes into a header; for grpc HOST:PORT is enough)"},
		{"otlp-endpoint: http://a\notlp-client-key: /dev/null\n",
		 "$:2: a client certificate and its key go together: --otlp-client-certificate is "
		 "missing"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_wrong(cases[i].config, "", cases[i].what);
		assert_wrong(cases[i].config, "check", cases[i].what);
	}
}

static void a_key_that_the_command_line_replaces_has_to_be_right(void **state)
{
	(void)state;
	assert_wrong("timeout: soon\n", "--timeout=1s", "$:1: timeout: 'soon' is not " TIMEOUT);
	assert_wrong("no-cpu: maybe\n", "--no-cpu=false",
		     "$:1: no-cpu: 'maybe' is not true or false");
}

static void what_is_wrong_elsewhere_is_not_put_on_the_file(void **state)
{
	static const char config[] = "otlp-endpoint: http://a\notlp-protocol: grpc\n";

	(void)state;
	assert_wrong(config, "--timeout=soon", "--timeout: 'soon' is not " TIMEOUT);
	assert_wrong(config, "--no-tls=maybe", "--no-tls: 'maybe' is not true or false");
	assert_wrong(config, "--otlp-endpoint=ftp://b",
		     "OTLP endpoint 'ftp://b' is not a URL such as http://localhost:4318 (a user "
		     "goes into a header; for grpc HOST:PORT is enough)");
	setenv("OTEL_METRIC_EXPORT_INTERVAL", "soon", 1);
	assert_wrong(config, "",
		     "OTEL_METRIC_EXPORT_INTERVAL: 'soon' is not a duration from 100ms to 24h, "
		     "such as 500 (milliseconds), 10s or 1m");
	setenv("OTEL_METRIC_EXPORT_INTERVAL", "1000", 1);
	setenv("OTEL_SERVICE_NAME", "\xff", 1);
	assert_wrong(config, "", "OTEL_SERVICE_NAME is not UTF-8");
}

static void a_file_that_is_not_there_is_one_line_and_status_2(void **state)
{
	(void)state;
	assert_wrong("", "--config=/no/such/file", "/no/such/file: No such file or directory");
	assert_wrong("", "--config=/", "/: Is a directory");
}

static void of_several_files_the_last_is_read(void **state)
{
	char line[160];

	(void)state;
	snprintf(line, sizeof(line), "--config=/no/such/file --config=%s", bed.path);
	assert_null(parse("listen: off\n", line)->listen);
}

/* The long options of --help, one after the other: " listen console ..." */
static char *options_of_help(void)
{
	static char help[1 << 15], names[1 << 12];
	char *line, *rest = help;

	assert_int_equal(run("--help", help, sizeof(help)), 0);
	strcpy(names, " ");
	while ((line = strsep(&rest, "\n"))) {
		char *name = strstr(line, "--");
		size_t len = name ? strspn(name + 2, "abcdefghijklmnopqrstuvwxyz-") : 0;

		/* what is described begins far to the left of the descriptions */
		if (!len || name - line > 8)
			continue;
		strncat(names, name + 2, len);
		strcat(names, " ");
	}
	return names;
}

/* Takes the '#' from lines of settings: "#key: value" and "#  - value". */
static void set_all(char *text)
{
	char *to = text, *from = text;

	for (bool at_start = true; *from; from++) {
		bool setting = at_start && *from == '#' &&
			       ((from[1] >= 'a' && from[1] <= 'z') || !strncmp(from, "#  - ", 5));

		at_start = *from == '\n';
		if (!setting)
			*to++ = *from;
	}
	*to = '\0';
}

static void the_example_sets_nothing_and_shows_each_option_once(void **state)
{
	char *text = read_file("deploy/bittern.yaml"), *names = options_of_help(), why[512],
	     out[512];
	static const char *const not_keys[] = {"config", "help", "usage", "version"};
	struct config_file f;
	size_t count = 0;

	(void)state;
	assert_int_equal(config_file_parse(&f, "", text, strlen(text), why, sizeof(why)), 0);
	assert_int_equal(f.key_count, 0);
	config_file_close(&f);
	set_all(text);
	if (config_file_parse(&f, "", text, strlen(text), why, sizeof(why)))
		fail_msg("%s", why);
	for (char *rest = names, *name; (name = strsep(&rest, " "));) {
		bool is_key = *name;

		for (size_t i = 0; i < COUNT(not_keys); i++)
			is_key = is_key && strcmp(name, not_keys[i]) != 0;
		count += is_key;
		if (is_key && !config_file_find(&f, name))
			fail_msg("the example does not show %s", name);
	}
	assert_int_equal(f.key_count, count);
	assert_true(count > 20);
	config_file_close(&f);

	/* all are right, but that there are no such files */
	for (char *at = text; (at = strstr(at, "/etc/bittern/"));) {
		size_t len = strcspn(at, "\n");

		memcpy(at, "/dev/null", 9);
		memset(at + 9, ' ', len - 9);
	}
	write_file(bed.path, text);
	if (run("", out, sizeof(out)))
		fail_msg("%s", out);
	assert_string_equal(out, "");
	free(text);
}

static void the_file_in_the_readme_is_right(void **state)
{
	char *text = read_file("README.md"), *begin = strstr(text, " --config "), *end;
	const struct options *o;

	(void)state;
	assert_non_null(begin);
	begin = strstr(begin, "```yaml\n");
	assert_non_null(begin);
	begin += strlen("```yaml\n");
	end = strstr(begin, "```");
	assert_non_null(end);
	*end = '\0';
	o = parse(begin, "");
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/report"), 60 * S);
	free(text);
}

static void limits_can_be_given_many_times(void **state)
{
	const struct slo *slos[LIMITS_SLOS_MAX];
	const struct options *o =
		parse("", "--timeout=2s --timeout=1.5m --timeout=shop=300ms "
			  "--timeout=shop:8001:/a=b=1000us --slo=99 --slo=99.9@300ms "
			  "--slo=shop:{unread}=90@1h --slo-ignore=/ping --slo-ignore=shop:/status");

	(void)state;
	assert_int_equal(limits_timeout_ns(o->limits, "other", "/x"), 90 * S);
	assert_int_equal(limits_timeout_ns(o->limits, "shop", "/x"), 3 * S / 10);
	assert_int_equal(limits_timeout_ns(o->limits, "shop:8001", "/a=b"), S / 1000);
	assert_int_equal(limits_slos(o->limits, "other", "/x", slos), 2);
	assert_int_equal(limits_slos(o->limits, "other", "/ping", slos), 0);
	assert_int_equal(limits_slos(o->limits, "shop", "/status", slos), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_key_is_an_option),
		TEST(a_file_without_keys_leaves_the_defaults),
		TEST(false_and_an_empty_list_are_as_good_as_nothing),
		TEST(the_command_line_takes_the_place_of_a_key),
		TEST(a_key_goes_before_its_variable_and_an_option_before_both),
		TEST(what_is_wrong_in_the_file_is_one_line_and_status_2),
		TEST(a_key_that_the_command_line_replaces_has_to_be_right),
		TEST(what_is_wrong_elsewhere_is_not_put_on_the_file),
		TEST(a_file_that_is_not_there_is_one_line_and_status_2),
		TEST(of_several_files_the_last_is_read),
		TEST(limits_can_be_given_many_times),
		TEST(the_example_sets_nothing_and_shows_each_option_once),
		TEST(the_file_in_the_readme_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
