/* SPDX-License-Identifier: Apache-2.0
 *
 * A stand-in for the base and the manager.
 */
#include "tests/unit/template/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/role.h"

#define WAIT_MS 20000

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static pid_t spawn(const char *exe, int link) {
        pid_t pid = fork();

        if (pid != 0)
                return pid < 0 ? -errno : pid;
        if (link == ROLE_LINK_FD)
                fd_set_cloexec(link, false);
        else
                dup2(link, ROLE_LINK_FD);
        setenv("LEAK", "1", 1);
        execl(exe, exe, (char *)NULL);
        _exit(127);
}

static int receive(struct fixture *f, struct control_record *ret_record) {
        int r = control_receive_wait(f->link, CONTROL_TEMPLATE, CONTROL_BASE, WAIT_MS, ret_record);

        return r > 0 ? -EPIPE : r;
}

static int write_map(pid_t pid, const char *name) {
        _cleanup_close_ int fd = -1;
        char path[64], text[64];
        int n;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = snprintf(text, sizeof(text), "0 %u 65520", FIXTURE_UID_BASE);
        return fd_write_all(fd, text, (size_t)n);
}

static int map(struct fixture *f) {
        struct control_record record;
        int r = receive(f, &record);

        if (!r && record.header.kind != CONTROL_KIND_TEMPLATE_UNSHARED)
                r = -EPROTO;
        if (!r)
                r = write_map(f->pid, "uid_map");
        if (!r)
                r = write_map(f->pid, "gid_map");
        return r ? r : CONTROL_SEND(f->link, TEMPLATE_MAPPED, 0, NULL, 0, .reserved = 0);
}

static int await_ready(struct fixture *f) {
        struct control_record record;
        int r = receive(f, &record);

        if (r)
                return r;
        if (record.header.kind == CONTROL_KIND_TEMPLATE_FAILED) {
                memcpy(f->failed, record.TEMPLATE_FAILED.text, sizeof(f->failed));
                f->failed[sizeof(f->failed) - 1] = '\0';
                return 1;
        }
        if (record.header.kind != CONTROL_KIND_TEMPLATE_READY)
                return -EPROTO;
        f->enforced = record.TEMPLATE_READY.enforced;
        return 0;
}

int fixture_start(struct fixture *ret_fixture, const char *exe, bool root, bool strict, const char *preload) {
        struct control_template_setup setup = {
                .generation = 1, .root = root, .strict = strict, .uid = FIXTURE_UID_BASE, .gid = FIXTURE_UID_BASE
        };
        int fds[2], r;

        *ret_fixture = (struct fixture){ .root = root };
        r = fd_socketpair(fds);
        if (r)
                return r;
        ret_fixture->link = fds[0];
        ret_fixture->pid = spawn(exe, fds[1]);
        fd_close(fds[1]);
        if (ret_fixture->pid < 0)
                return ret_fixture->pid;
        snprintf(setup.preload, sizeof(setup.preload), "%s", preload ?: "");
        r = CONTROL_SEND(fds[0], HELLO, 0, NULL, 0, .epoch = 1, .base_pid = getpid(), .root = root);
        if (!r)
                r = control_send(fds[0], CONTROL_KIND_TEMPLATE_SETUP, 0, &setup, sizeof(setup), NULL, 0);
        if (!r && root)
                r = map(ret_fixture);
        return r ? r : await_ready(ret_fixture);
}

