// SPDX-License-Identifier: Apache-2.0
/* clock - the CPU clock of the calling thread, for Node, which has none of its own before version
 * 22.19: require() gives { now() }, in ns. Node-API's binary interface is stable, so that it can be
 * declared here: its headers are not installed with every node. */
#include <stddef.h>
#include <time.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;

int napi_create_double(napi_env env, double value, napi_value *result);
int napi_create_function(napi_env env, const char *name, size_t len,
			 napi_value (*call)(napi_env, napi_callback_info), void *data,
			 napi_value *result);
int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);

static napi_value now(napi_env env, napi_callback_info info)
{
	struct timespec clock;
	napi_value result = NULL;

	(void)info;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &clock);
	napi_create_double(env, clock.tv_sec * 1e9 + clock.tv_nsec, &result);
	return result;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	napi_value function;

	if (napi_create_function(env, "now", 3, now, NULL, &function) ||
	    napi_set_named_property(env, exports, "now", function))
		return NULL;
	return exports;
}
