/* SPDX-License-Identifier: Apache-2.0
 *
 * Which handler of a module takes a request. Pure.
 */
#pragma once

#include <stddef.h>

#include <socle/module.h>

struct route {
        char *method; /* "GET", "*" = any */
        char *path;   /* "/hello"; "/x/" with `below`: everything under it */
        size_t size;  /* of path */
        bool below;
        socle_handler fn;
};
struct route_table {
        struct route *routes;
        size_t n;
};

/* Does a request that comes below the prefix ("" = none comes) ever have such a path? */
bool route_reachable(const char *prefix, const char *path);
/* 0, -EEXIST, -EINVAL, -ENOMEM. */
int route_add(struct route_table *table, const char *method, const char *path, socle_handler fn);
/* The longest path that takes it. 0; SOCLE_E_NOT_FOUND; SOCLE_E_NOT_ALLOWED, and the methods that are ("GET, HEAD, POST"). */
int route_find(const struct route_table *table, const char *method, const char *path, socle_handler *ret_fn, char *ret_allow,
               size_t allow_size);
void route_table_deinit(struct route_table *table);
