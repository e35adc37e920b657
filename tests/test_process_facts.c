// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "../agent/container.h"
#include "../agent/packed_facts.h"
#include "../agent/path.h"
#include "../agent/process_facts.h"
#include "fake_proc.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct process_facts read_process(struct fake_proc *fake, const struct fake_process *process)
{
	struct process_facts facts;

	fake_process(fake, 42, process);
	assert_int_equal(process_facts_read(&facts, fake->proc, 42), 0);
	fake_gone(fake, 42);
	return facts; /* its arguments point into a struct that is gone */
}

static void the_runtime_is_the_name_of_the_executable(void **state)
{
	static const struct {
		const char *exe;
		enum runtime runtime;
	} cases[] = {
		{"/usr/bin/python", RUNTIME_PYTHON},
		{"/usr/bin/python2", RUNTIME_PYTHON},
		{"/usr/bin/python3.12", RUNTIME_PYTHON},
		{"/opt/python3.13t", RUNTIME_PYTHON},
		{"/usr/bin/python3.11-dbg", RUNTIME_PYTHON},
		{"/usr/bin/python3.12 (deleted)", RUNTIME_PYTHON},
		{"/usr/bin/pypy3", RUNTIME_PYTHON},
		{"/usr/bin/pypy3.10-c", RUNTIME_PYTHON},
		{"/srv/venv/bin/uwsgi", RUNTIME_PYTHON},
		{"/usr/bin/uwsgi-core", RUNTIME_PYTHON},
		{"/usr/bin/node", RUNTIME_NODEJS},
		{"/usr/bin/nodejs", RUNTIME_NODEJS},
		{"/usr/bin/node20", RUNTIME_NODEJS},
		{"/opt/node-v20.11.1", RUNTIME_OTHER},
		{"/srv/shop/node_modules/node/bin/node", RUNTIME_NODEJS},
		{"/usr/bin/node_exporter", RUNTIME_OTHER},
		{"/usr/bin/python3-config", RUNTIME_OTHER},
		{"/usr/bin/pythonista", RUNTIME_OTHER},
		{"/usr/bin/bun", RUNTIME_OTHER},
		{"/usr/bin/deno", RUNTIME_OTHER},
		{"/usr/bin/bash", RUNTIME_OTHER},
	};
	struct fake_proc *fake = *state;
	enum runtime runtime;

	for (size_t i = 0; i < COUNT(cases); i++) {
		fake_process(fake, 42, &(struct fake_process){.exe = cases[i].exe});
		assert_int_equal(process_runtime_read(&runtime, fake->proc, 42), 0);
		assert_int_equal(runtime, cases[i].runtime);
	}
	assert_string_equal(runtime_name(RUNTIME_PYTHON), "python");
	assert_string_equal(runtime_name(RUNTIME_NODEJS), "nodejs");
	assert_string_equal(runtime_name(RUNTIME_OTHER), "other");
}

static void uwsgi_with_another_language_is_not_python(void **state)
{
	static const char *const foreign[] = {"uwsgi|--psgi|app.psgi", "uwsgi|--plugin|rack",
					      "uwsgi|--plugins=php,http", "uwsgi|--plugin=lua"};
	struct fake_proc *fake = *state;
	enum runtime runtime;

	for (size_t i = 0; i < COUNT(foreign); i++) {
		fake_process(fake, 42,
			     &(struct fake_process){.exe = "/bin/uwsgi", .arguments = foreign[i]});
		assert_int_equal(process_runtime_read(&runtime, fake->proc, 42), 0);
		assert_int_equal(runtime, RUNTIME_OTHER);
	}
	fake_process(fake, 42,
		     &(struct fake_process){.exe = "/bin/uwsgi",
					    .arguments = "uwsgi|--plugin|python3|--ini|php.ini"});
	assert_int_equal(process_runtime_read(&runtime, fake->proc, 42), 0);
	assert_int_equal(runtime, RUNTIME_PYTHON);
}

