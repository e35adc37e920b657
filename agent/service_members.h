/* SPDX-License-Identifier: Apache-2.0 */
/* service_members - a process joins a service, leaves it, and ends: what that does to the service's
 * counts. Pure but for what it is given. */
#ifndef BITTERN_SERVICE_MEMBERS_H
#define BITTERN_SERVICE_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "process_table.h"
#include "services.h"

/* Further values of process.exit: it has exited, how is not known; that has been counted. */
enum { EXIT_UNKNOWN = SERVICE_EXIT_COUNT, EXIT_SETTLED };

/* Binds a process, which counts while it lives. */
void service_join(struct process *process, struct service *service, uint64_t now_ns);
void service_leave(struct process *process, uint64_t now_ns);
/* Takes it for one of the service (NULL: leaves it as it is) until it serves. */
void service_assume(struct process *process, struct service *service, uint64_t now_ns);
/* Once it is known how the process ended, this enters its service's counts, once. */
void service_count_exit(struct process *process);
/* A value of process.exit: code as wait(2) has it. */
uint8_t service_exit_of(uint32_t code, bool oom_victim);

#endif
