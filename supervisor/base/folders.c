/* SPDX-License-Identifier: Apache-2.0
 *
 * Creating and opening the folders. Parents are those of the table and come
 * first in it; only a root that does not exist yet is made with its parents'
 * leave, never its parents.
 */
#include "supervisor/base/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"

enum owner { OWNER_ROOT, OWNER_MANAGER, OWNER_INSTALLER };

static const struct {
        const char *below, *machine;
        mode_t mode;
        enum owner owner;
        enum handover handover;
} table[FOLDER_N] = {
#define X(name, below, machine, mode, owner, handover) [FOLDER_##name] = { below, machine, mode, OWNER_##owner, handover },
        FOLDERS(X)
#undef X
};

void folders_init(struct folders *folders) {
        for (int i = 0; i < FOLDER_N; i++)
                folders->fds[i] = -1;
}

void folders_deinit(struct folders *folders) {
        for (int i = 0; i < FOLDER_N; i++)
                folders->fds[i] = fd_close(folders->fds[i]);
}

enum handover folder_handover(enum folder folder) {
        return table[folder].handover;
}

static int folder_open(const char *path, mode_t mode, int *ret_fd) {
        _cleanup_close_ int fd = -1;
        bool made = mkdir(path, mode) == 0;

        if (!made && errno != EEXIST)
                return -errno;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* Whatever the umask was. */
        if (made && fchmod(fd, mode) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* On the machine /var/lib/socle holds modules/ as well and stands behind it in the table. */
static int root_make(const char *root) {
        if (mkdir(root ? root : "/var/lib/socle", 0755) < 0 && errno != EEXIST)
                return -errno;
        return 0;
}

static void tell(const char *path, int error, const char *root) {
        log_error("%s: %s%s", path, strerrordesc_np(-error),
                  root || geteuid() == 0 ? "" : "; who is not root gives a folder of his own with --root DIR");
}

/* In whose folder a base begins says all of it: nothing is made, opened or locked in one that is another's. A group whose number is
 * the owner's is the owner's alone, as it is made with each user where umask is 002. */
static int check_root(const char *root) {
        struct stat st;

        if (stat(root, &st) < 0)
                return -errno;
        if (st.st_uid != 0 && st.st_uid != geteuid())
                log_error("%s belongs to uid %u, who could say by that what this base does: start it as that user, or give it another "
                          "--root, or chown %u %s",
                          root, st.st_uid, geteuid(), root);
        else if (st.st_mode & S_IWOTH)
                log_error("everybody may write %s, and could say by that what this base does: chmod o-w %s, or give it a folder below",
                          root, root);
        else if (st.st_mode & S_IWGRP && st.st_gid != st.st_uid)
                log_error("group %u may write %s, and could say by that what this base does: chmod g-w %s", st.st_gid, root, root);
        else
                return 0;
        return FOLDERS_E_OTHERS;
}

/* What lies in it its owner has given away. Only modules/ may be somebody's: who deploys, say. */
static void warn_of_others(const char *path, bool given_away) {
        struct stat st;

        if (stat(path, &st) < 0)
                return;
        if (st.st_mode & S_IWOTH)
                log_warning("everybody may write %s, and say by that what this base does: chmod o-w", path);
        else if (!given_away && st.st_uid != 0 && st.st_uid != geteuid())
                log_warning("%s belongs to uid %u, who can say by that what this base does", path, st.st_uid);
}

int folders_open(struct folders *folders, const char *root) {
        char path[PATH_MAX];
        int r;

        r = root_make(root);
        if (!r && root)
                r = check_root(root);
        if (r < 0)
                tell(root ? root : "/var/lib/socle", r, root);
        if (r)
                return r;
        for (int i = 0; i < FOLDER_N; i++) {
                int n = root ? snprintf(path, sizeof(path), "%s/%s", root, table[i].below)
                             : snprintf(path, sizeof(path), "%s", table[i].machine);

                r = n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG : folder_open(path, table[i].mode, &folders->fds[i]);
                if (r) {
                        tell(path, r, root);
                        return r;
                }
                warn_of_others(path, i == FOLDER_DROP || table[i].owner != OWNER_ROOT);
        }
        return 0;
}

int folders_own(const struct folders *folders, uid_t manager, uid_t installer) {
        for (int i = 0; i < FOLDER_N; i++) {
                uid_t owner = table[i].owner == OWNER_MANAGER ? manager : installer;

                if (table[i].owner == OWNER_ROOT)
                        continue;
                if (fchown(folders->fds[i], owner, owner) < 0)
                        return -errno;
        }
        return 0;
}