static void every_fact_is_read(void **state)
{
	struct fake_proc *fake = *state;
	struct process_facts facts;

	fake_process(fake, 42,
		     &(struct fake_process){
			     .exe = "/usr/bin/python3 (deleted)",
			     .arguments = "python3|-m||shop",
			     .cwd = "/srv/shop",
			     .environment = "PATH=/bin|OTEL_SERVICE_NAME= till |HOSTNAME=pod|junk|"
					    "OTEL_RESOURCE_ATTRIBUTES=a=b,c=d|FLASK_APP=web|"
					    "DJANGO_SETTINGS_MODULE=a.settings",
			     .cgroup = "1:cpu:/\n0::/system.slice/shop.service\n",
			     .parent = 7,
		     });
	assert_int_equal(process_facts_read(&facts, fake->proc, 42), 0);
	assert_int_equal(facts.pid, 42);
	assert_int_equal(facts.parent, 7);
	assert_int_equal(facts.runtime, RUNTIME_PYTHON);
	assert_string_equal(facts.exe, "/usr/bin/python3");
	assert_string_equal(facts.cwd, "/srv/shop");
	assert_int_equal(facts.arg_count, 4);
	assert_string_equal(facts.arg[2], "");
	assert_string_equal(facts.arg[3], "shop");
	assert_string_equal(facts.cgroup, "/system.slice/shop.service");
	assert_string_equal(facts.otel_service_name, "till");
	assert_string_equal(facts.otel_resource_attributes, "a=b,c=d");
	assert_string_equal(facts.flask_app, "web");
	assert_string_equal(facts.django_settings, "a.settings");
	assert_string_equal(facts.hostname, "pod");
	assert_string_equal(facts.pod_name, "");
	assert_false(facts.kubernetes);
}

static void packing_keeps_every_fact(void **state)
{
	struct fake_proc *fake = *state;
	struct process_facts facts, copy, unpacked;
	struct packed_facts *packed;

	fake_process(fake, 42,
		     &(struct fake_process){
			     .exe = "/usr/bin/node",
			     .arguments = "node|--flag||server.js",
			     .cwd = "/srv/shop",
			     .environment = "OTEL_SERVICE_NAME=till|KUBERNETES_SERVICE_HOST=::1|"
					    "pm_exec_path=/srv/x.js|HOSTNAME=shop-0",
			     .cgroup = "0::/docker/" ID,
		     });
	fake_file(fake, "/srv/shop/package.json", "{\"name\": \"shop\"}");
	assert_int_equal(process_facts_read(&facts, fake->proc, 42), 0);
	memset(facts.cwd + strlen(facts.cwd), 0, sizeof(facts.cwd) - strlen(facts.cwd));
	strcpy(facts.container_name, "a");
	strcpy(facts.container_service, "b");
	strcpy(facts.django_settings, "c");
	strcpy(facts.flask_app, "d");
	strcpy(facts.otel_resource_attributes, "e");
	strcpy(facts.kubernetes_namespace, "f");
	packed = packed_facts_share(packed_facts_new(&facts));
	packed_facts_drop(packed);
	packed_facts_unpack(&unpacked, packed);
	packed_facts_drop(packed);
	assert_int_equal(unpacked.arg_count, 4);
	for (size_t i = 0; i < facts.arg_count; i++)
		assert_string_equal(unpacked.arg[i], facts.arg[i]);
	/* Everything but the pointers is equal to the byte. */
	process_facts_copy(&copy, &facts);
	assert_ptr_equal(copy.arg[1], copy.args + (facts.arg[1] - facts.args));
	memset(facts.arg, 0, sizeof(facts.arg));
	memset(copy.arg, 0, sizeof(copy.arg));
	memset(unpacked.arg, 0, sizeof(unpacked.arg));
	assert_memory_equal(&copy, &facts, sizeof(facts));
	assert_memory_equal(&unpacked, &facts, sizeof(facts));
}

static void a_title_is_one_argument(void **state)
{
	struct process_facts facts;

	facts = read_process(*state, &(struct fake_process){
					     .exe = "/usr/bin/python3",
					     .arguments = "gunicorn: worker [shop]||||",
				     });
	assert_int_equal(facts.arg_count, 1);
	facts = read_process(*state, &(struct fake_process){.exe = "/usr/bin/python3"});
	assert_int_equal(facts.arg_count, 0);
}

static void huge_and_binary_files_do_no_harm(void **state)
{
	enum { HUGE_BYTES = 3 * 1024 * 1024 };
	static const char *const files[] = {"cmdline", "environ", "status", "cgroup"};
	struct fake_proc *fake = *state;
	struct process_facts facts;
	char *bytes = malloc(HUGE_BYTES), path[160];
	uint32_t random = 1;

	fake_process(fake, 42, &(struct fake_process){.exe = "/usr/bin/node", .cwd = "/"});
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < HUGE_BYTES; i++) {
			random = random * 1664525 + 1013904223;
			bytes[i] = round == 0 ? 'x' : round == 1 ? ':' : (char)(random >> 24);
		}
		for (size_t i = 0; i < COUNT(files); i++) {
			snprintf(path, sizeof(path), "%s/42/%s", fake->proc, files[i]);
			fake_write(path, bytes, HUGE_BYTES);
		}
		assert_int_equal(process_facts_read(&facts, fake->proc, 42), 0);
		assert_true(facts.arg_count <= PROCESS_ARGS_MAX);
	}
	free(bytes);
}

