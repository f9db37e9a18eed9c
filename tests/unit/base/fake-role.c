/* SPDX-License-Identifier: Apache-2.0
 *
 * Every role of the base in one program, chosen by its name: does what the
 * contract asks and writes down what it was told, for test-process.c.
 *
 * The manager forks one worker when etc/fork exists and it adopted none, and
 * kills all that it knows on REOPEN_LOGS. The template clones for real.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/control.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

#define LINK 3

static int etc_fd = -1, log_fd = -1;
static uint64_t epoch, known;
static bool adopted_any;

static void note(const char *format, ...) _printf_(1, 2);
static void note(const char *format, ...) {
        char text[256];
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (log_fd >= 0 && write(log_fd, text, (size_t)n) != n)
                abort();
}

static int next(enum control_party self, struct control_record *ret_record) {
        return control_receive_wait(LINK, CONTROL_BASE, self, 60000, ret_record);
}

static int boot(void) {
        struct control_boot_config config = { .name = "test", .uid_base = 1900000000, .n_gateways = 1, .stop_ms = 35000 };
        struct control_text failed = { .text = "socled.conf:1: bad" };
        struct sockaddr_in *address = (struct sockaddr_in *)&config.listeners[0].address;
        struct control_record record;
        char text[128] = "";

        do
                if (next(CONTROL_BOOT, &record))
                        return 1;
        while (record.header.kind != CONTROL_KIND_HANDOVER_DONE);
        CONTROL_SEND(LINK, FILE_OPEN, 1, NULL, 0, .folder = HANDOVER_ETC, .name = "socled.conf");
        if (next(CONTROL_BOOT, &record) || record.n_fds != 1 || read(record.fds[0], text, sizeof(text) - 1) < 0)
                return 1;
        if (!strncmp(text, "bad", 3))
                return control_send(LINK, CONTROL_KIND_BOOT_FAILED, 0, &failed, sizeof(failed), NULL, 0);
        *address = (struct sockaddr_in){ .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)atoi(text)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        config.listeners[0].address_size = sizeof(*address);
        snprintf(config.listeners[0].text, sizeof(config.listeners[0].text), "127.0.0.1:%d", atoi(text));
        config.n_listeners = 1;
        return control_send(LINK, CONTROL_KIND_BOOT_CONFIG, 0, &config, sizeof(config), NULL, 0);
}

static void ask_fork(void) {
        int settings = memfd_new("settings", 4096);
        int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        CONTROL_SEND(LINK, FORK, epoch << 8 | 1, ((const int[]){ settings, folder }), 2, .name = "hello", .tag = "the tag");
        close(settings);
        close(folder);
}

static void manager_record(struct control_record *record) {
        switch (record->header.kind) {
        case CONTROL_KIND_HELLO:
                epoch = record->HELLO.epoch;
                break;
        case CONTROL_KIND_HANDOVER:
                if (record->HANDOVER.what == HANDOVER_LOG)
                        log_fd = openat(record->fds[0], "notes", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
                if (record->HANDOVER.what == HANDOVER_ETC)
                        etc_fd = TAKE_FD(record->fds[0]);
                else if (record->HANDOVER.what == HANDOVER_INSTALLER_LINK || record->HANDOVER.what == HANDOVER_GATEWAY_LINK)
                        note("link %u\n", record->HANDOVER.what);
                break;
        case CONTROL_KIND_HANDOVER_DONE:
                note("manager %d epoch %llu\n", getpid(), (unsigned long long)epoch);
                CONTROL_SEND(LINK, READY, 0, NULL, 0, .reserved = 0);
                break;
        case CONTROL_KIND_ROLE:
                note("role %s %d\n", record->ROLE.name, record->ROLE.pid);
                /* All are known: the gateway is the last of the first round. */
                if (!strcmp(record->ROLE.name, "gateway") && record->ROLE.pid && !known && !adopted_any &&
                    faccessat(etc_fd, "fork", F_OK, 0) == 0 && record->ROLE.n_restarts == 0)
                        ask_fork();
                break;
        case CONTROL_KIND_INSTANCE:
                known = record->INSTANCE.instance;
                adopted_any |= record->INSTANCE.adopted;
                note("instance %llu pid %d uid %u adopted %u tag %s\n", (unsigned long long)known, record->INSTANCE.pid,
                     record->INSTANCE.uid, record->INSTANCE.adopted, (const char *)record->INSTANCE.tag);
                break;
        case CONTROL_KIND_FORK_FAILED:
                note("fork failed %d step %u\n", record->FORK_FAILED.error, record->FORK_FAILED.step);
                break;
        case CONTROL_KIND_EXITED:
                note("exited pid %d status %d killed %u pid_gone %u cgroup %u work %u files %u error %d adopted %u\n", record->EXITED.pid,
                     record->EXITED.status, record->EXITED.killed, record->EXITED.pid_gone, record->EXITED.cgroup_gone,
                     record->EXITED.work_gone, record->EXITED.n_files, record->EXITED.error, record->EXITED.adopted);
                if (faccessat(etc_fd, "no-ack", F_OK, 0) < 0)
                        CONTROL_SEND(LINK, EXIT_ACK, 0, NULL, 0, .instance = record->EXITED.instance);
                break;
        case CONTROL_KIND_REOPEN_LOGS:
                CONTROL_SEND(LINK, KILL, 0, NULL, 0, .instance = known);
                break;
        case CONTROL_KIND_SHUTDOWN:
                note("shutdown\n");
                CONTROL_SEND(LINK, SHUTDOWN_DONE, 0, NULL, 0, .reserved = 0);
                break;
        }
}

