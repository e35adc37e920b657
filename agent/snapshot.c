// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_OK] = "ok",
	[OUTCOME_ERROR] = "error",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_ABORTED] = "aborted",
	[OUTCOME_NO_RESPONSE] = "no_response",
};
