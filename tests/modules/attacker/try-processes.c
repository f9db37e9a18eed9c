/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes, programs and namespaces. What a child does is end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"

static void born(struct attempt *a, long pid) {
        if (pid == 0)
                _exit(0);
        if (pid > 0) {
                prove(a, "a process of its own");
                waitpid((pid_t)pid, NULL, __WALL);
        }
}

void fork_process(struct attempt *a) {
#ifdef SYS_fork
        born(a, TRY(a, fork, 0));
#else
        born(a, TRY(a, clone, SIGCHLD));
#endif
}

void vfork_process(struct attempt *a) {
        born(a, TRY(a, clone, CLONE_VFORK | SIGCHLD));
}

void clone_process(struct attempt *a) {
        born(a, TRY(a, clone, SIGCHLD));
}

void clone_untraced(struct attempt *a) {
        born(a, TRY(a, clone, CLONE_UNTRACED));
}

void clone_sibling(struct attempt *a) {
        born(a, TRY(a, clone, CLONE_PARENT | SIGCHLD));
}

void clone3_process(struct attempt *a) {
        struct clone_args args = { .exit_signal = SIGCHLD };

        born(a, TRY(a, clone3, P(&args), sizeof(args)));
}

void clone3_into_group(struct attempt *a) {
        struct clone_args args = { .exit_signal = SIGCHLD, .flags = 0x200000000ULL /* CLONE_INTO_CGROUP */, .cgroup = 0 };

        born(a, TRY(a, clone3, P(&args), sizeof(args)));
}

#define CLONE_NAMESPACE(name, flag)                                                                                                        \
        void clone_##name(struct attempt *a) {                                                                                             \
                born(a, TRY(a, clone, (flag) | SIGCHLD));                                                                                  \
        }                                                                                                                                  \
        void unshare_##name(struct attempt *a) {                                                                                           \
                if (TRY(a, unshare, flag) == 0)                                                                                            \
                        prove(a, "it is in a namespace of its own");                                                                       \
        }
CLONE_NAMESPACE(user, CLONE_NEWUSER)
CLONE_NAMESPACE(mount, CLONE_NEWNS)
CLONE_NAMESPACE(pid, CLONE_NEWPID)
CLONE_NAMESPACE(net, CLONE_NEWNET)
CLONE_NAMESPACE(ipc, CLONE_NEWIPC)
CLONE_NAMESPACE(uts, CLONE_NEWUTS)
CLONE_NAMESPACE(cgroup, CLONE_NEWCGROUP)

/* Flags beside CLONE_THREAD, which a thread must have. */
void thread_in_namespace(struct attempt *a) {
        born(a, TRY(a, clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER));
}

void unshare_time(struct attempt *a) {
        if (TRY(a, unshare, 0x80 /* CLONE_NEWTIME */) == 0)
                prove(a, "it is in a namespace of its own");
}

void unshare_files(struct attempt *a) {
        if (TRY(a, unshare, CLONE_FILES) == 0)
                prove(a, "descriptors of its own");
}

void enter_namespace(struct attempt *a) {
        if (TRY(a, setns, loot[0], 0) == 0)
                prove(a, "it is there");
}

/* Of a shell: do nothing. Others do not look. */
static char name[] = "attempt", option[] = "-c", nothing[] = ":", program[] = "./program";
static char *const arguments[] = { name, option, nothing, NULL }, *const loader_arguments[] = { name, program, NULL },
                   *const no_strings[] = { NULL };

void spawn_program(struct attempt *a) {
        pid_t pid;
        int r = posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, no_strings);

        stopped(a, r);
        if (!r) {
                prove(a, "a program runs");
                waitpid(pid, NULL, 0);
        }
}

void run_shell(struct attempt *a) {
        int r = system("exit 7");

        stopped(a, r == -1 ? errno : WEXITSTATUS(r) == 7 ? 0 : EPERM);
        if (!a->error)
                prove(a, "a shell runs");
}

/* In a child where that is allowed, else itself. */
static void run(struct attempt *a, int folder, const char *path, int flags) {
        int status = 0, *error = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t pid = fork();

        if (pid <= 0) {
                TRY(a, execveat, folder, P(path), P(arguments), P(no_strings), flags);
                *error = a->error;
                if (pid == 0)
                        _exit(99);
                return;
        }
        waitpid(pid, &status, 0);
        stopped(a, *error);
        if (!*error)
                prove(a, "it runs");
        munmap(error, 4096);
}

void run_program(struct attempt *a) {
        run(a, AT_FDCWD, a->on, 0);
}

static int copy_of(int to) {
        int from = open("/bin/true", O_RDONLY | O_CLOEXEC);
        char bytes[4096];
        ssize_t n;

        while ((n = read(from, bytes, sizeof(bytes))) > 0)
                if (write(to, bytes, (size_t)n) != n)
                        break;
        close(from);
        return to;
}

void run_written(struct attempt *a) {
        close(copy_of(open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700)));
        run(a, AT_FDCWD, "program", 0);
        unlink("program");
}

void run_memory(struct attempt *a) {
        int fd = copy_of(memfd_create("program", MFD_CLOEXEC));

        run(a, fd, "", AT_EMPTY_PATH);
        close(fd);
}

/* By the loader, which may be run: it maps the program itself. */
void run_by_loader(struct attempt *a) {
        int status = 0;
        pid_t pid;

        close(copy_of(open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700)));
        pid = fork();
        if (pid == 0) {
                execve("/lib64/ld-linux-x86-64.so.2", loader_arguments, no_strings);
                _exit(99);
        }
        if (pid < 0) {
                stopped(a, errno);
        } else {
                waitpid(pid, &status, 0);
                stopped(a, WEXITSTATUS(status) == 0 ? 0 : EACCES);
                if (!a->error)
                        prove(a, "what it has written runs, in its own sandbox");
        }
        unlink("program");
}

/* A set-uid program: whose is the child? */
void run_setuid(struct attempt *a) {
        run(a, AT_FDCWD, a->on, 0);
}

/* A grandchild in a session of its own, that ignores what can be ignored. The runner looks whether it is left. */
void leave_behind(struct attempt *a) {
        pid_t pid = (pid_t)TRY(a, clone, SIGCHLD);

        if (pid == 0) {
                setsid();
                if (fork() == 0) {
                        signal(SIGTERM, SIG_IGN);
                        signal(SIGHUP, SIG_IGN);
                        for (;;)
                                pause();
                }
                _exit(0);
        }
        if (pid > 0) {
                waitpid(pid, NULL, 0);
                prove(a, "a grandchild in a session of its own");
        }
}
