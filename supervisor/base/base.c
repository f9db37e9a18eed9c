/* SPDX-License-Identifier: Apache-2.0
 *
 * A life of the base: folders, lock, configuration, sockets, groups, roles;
 * then the loop; then the end in stages, each with a deadline:
 *
 *   RUN    until a signal
 *   CLOSE  the gateways accept no more, answer what has come and end, in six
 *          sevenths of [base] stop-timeout (30 of 35 s); until then the modules
 *          serve
 *   DRAIN  the manager lets the modules finish, in what is left of that time
 *   KILL   instances are killed and torn down, roles lose their links, and
 *          after 2 s their lives
 *   END    nothing is left; groups and the admin socket are removed
 */
#include "supervisor/base/base.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/base/boot.h"
#include "supervisor/base/disk.h"
#include "supervisor/base/lock.h"
#include "supervisor/base/purge.h"
#include "supervisor/base/sd-daemon.h"
#include "supervisor/base/spare.h"
#include "supervisor/base/teardown.h"
#include "supervisor/base/template-link.h"
#include "supervisor/base/watchdog.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/confine.h"
#include "supervisor/common/log.h"

#define LEFT_NS (10 * NS_PER_S)
#define ROLES_END_NS (2 * NS_PER_S)
#define KILL_NS (40 * NS_PER_S)

static const char *shown_root(const struct base *base) {
        return base->options->root ? base->options->root : "/etc/socle";
}

static void enter(struct base *base, enum stage stage, uint64_t limit_ns) {
        base->stage = stage;
        base->stage_until_ns = clock_now_ns() + limit_ns;
}

static void begin_kill(struct base *base) {
        enter(base, STAGE_KILL, ROLES_END_NS);
        instances_kill_all(base);
        roles_stop(base, false);
}

/* systemd waits for so long at least, whatever its TimeoutStopSec is. */
static void tell_stopping(const struct base *base) {
        uint64_t most_us = base->config.stop_ms * 1000 + (ROLES_END_NS + KILL_NS) / NS_PER_US;
        char text[128];

        snprintf(text, sizeof(text), "STOPPING=1\nSTATUS=Draining modules\nEXTEND_TIMEOUT_USEC=%llu", (unsigned long long)most_us);
        sd_notify_send(text);
}

static uint64_t stop_ns(const struct base *base) {
        return base->config.stop_ms * NS_PER_MS;
}

static uint64_t close_ns(const struct base *base) {
        return stop_ns(base) - stop_ns(base) / 7;
}

static void begin_close(struct base *base) {
        tell_stopping(base);
        log_notice("stopping: modules are drained; a second signal stops at once");
        enter(base, STAGE_CLOSE, close_ns(base));
        for (uint32_t i = ROLE_GATEWAY; i < base->n_roles; i++)
                LINK_SEND(base, &base->roles[i].link, SHUTDOWN, 0, NULL, 0, .reserved = 0);
}

static void begin_drain(struct base *base) {
        uint64_t closing_since_ns = base->stage_until_ns - close_ns(base);

        if (!base->roles[ROLE_MANAGER].pid) {
                begin_kill(base);
                return;
        }
        base->stage = STAGE_DRAIN;
        base->stage_until_ns = closing_since_ns + stop_ns(base);
        LINK_SEND(base, &base->roles[ROLE_MANAGER].link, SHUTDOWN, 0, NULL, 0, .reserved = 0);
}

static void gateways_cut(struct base *base) {
        log_warning("stopping: connections go on after %llu ms and are cut ([base] stop-timeout)",
                    (unsigned long long)(close_ns(base) / NS_PER_MS));
        for (uint32_t i = ROLE_GATEWAY; i < base->n_roles; i++)
                if (base->roles[i].pid)
                        role_kill(base, &base->roles[i], NULL);
}

static bool gateways_alive(const struct base *base) {
        for (uint32_t i = ROLE_GATEWAY; i < base->n_roles; i++)
                if (base->roles[i].pid)
                        return true;
        return false;
}

