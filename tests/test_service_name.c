// SPDX-License-Identifier: Apache-2.0
#include "../agent/service_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/program.h"
#include "../agent/systemd_unit.h"
#include "../agent/utf8.h"
#include "../agent/workload.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Arguments are separated by '|'. */
static void make_facts(struct process_facts *facts, enum runtime runtime, const char *cwd,
		       const char *arguments)
{
	memset(facts, 0, sizeof(*facts));
	facts->pid = 42;
	facts->runtime = runtime;
	strcpy(facts->exe, runtime == RUNTIME_PYTHON ? "/usr/bin/python3.12" : "/usr/bin/node");
	strcpy(facts->cwd, cwd);
	strcpy(facts->args, arguments);
	for (char *at = facts->args; at; facts->arg_count++) {
		facts->arg[facts->arg_count] = at;
		at = strchr(at, '|');
		if (at)
			*at++ = '\0';
	}
}

static void assert_name(const struct process_facts *facts, const char *name)
{
	struct service_identity identity;

	service_name_of(&identity, facts, 8000, NULL, 0);
	assert_string_equal(identity.name, name);
}

struct command {
	const char *name, *cwd, *arguments;
};

static void check_commands(enum runtime runtime, const struct command *commands, size_t count)
{
	struct process_facts facts;
	struct service_identity identity;

	for (size_t i = 0; i < count; i++) {
		make_facts(&facts, runtime, commands[i].cwd, commands[i].arguments);
		service_name_of(&identity, &facts, 8000, NULL, 0);
		if (strcmp(identity.name, commands[i].name) != 0)
			fail_msg("%s in %s: \"%s\", not \"%s\"", commands[i].arguments,
				 commands[i].cwd, identity.name, commands[i].name);
		assert_false(identity.chosen);
	}
}

static void a_python_server_is_named_by_its_applications_module(void **state)
{
	static const struct command commands[] = {
		{"shop", "/srv/x", "python|/venv/bin/uvicorn|shop.api:app"},
		{"shop", "/srv/x",
		 "python|/venv/bin/uvicorn|--host|0.0.0.0|--port|8000|shop.api:app"},
		{"shop", "/srv/x", "python|/venv/bin/uvicorn|shop.api:app|--port|8000|--reload"},
		{"shop", "/srv/x",
		 "python|/venv/bin/uvicorn|--reload|--no-access-log|shop.api:app"},
		{"shop", "/srv/x",
		 "python|/venv/bin/uvicorn|--port=8000|--factory|shop:create_app"},
		{"shop", "/srv/x", "python|-m|uvicorn|shop.api:app|--reload"},
		{"shop", "/srv/x", "python|-um|uvicorn|shop.api:app"},
		{"shop", "/srv/x", "python|-X|dev|-W|ignore|-O|-m|uvicorn|shop.api:app"},
		{"shop", "/srv/x", "python|-muvicorn|shop.api:app"},
		{"shop", "/srv/x",
		 "python|/b/gunicorn|-w|4|-k|uvicorn.workers.UvicornWorker|-b|:8000|shop.wsgi:app"},
		{"shop", "/srv/x", "python|/b/gunicorn|-w4|-b:8000|--preload|shop.wsgi"},
		{"shop", "/srv/x", "python|/b/gunicorn|-c|gunicorn.conf.py|shop.wsgi"},
		{"shop", "/srv/x",
		 "python|/b/gunicorn|--bind=unix:/run/x.sock|shop:create_app('a.b')"},
		{"shop", "/srv/x", "python|/b/gunicorn|-D|-R|shop.wsgi:application"},
		{"till", "/srv/x", "python|/b/gunicorn|shop.wsgi|-n|till"},
		{"till", "/srv/x", "python|/b/gunicorn|--name=till|shop.wsgi"},
		{"shop", "/srv/x", "python|/b/hypercorn|-b|0.0.0.0:8000|shop.asgi:app"},
		{"shop", "/srv/x", "python|/b/daphne|-b|0.0.0.0|-p|8001|shop.asgi:application"},
		{"shop", "/srv/x", "python|/b/granian|--interface|asgi|--no-ws|shop.api:app"},
		{"shop", "/srv/x", "python|/b/waitress-serve|--port=8041|--call|shop:create"},
		{"shop", "/srv/x", "python|/b/sanic|shop.server"},
		{"shop", "/srv/x", "python|-m|aiohttp.web|-H|localhost|-P|8080|shop.main:init"},
		{"shop", "/srv/x", "python|-m|shop"},
		{"shop", "/srv/x", "python|-m|shop.api|--port|8000"},
		{"shop", "/srv/x", "python|/b/flask|--app|shop.web|run"},
		{"shop", "/srv/x", "python|/b/flask|-A|shop.web:create()|run|--port|5001"},
		{"shop", "/srv/x", "python|-m|flask|--app=shop|run"},
		{"shop", "/srv/x", "python|/b/flask|--app|shop.py|run"},
		{"shop", "/srv/x", "python|/b/flask|--app|shop/web.py:app|run"},
		{"shop", "/srv/x", "python|/b/celery|-A|shop|worker"},
		{"shop", "/srv/x", "python|/b/celery|-Ashop|worker"},
		{"shop", "/srv/x", "python|/b/fastapi|run|shop/main.py"},
		{"shop", "/srv/x", "python|/b/fastapi|dev|--port|8000|shop.py"},
		{"sales", "/srv/x", "python|/b/streamlit|run|dashboards/sales.py"},
		{"dashboards", "/srv/x",
		 "python|/b/streamlit|run|--server.port|80|dashboards/app.py"},
		{"shop", "/srv/x",
		 "python|-m|debugpy|--listen|0.0.0.0:5678|--wait-for-client|-m|"
		 "uvicorn|shop.api:app"},
		{"shop", "/srv/x", "python|/b/coverage|run|-p|--source|src|-m|shop"},
		{"shop", "/srv/x", "python|/b/coverage|run|/b/gunicorn|shop.wsgi"},
		{"shop", "/srv/x", "gunicorn: master [shop.wsgi:app]"},
		{"shop", "/srv/x", "gunicorn: worker [shop]"},
	};

	(void)state;
	check_commands(RUNTIME_PYTHON, commands, COUNT(commands));
}

