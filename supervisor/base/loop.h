/* SPDX-License-Identifier: Apache-2.0
 *
 * The base's own event loop: epoll, one event a turn, so that a watch may be
 * taken out by the reaction to another without anything stale being left.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct base;
struct watch;
typedef void (*watch_fn)(struct base *base, struct watch *watch, uint32_t events);

struct watch {
        int fd; /* -1: not watched */
        watch_fn fn;
        void *userdata;
};
#define WATCH_INIT ((struct watch){ .fd = -1 })

/* Makes the epoll descriptor. It or -errno. */
int loop_new(void);

/* Watches fd, which it takes. 0 or -errno. */
int watch_start(struct base *base, struct watch *watch, int fd, uint32_t events, watch_fn fn, void *userdata);
/* Watches for the end of a child. 0 or -errno. */
int watch_process(struct base *base, struct watch *watch, pid_t pid, watch_fn fn, void *userdata);
int watch_change(struct base *base, struct watch *watch, uint32_t events);
/* Ends the watch and closes its descriptor; idempotent. */
void watch_stop(struct base *base, struct watch *watch);

/* Waits until deadline_ns (UINT64_MAX: for ever) for one event and reacts to it. 0 or -errno. */
int loop_turn(struct base *base, uint64_t deadline_ns);
