/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and folders of others: each function does one thing to the path that it is told.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "attempt.h"

static int open_path(struct attempt *a, int flags) {
        return (int)TRY(a, openat, AT_FDCWD, P(a->on), flags | O_CLOEXEC, 0600);
}

void read_file(struct attempt *a) {
        int fd = open_path(a, O_RDONLY);
        char bytes[48] = "";

        if (fd < 0)
                return;
        if (TRY(a, read, fd, P(bytes), sizeof(bytes) - 1) >= 0)
                prove(a, "it begins: %s", bytes);
        close(fd);
}

void write_file(struct attempt *a) {
        int fd = open_path(a, O_WRONLY | O_APPEND);

        if (fd < 0)
                return;
        if (TRY(a, write, fd, P("1"), 1) > 0)
                prove(a, "a byte is written");
        close(fd);
}

void truncate_file(struct attempt *a) {
        if (TRY(a, truncate, P(a->on), 0) == 0)
                prove(a, "it is empty");
}

void list_folder(struct attempt *a) {
        int fd = open_path(a, O_RDONLY | O_DIRECTORY);
        DIR *folder;

        if (fd < 0)
                return;
        folder = fdopendir(fd);
        for (struct dirent *e; folder && (e = readdir(folder));)
                prove(a, "%s ", e->d_name);
        closedir(folder);
}

static void beside(struct attempt *a, char path[static 4096], const char *name) {
        snprintf(path, 4096, "%s/%s", a->on, name);
}

void make_file(struct attempt *a) {
        char path[4096];
        int fd;

        beside(a, path, "attacker-was-here");
        fd = (int)TRY(a, openat, AT_FDCWD, P(path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        prove(a, "it is there");
        close(fd);
        unlink(path);
}

void make_folder(struct attempt *a) {
        char path[4096];

        beside(a, path, "attacker-was-here");
        if (TRY(a, mkdir, P(path), 0700) == 0) {
                prove(a, "it is there");
                rmdir(path);
        }
}

void remove_file(struct attempt *a) {
        if (TRY(a, unlink, P(a->on)) == 0)
                prove(a, "it is gone");
}

void rename_file(struct attempt *a) {
        if (TRY(a, rename, P(a->on), P("mine")) == 0)
                prove(a, "it is mine");
}

void link_file(struct attempt *a) {
        if (TRY(a, linkat, AT_FDCWD, P(a->on), AT_FDCWD, P("mine"), 0) == 0) {
                prove(a, "it is mine, too");
                unlink("mine");
        }
}

void chmod_file(struct attempt *a) {
        if (TRY(a, chmod, P(a->on), 0777) == 0)
                prove(a, "it is everybody's");
}

void chown_file(struct attempt *a) {
        if (TRY(a, fchownat, AT_FDCWD, P(a->on), getuid(), getgid(), 0) == 0)
                prove(a, "it is mine");
}

void touch_file(struct attempt *a) {
        static const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

        if (TRY(a, utimensat, AT_FDCWD, P(a->on), P(times), 0) == 0)
                prove(a, "it is of 1970");
}

void look_at_file(struct attempt *a) {
        struct stat st;

        if (TRY(a, newfstatat, AT_FDCWD, P(a->on), P(&st), AT_SYMLINK_NOFOLLOW) == 0)
                prove(a, "mode %o, of uid %u, %lld bytes", st.st_mode, st.st_uid, (long long)st.st_size);
}

void read_link(struct attempt *a) {
        char to[256] = "";

        if (TRY(a, readlinkat, AT_FDCWD, P(a->on), P(to), sizeof(to) - 1) >= 0)
                prove(a, "to %s", to);
}

void watch_folder(struct attempt *a) {
        int fd = inotify_init1(IN_CLOEXEC);

        if (TRY(a, inotify_add_watch, fd, P(a->on), IN_ALL_EVENTS) >= 0)
                prove(a, "names of what changes there are seen");
        close(fd);
}

void go_there(struct attempt *a) {
        int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (TRY(a, chdir, P(a->on)) == 0)
                prove(a, "it is the current folder; what lies in it is not opened by that");
        if (fchdir(here) < 0)
                abort();
        close(here);
}

/* By a link of its own, in the folder where it may make some. */
void read_by_link(struct attempt *a) {
        int error;

        if (symlink(a->on, "there") < 0) {
                stopped(a, errno);
                return;
        }
        a->on = "there";
        read_file(a);
        error = unlink("there");
        (void)error;
}

/* Upwards from the folder that it does have as a descriptor. */
void read_from_descriptor(struct attempt *a) {
        char path[4096], bytes[48] = "";
        int package = -1, fd;

        for (int i = 3; i < 64 && package < 0; i++) {
                struct stat st;

                if (fstat(i, &st) == 0 && S_ISDIR(st.st_mode))
                        package = i;
        }
        snprintf(path, sizeof(path), "../../../../../../../../../..%s", a->on);
        fd = (int)TRY(a, openat, package, P(path), O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        if (TRY(a, read, fd, P(bytes), sizeof(bytes) - 1) >= 0)
                prove(a, "it begins: %s", bytes);
        close(fd);
}

void read_by_openat2(struct attempt *a) {
        static const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC };

        if (TRY(a, openat2, AT_FDCWD, P(a->on), P(&how), sizeof(how)) >= 0)
                prove(a, "it is open");
}

void open_path_only(struct attempt *a) {
        if (open_path(a, O_PATH) >= 0)
                prove(a, "a descriptor that says that it is there, and opens nothing");
}

/* What is open may not be read: O_PATH, then by its number. */
void reopen_path_only(struct attempt *a) {
        char path[64];
        int fd = open(a->on, O_PATH | O_CLOEXEC);

        if (fd < 0) {
                stopped(a, errno);
                return;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (TRY(a, openat, AT_FDCWD, P(path), O_RDONLY | O_CLOEXEC) >= 0)
                prove(a, "it is open");
        close(fd);
}

void open_device(struct attempt *a) {
        int fd = open_path(a, O_RDWR | O_NOCTTY | O_NONBLOCK);

        if (fd < 0)
                return;
        prove(a, "it is open");
        close(fd);
}

void make_device(struct attempt *a) {
        if (TRY(a, mknodat, AT_FDCWD, P("device"), S_IFCHR | 0600, 1 << 8 | 1) == 0)
                prove(a, "/dev/mem by another name");
}

void make_setuid(struct attempt *a) {
        int fd = open("su", O_RDWR | O_CREAT | O_CLOEXEC, 0700);

        if (TRY(a, fchmod, fd, 04755) == 0)
                prove(a, "a set-uid file of its own uid, in its own work folder");
        close(fd);
        unlink("su");
}

void create_setuid(struct attempt *a) {
        int fd = (int)TRY(a, openat, AT_FDCWD, P("su"), O_RDWR | O_CREAT | O_CLOEXEC, 04755);

        if (fd < 0)
                return;
        prove(a, "a set-uid file of its own uid, in its own work folder");
        close(fd);
        unlink("su");
}

void create_setuid_2(struct attempt *a) {
        static const struct open_how how = { .flags = O_RDWR | O_CREAT | O_CLOEXEC, .mode = 04755 };
        int fd = (int)TRY(a, openat2, AT_FDCWD, P("su"), P(&how), sizeof(how));

        if (fd < 0)
                return;
        prove(a, "a set-uid file of its own uid, in its own work folder");
        close(fd);
        unlink("su");
}

void watch_everything(struct attempt *a) {
        if (TRY(a, fanotify_init, 0, O_RDONLY) >= 0)
                prove(a, "everybody's files are watched");
}