static void a_generic_module_gives_way_to_the_folder(void **state)
{
	static const struct command commands[] = {
		{"shop", "/srv/shop", "python|/b/uvicorn|main:app"},
		{"shop", "/srv/shop", "python|/b/uvicorn|app.main:app"},
		{"shop", "/srv/shop", "python|/b/uvicorn|src.shop.api:app"},
		{"shop", "/srv/shop", "python|/b/gunicorn|config.wsgi"},
		{"shop", "/srv/shop/src", "python|/b/gunicorn|wsgi"},
		{"shop", "/srv/shop/app", "python|-m|app"},
		{"shop", "/", "python|/b/gunicorn|--chdir|/srv/shop|wsgi:app"},
		{"shop", "/srv", "python|/b/uvicorn|--app-dir=shop/src|main:app"},
		{"shop", "/srv/shop", "python|/b/flask|run"},
		{"shop", "/srv/shop", "python|/b/fastapi|run|main.py"},
		{"shop", "/srv/shop", "python|/b/fastapi|run"},
		{"shop", "/srv/shop", "python|-m|http.server|8000"},
		{"shop", "/srv/shop/releases/20240131", "python|/b/uvicorn|main:app"},
		{"shop", "/srv/shop/releases/3f9c2e1", "python|/b/uvicorn|main:app"},
		{"app", "/app", "python|/b/uvicorn|main:app"},
		{"app", "/usr/src/app", "python|/b/uvicorn|app.main:app"},
		{"app", "/home/jane/app", "python|/b/uvicorn|app.main:app"},
		{"jane", "/home/jane", "python|/b/uvicorn|app.main:app"},
	};

	(void)state;
	check_commands(RUNTIME_PYTHON, commands, COUNT(commands));
}

static void a_python_script_is_named_by_its_folder(void **state)
{
	static const struct command commands[] = {
		{"shop", "/", "python|/srv/shop/main.py"},
		{"shop", "/srv/shop", "python|main.py"},
		{"shop", "/srv/shop", "python|-u|./main.py|--port|80"},
		{"shop", "/srv", "python|shop/src/main.py"},
		{"shop", "/srv/till", "python|../shop/main.py"},
		{"till", "/root", "python|/srv/venv/bin/till|--port|8000"},
		{"shop", "/tmp", "python|shop.py"},
		{"shop", "/app", "python|shop.py"},
		{"app", "/app", "python|main.py"},
		{"shop", "/srv/shop", "python|-c|import shop"},
		{"shop", "/srv/shop", "python|-"},
		{"shop", "/srv/shop", "python"},
		{"shop", "/srv/shop", "my own title"},
		{"python3.12", "/", "python"},
		{"python3.12", "", "python|main.py"},
		{"python3.12", "", ""},
	};

	(void)state;
	check_commands(RUNTIME_PYTHON, commands, COUNT(commands));
}

