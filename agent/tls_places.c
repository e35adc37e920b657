// SPDX-License-Identifier: Apache-2.0
#include "tls_places.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "elf_calls.h"
#include "elf_symbols.h"
#include "path.h"

#define NODE_BYTES (16 * 1024 * 1024) /* a node with all inside is larger */
#define UNKNOWN_SIZE_BYTES 256 /* of code that is looked at when a function's size is not told */

static bool begins(const char *path, const char *with)
{
	return strncmp(path_base(path), with, strlen(with)) == 0;
}

static bool is_caller(const char *path)
{
	return begins(path, "_ssl.");
}

bool tls_places_may_be_in(const char *path)
{
	/* of the last three some are built with OpenSSL inside */
	static const char *const names[] = {"libssl", "_ssl.", "node",     "libnode",
					    "python", "pypy",  "libpython"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (begins(path, names[i]))
			return true;
	}
	return false;
}

/* A module _ssl that calls nothing has OpenSSL inside. Debian's node is a few KB that load libnode,
 * its python loads libssl; and libssl3.so is another library altogether (NSS). */
bool tls_places_should_be_in(const char *path, uint64_t file_bytes)
{
	return begins(path, "libssl.so") || begins(path, "libssl-") || is_caller(path) ||
	       (begins(path, "node") && file_bytes > NODE_BYTES);
}

static void find_entry(struct uprobe_places *places, int fd, enum elf_machine machine,
		       const struct elf_symbol *symbol, const struct tls_probe *probe)
{
	uint8_t code[PROLOGUE_CODE_MAX];
	uint64_t size = symbol->size ? symbol->size : UNKNOWN_SIZE_BYTES;
	ssize_t len = pread(fd, code, size < sizeof(code) ? (size_t)size : sizeof(code),
			    (off_t)symbol->offset);
	struct prologue_place place = {0};

	if (len > 0)
		place = prologue_find(machine, code, (size_t)len, probe->arguments);
	places->offsets[0] = symbol->offset + place.offset;
	places->count = 1;
	if (place.third_is_end)
		places->cookie |= TLS_COOKIE_END;
}

static int find_calls(struct tls_places *places, int fd, const struct tls_probe *probes,
		      size_t probe_count)
{
	int found = -ENOENT;

	places->kind = TLS_FILE_CALLER;
	for (size_t i = 0; i < probe_count; i++) {
		struct uprobe_places *at = &places->of[i];
		int count;

		if (!(probes[i].files & TLS_FILE_CALLER))
			continue;
		count = (probes[i].place == TLS_PLACE_AT_CALL ? elf_calls_find_at : elf_calls_find)(
			fd, probes[i].function, at->offsets, UPROBE_PLACES_MAX);
		if (count < 0)
			return count;
		at->count = (size_t)count;
		at->cookie = probes[i].cookie;
		if (count)
			found = 0;
	}
	return found;
}

int tls_places_find(struct tls_places *places, int fd, const char *path,
		    const struct tls_probe *probes, size_t probe_count)
{
	struct elf_symbol symbols[TLS_PROBES_MAX + 1] = {{.name = "llhttp_execute"}};
	enum elf_machine machine;
	int found = -ENOENT, error;

	memset(places, 0, sizeof(*places));
	if (is_caller(path))
		return find_calls(places, fd, probes, probe_count);
	for (size_t i = 0; i < probe_count; i++)
		symbols[i + 1].name = probes[i].function;
	error = elf_symbols_find(fd, symbols, probe_count + 1, &machine);
	if (error)
		return error;
	places->kind = symbols[0].offset ? TLS_FILE_NODE : TLS_FILE_LIBSSL;
	for (size_t i = 0; i < probe_count; i++) {
		struct uprobe_places *at = &places->of[i];
		const struct elf_symbol *symbol = &symbols[i + 1];

		if (!(probes[i].files & places->kind) || !symbol->offset ||
		    probes[i].place == TLS_PLACE_BEHIND_CALL)
			continue;
		at->cookie = probes[i].cookie;
		if (places->kind == TLS_FILE_NODE)
			at->cookie |= TLS_COOKIE_NODE;
		if (probes[i].place == TLS_PLACE_ENTRY) {
			find_entry(at, fd, machine, symbol, &probes[i]);
		} else {
			at->offsets[0] = symbol->offset;
			at->count = 1;
			at->is_return = true;
		}
		if (symbol->offset != symbols[0].offset)
			found = 0; /* a parser alone is not enough */
	}
	return found;
}
