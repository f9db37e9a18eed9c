/* SPDX-License-Identifier: Apache-2.0
 *
 * The unpacking half of a floor of bench-deploy: watches a folder; each
 * package that is renamed into it is read, hashed and unpacked into FOLDER.out,
 * and the place is said on standard output. Warm, alone, and it checks nothing.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKAGE_MAX (1 << 20)

static char package[PACKAGE_MAX];

static _Noreturn void die(const char *what) {
        fprintf(stderr, "floor-unpack: %s: %m\n", what);
        exit(EXIT_FAILURE);
}

static void say(const char *text) {
        size_t size = strlen(text);

        if (write(STDOUT_FILENO, text, size) != (ssize_t)size)
                exit(0);
}

static size_t read_package(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, package, sizeof(package));

        if (n <= 0)
                die(path);
        close(fd);
        return (size_t)n;
}

static void write_entry(struct archive *archive, const char *folder, const char *name) {
        char path[PATH_MAX], buffer[65536];
        la_ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                die(path);
        while ((n = archive_read_data(archive, buffer, sizeof(buffer))) > 0)
                if (write(fd, buffer, (size_t)n) != n)
                        die(path);
        close(fd);
}

static void unpack(size_t size, const char *folder) {
        struct archive *archive = archive_read_new();
        struct archive_entry *entry;

        archive_read_support_filter_zstd(archive);
        archive_read_support_format_tar(archive);
        if (archive_read_open_memory(archive, package, size) != ARCHIVE_OK)
                die(archive_error_string(archive));
        while (archive_read_next_header(archive, &entry) == ARCHIVE_OK)
                if (archive_entry_filetype(entry) == AE_IFREG)
                        write_entry(archive, folder, archive_entry_pathname(entry));
        archive_read_free(archive);
}

static void serve(const char *watched, const char *name, unsigned round) {
        unsigned char hash[crypto_hash_sha256_BYTES];
        char path[PATH_MAX];
        size_t size;

        snprintf(path, sizeof(path), "%s/%s", watched, name);
        size = read_package(path);
        crypto_hash_sha256(hash, (unsigned char *)package, size);
        snprintf(path, sizeof(path), "%s.out/%u", watched, round);
        if (mkdir(path, 0755) < 0)
                die(path);
        unpack(size, path);
        say(path);
}

int main(int argc, char **argv) {
        _Alignas(struct inotify_event) char buffer[sizeof(struct inotify_event) + NAME_MAX + 1];
        const struct inotify_event *event = (const struct inotify_event *)buffer;
        char out[PATH_MAX];
        int watch;

        if (argc < 2 || sodium_init() < 0)
                return 2;
        snprintf(out, sizeof(out), "%s.out", argv[1]);
        watch = inotify_init1(IN_CLOEXEC);
        if (mkdir(out, 0755) < 0 || watch < 0 || inotify_add_watch(watch, argv[1], IN_MOVED_TO) < 0)
                die(argv[1]);
        say("watching");
        for (unsigned round = 0; read(watch, buffer, sizeof(buffer)) > 0; round++)
                serve(argv[1], event->name, round);
        return 0;
}
