/* SPDX-License-Identifier: Apache-2.0
 *
 * This machine's number in seccomp filters: calls of another ABI have other
 * numbers, and are refused.
 */
#pragma once

#include <linux/audit.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCH AUDIT_ARCH_RISCV64
#else
#error "name this machine's AUDIT_ARCH_* here"
#endif
