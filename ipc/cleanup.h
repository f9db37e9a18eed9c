/* SPDX-License-Identifier: Apache-2.0
 *
 * Ownership of locals: attributes that release on scope exit, and macros that
 * pass ownership on by leaving NULL or -1 behind.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _pure_ __attribute__((pure))
#define _unused_ __attribute__((unused))
#define _noreturn_ __attribute__((noreturn))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define TAKE_PTR(ptr)                                                                                                                      \
        ({                                                                                                                                 \
                __typeof__(ptr) _p = (ptr);                                                                                                \
                (ptr) = NULL;                                                                                                              \
                _p;                                                                                                                        \
        })

#define TAKE_FD(fd)                                                                                                                        \
        ({                                                                                                                                 \
                int _f = (fd);                                                                                                             \
                (fd) = -1;                                                                                                                 \
                _f;                                                                                                                        \
        })

/* Closes fd when it is one, and returns -1: `fd = fd_close(fd)`. errno is kept. */
int fd_close(int fd);

static inline void cleanup_freep(void *p) {
        free(*(void **)p);
}

static inline void cleanup_closep(int *fd) {
        fd_close(*fd);
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)
