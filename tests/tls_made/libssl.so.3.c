// SPDX-License-Identifier: Apache-2.0
/* OpenSSL's functions by name: what they do is of no matter to the tests. */
#include <stddef.h>

__attribute__((noinline)) int SSL_read_ex(void *session, void *buffer, size_t max, size_t *count)
{
	*count = max / 2;
	return session && buffer ? 41 : 40;
}

__attribute__((noinline)) int SSL_write(void *session, const void *buffer, int len)
{
	static volatile int written;

	written += len;
	return session && buffer ? written : 0;
}
