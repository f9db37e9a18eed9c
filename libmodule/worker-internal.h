/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker: one per process, shared by the files of this library.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <socle/module.h>

#include "ipc/board.h"
#include "ipc/control.h"
#include "ipc/deadlines.h"
#include "ipc/edge.h"
#include "ipc/page.h"
#include "libmodule/arena.h"
#include "libmodule/bell.h"
#include "libmodule/bus.h"
#include "libmodule/call.h"
#include "libmodule/coroutine.h"
#include "libmodule/file-channel.h"
#include "libmodule/request.h"
#include "libmodule/route.h"
#include "libmodule/worker.h"

struct socle_module {
        const struct socle_hooks *hooks;
        struct route_table routes;
        socle_method *methods; /* by id - 1, as many as the settings name; NULL: none is registered */
};

/* An edge and what hangs on it. */
struct connection {
        struct bell bell; /* first: what epoll names */
        struct connection *next, **link;
        struct edge *edge; /* NULL: gone; the connection waits for its last request */
        uint64_t id;
        uint64_t peer;                              /* the instance at the other end, says the manager */
        uint64_t methods[CONTROL_METHODS_MAX / 64]; /* that the peer may ask for: a bit for each id */
        struct task *tasks;
        uint32_t n_sending;    /* answers on their way */
        uint64_t sending_size; /* their bytes */
        bool pending;          /* there may be something to receive */
        struct file_channel files;
};

struct worker {
        struct worker_start start;
        struct socle_module module;
        struct arena arena; /* as long as the worker */
        int epoll;
        struct connection *connections;
        struct bus bus;
        struct error_detail detail; /* of what runs without a task */
        uint64_t in_flight;
        uint32_t ring_size, max_message;
        bool starting, ready, draining, drained, stopping;
        bool hurried, stopped; /* `stop` waits for nobody; it was called */
};

extern struct worker the_worker;

/* The arena of the request that runs, else the worker's. */
struct arena *worker_arena(void);
/* Resumes module code, with the page saying since when it runs. */
void worker_resume(struct coroutine *co);
void worker_set_level(enum page_level level);
struct edge_limits worker_edge_limits(void);
/* Is this the thread that handlers run in? */
bool worker_is_this_thread(void);

/* pack.c: the bytes of a buffer (NULL is an empty one); taken, they are malloc'ed. */
const void *buffer_data(const struct socle_buffer *b, uint32_t *ret_size);
uint8_t *buffer_take(struct socle_buffer *b, uint32_t *ret_size);

/* connections.c */
void connection_offer(const struct control_edge_offer *offer, int memory_fd, int doorbell_fd);
/* Closes what there is to this peer. */
void connection_end(uint64_t peer);
/* Receives within a budget, flushes, arms. True: something is left to do now. */
bool connections_turn(void);
/* Sends something that belongs to a request of it: as edge_send(); EDGE_E_CLOSED when it is gone. */
int connection_put(struct connection *c, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out);
/* A request of it has ended, or a message of it was sent. */
void connection_settle(struct connection *c);

/* serve.c */
void serve_message(struct connection *c, struct edge_message *message);
void serve_check_drained(void);
/* What is under way is answered CUT_OFF and cancelled. False: there is nothing. */
bool serve_cut_off(void);
/* Says on the page what is handled now; NULL: nothing of a caller's. */
void serve_show(const struct task *task);
/* An answer to a task. Takes data. */
void serve_reply(struct task *task, uint8_t *data, uint32_t size);
void serve_error(struct task *task, int error, const char *detail);
/* The end of an answer that is a stream. */
void serve_end(struct task *task);
void serve_count_out(uint32_t size);

/* method.c */
struct task *method_task_new(const struct edge_message *message, uint8_t *payload, int *ret_error);
void method_task_run(struct task *task);
void method_task_free(struct task *task);
bool method_is_there(uint16_t id);
/* Says which methods of the manifest were not registered. */
void methods_check(void);

/* health.c */
void health_on_ask(uint64_t request, uint64_t deadline_ns);

/* log.c */
int log_start(void);
void log_turn(void); /* counts what could not be printed */

/* module.c: it takes requests from now on. */
void module_ready(void);

/* wait.c: sleeping and offloading */
int wait_init(void);
int wait_timeout_ms(void); /* for epoll; -1: nothing sleeps */
void wait_turn(void);      /* resumes whose time has come */
void wait_on_offloaded(void);
int wait_offload_fd(void);
void wait_tell_ready(void); /* from another thread: the loop calls module_ready() */
struct deadlines *wait_deadlines(void);
/* When a wait of so many ms ends, soon if the task is cancelled; UINT64_MAX: never, as with INT64_MAX. */
uint64_t wait_until_ns(const struct task *task, int64_t ms);
