/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gateways have counted of requests, summed: of those that live, and of
 * those that have ended while this manager was there.
 */
#pragma once

#include <jansson.h>

#include "ipc/counts.h"

struct gateway;
struct manager;

/* Sorted by module and route, each once. */
struct http_counts {
        struct counts_copy *places;
        size_t n;
        struct counts_others others;
};
void http_counts_deinit(struct http_counts *counts);
/* 0 or -ENOMEM: then what there was room for is summed. */
int http_counts_add(struct http_counts *counts, const struct counts_reader *reader);

/* Takes the fd; -1: it has none. */
void http_counts_on_page(struct gateway *gateway, int fd);
/* Its last words are added to what is kept of those that have ended. */
void http_counts_on_end(struct gateway *gateway);
/* Of all gateways. */
int http_counts_collect(const struct manager *manager, struct http_counts *ret_counts);

/* What concerns a module: {"requests": 5, "by_class": {"2xx": 5, ...}, ..., "routes": [...]}. NULL: out of memory. */
json_t *http_counts_json(const struct manager *manager, const char *module);
