/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacking a package, entry by entry, into a folder that nobody else writes.
 * Every rule of what may be in it is here or in package-path.c.
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
#include "ipc/fd.h"

/* Headers of one entry in the tar at most, on average: what an archive may be larger than its files. */
#define TAR_OVERHEAD_PER_FILE 8192u
#define TAR_OVERHEAD (1u << 20)

/* What package_prepare() makes: module.ini and the entry, by names that no package can have. */
static const char *const prepared_names[] = { "\0011", "\0012" };

struct unpacker {
        struct package_stream stream;
        struct archive *tar;
        int folder;
        uint32_t n_used; /* of what was prepared */
        uint64_t n_made; /* files and folders, also those that only stand in paths */
        int parent;      /* the folder of the entry before, mostly that of the next one, too */
        char parent_path[PACKAGE_PATH_MAX + 1];
        const struct package_limits *limits;
        struct package_report *report;
        char shown[128]; /* the entry's path for messages */
};

static int refuse_errno(struct unpacker *u, const char *path) {
        int error = errno;

        return package_refuse(u->report, -error, "%s: it cannot be written: %s", path, strerror(error));
}

static int refuse_count(struct unpacker *u) {
        return package_refuse(u->report, PACKAGE_E_LIMIT, "it holds more than %llu files and folders",
                              (unsigned long long)u->limits->max_files);
}

/* Folders ---------------------------------------------------------------------------------------------------------- */

/* Opens one folder below another, made when it is not there. */
static int folder_enter(struct unpacker *u, int at, const char *name, int *ret_fd) {
        int fd, made = mkdirat(at, name, 0755);

        if (made < 0 && errno != EEXIST)
                return refuse_errno(u, u->shown);
        if (!made && u->n_made++ == u->limits->max_files)
                return refuse_count(u);
        if (!made && fchmodat(at, name, 0755, 0) < 0) /* whatever the umask is */
                return refuse_errno(u, u->shown);
        fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOTDIR)
                return package_refuse(u->report, PACKAGE_E_PATH, "%s: %s is a file and a folder", u->shown, name);
        if (fd < 0)
                return refuse_errno(u, u->shown);
        *ret_fd = fd;
        return 0;
}

/* Makes u->parent the folder `path` (size bytes, normalised; 0 = the top), with all that leads to it. */
static int parent_move(struct unpacker *u, const char *path, size_t size) {
        _cleanup_close_ int fd = -1;
        char name[PACKAGE_NAME_MAX + 1];
        int r;

        if (u->parent >= 0 && strlen(u->parent_path) == size && !memcmp(u->parent_path, path, size))
                return 0;
        fd = fd_dup(u->folder);
        if (fd < 0)
                return package_refuse(u->report, fd, "%s: %s", u->shown, strerror(-fd));
        for (size_t at = 0, n; at < size; at += n + 1) {
                int next = -1;

                n = MIN(strcspn(path + at, "/"), size - at);
                memcpy(name, path + at, n);
                name[n] = '\0';
                r = folder_enter(u, fd, name, &next);
                if (r)
                        return r;
                fd_close(fd);
                fd = next;
        }
        fd_close(u->parent);
        u->parent = TAKE_FD(fd);
        memcpy(u->parent_path, path, size);
        u->parent_path[size] = '\0';
        return 0;
}

/* Files ------------------------------------------------------------------------------------------------------------ */

