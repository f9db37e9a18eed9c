/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock's three system calls, for kernels and headers of any age. ABI 1 is
 * the oldest (Linux 5.13), Debian 12 has 2; the headers of the build host may be
 * older than the kernel, so the newer bits are defined here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/landlock.h>

#define LANDLOCK_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define LANDLOCK_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */

/* The kernel's ABI, 0: it has no Landlock. */
int landlock_probe(void);

/* Every access to files that this ABI can refuse. */
uint64_t landlock_access_all(int abi);

/* A ruleset that refuses every access to files, from ABI 6 also abstract sockets and signals of others; with `tcp`, from ABI 4,
 * bind and connect. Its descriptor or -errno. */
int landlock_new(int abi, bool tcp);
/* One that refuses these accesses to files, which this ABI must know. Its descriptor or -errno. */
int landlock_new_of(uint64_t access);
/* Allows what is below the folder, or the file itself; what this ABI does not know is left out. 0 or -errno. */
int landlock_allow(int ruleset, int abi, int fd, uint64_t access);
/* Confines this thread for good. 0 or -errno. */
int landlock_enter(int ruleset);
