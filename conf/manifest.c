/* SPDX-License-Identifier: Apache-2.0
 *
 * module.ini: what a package says of itself.
 */
#include "conf/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key-table.h"
#include "conf/key.h"
#include "conf/key-tables.h"
#include "conf/manifest-calls.h"
#include "conf/manifest-routes.h"
#include "conf/version.h"
#include "ipc/cleanup.h"

#define SERVICES_MAX 64

/* Names -------------------------------------------------------------------------------------------------------------- */

bool module_name_ok(const char *name) {
        size_t n = strlen(name);

        return n >= 1 && n <= 63 && name[0] >= 'a' && name[0] <= 'z' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

bool module_version_ok(const char *version) {
        return strlen(version) <= 63 && version_ok(version);
}

/* Services ----------------------------------------------------------------------------------------------------------- */

static void service_deinit(struct manifest_service *service) {
        free(service->name);
        free(service->own);
        text_list_deinit(&service->methods);
        free(service->idempotent);
        *service = (struct manifest_service){ 0 };
}

static bool method_ok(const char *text) {
        char name[64];
        size_t n = strlen(text);

        if (n && text[n - 1] == '?')
                n--;
        if (n >= sizeof(name))
                return false;
        memcpy(name, text, n);
        name[n] = '\0';
        return module_name_ok(name);
}

/* Takes the '?' off each method that has one. -EINVAL when a method is there with and without. */
static int service_marks(struct manifest_service *service) {
        service->idempotent = calloc(service->methods.n, sizeof(*service->idempotent));
        if (!service->idempotent)
                return -ENOMEM;
        for (size_t i = 0; i < service->methods.n; i++) {
                char *mark = strchr(service->methods.items[i], '?');

                if (!mark)
                        continue;
                *mark = '\0';
                for (size_t j = 0; j < service->methods.n; j++) {
                        if (j != i && !strcmp(service->methods.items[j], service->methods.items[i]))
                                return -EINVAL;
                }
                service->idempotent[i] = true;
        }
        return 0;
}

static int service_parse(struct manifest_service *service, const char *name, const char *value) {
        int r;

        r = key_list_parse(&service->methods, value, method_ok);
        if (r >= 0 && !service->methods.n)
                r = -EINVAL;
        if (r >= 0)
                r = service_marks(service);
        if (r < 0)
                return r;
        service->name = strdup(name);
        return service->name ? 0 : -ENOMEM;
}

/* Where the service of this name is, or is to be; NULL when there is no room. */
static struct manifest_service *service_place(struct manifest *manifest, const char *name, int *ret_error) {
        struct manifest_service *grown;

        for (size_t i = 0; i < manifest->n_services; i++) {
                if (!strcmp(manifest->services[i].name, name))
                        return &manifest->services[i];
        }
        *ret_error = -EINVAL;
        if (manifest->n_services >= SERVICES_MAX)
                return NULL;
        *ret_error = -ENOMEM;
        grown = reallocarray(manifest->services, manifest->n_services + 1, sizeof(*grown));
        if (!grown)
                return NULL;
        manifest->services = grown;
        grown[manifest->n_services] = (struct manifest_service){ 0 };
        return &grown[manifest->n_services];
}

/* "as NEW": a service that was read before has another name for everybody but the package itself. */
static int service_rename(struct manifest *manifest, const char *name, const char *to, char *expected, size_t expected_size) {
        struct manifest_service *found = NULL;
        bool taken = false;
        char *copy;

        for (size_t i = 0; i < manifest->n_services; i++) {
                struct manifest_service *s = &manifest->services[i];

                if (!s->own && !strcmp(s->name, name))
                        found = s;
                taken |= !strcmp(s->name, to);
        }
        snprintf(expected, expected_size,
                 found ? "as NAME, a name that no other service of the module has"
                       : "as NAME only for a service that the package's module.ini lists");
        if (!found || taken || !module_name_ok(to))
                return -EINVAL;
        copy = strdup(to);
        if (!copy)
                return -ENOMEM;
        found->own = found->name;
        found->name = copy;
        return 0;
}

static int services_set(void *object, const char *name, const char *value, char *expected, size_t expected_size) {
        _cleanup_(service_deinit) struct manifest_service service = { 0 };
        struct manifest *manifest = object;
        struct manifest_service *place;
        int r;

        if (!strncmp(value, "as ", 3))
                return service_rename(manifest, name, value + 3 + strspn(value + 3, " \t"), expected, expected_size);
        snprintf(expected, expected_size,
                 "SERVICE = METHOD, METHOD? with names of a-z, 0-9 and -, each once; ? marks an idempotent method");
        if (!module_name_ok(name))
                return -EINVAL;
        r = service_parse(&service, name, value);
        if (r < 0)
                return r;
        place = service_place(manifest, name, &r);
        if (!place) {
                snprintf(expected, expected_size, "at most %d services", SERVICES_MAX);
                return r;
        }
        if (place == &manifest->services[manifest->n_services])
                manifest->n_services++;
        service_deinit(place);
        *place = service;
        service = (struct manifest_service){ 0 };
        return 0;
}

/* Free pairs --------------------------------------------------------------------------------------------------------- */

static int pair_replace(struct text_list *pairs, const char *name, const char *value) {
        for (size_t i = 0; i + 1 < pairs->n; i += 2) {
                char *copy;

                if (strcmp(pairs->items[i], name) != 0)
                        continue;
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
                free(pairs->items[i + 1]);
                pairs->items[i + 1] = copy;
                return 0;
        }
        return -ENOENT;
}

static int pair_set(struct text_list *pairs, const char *name, const char *value) {
        int r;

        r = pair_replace(pairs, name, value);
        if (r != -ENOENT)
                return r;
        r = text_list_add(pairs, name, strlen(name));
        if (r < 0)
                return r;
        r = text_list_add(pairs, value, strlen(value));
        if (r < 0)
                free(pairs->items[--pairs->n]); /* whoever reads pairs finds pairs */
        return r;
}

static int env_set(void *object, const char *name, const char *value, char *expected, size_t expected_size) {
        if (!key_env_name_ok(name)) {
                snprintf(expected, expected_size,
                         "a name of letters, digits and _ that is none of HOME, TMPDIR and SOCLE_DATA (these are its folders)");
                return -EINVAL;
        }
        return pair_set(&((struct manifest *)object)->env, name, value);
}

static int config_set(void *object, const char *name, const char *value, char *expected, size_t expected_size) {
        if (!key_config_name_ok(name)) {
                snprintf(expected, expected_size, "a name of letters, digits, _, . and -, at most 127 of them");
                return -EINVAL;
        }
        return pair_set(&((struct manifest *)object)->config, name, value);
}

/* The whole ---------------------------------------------------------------------------------------------------------- */

static const struct key manifest_keys[] = {
#define KEY(...) KEY_ROW(struct manifest, __VA_ARGS__)
#include "conf/manifest.def"
};

static const struct key_section manifest_sections[] = {
        { "services", services_set },
        { "env", env_set },
        { "config", config_set },
};

const struct key_table manifest_table = {
        .keys = manifest_keys,
        .n_keys = N_ELEMENTS(manifest_keys),
        .sections = manifest_sections,
        .n_sections = N_ELEMENTS(manifest_sections),
        .group = &manifest_route_group,
        .origins = offsetof(struct manifest, origins),
};

void manifest_init(struct manifest *manifest) {
        *manifest = (struct manifest){ 0 };
        key_table_init(&manifest_table, manifest);
}

void manifest_deinit(struct manifest *manifest) {
        for (size_t i = 0; i < manifest->n_services; i++)
                service_deinit(&manifest->services[i]);
        free(manifest->services);
        manifest_routes_deinit(manifest);
        text_list_deinit(&manifest->env);
        text_list_deinit(&manifest->config);
        text_list_deinit(&manifest->origins);
        key_table_deinit(&manifest_table, manifest);
        *manifest = (struct manifest){ 0 };
}

int manifest_parse(struct manifest *manifest, const char *file, const char *text, size_t size, bool override, char *error,
                   size_t error_size) {
        int r = override ? manifest_routes_follow(manifest, text, size) : 0;

        if (r < 0)
                return r;
        return key_file_parse(&manifest_table, manifest, file, text, size, override ? KEY_FIXED : KEY_OPERATOR, error, error_size);
}

/* What holds between keys -------------------------------------------------------------------------------------------- */

static int check_required(const struct manifest *manifest, const char *file, char *error, size_t error_size) {
        for (size_t i = 0; i < manifest_table.n_keys; i++) {
                const struct key *key = &manifest_table.keys[i];
                char expected[300];

                if (!(key->flags & KEY_REQUIRED) || *(char *const *)((const char *)manifest + key->offset))
                        continue;
                key_describe(key, expected, sizeof(expected));
                snprintf(error, error_size, "%s: [%s] %s is missing: expected %s", file, key->section, key->name, expected);
                return -EINVAL;
        }
        return 0;
}

static int check_order(const char *file, const char *section, const char *low_key, uint64_t low, const char *high_key, uint64_t high,
                       void (*format)(uint64_t, char *), char *error, size_t error_size) {
        char low_text[KEY_NUMBER_SIZE], high_text[KEY_NUMBER_SIZE];

        if (low <= high)
                return 0;
        format(low, low_text);
        format(high, high_text);
        snprintf(error, error_size, "%s: [%s] %s = %s: expected at most %s, which is %s", file, section, low_key, low_text, high_key,
                 high_text);
        return -EINVAL;
}

int manifest_check(const struct manifest *manifest, const char *file, char *error, size_t error_size) {
        int r;

        r = check_required(manifest, file, error, error_size);
        if (r < 0)
                return r;
        if (!manifest->runtime || strcmp(manifest->runtime, "native") != 0) {
                snprintf(error, error_size, "%s: [module] runtime = %s: expected native", file, manifest->runtime ? manifest->runtime : "");
                return -EINVAL;
        }
        if (manifest->hosts.n && !manifest->prefix) {
                snprintf(error, error_size, "%s: [http] hosts = %s: expected a prefix beside it", file, manifest->hosts.items[0]);
                return -EINVAL;
        }
        if (manifest_n_methods(manifest) > MANIFEST_METHODS_MAX) {
                snprintf(error, error_size, "%s: [services]: expected at most %d methods in all", file, MANIFEST_METHODS_MAX);
                return -EINVAL;
        }
        if (MAX(manifest->topics_publish.n, manifest->topics_subscribe.n) > MANIFEST_TOPICS_MAX) {
                snprintf(error, error_size, "%s: [topics] %s: expected at most %d topics", file,
                         manifest->topics_publish.n > MANIFEST_TOPICS_MAX ? "publish" : "subscribe", MANIFEST_TOPICS_MAX);
                return -EINVAL;
        }
        r = manifest_routes_check(manifest, file, error, error_size);
        if (r < 0)
                return r;
        r = check_order(file, "scale", "min", manifest->scale_min, "max", manifest->scale_max ? manifest->scale_max : UINT64_MAX,
                        key_format_count, error, error_size);
        if (r < 0)
                return r;
        return check_order(file, "restart", "backoff", manifest->backoff_ms, "backoff-max", manifest->backoff_max_ms, key_format_time,
                           error, error_size);
}
