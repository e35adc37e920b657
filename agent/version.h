/* SPDX-License-Identifier: Apache-2.0 */
/* version - what the program says of itself. */
#ifndef BITTERN_VERSION_H
#define BITTERN_VERSION_H

#define BITTERN_VERSION "0.1.0"
#define BITTERN_LISTEN_DEFAULT "127.0.0.1:2488"

#endif