static void a_process_that_is_gone_or_has_no_program_is_esrch(void **state)
{
	struct fake_proc *fake = *state;
	struct process_facts facts;
	enum runtime runtime;

	assert_int_equal(process_facts_read(&facts, fake->proc, 42), -ESRCH);
	assert_int_equal(process_runtime_read(&runtime, fake->proc, 42), -ESRCH);
	fake_process(fake, 42, &(struct fake_process){.cwd = "/"}); /* a kernel thread */
	assert_int_equal(process_facts_read(&facts, fake->proc, 42), -ESRCH);
	assert_int_equal(process_runtime_read(&runtime, fake->proc, 42), -ESRCH);
}

static void files_that_vanish_leave_their_facts_empty(void **state)
{
	static const char *const files[] = {"status", "environ", "cgroup", "cwd", "root"};
	struct fake_proc *fake = *state;
	struct process_facts facts;
	char path[160];

	fake_process(fake, 42,
		     &(struct fake_process){.exe = "/usr/bin/node",
					    .arguments = "node|server.js",
					    .cwd = "/srv",
					    .environment = "KUBERNETES_SERVICE_HOST=1",
					    .cgroup = "0::/docker/" ID});
	for (size_t i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/42/%s", fake->proc, files[i]);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(process_facts_read(&facts, fake->proc, 42), 0);
	}
	assert_string_equal(facts.cwd, "");
	assert_string_equal(facts.cgroup, "");
	snprintf(path, sizeof(path), "%s/42/cmdline", fake->proc);
	unlink(path);
	assert_int_equal(process_facts_read(&facts, fake->proc, 42), -ESRCH);
}

static void resource_attributes_are_cut_between_pairs(void **state)
{
	char environment[1024] = "OTEL_RESOURCE_ATTRIBUTES=a=b,c=";
	struct process_facts facts;

	memset(environment + strlen(environment), 'x', 600);
	facts = read_process(
		*state, &(struct fake_process){.exe = "/usr/bin/node", .environment = environment});
	assert_string_equal(facts.otel_resource_attributes, "a=b");
}

struct package_case {
	const char *name, *cwd, *arguments;
};

static void the_nearest_package_json_with_a_name_counts(void **state)
{
	static const struct package_case cases[] = {
		{"shop", "/", "node|/srv/shop/dist/server.js"},
		{"shop", "/srv/shop", "node|dist/server.js"},
		{"shop", "/srv/shop/web", "node|../dist/server.js"},
		{"shop", "/srv/shop", "node|."},
		{"web", "/srv/shop", "node|web"},
		{"web", "/srv/shop", "node|--require|x|web/server.js"},
		{"shop", "/srv/shop", "node|/srv/shop/node_modules/.bin/next|start"},
		{"shop", "/srv/shop", "node|/usr/local/bin/next|start"},
		{"shop", "/srv/shop", "next-server (v14.2.3)"},
		{"web", "/", "node /srv/shop/web/server.js"},
		{"next", "/", "node|/srv/shop/node_modules/next/dist/bin/next"},
		{"linked", "/", "node|/srv/current/server.js"},
		{"", "/srv/garbage", "node|server.js"},
		{"", "/srv/fifo", "node|server.js"},
		{"", "/", "node"},
	};
	struct fake_proc *fake = *state;
	char path[160];

	fake_file(fake, "/srv/shop/package.json", "\xef\xbb\xbf{\"name\": \"@acme/shop\"}");
	fake_file(fake, "/srv/shop/dist/package.json", "{\"type\": \"module\"}");
	fake_file(fake, "/srv/shop/web/package.json", "{\"name\": \"web\"}");
	fake_file(fake, "/srv/shop/node_modules/next/package.json", "{\"name\": \"next\"}");
	fake_file(fake, "/srv/garbage/package.json", "[[[[\"name\"\xff");
	fake_file(fake, "/srv/fifo/", NULL);
	snprintf(path, sizeof(path), "%s/srv/fifo/package.json", fake->root);
	assert_int_equal(mkfifo(path, 0600), 0);
	/* An absolute link is one inside the container. */
	fake_file(fake, "/releases/1/package.json", "{\"name\": \"linked\"}");
	snprintf(path, sizeof(path), "%s/srv", fake->root);
	fake_link(path, "current", "/releases/1");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct process_facts facts =
			read_process(fake, &(struct fake_process){.exe = "/usr/bin/node",
								  .cwd = cases[i].cwd,
								  .arguments = cases[i].arguments});

		assert_string_equal(facts.package_name, cases[i].name);
	}
}

