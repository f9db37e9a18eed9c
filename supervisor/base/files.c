/* SPDX-License-Identifier: Apache-2.0
 *
 * The drop directory belongs to people and their tools, perhaps to many of
 * them. A name in it may be a link to /etc/shadow, a fifo that blocks who opens
 * it, a device that acts when it is opened, or half a file. So a name is first
 * opened as a place only (O_PATH), looked at, and opened for reading through
 * that place; what is read is what was looked at.
 *
 * "Half a file" is asked of the kernel: a read lease is granted only when nobody
 * has the file open for writing. It is given back at once. File systems without
 * leases are believed; the manager still waits for close-write events.
 */
#include "supervisor/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/cleanup.h"

bool files_name_ok(const char *name, bool drop) {
        static const char ending[] = ".smod";
        size_t n = strlen(name);

        if (n < 1 || n > 255 || name[0] == '.' || strchr(name, '/'))
                return false;
        return !drop || (n >= sizeof(ending) && !strcmp(name + n - (sizeof(ending) - 1), ending));
}

static int folder_of(uint32_t what) {
        for (int i = 0; what >= HANDOVER_ETC && what <= HANDOVER_DROP && i < FOLDER_N; i++)
                if (folder_handover(i) == what)
                        return i;
        return -EINVAL;
}

static int check_place(int place) {
        struct stat st;

        if (fstat(place, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode))
                return -ELOOP;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_nlink > 1)
                return -EMLINK;
        if (st.st_mode & S_IWOTH)
                return -EACCES;
        return 0;
}

static int check_not_being_written(int fd) {
        if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
                fcntl(fd, F_SETLEASE, F_UNLCK);
                return 0;
        }
        return errno == EAGAIN ? -EBUSY : 0;
}

static int file_open(int folder, const char *name, bool drop, int *ret_fd) {
        _cleanup_close_ int place = -1, fd = -1;
        char path[32];
        int r;

        place = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (place < 0)
                return -errno;
        r = check_place(place);
        if (r)
                return r;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return errno == EAGAIN ? -EBUSY : -errno; /* somebody's write lease */
        r = drop ? check_not_being_written(fd) : 0;
        if (!r)
                *ret_fd = TAKE_FD(fd);
        return r;
}

static int file_create(int folder, const char *part, int *ret_fd) {
        int fd;

        /* Of an upload that was broken off. */
        if (unlinkat(folder, part, 0) < 0 && errno != ENOENT)
                return -errno;
        fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int files_serve(const struct folders *folders, enum control_kind kind, const struct control_file *file, int *ret_fd) {
        int index = folder_of(file->folder), folder;
        bool drop = index == FOLDER_DROP;
        char part[CONTROL_FILE_SIZE + 8];

        if (index < 0 || !control_text_ok(file->name, sizeof(file->name)) || !files_name_ok(file->name, drop))
                return -EINVAL;
        folder = folders->fds[index];
        if (kind == CONTROL_KIND_FILE_OPEN)
                return file_open(folder, file->name, drop, ret_fd);
        if (!drop)
                return -EPERM;
        snprintf(part, sizeof(part), ".%s.part", file->name);
        if (kind == CONTROL_KIND_FILE_CREATE)
                return file_create(folder, part, ret_fd);
        if (kind == CONTROL_KIND_FILE_COMMIT)
                return renameat(folder, part, folder, file->name) < 0 ? -errno : 0;
        return unlinkat(folder, file->name, 0) < 0 ? -errno : 0;
}
