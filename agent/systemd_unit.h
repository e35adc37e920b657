/* SPDX-License-Identifier: Apache-2.0 */
/* systemd_unit - the unit that a cgroup path belongs to. Pure. */
#ifndef BITTERN_SYSTEMD_UNIT_H
#define BITTERN_SYSTEMD_UNIT_H

#include <stdbool.h>
#include <stddef.h>

/* The name of the path's innermost service, escapes decoded, without instance and suffix: "shop"
 * of /system.slice/shop@1.service. false ("" then): there is none, or it is no application but a
 * session, a container engine, a process manager, a terminal or something that systemd-run
 * named. */
bool systemd_unit_name(char *name, size_t size, const char *cgroup_path);
/* Whether wanted ("shop.service", "shop@1", "shop") is the path's innermost unit, whatever it
 * is. */
bool systemd_unit_is(const char *cgroup_path, const char *wanted);

#endif
