// SPDX-License-Identifier: Apache-2.0
#include "otlp_transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MS 1000000ull
#define GRPC_HEAD_LEN 5
#define GZIP_WINDOW (15 + 16) /* deflateInit2()'s way to ask for a gzip header */

/* A connection is used once. libcurl sends a request again at once, and says nothing, when a
 * connection that it had kept turns out to be closed, as they often are after a minute; and 7.88
 * cannot use one of HTTP/2 without TLS a second time ("Error in the HTTP2 framing layer"). TLS
 * sessions are resumed. */
struct otlp_transport {
	CURL *curl;
	struct curl_slist *headers;
	bool grpc, gzip, secure;
	/* Of the request at hand. */
	uint8_t *body;
	size_t body_len, body_capacity;
	bool body_too_large;
	bool head_is_whole; /* libcurl takes the end of the connection for the end of a head */
	bool (*stop)(void *context);
	void *context;
	char error[CURL_ERROR_SIZE];
};

int otlp_transport_init(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	return curl_global_init(CURL_GLOBAL_DEFAULT) ? -ENOMEM : 0;
}

/* --- what is sent --- */

/* data, len bytes behind head_len free ones, as gzip behind as many. NULL without memory. */
static uint8_t *compress_message(const uint8_t *data, size_t len, size_t head_len, size_t *out_len)
{
	z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)len};
	uint8_t *out;
	size_t room;

	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	room = deflateBound(&stream, len);
	out = malloc(head_len + room);
	if (out) {
		stream.next_out = out + head_len;
		stream.avail_out = (uInt)room;
		deflate(&stream, Z_FINISH); /* into that much room it always ends */
		*out_len = head_len + stream.total_out;
	}
	deflateEnd(&stream);
	return out;
}

int otlp_transport_prepare(const struct otlp_transport *t, struct otlp_request *request)
{
	size_t head_len = t->grpc ? GRPC_HEAD_LEN : 0, len = request->len;
	uint8_t *data;

	if (t->gzip) {
		data = compress_message(request->data, request->len, head_len, &len);
		if (!data)
			return -ENOMEM;
		free(request->data);
	} else {
		data = realloc(request->data, head_len + len);
		if (!data)
			return -ENOMEM;
		memmove(data + head_len, data, len);
		len += head_len;
	}
	if (t->grpc) {
		uint32_t message_len = (uint32_t)(len - GRPC_HEAD_LEN);

		data[0] = t->gzip;
		data[1] = (uint8_t)(message_len >> 24);
		data[2] = (uint8_t)(message_len >> 16);
		data[3] = (uint8_t)(message_len >> 8);
		data[4] = (uint8_t)message_len;
	}
	request->data = data;
	request->len = len;
	return 0;
}

/* --- what comes back --- */

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct otlp_transport *t = context;
	size_t len = size * count;

	if (t->body_len + len > OTLP_ANSWER_MAX) {
		t->body_too_large = true;
		return 0;
	}
	if (t->body_len + len > t->body_capacity) {
		size_t capacity = (t->body_len + len) * 2;
		uint8_t *grown = realloc(t->body, capacity);

		if (!grown)
			return 0;
		t->body = grown;
		t->body_capacity = capacity;
	}
	memcpy(t->body + t->body_len, bytes, len);
	t->body_len += len;
	return len;
}

static size_t take_field(char *line, size_t size, size_t count, void *context)
{
	struct otlp_transport *t = context;

	(void)size;
	t->head_is_whole = t->head_is_whole || (count == 2 && !memcmp(line, "\r\n", 2)) ||
			   (count == 1 && *line == '\n');
	return count;
}

static int ask_stop(void *context, curl_off_t download_total, curl_off_t download,
		    curl_off_t upload_total, curl_off_t upload)
{
	const struct otlp_transport *t = context;

	(void)download_total;
	(void)download;
	(void)upload_total;
	(void)upload;
	return t->stop && t->stop(t->context);
}

static const char *field(struct otlp_transport *t, const char *name)
{
	struct curl_header *header;

	return curl_easy_header(t->curl, name, 0, CURLH_HEADER | CURLH_TRAILER, -1, &header)
		       ? NULL
		       : header->value;
}

static enum otlp_failure failure_of(const struct otlp_transport *t, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return OTLP_FAILED_DNS;
	case CURLE_COULDNT_CONNECT:
		return OTLP_FAILED_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return OTLP_FAILED_TLS;
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_ABORTED_BY_CALLBACK:
		return OTLP_FAILED_TIMEOUT;
	case CURLE_OUT_OF_MEMORY:
		return OTLP_FAILED_MEMORY;
	case CURLE_WRITE_ERROR:
		return t->body_too_large ? OTLP_FAILED_ANSWER_TOO_LARGE : OTLP_FAILED_MEMORY;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
	case CURLE_BAD_CONTENT_ENCODING:
		return OTLP_FAILED_BAD_ANSWER;
	default:
		return OTLP_FAILED_INTERRUPTED;
	}
}

/* No answer, or none to the end. Whether the request was taken is not known: it is sent again. But
 * an answer that no request gets right is not asked for twice. */
