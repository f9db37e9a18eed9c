/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in a data folder is the module's, and nothing here looks at it. A
 * folder of another owner is not given away: its files would stay that owner's,
 * and a chown of all that a module left there is no work for root.
 */
#include "supervisor/base/datafolder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/folder.h"

int data_open(int data_fd, const char *name, uid_t uid) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (mkdirat(data_fd, name, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = folder_at(data_fd, name);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        /* Ours: just made, or by a base that died before it gave it away, or there are no other uids. */
        if (st.st_uid == geteuid() && (fchmod(fd, 0700) < 0 || (uid != geteuid() && fchown(fd, uid, uid) < 0)))
                return -errno;
        return st.st_uid == geteuid() || st.st_uid == uid ? TAKE_FD(fd) : -EPERM;
}
