/* SPDX-License-Identifier: Apache-2.0
 *
 * Address layout: fork without exec gives all workers the template's, so who
 * learns an address in one worker knows it in the others. What each worker
 * maps itself, its module above all, can lie elsewhere in each.
 *
 * A random gap alone does not do that: the kernel fills the highest hole that
 * fits, and what the template has unmapped since its start left holes of a
 * module's size among its libraries, the same in every worker. So the template
 * closes its holes once, with mappings that cannot be accessed; then the next
 * free place is below everything, and a gap there moves all that follows.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "ipc/cleanup.h"

/* Larger holes are the free space below the libraries and that of the heap. */
#define HOLE_MAX (UINT64_C(1) << 30)
#define HOLES_MAX 64

/* Up to 16 GiB of address space, by pages. */
#define GAP_PAGES_MASK ((UINT64_C(1) << 22) - 1)

struct hole {
        uint64_t begin, size;
};

static void cleanup_fclosep(FILE **file) {
        if (*file)
                fclose(*file);
}

/* The stack's hole is where it grows; the heap's likewise. */
static bool grows(const char *line) {
        return strstr(line, "[stack]") || strstr(line, "[heap]");
}

/* Only collects: a mapping that is made while the list is read would change it. */
static int holes_find(struct hole holes[HOLES_MAX], size_t *ret_n) {
        _cleanup_(cleanup_fclosep) FILE *file = fopen("/proc/self/maps", "re");
        uint64_t begin, end, last = 0;
        bool below_grows = true;
        char line[512];
        size_t n = 0;

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file) && n < HOLES_MAX) {
                if (sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) != 2)
                        continue;
                if (begin > last && begin - last < HOLE_MAX && !below_grows && !grows(line))
                        holes[n++] = (struct hole){ .begin = last, .size = begin - last };
                last = end;
                below_grows = grows(line);
        }
        *ret_n = n;
        return 0;
}

int sandbox_layout_close(void) {
        struct hole holes[HOLES_MAX];
        size_t n = 0;
        int r;

        r = holes_find(holes, &n);
        /* A hole that was used meanwhile (by the list's own buffer) is left alone: NOREPLACE. */
        for (size_t i = 0; i < n; i++)
                (void)!mmap((void *)(uintptr_t)holes[i].begin, holes[i].size, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        return r;
}

/* The gap is asked for right below the lowest place, found with one page: left to itself the kernel would align a large
 * mapping to a huge page (always since 6.7, by its length since 6.12), and the hole above it is the same in every worker. */
int sandbox_layout_shift(void) {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size;
        uint8_t *lowest;

        if (getrandom(&size, sizeof(size), 0) != sizeof(size))
                return -errno;
        size = ((size & GAP_PAGES_MASK) + 1) * page;
        lowest = mmap(NULL, page, PROT_NONE, flags, -1, 0);
        if (lowest == MAP_FAILED || mmap(lowest - size, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
                return -errno;
        return 0;
}
