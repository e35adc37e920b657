// SPDX-License-Identifier: Apache-2.0
#include "service_members.h"

#include <signal.h>
#include <stddef.h>

#include "service_usage.h"

static uint64_t moment(uint64_t now_ns)
{
	return now_ns ? now_ns : 1; /* 0 is "never" */
}

void service_count_exit(struct process *process)
{
	if (!process->service || process->exit >= SERVICE_EXIT_COUNT)
		return;
	process->service->exit_counts[process->exit]++;
	process->exit = EXIT_SETTLED;
}

void service_join(struct process *process, struct service *service, uint64_t now_ns)
{
	process->service = service;
	service_usage_enter(process);
	if (!process->exited_ns) {
		service->process_count++;
		service->gone_ns = 0;
		return;
	}
	if (service->process_count == 0)
		service->gone_ns = moment(now_ns);
	service_count_exit(process);
}

void service_leave(struct process *process, uint64_t now_ns)
{
	struct service *service = process->service;

	process->service = NULL;
	if (service && !process->exited_ns && --service->process_count == 0)
		service->gone_ns = moment(now_ns);
}

void service_assume(struct process *process, struct service *service, uint64_t now_ns)
{
	if (!service)
		return;
	service_leave(process, now_ns);
	process->assumed = true;
	service_join(process, service, now_ns);
}

uint8_t service_exit_of(uint32_t code, bool oom_victim)
{
	uint32_t signal = code & 0x7f;

	if (signal == SIGKILL && oom_victim)
		return SERVICE_EXIT_OOM_KILLED;
	if (signal)
		return signal <= SERVICE_EXIT_SIGNAL_MAX ? (uint8_t)signal : EXIT_SETTLED;
	return code >> 8 & 0xff ? SERVICE_EXIT_NONZERO : SERVICE_EXIT_ZERO;
}
