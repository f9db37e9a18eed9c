/* SPDX-License-Identifier: Apache-2.0
 *
 * The sections [route PATH] of a manifest.
 *
 * A path is the one that clients ask for, with the module's prefix. An operator
 * who gives a package another prefix moves its routes by that: they are renamed
 * before his file is read over them, so that he names them as they are then.
 */
#include "conf/manifest-routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key-origins.h"
#include "conf/key-table.h"
#include "conf/key.h"
#include "ipc/cleanup.h"

#define BODY_BUFFERED_MAX (UINT64_C(64) << 20) /* as [limits] body */

static const struct key route_keys[] = {
#define KEY(...) KEY_ROW(struct manifest_route, __VA_ARGS__)
#include "conf/manifest-route.def"
};

static const struct key_table route_table = { .keys = route_keys, .n_keys = N_ELEMENTS(route_keys) };

/* Reading ------------------------------------------------------------------------------------------------------------ */

static struct manifest_route *route_find(const struct manifest *manifest, const char *path) {
        for (size_t i = 0; i < manifest->n_routes; i++) {
                if (!strcmp(manifest->routes[i].path, path))
                        return &manifest->routes[i];
        }
        return NULL;
}

static struct manifest_route *route_add(struct manifest *manifest, const char *path) {
        struct manifest_route *grown = reallocarray(manifest->routes, manifest->n_routes + 1, sizeof(*grown)), *route;

        if (!grown)
                return NULL;
        manifest->routes = grown;
        route = &grown[manifest->n_routes];
        *route = (struct manifest_route){ .path = strdup(path) };
        if (!route->path)
                return NULL;
        key_table_init(&route_table, route);
        manifest->n_routes++;
        return route;
}

static int route_open(void *object, const char *path, void **ret_object, char *expected, size_t expected_size) {
        struct manifest *manifest = object;
        struct manifest_route *route = route_find(manifest, path);

        snprintf(expected, expected_size, "route and a path such as /app/upload, without / at its end, at most 127 bytes");
        if (!*path || !key_prefix_ok(path))
                return -EINVAL;
        if (!route) {
                snprintf(expected, expected_size, "at most %d routes", MANIFEST_ROUTES_MAX);
                if (manifest->n_routes == MANIFEST_ROUTES_MAX)
                        return -EINVAL;
                route = route_add(manifest, path);
        }
        *ret_object = route;
        return route ? 0 : -ENOMEM;
}

const struct key_group manifest_route_group = { .name = "route", .argument = "PATH", .table = &route_table, .open = route_open };

void manifest_routes_deinit(struct manifest *manifest) {
        for (size_t i = 0; i < manifest->n_routes; i++)
                free(manifest->routes[i].path);
        manifest->routes = (free(manifest->routes), NULL);
        manifest->n_routes = 0;
}

/* Another prefix ----------------------------------------------------------------------------------------------------- */

static bool is_below(const char *prefix, const char *path) {
        size_t n = strlen(prefix);

        return n == 1 || (!strncmp(prefix, path, n) && (!path[n] || path[n] == '/'));
}

struct said {
        char *prefix; /* NULL: the file does not say it */
};

static int said_take(void *object, const char *section, const char *name, const char *value, char *expected, size_t expected_size) {
        struct said *said = object;

        if (strcmp(section, "http") != 0 || strcmp(name, "prefix") != 0)
                return 0;
        free(said->prefix);
        said->prefix = strdup(value);
        return said->prefix ? 0 : -ENOMEM;
}

static const struct key_table said_table = { .any = said_take };

/* "/" is the one prefix that ends in '/'. */
static int route_move(struct manifest *manifest, struct manifest_route *route, const char *to) {
        const char *rest = route->path + (manifest->prefix[1] ? strlen(manifest->prefix) : 0);
        _cleanup_free_ char *path = NULL, *was = NULL, *is = NULL;
        int r;

        if (!strcmp(rest, "/"))
                rest = "";
        if (asprintf(&path, "%s%s", to[1] || !*rest ? to : "", rest) < 0 || asprintf(&was, "route %s", route->path) < 0 ||
            asprintf(&is, "route %s", path) < 0)
                return -ENOMEM;
        r = key_origins_rename(&manifest->origins, was, is);
        if (r < 0)
                return r;
        free(route->path);
        route->path = TAKE_PTR(path);
        return 0;
}

int manifest_routes_follow(struct manifest *manifest, const char *text, size_t size) {
        struct said said = { 0 };
        char error[128];
        int r;

        if (!manifest->n_routes || !manifest->prefix)
                return 0;
        /* What is wrong with the file is said when it is read. */
        r = key_file_parse(&said_table, &said, "", text, size, 0, error, sizeof(error));
        if (r != -ENOMEM && said.prefix && key_prefix_ok(said.prefix)) {
                r = 0;
                if (!*said.prefix)
                        manifest_routes_deinit(manifest);
                for (size_t i = 0; r >= 0 && i < manifest->n_routes; i++) {
                        if (is_below(manifest->prefix, manifest->routes[i].path))
                                r = route_move(manifest, &manifest->routes[i], said.prefix);
                }
        }
        free(said.prefix);
        return r == -ENOMEM ? r : 0;
}

/* What holds between keys -------------------------------------------------------------------------------------------- */

static int route_check(const struct manifest *manifest, const struct manifest_route *route, const char *file, char *error,
                       size_t error_size) {
        char body[KEY_NUMBER_SIZE];

        if (!manifest->prefix || !is_below(manifest->prefix, route->path)) {
                snprintf(error, error_size, "%s: [route %s]: expected a path below [http] prefix, which is %s", file, route->path,
                         manifest->prefix ? manifest->prefix : "not there");
                return -EINVAL;
        }
        if (strlen(route->path) > 127) {
                snprintf(error, error_size, "%s: [route %s]: expected at most 127 bytes, also with another prefix", file, route->path);
                return -EINVAL;
        }
        if (route->stream || route->body <= BODY_BUFFERED_MAX)
                return 0;
        key_format_size(route->body, body);
        snprintf(error, error_size, "%s: [route %s] body = %s: expected at most 64M, or stream = yes beside it", file, route->path, body);
        return -EINVAL;
}

int manifest_routes_check(const struct manifest *manifest, const char *file, char *error, size_t error_size) {
        for (size_t i = 0; i < manifest->n_routes; i++) {
                int r = route_check(manifest, &manifest->routes[i], file, error, error_size);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* In force ----------------------------------------------------------------------------------------------------------- */

uint64_t manifest_route_timeout_ms(const struct manifest *manifest, const struct manifest_route *route) {
        return route->timeout_ms ? route->timeout_ms : manifest->request_timeout_ms;
}

uint64_t manifest_route_body(const struct manifest *manifest, const struct manifest_route *route) {
        return route->body ? route->body : manifest->body;
}

uint64_t manifest_longest_timeout_ms(const struct manifest *manifest) {
        uint64_t longest = manifest->request_timeout_ms;

        for (size_t i = 0; i < manifest->n_routes; i++)
                longest = MAX(longest, manifest_route_timeout_ms(manifest, &manifest->routes[i]));
        return longest;
}
