// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <ctype.h>
#include <string.h>

#include "path.h"
#include "utf8.h"

/* How a Python program's arguments name the application that it runs. */
enum application {
	APPLICATION_POSITIONAL, /* uvicorn [options] shop.api:app */
	APPLICATION_OPTION, /* flask --app shop run */
	APPLICATION_PATH, /* streamlit run shop/main.py */
	APPLICATION_DJANGO, /* manage.py, django-admin */
	APPLICATION_WRAPPED, /* coverage run -m shop: another Python command line follows */
	APPLICATION_NONE, /* serves without one */
};

struct runner {
	const char *name;
	enum application application;
	const char *flags; /* options without a value; any other is taken to have one */
	const char *options; /* options that name the application; they win over the argument */
};

static const struct runner runners[] = {
	{"uvicorn", APPLICATION_POSITIONAL,
	 "--reload --use-colors --access-log --proxy-headers --server-header --date-header "
	 "--factory",
	 ""},
	{"gunicorn", APPLICATION_POSITIONAL,
	 "--reload --spew --check-config --print-config --preload --reuse-port -D --daemon -R "
	 "--enable-stdio-inheritance --capture-output --log-syslog --initgroups "
	 "--disable-redirect-access-to-syslog --proxy-protocol --permit-obsolete-folding "
	 "--permit-unconventional-http-method --permit-unconventional-http-version "
	 "--strip-header-spaces --casefold-http-method --do-handshake-on-connect "
	 "--suppress-ragged-eofs",
	 "-n --name"},
	{"hypercorn", APPLICATION_POSITIONAL, "--debug --reload -D --daemon", ""},
	{"daphne", APPLICATION_POSITIONAL, "--proxy-headers", ""},
	{"granian", APPLICATION_POSITIONAL,
	 "--reload --access-log --log --ws --factory --respawn-failed-workers --loop-opt --opt",
	 ""},
	{"waitress-serve", APPLICATION_POSITIONAL, "--call", "--app"},
	{"waitress", APPLICATION_POSITIONAL, "--call", "--app"},
	{"sanic", APPLICATION_POSITIONAL, "--debug -d --dev --reload -r --auto-reload --fast", ""},
	{"aiohttp.web", APPLICATION_POSITIONAL, "", ""},
	{"flask", APPLICATION_OPTION, "", "--app -A"},
	{"quart", APPLICATION_OPTION, "", "--app -A"},
	{"litestar", APPLICATION_OPTION, "", "--app"},
	{"celery", APPLICATION_OPTION, "", "--app -A"},
	{"uwsgi", APPLICATION_OPTION, "", "--module -w --wsgi --wsgi-file --file"},
	{"fastapi", APPLICATION_PATH, "--reload --proxy-headers", "--entrypoint -e"},
	{"streamlit", APPLICATION_PATH, "", ""},
	{"manage.py", APPLICATION_DJANGO, "", "--settings"},
	{"django-admin", APPLICATION_DJANGO, "", "--settings"},
	{"django", APPLICATION_DJANGO, "", "--settings"},
	{"debugpy", APPLICATION_WRAPPED, "--wait-for-client", ""},
	{"coverage", APPLICATION_WRAPPED,
	 "--branch -p --parallel-mode -a --append -L --pylib --timid", ""},
	{"cProfile", APPLICATION_WRAPPED, "", ""},
	{"http.server", APPLICATION_NONE, "", ""},
};

static const char directory_options[] = "--chdir --app-dir --workdir";

static const char node_value_options[] =
	"-r --require --import --loader --experimental-loader -C --conditions --env-file "
	"--env-file-if-exists --inspect-port --debug-port --title --icu-data-dir --input-type "
	"--max-http-header-size --dns-result-order --openssl-config --diagnostic-dir "
	"--redirect-warnings --trace-event-categories --trace-event-file-pattern "
	"--trace-require-module --tls-cipher-list --tls-keylog --unhandled-rejections "
	"--watch-path --disable-warning --disable-proto --experimental-config-file "
	"--experimental-default-type --localstorage-file --secure-heap --secure-heap-min "
	"--heapsnapshot-signal --heapsnapshot-near-heap-limit --cpu-prof-dir --cpu-prof-name "
	"--cpu-prof-interval --heap-prof-dir --heap-prof-name --report-dir --report-directory "
	"--report-filename --report-signal --snapshot-blob --network-family-autoselection-attempt-"
	"timeout --allow-fs-read --allow-fs-write --stack-trace-limit --v8-pool-size "
	"--es-module-specifier-resolution --test-reporter --test-name-pattern";

/* These run text, standard input or somebody else's script: there is no file. */
static const char node_text_options[] = "-e --eval -p --print -pe --run --test --build-sea";

