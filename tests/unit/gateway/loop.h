/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the gateway's loops a test is about: SOCLE_TEST_LOOP, io_uring or
 * epoll. Where the host has no io_uring such a test is skipped.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "ipc/control.h"
#include "supervisor/common/uring.h"

#define LOOP_SKIPPED 77 /* as meson knows it */

static inline enum gateway_loop loop_of_test(void) {
        const char *name = getenv("SOCLE_TEST_LOOP"), *why;

        if (name && !strcmp(name, "epoll"))
                return GATEWAY_LOOP_EPOLL;
        if (uring_try(&why) < 0)
                exit(LOOP_SKIPPED);
        return GATEWAY_LOOP_URING;
}