static _Noreturn void worker(int work, uint32_t uid) {
        if (geteuid() == 0 && (syscall(SYS_setresgid, uid, uid, uid) || syscall(SYS_setresuid, uid, uid, uid)))
                _exit(6);
        /* A tree as a hostile module would leave it: no permissions, a folder in a folder, a link out. */
        if (mkdirat(work, "a", 0700) || mkdirat(work, "a/b", 0700) || symlinkat("/etc", work, "a/b/out") || mkdirat(work, "a/b/c", 0) ||
            close(openat(work, "a/file", O_WRONLY | O_CREAT, 0)))
                _exit(9);
        if (fchmodat(work, "a/b", 0, 0))
                _exit(7);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
                pause();
}

static void template_fork(struct control_record *record) {
        int pidfd = -1, page = memfd_new("page", 4096), fds[2];
        struct clone_args args = { .flags = CLONE_PARENT | CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd };
        pid_t pid;

        if (record->FORK_WORKER.has_cgroup) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t)record->fds[record->n_fds - 1];
        }
        pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0) {
                CONTROL_SEND(LINK, FORK_REFUSED, 0, NULL, 0, .instance = record->FORK_WORKER.instance, .error = -errno,
                             .step = FORK_STEP_CLONE);
                return;
        }
        if (pid == 0)
                worker(record->fds[3], record->FORK_WORKER.uid);
        fds[0] = pidfd;
        fds[1] = page;
        CONTROL_SEND(LINK, FORKED, 0, fds, 2, .instance = record->FORK_WORKER.instance, .pid = pid);
        close(pidfd);
        close(page);
}

static void other_record(enum control_party self, struct control_record *record) {
        if (record->header.kind == CONTROL_KIND_TEMPLATE_SETUP && record->TEMPLATE_SETUP.root) {
                /* From here on its credentials are what CLONE_INTO_CGROUP is checked with. */
                if (unshare(CLONE_NEWUSER))
                        abort();
                CONTROL_SEND(LINK, TEMPLATE_UNSHARED, 0, NULL, 0, .reserved = 0);
        } else if (record->header.kind == CONTROL_KIND_TEMPLATE_MAPPED) {
                if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
                        abort();
                CONTROL_SEND(LINK, TEMPLATE_READY, 0, NULL, 0, .generation = 1);
        } else if (record->header.kind == CONTROL_KIND_TEMPLATE_SETUP)
                CONTROL_SEND(LINK, TEMPLATE_READY, 0, NULL, 0, .generation = record->TEMPLATE_SETUP.generation);
        else if (record->header.kind == CONTROL_KIND_FORK_WORKER)
                template_fork(record);
        else if (record->header.kind == CONTROL_KIND_HANDOVER && record->HANDOVER.what == HANDOVER_LISTENER)
                record->fds[0] = -1; /* held for life */
}

static enum control_party party_of(const char *program) {
        if (strstr(program, "socle-manager"))
                return CONTROL_MANAGER;
        if (strstr(program, "socle-template"))
                return CONTROL_TEMPLATE;
        return strstr(program, "socle-installer") ? CONTROL_INSTALLER : CONTROL_GATEWAY;
}

int main(int argc, char **argv) {
        enum control_party self = party_of(argv[0]);
        struct control_record record;
        int r;

        if (argc == 2)
                return boot();
        while ((r = next(self, &record)) == 0 || r == -ETIMEDOUT) {
                if (r)
                        continue;
                if (record.header.kind == CONTROL_KIND_PING)
                        CONTROL_SEND(LINK, PONG, 0, NULL, 0, .reserved = 0);
                else if (self == CONTROL_MANAGER)
                        manager_record(&record);
                else if (record.header.kind == CONTROL_KIND_SHUTDOWN)
                        return 0;
                else
                        other_record(self, &record);
                control_record_deinit(&record);
        }
        return r == CONTROL_E_CLOSED ? 0 : 1;
}
