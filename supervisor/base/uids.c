/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of uids is in the owners of empty files: nothing to parse, nothing
 * to be half written. A file that is still root's was being made when the base
 * died; it gets an id like a new one.
 */
#include "supervisor/base/uids.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/cleanup.h"

static_assert(UIDS_WORKERS + UIDS_SLOTS <= UIDS_NS_SIZE, "every slot is mapped");

static void closedirp(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

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

int uids_init(struct uids *uids, bool root, uid_t base, int folder) {
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *d;
        int fd;

        *uids = (struct uids){ .root = root, .base = base, .folder = folder };
        if (!root)
                return 0;
        fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        dir = fdopendir(fd);
        if (!dir) {
                fd_close(fd);
                return -ENOMEM;
        }
        while ((d = readdir(dir))) {
                struct stat st;
                int slot;

                if (fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                slot = uids_slot(base, st.st_uid);
                if (slot >= 0)
                        take(uids, slot);
        }
        return 0;
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

int uids_of_module(struct uids *uids, const char *name, uint32_t *ret_ns_uid) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        int slot;

        if (!uids->root) {
                *ret_ns_uid = geteuid();
                return 0;
        }
        fd = openat(uids->folder, name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        slot = uids_slot(uids->base, st.st_uid);
        if (slot < 0)
                slot = slot_new(uids, fd);
        if (slot < 0)
                return slot;
        *ret_ns_uid = UIDS_WORKERS + (uint32_t)slot;
        return 0;
}
