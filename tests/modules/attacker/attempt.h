/* SPDX-License-Identifier: Apache-2.0
 *
 * One attempt: what it is told, what it did, and how it is reported.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

struct socle_request;

struct attempt {
        struct socle_request *req;
        const char *on; /* what it is tried on, of the table, as the runner has filled it in; "" = nothing */
        int error;      /* of the last call; 0: it succeeded */
        bool partly;    /* some of it was done before it was stopped */
        long number;    /* the last call, for who looks which layer refused it */
        uint64_t args[6];
        char proof[2048]; /* what a success has brought */
};

#define P(pointer) ((long)(uintptr_t)(pointer))
/* The raw system call, noted: -1 and a->error, or what it returned. */
#define TRY(a, name, ...) try_call(a, SYS_##name, (const long[6]){ __VA_ARGS__ })
long try_call(struct attempt *a, long number, const long args[6]);

/* Where it is not a system call that says so. */
void stopped(struct attempt *a, int error);
void prove(struct attempt *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
long number_of(struct attempt *a, const char *fact); /* a number that the runner tells beside; -1: none */

/* What descriptors there were at the start (try-own.c). */
void note_inheritance(void);
/* The control link and what the manager sends on it, kept (link.c). */
int link_take(void);
extern int link_fd, link_number; /* a copy of it; the number under which the worker has it */
#define LOOT_MAX 64
extern int loot[LOOT_MAX];
extern unsigned n_loot;

#define ATTEMPT(name, function, on, by, what, outcome, why) void function(struct attempt *a);
#include "attempts.def"
#undef ATTEMPT
