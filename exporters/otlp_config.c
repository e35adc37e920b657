// SPDX-License-Identifier: Apache-2.0
#include "otlp_config.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

#define MS 1000000ull
#define HTTP_PATH "/v1/metrics"
#define GRPC_PATH "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

/* --- lists of key=value --- */

/* Replaces %XX in place; false: a percent sign without two digits, or a NUL. */
static bool percent_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		char digits[3] = {0};

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
			return false;
		memcpy(digits, text + 1, 2);
		*to = (char)strtoul(digits, NULL, 16);
		if (!*to++)
			return false;
		text += 2;
	}
	*to = '\0';
	return true;
}

static char *trim(char *text)
{
	size_t len;

	while (*text == ' ' || *text == '\t')
		text++;
	len = strlen(text);
	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		text[--len] = '\0';
	return text;
}

/* Calls add for each of "a=1,b=2", values percent-decoded; the strings are gone after. false: not
 * such a list, or add said no. */
static bool each_pair(const char *list,
		      bool (*add)(struct otlp_config *c, const char *key, const char *value),
		      struct otlp_config *c)
{
	char *copy = strlen(list) <= OTLP_LIST_LEN_MAX ? strdup(list) : NULL, *rest = copy, *item;
	bool good = copy;

	while (good && (item = strsep(&rest, ","))) {
		char *equals = strchr(item, '=');
		char *key = trim(item), *value;

		if (!*key && rest)
			continue;
		if (!*key)
			break;
		good = equals;
		if (!good)
			break;
		*equals = '\0';
		key = trim(item);
		value = trim(equals + 1);
		good = *key && percent_decode(key) && percent_decode(value) && add(c, key, value);
	}
	free(copy);
	return good;
}

static bool is_token(const char *text)
{
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr("!#$%&'*+-.^_`|~", *text))
			return false;
	}
	return true;
}

static bool is_field_value(const char *text)
{
	for (; *text; text++) {
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return false;
	}
	return true;
}

static bool add_header(struct otlp_config *c, const char *key, const char *value)
{
	char *line;

	if (c->header_count == OTLP_HEADERS_MAX || !is_token(key) || !is_field_value(value))
		return false;
	/* libcurl takes "name;" for an empty value */
	if (asprintf(&line, *value ? "%s: %s" : "%s;", key, value) < 0)
		return false;
	for (char *p = line; *p && *p != ':'; p++)
		*p = (char)tolower((unsigned char)*p);
	c->headers[c->header_count++] = line;
	return true;
}

static void free_attribute(struct otlp_attribute *a)
{
	free((char *)a->key);
	free((char *)a->value);
}

/* Of two with one key the later wins. */
static bool add_attribute(struct otlp_config *c, const char *key, const char *value)
{
	struct otlp_attribute made = {strdup(key), strdup(value)};
	size_t i = 0;

	while (i < c->attribute_count && strcmp(c->attributes[i].key, key) != 0)
		i++;
	if (!made.key || !made.value || i == OTLP_ATTRIBUTES_MAX || !text_is_utf8(key) ||
	    !text_is_utf8(value)) {
		free_attribute(&made);
		return false;
	}
	if (i < c->attribute_count)
		free_attribute(&c->attributes[i]);
	else
		c->attribute_count++;
	c->attributes[i] = made;
	return true;
}

/* --- values --- */

static bool read_endpoint(struct otlp_config *c, const char *text)
{
	c->endpoint = text;
	return *text && strlen(text) < OTLP_URL_MAX - sizeof(GRPC_PATH) - sizeof("https://");
}

static bool read_protocol(struct otlp_config *c, const char *text)
{
	c->grpc = !strcasecmp(text, "grpc");
	return c->grpc || !strcasecmp(text, "http/protobuf");
}

static bool read_headers(struct otlp_config *c, const char *text)
{
	return each_pair(text, add_header, c);
}

static bool read_compression(struct otlp_config *c, const char *text)
{
	c->gzip = !strcasecmp(text, "gzip");
	return c->gzip || !strcasecmp(text, "none");
}

/* Milliseconds, as the variables have them, or with a unit. */
static bool read_duration(uint64_t *out_ns, const char *text)
{
	unsigned long long value, factor = 1;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || !isdigit((unsigned char)*text))
		return false;
	if (!strcmp(end, "s"))
		factor = 1000;
	else if (!strcmp(end, "m"))
		factor = 60 * 1000;
	else if (*end && strcmp(end, "ms") != 0)
		return false;
	if (!value || value > OTLP_DURATION_MAX_MS / factor)
		return false;
	*out_ns = value * factor * MS;
	return true;
}