static void pm2_workers_are_what_pm2_was_told_to_run(void **state)
{
	struct fake_proc *fake = *state;
	struct fake_process worker = {
		.exe = "/usr/bin/node",
		.cwd = "/root",
		.arguments = "node|/usr/lib/node_modules/pm2/lib/ProcessContainerFork.js",
		.environment = "name=x|pm_exec_path=/srv/shop/server.js",
	};

	fake_file(fake, "/srv/shop/package.json", "{\"name\": \"shop\"}");
	fake_file(fake, "/usr/lib/node_modules/pm2/package.json", "{\"name\": \"pm2\"}");
	assert_string_equal(read_process(fake, &worker).package_name, "shop");
	worker.arguments = "node|/usr/lib/node_modules/pm2/lib/ProcessContainer.js";
	worker.environment = "pm2_env={\"a\":1,\"pm_exec_path\":\"/srv/shop/server.js\",\"b\":2}";
	assert_string_equal(read_process(fake, &worker).package_name, "shop");
}

static void manage_py_tells_the_django_settings(void **state)
{
	struct fake_proc *fake = *state;
	struct fake_process server = {
		.exe = "/usr/bin/python3", .cwd = "/srv", .arguments = "python|web/manage.py|x"};

	fake_file(
		fake, "/srv/web/manage.py",
		"import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE',\n 'shop.settings')\n");
	assert_string_equal(read_process(fake, &server).django_settings, "shop.settings");
	server.environment = "DJANGO_SETTINGS_MODULE=till.settings";
	assert_string_equal(read_process(fake, &server).django_settings, "till.settings");
	server.environment = NULL;
	fake_file(fake, "/srv/web/manage.py", "DJANGO_SETTINGS_MODULE\", \"broken");
	assert_string_equal(read_process(fake, &server).django_settings, "");
	fake_file(fake, "/srv/web/manage.py", "os.environ[\"DJANGO_SETTINGS_MODULE\"] = \"a.b\"");
	assert_string_equal(read_process(fake, &server).django_settings, "a.b");
}

static void the_cgroup_is_found_in_every_hierarchy(void **state)
{
	static const struct {
		const char *cgroup, *path;
	} cases[] = {
		{"0::/system.slice/a.service\n", "/system.slice/a.service"},
		{"12:pids:/x\n1:name=systemd:/system.slice/a.service\n0::/\n",
		 "/system.slice/a.service"},
		{"0::/b\n1:name=systemd:/system.slice/a.service\n", "/system.slice/a.service"},
		{"1:name=systemd:/\n0::/system.slice/a.service\n", "/system.slice/a.service"},
		{"9:name=systemd:/\n4:memory:/jail/1\n0::/\n", ""},
		{"9:name=systemd:/..\n0::/../../system.slice/a.service\n",
		 "/system.slice/a.service"},
		{"0::/../../kubepods.slice/..a\n", "/kubepods.slice/..a"},
		{"0::/..a\n", "/..a"},
		{"garbage\n::\n:\n", ""},
		{"", ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct process_facts facts =
			read_process(*state, &(struct fake_process){.exe = "/usr/bin/python",
								    .cgroup = cases[i].cgroup});

		assert_string_equal(facts.cgroup, cases[i].path);
		assert_string_equal(facts.container_id, "");
	}
}

static void a_container_id_is_found_in_every_engines_path(void **state)
{
	static const char *const paths[] = {
		"/docker/" ID,
		"/system.slice/docker-" ID ".scope",
		"/machine.slice/libpod-" ID ".scope/container",
		"/system.slice/shop.service/libpod-payload-" ID,
		"/kubepods.slice/kubepods-burstable.slice/cri-containerd-" ID ".scope",
		"/kubepods/burstable/pod0f/" ID,
		"/kubepods.slice/crio-" ID ".scope",
		"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ID,
		"/docker/ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff/"
		"kubelet/" ID,
	};
	static const char *const others[] = {"/",
					     "",
					     ("/a/" ID "0"),
					     ("/libpod-conmon-" ID ".scope"),
					     ("/x" ID),
					     "/docker/0123456789ab"};
	char id[CONTAINER_ID_LEN + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_true(container_id_of(id, paths[i]));
		assert_string_equal(id, ID);
	}
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_false(container_id_of(id, others[i]));
		assert_string_equal(id, "");
	}
}

