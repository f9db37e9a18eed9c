/* SPDX-License-Identifier: Apache-2.0
 *
 * A package: splitting the signature off, parsing it, reading the manifest,
 * unpacking. The input is taken as it is, and once more as the tar in a good
 * zstd frame, because random bytes rarely get past a checksum.
 */
#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>
#include <zstd.h>

#include "conf/package.h"
#include "conf/signature.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct package_limits limits = { .max_size = 1 << 20, .max_files = 50 };
static uint64_t n_files, n_bytes;
static char room[] = "/dev/shm/socle-fuzz-XXXXXX";
static int folder = -1;

static void clean(void) {
        rmdir(room);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        if (!mkdtemp(room))
                abort();
        folder = open(room, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        atexit(clean);
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        /* Nothing but plain files and folders may ever come to be, within the limits. */
        assert(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode));
        if (S_ISREG(st->st_mode)) {
                n_files++;
                n_bytes += (uint64_t)st->st_size;
        }
        return ftw->level ? remove(path) : 0;
}

static void unpack(int fd) {
        struct package_report report;
        int r;

        r = package_unpack(fd, folder, &limits, &report);
        assert(!r == !report.message[0]);
        assert(memchr(report.message, 0, sizeof(report.message)));
        n_files = n_bytes = 0;
        nftw(room, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        assert(n_files <= limits.max_files && n_bytes <= limits.max_size);
        assert(r || n_files <= report.n_files);
}

static void read_all(int fd) {
        _cleanup_free_ char *text = NULL, *signature = NULL;
        struct package_report report;
        struct signature parsed;
        uint64_t archive = 0;
        size_t size = 0;

        if (package_split_signature(fd, &archive, &signature) == 0 && signature)
                signature_parse(signature, &parsed);
        if (package_read_manifest(fd, &text, &size, &report) == 0)
                assert(text[size] == '\0');
        unpack(fd);
}

static void as_tar(const uint8_t *data, size_t size) {
        size_t bound = ZSTD_compressBound(size), n;
        uint8_t *packed = malloc(bound);
        int fd = memfd_new("package", 0);

        n = ZSTD_compress(packed, bound, data, size, 1);
        if (fd >= 0 && !ZSTD_isError(n) && fd_write_all(fd, packed, n) == 0)
                read_all(fd);
        fd_close(fd);
        free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct signature_key key;
        struct signature parsed;
        char *text;
        int fd = memfd_new("package", 0);

        if (fd >= 0 && fd_write_all(fd, data, size) == 0)
                read_all(fd);
        fd_close(fd);
        as_tar(data, size);

        text = malloc(size + 1);
        memcpy(text, data, size);
        text[size] = '\0';
        signature_parse(text, &parsed);
        signature_key_parse("key", text, size, &key);
        free(text);
        return 0;
}