static void answer_error(const struct otlp_transport *t, CURLcode code, struct otlp_answer *answer)
{
	*answer = (struct otlp_answer){.failure = failure_of(t, code)};
	answer->result = answer->failure == OTLP_FAILED_ANSWER_TOO_LARGE ||
					 answer->failure == OTLP_FAILED_BAD_ANSWER
				 ? OTLP_GIVE_UP
				 : OTLP_RETRY;
	snprintf(answer->message, sizeof(answer->message), "%s",
		 t->body_too_large                   ? "the answer is larger than 4 MiB"
		 : code == CURLE_ABORTED_BY_CALLBACK ? "no more time"
		 : *t->error                         ? t->error
						     : curl_easy_strerror(code));
}

static void read_reply(struct otlp_transport *t, struct otlp_answer *answer)
{
	struct otlp_reply reply = {
		.grpc = t->grpc,
		.content_type = field(t, "content-type"),
		.grpc_status = field(t, "grpc-status"),
		.grpc_message = field(t, "grpc-message"),
		.grpc_details = field(t, "grpc-status-details-bin"),
		.body = t->body,
		.body_len = t->body_len,
	};
	curl_off_t retry_after = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &reply.http_status);
	curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &retry_after);
	reply.retry_after_s = retry_after;
	otlp_answer(answer, &reply);
}

uint64_t otlp_transport_send(struct otlp_transport *t, const struct otlp_request *request,
			     uint64_t timeout_ns, bool (*stop)(void *context), void *context,
			     struct otlp_answer *answer)
{
	curl_off_t sent = 0;
	CURLcode code;

	t->stop = stop;
	t->context = context;
	t->body_len = 0;
	t->body_too_large = t->head_is_whole = false;
	t->error[0] = '\0';
	curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, request->data);
	curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
	curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)((timeout_ns + MS - 1) / MS));
	code = curl_easy_perform(t->curl);
	if (!code && !t->head_is_whole)
		code = CURLE_PARTIAL_FILE;
	/* a gRPC server may end the stream by a reset once it has told the status */
	if (code && (t->body_too_large || !t->grpc || !field(t, "grpc-status")))
		answer_error(t, code, answer);
	else
		read_reply(t, answer);
	free(t->body); /* an answer is short, or it is the rare one that need not be kept room for
			*/
	t->body = NULL;
	t->body_capacity = 0;
	curl_easy_getinfo(t->curl, CURLINFO_SIZE_UPLOAD_T, &sent);
	return sent > 0 ? (uint64_t)sent : 0;
}

/* --- opening and closing --- */

static bool add_header(struct otlp_transport *t, const char *line)
{
	struct curl_slist *grown = curl_slist_append(t->headers, line);

	if (grown)
		t->headers = grown;
	return grown;
}

static bool add_headers(struct otlp_transport *t, const struct otlp_config *config,
			const char *version)
{
	char agent[64];
	bool good;

	snprintf(agent, sizeof(agent), "User-Agent: OTel-OTLP-Exporter-bittern/%.20s", version);
	good = add_header(t, agent) && add_header(t, "Expect:") && add_header(t, "Accept:");
	if (t->grpc)
		good = good && add_header(t, "Content-Type: application/grpc") &&
		       add_header(t, "TE: trailers") &&
		       add_header(t, "grpc-accept-encoding: identity,gzip") &&
		       (!t->gzip || add_header(t, "grpc-encoding: gzip"));
	else
		good = good && add_header(t, "Content-Type: application/x-protobuf") &&
		       (!t->gzip || add_header(t, "Content-Encoding: gzip"));
	for (size_t i = 0; good && i < config->header_count; i++)
		good = add_header(t, config->headers[i]);
	return good;
}

static bool set_tls(struct otlp_transport *t, const struct otlp_config *config)
{
	return (!config->certificate ||
		!curl_easy_setopt(t->curl, CURLOPT_CAINFO, config->certificate)) &&
	       (!config->client_certificate ||
		(!curl_easy_setopt(t->curl, CURLOPT_SSLCERT, config->client_certificate) &&
		 !curl_easy_setopt(t->curl, CURLOPT_SSLKEY, config->client_key)));
}

static bool set_up(struct otlp_transport *t, const struct otlp_config *config)
{
	long version = !t->grpc    ? CURL_HTTP_VERSION_2TLS
		       : t->secure ? CURL_HTTP_VERSION_2TLS
				   : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	CURL *curl = t->curl;

	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, version);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_stop);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_field);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
	return !curl_easy_setopt(curl, CURLOPT_URL, config->url) &&
	       !curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") && set_tls(t, config);
}

int otlp_transport_open(struct otlp_transport **out, const struct otlp_config *config,
			const char *version)
{
	struct otlp_transport *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->grpc = config->grpc;
	t->gzip = config->gzip;
	t->secure = !strncasecmp(config->url, "https:", 6);
	t->curl = curl_easy_init();
	if (!t->curl || !add_headers(t, config, version) || !set_up(t, config)) {
		otlp_transport_close(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void otlp_transport_close(struct otlp_transport *t)
{
	if (!t)
		return;
	curl_easy_cleanup(t->curl);
	curl_slist_free_all(t->headers);
	free(t->body);
	free(t);
}
