/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of methods, as they were resolved in one version of the directory.
 */
#include "libmodule/method-ref.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/errors.h"
#include "libmodule/provider.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

#define BUCKETS 64u

static struct method_ref *refs[BUCKETS];

/* FNV-1a */
static uint32_t hash_of(const char *name) {
        uint32_t hash = UINT32_C(2166136261);

        for (; *name; name++)
                hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
        return hash;
}

static struct method_ref *find(const char *name, uint32_t hash) {
        struct method_ref *ref = refs[hash % BUCKETS];

        while (ref && (ref->hash != hash || strcmp(ref->name, name) != 0))
                ref = ref->next;
        return ref;
}

static struct method_ref *ref_new(const char *name, uint32_t hash) {
        size_t size = strlen(name) + 1;
        struct method_ref *ref = calloc(1, sizeof(*ref) + size);

        if (!ref)
                return NULL;
        memcpy(ref->name, name, size);
        ref->hash = hash;
        ref->next = refs[hash % BUCKETS];
        refs[hash % BUCKETS] = ref;
        return ref;
}

int method_resolve(const char *name, struct method_ref **ret_ref) {
        const struct directory_table *t = &the_worker.bus.table;
        uint32_t hash = hash_of(name), module;
        struct method_ref *ref = find(name, hash);
        const struct directory_module *m;
        int error;

        if (ref && ref->version == the_worker.bus.version) {
                *ret_ref = ref;
                return 0;
        }
        /* Names that nobody provides are not kept: a module may make up any number of them. */
        error = directory_find_method(t, name, &module);
        if (error)
                return error;
        if (!ref)
                ref = ref_new(name, hash);
        if (!ref)
                return ERROR_NO_MEMORY;
        ref->provider = provider_get(module);
        if (!ref->provider)
                return ERROR_NO_MEMORY;
        m = &t->modules[module];
        ref->first_method = m->first_method;
        ref->id = directory_method_id(t, m->first_method, m->n_methods, name);
        ref->idempotent = t->methods[m->first_method + ref->id - 1].flags & DIRECTORY_METHOD_IDEMPOTENT;
        ref->version = the_worker.bus.version;
        *ret_ref = ref;
        return 0;
}

uint16_t method_id(struct method_ref *ref, const struct target *target) {
        if (ref->version == the_worker.bus.version && ref->first_method == target->first_method)
                return ref->id;
        return directory_method_id(&the_worker.bus.table, target->first_method, target->n_methods, ref->name);
}

void method_refs_deinit(void) {
        struct method_ref *ref;

        for (uint32_t i = 0; i < BUCKETS; i++) {
                while ((ref = refs[i])) {
                        refs[i] = ref->next;
                        free(ref);
                }
        }
}
