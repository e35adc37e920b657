/* SPDX-License-Identifier: Apache-2.0 */
/* workload - the Kubernetes workload that made a pod, out of the pod's name. Pure. */
#ifndef BITTERN_WORKLOAD_H
#define BITTERN_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>

/* "shop" of shop-6d4cf56db6-x7k2p (Deployment), shop-0 (StatefulSet), shop-x7k2p (DaemonSet,
 * Job) and shop-28423140-x7k2p (CronJob); any other name as it is. false ("" then): pod_name is
 * empty. */
bool workload_of_pod(char *name, size_t size, const char *pod_name);

#endif
