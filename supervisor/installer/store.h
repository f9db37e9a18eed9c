/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of unpacked packages: SHA256/ is a whole one and never written
 * again; names that begin with '.' are being made or being removed, and are
 * rubbish when an installer starts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_HASH_SIZE 65 /* lower-case hex and NUL */

bool store_hash_ok(const char *sha256, size_t size);

/* The folder of a package: a descriptor, or -errno (-ENOENT: not there). */
int store_open(int packages, const char *sha256);
/* An empty folder of that number, for whichever package will need it: a descriptor or -errno. */
int store_stage(int packages, uint64_t number);
/* The staged folder becomes the package. 0 or -errno. */
int store_publish(int packages, uint64_t number, const char *sha256);
/* Removes a staged folder, a package. 0 (also when it is not there) or -errno. */
int store_unstage(int packages, uint64_t number);
int store_remove(int packages, const char *sha256);
/* Removes what earlier installers left half-way, and everything when the machine was started since: packages are not waited for to
 * reach the disk. 0 or -errno. */
int store_tidy(int packages);