static void a_container_id_may_be_in_any_hierarchy(void **state)
{
	struct process_facts facts;

	facts = read_process(*state,
			     &(struct fake_process){.exe = "/usr/bin/python",
						    .cgroup = "4:memory:/docker/" ID "\n0::/\n"});
	assert_string_equal(facts.container_id, ID);
	assert_string_equal(facts.cgroup, "");
	/* As a container with a cgroup namespace of its own sees another. */
	facts = read_process(*state, &(struct fake_process){.exe = "/usr/bin/python",
							    .cgroup = "0::/../../pod0f/" ID "\n"});
	assert_string_equal(facts.container_id, ID);
}

static struct process_facts read_contained(struct fake_proc *fake, const char *environment)
{
	return read_process(fake, &(struct fake_process){.exe = "/usr/bin/python3",
							 .environment = environment,
							 .cgroup = "0::/docker/" ID});
}

static void docker_tells_the_name_and_the_compose_service(void **state)
{
	static const char path[] = "/var/lib/docker/containers/" ID "/config.v2.json";
	struct process_facts facts = read_contained(*state, "");

	assert_string_equal(facts.container_name, "");
	fake_file(*state, path, "{\"Name\": \"/shop-web-1\"}");
	facts = read_contained(*state, "");
	assert_string_equal(facts.container_name, "shop-web-1");
	assert_string_equal(facts.container_service, "");
	fake_file(*state, path,
		  "{\"Name\": \"/shop-web-1\", \"Config\": {\"Labels\": "
		  "{\"com.docker.compose.service\": \"web\"}}}");
	facts = read_contained(*state, "");
	assert_string_equal(facts.container_name, "shop-web-1");
	assert_string_equal(facts.container_service, "web");
	fake_file(*state, path, "{\"Name\": 1, \"Config\": []}");
	assert_string_equal(read_contained(*state, "").container_name, "");
}

static void podman_tells_the_name(void **state)
{
	fake_file(*state, "/var/lib/containers/storage/overlay-containers/containers.json",
		  "[{\"id\": \"x\", \"names\": [\"other\"]}, 7, "
		  "{\"id\": \"" ID "\", \"names\": [\"shop\"]}]");
	assert_string_equal(read_contained(*state, "").container_name, "shop");
}

static void containerd_tells_container_pod_and_namespace(void **state)
{
	static const char *const folders[] = {"/run/containerd", "/run/k3s/containerd",
					      "/run/k0s/containerd",
					      "/var/snap/microk8s/common/run/containerd"};

	for (size_t i = 0; i < COUNT(folders); i++) {
		struct process_facts facts;
		char path[256];

		fake_remove(((struct fake_proc *)*state)->root);
		mkdir(((struct fake_proc *)*state)->root, 0755);
		snprintf(path, sizeof(path),
			 "%s/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json", folders[i]);
		fake_file(*state, path,
			  "{\"annotations\": {\"io.kubernetes.cri.container-name\": \"web\","
			  "\"io.kubernetes.cri.sandbox-name\": \"shop-6d4cf56db6-x7k2p\","
			  "\"io.kubernetes.cri.sandbox-namespace\": \"prod\"}}");
		facts = read_contained(*state, "KUBERNETES_SERVICE_HOST=10.0.0.1|HOSTNAME=node");
		assert_string_equal(facts.container_name, "web");
		assert_string_equal(facts.pod_name, "shop-6d4cf56db6-x7k2p");
		assert_string_equal(facts.kubernetes_namespace, "prod");
		assert_true(facts.kubernetes);
	}
}

