/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of files to a gateway, beside the edge to it. See file-channel.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct task;

/* Of a connection. */
struct file_channel {
        int fd;            /* -1: there is none */
        bool is_open;      /* the gateway has its end */
        bool refused;      /* the manager had none to give */
        bool lost;         /* the gateway had no descriptor for its end */
        uint64_t asked;    /* the request that was answered with it */
        uint64_t asked_ns; /* when he was asked for one, or gave one that is not open yet; 0: not */
};

/* Passes a file for the answer to a task; the reply must be sent at once then. The task waits while there is no way, if need be
 * until its deadline; with `brief` for a second at most. 0 or an error_code. The fd stays the caller's. */
int file_channel_pass(struct task *task, int fd, bool brief);
/* The manager's answer; takes the fd. -1: there is none to be had. */
void file_channel_on_answer(uint64_t peer, uint64_t request, int fd);
/* The gateway has the other end of what was given for that request. */
void file_channel_on_open(uint64_t peer, uint64_t request);
void file_channel_close(struct connection *c);