void base_fail(struct base *base, int exit_code) {
        if (base->stage >= STAGE_KILL)
                return;
        base->exit_code = exit_code;
        begin_kill(base);
}

void base_on_shutdown_done(struct base *base) {
        if (base->stage == STAGE_DRAIN)
                begin_kill(base);
}

void base_check_ready(struct base *base) {
        bool manager_ready = base->config.ready_base ? base->roles[ROLE_MANAGER].ready : base->modules_ready;
        char addresses[1024] = "no HTTP, [gateway] listen is empty";
        int n = 0;

        if (base->told_ready || base->stage != STAGE_RUN || !manager_ready || !base->roles[ROLE_TEMPLATE].ready)
                return;
        base->told_ready = true;
        sd_notify_send("READY=1\nSTATUS=Serving");
        for (uint32_t i = 0; i < base->config.n_listeners && n < (int)sizeof(addresses); i++)
                n += snprintf(addresses + n, sizeof(addresses) - (size_t)n, "%s%s", i ? ", " : "HTTP on ", base->config.listeners[i].text);
        log_info("ready: %s, pid %d, %s", shown_root(base), getpid(), addresses);
}

static void on_signal(struct base *base, struct watch *watch, uint32_t events) {
        struct role *manager = &base->roles[ROLE_MANAGER];
        struct signalfd_siginfo info;

        if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
                return;
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
                if (base->stage == STAGE_RUN)
                        begin_close(base);
                else if (base->stage < STAGE_KILL)
                        begin_kill(base);
                break;
        case SIGHUP:
                LINK_SEND(base, &manager->link, RELOAD, 0, NULL, 0, .reserved = 0);
                break;
        case SIGUSR1:
                LINK_SEND(base, &manager->link, REOPEN_LOGS, 0, NULL, 0, .reserved = 0);
                break;
        }
}

static int signals_start(struct base *base) {
        sigset_t set;
        int fd;

        /* A read lease (files.c) may be broken in the moment that we hold it. */
        signal(SIGIO, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR1);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : watch_start(base, &base->signals, fd, EPOLLIN, on_signal, NULL);
}

/* Made here and kept over the manager's death: no event of the gap is lost. */
static int inotify_start(struct base *base) {
        char path[32];
        int r;

        base->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", base->folders.fds[FOLDER_DROP]);
        r = base->inotify_fd < 0 ? -errno : 0;
        if (!r && inotify_add_watch(base->inotify_fd, path,
                                    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_CREATE | IN_ONLYDIR) < 0)
                r = -errno;
        if (r)
                log_error("cannot watch the drop directory: %s", strerrordesc_np(-r));
        return r;
}

/* A worker costs some descriptors here. Roles inherit what is allowed, workers have a limit of their own. */
static int step_limits(struct base *base) {
        int64_t n = fd_allow_most();

        if (n < 0)
                return (int)n;
        base->instances_max = (uint32_t)MIN(n / INSTANCE_FDS, INSTANCES_MAX);
        return 0;
}

/* Before anything is opened or started: what is not in the table nobody after us has. */
static int step_privileges(struct base *base) {
        int r;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        r = confine_capabilities(CONFINE_BASE);
        return r ? r : confine(CONFINE_BASE, NULL, 0, &base->confined);
}

/* Each step: 0, -errno, or an exit status when it has said why. */
static int step_root(struct base *base) {
        pid_t holder = 0;
        int r;

        r = folders_open(&base->folders, base->options->root);
        if (r)
                return r == FOLDERS_E_OTHERS ? BASE_EXIT_CONFIG : EXIT_FAILURE;
        r = lock_take(base->folders.fds[FOLDER_RUN], &base->lock_fd, &holder);
        if (r == LOCK_E_HELD) {
                log_error("%s is served by socled with pid %d", shown_root(base), holder);
                return BASE_EXIT_CONFIG;
        }
        return r;
}

