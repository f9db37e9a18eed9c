/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's edges and requests without a process: the test is the manager at
 * one end of the link and the caller at the other end of the edge, and turns
 * the worker's loop by hand.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/control.h"
#include "ipc/edge.h"
#include "libmodule/worker-internal.h"

#define LIMITS ((struct edge_limits){ .ring_size = 4096, .max_message = 64 << 10, .max_partial = 256 << 10 })
/* HTTP and the first three methods */
#define OFFER(id) ((struct control_edge_offer){ .edge = (id), .peer = (id), .is_gateway = 1, .methods = { 0xf } })

struct world {
        int link[2]; /* the worker's end, the manager's */
        struct worker_settings settings;
        struct edge *caller;
};

/* What handlers have seen, and are to return: see serve-fixture.c. */
extern int long_sleep, next_sleep; /* /long */
extern int n_echoed;               /* kv.echo and kv.secret */
extern int returned_code;          /* kv.code */
extern int long_result;            /* kv.long */

/* The caller has edge 7. */
int setup(void **state);
int teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Gives the caller an edge of this id. */
void offer(struct world *w, uint64_t id);
/* One turn of worker.c's loop; true: there is more to do. */
bool turn(int timeout_ms);
void send_request(struct world *w, uint64_t correlation, const char *path, const char *query);
/* Turns until the answer is there; asleep only when the worker says so. */
void take_answer(struct world *w, struct edge_message *m);
void expect_reply(struct world *w, uint64_t correlation, int status, const char *body);
void expect_error(struct world *w, uint64_t correlation, int error);
uint64_t in_flight(void);
