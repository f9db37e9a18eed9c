/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that unpacks one package. It may be started before there is one:
 * then it warms up and waits for its order, which spares the package the price
 * of the fork and of every page that is touched for the first time after it.
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
        int link; /* SOCK_SEQPACKET: the order down, the result up */
};
#define CHILD_NONE ((struct child){ .pidfd = -1, .link = -1 })

/* What children are made with; descriptors of the installer. */
struct child_kit {
        struct sandbox sandbox;
        int null_fd;
        int packages; /* the folder of packages */
};

/* A child that waits for its order; a `warm` one has unpacked something by then. 0 or -errno. */
int child_start(struct child *ret_child, const struct child_kit *kit, bool warm);
/* The child ends and is reaped: it is killed unless it has ended. */
void child_end(struct child *child);
/* Reaps one whose pidfd has become readable. */
void child_reap(struct child *child, siginfo_t *ret_info);

/* Unpack the package (it is duplicated) into the staged folder of its hash; once per child. 0, -errno or enum control_error:
 * the child is gone. */
int child_order(const struct child *child, const struct control_unpack *order, int package);
/* Takes the result and stops the child for good, so that nothing writes into the folder any more; it is still to be ended.
 * 0, or -EPIPE: there is none, and the child ends by itself. */
int child_finish(struct child *child, struct child_result *ret_result);
