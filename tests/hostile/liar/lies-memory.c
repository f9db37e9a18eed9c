/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies with what is given for an edge, and the finding of lies about what is
 * done with it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "lies.h"

#define SIZE (EDGE_DATA_OFFSET + LIAR_RING)

/* A memory file that begins as an edge does, but for what the caller has changed. */
static int memory(uint64_t size, uint32_t version, uint64_t magic, int seals) {
        const struct edge_side side = { .magic = magic, .version = version, .ring_size = (uint32_t)(size - EDGE_DATA_OFFSET) };
        int fd = memfd_new("lie", size);

        if (fd < 0 || pwrite(fd, &side, sizeof(side), 0) < 0)
                return -1;
        if (seals && memfd_seal(fd, seals) < 0)
                return -1;
        return fd;
}

static int unsealed(void) {
        return memory(SIZE, EDGE_VERSION, EDGE_MAGIC, 0);
}
/* It could be cut off under the reader. */
static int shrinks(void) {
        return memory(SIZE, EDGE_VERSION, EDGE_MAGIC, F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}
static int more_seals(void) {
        return memory(SIZE, EDGE_VERSION, EDGE_MAGIC, MEMFD_SEALS_BUS | F_SEAL_WRITE | F_SEAL_SEAL);
}
static int sealed_short(void) {
        return memory(EDGE_DATA_OFFSET + 16, EDGE_VERSION, EDGE_MAGIC, MEMFD_SEALS_BUS);
}
static int sealed_large(void) {
        return memory(EDGE_DATA_OFFSET + 2ull * EDGE_RING_MAX, EDGE_VERSION, EDGE_MAGIC, MEMFD_SEALS_BUS);
}
static int odd_size(void) {
        return memory(EDGE_DATA_OFFSET + 12288, EDGE_VERSION, EDGE_MAGIC, MEMFD_SEALS_BUS);
}
static int other_magic(void) {
        return memory(SIZE, EDGE_VERSION, 4711, MEMFD_SEALS_BUS);
}
static int other_version(void) {
        return memory(SIZE, EDGE_VERSION + 1, EDGE_MAGIC, MEMFD_SEALS_BUS);
}
/* It has seals, too, and its pages come from elsewhere, or not at all. */
static int huge(void) {
        int fd = memfd_create("lie", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

        if (fd < 0)
                return unsealed();
        if (ftruncate(fd, 2 << 20) < 0 || memfd_seal(fd, MEMFD_SEALS_BUS) < 0)
                return unsealed();
        return fd;
}
static int a_file(void) {
        int fd = open("lie", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        return fd >= 0 && ftruncate(fd, SIZE) < 0 ? -1 : fd;
}
static int a_pipe(void) {
        int fds[2];

        return pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -1 : fds[0];
}
static int a_pipes_writer(void) {
        int fds[2];

        return pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -1 : fds[1];
}
static int an_eventfd(void) {
        return eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
}

static const struct {
        const char *name;
        int which; /* 0: the memory, 1: the doorbell */
        int (*make)(void);
} givens[] = {
        { "memory-unsealed", 0, unsealed },
        { "memory-shrinks", 0, shrinks },
        { "memory-more-seals", 0, more_seals },
        { "memory-short", 0, sealed_short },
        { "memory-large", 0, sealed_large },
        { "memory-odd", 0, odd_size },
        { "memory-magic", 0, other_magic },
        { "memory-version", 0, other_version },
        { "memory-huge", 0, huge },
        { "memory-file", 0, a_file },
        { "memory-pipe", 0, a_pipe },
        { "doorbell-eventfd", 1, an_eventfd },
        { "doorbell-writer", 1, a_pipes_writer },
        { "doorbell-file", 1, a_file },
        { "doorbell-memory", 1, unsealed },
};

void lie_of_memory(const char *lie, struct edge *edge, int fds[2]) {
        for (size_t i = 0; i < N_ELEMENTS(givens); i++) {
                int *own[] = { &edge->memory_fd, &edge->bell_read };

                if (strcmp(lie, givens[i].name) != 0)
                        continue;
                fd_close(fds[givens[i].which]);
                fds[givens[i].which] = *own[givens[i].which] = givens[i].make();
                return;
        }
}

bool lie_on_edge(struct peer *peer, const struct order *order, const struct frame *request) {
        static const struct lie_entry *const tables[] = { record_lies, speech_lies, stream_lies, bell_lies };
        const struct lie lie = { .peer = peer, .request = request, .caller = peer->asked != 0, .n = order->n };

        for (size_t t = 0; t < N_ELEMENTS(tables); t++) {
                for (const struct lie_entry *e = tables[t]; e->name; e++) {
                        if (!strcmp(e->name, order->lie)) {
                                e->tell(&lie);
                                return true;
                        }
                }
        }
        return false;
}
