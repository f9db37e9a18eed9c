/* SPDX-License-Identifier: Apache-2.0
 *
 * /proc/PID/fd and /proc/PID/ns of workers. Nothing is parsed: a link's target is
 * asked for its kind and number by statx, without waiting for a file system that
 * is not there. The pid is that of a child which has not been reaped, so it is
 * nobody else's.
 */
#include "supervisor/base/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/folder.h"
#include "supervisor/base/base.h"
#include "supervisor/base/instances.h"
#include "supervisor/base/link.h"

static enum inspect_fd fd_kind(const struct statx *st) {
        switch (st->stx_mode & S_IFMT) {
        case S_IFREG:
                return st->stx_nlink ? INSPECT_FD_file : INSPECT_FD_memory;
        case S_IFDIR:
                return INSPECT_FD_folder;
        case S_IFSOCK:
                return INSPECT_FD_socket;
        case S_IFIFO:
                return INSPECT_FD_pipe;
        case S_IFCHR:
        case S_IFBLK:
                return INSPECT_FD_device;
        default:
                return INSPECT_FD_other; /* epoll and its like */
        }
}

static int count_fds(const char *path, uint32_t n_fds[INSPECT_N_FDS]) {
        _cleanup_closedir_ DIR *folder = opendir(path);
        struct dirent *entry;
        struct statx st;

        if (!folder)
                return -errno;
        while ((entry = readdir(folder))) {
                if (entry->d_name[0] != '.' &&
                    statx(dirfd(folder), entry->d_name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_NLINK, &st) == 0)
                        n_fds[fd_kind(&st)]++;
        }
        return 0;
}

/* What the kernel does not have stays 0. */
static void read_namespaces(const char *process, uint64_t ns[INSPECT_N_NS]) {
        static const char *const names[] = {
#define X(name) #name,
                INSPECT_NAMESPACES
#undef X
        };
        char path[64];
        struct statx st;

        for (int i = 0; i < INSPECT_N_NS; i++) {
                snprintf(path, sizeof(path), "/proc/%s/ns/%s", process, names[i]);
                if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0)
                        ns[i] = st.stx_ino;
        }
}

static void inspect(struct control_inspected *body, pid_t of) {
        char pid[16], path[48];

        snprintf(pid, sizeof(pid), "%d", of);
        snprintf(path, sizeof(path), "/proc/%s/fd", pid);
        body->error = count_fds(path, body->n_fds);
        read_namespaces(pid, body->ns);
        read_namespaces("self", body->base_ns);
}

static void answer(struct base *base, struct role *role, uint64_t request, uint64_t id, pid_t pid) {
        struct control_inspected body = { .instance = id, .error = -ESRCH };

        if (pid)
                inspect(&body, pid);
        link_send(base, &role->link, CONTROL_KIND_INSPECTED, request, &body, sizeof(body), NULL, 0);
}

void inspect_on_request(struct base *base, struct role *role, uint64_t request, uint64_t id) {
        const struct instance *i = instance_find(base, id);

        answer(base, role, request, id, i && i->state == INSTANCE_RUNNING ? i->pid : 0);
}

/* Of those in the table, and of the base. */
void inspect_on_role_request(struct base *base, struct role *role, uint64_t request, uint64_t pid) {
        pid_t found = pid == (uint64_t)getpid() ? getpid() : 0;

        for (uint32_t i = 0; !found && pid && i < base->n_roles; i++)
                if (pid == (uint64_t)base->roles[i].pid)
                        found = base->roles[i].pid;
        answer(base, role, request, pid, found);
}