static int step_ids(struct base *base) {
        return ids_open(&base->ids, base->folders.fds[FOLDER_STATE]);
}

static int step_config(struct base *base) {
        struct control_text why;
        int r = boot_read(&base->folders, base->root, base->start_ns, &base->config, &why);

        if (r)
                log_error("%s", why.text);
        return r == BOOT_E_CONFIG ? BASE_EXIT_CONFIG : r;
}

static int step_listeners(struct base *base) {
        int run = base->folders.fds[FOLDER_RUN];

        listeners_spread(&base->config);
        if (listeners_open(&base->listeners, &base->config, listeners_left(run) ? clock_now_ns() + LEFT_NS : 0))
                return BASE_EXIT_CONFIG;
        base->admin_fd = listeners_admin(run);
        return base->admin_fd < 0 ? EXIT_FAILURE : 0;
}

static int step_uids(struct base *base) {
        uid_t first = (uid_t)base->config.uid_base;
        int r;

        r = uids_init(&base->uids, base->root, first, base->folders.fds[FOLDER_UIDS], base->folders.fds[FOLDER_DATA]);
        if (!r && base->root)
                r = folders_own(&base->folders, uids_role(true, first, UIDS_MANAGER), uids_role(true, first, UIDS_INSTALLER));
        return r;
}

/* Strict: what is known here to be missing; the template judges the rest. */
static int layers_suffice(const struct base *base) {
        const uint32_t users = ENFORCED_UIDS | ENFORCED_USERNS | ENFORCED_NETNS,
                       groups = ENFORCED_CGROUP | ENFORCED_CGROUP_MEMORY | ENFORCED_CGROUP_PIDS | ENFORCED_CGROUP_CPU;
        uint32_t lacks = (base->root ? 0 : users) | (groups & ~base->enforced) | (confine_wanted(CONFINE_BASE) & ~base->confined);

        if (!base->config.strict || !lacks)
                return 0;
        for (int i = 0; i < N_HOST_ROWS; i++)
                if (lacks >> i & 1)
                        log_error("[sandbox] enforce = strict, and %s is not in force here; it is for: %s; it takes: %s", host_rows[i].name,
                                  host_rows[i].need, host_rows[i].fix);
        return BASE_EXIT_CONFIG;
}

static int step_groups(struct base *base) {
        int r;

        cgroup_end_former(base->folders.fds[FOLDER_STATE]);
        r = cgroup_open(&base->cgroup, base->folders.fds[FOLDER_STATE]);
        cgroup_remember(&base->cgroup, base->folders.fds[FOLDER_STATE]);
        if (!r && base->root)
                r = cgroup_own(&base->cgroup, uids_template(&base->uids));
        base->enforced = base->cgroup.enforced | (base->root ? (uint32_t)ENFORCED_UIDS : 0);
        work_remove_all(base, base->folders.fds[FOLDER_WORK], "");
        work_remove_all(base, base->folders.fds[FOLDER_DATA], PURGE_PREFIX);
        return r ? r : layers_suffice(base);
}

static int step_roles(struct base *base) {
        roles_init(base);
        watchdog_init(base);
        return inotify_start(base) ? EXIT_FAILURE : 0;
}

static const struct {
        const char *what;
        int (*run)(struct base *base);
} steps[] = {
        { "privileges", step_privileges }, { "limits", step_limits },        { "folders", step_root },      { "state/ids", step_ids },
        { "signals", signals_start },      { "configuration", step_config }, { "sockets", step_listeners }, { "user ids", step_uids },
        { "cgroups", step_groups },        { "roles", step_roles },
};

static int start(struct base *base) {
        for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
                int r = steps[i].run(base);

                if (r < 0)
                        log_error("%s: %s", steps[i].what, strerrordesc_np(-r));
                if (r)
                        return r < 0 ? EXIT_FAILURE : r;
        }
        return 0;
}

