/* SPDX-License-Identifier: Apache-2.0
 *
 * Which methods a manifest provides and which of another's it may call.
 */
#include "conf/manifest-calls.h"

#include <stdio.h>
#include <string.h>

size_t manifest_n_methods(const struct manifest *m) {
        size_t n = 0;

        for (size_t i = 0; i < m->n_services; i++)
                n += m->services[i].methods.n;
        return n;
}

/* The service of a method and the method's place in it; NULL when there is no such id. */
static const struct manifest_service *method_place(const struct manifest *m, size_t id, size_t *ret_at) {
        size_t at = id - 1;

        for (size_t i = 0; i < m->n_services && id; i++) {
                const struct manifest_service *s = &m->services[i];

                if (at >= s->methods.n) {
                        at -= s->methods.n;
                        continue;
                }
                *ret_at = at;
                return s;
        }
        return NULL;
}

bool manifest_method(const struct manifest *m, size_t id, char ret_name[static MANIFEST_METHOD_SIZE], bool *ret_idempotent) {
        const struct manifest_service *s;
        size_t at;

        s = method_place(m, id, &at);
        if (!s)
                return false;
        snprintf(ret_name, MANIFEST_METHOD_SIZE, "%s.%s", s->name, s->methods.items[at]);
        *ret_idempotent = s->idempotent && s->idempotent[at];
        return true;
}

bool manifest_method_own(const struct manifest *m, size_t id, char ret_name[static MANIFEST_METHOD_SIZE]) {
        const struct manifest_service *s;
        size_t at;

        s = method_place(m, id, &at);
        if (!s)
                return false;
        snprintf(ret_name, MANIFEST_METHOD_SIZE, "%s.%s", s->own ? s->own : s->name, s->methods.items[at]);
        return true;
}

bool manifest_provides(const struct manifest *m, const char *service) {
        for (size_t i = 0; i < m->n_services; i++) {
                if (!strcmp(m->services[i].name, service))
                        return true;
        }
        return false;
}

const char *manifest_shared_service(const struct manifest *a, const struct manifest *b) {
        for (size_t i = 0; i < a->n_services; i++) {
                if (manifest_provides(b, a->services[i].name))
                        return a->services[i].name;
        }
        return NULL;
}

/* FNV-1a */
static uint32_t hash_byte(uint32_t hash, unsigned char byte) {
        return (hash ^ byte) * UINT32_C(16777619);
}

uint32_t manifest_methods_hash(const struct manifest *m) {
        uint32_t hash = UINT32_C(2166136261);
        char name[MANIFEST_METHOD_SIZE];
        bool idempotent;

        for (size_t id = 1; manifest_method(m, id, name, &idempotent); id++) {
                for (const char *p = name; *p; p++)
                        hash = hash_byte(hash, (unsigned char)*p);
                hash = hash_byte(hash, idempotent ? '?' : ',');
        }
        return hash;
}

bool manifest_may_call(const struct manifest *caller, const char *method) {
        const char *dot = strchr(method, '.');
        size_t n = dot ? (size_t)(dot - method) : strlen(method);

        for (size_t i = 0; i < caller->calls_allow.n; i++) {
                const char *entry = caller->calls_allow.items[i];

                if (!strcmp(entry, method) || (!strncmp(entry, method, n) && !entry[n]))
                        return true;
        }
        return false;
}

bool manifest_grant(const struct manifest *caller, const struct manifest *provider,
                    uint64_t ret_bits[static(MANIFEST_METHODS_MAX + 1) / 64]) {
        char name[MANIFEST_METHOD_SIZE];
        bool any = false, idempotent;

        memset(ret_bits, 0, (MANIFEST_METHODS_MAX + 1) / 8);
        for (size_t id = 1; id <= MANIFEST_METHODS_MAX && manifest_method(provider, id, name, &idempotent); id++) {
                if (!manifest_may_call(caller, name))
                        continue;
                ret_bits[id / 64] |= UINT64_C(1) << (id % 64);
                any = true;
        }
        return any;
}