int fixture_stop(struct fixture *fixture) {
        int status;

        fixture->link = fd_close(fixture->link);
        if (waitpid(fixture->pid, &status, 0) < 0)
                return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int make_work(struct fixture *f, const struct fixture_order *order, char *path) {
        strcpy(path, "/tmp/socle-test-work.XXXXXX");
        if (!mkdtemp(path))
                return -errno;
        if (f->root && chown(path, FIXTURE_UID_BASE + order->uid, FIXTURE_UID_BASE + order->uid) < 0)
                return -errno;
        return 0;
}

#define INSTANCE 42

static int send_order(struct fixture *f, const struct fixture_order *order, struct fixture_worker *w, int to, int worker_link, int log) {
        bool has_cgroup = order->cgroup > 0 && to == f->link;
        struct control_fork_worker body = {
                .instance = INSTANCE,
                .uid = order->uid,
                .gid = order->uid,
                .limits = order->limits,
                .has_cgroup = has_cgroup,
                .memory_by_rlimit = order->memory_by_rlimit,
                .name = "probe",
        };
        _cleanup_close_ int settings = -1, package = -1, work = -1;

        settings = order->settings_fd ? fd_dup(order->settings_fd) : worker_settings_encode(order->settings);
        package = open(order->package, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        work = open(w->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (settings < 0 || package < 0 || work < 0)
                return -EBADF;
        w->sent_ns = clock_now_ns();
        return control_send(to, CONTROL_KIND_FORK_WORKER, 7, &body, sizeof(body),
                            (const int[]){ worker_link, settings, package, work, log, log, order->cgroup }, has_cgroup ? 7 : 6);
}

static int take_answer(struct fixture *f, struct fixture_worker *w) {
        struct control_record record;
        int r = receive(f, &record);

        if (r)
                return r;
        if (record.header.kind == CONTROL_KIND_FORK_REFUSED)
                return record.FORK_REFUSED.error;
        if (record.header.kind != CONTROL_KIND_FORKED || record.header.request != 7)
                return -EPROTO;
        w->forked = record.FORKED;
        w->pid = record.FORKED.pid;
        w->pidfd = TAKE_FD(record.fds[0]);
        w->page_fd = TAKE_FD(record.fds[1]);
        return 0;
}

int fixture_fork_spare(struct fixture *f, int cgroup, struct fixture_worker *ret_worker, int *ret_order) {
        struct control_fork_spare body = { .instance = INSTANCE, .has_cgroup = cgroup > 0 };
        int pair[2], r;

        *ret_worker = (struct fixture_worker){ .pidfd = -1, .link = -1, .log = -1, .page_fd = -1 };
        r = fd_socketpair(pair);
        if (r)
                return r;
        r = control_send(f->link, CONTROL_KIND_FORK_SPARE, 7, &body, sizeof(body), (const int[]){ pair[1], cgroup }, cgroup > 0 ? 2 : 1);
        fd_close(pair[1]);
        *ret_order = pair[0];
        return r ? r : take_answer(f, ret_worker);
}

static int fork_and_order(struct fixture *f, const struct fixture_order *order, struct fixture_worker *w, int worker_link, int log) {
        _cleanup_close_ int to = -1;
        struct fixture_worker born;
        int r;

        if (!f->spare) {
                r = send_order(f, order, w, f->link, worker_link, log);
                return r ? r : take_answer(f, w);
        }
        r = fixture_fork_spare(f, order->cgroup, &born, &to);
        if (r)
                return r;
        w->forked = born.forked;
        w->pid = born.pid;
        w->pidfd = born.pidfd;
        w->page_fd = born.page_fd;
        return send_order(f, order, w, to, worker_link, log);
}

int fixture_fork(struct fixture *fixture, const struct fixture_order *order, struct fixture_worker *ret_worker) {
        struct fixture_worker w = { .pidfd = -1, .link = -1, .log = -1, .page_fd = -1 };
        int link[2], log[2], r;

        r = make_work(fixture, order, w.work);
        if (!r)
                r = fd_socketpair(link);
        if (!r)
                r = fd_pipe(log);
        if (r)
                return r;
        w.link = link[0];
        w.log = log[0];
        r = fork_and_order(fixture, order, &w, link[1], log[1]);
        fd_close(link[1]);
        fd_close(log[1]);
        *ret_worker = w;
        return r;
}

static void drain_link(struct fixture_worker *w) {
        struct control_record record;

        while (control_receive(w->link, CONTROL_WORKER, CONTROL_MANAGER, &record) == 0)
                control_record_deinit(&record);
}

/* Before the worker's first word its page may not be sealed yet, and then says nothing. */
static void read_vitals(struct fixture_worker *w, struct page_vitals *ret_vitals) {
        if (!w->page && page_reader_new(&w->page, fd_dup(w->page_fd)) < 0)
                memset(ret_vitals, 0, sizeof(*ret_vitals));
        else
                page_read(w->page, ret_vitals);
}

enum page_level fixture_wait_level(struct fixture_worker *worker, enum page_level level, struct page_vitals *ret_vitals) {
        for (;;) {
                struct pollfd p[] = { { .fd = worker->pidfd, .events = POLLIN }, { .fd = worker->link, .events = POLLIN } };

                read_vitals(worker, ret_vitals);
                if (ret_vitals->level >= level)
                        return ret_vitals->level;
                if (poll(p, 2, WAIT_MS) <= 0)
                        return ret_vitals->level;
                if (p[1].revents & POLLIN)
                        drain_link(worker);
                if (p[0].revents) {
                        read_vitals(worker, ret_vitals);
                        return ret_vitals->level;
                }
        }
}

int fixture_reap(struct fixture_worker *worker, bool kill_first, int *ret_code, int *ret_status) {
        siginfo_t info = { 0 };

        if (kill_first)
                syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
        if (waitid((idtype_t)P_PIDFD, (id_t)worker->pidfd, &info, WEXITED) < 0)
                return -errno;
        *ret_code = info.si_code;
        *ret_status = info.si_status;
        return 0;
}

void fixture_log(struct fixture_worker *worker, char *buffer, size_t size) {
        size_t n = 0;
        ssize_t r;

        while (n + 1 < size && (r = read(worker->log, buffer + n, size - 1 - n)) > 0)
                n += (size_t)r;
        buffer[n] = '\0';
}

void fixture_worker_deinit(struct fixture_worker *worker) {
        char file[96];

        fd_close(worker->pidfd);
        fd_close(worker->link);
        fd_close(worker->log);
        fd_close(worker->page_fd);
        if (worker->page)
                page_reader_free(worker->page);
        snprintf(file, sizeof(file), "%s/file", worker->work);
        unlink(file);
        rmdir(worker->work);
}
