/* SPDX-License-Identifier: Apache-2.0
 *
 * The name of a method that is called, as it was resolved in one version of the
 * directory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct provider;
struct target;

struct method_ref {
        struct method_ref *next; /* of the same bucket */
        uint32_t hash;
        uint64_t version; /* of the bus */
        struct provider *provider;
        bool idempotent;
        uint32_t first_method; /* the run that id is of */
        uint16_t id;
        char name[];
};

/* As the directory has it now. 0 or an error_code. */
int method_resolve(const char *name, struct method_ref **ret_ref);
/* Its id at a target; 0 when that does not have it. */
uint16_t method_id(struct method_ref *ref, const struct target *target);
void method_refs_deinit(void);
