/* SPDX-License-Identifier: Apache-2.0
 *
 * The name of a function in an ELF file. Pure, for use in a signal handler:
 * nothing is allocated, and every offset that the file says is checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
        const char *name; /* in the file, terminated there */
        uint64_t offset;  /* of the address, from where the function begins */
};

/* The function at an address as the file counts them: of the whole symbol table, or, when that was stripped, of what the
 * object exports. False: there is none, or the file is none. */
bool symbol_find(const uint8_t *file, size_t size, uint64_t address, struct symbol *ret_symbol);
