/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a traced child to any of its instructions, between two SIGSTOPs that it
 * gives itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__x86_64__) || defined(__aarch64__)
#define STEPPER_WORKS 1
#else
#define STEPPER_WORKS 0
#endif

/* The way from one stop to the other: address of each instruction. */
struct path {
        uint64_t *at;
        uint32_t *nth; /* how often that address came before */
        uint64_t n, n_room;
};

/* In the child, before the first SIGSTOP. False: it must not be traced. */
bool stepper_allow(void);
/* Waits for the first SIGSTOP. False: the child has ended. */
bool stepper_begin(pid_t pid);
/* Steps to the second SIGSTOP and writes down the way. */
void stepper_record(pid_t pid, struct path *path);
/* Goes there: k instructions were run. False when it went another way (its memory is laid out differently), and is stopped
 * elsewhere. */
bool stepper_run_to(pid_t pid, const struct path *path, uint64_t k);
