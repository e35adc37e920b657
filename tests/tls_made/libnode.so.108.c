// SPDX-License-Identifier: Apache-2.0
/* As Debian's node: the parser, while OpenSSL is a library of its own. */
#include <stddef.h>

__attribute__((noinline)) int llhttp_execute(void *parser, const char *data, size_t len)
{
	return parser && data ? (int)len : 0;
}