static bool list_has(const char *list, const char *word, size_t len)
{
	for (const char *at = list; *at;) {
		size_t end = strcspn(at, " ");

		if (end == len && memcmp(at, word, len) == 0)
			return true;
		at += end;
		at += strspn(at, " ");
	}
	return false;
}

bool program_is_generic(const char *word, size_t len)
{
	/* The second half comes from Django's templates ("config.settings") and from Python
	 * itself. */
	return list_has("main app server index api wsgi asgi src run "
			"config settings manage __main__",
			word, len);
}

static bool is_path(const char *value)
{
	size_t len = strcspn(value, ":");

	return memchr(value, '/', len) || (len > 3 && memcmp(value + len - 3, ".py", 3) == 0);
}

/* "shop.api:app", "shop:create_app('x')", "shop": a dotted name to its end or to ':' or '('. */
static size_t module_len(const char *value)
{
	size_t len = 0;

	if (isdigit((unsigned char)*value))
		return 0;
	while (isalnum((unsigned char)value[len]) || value[len] == '_' || value[len] == '.' ||
	       (unsigned char)value[len] >= 0x80)
		len++;
	return value[len] == '\0' || value[len] == ':' || value[len] == '(' ? len : 0;
}

/* What follows -n, --app and the like may be any name; a path names a script instead. */
static void set_application(struct program *p, const char *value)
{
	if (is_path(value)) {
		p->script = value;
		p->script_names = !memchr(value, '/', strcspn(value, ":"));
		return;
	}
	utf8_name(p->module, sizeof(p->module), value, strcspn(value, ":("));
}

/* A walk over arguments that tells options and their values from the rest. */
struct walk {
	const struct process_facts *facts;
	size_t next;
	const char *option; /* NULL: value is an argument that belongs to no option */
	size_t option_len;
	const char *value; /* NULL: none */
};

static bool walk_next(struct walk *w, const struct runner *runner)
{
	const char *arg, *equals;

	if (w->next >= w->facts->arg_count)
		return false;
	arg = w->facts->arg[w->next++];
	w->option = NULL;
	w->value = arg;
	if (arg[0] != '-' || arg[1] == '\0')
		return true;
	w->option = arg;
	w->value = NULL;
	equals = strchr(arg, '=');
	if (arg[1] != '-' && arg[2] != '\0') { /* -w4 */
		w->option_len = 2;
		w->value = arg + 2;
		return true;
	}
	w->option_len = equals ? (size_t)(equals - arg) : strlen(arg);
	if (equals)
		w->value = equals + 1;
	else if (!list_has(runner->flags, arg, w->option_len) && strncmp(arg, "--no-", 5) != 0 &&
		 w->next < w->facts->arg_count && w->facts->arg[w->next][0] != '-')
		w->value = w->facts->arg[w->next++];
	return true;
}

static void read_runner(struct program *p, const struct process_facts *facts,
			const struct runner *runner, size_t first)
{
	struct walk w = {.facts = facts, .next = first};
	bool by_option = false, found = false;

	while (walk_next(&w, runner)) {
		if (w.option) {
			if (w.value && list_has(runner->options, w.option, w.option_len)) {
				set_application(p, w.value);
				by_option = true;
			} else if (w.value && list_has(directory_options, w.option, w.option_len)) {
				p->directory = w.value;
			}
			continue;
		}
		if (by_option || found)
			continue;
		if (runner->application == APPLICATION_POSITIONAL &&
		    (is_path(w.value) || module_len(w.value))) {
			set_application(p, w.value);
			found = true;
		} else if (runner->application == APPLICATION_PATH && is_path(w.value)) {
			set_application(p, w.value);
			found = true;
		}
	}
	if (strcmp(runner->name, "flask") == 0 && !by_option && facts->flask_app[0])
		set_application(p, facts->flask_app);
	if (strcmp(runner->name, "streamlit") == 0)
		p->script_names = true;
	p->django = runner->application == APPLICATION_DJANGO;
}

static const struct runner *find_runner(const char *name)
{
	for (size_t i = 0; i < sizeof(runners) / sizeof(*runners); i++) {
		if (strcmp(runners[i].name, name) == 0)
			return &runners[i];
	}
	return NULL;
}

/* Where the command line inside a wrapper's begins; arg_count for nowhere. */
static size_t skip_wrapper(const struct process_facts *facts, const struct runner *runner,
			   size_t first)
{
	struct walk w = {.facts = facts, .next = first};

	for (;;) {
		size_t at = w.next;

		if (at >= facts->arg_count || strncmp(facts->arg[at], "-m", 2) == 0)
			return at;
		if (!walk_next(&w, runner))
			return facts->arg_count;
		if (!w.option && strcmp(w.value, "run") != 0)
			return at;
	}
}

