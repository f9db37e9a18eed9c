/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's routes.
 */
#include "libmodule/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_path(const struct route *r, size_t size, bool below, const char *path) {
        return r->size == size && r->below == below && !memcmp(r->path, path, size);
}

static bool is_below(const char *path, const char *above) {
        size_t n = strlen(above);

        while (n && above[n - 1] == '/')
                n--;
        return !strncmp(path, above, n) && (!path[n] || path[n] == '/');
}

bool route_reachable(const char *prefix, const char *path) {
        size_t size = strlen(path);

        if (!*prefix)
                return false;
        /* What takes everything below a place above the prefix takes all of it. */
        return is_below(path, prefix) || (size >= 2 && !strcmp(path + size - 2, "/*") && !strncmp(prefix, path, size - 1));
}

int route_add(struct route_table *table, const char *method, const char *path, socle_handler fn) {
        size_t size = strlen(path);
        bool below = size >= 2 && path[size - 1] == '*' && path[size - 2] == '/';
        struct route *grown, new = { 0 };

        if (path[0] != '/' || !method[0] || !fn || (!below && strchr(path, '*')))
                return -EINVAL;
        if (below)
                size--;
        for (size_t i = 0; i < table->n; i++) {
                if (same_path(&table->routes[i], size, below, path) && !strcmp(table->routes[i].method, method))
                        return -EEXIST;
        }
        grown = realloc(table->routes, (table->n + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        table->routes = grown;
        new = (struct route){ .method = strdup(method), .path = strndup(path, size), .size = size, .below = below, .fn = fn };
        if (!new.method || !new.path) {
                free(new.method);
                free(new.path);
                return -ENOMEM;
        }
        table->routes[table->n++] = new;
        return 0;
}

static bool path_takes(const struct route *r, const char *path) {
        return r->below ? !strncmp(path, r->path, r->size) : !strcmp(path, r->path);
}

/* How well it fits: the method's own handler, before GET's for HEAD, before one for any; 0 not at all. */
static int method_rank(const struct route *r, const char *method) {
        if (!strcmp(r->method, method))
                return 3;
        if (!strcmp(r->method, "GET") && !strcmp(method, "HEAD"))
                return 2;
        return !strcmp(r->method, "*") ? 1 : 0;
}

static bool allow_has(const char *allow, const char *method) {
        size_t n = strlen(method);

        for (; *allow; allow += strcspn(allow, ", "), allow += strspn(allow, ", ")) {
                if (strcspn(allow, ", ") == n && !memcmp(allow, method, n))
                        return true;
        }
        return false;
}

static void allow_add(char *allow, size_t size, const char *method) {
        size_t used = strlen(allow);

        if (used + strlen(method) + 3 > size || allow_has(allow, method))
                return;
        if (used)
                strcat(allow, ", ");
        strcat(allow, method);
}

static const struct route *longest_path(const struct route_table *table, const char *path) {
        const struct route *longest = NULL;

        for (size_t i = 0; i < table->n; i++) {
                const struct route *r = &table->routes[i];

                if (path_takes(r, path) && (!longest || r->size > longest->size || (r->size == longest->size && !r->below)))
                        longest = r;
        }
        return longest;
}

static void allow_of(const struct route_table *table, const struct route *path, char *allow, size_t size) {
        allow[0] = '\0';
        for (size_t i = 0; i < table->n; i++) {
                const struct route *r = &table->routes[i];

                if (!same_path(r, path->size, path->below, path->path))
                        continue;
                allow_add(allow, size, r->method);
                if (!strcmp(r->method, "GET"))
                        allow_add(allow, size, "HEAD");
        }
}

int route_find(const struct route_table *table, const char *method, const char *path, socle_handler *ret_fn, char *ret_allow,
               size_t allow_size) {
        const struct route *longest = longest_path(table, path), *best = NULL;
        int rank = 0;

        if (!longest)
                return SOCLE_E_NOT_FOUND;
        for (size_t i = 0; i < table->n; i++) {
                const struct route *r = &table->routes[i];

                if (same_path(r, longest->size, longest->below, longest->path) && method_rank(r, method) > rank) {
                        rank = method_rank(r, method);
                        best = r;
                }
        }
        if (!best) {
                allow_of(table, longest, ret_allow, allow_size);
                return SOCLE_E_NOT_ALLOWED;
        }
        *ret_fn = best->fn;
        return 0;
}

void route_table_deinit(struct route_table *table) {
        for (size_t i = 0; i < table->n; i++) {
                free(table->routes[i].method);
                free(table->routes[i].path);
        }
        free(table->routes);
        *table = (struct route_table){ 0 };
}
