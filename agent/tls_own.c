// SPDX-License-Identifier: Apache-2.0
#include "tls_own.h"

#include <errno.h>
#include <stdlib.h>

struct tls_own {
	const struct tls_own_config *config;
	pid_t pid;
	unsigned groups; /* as told */
	struct uprobe *probes[TLS_PROBES_MAX];
	const struct uprobe_places
		*at[TLS_PROBES_MAX]; /* tells which file it is; never looked at */
};

static void set_groups(struct tls_own *own, unsigned groups)
{
	if (own->groups == groups)
		return;
	own->groups = groups;
	own->config->changed(own->config->context, own->pid, groups);
}

static bool is_there(const struct tls_own *own, const struct tls_own_place *wanted, size_t i)
{
	return own->probes[i] && own->at[i] == wanted[i].places;
}

static unsigned whole_groups(const struct tls_own *own, const struct tls_own_place *wanted)
{
	unsigned there = 0, missing = 0;

	for (size_t i = 0; i < own->config->probe_count; i++) {
		if (!wanted[i].places)
			continue;
		if (is_there(own, wanted, i))
			there |= own->config->probes[i].groups;
		else
			missing |= own->config->probes[i].groups;
	}
	return there & ~missing;
}

static void detach_unwanted(struct tls_own *own, const struct tls_own_place *wanted)
{
	for (size_t i = 0; i < own->config->probe_count; i++) {
		if (!own->probes[i] || is_there(own, wanted, i))
			continue;
		uprobes_detach(own->config->uprobes, own->probes[i]);
		own->probes[i] = NULL;
	}
}

static int attach(struct tls_own *own, const struct tls_own_place *wanted, size_t i)
{
	struct uprobe_places places = *wanted[i].places;
	int error;

	places.cookie |= TLS_COOKIE_OWN;
	error = uprobes_attach_to(own->config->uprobes, &own->probes[i],
				  own->config->probes[i].program, wanted[i].fd, &places, own->pid);
	if (!error)
		own->at[i] = wanted[i].places;
	return error;
}

static struct tls_own *open_own(const struct tls_own_config *config, pid_t pid)
{
	struct tls_own *own = calloc(1, sizeof(*own));

	if (own) {
		own->config = config;
		own->pid = pid;
	}
	return own;
}

int tls_own_update(struct tls_own **own, const struct tls_own_config *config, pid_t pid,
		   const struct tls_own_place *wanted)
{
	bool any = false;
	int error = 0;

	for (size_t i = 0; i < config->probe_count; i++)
		any = any || wanted[i].places;
	if (any && !*own)
		*own = open_own(config, pid);
	if (!*own)
		return any ? -ENOMEM : 0;
	set_groups(*own, (*own)->groups & whole_groups(*own, wanted));
	detach_unwanted(*own, wanted);
	for (size_t i = 0; i < config->probe_count && !error; i++) {
		if (!wanted[i].places || (*own)->probes[i])
			continue;
		error = attach(*own, wanted, i);
		if (!error)
			set_groups(*own, whole_groups(*own, wanted));
	}
	if (any && !error)
		return 0;
	tls_own_close(*own);
	*own = NULL;
	return error == -ESRCH ? 0 : error;
}

void tls_own_close(struct tls_own *own)
{
	if (!own)
		return;
	set_groups(own, 0);
	for (size_t i = 0; i < own->config->probe_count; i++)
		uprobes_detach(own->config->uprobes, own->probes[i]);
	free(own);
}