static void a_django_project_is_named_by_its_settings(void **state)
{
	struct process_facts facts;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/backend-42", "python|manage.py|runserver|0:8000");
	assert_name(&facts, "backend-42");
	strcpy(facts.django_settings, "shop.settings.production");
	assert_name(&facts, "shop");
	strcpy(facts.django_settings, "config.settings");
	assert_name(&facts, "backend-42");
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x",
		   "python|/srv/x/manage.py|runserver|--settings=shop.local");
	strcpy(facts.django_settings, "till.settings");
	assert_name(&facts, "shop");
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "python|-m|django|runserver");
	strcpy(facts.django_settings, "till.settings");
	assert_name(&facts, "till");
}

static void flask_takes_its_application_from_the_environment(void **state)
{
	struct process_facts facts;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "python|/b/flask|run");
	strcpy(facts.flask_app, "shop.web:app");
	assert_name(&facts, "shop");
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "python|/b/flask|--app|till|run");
	strcpy(facts.flask_app, "shop.web:app");
	assert_name(&facts, "till");
}

static void uwsgi_is_named_by_its_module(void **state)
{
	struct process_facts facts;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x",
		   "uwsgi|--master|--http|:8000|--lazy-apps|--module|shop.wsgi:app");
	strcpy(facts.exe, "/usr/bin/uwsgi-core");
	assert_name(&facts, "shop");
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "uwsgi|-w|shop.wsgi|--processes|4");
	strcpy(facts.exe, "/venv/bin/uwsgi");
	assert_name(&facts, "shop");
	make_facts(&facts, RUNTIME_PYTHON, "/", "uwsgi|--chdir=/srv/shop|--wsgi-file|wsgi.py");
	strcpy(facts.exe, "/venv/bin/uwsgi");
	assert_name(&facts, "shop");
}

static void children_of_multiprocessing_are_known(void **state)
{
	static const char *const children[] = {
		"python|-c|from multiprocessing.spawn import spawn_main; spawn_main(5, 7)|--x",
		"python|-c|from multiprocessing.forkserver import main; main(1)",
		"python|-m|joblib.externals.loky.backend.popen_loky_posix|--process-name|x",
	};
	struct process_facts facts;
	struct program program;

	(void)state;
	for (size_t i = 0; i < COUNT(children); i++) {
		make_facts(&facts, RUNTIME_PYTHON, "/srv/x", children[i]);
		program_of(&program, &facts);
		assert_true(program.child);
	}
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "python|-m|uvicorn|shop:app");
	program_of(&program, &facts);
	assert_false(program.child);
}

static void a_node_script_is_found_behind_the_options(void **state)
{
	static const struct {
		const char *script, *arguments;
	} cases[] = {
		{"server.js", "node|server.js"},
		{"server.js", "node|--inspect|server.js|--port|80"},
		{"server.js", "node|-r|dotenv/config|--import|./trace.mjs|server.js"},
		{"server.js", "node|--require=dotenv/config|--env-file=.env|server.js"},
		{"server.js", "node|--max-old-space-size=4096|--enable-source-maps|server.js"},
		{"server.js", "node|--env-file|.env|--watch|server.js"},
		{"server.js", "node|--|server.js"},
		{"server.js", "node|inspect|server.js"},
		{".", "node|."},
		{"/srv/shop/a b.js", "node /srv/shop/a b.js"},
		{NULL, "node|-e|require('http')"},
		{NULL, "node|-"},
		{NULL, "node"},
		{NULL, "next-server (v14.2.3)"},
		{NULL, "PM2 v5.3.0: God Daemon (/root/.pm2)"},
		{"/srv/shop/app.js", "node|/usr/lib/node_modules/pm2/lib/ProcessContainerFork.js"},
	};
	struct process_facts facts;
	struct program program;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		make_facts(&facts, RUNTIME_NODEJS, "/srv/x", cases[i].arguments);
		strcpy(facts.pm2_script, "/srv/shop/app.js");
		program_of(&program, &facts);
		if (cases[i].script)
			assert_string_equal(program.script, cases[i].script);
		else
			assert_null(program.script);
	}
}

