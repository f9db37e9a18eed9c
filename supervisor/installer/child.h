/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that unpacks one package. It may be started before there is one:
 * then it makes ready all that can be, its sandbox too, and waits for its order.
 * That spares the package the price of the fork, of every page that is touched
 * for the first time after it, and of the search for free inodes.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/package.h"
#include "ipc/control.h"
#include "supervisor/installer/sandbox.h"

/* What it sends once its work is done. */
struct child_result {
        int32_t error; /* 0, -errno, enum package_error */
        uint32_t reserved;
        struct package_report report;
};

struct child {
        int pidfd;
        int link;       /* SOCK_SEQPACKET: the order down, the result up */
        int folder;     /* where it unpacks, and all that it can reach; -1: it has got its name */
        uint64_t stage; /* the folder's number */
};
#define CHILD_NONE ((struct child){ .pidfd = -1, .link = -1, .folder = -1 })

/* What children are made with; descriptors of the installer. */
struct child_kit {
        struct sandbox sandbox;
        int null_fd;
        int packages;      /* the folder of packages */
        uint64_t n_staged; /* folders, one for each child */
};

/* A child that waits for its order; a `warm` one has unpacked something by then. 0 or -errno. */
int child_start(struct child *ret_child, struct child_kit *kit, bool warm);
/* The child ends and is reaped: it is killed unless it has ended. Its folder goes, too, if it has got no name. */
void child_end(struct child *child, const struct child_kit *kit);
/* Reaps one whose pidfd has become readable. */
void child_reap(struct child *child, const struct child_kit *kit, siginfo_t *ret_info);

/* Unpack the package (it is duplicated); once per child. 0, -errno or enum control_error: the child is gone. */
int child_order(const struct child *child, const struct control_unpack *order, int package);
/* Takes the result and stops the child for good, so that nothing writes into the folder any more; it is still to be ended.
 * 0, or -EPIPE: there is none, and the child ends by itself. */
int child_finish(struct child *child, struct child_result *ret_result);
/* The folder of one that is stopped becomes the package: a descriptor of it, or -errno. */
int child_publish(struct child *child, const struct child_kit *kit, const char *sha256);
/* It is removed. */
void child_discard(struct child *child, const struct child_kit *kit);
