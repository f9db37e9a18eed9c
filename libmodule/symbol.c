/* SPDX-License-Identifier: Apache-2.0
 *
 * Symbols of ELF files.
 */
#include "libmodule/symbol.h"

#include <elf.h>
#include <string.h>

#include "ipc/cleanup.h"

struct image {
        const uint8_t *bytes;
        size_t size;
};

/* A copy: nothing in a file is aligned because it says so. */
static bool take(const struct image *image, uint64_t at, void *ret, size_t size) {
        if (at > image->size || size > image->size - at)
                return false;
        memcpy(ret, image->bytes + at, size);
        return true;
}

static bool take_section(const struct image *image, const Elf64_Ehdr *header, uint32_t index, Elf64_Shdr *ret_section) {
        uint64_t offset = (uint64_t)index * sizeof(*ret_section);

        return index < header->e_shnum && header->e_shoff <= image->size &&
               take(image, header->e_shoff + offset, ret_section, sizeof(*ret_section));
}

static bool is_whole(const struct image *image, const Elf64_Shdr *section) {
        return section->sh_offset <= image->size && section->sh_size <= image->size - section->sh_offset;
}

/* What has no size, as functions written in assembly may, ends nowhere; what has one and fits is the better. */
static bool covers(const Elf64_Sym *symbol, uint64_t address) {
        return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF && symbol->st_value <= address &&
               (!symbol->st_size || address - symbol->st_value < symbol->st_size);
}

static bool is_better(const Elf64_Sym *symbol, const Elf64_Sym *than) {
        if (!than->st_info || !symbol->st_size != !than->st_size)
                return !than->st_info || symbol->st_size;
        return symbol->st_value > than->st_value;
}

static bool find_in(const struct image *image, const Elf64_Shdr *table, const Elf64_Shdr *names, uint64_t address,
                    struct symbol *ret_symbol) {
        Elf64_Sym best = { 0 }, symbol;
        const char *name;

        for (uint64_t at = 0; table->sh_size - at >= sizeof(symbol); at += sizeof(symbol)) {
                if (take(image, table->sh_offset + at, &symbol, sizeof(symbol)) && covers(&symbol, address) && is_better(&symbol, &best))
                        best = symbol;
        }
        if (!best.st_info || best.st_name >= names->sh_size)
                return false;
        name = (const char *)image->bytes + names->sh_offset + best.st_name;
        if (!*name || !memchr(name, '\0', names->sh_size - best.st_name))
                return false;
        *ret_symbol = (struct symbol){ .name = name, .offset = address - best.st_value };
        return true;
}

static bool find_in_tables(const struct image *image, const Elf64_Ehdr *header, uint32_t type, uint64_t address,
                           struct symbol *ret_symbol) {
        Elf64_Shdr table, names;

        for (uint32_t i = 0; take_section(image, header, i, &table); i++) {
                if (table.sh_type != type || !is_whole(image, &table))
                        continue;
                if (take_section(image, header, table.sh_link, &names) && is_whole(image, &names) &&
                    find_in(image, &table, &names, address, ret_symbol))
                        return true;
        }
        return false;
}

bool symbol_find(const uint8_t *file, size_t size, uint64_t address, struct symbol *ret_symbol) {
        const struct image image = { file, size };
        Elf64_Ehdr header;

        if (!take(&image, 0, &header, sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
            header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr))
                return false;
        return find_in_tables(&image, &header, SHT_SYMTAB, address, ret_symbol) ||
               find_in_tables(&image, &header, SHT_DYNSYM, address, ret_symbol);
}
