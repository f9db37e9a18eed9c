/* SPDX-License-Identifier: Apache-2.0
 *
 * An order is a datagram: the root, or nothing, and the runner's link. The folder is not
 * in it: else who has taken the manager over would name one that he has written to.
 */
#include "supervisor/manager/hook-launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/hook-run.h"

extern char **environ;

static int launcher = -1;

static int spawn(int link, int folder, const char *root) {
        char *argv[] = { (char *)"socle-manager", (char *)"--run-hooks", (char *)root, NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attr;
        sigset_t signals;
        pid_t pid;
        int r;

        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attr);
        sigemptyset(&signals);
        posix_spawnattr_setsigmask(&attr, &signals);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
        posix_spawn_file_actions_adddup2(&actions, link, HOOK_LINK_FD);
        posix_spawn_file_actions_adddup2(&actions, folder, HOOK_FOLDER_FD);
        posix_spawn_file_actions_addclosefrom_np(&actions, HOOK_FOLDER_FD + 1);
        r = posix_spawn(&pid, "/proc/self/exe", &actions, &attr, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attr);
        return -r;
}

/* Above what they become in the child. */
static int dup_high(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 16);

        return copy < 0 ? -errno : copy;
}

static int spawn_with(int link, int folder, const char *root) {
        _cleanup_close_ int high_link = dup_high(link), high_folder = dup_high(folder);

        if (high_link < 0 || high_folder < 0)
                return high_link < 0 ? high_link : high_folder;
        return spawn(high_link, high_folder, root);
}

union ancillary {
        struct cmsghdr align;
        char data[CMSG_SPACE(sizeof(int))];
};

/* 0; -errno, and what came is closed; 1: there is nobody any more. */
static int order_receive(int link, char root[PATH_MAX], int *ret_fd) {
        union ancillary control;
        struct iovec part = { root, PATH_MAX - 1 };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data) };
        ssize_t n = recvmsg(link, &m, MSG_CMSG_CLOEXEC);
        struct cmsghdr *c;

        if (n < 0)
                return errno == EINTR ? -EINTR : 1;
        c = CMSG_FIRSTHDR(&m);
        if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
                return n ? -EPROTO : 1;
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
        root[n] = '\0';
        return 0;
}

static _Noreturn void launcher_run(int link, int folder) {
        const int keep[] = { link, folder };
        char root[PATH_MAX];
        int runner, r;

        prctl(PR_SET_NAME, "socle-launcher");
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fd_close_all_except(keep, folder < 0 ? 1 : 2);
        fd_set_nonblock(link, false);
        signal(SIGCHLD, SIG_IGN); /* a runner is waited for by its link */
        while ((r = order_receive(link, root, &runner)) <= 0) {
                if (r)
                        continue;
                r = spawn_with(runner, folder, root[0] ? root : NULL);
                if (r)
                        log_error("hooks.d: nobody can be started to run its programs: %s", strerror(-r));
                fd_close(runner);
        }
        _exit(EXIT_SUCCESS);
}

int hook_launcher_start(int folder) {
        int pair[2], r;
        pid_t pid;

        r = fd_socketpair(pair);
        if (r < 0)
                return r;
        pid = fork();
        if (pid == 0)
                launcher_run(pair[1], folder);
        r = pid < 0 ? -errno : 0;
        fd_close(pair[1]);
        if (r)
                fd_close(pair[0]);
        else
                launcher = pair[0];
        return r;
}

int hook_launch(int link, int folder, const char *root) {
        union ancillary control = { 0 };
        struct iovec part = { (char *)root, root ? strlen(root) : 0 };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        if (launcher < 0)
                return spawn_with(link, folder, root);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &link, sizeof(int));
        return sendmsg(launcher, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}
