/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing a folder. Equal folders give equal bytes: names are sorted, times and
 * owners left out, modes reduced to what unpacking makes of them. module.ini
 * comes first, so that it is found without reading the rest.
 */
#include "conf/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive_entry.h>

#include "conf/package-internal.h"
#include "conf/text-list.h"
#include "ipc/fd.h"
#include "ipc/folder.h"

#define COMPRESSION_LEVEL 19
/* A tar up to this size is compressed as one piece: the frame then tells its size, and whoever unpacks it needs no window of
 * 8 MiB for a few kilobytes. */
#define ONE_PIECE_MAX (1u << 20)

struct packer {
        struct archive *tar;
        ZSTD_CCtx *zstd;
        uint8_t *begin; /* ONE_PIECE_MAX bytes; what is not compressed yet */
        size_t n_begin;
        bool streaming;
        int out;
        struct stat out_st;
        int result; /* why writing broke */
        struct package_limits limits;
        struct package_report *report;
};

/* Writing ----------------------------------------------------------------------------------------------------------- */

static int compress(struct packer *p, const void *data, size_t size, ZSTD_EndDirective mode) {
        ZSTD_inBuffer in = { data, size, 0 };
        uint8_t buffer[32 << 10];
        size_t left;
        int r;

        do {
                ZSTD_outBuffer out = { buffer, sizeof(buffer), 0 };

                left = ZSTD_compressStream2(p->zstd, &out, &in, mode);
                if (ZSTD_isError(left))
                        return package_refuse(p->report, -EIO, "zstd: %s", ZSTD_getErrorName(left));
                r = fd_write_all(p->out, buffer, out.pos);
                if (r)
                        return package_refuse(p->report, r, "the package cannot be written: %s", strerror(-r));
        } while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size);
        return 0;
}

static int add(struct packer *p, const void *data, size_t size) {
        int r;

        if (!p->streaming && size <= ONE_PIECE_MAX - p->n_begin) {
                memcpy(p->begin + p->n_begin, data, size);
                p->n_begin += size;
                return 0;
        }
        if (!p->streaming) {
                p->streaming = true;
                r = compress(p, p->begin, p->n_begin, ZSTD_e_continue);
                if (r)
                        return r;
                p->n_begin = 0;
        }
        return compress(p, data, size, ZSTD_e_continue);
}

static la_ssize_t on_write(struct archive *tar, void *userdata, const void *data, size_t size) {
        struct packer *p = userdata;

        if (!p->result)
                p->result = add(p, data, size);
        if (!p->result)
                return (la_ssize_t)size;
        archive_set_error(tar, EIO, "the package cannot be written");
        return -1;
}

static int writing_failed(struct packer *p) {
        const char *why = archive_error_string(p->tar);

        return p->result ? p->result : package_refuse(p->report, -EIO, "the package cannot be written: %s", why ? why : "unknown");
}

static int write_header(struct packer *p, const char *path, const struct stat *st) {
        struct archive_entry *entry = archive_entry_new();
        bool folder = S_ISDIR(st->st_mode);
        int r;

        if (!entry)
                return package_refuse(p->report, -ENOMEM, "out of memory");
        archive_entry_set_pathname(entry, path);
        archive_entry_set_filetype(entry, folder ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, folder || st->st_mode & 0111 ? 0755 : 0644);
        archive_entry_set_size(entry, folder ? 0 : st->st_size);
        archive_entry_set_mtime(entry, 0, 0);
        archive_entry_set_uid(entry, 0);
        archive_entry_set_gid(entry, 0);
        r = archive_write_header(p->tar, entry) == ARCHIVE_OK ? 0 : writing_failed(p);
        archive_entry_free(entry);
        return r;
}

/* Reading ----------------------------------------------------------------------------------------------------------- */

static int refuse_errno(struct packer *p, const char *path, int error) {
        return package_refuse(p->report, -error, "%s: %s", path, strerror(error));
}

static int count(struct packer *p, const char *path, const struct stat *st) {
        uint64_t size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;

        if (p->report->n_files == p->limits.max_files)
                return package_refuse(p->report, PACKAGE_E_LIMIT, "%s: a package holds at most %llu files and folders", path,
                                      (unsigned long long)p->limits.max_files);
        if (size > p->limits.max_size - p->report->size)
                return package_refuse(p->report, PACKAGE_E_LIMIT, "%s: a package holds at most %llu bytes", path,
                                      (unsigned long long)p->limits.max_size);
        p->report->n_files++;
        p->report->size += size;
        return 0;
}

static int pack_content(struct packer *p, int fd, const char *path, uint64_t size) {
        static uint8_t buffer[64 << 10];
        uint64_t at = 0;

        /* One byte more is asked for, to see a file that grows. */
        for (;;) {
                ssize_t n = pread(fd, buffer, sizeof(buffer), (off_t)at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return refuse_errno(p, path, errno);
                if (n == 0 && at == size)
                        return 0;
                if (n == 0 || (uint64_t)n > size - at)
                        return package_refuse(p->report, -EBUSY, "%s: it changed while it was packed", path);
                if (archive_write_data(p->tar, buffer, (size_t)n) != n)
                        return writing_failed(p);
                at += (uint64_t)n;
        }
}

static int pack_file(struct packer *p, int folder, const char *name, const char *path) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return refuse_errno(p, path, errno);
        r = count(p, path, &st);
        if (!r)
                r = write_header(p, path, &st);
        return r ? r : pack_content(p, fd, path, (uint64_t)st.st_size);
}

