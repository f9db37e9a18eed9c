/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking for a function's name in an ELF file. The first eight bytes are the
 * address.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "libmodule/symbol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct symbol symbol;
        uint64_t address;

        if (size < sizeof(address))
                return 0;
        memcpy(&address, data, sizeof(address));
        if (symbol_find(data + sizeof(address), size - sizeof(address), address, &symbol))
                assert(strlen(symbol.name) > 0 && symbol.offset <= address);
        return 0;
}
