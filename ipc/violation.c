/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of violations.
 */
#include "ipc/violation.h"

#include <stddef.h>

#include "ipc/cleanup.h"

enum { OURS, PEER, LINK };

static const struct {
        const char *name, *text;
        int whose;
} table[] = {
        [VIOLATION_NONE] = { "?", "?", OURS },
#define X(name, code, whose, text) [code] = { #name, text, whose },
#include "ipc/violation.def"
#undef X
};

static unsigned known(unsigned code) {
        return code < N_ELEMENTS(table) && table[code].name ? code : VIOLATION_NONE;
}

bool violation_is_peers(unsigned code) {
        return table[known(code)].whose == PEER;
}

const char *violation_name(unsigned code) {
        return table[known(code)].name;
}

const char *violation_text(unsigned code) {
        return table[known(code)].text;
}