static void a_node_service_is_named_by_its_package_else_by_its_folder(void **state)
{
	static const struct command commands[] = {
		{"shop", "/", "node|/srv/shop/dist/server.js"},
		{"shop", "/srv/shop", "node|/srv/shop/node_modules/.bin/next|start"},
		{"shop", "/srv/shop", "npm start"},
		{"shop", "/srv/shop", "node|./bin/www"},
		{"node", "/", "node"},
	};
	struct process_facts facts;

	(void)state;
	check_commands(RUNTIME_NODEJS, commands, COUNT(commands));
	make_facts(&facts, RUNTIME_NODEJS, "/srv/shop", "node|server.js");
	strcpy(facts.package_name, "till");
	assert_name(&facts, "till");
}

static void each_way_of_naming_wins_over_those_after_it(void **state)
{
	const struct service_match match = {
		.name = "configured", .kind = SERVICE_MATCH_PORT, .port = 8000};
	struct process_facts facts;
	struct service_identity identity;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "python|-m|module");
	assert_name(&facts, "module");
	strcpy(facts.cgroup, "/system.slice/unit.service");
	assert_name(&facts, "unit");
	strcpy(facts.container_name, "container");
	assert_name(&facts, "container");
	strcpy(facts.container_service, "compose");
	assert_name(&facts, "compose");
	strcpy(facts.pod_name, "workload-6d4cf56db6-x7k2p");
	strcpy(facts.kubernetes_namespace, "k8s");
	assert_name(&facts, "workload");
	strcpy(facts.otel_resource_attributes, "a=b, service.name=attribute%2C%20one");
	assert_name(&facts, "attribute, one");
	strcpy(facts.otel_service_name, "otel");
	assert_name(&facts, "otel");
	service_name_of(&identity, &facts, 8000, &match, 1);
	assert_string_equal(identity.name, "configured");
	assert_string_equal(identity.namespace, "k8s");
	assert_true(identity.chosen);
	strcpy(facts.otel_resource_attributes, "service.namespace=team");
	service_name_of(&identity, &facts, 8001, &match, 1);
	assert_string_equal(identity.name, "otel");
	assert_string_equal(identity.namespace, "team");
	assert_true(identity.chosen);
}

static void resource_attributes_may_be_garbage(void **state)
{
	static const char *const garbage[] = {
		"service.name",    "service.name=",   "service.name= ,",  "xservice.name=a",
		",,,=,",           "service.namex=a", "a=service.name=b", "%",
		"service.name=%20"};
	struct process_facts facts;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/x", "python|-m|shop");
	for (size_t i = 0; i < COUNT(garbage); i++) {
		strcpy(facts.otel_resource_attributes, garbage[i]);
		assert_name(&facts, "shop");
	}
	strcpy(facts.otel_resource_attributes, " service.name = a%ffb%0ac%2 ,x=y");
	assert_name(&facts, "a_b_c%2");
}

static void a_systemd_unit_names_only_applications(void **state)
{
	static const struct {
		const char *name, *path;
	} cases[] = {
		{"shop", "/system.slice/shop.service"},
		{"shop", "/system.slice/system-shop.slice/shop@1.service"},
		{"shop-api", "/system.slice/shop\\x2dapi.service"},
		{"shop", "/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service"},
		{"shop", "/system.slice/shop.service/workers"},
		{"run-shop", "/system.slice/run-shop.service"},
		{"", "/user.slice/user-1000.slice/user@1000.service"},
		{"", "/user.slice/user-1000.slice/session-3.scope"},
		{"", "/user.slice/user-1000.slice/user@1000.service/app.slice/"
		     "app-org.kde.konsole@3c.service"},
		{"", "/init.scope"},
		{"", "/system.slice/ssh.service"},
		{"", "/system.slice/cron.service"},
		{"", "/system.slice/docker.service"},
		{"", "/system.slice/containerd.service/kubepods/x"},
		{"", "/system.slice/system-getty.slice/getty@tty1.service"},
		{"", "/system.slice/pm2-root.service"},
		{"", "/system.slice/supervisor.service"},
		{"", "/system.slice/run-u12.service"},
		{"", "/system.slice/run-p12-i34.service"},
		{"", "/system.slice/run-r0123456789abcdef0123456789abcdef.service"},
		{"", "/system.slice/run-r0123456789abcdef0123456789abcdef.scope"},
		{"", "/system.slice"},
		{"", "/"},
		{"", ""},
	};
	char name[128];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(systemd_unit_name(name, sizeof(name), cases[i].path),
				 cases[i].name[0] != '\0');
		assert_string_equal(name, cases[i].name);
	}
}