static int pack_folder(struct packer *p, int folder, const char *path);

static int pack_subfolder(struct packer *p, int folder, const char *name, const char *path, const struct stat *st) {
        _cleanup_close_ int fd = folder_at(folder, name);
        int r;

        if (fd < 0)
                return refuse_errno(p, path, -fd);
        r = count(p, path, st);
        if (!r)
                r = write_header(p, path, st);
        return r ? r : pack_folder(p, fd, path);
}

/* The package itself may be made inside of the folder. */
static bool is_output(const struct packer *p, const struct stat *st) {
        return st->st_dev == p->out_st.st_dev && st->st_ino == p->out_st.st_ino;
}

static int pack_name(struct packer *p, int folder, const char *prefix, const char *name) {
        char joined[PACKAGE_PATH_MAX + PACKAGE_NAME_MAX + 2], path[PACKAGE_PATH_MAX + 1], shown[128];
        const char *why;
        struct stat st;
        int r;

        snprintf(joined, sizeof(joined), "%s%s%s", prefix, prefix[0] ? "/" : "", name);
        package_path_show(joined, shown);
        r = package_path_normalise(joined, path, &why);
        if (r)
                return package_refuse(p->report, r, "%s: %s", shown, why);
        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return refuse_errno(p, shown, errno);
        if (is_output(p, &st))
                return 0;
        if (S_ISREG(st.st_mode))
                return pack_file(p, folder, name, path);
        if (S_ISDIR(st.st_mode))
                return pack_subfolder(p, folder, name, path, &st);
        return package_refuse(p->report, PACKAGE_E_TYPE, "%s: it is %s; expected plain files and folders", shown,
                              S_ISLNK(st.st_mode) ? "a symbolic link" : "no regular file");
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int folder_names(int folder, struct text_list *names) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *d;
        int fd = fd_dup(folder), r;

        if (fd < 0)
                return fd;
        dir = fdopendir(fd);
        if (!dir) {
                fd_close(fd);
                return -errno;
        }
        for (errno = 0; (d = readdir(dir)); errno = 0) {
                if (d->d_name[0] == '.')
                        continue;
                r = text_list_add(names, d->d_name, strlen(d->d_name));
                if (r)
                        return r;
        }
        r = -errno;
        if (names->n)
                qsort(names->items, names->n, sizeof(names->items[0]), compare_names);
        return r;
}

static int pack_folder(struct packer *p, int folder, const char *path) {
        struct text_list names = { 0 };
        int r = folder_names(folder, &names);

        if (r)
                refuse_errno(p, path[0] ? path : "the folder", -r);
        for (size_t i = 0; !r && i < names.n; i++)
                if (path[0] || strcmp(names.items[i], PACKAGE_MANIFEST) != 0)
                        r = pack_name(p, folder, path, names.items[i]);
        text_list_deinit(&names);
        return r;
}

/* The whole --------------------------------------------------------------------------------------------------------- */

static int pack_manifest(struct packer *p, int folder) {
        struct stat st;

        if (fstatat(folder, PACKAGE_MANIFEST, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                return package_refuse(p->report, PACKAGE_E_MANIFEST, "module.ini is missing; expected it at the top of the folder");
        return pack_name(p, folder, "", PACKAGE_MANIFEST);
}

static int packer_open(struct packer *p) {
        if (fstat(p->out, &p->out_st) < 0)
                return package_refuse(p->report, -errno, "the package cannot be written: %s", strerror(errno));
        p->zstd = ZSTD_createCCtx();
        p->tar = archive_write_new();
        p->begin = malloc(ONE_PIECE_MAX);
        if (!p->zstd || !p->tar || !p->begin)
                return package_refuse(p->report, -ENOMEM, "out of memory");
        ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
        ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1);
        /* ustar, and pax headers for what does not fit into it. */
        if (archive_write_set_format_pax_restricted(p->tar) != ARCHIVE_OK ||
            archive_write_set_bytes_in_last_block(p->tar, 1) != ARCHIVE_OK ||
            archive_write_open(p->tar, p, NULL, on_write, NULL) != ARCHIVE_OK)
                return writing_failed(p);
        return 0;
}

static int pack_all(struct packer *p, const char *path) {
        _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char shown[128];
        int r;

        if (folder < 0)
                return refuse_errno(p, package_path_show(path, shown), errno);
        r = packer_open(p);
        if (!r)
                r = pack_manifest(p, folder);
        if (!r)
                r = pack_folder(p, folder, "");
        if (!r && archive_write_close(p->tar) != ARCHIVE_OK)
                r = writing_failed(p);
        return r ? r : compress(p, p->begin, p->n_begin, ZSTD_e_end);
}

int package_pack(const char *folder, int out_fd, struct package_report *ret_report) {
        struct packer p = { .out = out_fd, .limits = PACKAGE_LIMITS_DEFAULT, .report = ret_report };
        struct package_locale locale;
        int r;

        *ret_report = (struct package_report){ 0 };
        package_locale_enter(&locale);
        r = pack_all(&p, folder);
        /* Freeing a tar that broke half-way writes its end: nowhere. */
        if (!p.result)
                p.result = r;
        archive_write_free(p.tar);
        ZSTD_freeCCtx(p.zstd);
        free(p.begin);
        package_locale_leave(&locale);
        return r;
}