static bool read_timeout(struct otlp_config *c, const char *text)
{
	return read_duration(&c->timeout_ns, text);
}

static bool read_interval(struct otlp_config *c, const char *text)
{
	return read_duration(&c->interval_ns, text) && c->interval_ns >= 100 * MS;
}

static bool read_export_timeout(struct otlp_config *c, const char *text)
{
	return read_duration(&c->export_timeout_ns, text);
}

static bool read_file(const char **out, const char *text)
{
	*out = text;
	/* as open() sees it: access() leaves out capabilities of a user who is not root */
	return !faccessat(AT_FDCWD, text, R_OK, AT_EACCESS);
}

static bool read_certificate(struct otlp_config *c, const char *text)
{
	return read_file(&c->certificate, text);
}

static bool read_client_certificate(struct otlp_config *c, const char *text)
{
	return read_file(&c->client_certificate, text);
}

static bool read_client_key(struct otlp_config *c, const char *text)
{
	return read_file(&c->client_key, text);
}

static bool read_insecure(struct otlp_config *c, const char *text)
{
	c->insecure = !text || !strcasecmp(text, "true");
	return c->insecure || !strcasecmp(text, "false");
}

static bool read_temporality(struct otlp_config *c, const char *text)
{
	static const char *const names[] = {[OTLP_CUMULATIVE] = "cumulative",
					    [OTLP_DELTA] = "delta",
					    [OTLP_LOWMEMORY] = "lowmemory"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcasecmp(text, names[i])) {
			c->temporality = i;
			return true;
		}
	}
	return false;
}

static bool read_histograms(struct otlp_config *c, const char *text)
{
	c->exponential = !strcasecmp(text, "exponential") ||
			 !strcasecmp(text, "base2_exponential_bucket_histogram");
	return c->exponential || !strcasecmp(text, "explicit") ||
	       !strcasecmp(text, "explicit_bucket_histogram");
}

static bool read_attributes(struct otlp_config *c, const char *text)
{
	return each_pair(text, add_attribute, c);
}

#define DURATION "a duration from 1ms to 24h, such as 500 (milliseconds), 10s or 1m"
#define FILE_WANTED "a file that can be read"

const struct otlp_option otlp_options[OTLP_SETTING_COUNT] = {
	[OTLP_SET_ENDPOINT] = {"otlp-endpoint", "URL",
			       "Send metrics there by OTLP, such as http://localhost:4318; this "
			       "and all that follows can be said by OTEL_* variables, too",
			       "a URL such as http://localhost:4318"},
	[OTLP_SET_PROTOCOL] = {"otlp-protocol", "NAME", "grpc or http/protobuf (the default)",
			       "grpc or http/protobuf"},
	[OTLP_SET_HEADERS] =
		{"otlp-headers", "NAME=VALUE,...",
		 "Headers of the requests; ps shows options to everybody, but neither the "
		 "variable OTEL_EXPORTER_OTLP_HEADERS nor what --config reads",
		 "a list NAME=VALUE,..., values percent-encoded"},
	[OTLP_SET_COMPRESSION] = {"otlp-compression", "NAME", "gzip or none (the default)",
				  "gzip or none"},
	[OTLP_SET_TIMEOUT] = {"otlp-timeout", "DURATION", "Of one request (default 10s)", DURATION},
	[OTLP_SET_CERTIFICATE] =
		{"otlp-certificate", "FILE",
		 "CA certificates that the collector's is verified by, PEM (default: "
		 "those of the system)",
		 FILE_WANTED},
	[OTLP_SET_CLIENT_CERTIFICATE] = {"otlp-client-certificate", "FILE",
					 "Client certificate, PEM", FILE_WANTED},
	[OTLP_SET_CLIENT_KEY] = {"otlp-client-key", "FILE", "Key of the client certificate, PEM",
				 FILE_WANTED},
	[OTLP_SET_INSECURE] = {"otlp-insecure", NULL,
			       "No TLS for gRPC, when the endpoint has no scheme", "true or false"},
	[OTLP_SET_INTERVAL] =
		{"otlp-interval", "DURATION", "From one export to the next (default 60s)",
		 "a duration from 100ms to 24h, such as 500 (milliseconds), 10s or 1m"},
	[OTLP_SET_EXPORT_TIMEOUT] = {"otlp-export-timeout", "DURATION",
				     "How long the last export may take when bittern is stopped "
				     "(default 30s)",
				     DURATION},
	[OTLP_SET_TEMPORALITY] = {"otlp-temporality", "NAME",
				  "cumulative (the default), delta or lowmemory",
				  "cumulative, delta or lowmemory"},
	[OTLP_SET_HISTOGRAMS] = {"otlp-histograms", "KIND", "explicit (the default) or exponential",
				 "explicit or exponential (explicit_bucket_histogram, "
				 "base2_exponential_bucket_histogram)"},
	[OTLP_SET_ATTRIBUTES] = {"resource-attributes", "NAME=VALUE,...",
				 "Attributes of every resource; service.* are of bittern's own",
				 "a list NAME=VALUE,..., values percent-encoded"},
};