static uint64_t stage_tick(struct base *base) {
        uint64_t now = clock_now_ns();

        if (base->stage == STAGE_CLOSE && (now >= base->stage_until_ns || !gateways_alive(base))) {
                if (gateways_alive(base))
                        gateways_cut(base);
                begin_drain(base);
        }
        if (base->stage == STAGE_DRAIN && (now >= base->stage_until_ns || !base->roles[ROLE_MANAGER].pid))
                begin_kill(base);
        if (base->stage != STAGE_KILL)
                return base->stage == STAGE_RUN ? UINT64_MAX : base->stage_until_ns;
        if (!roles_any_alive(base) && !instances_any_alive(base)) {
                base->stage = STAGE_END;
                return now;
        }
        if (now >= base->stage_until_ns) {
                roles_stop(base, true);
                instances_kill_all(base);
                base->stage_until_ns = now + KILL_NS;
        }
        return base->stage_until_ns;
}

static void loop(struct base *base) {
        while (base->stage != STAGE_END) {
                uint64_t next = stage_tick(base);
                int r;

                next = earliest(next, roles_tick(base));
                next = earliest(next, teardown_tick(base));
                next = earliest(next, spare_tick(base));
                next = earliest(next, job_tick(&base->purge.cleaner));
                if (base->stage < STAGE_KILL) {
                        next = earliest(next, watchdog_tick(base));
                        next = earliest(next, disk_tick(base));
                }
                r = base->stage == STAGE_END ? 0 : loop_turn(base, next);
                if (r) {
                        log_error("epoll: %s", strerrordesc_np(-r));
                        base->exit_code = EXIT_FAILURE;
                        return;
                }
        }
}

static void base_init(struct base *base, const struct options *options) {
        *base = (struct base){ .options = options,
                               .root = geteuid() == 0,
                               .epoll_fd = -1,
                               .lock_fd = -1,
                               .admin_fd = -1,
                               .kept_config = -1,
                               .inotify_fd = -1,
                               .installer_link = -1,
                               .ids.fd = -1,
                               .spare_due_ns = UINT64_MAX,
                               .signals = WATCH_INIT,
                               .purge.cleaner = JOB_INIT,
                               .disk.counter = JOB_INIT,
                               .start_ns = clock_now_ns() };
        TAILQ_INIT(&base->instances);
        folders_init(&base->folders);
        cgroup_init(&base->cgroup);
        listeners_init(&base->listeners);
}

static void base_deinit(struct base *base) {
        if (base->admin_fd >= 0)
                unlinkat(base->folders.fds[FOLDER_RUN], "admin.sock", 0);
        spare_drop(base);
        if (base->lock_fd >= 0)
                work_unprepare(base->folders.fds[FOLDER_WORK]);
        while (!TAILQ_EMPTY(&base->instances))
                instance_free(base, TAILQ_FIRST(&base->instances));
        /* Their children hold what is closed below, the sockets too. */
        job_drop(base, &base->purge.cleaner);
        job_drop(base, &base->disk.counter);
        cgroup_close(&base->cgroup);
        for (uint32_t i = 0; i < base->n_roles; i++) {
                link_stop(base, &base->roles[i].link);
                watch_stop(base, &base->roles[i].pidfd);
                fd_close(base->roles[i].manager_end);
                fd_close(base->roles[i].cgroup);
        }
        listeners_deinit(&base->listeners);
        board_clear(&base->board);
        board_clear(&base->board_coming);
        watch_stop(base, &base->signals);
        ids_close(&base->ids);
        fd_close(base->installer_link);
        fd_close(base->inotify_fd);
        fd_close(base->admin_fd);
        fd_close(base->kept_config);
        folders_deinit(&base->folders);
        fd_close(base->lock_fd);
        fd_close(base->epoll_fd);
}

int base_run(const struct options *options) {
        static struct base base;
        int r;

        base_init(&base, options);
        base.epoll_fd = loop_new();
        r = base.epoll_fd < 0 ? EXIT_FAILURE : start(&base);
        if (!r) {
                loop(&base);
                r = base.exit_code;
        }
        base_deinit(&base);
        return r;
}