int package_prepare(int folder) {
        for (size_t i = 0; i < N_ELEMENTS(prepared_names); i++) {
                _cleanup_close_ int fd = openat(folder, prepared_names[i], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

                if (fd < 0)
                        return -errno;
        }
        return 0;
}

/* One that was prepared, or a new one; never one that is there. */
static int file_new(struct unpacker *u, const char *name, mode_t mode) {
        if (!u->parent_path[0] && u->n_used < N_ELEMENTS(prepared_names)) {
                const char *prepared = prepared_names[u->n_used];

                if (renameat2(u->folder, prepared, u->parent, name, RENAME_NOREPLACE) == 0) {
                        u->n_used++;
                        return openat(u->parent, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
                }
                if (errno == EEXIST)
                        return -1;
                u->n_used = N_ELEMENTS(prepared_names); /* there are none */
        }
        return openat(u->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

static int file_create(struct unpacker *u, const char *path, mode_t mode, int *ret_fd) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        r = parent_move(u, path, slash ? (size_t)(slash - path) : 0);
        if (r)
                return r;
        fd = file_new(u, name, mode);
        if (fd < 0 && errno == EEXIST)
                return package_refuse(u->report, PACKAGE_E_PATH, "%s: it is there twice%s", u->shown,
                                      fstatat(u->parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)
                                              ? ", as a folder and as a file"
                                              : "");
        if (fd < 0 || fchmod(fd, mode) < 0)
                return refuse_errno(u, u->shown);
        if (u->n_made++ == u->limits->max_files)
                return refuse_count(u);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int refuse_size(struct unpacker *u) {
        return package_refuse(u->report, PACKAGE_E_LIMIT, "%s: the unpacked files are larger than %llu bytes", u->shown,
                              (unsigned long long)u->limits->max_size);
}

static int file_fill(struct unpacker *u, int fd) {
        la_int64_t offset, at = 0;
        const void *data;
        size_t size;
        int r;

        for (;;) {
                r = archive_read_data_block(u->tar, &data, &size, &offset);
                if (r == ARCHIVE_EOF)
                        return 0;
                if (r != ARCHIVE_OK)
                        return package_stream_failed(&u->stream, u->tar);
                if (offset != at)
                        return package_refuse(u->report, PACKAGE_E_TYPE, "%s: it is sparse; expected plain files and folders", u->shown);
                if (size > u->limits->max_size - u->report->size)
                        return refuse_size(u);
                r = fd_write_all(fd, data, size);
                if (r) {
                        errno = -r;
                        return refuse_errno(u, u->shown);
                }
                u->report->size += size;
                at += (la_int64_t)size;
        }
}

static int unpack_file(struct unpacker *u, struct archive_entry *entry, const char *path) {
        mode_t mode = archive_entry_perm(entry) & 0111 ? 0755 : 0644;
        _cleanup_close_ int fd = -1;
        int r;

        if (!path[0])
                return package_refuse(u->report, PACKAGE_E_PATH, "%s: expected a name for a file", u->shown);
        if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0)
                return package_refuse(u->report, PACKAGE_E_ARCHIVE, "%s: it has no size", u->shown);
        /* What it claims is refused early, what it is counts while it is written. */
        if ((uint64_t)archive_entry_size(entry) > u->limits->max_size - u->report->size)
                return refuse_size(u);
        r = file_create(u, path, mode, &fd);
        return r ? r : file_fill(u, fd);
}

/* Entries ---------------------------------------------------------------------------------------------------------- */

static const char *type_name(struct archive_entry *entry) {
        if (archive_entry_hardlink(entry))
                return "a hard link";
        switch (archive_entry_filetype(entry)) {
        case AE_IFLNK:
                return "a symbolic link";
        case AE_IFCHR:
        case AE_IFBLK:
                return "a device";
        case AE_IFIFO:
                return "a named pipe";
        default:
                return archive_entry_sparse_count(entry) ? "a sparse file" : "of an unknown type";
        }
}

static bool type_ok(struct archive_entry *entry) {
        if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) || archive_entry_sparse_count(entry))
                return false;
        return archive_entry_filetype(entry) == AE_IFREG || archive_entry_filetype(entry) == AE_IFDIR;
}

/* The entry's path, checked; also for messages. */
static int entry_path(struct unpacker *u, struct archive_entry *entry, char ret_path[PACKAGE_PATH_MAX + 1]) {
        const char *raw = archive_entry_pathname(entry), *why;
        int r;

        if (!raw)
                return package_refuse(u->report, PACKAGE_E_PATH, "an entry has no name, or one that is not UTF-8");
        package_path_show(raw, u->shown);
        r = package_path_normalise(raw, ret_path, &why);
        return r ? package_refuse(u->report, r, "%s: %s", u->shown, why) : 0;
}

static int unpack_entry(struct unpacker *u, struct archive_entry *entry) {
        char path[PACKAGE_PATH_MAX + 1] = "";
        int r;

        r = entry_path(u, entry, path);
        if (r)
                return r;
        if (!type_ok(entry))
                return package_refuse(u->report, PACKAGE_E_TYPE, "%s: it is %s; expected plain files and folders", u->shown,
                                      type_name(entry));
        if (u->report->n_files == u->limits->max_files)
                return refuse_count(u);
        u->report->n_files++;
        /* A folder may be named twice, or after what is in it: that changes nothing. */
        return archive_entry_filetype(entry) == AE_IFDIR ? parent_move(u, path, strlen(path)) : unpack_file(u, entry, path);
}

/* A warning is a refusal, too: it is about a name or a field that could not be understood. */
static int next_entry(struct package_stream *stream, struct archive *tar, struct archive_entry **ret_entry, bool *ret_end) {
        int r = archive_read_next_header(tar, ret_entry);

        *ret_end = r == ARCHIVE_EOF;
        return r == ARCHIVE_OK || r == ARCHIVE_EOF ? 0 : package_stream_failed(stream, tar);
}

static int check_manifest(struct unpacker *u) {
        struct stat st;

        if (fstatat(u->folder, PACKAGE_MANIFEST, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
                return 0;
        return package_refuse(u->report, PACKAGE_E_MANIFEST, "module.ini is missing; expected it at the top of the archive");
}

/* Also those that could not be used: what was has another name now. */
static void remove_prepared(const struct unpacker *u) {
        for (size_t i = 0; i < N_ELEMENTS(prepared_names); i++)
                unlinkat(u->folder, prepared_names[i], 0);
}

static int unpack_all(struct unpacker *u) {
        struct archive_entry *entry;
        bool end;
        int r;

        r = package_stream_tar(&u->stream, &u->tar);
        while (!r) {
                r = next_entry(&u->stream, u->tar, &entry, &end);
                if (!r && end)
                        break;
                if (!r)
                        r = unpack_entry(u, entry);
        }
        if (!r)
                r = package_stream_finish(&u->stream, u->tar);
        remove_prepared(u);
        return r ? r : check_manifest(u);
}

static int split(int fd, uint64_t *ret_size, struct package_report *report) {
        _cleanup_free_ char *signature = NULL;
        int r = package_split_signature(fd, ret_size, &signature);

        if (r < 0)
                return package_refuse(report, r, "it cannot be read: %s", strerror(-r));
        return r ? package_refuse(report, r, "the signature frame at its end is not well-formed") : 0;
}

static uint64_t tar_max(const struct package_limits *limits) {
        return limits->max_size + limits->max_files * TAR_OVERHEAD_PER_FILE + TAR_OVERHEAD;
}

int package_unpack(int fd, int folder, const struct package_limits *limits, struct package_report *ret_report) {
        struct unpacker u = { .folder = folder, .parent = -1, .limits = limits, .report = ret_report };
        struct package_locale locale;
        uint64_t size;
        int r;

        *ret_report = (struct package_report){ 0 };
        r = split(fd, &size, ret_report);
        if (!r)
                r = package_stream_open(&u.stream, fd, size, tar_max(limits), ret_report);
        if (r)
                return r;
        package_locale_enter(&locale);
        r = unpack_all(&u);
        archive_read_free(u.tar);
        package_locale_leave(&locale);
        package_stream_close(&u.stream);
        fd_close(u.parent);
        return r;
}

/* The manifest alone ----------------------------------------------------------------------------------------------- */

static int read_text(struct package_stream *stream, struct archive *tar, struct archive_entry *entry, char **ret_text, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        la_int64_t size = archive_entry_size(entry);
        la_ssize_t n;

        if (size < 0 || size > PACKAGE_MANIFEST_MAX)
                return package_refuse(stream->report, PACKAGE_E_LIMIT, "module.ini is larger than 1M");
        text = malloc((size_t)size + 1);
        if (!text)
                return package_refuse(stream->report, -ENOMEM, "out of memory");
        n = archive_read_data(tar, text, (size_t)size);
        if (n != size)
                return package_stream_failed(stream, tar);
        text[size] = '\0';
        *ret_text = TAKE_PTR(text);
        *ret_size = (size_t)size;
        return 0;
}

static bool is_manifest(struct archive_entry *entry) {
        const char *raw = archive_entry_pathname(entry), *why;
        char path[PACKAGE_PATH_MAX + 1];

        return raw && type_ok(entry) && archive_entry_filetype(entry) == AE_IFREG && !package_path_normalise(raw, path, &why) &&
               !strcmp(path, PACKAGE_MANIFEST);
}

static int find_manifest(struct package_stream *stream, struct archive *tar, char **ret_text, size_t *ret_size) {
        struct archive_entry *entry;
        bool end;
        int r;

        for (;;) {
                r = next_entry(stream, tar, &entry, &end);
                if (r)
                        return r;
                if (end)
                        return package_refuse(stream->report, PACKAGE_E_MANIFEST,
                                              "module.ini is missing; expected it at the top of the archive");
                if (is_manifest(entry))
                        return read_text(stream, tar, entry, ret_text, ret_size);
        }
}

int package_read_manifest(int fd, char **ret_text, size_t *ret_size, struct package_report *ret_report) {
        struct package_stream stream;
        struct package_locale locale;
        struct archive *tar = NULL;
        uint64_t size;
        int r;

        *ret_report = (struct package_report){ 0 };
        r = split(fd, &size, ret_report);
        if (!r)
                r = package_stream_open(&stream, fd, size, tar_max(&PACKAGE_LIMITS_DEFAULT), ret_report);
        if (r)
                return r;
        package_locale_enter(&locale);
        r = package_stream_tar(&stream, &tar);
        if (!r)
                r = find_manifest(&stream, tar, ret_text, ret_size);
        archive_read_free(tar);
        package_locale_leave(&locale);
        package_stream_close(&stream);
        return r;
}
