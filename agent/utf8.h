/* SPDX-License-Identifier: Apache-2.0 */
/* utf8 - names out of untrusted bytes. Pure. */
#ifndef BITTERN_UTF8_H
#define BITTERN_UTF8_H

#include <stddef.h>

/* Copies from, len bytes up to its first NUL, into to as valid UTF-8 of at most size - 1 bytes
 * and a NUL. Each control character and each byte that is in no valid sequence becomes '_';
 * white space at both ends is left out; what does not fit is cut at a character. Gives the
 * length. to may be from. */
size_t utf8_name(char *to, size_t size, const char *from, size_t len);
/* The longest prefix of text, at most len bytes, that cuts no character; text is valid UTF-8. */
size_t utf8_prefix(const char *text, size_t len);

#endif
