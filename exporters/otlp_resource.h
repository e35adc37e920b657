/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_resource - the attributes of a resource: of a service, and of bittern itself. */
#ifndef BITTERN_OTLP_RESOURCE_H
#define BITTERN_OTLP_RESOURCE_H

#include "../agent/snapshot.h"
#include "otlp_encode.h"

/* Begins the resource of service; NULL: of bittern. */
void otlp_resource(struct otlp_builder *b, const struct otlp_encoding *config,
		   const struct snapshot *snapshot, const struct service *service);

#endif
