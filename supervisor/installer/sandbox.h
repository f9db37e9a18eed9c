/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds the child that unpacks a package: it can reach one folder and the
 * descriptors that it was given, and can do little with them. Prepared once in
 * the installer, so that a child pays only for taking it on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/filter.h>

struct sandbox {
        int landlock_abi;         /* 0: the kernel has none */
        uint64_t address_space;   /* bytes that the installer itself has mapped */
        struct sock_filter *code; /* the allow-list of system calls; NULL: the kernel has no seccomp */
        unsigned short n_code;
};

/* 0 or -errno. */
int sandbox_prepare(struct sandbox *ret_sandbox);
void sandbox_deinit(struct sandbox *sandbox);

/* Narrows this process for good: files below `folder` only, limits, system calls. 0 or -errno. */
int sandbox_enter(const struct sandbox *sandbox, int folder, uint64_t max_file_size);