enum python_what { PYTHON_NOTHING, PYTHON_MODULE, PYTHON_TEXT, PYTHON_SCRIPT };

/* Skips the interpreter's own options as getopt does (-um shop). *first is what follows. */
static enum python_what python_what(const struct process_facts *facts, size_t *first,
				    const char **value)
{
	size_t i = *first;

	for (; i < facts->arg_count; i++) {
		const char *arg = facts->arg[i], *letter;

		if (arg[0] != '-') {
			*value = arg;
			*first = i + 1;
			return PYTHON_SCRIPT;
		}
		if (arg[1] == '\0')
			return PYTHON_NOTHING;
		if (arg[1] == '-') {
			i += strcmp(arg, "--check-hash-based-pycs") == 0;
			continue;
		}
		letter = strpbrk(arg + 1, "cmWX");
		if (!letter)
			continue;
		*value = letter + 1;
		if (letter[1] == '\0') {
			if (++i >= facts->arg_count)
				return PYTHON_NOTHING;
			*value = facts->arg[i];
		}
		*first = i + 1;
		if (*letter == 'm' || *letter == 'c')
			return *letter == 'm' ? PYTHON_MODULE : PYTHON_TEXT;
	}
	return PYTHON_NOTHING;
}

static void read_python(struct program *p, const struct process_facts *facts, size_t first)
{
	const struct runner *runner = NULL;
	const char *value = NULL;
	enum python_what what;

	for (;;) {
		what = python_what(facts, &first, &value);
		if (what == PYTHON_NOTHING)
			return;
		if (what == PYTHON_TEXT) {
			/* Its resource tracker works for nobody's requests. */
			p->child = strstr(value, "multiprocessing.") &&
				   !strstr(value, "resource_tracker");
			return;
		}
		runner = find_runner(what == PYTHON_SCRIPT ? path_base(value) : value);
		if (!runner || runner->application != APPLICATION_WRAPPED)
			break;
		first = skip_wrapper(facts, runner, first);
	}
	if (runner) {
		if (strcmp(runner->name, "manage.py") == 0)
			p->script = value;
		read_runner(p, facts, runner, first);
	} else if (what == PYTHON_SCRIPT) {
		p->script = value;
	} else if (strncmp(value, "joblib.externals.loky", 21) == 0) {
		p->child = true;
	} else {
		utf8_name(p->module, sizeof(p->module), value, module_len(value));
	}
}

static void read_node(struct program *p, const struct process_facts *facts)
{
	for (size_t i = 1; i < facts->arg_count; i++) {
		const char *arg = facts->arg[i];
		size_t len = strcspn(arg, "=");

		if (strcmp(arg, "--") == 0 || (i == 1 && strcmp(arg, "inspect") == 0))
			continue;
		if (arg[0] != '-') {
			p->script = arg;
			break;
		}
		if (arg[1] == '\0' || list_has(node_text_options, arg, len))
			return;
		if (arg[len] == '\0')
			i += list_has(node_value_options, arg, len);
	}
	if (p->script && strstr(p->script, "/pm2/lib/ProcessContainer"))
		p->script = facts->pm2_script[0] ? facts->pm2_script : NULL;
}

/* A program that writes its title over its arguments leaves one argument with spaces. */
static bool read_title(struct program *p, const struct process_facts *facts)
{
	const char *title = facts->arg[0], *open, *close;

	if (facts->arg_count != 1 || !strchr(title, ' '))
		return false;
	if (facts->runtime == RUNTIME_NODEJS && strncmp(title, "node ", 5) == 0) {
		p->script = title + 5;
	} else if (facts->runtime == RUNTIME_PYTHON && strncmp(title, "gunicorn: ", 10) == 0) {
		open = strchr(title, '[');
		close = open ? strrchr(open, ']') : NULL;
		if (close)
			utf8_name(p->module, sizeof(p->module), open + 1, strcspn(open + 1, ":(]"));
	}
	return true;
}

void program_of(struct program *program, const struct process_facts *facts)
{
	memset(program, 0, sizeof(*program));
	if (facts->arg_count == 0 || read_title(program, facts))
		return;
	if (facts->runtime == RUNTIME_NODEJS)
		read_node(program, facts);
	else if (facts->runtime == RUNTIME_PYTHON &&
		 strncmp(path_base(facts->exe), "uwsgi", 5) == 0)
		read_runner(program, facts, find_runner("uwsgi"), 1);
	else if (facts->runtime == RUNTIME_PYTHON)
		read_python(program, facts, 1);
}
