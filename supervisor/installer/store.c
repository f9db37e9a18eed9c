/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and removing package folders.
 */
#include "supervisor/installer/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/folder.h"

/* Deeper than any package: what is deeper was not made by unpacking. */
#define DEPTH_MAX 64

#define NAME_SIZE (STORE_HASH_SIZE + 8)
#define BOOT_FILE ".boot" /* the boot of the machine in which the packages were made */
#define BOOT_ID_SIZE 64

bool store_hash_ok(const char *sha256, size_t size) {
        return size == STORE_HASH_SIZE && sha256[STORE_HASH_SIZE - 1] == '\0' && strspn(sha256, "0123456789abcdef") == STORE_HASH_SIZE - 1;
}

/* Removing --------------------------------------------------------------------------------------------------------- */

static int tree_remove(int at, const char *name, unsigned depth);

/* Removes what is in a folder; with `hidden` only what begins with '.'. Takes the descriptor. */
static int folder_empty(int fd, bool hidden, unsigned depth) {
        _cleanup_closedir_ DIR *dir = folder_list_fd(fd);
        int result = 0, r;
        struct dirent *d;

        if (!dir)
                return -errno;
        rewinddir(dir);
        while ((d = readdir(dir))) {
                if (folder_is_dots(d->d_name) || (hidden && (d->d_name[0] != '.' || !strcmp(d->d_name, BOOT_FILE))))
                        continue;
                r = tree_remove(dirfd(dir), d->d_name, depth);
                if (r)
                        result = r;
        }
        return result;
}

static int tree_remove(int at, const char *name, unsigned depth) {
        int fd, r;

        if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return -errno;
        if (depth == DEPTH_MAX)
                return -ELOOP;
        fd = folder_at(at, name);
        if (fd < 0)
                return fd;
        r = folder_empty(fd, false, depth + 1);
        if (r)
                return r;
        return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Reads all of a small file. Its size or -errno. */
static ssize_t read_small(int at, const char *path, char *ret, size_t size) {
        _cleanup_close_ int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n = fd < 0 ? -1 : read(fd, ret, size);

        return n < 0 ? -errno : n;
}

/* Was the machine started since? Then what was written last may never have reached the disk, though its name has. */
static bool is_of_another_boot(int packages, const char *boot, size_t size) {
        char before[BOOT_ID_SIZE];

        return read_small(packages, BOOT_FILE, before, sizeof(before)) != (ssize_t)size || memcmp(before, boot, size) != 0;
}

static int note_boot(int packages, const char *boot, size_t size) {
        _cleanup_close_ int fd = openat(packages, BOOT_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

        return fd < 0 ? -errno : fd_write_all(fd, boot, size);
}

int store_tidy(int packages) {
        int fd = folder_at(packages, "."), r;
        char boot[BOOT_ID_SIZE];
        ssize_t size;
        bool all;

        if (fd < 0)
                return fd;
        size = read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
        all = size > 0 && is_of_another_boot(packages, boot, (size_t)size);
        r = folder_empty(fd, !all, 0);
        /* Never away while packages of this boot may be in use: who dies here leaves it as it was. */
        return r < 0 || !all ? r : note_boot(packages, boot, (size_t)size);
}

static void staged_name(char ret_name[NAME_SIZE], uint64_t number) {
        snprintf(ret_name, NAME_SIZE, ".%" PRIu64 ".part", number);
}

int store_unstage(int packages, uint64_t number) {
        char name[NAME_SIZE];

        staged_name(name, number);
        return tree_remove(packages, name, 0);
}

int store_remove(int packages, const char *sha256) {
        char name[NAME_SIZE];

        /* Whole or gone: an installer that dies on the way must not leave half a package under its name. */
        snprintf(name, sizeof(name), ".%s.gone", sha256);
        if (renameat(packages, sha256, packages, name) < 0)
                return errno == ENOENT ? 0 : -errno;
        return tree_remove(packages, name, 0);
}

/* Making ----------------------------------------------------------------------------------------------------------- */

int store_open(int packages, const char *sha256) {
        return folder_at(packages, sha256);
}

int store_stage(int packages, uint64_t number) {
        char name[NAME_SIZE];
        int r;

        staged_name(name, number);
        if (mkdirat(packages, name, 0755) < 0) {
                r = errno == EEXIST ? store_unstage(packages, number) : -errno;
                if (!r && mkdirat(packages, name, 0755) < 0)
                        r = -errno;
                if (r)
                        return r;
        }
        return store_open(packages, name);
}

int store_publish(int packages, uint64_t number, const char *sha256) {
        char name[NAME_SIZE];

        staged_name(name, number);
        /* Does not overwrite: a package that is there is a folder that is not empty. */
        return renameat(packages, name, packages, sha256) < 0 ? -errno : 0;
}
