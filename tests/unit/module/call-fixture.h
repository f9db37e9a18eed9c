/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of calls share: a worker that calls, without a process. The test
 * is the manager at one end of the link, writes the directory, and is the callee at
 * the other end of edges. Time stands still and passes only when the test says so.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/control.h"
#include "ipc/directory.h"
#include "ipc/edge.h"
#include "libmodule/call.h"
#include "libmodule/worker-internal.h"

struct callee {
        uint64_t instance, request;
        int fds[2]; /* of the EDGE_REQUEST */
        struct edge *edge;
};

struct ask {
        const char *method;
        struct socle_call_options options;
        size_t size; /* of the argument */
        bool cast;
        struct task *task;
        int done, result; /* done: how often */
        char text[64], detail[ERROR_DETAIL_SIZE];
};

extern int link_fds[2]; /* the worker's end, the manager's */
extern struct directory_writer *writer;
extern struct worker_settings settings;
extern struct directory_instance instances[2];
extern struct directory_module module;
extern uint64_t now_ns;

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

void publish(uint32_t n_instances);
void publish_instances(void); /* as the test has changed them */
void send_directory(uint64_t epoch);
int setup(void **state);
int teardown(void **state);
bool turn(void);
void turns(void);
void pass_ms(uint64_t ms);
struct control_record told(enum control_kind kind);
void told_nothing(void);
void take_request(struct callee *c);
void take_two_requests(struct callee c[2]);
void accept_request(struct callee *c);
void take_edge(struct callee *c);
void refuse_request(struct callee *c, int error);
void limit_request(struct callee *c, enum edge_limit limit);
void ask(struct ask *a);
void expect(const struct ask *a, int result, const char *words);
void receive(struct callee *c, uint8_t kind, struct edge_message *m);
void receive_nothing(struct callee *c);
void send_frame(struct callee *c, struct frame frame, const void *data, uint32_t size);
void reply(struct callee *c, uint64_t correlation, const char *text);
void reply_error_code(struct callee *c, uint64_t correlation, uint16_t error);
void die(struct callee *c);
void open_edge(struct callee *c);
