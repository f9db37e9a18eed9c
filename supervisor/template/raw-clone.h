/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw clone3 as the template uses it, and what it takes to make the child's C
 * library whole again.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* What the kernel knows of the C library's one thread. */
struct libc_thread {
        void *tid_address;
        void *robust_list;
        size_t robust_size;
};
/* 0; -errno where the kernel does not tell. */
int libc_thread_read(struct libc_thread *ret_thread);
/* In a child of clone3 that was given tid_address. */
int libc_thread_adopt(const struct libc_thread *thread);

/* clone3 as the template uses it: a sibling, with its pidfd, born in the cgroup when one is given (-1 = none).
 * The pid, 0 in the child, -errno. */
pid_t worker_clone(const struct libc_thread *thread, int cgroup, int *ret_pidfd);
