/* SPDX-License-Identifier: Apache-2.0
 *
 * A small table in a mapped file: storing a cursor is one store, no system call.
 * It need not survive the machine, only the process.
 */
#include "supervisor/manager/log-cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fd.h"

#define MAGIC UINT64_C(0x3172756353656c73)
#define SLOTS 4096
#define PROBES 64

struct log_cursors {
        uint64_t magic, born_ns;
        struct log_cursor slots[SLOTS];
};

/* Every byte is allocated before it is mapped: a full disk must be an error here, not a signal later. */
static int file_fill(int fd) {
        _cleanup_free_ struct log_cursors *empty = calloc(1, sizeof(*empty));

        if (!empty)
                return -ENOMEM;
        return ftruncate(fd, 0) < 0 ? -errno : fd_write_all(fd, empty, sizeof(*empty));
}

int log_cursors_open(struct log_cursors **ret_cursors, int folder, const char *name, uint64_t born_ns) {
        _cleanup_close_ int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct log_cursors *c;
        struct stat st;
        int r = 0;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size != (off_t)sizeof(*c))
                r = file_fill(fd);
        if (r < 0)
                return r;
        c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (c == MAP_FAILED)
                return -errno;
        if (c->magic != MAGIC || c->born_ns != born_ns) {
                *c = (struct log_cursors){ .magic = MAGIC, .born_ns = born_ns };
        }
        *ret_cursors = c;
        return 0;
}

struct log_cursors *log_cursors_close(struct log_cursors *cursors) {
        if (cursors)
                munmap(cursors, sizeof(*cursors));
        return NULL;
}

/* The instance's slot, else a free one near it (take: it becomes the instance's). */
static struct log_cursor *slot_find(struct log_cursors *cursors, uint64_t instance, bool take) {
        struct log_cursor *free_one = NULL;

        for (uint64_t n = 0; cursors && n < PROBES; n++) {
                struct log_cursor *slot = &cursors->slots[(instance + n) % SLOTS];

                if (slot->instance == instance)
                        return slot;
                if (!slot->instance && !free_one)
                        free_one = slot;
        }
        if (!free_one || !take)
                return NULL;
        *free_one = (struct log_cursor){ .instance = instance };
        return free_one;
}

struct log_cursor *log_cursor_get(struct log_cursors *cursors, uint64_t instance) {
        return slot_find(cursors, instance, true);
}

void log_cursor_free(struct log_cursors *cursors, uint64_t instance) {
        struct log_cursor *slot = slot_find(cursors, instance, false);

        if (slot)
                *slot = (struct log_cursor){ 0 };
}
