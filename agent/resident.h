/* SPDX-License-Identifier: Apache-2.0 */
/* resident - what only the start needed is taken off resident memory: heap that was given back, and
 * code and constants of the program and its libraries, most of which run once: libbpf, libcurl,
 * OpenSSL. What runs again comes back from the page cache by itself, some pages at a time. (A
 * debugger's breakpoints in code go with it.) */
#ifndef BITTERN_RESIDENT_H
#define BITTERN_RESIDENT_H

/* Takes 0.2 ms, and as much again over the next second. */
void resident_give_back(void);

#endif