static void a_pods_name_loses_what_its_controller_added(void **state)
{
	static const struct {
		const char *workload, *pod;
	} cases[] = {
		{"shop-api", "shop-api-6d4cf56db6-x7k2p"},
		{"shop-api", "shop-api-5b8c7d9f6-x7k2p"},
		{"shop", "shop-0"},
		{"shop", "shop-12"},
		{"shop", "shop-x7k2p"},
		{"shop", "shop-28423140-x7k2p"},
		{"shop-v2", "shop-v2"},
		{"shop", "shop"},
		{"shop-api", "shop-api"},
		{"-x7k2p", "-x7k2p"},
		{"x7k2p", "x7k2p"},
	};
	char name[128];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_true(workload_of_pod(name, sizeof(name), cases[i].pod));
		assert_string_equal(name, cases[i].workload);
	}
	assert_false(workload_of_pod(name, sizeof(name), ""));
}

static void a_match_is_parsed_or_refused(void **state)
{
	static const char *const wrong[] = {"",
					    "shop",
					    "=port:1",
					    "shop=",
					    "shop=port:",
					    "shop=port:0",
					    "shop=port:-1",
					    "shop=port:1x",
					    "shop=port:65536",
					    "shop=unit:",
					    "shop=image:x",
					    "shop=port"};
	struct service_match match;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_true(service_match_parse(&match, wrong[i]) < 0);
	assert_int_equal(service_match_parse(&match, "shop=port:8000"), 0);
	assert_string_equal(match.name, "shop");
	assert_int_equal(match.kind, SERVICE_MATCH_PORT);
	assert_int_equal(match.port, 8000);
	assert_int_equal(service_match_parse(&match, "shop=cmd:*a=b*"), 0);
	assert_int_equal(match.kind, SERVICE_MATCH_COMMAND);
	assert_string_equal(match.pattern, "*a=b*");
}

static void a_match_names_by_port_unit_container_or_command(void **state)
{
	static const struct {
		const char *match;
		bool matches;
	} cases[] = {
		{"x=port:8000", true},       {"x=port:8001", false},
		{"x=unit:web@1", true},      {"x=unit:web@1.service", true},
		{"x=unit:web", true},        {"x=unit:we", false},
		{"x=container:till", true},  {"x=container:compose", true},
		{"x=container:ti", false},   {"x=cmd:*shop.api*", true},
		{"x=cmd:python -m *", true}, {"x=cmd:shop.api", false},
	};
	struct process_facts facts;
	struct service_identity identity;
	struct service_match match;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/y", "python|-m|uvicorn|shop.api:app");
	strcpy(facts.cgroup, "/system.slice/web@1.service");
	strcpy(facts.container_name, "till");
	strcpy(facts.container_service, "compose");
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(service_match_parse(&match, cases[i].match), 0);
		service_name_of(&identity, &facts, 8000, &match, 1);
		assert_string_equal(identity.name, cases[i].matches ? "x" : "compose");
	}
	service_match_parse(&match, "x=port:8000");
	service_name_of(&identity, &facts, 0, &match, 1);
	assert_string_equal(identity.name, "compose");
}

static void a_container_id_is_no_name(void **state)
{
	struct process_facts facts;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/shop", "python|main.py");
	strcpy(facts.container_name, "3f9c2e1a7b6d");
	assert_name(&facts, "shop");
}

