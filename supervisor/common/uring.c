/* SPDX-License-Identifier: Apache-2.0
 *
 * All that is needed beyond the ring itself is older than DEFER_TASKRUN (Linux
 * 6.1): where the kernel takes that, the rest is there.
 */
#include "supervisor/common/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"

/* One thread; completions are made when it asks for them, and a flag in memory says whether there are any to be made. */
#define SETUP                                                                                                                              \
        (IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |                   \
         IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL)

/* Sending is not among them (net.c), and nothing that opens, connects or touches a file. */
static const uint8_t operations[] = { IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL };

static const char *why(int error) {
        switch (-error) {
        case EPERM:
                return "it is not permitted (sysctl kernel.io_uring_disabled, or a container)";
        case ENOSYS:
                return "the kernel has none, or a filter refuses it (a container)";
        case EINVAL:
                return "the kernel is older than 6.1";
        default:
                return strerrordesc_np(-error);
        }
}

int uring_open(struct io_uring *ring, unsigned n_entries, unsigned n_completions, const char **ret_why) {
        struct io_uring_params params = { .flags = SETUP, .cq_entries = n_completions };
        int r = io_uring_queue_init_params(n_entries, ring, &params);

        if (r < 0)
                *ret_why = why(r);
        return r;
}

/* liburing 2.3 declares functions for what is registered below, and does not export them. */
static int enroll(struct io_uring *ring, unsigned what, const void *items, unsigned n) {
        return syscall(SYS_io_uring_register, ring->ring_fd, what, items, n) < 0 ? -errno : 0;
}

int uring_enable(struct io_uring *ring, const char **ret_why) {
        struct io_uring_restriction restrictions[N_ELEMENTS(operations) + 1] = { 0 };
        int r;

        for (size_t i = 0; i < N_ELEMENTS(operations); i++) {
                restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
                restrictions[i].sqe_op = operations[i];
        }
        restrictions[N_ELEMENTS(operations)].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
        restrictions[N_ELEMENTS(operations)].sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
        r = enroll(ring, IORING_REGISTER_RESTRICTIONS, restrictions, N_ELEMENTS(restrictions));
        if (r >= 0)
                r = enroll(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        if (r < 0)
                *ret_why = why(r);
        return r;
}

int uring_try(const char **ret_why) {
        struct io_uring ring;
        int r = uring_open(&ring, 1, 2, ret_why);

        if (r < 0)
                return r;
        r = uring_enable(&ring, ret_why);
        io_uring_queue_exit(&ring);
        return r;
}
