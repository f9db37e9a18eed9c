/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory and bells as two processes see them that promise each other nothing
 * but what C11 says of their accesses: the other side of ipc/shared-model.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a control takes away, at one place in the code. */
enum weakening {
        WEAK_NOTHING,
        WEAK_NO_FENCE,      /* the fence is not there */
        WEAK_NO_LOOK,       /* the load brings what was loaded last */
        WEAK_NO_ANSWER,     /* the load brings 0 */
        WEAK_NO_STORE,      /* the store is not made */
        WEAK_LATE_STORE,    /* the store is made behind the next load */
        WEAK_RELAXED_STORE, /* the store releases nothing */
        WEAK_RELAXED_LOAD,  /* the load acquires nothing */
        WEAK_LATE_COPIES,   /* copies into the ring are made behind the next store */
        WEAK_MEMORY,        /* no access: it is for who uses the ring */
};

struct control {
        const char *what;
        enum weakening weakening;
        const char *site;  /* the function that makes the access */
        const char *after; /* the function that made the one before; NULL: any */
        const char *word;  /* its name; NULL: any */
};

/* Before each execution: nothing is known to anybody. `control` may be NULL. */
void memory_begin(const struct control *control);
/* A word that `owner` alone writes; what it holds now is its first value. */
void memory_add_word(const char *name, unsigned owner, const volatile void *word, unsigned size);
/* Bytes that `owner` writes and the other reads; what is to be read of them is written later. */
void memory_add_bytes(unsigned owner, uint8_t *bytes, uint32_t size);
/* The bells that a process hears, and by which descriptors the edges know them. */
#define MEMORY_BELL_FD(process) (1000000 + (int)(process))

/* Sleeps, as in epoll with EPOLLET, until a bell has rung since the last sleep. */
void memory_sleep(void);
bool memory_is_awake(unsigned process);
uint64_t memory_hash(void);
/* A line of the trace that is no access. */
_printf_(1, 2) void memory_note(const char *format, ...);
/* What the two have done in the last execution. */
void memory_print_trace(const char *const names[2]);