static const struct reader {
	bool (*read)(struct otlp_config *c, const char *text);
	const char *variable; /* behind OTEL_EXPORTER_OTLP_ and OTEL_EXPORTER_OTLP_METRICS_ ... */
	const char *whole; /* ... or all of its name */
} readers[OTLP_SETTING_COUNT] = {
	[OTLP_SET_ENDPOINT] = {read_endpoint, "ENDPOINT", NULL},
	[OTLP_SET_PROTOCOL] = {read_protocol, "PROTOCOL", NULL},
	[OTLP_SET_HEADERS] = {read_headers, "HEADERS", NULL},
	[OTLP_SET_COMPRESSION] = {read_compression, "COMPRESSION", NULL},
	[OTLP_SET_TIMEOUT] = {read_timeout, "TIMEOUT", NULL},
	[OTLP_SET_CERTIFICATE] = {read_certificate, "CERTIFICATE", NULL},
	[OTLP_SET_CLIENT_CERTIFICATE] = {read_client_certificate, "CLIENT_CERTIFICATE", NULL},
	[OTLP_SET_CLIENT_KEY] = {read_client_key, "CLIENT_KEY", NULL},
	[OTLP_SET_INSECURE] = {read_insecure, "INSECURE", NULL},
	[OTLP_SET_INTERVAL] = {read_interval, NULL, "OTEL_METRIC_EXPORT_INTERVAL"},
	[OTLP_SET_EXPORT_TIMEOUT] = {read_export_timeout, NULL, "OTEL_METRIC_EXPORT_TIMEOUT"},
	[OTLP_SET_TEMPORALITY] = {read_temporality, NULL,
				  "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"},
	[OTLP_SET_HISTOGRAMS] = {read_histograms, NULL,
				 "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"},
	[OTLP_SET_ATTRIBUTES] = {read_attributes, NULL, "OTEL_RESOURCE_ATTRIBUTES"},
};

bool otlp_config_set(struct otlp_config *c, enum otlp_setting setting, const char *text)
{
	c->given[setting] = true;
	return readers[setting].read(c, text);
}

void otlp_config_explain(enum otlp_setting setting, const char *text, char *why, size_t why_len)
{
	if (setting == OTLP_SET_HEADERS) /* their values are secrets */
		snprintf(why, why_len, "what it holds is not %s", otlp_options[setting].wanted);
	else
		snprintf(why, why_len, "'%.200s' is not %s", text, otlp_options[setting].wanted);
}

/* --- the environment --- */

/* NULL: not set, or empty. */
static const char *variable(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? text : NULL;
}

/* Its value, or NULL, and its name. */
static const char *find_variable(enum otlp_setting setting, char *name, size_t name_len,
				 bool *of_metrics)
{
	const struct reader *r = &readers[setting];
	const char *text;

	*of_metrics = false;
	if (r->whole) {
		snprintf(name, name_len, "%s", r->whole);
		return variable(name);
	}
	snprintf(name, name_len, "OTEL_EXPORTER_OTLP_METRICS_%s", r->variable);
	text = variable(name);
	*of_metrics = text;
	if (text)
		return text;
	snprintf(name, name_len, "OTEL_EXPORTER_OTLP_%s", r->variable);
	return variable(name);
}

