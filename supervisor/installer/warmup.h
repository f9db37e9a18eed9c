/* SPDX-License-Identifier: Apache-2.0
 *
 * A package of our own, to be unpacked by a child that has nothing to do yet.
 */
#pragma once

/* The number of the folder where it is staged. */
#define WARMUP_STAGE 0

/* A memfd with the package, or -errno. */
int warmup_package(void);
