/* SPDX-License-Identifier: Apache-2.0
 *
 * What an HTTP request and a call of a method have in common while they are
 * handled: one frame, one coroutine, one arena. A coroutine's userdata is its
 * task; `start`, `stop` and `event` have none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/frame-layout.h"
#include "libmodule/arena.h"

struct call;
struct connection;
struct deadline;
struct socle_stream;

#define ERROR_DETAIL_SIZE 256

/* Why the last function of the SDK failed, for people. */
struct error_detail {
        int code; /* SOCLE_E_*; 0: nothing is said */
        char text[ERROR_DETAIL_SIZE];
};

/* For people: a method and a path, or a method of a service alone; they live as long as the task. */
struct task_name {
        const char *first, *second;
        uint32_t first_size, second_size;
};

struct task {
        struct frame frame;
        uint64_t span; /* its own, once somebody asked; 0 before */
        struct task_name name;
        struct connection *connection;
        struct task *next, **link; /* of the connection */
        struct arena arena;
        uint8_t *payload;
        struct call *call;             /* that it waits for */
        struct deadline *sleep;        /* likewise */
        struct socle_stream *waits_in; /* likewise */
        struct socle_stream *stream;   /* the callee's end of the one behind this call */
        bool cancelled;
        bool answered;      /* the end of its answer was sent */
        bool wants_channel; /* it sleeps until there is one for its file */
        struct error_detail detail;
};

/* The task of the coroutine that runs; NULL when there is none. */
struct task *task_self(void);
/* Nobody waits for it any more: what it waits for ends. It runs on, but its answer is not sent. */
void task_cancel(struct task *task);

/* What it is called by those that it calls. */
uint64_t task_span(struct task *task);

/* Of the task that runs, else the worker's. */
struct error_detail *task_detail(void);
/* Puts it down and returns the code. */
int task_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
