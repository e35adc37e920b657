/* SPDX-License-Identifier: Apache-2.0 */
/* check - the preflight: whether bittern can run here, and what it would see. */
#ifndef BITTERN_CHECK_H
#define BITTERN_CHECK_H

#include "options.h"

/* Prints its findings and a verdict to standard output. The exit status: 0 when bittern can run,
 * else 1. */
int check_run(const struct options *options);

#endif
