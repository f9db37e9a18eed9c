/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that unpacks one package and ends.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "conf/package.h"
#include "supervisor/installer/sandbox.h"

/* What it writes into its pipe, once, before it ends. */
struct child_result {
        int32_t error; /* 0, -errno, enum package_error */
        uint32_t reserved;
        struct package_report report;
};

struct child_order {
        int package; /* descriptors of the installer; the child closes all others */
        int staging; /* an empty folder */
        int result;  /* a pipe's end */
        struct package_limits limits;
};

/* The pid of the child, or -errno. */
pid_t child_start(const struct sandbox *sandbox, int null_fd, const struct child_order *order);
