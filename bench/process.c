/* SPDX-License-Identifier: Apache-2.0
 *
 * vfork, because the time of a fork of the bench would be the peer's loss.
 */
#include "bench/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"

#define PATIENCE_MS 10000

static int open_log(const char *folder) {
        char path[512];
        int fd;

        snprintf(path, sizeof(path), "%s/output.log", folder);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        return fd < 0 ? -errno : fd;
}

static _Noreturn void child_main(char *const *arguments, int input, int output) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(input, STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execv(arguments[0], arguments);
        _exit(127);
}

int process_start(pid_t *ret_pid, const char *folder, char *const *arguments, int input) {
        _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int log = open_log(folder);
        pid_t pid;

        if (log < 0 || null < 0)
                return log < 0 ? log : -EMFILE;
        pid = vfork();
        if (pid == 0)
                child_main(arguments, input < 0 ? null : input, log);
        if (pid < 0)
                return -errno;
        *ret_pid = pid;
        return 0;
}

void process_stop(pid_t pid, int signal) {
        struct pollfd p;
        int status;

        if (pid <= 0)
                return;
        if (signal)
                kill(pid, signal);
        p = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
        if (p.fd >= 0 && poll(&p, 1, PATIENCE_MS) == 0)
                kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        fd_close(p.fd);
}

uint16_t process_free_port(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(address);

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                return 0;
        return ntohs(address.sin_port);
}
