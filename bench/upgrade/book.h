/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's side of a book (work.h).
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/upgrade/work.h"

static inline int book_open(struct book **ret_book) {
        const char *folder = getenv("SOCLE_DATA");
        char path[4096];
        void *at;
        int fd;

        snprintf(path, sizeof(path), "%s/" BOOK_FILE, folder ? folder : "");
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        at = ftruncate(fd, sizeof(struct book)) < 0 ? MAP_FAILED
                                                    : mmap(NULL, sizeof(struct book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (at == MAP_FAILED)
                return -errno;
        *ret_book = at;
        return 0;
}

static inline void book_note(struct book *book, uint32_t nonce) {
        if (nonce < WORK_NONCES)
                atomic_fetch_add(&book->runs[nonce], 1);
}
