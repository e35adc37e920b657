// SPDX-License-Identifier: Apache-2.0
#include "tls_own.h"

#include <errno.h>
#include <stdlib.h>

struct tls_own {
	struct uprobe *probes[TLS_PROBES_MAX];
	const struct uprobe_places
		*at[TLS_PROBES_MAX]; /* tells which file it is; never looked at */
};

static void detach(struct tls_own *own, struct uprobes *uprobes, size_t i)
{
	uprobes_detach(uprobes, own->probes[i]);
	own->probes[i] = NULL;
}

static int attach(struct tls_own *own, struct uprobes *uprobes, pid_t pid,
		  const struct tls_probe *probe, const struct tls_own_place *wanted, size_t i)
{
	struct uprobe_places places = *wanted->places;
	int error;

	places.cookie |= TLS_COOKIE_OWN;
	error = uprobes_attach_to(uprobes, &own->probes[i], probe->program, wanted->fd, &places,
				  pid);
	if (!error)
		own->at[i] = wanted->places;
	return error;
}

int tls_own_update(struct tls_own **own, struct uprobes *uprobes, pid_t pid,
		   const struct tls_probe *probes, const struct tls_own_place *wanted,
		   size_t probe_count)
{
	bool any = false;
	int error;

	for (size_t i = 0; i < probe_count; i++)
		any = any || wanted[i].places;
	if (!any) {
		tls_own_close(*own, uprobes);
		*own = NULL;
		return 0;
	}
	if (!*own)
		*own = calloc(1, sizeof(**own));
	if (!*own)
		return -ENOMEM;
	for (size_t i = 0; i < probe_count; i++) {
		if ((*own)->probes[i] && (*own)->at[i] != wanted[i].places)
			detach(*own, uprobes, i);
		if ((*own)->probes[i] || !wanted[i].places)
			continue;
		error = attach(*own, uprobes, pid, &probes[i], &wanted[i], i);
		if (error) {
			tls_own_close(*own, uprobes);
			*own = NULL;
			return error == -ESRCH ? 0 : error;
		}
	}
	return 0;
}

void tls_own_close(struct tls_own *own, struct uprobes *uprobes)
{
	if (!own)
		return;
	for (size_t i = 0; i < TLS_PROBES_MAX; i++)
		detach(own, uprobes, i);
	free(own);
}
