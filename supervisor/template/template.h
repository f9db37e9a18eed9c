/* SPDX-License-Identifier: Apache-2.0
 *
 * The template: a warm process of one thread, with one socket, that forks
 * workers when the base says so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/board.h"
#include "ipc/control.h"
#include "supervisor/template/raw-clone.h"
#include "supervisor/template/sandbox.h"

struct template {
        int link;    /* to the base */
        int null_fd; /* /dev/null, the workers' standard input */
        pid_t base_pid;
        int base_pidfd;
        struct sandbox sandbox;
        struct libc_thread thread;
        struct board *board; /* NULL until a whole set has come */
        struct board_set {
                uint64_t generation;
                uint32_t n, n_here;
                int fds[BOARD_SEGMENTS_MAX + 1];
        } incoming;
        uint64_t generation;
};

void template_init(struct template *template, int link);
void template_deinit(struct template *template);

/* Up to READY: HELLO, SETUP, the user namespace, the libraries, the sandbox. 0; -errno with the reason logged and
 * sent to the base. */
int template_setup(struct template *template);
/* Serves the link until it ends. 0, or -errno when the base says what it may not say. */
int template_serve(struct template *template);

/* Takes one segment of a board out of the record. When the set is complete it is in force. 0, -errno, -EPROTO. */
int template_board_add(struct template *template, struct control_record *record);

/* Sends, waiting for room. 0 or -errno. */
int template_send(struct template *template, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds,
                  uint32_t n_fds);
#define TEMPLATE_SEND(template, NAME, request, fds, n_fds, ...)                                                                            \
        template_send((template), CONTROL_KIND_##NAME, (request), &(__typeof__(((struct control_record *)0)->NAME)){ __VA_ARGS__ },        \
                      (uint32_t)sizeof(((struct control_record *)0)->NAME), (fds), (n_fds))
