/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring of a module that asks for one.
 *
 * What is asked for on a ring passes the filter by. So the module does not make
 * it: the worker does, before its own filter takes away io_uring_setup and
 * io_uring_register, and gives it a list of what may be asked for, which the kernel
 * keeps for ever (IORING_REGISTER_RESTRICTIONS, on a ring that is born disabled).
 * On the list is what the filter lets through whatever its arguments are: files and
 * descriptors that one has, waiting, time. Not on it: sockets that are made or
 * connected (the filter looks at their kind), owners and signals, other rings,
 * other processes. Landlock and the uid are asked as by system calls: a request
 * has the credentials of who submits it, which are those of the worker by then.
 * Nor, rootless, opening: the filter looks at the mode that a file is created with.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"

#define ENTRIES 256

static const uint8_t operations[] = {
        IORING_OP_NOP,
        /* files */
        IORING_OP_READ,
        IORING_OP_WRITE,
        IORING_OP_READV,
        IORING_OP_WRITEV,
        IORING_OP_FSYNC,
        IORING_OP_SYNC_FILE_RANGE,
        IORING_OP_FALLOCATE,
        IORING_OP_FADVISE,
        IORING_OP_OPENAT,
        IORING_OP_STATX,
        IORING_OP_CLOSE,
        /* sockets that there are */
        IORING_OP_ACCEPT,
        IORING_OP_SEND,
        IORING_OP_RECV,
        IORING_OP_SHUTDOWN,
        /* waiting */
        IORING_OP_POLL_ADD,
        IORING_OP_POLL_REMOVE,
        IORING_OP_TIMEOUT,
        IORING_OP_TIMEOUT_REMOVE,
        IORING_OP_LINK_TIMEOUT,
        IORING_OP_ASYNC_CANCEL,
};

static int ring_register(int ring, unsigned what, void *arg, unsigned n) {
        return syscall(SYS_io_uring_register, ring, what, arg, n) < 0 ? -errno : 0;
}

static int ring_restrict(int ring, bool own_uid) {
        struct io_uring_restriction list[N_ELEMENTS(operations) + 1];
        unsigned n = 0;

        memset(list, 0, sizeof(list));
        for (size_t i = 0; i < N_ELEMENTS(operations); i++) {
                if (operations[i] == IORING_OP_OPENAT && !own_uid)
                        continue;
                list[n].opcode = IORING_RESTRICTION_SQE_OP;
                list[n++].sqe_op = operations[i];
        }
        list[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
        list[n++].sqe_flags = IOSQE_IO_DRAIN | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC;
        return ring_register(ring, IORING_REGISTER_RESTRICTIONS, list, n);
}

int sandbox_uring_new(const struct sandbox *sandbox, struct io_uring_params *ret_params) {
        struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
        _cleanup_close_ int ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
        int r;

        if (ring < 0)
                return -errno;
        r = ring_restrict(ring, sandbox->enforced & ENFORCED_UIDS);
        if (!r)
                r = ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        if (r)
                return r;
        *ret_params = params;
        return TAKE_FD(ring);
}
