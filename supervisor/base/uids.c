/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of uids is in the owners of empty files: nothing to parse, nothing
 * to be half written. A file that is still root's was being made when the base
 * died; it gets an id like a new one.
 *
 * Nothing of it is written to the disk at once, so a loss of power may take the
 * file of a module whose data folder is on the disk already. The folder's owner
 * says the same: it is taken, so that no other module is given what lies there,
 * and the module of that name gets it back.
 */
#include "supervisor/base/uids.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/folder.h"

#define PREPARED ".next" /* no module has this name */

static_assert(UIDS_WORKERS + UIDS_SLOTS <= UIDS_NS_SIZE, "every slot is mapped");

bool uids_name_ok(const char *name) {
        size_t n = strlen(name);

        return n >= 1 && n <= 63 && name[0] >= 'a' && name[0] <= 'z' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

int uids_slot(uid_t base, uid_t owner) {
        uint64_t first = (uint64_t)base + UIDS_NS_OFFSET + UIDS_WORKERS;

        return owner >= first && owner < first + UIDS_SLOTS ? (int)(owner - first) : -1;
}

static void take(struct uids *uids, int slot) {
        uids->taken[slot / 8] |= (uint8_t)(1 << slot % 8);
}

static int take_files(struct uids *uids) {
        _cleanup_closedir_ DIR *dir = folder_entries(uids->folder);
        struct dirent *d;

        if (!dir)
                return -errno;
        while ((d = readdir(dir))) {
                struct stat st;
                int slot;

                if (fstatat(uids->folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                slot = uids_slot(uids->base, st.st_uid);
                if (slot >= 0)
                        take(uids, slot);
        }
        return 0;
}

static int file_open(const struct uids *uids, const char *name, int *ret_slot) {
        _cleanup_close_ int fd = openat(uids->folder, name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        *ret_slot = uids_slot(uids->base, st.st_uid);
        return TAKE_FD(fd);
}

/* Gives the module of that name the uid that its data has, when its file is lost. */
static int restore(struct uids *uids, const char *name, uid_t owner) {
        _cleanup_close_ int fd = -1;
        int slot = -1;

        fd = file_open(uids, name, &slot);
        if (fd < 0)
                return fd;
        return slot < 0 && fchown(fd, owner, owner) < 0 ? -errno : 0;
}

static int take_folders(struct uids *uids, int data) {
        _cleanup_closedir_ DIR *dir = folder_entries(data);
        struct dirent *d;

        if (!dir)
                return -errno;
        while ((d = readdir(dir))) {
                struct stat st;
                int slot, r;

                if (fstatat(data, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                slot = uids_slot(uids->base, st.st_uid);
                if (slot < 0 || uids->taken[slot / 8] & 1 << slot % 8)
                        continue;
                take(uids, slot);
                r = uids_name_ok(d->d_name) ? restore(uids, d->d_name, st.st_uid) : 0;
                if (r)
                        return r;
        }
        return 0;
}

int uids_init(struct uids *uids, bool root, uid_t base, int folder, int data) {
        int r;

        *uids = (struct uids){ .root = root, .base = base, .folder = folder };
        if (!root)
                return 0;
        /* Where the power went, it may have had its name and have got data, and has neither of the two now. */
        if (unlinkat(folder, PREPARED, 0) < 0 && errno != ENOENT)
                return -errno;
        r = take_files(uids);
        return r ? r : take_folders(uids, data);
}

uid_t uids_role(bool root, uid_t base, enum uids_role role) {
        static const char *const names[] = { [UIDS_MANAGER] = "socle", [UIDS_INSTALLER] = "socle-pkg", [UIDS_GATEWAY] = "socle-gw" };
        const struct passwd *user;

        if (!root)
                return geteuid();
        user = getpwnam(names[role]);
        return user && user->pw_uid != 0 ? user->pw_uid : base + (uid_t)role;
}

uid_t uids_host(const struct uids *uids, uint32_t ns_uid) {
        return uids->root ? uids->base + UIDS_NS_OFFSET + ns_uid : geteuid();
}

uid_t uids_template(const struct uids *uids) {
        return uids_host(uids, 0);
}

static int slot_new(struct uids *uids, int fd) {
        for (uint32_t i = 0; i < UIDS_SLOTS; i++) {
                uid_t uid = uids_host(uids, UIDS_WORKERS + i);

                if (uids->taken[i / 8] & 1 << i % 8)
                        continue;
                if (fchown(fd, uid, uid) < 0)
                        return -errno;
                take(uids, (int)i);
                return (int)i;
        }
        return -ENOSPC;
}

void uids_prepare(struct uids *uids) {
        _cleanup_close_ int fd = -1;
        int slot = -1;

        fd = uids->root ? file_open(uids, PREPARED, &slot) : -1;
        if (fd >= 0 && slot < 0)
                slot_new(uids, fd);
}

int uids_of_module(struct uids *uids, const char *name, uint32_t *ret_ns_uid) {
        _cleanup_close_ int fd = -1;
        int slot = -1;

        if (!uids->root) {
                *ret_ns_uid = geteuid();
                return 0;
        }
        /* A name that is there keeps its own, and where none is prepared it is made below. */
        renameat2(uids->folder, PREPARED, uids->folder, name, RENAME_NOREPLACE);
        fd = file_open(uids, name, &slot);
        if (fd < 0)
                return fd;
        if (slot < 0)
                slot = slot_new(uids, fd);
        if (slot < 0)
                return slot;
        *ret_ns_uid = UIDS_WORKERS + (uint32_t)slot;
        return 0;
}
