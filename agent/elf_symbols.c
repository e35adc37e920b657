// SPDX-License-Identifier: Apache-2.0
#include "elf_symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define SECTIONS_MAX 4096
#define TABLES_MAX 2 /* of symbols that are read through: dynamic ones and all */
#define CHAIN_MAX 65536 /* symbols with one hash bucket */
#define CHUNK_BYTES (64 * 1024)
#define NAMES_MAX 64 /* places in a string table where names were found */

/* --- by the hash table of the dynamic symbols --- */

static bool is_function(const Elf64_Sym *symbol)
{
	return symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC;
}

/* false: its address is not in executable bytes of the file. */
static bool set_place(const struct elf_file *file, struct elf_symbol *symbol, const Elf64_Sym *of)
{
	struct elf_range place;

	if (!elf_file_locate(file, of->st_value, PF_X, &place))
		return false;
	symbol->offset = place.offset;
	symbol->size = of->st_size < place.bytes ? of->st_size : place.bytes;
	return true;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

struct gnu_header {
	uint32_t bucket_count, first_symbol, bloom_count, bloom_shift;
};

/* The part of a hash table from skip bytes on. */
static struct elf_range rest_of(const struct elf_range *table, uint64_t skip)
{
	struct elf_range rest = {0};

	if (skip < table->bytes) {
		rest.offset = table->offset + skip;
		rest.bytes = table->bytes - skip;
	}
	return rest;
}

/* The layout: header, bloom words of 64 bits, buckets, and for each symbol from first_symbol on its
 * hash, whose low bit marks the last of a bucket. */
static void find_hashed(const struct elf_file *file, const struct elf_dynamic *dynamic,
			struct elf_symbol *symbol)
{
	const uint32_t hash = gnu_hash(symbol->name);
	struct gnu_header header;
	struct elf_range blooms, buckets, chains;
	uint64_t bloom;
	uint32_t index, other;
	Elf64_Sym found;

	if (!elf_file_element(file, &dynamic->gnu_hash, 0, &header, sizeof(header)) ||
	    !header.bucket_count || !header.bloom_count)
		return;
	blooms = rest_of(&dynamic->gnu_hash, sizeof(header));
	buckets = rest_of(&blooms, 8ull * header.bloom_count);
	chains = rest_of(&buckets, 4ull * header.bucket_count);
	if (!elf_file_element(file, &blooms, (hash / 64) % header.bloom_count, &bloom,
			      sizeof(bloom)) ||
	    !(bloom >> (hash % 64) & 1) ||
	    !(bloom >> ((hash >> (header.bloom_shift & 31)) % 64) & 1))
		return;
	if (!elf_file_element(file, &buckets, hash % header.bucket_count, &index, sizeof(index)) ||
	    index < header.first_symbol)
		return;
	for (int i = 0; i < CHAIN_MAX; i++, index++) {
		if (!elf_file_element(file, &chains, index - header.first_symbol, &other,
				      sizeof(other)))
			return;
		if ((other | 1) == (hash | 1) &&
		    elf_file_element(file, &dynamic->symbols, index, &found, sizeof(found)) &&
		    is_function(&found) &&
		    elf_file_has_name(file, &dynamic->names, found.st_name, symbol->name) &&
		    set_place(file, symbol, &found))
			return;
		if (other & 1)
			return;
	}
}

/* --- by reading symbol tables through --- */

struct name_places { /* where in a string table the wanted names are */
	size_t count;
	struct {
		uint32_t at, symbol;
	} places[NAMES_MAX];
};

/* A name can also be the end of a longer one: linkers keep both once. */
static void find_names(const char *chunk, size_t len, uint64_t begin,
		       const struct elf_symbol *symbols, size_t count, struct name_places *names)
{
	for (size_t i = 0; i < count; i++) {
		size_t name_len = strlen(symbols[i].name) + 1;
		const char *at = chunk, *end = chunk + len;

		while (names->count < NAMES_MAX &&
		       (at = memmem(at, (size_t)(end - at), symbols[i].name, name_len))) {
			names->places[names->count].at = (uint32_t)(begin + (size_t)(at - chunk));
			names->places[names->count++].symbol = (uint32_t)i;
			at++;
		}
	}
}

static int read_names(const struct elf_file *file, const Elf64_Shdr *section,
		      const struct elf_symbol *symbols, size_t count, struct name_places *names)
{
	cleanup_free char *chunk = malloc(CHUNK_BYTES);

	names->count = 0;
	if (!chunk)
		return -ENOMEM;
	/* Chunks overlap by the longest name, so that none is cut; that one may be found twice does
	 * no harm. */
	for (uint64_t at = 0; at < section->sh_size;) {
		uint64_t left = section->sh_size - at;
		size_t len = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		int error = elf_file_read(file, chunk, len, section->sh_offset + at);

		if (error)
			return error;
		find_names(chunk, len, at, symbols, count, names);
		if (len == left)
			break;
		at += len - ELF_NAME_MAX;
	}
	return 0;
}

static void take_named(const struct elf_file *file, const Elf64_Sym *entry,
		       const struct name_places *names, struct elf_symbol *symbols)
{
	for (size_t i = 0; i < names->count; i++) {
		struct elf_symbol *symbol = &symbols[names->places[i].symbol];

		if (names->places[i].at == entry->st_name && !symbol->offset)
			set_place(file, symbol, entry);
	}
}

static int read_symbols(const struct elf_file *file, const Elf64_Shdr *section,
			const struct name_places *names, struct elf_symbol *symbols)
{
	const size_t per_chunk = CHUNK_BYTES / sizeof(Elf64_Sym);
	cleanup_free Elf64_Sym *chunk = malloc(per_chunk * sizeof(*chunk));
	uint64_t entry_count = section->sh_size / sizeof(*chunk);

	if (!chunk)
		return -ENOMEM;
	for (uint64_t first = 0; first < entry_count; first += per_chunk) {
		uint64_t left = entry_count - first;
		size_t len = left < per_chunk ? (size_t)left : per_chunk;
		int error = elf_file_read(file, chunk, len * sizeof(*chunk),
					  section->sh_offset + first * sizeof(*chunk));

		if (error)
			return error;
		for (size_t i = 0; i < len; i++) {
			if (is_function(&chunk[i]))
				take_named(file, &chunk[i], names, symbols);
		}
	}
	return 0;
}

static bool may_be_read(const Elf64_Shdr *section)
{
	return section->sh_size <= ELF_TABLE_MAX_BYTES &&
	       section->sh_offset <= INT64_MAX - ELF_TABLE_MAX_BYTES;
}

static int read_sections(const struct elf_file *file, struct elf_symbol *symbols, size_t count)
{
	const Elf64_Ehdr *header = &file->header;
	size_t section_count = header->e_shnum < SECTIONS_MAX ? header->e_shnum : SECTIONS_MAX;
	cleanup_free Elf64_Shdr *sections = calloc(section_count + 1, sizeof(*sections));
	struct name_places names;
	int error = 0, tables = 0;

	if (!sections)
		return -ENOMEM;
	if (header->e_shentsize != sizeof(*sections) ||
	    elf_file_read(file, sections, section_count * sizeof(*sections), header->e_shoff))
		return 0; /* no sections: all is stripped off */
	for (size_t i = 0; i < section_count && tables < TABLES_MAX && !error; i++) {
		const Elf64_Shdr *section = &sections[i];

		if ((section->sh_type != SHT_SYMTAB && section->sh_type != SHT_DYNSYM) ||
		    section->sh_link >= section_count || !may_be_read(section) ||
		    !may_be_read(&sections[section->sh_link]))
			continue;
		tables++;
		error = read_names(file, &sections[section->sh_link], symbols, count, &names);
		if (!error && names.count)
			error = read_symbols(file, section, &names, symbols);
	}
	return error;
}

int elf_symbols_find(int fd, struct elf_symbol *symbols, size_t count, enum elf_machine *machine)
{
	struct elf_file file;
	struct elf_dynamic dynamic;
	bool found = false;
	int error;

	for (size_t i = 0; i < count; i++)
		symbols[i].offset = symbols[i].size = 0;
	error = elf_file_open(&file, fd);
	if (error)
		return error;
	*machine = file.machine;
	if (elf_file_dynamic(&file, &dynamic)) {
		for (size_t i = 0; i < count; i++) {
			find_hashed(&file, &dynamic, &symbols[i]);
			found = found || symbols[i].offset;
		}
	}
	return found ? 0 : read_sections(&file, symbols, count);
}
