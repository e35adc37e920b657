/* SPDX-License-Identifier: Apache-2.0 */
/* tls_places - where in a file the probes on TLS belong.
 *
 * Three kinds of file: a library with OpenSSL's functions (libssl.so of the system, of a conda
 * environment, libssl-HASH.so of a wheel); node, which has them inside, next to its HTTP parser (if
 * it loads libssl instead, as Debian's does, that is probed, and the parser is not: it would tell
 * the same again); and what calls them in Python, the module _ssl. No state; files are untrusted
 * (elf_file.h). */
#ifndef BITTERN_TLS_PLACES_H
#define BITTERN_TLS_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prologue.h"
#include "uprobes.h"

#define TLS_PROBES_MAX 24

/* What bpf_get_attach_cookie() tells a program. */
#define TLS_COOKIE_END 1 /* argument 3 is argument 2 + argument 3 */
#define TLS_COOKIE_NODE 2 /* in a file of kind TLS_FILE_NODE */
#define TLS_COOKIE_FREE 4 /* from this bit on it is the probe's own ... */
#define TLS_COOKIE_OWN 32 /* ... and here the link's: of one process alone (tls_own.h) */

enum tls_file { TLS_FILE_LIBSSL = 1, TLS_FILE_NODE = 2, TLS_FILE_CALLER = 4 };

enum tls_place {
	TLS_PLACE_ENTRY, /* the cheapest place with the arguments */
	TLS_PLACE_RETURN, /* when the function returns: a return probe */
	TLS_PLACE_AT_CALL, /* of files of TLS_FILE_CALLER: each call of the function, with all
			      arguments */
	TLS_PLACE_BEHIND_CALL, /* of files of TLS_FILE_CALLER: behind each call of the function */
	/* The same; and for processes with no such file a return probe in their TLS_FILE_LIBSSL. */
	TLS_PLACE_BEHIND_CALL_OR_RETURN,
};

/* Files have probes only while a process wants them that has asked for one of their groups. */
enum tls_group {
	TLS_GROUP_BASE = 1,
	TLS_GROUP_SERVER = 2,
	TLS_GROUP_CLIENT = 4,
	TLS_GROUP_BIO = 8,
	TLS_GROUPS_ALL = 15,
};

struct tls_probe {
	struct bpf_program *program;
	const char *function; /* "SSL_read_ex"; files without it go without the probe */
	enum tls_place place;
	unsigned arguments; /* enum prologue_argument, of TLS_PLACE_ENTRY */
	uint8_t files; /* enum tls_file */
	uint8_t groups; /* enum tls_group: in any of them */
	uint8_t cookie; /* bits from TLS_COOKIE_FREE to below TLS_COOKIE_OWN: a program can be at
			   several functions */
};

struct tls_places {
	enum tls_file kind;
	struct uprobe_places of[TLS_PROBES_MAX]; /* of each probe; count 0: none */
};

/* Whether a file of this name is worth a look: libssl, node, what may have either inside, _ssl. */
bool tls_places_may_be_in(const char *path);
/* Whether a file of this name and size should have places: if not, its TLS is not seen. */
bool tls_places_should_be_in(const char *path, uint64_t file_bytes);
/* 0; -ENOENT: none of the functions is there; -ENOEXEC: no ELF file; -ENOMEM; -errno of reading. */
int tls_places_find(struct tls_places *places, int fd, const char *path,
		    const struct tls_probe *probes, size_t probe_count);

#endif
