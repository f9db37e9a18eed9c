/* SPDX-License-Identifier: Apache-2.0
 *
 * fork + exec of a role: a fresh address layout, nothing inherited but standard
 * streams and the link. It is exec'ed as root (the loader may have to walk what
 * only root can walk) and drops itself before it reads a byte of input.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/base/roles.h"
#include "supervisor/common/role.h"

#define ENVIRONMENT_MAX 16
#define BUILD_TREE "/supervisor/base"

int role_program(const char *name, char *ret_path, size_t size) {
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash;
        int length;

        if (n < 0)
                return -errno;
        self[n] = '\0';
        slash = strrchr(self, '/');
        if (!slash)
                return -ENOENT;
        *slash = '\0';
        n = (ssize_t)strlen(self) - (ssize_t)strlen(BUILD_TREE);
        if (n >= 0 && !strcmp(self + n, BUILD_TREE))
                length = snprintf(ret_path, size, "%s/../%s/socle-%s", self, name, name);
        else
                length = snprintf(ret_path, size, "%s/socle-%s", SOCLE_LIBEXECDIR, name);
        return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

struct environment {
        char *items[ENVIRONMENT_MAX + 1];
        size_t n;
};

static int environment_add(struct environment *env, const char *format, ...) _printf_(2, 3);
static int environment_add(struct environment *env, const char *format, ...) {
        va_list args;
        int n;

        if (env->n == ENVIRONMENT_MAX)
                return -E2BIG;
        va_start(args, format);
        n = vasprintf(&env->items[env->n], format, args);
        va_end(args);
        if (n < 0)
                return -ENOMEM;
        env->n++;
        return 0;
}

static void environment_deinit(struct environment *env) {
        for (size_t i = 0; i < env->n; i++)
                free(env->items[i]);
}

/* A clean one: what a role should know, by name. */
static int environment_fill(struct environment *env, const uid_t *uid) {
        static const char *const passed[] = { "SOCLE_LOG_LEVEL", "JOURNAL_STREAM", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS" };
        int r;

        r = environment_add(env, "PATH=/usr/local/bin:/usr/bin:/bin");
        if (!r)
                r = environment_add(env, "LANG=C.UTF-8");
        /* Workers inherit what is bound; to bind it lazily would cost each of them the same look-ups and pages. */
        if (!r)
                r = environment_add(env, "LD_BIND_NOW=1");
        if (!r)
                r = environment_add(env, "SOCLE_BASE_PID=%d", getpid());
        if (!r && uid)
                r = environment_add(env, "SOCLE_ROLE_UID=%u", *uid);
        if (!r && uid)
                r = environment_add(env, "SOCLE_ROLE_GID=%u", *uid);
        for (size_t i = 0; !r && i < N_ELEMENTS(passed); i++)
                if (getenv(passed[i]))
                        r = environment_add(env, "%s=%s", passed[i], getenv(passed[i]));
        return r;
}

static _Noreturn void exec_child(const char *program, const char *arg, int link, int leaf, char **env) {
        char *argv[] = { (char *)program, (char *)arg, NULL };
        sigset_t none;

        /* Away from a terminal: its Ctrl-C is for the base, which lets the modules drain. */
        setsid();
        if (leaf >= 0 && write(leaf, "0", 1) < 0)
                _exit(126);
        signal(SIGIO, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* dup2 of a descriptor onto itself would leave it close-on-exec. */
        if (link == ROLE_LINK_FD ? fd_set_cloexec(link, false) : dup2(link, ROLE_LINK_FD) < 0)
                _exit(126);
        execve(program, argv, env);
        fprintf(stderr, "socled: %s: %s\n", program, strerrordesc_np(errno));
        _exit(127);
}

pid_t role_spawn(const char *name, const char *arg, const uid_t *uid, int leaf, int *ret_link) {
        _cleanup_(environment_deinit) struct environment env = { 0 };
        _cleanup_close_ int procs = -1, ours = -1, theirs = -1;
        char program[PATH_MAX];
        pid_t pid;
        int r;

        r = role_program(name, program, sizeof(program));
        if (!r)
                r = environment_fill(&env, uid);
        if (!r)
                r = fd_pair_renew(fd_socketpair, &ours, &theirs);
        if (r)
                return r;
        if (leaf >= 0) {
                procs = openat(leaf, "cgroup.procs", O_WRONLY | O_CLOEXEC);
                if (procs < 0)
                        return -errno;
        }
        pid = fork();
        if (pid == 0)
                exec_child(program, arg, theirs, procs, env.items);
        if (pid < 0)
                return -errno;
        *ret_link = TAKE_FD(ours);
        return pid;
}

void process_kill(pid_t pid) {
        kill(pid, SIGKILL);
        /* A clone's end may have no signal. */
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
                ;
}
