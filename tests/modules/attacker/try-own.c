/* SPDX-License-Identifier: Apache-2.0
 *
 * What it was given: descriptors, its package, its link to the manager.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <socle/module.h>

#include "ipc/control.h"

#include "attempt.h"

/* Descriptors: 0 to 2, the link, the package and the work folder, the worker's loop and its bell ------------------------ */

#define FDS_MAX 20000

static char inherited[1024];
static unsigned n_strangers;

static const char *kind_of(int fd, const struct stat *st) {
        if (S_ISDIR(st->st_mode))
                return "folder";
        if (S_ISSOCK(st->st_mode))
                return "socket";
        if (S_ISFIFO(st->st_mode))
                return "pipe";
        if (S_ISCHR(st->st_mode))
                return "device";
        if (S_ISREG(st->st_mode))
                return fcntl(fd, F_GET_SEALS) >= 0 ? "memory" : "file";
        return st->st_mode & S_IFMT ? "other" : "anonymous";
}

void note_inheritance(void) {
        unsigned n_folders = 0, n_sockets = 0;

        for (int fd = 0; fd < FDS_MAX; fd++) {
                size_t n = strlen(inherited);
                const char *kind;
                struct stat st;

                if (fstat(fd, &st) < 0)
                        continue;
                kind = kind_of(fd, &st);
                n_folders += strcmp(kind, "folder") == 0;
                n_sockets += strcmp(kind, "socket") == 0;
                n_strangers += strcmp(kind, "file") == 0 || strcmp(kind, "other") == 0 || n_folders > 2 || n_sockets > 1 ||
                               (fd > 0 && strcmp(kind, "device") == 0);
                snprintf(inherited + n, sizeof(inherited) - n, "%d %s, ", fd, kind);
        }
}

void look_at_descriptors(struct attempt *a) {
        stopped(a, n_strangers ? 0 : EBADF);
        prove(a, "%s%u of them nobody meant it to have", inherited, n_strangers);
}

/* Its package -------------------------------------------------------------------------------------------------------- */

static int package_folder(void) {
        for (int fd = 3; fd < 256; fd++)
                if (faccessat(fd, "module.ini", F_OK, 0) == 0)
                        return fd;
        return -1;
}

void write_package(struct attempt *a) {
        if (TRY(a, openat, package_folder(), P("attacker.so"), O_WRONLY | O_CLOEXEC) >= 0)
                prove(a, "it is open for writing");
}

void write_package_by_number(struct attempt *a) {
        char path[64];
        int fd = openat(package_folder(), "attacker.so", O_RDONLY | O_CLOEXEC);

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (TRY(a, openat, AT_FDCWD, P(path), O_RDWR | O_CLOEXEC) >= 0)
                prove(a, "it is open for writing");
        close(fd);
}

void map_package(struct attempt *a) {
        int fd = openat(package_folder(), "attacker.so", O_RDONLY | O_CLOEXEC);

        if (TRY(a, mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != -1)
                prove(a, "it can be written");
        close(fd);
}

void chmod_package(struct attempt *a) {
        int fd = openat(package_folder(), "attacker.so", O_RDONLY | O_CLOEXEC);

        if (TRY(a, fchmod, fd, 0777) == 0)
                prove(a, "it is everybody's");
        close(fd);
}

void add_to_package(struct attempt *a) {
        if (TRY(a, openat, package_folder(), P("more.so"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
                prove(a, "a file more");
}

void remove_from_package(struct attempt *a) {
        if (TRY(a, unlinkat, package_folder(), P("module.ini"), 0) == 0)
                prove(a, "it is gone");
}

/* The board and the like as a module is meant to read them, of what its manifest does not list. */
void read_board(struct attempt *a) {
        struct socle_value value;
        int r = socle_board_get(a->on, &value);

        stopped(a, r < 0 ? -r : r);
        if (!r)
                prove(a, "%s", socle_value_text(&value));
}

void call_unlisted(struct attempt *a) {
        struct socle_result *result = NULL;
        int r = socle_call(a->on, NULL, NULL, &result);

        stopped(a, r == 0 ? 0 : r < 0 ? -r : EACCES);
        prove(a, "%s", r ? socle_error_detail() : "answered");
        socle_result_free(result);
}

/* Its link ----------------------------------------------------------------------------------------------------------- */

/* The answer to a record that must not be: none comes, for the sender is ended. */
static void send_raw(struct attempt *a, uint32_t kind, uint32_t size, size_t sent, int n_fds, bool sockets) {
        static struct {
                struct control_header header;
                char body[8192];
        } record;
        union {
                char bytes[CMSG_SPACE(sizeof(int) * 2)];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { &record, sizeof(record.header) + sent };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        const int fds[2] = { sockets ? link_fd : 0, sockets ? link_fd : 0 };

        record.header = (struct control_header){ .kind = kind, .size = size };
        if (n_fds) {
                struct cmsghdr *c;

                message.msg_control = control.bytes;
                message.msg_controllen = sizeof(control.bytes);
                c = CMSG_FIRSTHDR(&message);
                *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fds)) };
                memcpy(CMSG_DATA(c), fds, sizeof(fds));
        }
        if (TRY(a, sendmsg, link_fd, P(&message), MSG_NOSIGNAL) < 0)
                return;
        prove(a, "it is sent");
        for (int i = 0; i < 1000; i++)
                socle_sleep(10);
}

#define RECORD(name, kind, size, sent, n_fds, sockets)                                                                                     \
        void name(struct attempt *a) {                                                                                                     \
                send_raw(a, kind, size, sent, n_fds, sockets);                                                                             \
        }

RECORD(record_of_no_kind, CONTROL_N_KINDS + 7, 8, 8, 0, false)
RECORD(record_of_wrong_size, CONTROL_KIND_LEVEL, 4096, 4096, 0, false)
RECORD(record_cut, CONTROL_KIND_LEVEL, sizeof(struct control_level), 1, 0, false)
RECORD(record_to_kill, CONTROL_KIND_KILL, sizeof(struct control_instance_id), sizeof(struct control_instance_id), 0, false)
RECORD(record_with_sockets, CONTROL_KIND_EDGE_REQUEST, sizeof(struct control_edge_request), sizeof(struct control_edge_request), 2, true)
RECORD(record_with_descriptors, CONTROL_KIND_LEVEL, sizeof(struct control_level), sizeof(struct control_level), 2, false)

/* Does the base's own socket take orders from whoever holds one like it? */
void speak_as_manager(struct attempt *a) {
        send_raw(a, CONTROL_KIND_FORK, sizeof(struct control_fork), sizeof(struct control_fork), 2, false);
}
