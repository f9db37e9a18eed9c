/* SPDX-License-Identifier: Apache-2.0
 *
 * A package of our own, to be unpacked by a child that has nothing to do yet.
 */
#pragma once

/* Under this name it is staged; no package has it, for it is no hash. */
#define WARMUP_NAME "warm-up"

/* A memfd with the package, or -errno. */
int warmup_package(void);
