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
        uint64_t asked_ns; /* the manager was asked for one, and has not answered; 0: not */
        bool refused;      /* he had none to give */
};

/* Passes a file for the answer to a task; the reply must be sent at once then. The task waits while there is no way, if need be
 * until its deadline; with `brief` for a second at most. 0 or an error_code. The fd stays the caller's. */
int file_channel_pass(struct task *task, int fd, bool brief);
/* The manager's answer; takes the fd. -1: there is none to be had. */
void file_channel_on_answer(uint64_t peer, int fd);
void file_channel_close(struct connection *c);
