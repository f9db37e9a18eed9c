/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel has no line for it. What a process alone has mapped is private,
 * be it shared memory or not, clean when it was only read; of that its anonymous
 * memory, which RLIMIT_DATA bounds, is taken off. The rest is shared memory or
 * pages of files, of which no more can be shared memory than there is of this in
 * all. The board, and rings, are mapped by others as well and do not count.
 *
 * But who gave it a ring may have given it up since. So of who seems to have too
 * much only that is counted which it could have written itself.
 */
#include "supervisor/base/memory-count.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"

static uint64_t find_bytes(const char *rollup, const char *key) {
        const char *line = strstr(rollup, key);

        return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t memory_count_find(const char *rollup) {
        uint64_t private = find_bytes(rollup, "\nPrivate_Clean:") + find_bytes(rollup, "\nPrivate_Dirty:");

        return MIN(private - MIN(private, find_bytes(rollup, "\nPss_Anon:")), find_bytes(rollup, "\nPss_Shmem:"));
}

/* A mapping's flags come last. */
static uint64_t find_writable(FILE *smaps) {
        _cleanup_free_ char *line = NULL;
        uint64_t sum = 0, one = 0;
        size_t size = 0;

        while (getline(&line, &size, smaps) > 0) {
                if (!strncmp(line, "Private_", strlen("Private_")))
                        one += strtoull(line + strcspn(line, " "), NULL, 10) * 1024;
                if (strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0)
                        continue;
                if (strstr(line, " sh ") && strstr(line, " mw "))
                        sum += one;
                one = 0;
        }
        return sum;
}

static uint64_t count_writable(pid_t pid) {
        char path[48];
        uint64_t size;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        size = find_writable(f);
        fclose(f);
        return size;
}

int memory_count_shared(pid_t pid, uint64_t limit, uint64_t *ret_size) {
        _cleanup_close_ int fd = -1;
        char path[48], text[4096];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        *ret_size = memory_count_find(text);
        if (*ret_size > limit)
                *ret_size = MIN(*ret_size, count_writable(pid));
        return 0;
}
