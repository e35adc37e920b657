/* SPDX-License-Identifier: Apache-2.0 */
/* varint - integers as protobuf writes them, seven bits a byte, the lowest first. */
#ifndef BITTERN_VARINT_H
#define BITTERN_VARINT_H

#include <stddef.h>
#include <stdint.h>

/* Their number: 10 at most, 5 below 2^35. */
static inline size_t varint_put(uint8_t *to, uint64_t value)
{
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		to[len++] = (uint8_t)(value | 0x80);
	to[len++] = (uint8_t)value;
	return len;
}

#endif
