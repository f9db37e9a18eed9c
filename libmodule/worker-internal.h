/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker: one per process, shared by the files of this library.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <socle/module.h>

#include "ipc/board.h"
#include "ipc/edge.h"
#include "ipc/page.h"
#include "libmodule/arena.h"
#include "libmodule/coroutine.h"
#include "libmodule/request.h"
#include "libmodule/route.h"
#include "libmodule/worker.h"

struct service_method {
        char *name;
        socle_method fn;
};

struct socle_module {
        const struct socle_hooks *hooks;
        struct route_table routes;
        struct service_method *methods;
        size_t n_methods;
};

/* An edge and what hangs on it. */
struct connection {
        struct connection *next, **link;
        struct edge *edge; /* NULL: gone; the connection waits for its last request */
        uint64_t id;
        struct socle_request *requests;
        uint32_t n_sending;
        bool pending; /* there may be something to receive */
};

struct worker {
        struct worker_start start;
        struct socle_module module;
        struct arena arena; /* as long as the worker */
        int epoll;
        struct connection *connections;
        uint64_t in_flight;
        uint32_t ring_size, max_message;
        bool starting, ready, draining, drained, stopping;
};

extern struct worker the_worker;

/* The arena of the request that runs, else the worker's. */
struct arena *worker_arena(void);
/* Resumes module code, with the page saying since when it runs. */
void worker_resume(struct coroutine *co);
void worker_set_level(enum page_level level);

/* connections.c */
void connection_offer(uint64_t edge_id, int memory_fd, int doorbell_fd);
void connection_release(uint64_t edge_id);
void connection_on_event(struct connection *c);
/* Receives within a budget, flushes, arms. True: something is left to do now. */
bool connections_turn(void);
/* A request of it has ended, or a message of it was sent. */
void connection_settle(struct connection *c);

/* serve.c */
void serve_message(struct connection *c, struct edge_message *message);
void serve_check_drained(void);

/* log.c */
int log_start(void);
void log_turn(void); /* counts what could not be printed */

/* wait.c: sleeping and offloading */
int wait_init(void);
int wait_timeout_ms(void); /* for epoll; -1: nothing sleeps */
void wait_turn(void);      /* resumes whose time has come */
void wait_on_offloaded(void);
int wait_offload_fd(void);
