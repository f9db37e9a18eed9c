/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/conf/package-fixture.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

void bytes_add(struct bytes *b, const void *data, size_t size) {
        b->data = realloc(b->data, b->size + size + 1);
        assert(b->data);
        memcpy(b->data + b->size, data, size);
        b->size += size;
}

void bytes_free(struct bytes *b) {
        free(b->data);
        *b = (struct bytes){ 0 };
}

static la_ssize_t on_write(struct archive *tar, void *userdata, const void *data, size_t size) {
        bytes_add(userdata, data, size);
        return (la_ssize_t)size;
}

static void set_type(struct archive_entry *entry, const struct item *item) {
        static const struct {
                char type;
                unsigned what;
        } types[] = {
                { 'f', AE_IFREG }, { 'd', AE_IFDIR }, { 's', AE_IFLNK }, { 'h', AE_IFREG },
                { 'p', AE_IFIFO }, { 'c', AE_IFCHR }, { 'b', AE_IFBLK }, { 'S', AE_IFREG },
        };

        for (size_t i = 0; i < N_ELEMENTS(types); i++)
                if (types[i].type == item->type)
                        archive_entry_set_filetype(entry, types[i].what);
        if (item->type == 's')
                archive_entry_set_symlink(entry, item->text);
        if (item->type == 'h')
                archive_entry_set_hardlink(entry, item->text);
        if (item->type == 'S')
                archive_entry_sparse_add_entry(entry, 4096, 4);
}

static void add_item(struct archive *tar, const struct item *item) {
        static const char zeros[8192];
        struct archive_entry *entry = archive_entry_new();
        size_t size = item->type == 'f' ? strlen(item->text) : item->type == 'S' ? 8192 : 0;

        archive_entry_set_pathname(entry, item->path);
        archive_entry_set_perm(entry, item->mode ? item->mode : item->type == 'd' ? 0755 : 0644);
        archive_entry_set_size(entry, (la_int64_t)size);
        set_type(entry, item);
        if (archive_write_header(tar, entry) != ARCHIVE_OK) {
                fprintf(stderr, "%s: %s\n", item->path, archive_error_string(tar));
                abort();
        }
        if (size)
                archive_write_data(tar, item->type == 'S' ? zeros : item->text, size);
        archive_entry_free(entry);
}

struct bytes tar_of(const struct item *items, size_t n) {
        /* For names that are not ASCII; what is tested runs in the locale "C". */
        locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
        struct archive *tar = archive_write_new();
        struct bytes b = { 0 };

        archive_write_set_format_pax_restricted(tar);
        archive_write_set_bytes_in_last_block(tar, 1);
        archive_write_open(tar, &b, NULL, on_write, NULL);
        for (size_t i = 0; i < n; i++)
                add_item(tar, &items[i]);
        archive_write_close(tar);
        archive_write_free(tar);
        uselocale(before);
        freelocale(utf8);
        return b;
}

void tar_header(struct bytes *tar, char type, const char *path, uint64_t size) {
        char block[512] = "";
        unsigned sum = 0;

        assert(strlen(path) <= 100);
        memcpy(block, path, strlen(path));
        snprintf(block + 100, 8, "%07o", 0644);
        snprintf(block + 108, 8, "%07o", 0);
        snprintf(block + 116, 8, "%07o", 0);
        snprintf(block + 124, 12, "%011llo", (unsigned long long)size);
        snprintf(block + 136, 12, "%011o", 0);
        memset(block + 148, ' ', 8);
        block[156] = type;
        memcpy(block + 257, "ustar\00000", 8);
        for (size_t i = 0; i < sizeof(block); i++)
                sum += (unsigned char)block[i];
        snprintf(block + 148, 8, "%06o", sum);
        bytes_add(tar, block, sizeof(block));
}

struct bytes zstd_of(const void *data, size_t size) {
        struct bytes b = { .data = malloc(ZSTD_compressBound(size)) };

        assert(b.data);
        b.size = ZSTD_compress(b.data, ZSTD_compressBound(size), data, size, 1);
        assert(!ZSTD_isError(b.size));
        return b;
}

struct bytes package_of(const struct item *items, size_t n) {
        struct bytes tar = tar_of(items, n), package = zstd_of(tar.data, tar.size);

        bytes_free(&tar);
        return package;
}

int file_of(const struct bytes *b) {
        int fd = memfd_new("package", 0);

        assert(fd >= 0 && fd_write_all(fd, b->data, b->size) == 0);
        return fd;
}

int folder_make(char ret_path[64]) {
        int fd;

        snprintf(ret_path, 64, "%s/socle-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert(mkdtemp(ret_path));
        fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert(fd >= 0);
        return fd;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void folder_remove(const char *path) {
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *folder_text(int folder, const char *path) {
        _cleanup_close_ int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        char *text;

        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        text = calloc(1, (size_t)st.st_size + 1);
        assert(text && fd_pread_all(fd, text, (size_t)st.st_size, 0) == 0);
        return text;
}
