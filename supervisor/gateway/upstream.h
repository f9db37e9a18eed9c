/* SPDX-License-Identifier: Apache-2.0
 *
 * A module as the gateway sees it: its instances and the requests that wait for
 * one. See upstream.c for how a request finds its instance.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/directory-layout.h"
#include "supervisor/gateway/gateway.h"

struct upstream {
        struct upstream *next;
        struct gateway *gateway;
        struct directory_module module; /* a copy; the last known one when it is gone */
        bool present;                   /* in the directory */
        struct instance_list instances;
        uint32_t n_active, n_cold;
        struct request_list waiting;
        uint32_t n_waiting, n_pinned; /* pinned: of those that wait, such as name a version */
        uint32_t n_users;             /* requests that name it */
        /* where its requests are counted: its own, then by index in its settings; NULL: not looked for yet */
        struct counts_place *places[1 + DIRECTORY_MODULE_SETTINGS_MAX];
};

/* What holds for a request: its module's, or those of the route of it that the path lies in. */
struct route_settings {
        uint64_t timeout_ms, body_max;
        bool stream; /* the body goes to the handler while it comes */
        bool own;    /* of a route, not the module's */
        struct counts_place *place;
};

/* The module for host and path; *path moves behind a prefix that is stripped. 0 or an error_code. */
int upstream_route(struct gateway *g, const char *host, const char **path, struct upstream **ret_upstream,
                   struct route_settings *ret_settings);
/* The module at this index of the directory. NULL when out of memory. */
struct upstream *upstream_use(struct gateway *g, uint32_t module);
void upstream_unuse(struct upstream *u);
const char *upstream_name(const struct upstream *u);

/* The request is whole: sends it, or lets it wait, or answers it; at the latest after timeout_ms. */
void upstream_submit(struct request *request, uint64_t timeout_ms);
/* Its client is gone. */
void upstream_forget(struct request *request);
void upstream_on_due(struct deadline *deadline);
/* It was sent and not begun: it stands first in the queue again. */
void upstream_take_back(struct request *request);
/* Something has changed: gives waiting requests to who can take them. */
void upstream_pump(struct upstream *u);

/* What follows from the states of its instances. */
void upstream_settle(struct upstream *u);

/* The directory has changed. 0 or -ENOMEM. */
int upstreams_on_directory(struct gateway *g);
/* A new manager: what the former one was asked for is asked again. */
void upstreams_on_manager(struct gateway *g);
void upstreams_pump(struct gateway *g);
/* An answer of the manager to an edge request. Takes the fds. */
void upstreams_on_edge(struct gateway *g, uint64_t request, int memory_fd, int bell_fd);
void upstreams_on_refused(struct gateway *g, uint64_t request, int error);
/* A way for files beside the edge to that instance. Takes the fd. False: there is no such edge. */
bool upstreams_on_file_channel(struct gateway *g, uint64_t instance, int fd);
/* Closes the edges that were not used since it was called before. How many are left. */
uint32_t upstreams_sweep(struct gateway *g);
void upstreams_deinit(struct gateway *g);
