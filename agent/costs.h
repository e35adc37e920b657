/* SPDX-License-Identifier: Apache-2.0 */
/* costs - CPU time and page faults, added up. */
#ifndef BITTERN_COSTS_H
#define BITTERN_COSTS_H

#include <stdint.h>

struct costs {
	uint64_t cpu_ns, minor_faults, major_faults;
};

static inline void costs_add(struct costs *to, const struct costs *more)
{
	to->cpu_ns += more->cpu_ns;
	to->minor_faults += more->minor_faults;
	to->major_faults += more->major_faults;
}

static inline uint64_t costs_take_one(uint64_t *from, uint64_t wanted)
{
	uint64_t taken = wanted < *from ? wanted : *from;

	*from -= taken;
	return taken;
}

/* As much of wanted as there is, out of from. */
static inline struct costs costs_take(struct costs *from, const struct costs *wanted)
{
	return (struct costs){
		.cpu_ns = costs_take_one(&from->cpu_ns, wanted->cpu_ns),
		.minor_faults = costs_take_one(&from->minor_faults, wanted->minor_faults),
		.major_faults = costs_take_one(&from->major_faults, wanted->major_faults),
	};
}

#endif