static void names_are_valid_utf8_whatever_the_bytes(void **state)
{
	struct process_facts facts;
	struct service_identity identity;
	char name[8];

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "/srv/sh\xff\x1bop\xc3\xa9", "python|main.py");
	assert_name(&facts, "sh__op\xc3\xa9");
	make_facts(&facts, RUNTIME_PYTHON, "/", "python");
	for (int byte = 1; byte < 256; byte++) {
		memset(facts.otel_service_name, byte, sizeof(facts.otel_service_name) - 1);
		service_name_of(&identity, &facts, 80, NULL, 0);
		assert_true(identity.name[0]);
		assert_int_equal(byte >= 0x80 && identity.name[0] != '_' && identity.name[0] != 'p',
				 0);
	}
	/* Cut at a character, controls of two bytes, surrogates, overlong forms. */
	assert_int_equal(utf8_name(name, sizeof(name), "abcdef\xc3\xa9", 8), 6);
	assert_int_equal(utf8_name(name, sizeof(name), "\xc2\x85|", 3), 2);
	assert_string_equal(name, "_|");
	utf8_name(name, sizeof(name), "\xed\xa0\x80\xc0\x80\xf5", 6);
	assert_string_equal(name, "______");
	assert_int_equal(utf8_name(name, sizeof(name), " \t", 2), 0);
	assert_int_equal(utf8_prefix("a\xc3\xa9", 2), 1);
	assert_int_equal(utf8_prefix("a\xc3\xa9", 3), 3);
}

static void long_and_odd_arguments_name_something(void **state)
{
	struct process_facts facts;
	struct service_identity identity;

	(void)state;
	make_facts(&facts, RUNTIME_PYTHON, "relative", "python");
	for (size_t i = 0; i < sizeof(facts.args) - 1; i++)
		facts.args[i] = "/.:-m= \xff"[i % 8];
	for (int runtime = 0; runtime < RUNTIME_COUNT; runtime++) {
		facts.runtime = (enum runtime)runtime;
		facts.arg_count = 60;
		for (size_t i = 0; i < facts.arg_count; i++)
			facts.arg[i] = facts.args + i * 7;
		service_name_of(&identity, &facts, 80, NULL, 0);
		assert_true(identity.name[0]);
		facts.arg_count = 1;
		service_name_of(&identity, &facts, 80, NULL, 0);
		assert_true(identity.name[0]);
	}
}

static void workers_run_the_program_of_their_master(void **state)
{
	struct process_facts master, worker;

	(void)state;
	make_facts(&master, RUNTIME_NODEJS, "/srv/shop", "node|app.js");
	make_facts(&worker, RUNTIME_NODEJS, "/srv/shop", "/usr/bin/node|/srv/shop/app.js");
	assert_true(service_name_same_program(&master, &worker));
	make_facts(&worker, RUNTIME_NODEJS, "/srv/shop", "/usr/bin/node|/srv/shop/admin.js");
	assert_false(service_name_same_program(&master, &worker));
	make_facts(&master, RUNTIME_PYTHON, "/", "gunicorn: master [shop.wsgi:app]");
	make_facts(&worker, RUNTIME_PYTHON, "/", "gunicorn: worker [shop.wsgi:app]");
	assert_true(service_name_same_program(&master, &worker));
	make_facts(&master, RUNTIME_PYTHON, "/", "python|-c|import shop");
	make_facts(&worker, RUNTIME_PYTHON, "/", "python|-c|import shop");
	assert_true(service_name_same_program(&master, &worker));
	make_facts(&worker, RUNTIME_PYTHON, "/", "python|-c|import till");
	assert_false(service_name_same_program(&master, &worker));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_python_server_is_named_by_its_applications_module),
		cmocka_unit_test(a_generic_module_gives_way_to_the_folder),
		cmocka_unit_test(a_python_script_is_named_by_its_folder),
		cmocka_unit_test(a_django_project_is_named_by_its_settings),
		cmocka_unit_test(flask_takes_its_application_from_the_environment),
		cmocka_unit_test(uwsgi_is_named_by_its_module),
		cmocka_unit_test(children_of_multiprocessing_are_known),
		cmocka_unit_test(a_node_script_is_found_behind_the_options),
		cmocka_unit_test(a_node_service_is_named_by_its_package_else_by_its_folder),
		cmocka_unit_test(each_way_of_naming_wins_over_those_after_it),
		cmocka_unit_test(resource_attributes_may_be_garbage),
		cmocka_unit_test(a_systemd_unit_names_only_applications),
		cmocka_unit_test(a_pods_name_loses_what_its_controller_added),
		cmocka_unit_test(a_match_is_parsed_or_refused),
		cmocka_unit_test(a_match_names_by_port_unit_container_or_command),
		cmocka_unit_test(a_container_id_is_no_name),
		cmocka_unit_test(names_are_valid_utf8_whatever_the_bytes),
		cmocka_unit_test(long_and_odd_arguments_name_something),
		cmocka_unit_test(workers_run_the_program_of_their_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