static int read_environment(struct otlp_config *c, char *why, size_t why_len)
{
	char name[96];

	for (enum otlp_setting i = 0; i < OTLP_SETTING_COUNT; i++) {
		bool of_metrics;
		const char *text =
			c->given[i] ? NULL : find_variable(i, name, sizeof(name), &of_metrics);

		if (!text)
			continue;
		if (!readers[i].read(c, text)) {
			char what[384];

			otlp_config_explain(i, text, what, sizeof(what));
			snprintf(why, why_len, "%s: %s", name, what);
			return -EINVAL;
		}
		if (i == OTLP_SET_ENDPOINT)
			c->endpoint_is_exact = of_metrics;
	}
	if (variable("OTEL_SERVICE_NAME") &&
	    !add_attribute(c, "service.name", variable("OTEL_SERVICE_NAME"))) {
		snprintf(why, why_len, "OTEL_SERVICE_NAME is not UTF-8");
		return -EINVAL;
	}
	return 0;
}

/* --- the whole --- */

/* text is a URL for HTTP or HTTPS without a user's name. */
static bool is_url(const char *text)
{
	CURLU *url = curl_url();
	char *host = NULL, *user = NULL, *query = NULL;
	bool good = url && !curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) &&
		    !curl_url_get(url, CURLUPART_HOST, &host, 0) && *host &&
		    curl_url_get(url, CURLUPART_USER, &user, 0) &&
		    curl_url_get(url, CURLUPART_QUERY, &query, 0);

	curl_free(host);
	curl_free(user);
	curl_free(query);
	curl_url_cleanup(url);
	return good;
}

static bool starts_with(const char *text, const char *prefix)
{
	return !strncasecmp(text, prefix, strlen(prefix));
}

/* A base gets the path of the protocol; HTTP's own endpoint for metrics is taken as it is. */
static bool make_url(struct otlp_config *c)
{
	bool has_scheme =
		starts_with(c->endpoint, "http://") || starts_with(c->endpoint, "https://");
	size_t len = strlen(c->endpoint);
	const char *path = c->grpc ? GRPC_PATH : c->endpoint_is_exact ? "" : HTTP_PATH;
	const char *scheme;

	if (!has_scheme && (!c->grpc || strstr(c->endpoint, "://")))
		return false;
	scheme = has_scheme ? "" : c->insecure ? "http://" : "https://";
	snprintf(c->url, sizeof(c->url), "%s%s", scheme, c->endpoint);
	if (!is_url(c->url))
		return false;
	while (*path && c->endpoint[len - 1] == '/')
		len--;
	snprintf(c->url, sizeof(c->url), "%s%.*s%s", scheme, (int)len, c->endpoint, path);
	return true;
}

static void blame(struct otlp_config *c, enum otlp_setting setting)
{
	c->wrong = c->given[setting] ? setting : OTLP_SETTING_COUNT;
}

int otlp_config_finish(struct otlp_config *c, char *why, size_t why_len)
{
	bool of_metrics;
	char name[96];
	int error;

	c->wrong = OTLP_SETTING_COUNT;
	if (!c->given[OTLP_SET_ENDPOINT] &&
	    !find_variable(OTLP_SET_ENDPOINT, name, sizeof(name), &of_metrics))
		return 0;
	error = read_environment(c, why, why_len);
	if (error)
		return error;
	if (!make_url(c)) {
		blame(c, OTLP_SET_ENDPOINT);
		snprintf(
			why, why_len,
			"OTLP endpoint '%.200s' is not a URL such as http://localhost:4318 (a user "
			"goes into a header; for grpc HOST:PORT is enough)",
			c->endpoint);
		return -EINVAL;
	}
	if (!c->client_certificate != !c->client_key) {
		blame(c, c->client_key ? OTLP_SET_CLIENT_KEY : OTLP_SET_CLIENT_CERTIFICATE);
		snprintf(why, why_len,
			 "a client certificate and its key go together: %s is missing",
			 c->client_key ? "--otlp-client-certificate" : "--otlp-client-key");
		return -EINVAL;
	}
	return 0;
}

struct otlp_encoding otlp_config_encoding(const struct otlp_config *c)
{
	return (struct otlp_encoding){
		.temporality = c->temporality,
		.exponential = c->exponential,
		.attributes = c->attributes,
		.attribute_count = c->attribute_count,
	};
}

void otlp_config_init(struct otlp_config *c)
{
	*c = (struct otlp_config){
		.timeout_ns = 10000 * MS,
		.interval_ns = 60000 * MS,
		.export_timeout_ns = 30000 * MS,
	};
}

void otlp_config_close(struct otlp_config *c)
{
	for (size_t i = 0; i < c->header_count; i++)
		free(c->headers[i]);
	for (size_t i = 0; i < c->attribute_count; i++)
		free_attribute(&c->attributes[i]);
	c->header_count = c->attribute_count = 0;
}
