/* SPDX-License-Identifier: Apache-2.0
 *
 * A stand-in for the base and the manager: starts a real socle-template, gives
 * it its first words, has workers forked and watches them. Also used by bench.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/control.h"
#include "ipc/page.h"
#include "libmodule/worker.h"

struct fixture {
        pid_t pid;
        int link;
        bool root;
        bool spare; /* workers begin as spares, and are told on their own link what they are */
        uint32_t enforced;
        char failed[1024]; /* TEMPLATE_FAILED's text */
};

#define FIXTURE_UID_BASE 1900000000u

/* 0, -errno, or 1 = it said TEMPLATE_FAILED. */
int fixture_start(struct fixture *ret_fixture, const char *exe, bool root, bool strict, const char *preload);
/* Closes the link; the exit status of the template, -errno. */
int fixture_stop(struct fixture *fixture);

struct fixture_worker {
        pid_t pid;
        int pidfd, link, log, page_fd;
        struct page_reader *page; /* once it is sealed */
        struct control_forked forked;
        char work[64];
        uint64_t sent_ns; /* just before FORK_WORKER was sent */
};
struct fixture_order {
        const char *package; /* folder */
        const struct worker_settings *settings;
        struct control_limits limits;
        uint32_t uid; /* in the template's namespace */
        bool memory_by_rlimit;
        int cgroup;      /* 0 = none */
        int settings_fd; /* 0 = encode the settings */
};
/* 0, or the -errno of FORK_REFUSED. */
int fixture_fork(struct fixture *fixture, const struct fixture_order *order, struct fixture_worker *ret_worker);
/* One that waits for its order on *ret_order. 0 or -errno. */
int fixture_fork_spare(struct fixture *fixture, int cgroup, struct fixture_worker *ret_worker, int *ret_order);
/* Waits until its page says at least this level, or it has failed or ended. The level then. */
enum page_level fixture_wait_level(struct fixture_worker *worker, enum page_level level, struct page_vitals *ret_vitals);
/* Waits for its end (killed first, when asked); how waitid tells it. 0 or -errno. */
int fixture_reap(struct fixture_worker *worker, bool kill_first, int *ret_code, int *ret_status);
/* Everything it wrote to its standard streams; after its end. */
void fixture_log(struct fixture_worker *worker, char *buffer, size_t size);
void fixture_worker_deinit(struct fixture_worker *worker);
