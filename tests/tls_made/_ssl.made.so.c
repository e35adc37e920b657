// SPDX-License-Identifier: Apache-2.0
/* Calls OpenSSL as the module of Python does. */
#include <stddef.h>

int SSL_read_ex(void *session, void *buffer, size_t max, size_t *count);

int made_read(void *session, void *buffer, size_t max)
{
	size_t count = 0;
	int result = SSL_read_ex(session, buffer, max, &count);

	return result == 41 ? (int)count : -1;
}
