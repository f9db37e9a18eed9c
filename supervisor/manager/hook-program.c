/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a program so that it can do no more than its part: a clean environment,
 * three descriptors, a process group of its own, a time limit. When its process has
 * ended, or its time has, everything that it has left behind is killed: first its
 * group, as long as its zombie keeps the number from being given to others; then
 * whoever had left the group, for orphans come to the nearest subreaper, which is
 * us, and to nobody else.
 */
#include "supervisor/manager/hook-program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/boot-config.h"

#define LINE_SIZE 1024

struct running {
        const struct hook_program *program;
        pid_t pid;
        int pidfd, output;
        char line[LINE_SIZE];
        size_t n, n_printed;
};

/* What is to be run -------------------------------------------------------------------------------------------------- */

static void tell_once(const char *name, const char *text) {
        static struct text_list told;

        if (text_list_has(&told, name) || text_list_add(&told, name, strlen(name)) < 0)
                return;
        log_error("hooks.d/%s is not run: %s", name, text);
}

static bool is_program(int folder, const char *name) {
        struct stat st;

        if (name[strlen(name) - 1] == '~' || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return false;
        if (S_ISLNK(st.st_mode)) {
                tell_once(name, "it is a link; copy the program itself");
                return false;
        }
        if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
                return false;
        if (st.st_mode & S_IWOTH)
                tell_once(name, "everybody may write it; chmod o-w FILE");
        return !(st.st_mode & S_IWOTH);
}

int hook_programs_list(int folder, struct text_list *ret_names) {
        struct text_list all = { 0 }, names = { 0 };
        struct stat st;
        int r = 0;

        if (fstat(folder, &st) < 0)
                return -errno;
        if (st.st_mode & S_IWOTH)
                tell_once("", "everybody may write the folder; chmod o-w it");
        else
                r = folder_list(folder, "", &all);
        for (size_t i = 0; r >= 0 && i < all.n; i++) {
                if (is_program(folder, all.items[i]))
                        r = text_list_add(&names, all.items[i], strlen(all.items[i]));
        }
        text_list_deinit(&all);
        if (r < 0)
                text_list_deinit(&names);
        else
                *ret_names = names;
        return r < 0 ? r : 0;
}

/* Birth -------------------------------------------------------------------------------------------------------------- */

/* Its path is relative to the folder, so that it does not matter who may walk to it. */
static _Noreturn void child(const struct hook_program *p, pid_t parent, int input, int output) {
        char *argv[2] = { NULL, NULL }, path[300];
        sigset_t none;

        setpgid(0, 0);
        for (int n = 1; n < NSIG; n++)
                signal(n, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(path, sizeof(path), "./%s", p->name);
        argv[0] = path;
        if (getppid() != parent || fchdir(p->folder) < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
                _exit(126);
        fd_close_all_except(NULL, 0);
        execve(path, argv, p->env);
        dprintf(2, "it cannot be run: %s\n", strerror(errno));
        _exit(127);
}

/* A file, so that nobody waits for a program that does not read. */
static int input_make(const struct hook_program *p) {
        _cleanup_close_ int fd = memfd_create("event", MFD_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, p->input, p->input_size);
        if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        return r < 0 ? r : TAKE_FD(fd);
}

static int start(const struct hook_program *p, struct running *ret) {
        _cleanup_close_ int input = input_make(p), output = -1, theirs = -1, pidfd = -1;
        pid_t parent = getpid(), pid;
        int ends[2];

        if (input < 0)
                return input;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        output = ends[0];
        theirs = ends[1];
        fd_set_nonblock(output, true);
        pid = fork();
        if (pid == 0)
                child(p, parent, input, theirs);
        if (pid < 0)
                return -errno;
        setpgid(pid, pid); /* whoever comes first */
        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0) {
                int e = -errno;

                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                return e;
        }
        *ret = (struct running){ .program = p, .pid = pid, .pidfd = TAKE_FD(pidfd), .output = TAKE_FD(output) };
        return 0;
}

/* What it prints ----------------------------------------------------------------------------------------------------- */

static void line_end(struct running *r) {
        if (r->n)
                log_info("hooks.d/%s: %.*s", r->program->name, (int)r->n, r->line);
        r->n = 0;
}

static void take_output(struct running *r, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++) {
                if (r->n_printed == HOOK_OUTPUT_MAX) {
                        line_end(r);
                        log_warning("hooks.d/%s: what it prints beyond %u KiB is not logged", r->program->name, HOOK_OUTPUT_MAX >> 10);
                }
                if (r->n_printed++ >= HOOK_OUTPUT_MAX)
                        continue;
                if (data[i] != '\n')
                        r->line[r->n++] = data[i];
                if (data[i] == '\n' || r->n == sizeof(r->line))
                        line_end(r);
        }
}

/* False: nothing more comes. */
static bool read_output(struct running *r) {
        char data[4096];
        ssize_t n = read(r->output, data, sizeof(data));

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        take_output(r, data, (size_t)n);
        return n > 0;
}

/* Death -------------------------------------------------------------------------------------------------------------- */

/* Returns how many there are. */
static unsigned kill_children(void) {
        FILE *f = fopen("/proc/thread-self/children", "re");
        unsigned n = 0;
        int pid;

        while (f && fscanf(f, "%d", &pid) == 1) {
                kill(pid, SIGKILL);
                n++;
        }
        if (f)
                fclose(f);
        return n;
}

static int end_all(const struct running *r) {
        siginfo_t info = { 0 };

        kill(-r->pid, SIGKILL);
        waitid(P_PID, (id_t)r->pid, &info, WEXITED);
        while (kill_children())
                waitpid(-1, NULL, 0);
        return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

static int tell_end(const struct hook_program *p, int outcome, int status) {
        const char *name = status < 0 ? sigabbrev_np(-status) : NULL;

        if (outcome == HOOK_E_TIMEOUT)
                log_error("hooks.d/%s is killed with its process group: it has run for %llu ms, which is [hooks] timeout (%s)", p->name,
                          (unsigned long long)p->timeout_ms, p->what);
        else if (outcome == HOOK_E_ORPHAN)
                log_warning("hooks.d/%s is killed with its process group: the manager has ended (%s)", p->name, p->what);
        else if (status < 0)
                log_warning("hooks.d/%s was killed by SIG%s (%s)", p->name, name ? name : "?", p->what);
        else if (status > 0)
                log_warning("hooks.d/%s exited with status %d (%s)", p->name, status, p->what);
        return outcome ? outcome : status ? HOOK_E_FAILED : 0;
}

/* Until it has ended, or must. 0 or HOOK_E_TIMEOUT, HOOK_E_ORPHAN. */
static int watch(struct running *r) {
        uint64_t due_ns = clock_now_ns() + r->program->timeout_ms * NS_PER_MS, now;
        struct pollfd p[] = { { r->pidfd, POLLIN, 0 }, { r->program->link, POLLIN, 0 }, { r->output, POLLIN, 0 } };

        while ((now = clock_now_ns()) < due_ns) {
                if (poll(p, N_ELEMENTS(p), (int)((due_ns - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
                        return -errno;
                if (p[2].revents && !read_output(r))
                        p[2].fd = -1;
                if (p[0].revents)
                        return 0;
                if (p[1].revents)
                        return HOOK_E_ORPHAN;
        }
        return HOOK_E_TIMEOUT;
}

int hook_program_run(const struct hook_program *p) {
        struct running running = { .program = p };
        int r, outcome, status;

        r = start(p, &running);
        if (r < 0) {
                log_error("hooks.d/%s cannot be run: %s (%s)", p->name, strerror(-r), p->what);
                return r;
        }
        outcome = watch(&running);
        status = end_all(&running);
        /* What lies in the pipe is bounded: nobody is left who writes. */
        while (poll(&(struct pollfd){ running.output, POLLIN, 0 }, 1, 0) > 0 && read_output(&running))
                ;
        line_end(&running);
        fd_close(running.output);
        fd_close(running.pidfd);
        return tell_end(p, outcome, status);
}
