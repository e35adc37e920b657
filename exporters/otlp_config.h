/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_config - where and how metrics are sent: options, and the variables that OpenTelemetry's
 * SDKs read.
 *
 * An option wins over the variable of the same meaning, OTEL_EXPORTER_OTLP_METRICS_... over
 * OTEL_EXPORTER_OTLP_...; an empty variable is as good as none. Without an endpoint nothing is
 * sent, and no variable is looked at. */
#ifndef BITTERN_OTLP_CONFIG_H
#define BITTERN_OTLP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otlp_encode.h"

#define OTLP_URL_MAX 2048
#define OTLP_HEADERS_MAX 32
#define OTLP_ATTRIBUTES_MAX 64
#define OTLP_LIST_LEN_MAX 16384 /* of headers or attributes, as given */
#define OTLP_DURATION_MAX_MS (24ull * 3600 * 1000)

/* One thing that can be set; the rows are in otlp_config.c. */
enum otlp_setting {
	OTLP_SET_ENDPOINT,
	OTLP_SET_PROTOCOL,
	OTLP_SET_HEADERS,
	OTLP_SET_COMPRESSION,
	OTLP_SET_TIMEOUT,
	OTLP_SET_CERTIFICATE,
	OTLP_SET_CLIENT_CERTIFICATE,
	OTLP_SET_CLIENT_KEY,
	OTLP_SET_INSECURE,
	OTLP_SET_INTERVAL,
	OTLP_SET_EXPORT_TIMEOUT,
	OTLP_SET_TEMPORALITY,
	OTLP_SET_HISTOGRAMS,
	OTLP_SET_ATTRIBUTES,
	OTLP_SETTING_COUNT
};

struct otlp_option {
	const char *name, *argument, *help; /* as argp has them; argument NULL: none */
	const char *wanted; /* what the argument should be */
};
extern const struct otlp_option otlp_options[OTLP_SETTING_COUNT];

struct otlp_config {
	char url[OTLP_URL_MAX]; /* what is posted to; "": nothing is sent */
	bool grpc, gzip;
	bool endpoint_is_exact; /* no path is added: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT */
	bool insecure; /* gRPC without a scheme: no TLS */
	uint64_t timeout_ns; /* of one request */
	uint64_t interval_ns; /* from export to export */
	uint64_t export_timeout_ns; /* of the last export */
	const char *endpoint; /* as given */
	const char *certificate, *client_certificate, *client_key; /* files, PEM; NULL: none */
	char *headers[OTLP_HEADERS_MAX]; /* "name: value" */
	size_t header_count;
	struct otlp_attribute attributes[OTLP_ATTRIBUTES_MAX];
	size_t attribute_count;
	enum otlp_temporality temporality;
	bool exponential;
	bool given[OTLP_SETTING_COUNT]; /* by option */
	/* The option that otlp_config_finish() complained of; OTLP_SETTING_COUNT: a variable. */
	enum otlp_setting wrong;
};

void otlp_config_init(struct otlp_config *c);
/* An option; text lives as long as c. false: not what is wanted. */
bool otlp_config_set(struct otlp_config *c, enum otlp_setting setting, const char *text);
/* What is to be said of such a text: "'TEXT' is not ...", without the text if it may be secret. */
void otlp_config_explain(enum otlp_setting setting, const char *text, char *why, size_t why_len);
/* Adds what the environment says, and looks at the whole. 0; -EINVAL and why, one line; -ENOMEM. */
int otlp_config_finish(struct otlp_config *c, char *why, size_t why_len);
/* How a snapshot is to be encoded; it points into c. */
struct otlp_encoding otlp_config_encoding(const struct otlp_config *c);
void otlp_config_close(struct otlp_config *c);

#endif
