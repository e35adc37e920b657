// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "capture.h"
#include "kernel.h"
#include "services.h"

/* linux/capability.h */
static const struct {
	const char *name;
	int number;
	const char *purpose;
	const char *without; /* what bittern does then; NULL: it cannot run, as the verdict says */
} capabilities[] = {
	{"CAP_BPF", 39, "load BPF programs", NULL},
	{"CAP_PERFMON", 38, "attach them to the kernel's tracepoints", NULL},
	{"CAP_SYS_PTRACE", 19, "read exe, environ and cwd of other users' processes",
	 "other users' services stay invisible"},
	{"CAP_DAC_READ_SEARCH", 2, "read their package.json",
	 "services in folders closed to this user are not named by their package.json"},
};

#define CAPABILITY_COUNT (sizeof(capabilities) / sizeof(capabilities[0]))

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

static uint64_t effective_capabilities(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long value = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &value) == 1)
			break;
	}
	fclose(file);
	return value;
}

static void read_line(const char *path, char *out, size_t len)
{
	FILE *file = fopen(path, "re");

	snprintf(out, len, "unknown");
	if (!file)
		return;
	if (!fgets(out, len, file))
		snprintf(out, len, "unknown");
	out[strcspn(out, "\n")] = '\0';
	fclose(file);
}

static void print_kernel(const struct kernel *kernel)
{
	struct utsname name;
	int i;

	uname(&name);
	printf("kernel                         %s %s (%s)\n", name.sysname, name.release,
	       name.machine);
	printf("BTF (/sys/kernel/btf)          %s\n", yes(kernel->has_btf));
	for (i = 0; i < HOOK_COUNT; i++)
		printf("  %-29s%s\n", kernel_hook_name(i),
		       kernel->has_hook[i] ? "available" : "missing");
	printf("bpf_task_pt_regs               %s\n", yes(kernel->has_pt_regs_helper));
	printf("variant                        %s\n", kernel_variant_name(kernel->variant));
}

static void print_limits(uint64_t effective)
{
	char line[64];
	size_t i;

	for (i = 0; i < CAPABILITY_COUNT; i++)
		printf("%-31s%-4sto %s\n", capabilities[i].name,
		       yes(effective >> capabilities[i].number & 1), capabilities[i].purpose);
	read_line("/proc/sys/kernel/unprivileged_bpf_disabled", line, sizeof(line));
	printf("unprivileged_bpf_disabled      %s\n", line);
	read_line("/proc/sys/net/core/bpf_jit_enable", line, sizeof(line));
	printf("bpf_jit_enable                 %s%s\n", line,
	       line[0] == '0' ? " (slow: set it to 1)" : "");
	read_line("/sys/kernel/security/lockdown", line, sizeof(line));
	printf("lockdown                       %s\n", line);
}

/* What a verdict of "can run" would hide. */
static void print_warnings(uint64_t effective)
{
	size_t i;

	for (i = 0; i < CAPABILITY_COUNT; i++) {
		if (capabilities[i].without && !(effective >> capabilities[i].number & 1))
			printf("warning                        without %s %s\n",
			       capabilities[i].name, capabilities[i].without);
	}
}

static void print_runtimes(const struct options *options)
{
	struct services_config config = {
		.proc_path = "/proc",
		.host_id = "",
		.max_routes = 1,
		.want_runtime = {[RUNTIME_PYTHON] = true, [RUNTIME_NODEJS] = true},
		.matches = options->matches,
		.match_count = options->match_count,
	};
	size_t counts[RUNTIME_COUNT] = {0};
	struct services *services;

	if (services_open(&services, &config))
		return;
	services_scan(services, 0);
	services_count_runtimes(services, counts);
	printf("Python processes               %zu\n", counts[RUNTIME_PYTHON]);
	printf("Node.js processes              %zu\n", counts[RUNTIME_NODEJS]);
	services_close(services);
}

static void print_tls(const struct options *options, enum uprobe_mode mode)
{
	const char *how = "no: neither uprobe_multi (Linux 6.6) nor perf events of uprobes "
			  "(CAP_SYS_ADMIN) are to be had";

	if (options->no_tls)
		how = "no: --no-tls";
	else if (mode == UPROBE_MULTI)
		how = "yes, by uprobe_multi links";
	else if (mode == UPROBE_PERF)
		how = "yes, by perf events";
	printf("TLS libraries are probed       %s\n", how);
}

int check_run(const struct options *options)
{
	uint64_t effective = effective_capabilities();
	struct kernel kernel;
	struct capture_config config = {.ring_bytes = options->ring_bytes};
	struct capture *capture = NULL;
	char why[256] = "";
	int error;

	kernel_probe(&kernel);
	print_kernel(&kernel);
	print_limits(effective);
	print_runtimes(options);
	print_warnings(effective);
	if (kernel.variant == KERNEL_NONE) {
		kernel_explain(&kernel, why, sizeof(why));
		printf("verdict                        bittern cannot run here: %s\n", why);
		return 1;
	}
	config.tls = options->no_tls ? UPROBE_NONE : uprobes_mode();
	print_tls(options, config.tls);
	config.cpu = !options->no_cpu;
	error = capture_open(&capture, &config, why, sizeof(why));
	if (!error)
		error = capture_attach(capture, why, sizeof(why));
	capture_close(capture);
	if (error) {
		printf("verdict                        bittern cannot run here: %s\n", why);
		return 1;
	}
	printf("verdict                        bittern can run here\n");
	return 0;
}
