/* SPDX-License-Identifier: Apache-2.0
 *
 * The check of the entry's ELF file.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/package.h"
#include "ipc/fd.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/dev/shm/socle-fuzz-XXXXXX";
static int folder = -1;

static void clean(void) {
        unlinkat(folder, "x.so", 0);
        rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        if (!mkdtemp(path))
                abort();
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        atexit(clean);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct package_report report = { 0 };
        int fd = openat(folder, "x.so", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), r;

        if (fd < 0 || fd_write_all(fd, data, size) != 0)
                abort();
        close(fd);
        r = package_check_entry(folder, "x.so", &report);
        assert(r == 0 || r == PACKAGE_E_ENTRY);
        assert(!r == !report.message[0]);
        return 0;
}
