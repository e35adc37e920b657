// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_OK] = "ok",
	[OUTCOME_ERROR] = "error",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_ABORTED] = "aborted",
	[OUTCOME_NO_RESPONSE] = "no_response",
};

const struct undecoded_labels undecoded_labels[UNDECODED_COUNT] = {
	[UNDECODED_HTTP2] = {"server", "http2"},
	[UNDECODED_TLS] = {"server", "tls"},
	[UNDECODED_OTHER] = {"server", "other"},
	[UNDECODED_CLIENT_HTTP2] = {"client", "http2"},
};