static void a_pod_is_known_by_its_hostname_and_mounts_where_the_engine_is_out_of_reach(void **state)
{
	struct utsname host;
	char environment[512];
	struct process_facts facts;

	fake_file(*state, "/run/secrets/kubernetes.io/serviceaccount/namespace", "prod\n");
	fake_file(*state, "/var/", NULL);
	snprintf(environment, sizeof(environment), "%s/var", ((struct fake_proc *)*state)->root);
	fake_link(environment, "run", "/run");
	facts = read_contained(*state, "KUBERNETES_SERVICE_HOST=10.0.0.1|HOSTNAME=shop-0");
	assert_string_equal(facts.pod_name, "shop-0");
	assert_string_equal(facts.kubernetes_namespace, "prod");
	uname(&host); /* a pod in the host's network */
	snprintf(environment, sizeof(environment), "KUBERNETES_SERVICE_HOST=x|HOSTNAME=%s",
		 host.nodename);
	assert_string_equal(read_contained(*state, environment).pod_name, "");
}

static void a_pod_in_the_hosts_network_is_told_by_its_namespace(void **state)
{
	static const char environment[] = "KUBERNETES_SERVICE_HOST=x|HOSTNAME=node-1";

	fake_uts(*state, 1, "uts:[1]");
	fake_uts(*state, 42, "uts:[1]");
	assert_string_equal(read_contained(*state, environment).pod_name, "");
	fake_uts(*state, 42, "uts:[2]");
	assert_string_equal(read_contained(*state, environment).pod_name, "node-1");
}

static void paths_are_joined_without_leaving_the_root(void **state)
{
	char path[16];

	(void)state;
	assert_int_equal(path_join(path, sizeof(path), "/a/b", "../c/./d//"), 0);
	assert_string_equal(path, "/a/c/d");
	assert_int_equal(path_join(path, sizeof(path), "/a", "../../.."), 0);
	assert_string_equal(path, "/");
	assert_int_equal(path_join(path, sizeof(path), "", "/x"), 0);
	assert_string_equal(path, "/x");
	assert_int_equal(path_join(path, sizeof(path), "x", "y"), -EINVAL);
	assert_int_equal(path_join(path, sizeof(path), "/", "0123456789abcde"), -EINVAL);
	assert_string_equal(path, "");
	assert_int_equal(path_join(path, sizeof(path), "/", "0123456789abcd"), 0);
	path_cut(path);
	assert_string_equal(path, "/");
	path_cut(path);
	assert_string_equal(path, "");
	path_cut(path);
	assert_string_equal(path, "");
}

static void this_very_process_is_read_from_the_real_proc(void **state)
{
	struct process_facts facts;
	enum runtime runtime = RUNTIME_PYTHON;
	char cwd[1024];

	(void)state;
	assert_int_equal(process_facts_read(&facts, "/proc", getpid()), 0);
	assert_int_equal(facts.pid, getpid());
	assert_int_equal(facts.parent, getppid());
	assert_int_equal(facts.runtime, RUNTIME_OTHER);
	assert_non_null(strstr(facts.exe, "test_process_facts"));
	assert_non_null(strstr(facts.arg[0], "test_process_facts"));
	assert_string_equal(facts.cwd, getcwd(cwd, sizeof(cwd)));
	assert_int_equal(process_runtime_read(&runtime, "/proc", getpid()), 0);
	assert_int_equal(runtime, RUNTIME_OTHER);
	/* The first kernel thread, where this pid namespace has any. */
	if (access("/proc/2/exe", F_OK) && getpid() != 2)
		assert_true(process_runtime_read(&runtime, "/proc", 2) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_runtime_is_the_name_of_the_executable),
		TEST(uwsgi_with_another_language_is_not_python),
		TEST(every_fact_is_read),
		TEST(packing_keeps_every_fact),
		TEST(a_title_is_one_argument),
		TEST(huge_and_binary_files_do_no_harm),
		TEST(a_process_that_is_gone_or_has_no_program_is_esrch),
		TEST(files_that_vanish_leave_their_facts_empty),
		TEST(resource_attributes_are_cut_between_pairs),
		TEST(the_nearest_package_json_with_a_name_counts),
		TEST(pm2_workers_are_what_pm2_was_told_to_run),
		TEST(manage_py_tells_the_django_settings),
		TEST(the_cgroup_is_found_in_every_hierarchy),
		TEST(a_container_id_is_found_in_every_engines_path),
		TEST(a_container_id_may_be_in_any_hierarchy),
		TEST(docker_tells_the_name_and_the_compose_service),
		TEST(podman_tells_the_name),
		TEST(containerd_tells_container_pod_and_namespace),
		TEST(a_pod_is_known_by_its_hostname_and_mounts_where_the_engine_is_out_of_reach),
		TEST(a_pod_in_the_hosts_network_is_told_by_its_namespace),
		TEST(paths_are_joined_without_leaving_the_root),
		TEST(this_very_process_is_read_from_the_real_proc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
