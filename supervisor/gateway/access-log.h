/* SPDX-License-Identifier: Apache-2.0
 *
 * The access log, as far as a gateway has to do with it: lines are gathered and
 * go into a pipe whose other end the manager reads. Nobody waits for anybody:
 * what there is no room for is dropped and counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"
#include "ipc/counts.h"
#include "ipc/deadlines.h"

struct access_kept;
struct gateway;
struct http_head;
struct request;

struct access_log {
        bool on; /* whether anything is kept of requests */
        int fd;  /* -1: the manager is gone */
        enum control_access_format format;
        uint32_t percent;
        uint64_t random;
        char *buffer;
        uint32_t used;
        bool torn;        /* the buffer begins within a line */
        uint64_t full_ns; /* the turn in which the pipe was full */
        struct deadline deadline;
};

/* Takes the fd. */
void access_log_set(struct gateway *g, const struct control_access_log *log, int fd);
/* What has been gathered goes out, as far as there is room. */
void access_log_deinit(struct gateway *g);

/* What a request's head says is kept for its end. NULL: nothing is, or out of memory. */
struct access_kept *access_log_keep(const struct gateway *g, const struct http_head *head);
/* It has been given to request->instance. */
void access_log_sent(struct request *request);
void access_log_add(const struct request *request, const struct counts_request *over);
