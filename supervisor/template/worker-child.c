/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's journey from the fork to its module, as a table of steps. Each
 * narrows the process a little more; the order is the safety argument:
 *
 *   what the template held is closed before anything of the manager's is read;
 *   a spare waits here for its order, having touched what it will need;
 *   the page is opened first of what may fail, because failures go there;
 *   the network is entered while there are capabilities to do so;
 *   the uid goes, the capabilities with it, and only then is PDEATHSIG set,
 *     which a change of uid clears; the parent is checked after it, so that a
 *     base that died in between is noticed;
 *   the settings are read by the worker's own uid;
 *   Landlock and the filter come last, because the steps before need what
 *     they take away; what they need themselves (the rules' descriptors) is
 *     closed behind them.
 *
 * A layer that this host does not have was found out by the template; its
 * steps are skipped. A layer that the host has and that fails here is an
 * error: a worker runs with all of them or not at all.
 */
#include "supervisor/template/worker-child.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "ipc/page.h"
#include "libmodule/worker.h"
#include "supervisor/template/template.h"
#include "supervisor/template/warm.h"

struct birth {
        const struct child_order *order;
        const struct control_fork_worker *asked;
        struct sandbox *sandbox;
        const struct libc_thread *thread;
        struct board *board;
        int base_pidfd;
        int null_fd, page_fd;
        int fds[FORK_WORKER_DATA + 1]; /* -1: it has no such */
        struct page_memory *page;
        struct worker_settings *settings;
        int ring; /* -1: it has none */
        struct io_uring_params ring_params;
        uint64_t canary;
        char detail[256]; /* what the failing step was about */
};

static int keep_list(const struct birth *b, int keep[static SANDBOX_PATHS_MAX + 16]) {
        const struct sandbox *sandbox = b->sandbox;
        int n = 0;

        for (size_t i = 0; b->asked && i < N_ELEMENTS(b->fds); i++)
                if (b->fds[i] >= 0)
                        keep[n++] = b->fds[i];
        if (b->order->link >= 0)
                keep[n++] = b->order->link;
        keep[n++] = b->page_fd;
        keep[n++] = b->null_fd;
        keep[n++] = b->base_pidfd;
        if (sandbox->network_fd >= 0)
                keep[n++] = sandbox->network_fd;
        for (uint32_t i = 0; i < sandbox->n_paths + sandbox->n_resolver_paths; i++)
                keep[n++] = sandbox->paths[i].fd;
        return n;
}

static int step_inheritance(struct birth *b) {
        int keep[SANDBOX_PATHS_MAX + 16], r;
        sigset_t none;

        sigemptyset(&none);
        if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                return -errno;
        r = libc_thread_adopt(b->thread);
        if (r)
                return r;
        /* A session of its own: kill(0) is for itself, no terminal is left, and nobody else can join its group. */
        if (setsid() < 0)
                return -errno;
        return fd_close_all_except(keep, (size_t)keep_list(b, keep));
}

static int step_page(struct birth *b) {
        int r = page_open_writer(b->page_fd, b->order->instance, &b->page);

        b->page_fd = fd_close(b->page_fd);
        return r;
}

static void take_order(struct birth *b, const struct control_record *record) {
        b->asked = &record->FORK_WORKER;
        memcpy(b->fds, record->fds, sizeof(b->fds));
        if (!(b->asked->limits.flags & FORK_DATA))
                b->fds[FORK_WORKER_DATA] = -1;
}

bool worker_order_ok(const struct control_record *record) {
        const struct control_fork_worker *asked = &record->FORK_WORKER;

        return control_text_ok(asked->name, sizeof(asked->name)) &&
               record->n_fds == FORK_WORKER_N + (asked->limits.flags & FORK_DATA ? 1u : 0u) + (asked->has_cgroup ? 1u : 0u);
}

/* Ends quietly when there will be no order: the base has gone, or wants another spare. */
static int step_order(struct birth *b) {
        struct pollfd p = { .fd = b->order->link, .events = POLLIN };
        struct control_record *record = b->order->record;
        int r;

        if (b->asked)
                return 0;
        warm_up();
        r = sandbox_layout_close();
        if (r)
                return r;
        while (poll(&p, 1, -1) < 0)
                if (errno != EINTR)
                        return -errno;
        r = control_receive(p.fd, CONTROL_BASE, CONTROL_TEMPLATE, record);
        if (r == CONTROL_E_CLOSED)
                _exit(EXIT_SUCCESS);
        if (r || record->header.kind != CONTROL_KIND_FORK_WORKER || !worker_order_ok(record) ||
            record->FORK_WORKER.instance != b->order->instance)
                return r < 0 ? r : -EPROTO;
        take_order(b, record);
        return 0;
}

static int step_streams(struct birth *b) {
        if (dup2(b->null_fd, STDIN_FILENO) < 0 || dup2(b->fds[FORK_WORKER_OUT], STDOUT_FILENO) < 0 ||
            dup2(b->fds[FORK_WORKER_ERR], STDERR_FILENO) < 0)
                return -errno;
        b->null_fd = fd_close(b->null_fd);
        b->fds[FORK_WORKER_OUT] = fd_close(b->fds[FORK_WORKER_OUT]);
        b->fds[FORK_WORKER_ERR] = fd_close(b->fds[FORK_WORKER_ERR]);
        return 0;
}

static int step_network(struct birth *b) {
        return b->asked->limits.flags & FORK_NETWORK_HOST ? 0 : sandbox_network_enter(b->sandbox->network_fd);
}

/* A wish: where the CPU has gone offline meanwhile, it runs anywhere. */
static void place(uint32_t placed) {
        cpu_set_t one;

        if (!placed || placed > CPU_SETSIZE)
                return;
        CPU_ZERO(&one);
        CPU_SET(placed - 1, &one);
        sched_setaffinity(0, sizeof(one), &one);
}

static int step_limits(struct birth *b) {
        place(b->asked->limits.placed);
        return sandbox_rlimits_apply(b->sandbox, b->asked);
}

static int step_users(struct birth *b) {
        return sandbox_users_drop(b->asked->uid, b->asked->gid);
}

/* Rootless: what the user namespace has given. */
static int step_capabilities(struct birth *b) {
        return b->order->family && !b->sandbox->root ? sandbox_capabilities_drop() : 0;
}

static int step_parent(struct birth *b) {
        struct pollfd base = { .fd = b->base_pidfd, .events = POLLIN };

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;
        return poll(&base, 1, 0) ? -ESRCH : 0;
}

static int step_settings(struct birth *b) {
        int r = worker_settings_decode(b->fds[FORK_WORKER_SETTINGS], &b->settings);

        b->fds[FORK_WORKER_SETTINGS] = fd_close(b->fds[FORK_WORKER_SETTINGS]);
        return r;
}

/* The work folder by a name that this uid can use: its path when it can be walked, else the kernel's own link. */
static const char *work_path(char *buffer, size_t size) {
        if (getcwd(buffer, size) && buffer[0] == '/' && access(buffer, W_OK | X_OK) == 0)
                return buffer;
        return "/proc/self/cwd";
}

/* The data folder likewise; nothing for a module without one. */
static int folder_path(int fd, char *ret_path, size_t size) {
        ret_path[0] = '\0';
        if (fd < 0)
                return 0;
        if (fchdir(fd) < 0)
                return -errno;
        if (!getcwd(ret_path, size) || ret_path[0] != '/' || access(ret_path, W_OK | X_OK) < 0)
                snprintf(ret_path, size, "/proc/self/fd/%d", fd);
        return 0;
}

static int step_environment(struct birth *b) {
        const char *zone = getenv("TZ");
        char path[4096], data[4096];
        int r;

        r = folder_path(b->fds[FORK_WORKER_DATA], data, sizeof(data));
        if (r)
                return r;
        if (fchdir(b->fds[FORK_WORKER_WORK]) < 0)
                return -errno;
        zone = zone ? strdup(zone) : NULL;
        clearenv();
        r = setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1) || setenv("LANG", "C.UTF-8", 1) ||
            setenv("HOME", work_path(path, sizeof(path)), 1) || setenv("TMPDIR", getenv("HOME"), 1) || (zone && setenv("TZ", zone, 1)) ||
            (data[0] && setenv("SOCLE_DATA", data, 1));
        for (uint32_t i = 0; !r && i < b->settings->n_env; i++)
                r = setenv(b->settings->env[i].name, b->settings->env[i].value, 1);
        free((char *)zone);
        return r ? -errno : 0;
}

static int step_landlock(struct birth *b) {
        const struct worker_settings *settings = b->settings;
        struct sandbox_grants grants = {
                .package = b->fds[FORK_WORKER_PACKAGE],
                .work = b->fds[FORK_WORKER_WORK],
                .data = b->fds[FORK_WORKER_DATA],
                .read = settings->read,
                .n_read = settings->n_read,
                .write = settings->write,
                .n_write = settings->n_write,
                .network_host = b->asked->limits.flags & FORK_NETWORK_HOST,
        };
        const char *path;
        int r;

        r = sandbox_landlock_apply(b->sandbox, &grants, &path);
        if (r && path)
                snprintf(b->detail, sizeof(b->detail), "[sandbox] path %s: ", path);
        return r;
}

/* The worker keeps its link and its folders; what was held for the steps above goes. */
static int step_descriptors(struct birth *b) {
        const int keep[] = { b->fds[FORK_WORKER_LINK], b->fds[FORK_WORKER_PACKAGE], b->fds[FORK_WORKER_WORK], b->fds[FORK_WORKER_DATA] };

        return fd_close_all_except(keep, N_ELEMENTS(keep) - (b->fds[FORK_WORKER_DATA] < 0));
}

static int step_identity(struct birth *b) {
        prctl(PR_SET_NAME, b->asked->name);
        /* With a uid of its own nobody but root looks into it; rootless, the manager reads its memory figures. */
        return prctl(PR_SET_DUMPABLE, b->sandbox->root ? 0 : 1) < 0 ? -errno : 0;
}

static int step_layout(struct birth *b) {
        return sandbox_layout_shift();
}

/* What the C library took from the kernel at the template's start, to know by it that a stack was overwritten, is the same
 * in all forks: who reads it in one worker could get past the check in another. The bytes that it was taken from, which
 * others seed themselves with, are replaced here, the canary itself when all steps have returned. Not the guard of pointers:
 * those that are registered already could not be called any more. */
static int step_secrets(struct birth *b) {
        struct {
                uint8_t at_random[16];
                uint64_t canary;
        } fresh;
        void *at_random = (void *)(uintptr_t)getauxval(AT_RANDOM);

        if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
                return -errno;
        if (at_random)
                memcpy(at_random, fresh.at_random, sizeof(fresh.at_random));
        b->canary = fresh.canary;
        explicit_bzero(&fresh, sizeof(fresh));
        return 0;
}

/* Only who will not return may call it: his own canary was the former one. The last byte is 0, so that no string brings it.
 * Elsewhere (aarch64) the canary is a variable of the loader's, which it has made read-only: it stays the template's. */
static inline __attribute__((always_inline)) void canary_set(uint64_t *canary) {
#ifdef __x86_64__
        __asm__ volatile("movq %0, %%fs:0x28" : : "r"(*canary & ~UINT64_C(0xff)) : "memory");
#endif
        explicit_bzero(canary, sizeof(*canary));
}

static int step_board(struct birth *b) {
        if (b->board)
                board_narrow(b->board, b->settings->board, b->settings->n_board);
        return 0;
}

/* Behind the closing of descriptors, for it is one that stays. */
static int step_ring(struct birth *b) {
        b->ring = -1;
        if (!(b->asked->limits.flags & FORK_IO_URING))
                return 0;
        b->ring = sandbox_uring_new(b->sandbox, &b->ring_params);
        if (b->ring < 0)
                snprintf(b->detail, sizeof(b->detail),
                         "[sandbox] io-uring = yes, and this host gives none (sysctl kernel.io_uring_disabled): ");
        return MIN(b->ring, 0);
}

static int step_filter(struct birth *b) {
        return sandbox_filter_load(b->sandbox, b->asked->limits.flags);
}

/* `needs`: bits of enum enforced without which the step is left out. */
static const struct {
        const char *name;
        int (*run)(struct birth *b);
        uint32_t needs;
        enum page_failure failure;
} steps[] = {
        { "inheritance", step_inheritance, 0, PAGE_FAILURE_SANDBOX },
        { "page", step_page, 0, PAGE_FAILURE_SANDBOX },
        { "order", step_order, 0, PAGE_FAILURE_SANDBOX },
        { "standard streams", step_streams, 0, PAGE_FAILURE_SANDBOX },
        { "network", step_network, ENFORCED_NETNS, PAGE_FAILURE_SANDBOX },
        { "limits", step_limits, 0, PAGE_FAILURE_SANDBOX },
        { "uid", step_users, ENFORCED_UIDS, PAGE_FAILURE_SANDBOX },
        { "capabilities", step_capabilities, 0, PAGE_FAILURE_SANDBOX },
        { "parent", step_parent, 0, PAGE_FAILURE_SANDBOX },
        { "settings", step_settings, 0, PAGE_FAILURE_SETTINGS },
        { "environment", step_environment, 0, PAGE_FAILURE_SANDBOX },
        { "landlock", step_landlock, ENFORCED_LANDLOCK, PAGE_FAILURE_SANDBOX },
        { "descriptors", step_descriptors, 0, PAGE_FAILURE_SANDBOX },
        { "identity", step_identity, 0, PAGE_FAILURE_SANDBOX },
        { "address layout", step_layout, 0, PAGE_FAILURE_SANDBOX },
        { "secrets", step_secrets, 0, PAGE_FAILURE_SANDBOX },
        { "board", step_board, 0, PAGE_FAILURE_SANDBOX },
        { "io_uring", step_ring, 0, PAGE_FAILURE_SANDBOX },
        { "seccomp", step_filter, ENFORCED_SECCOMP, PAGE_FAILURE_SANDBOX },
};

static _Noreturn void fail(struct birth *b, size_t step, int error) {
        char text[400];

        snprintf(text, sizeof(text), "%s: %s%s", steps[step].name, b->detail, strerrordesc_np(-error) ?: "unknown error");
        if (b->page)
                page_fail(b->page, steps[step].failure, text);
        else
                dprintf(STDERR_FILENO, "socle-template: instance %" PRIu64 ": %s\n", b->order->instance, text);
        _exit(EXIT_FAILURE);
}

_Noreturn void worker_child_main(struct template *template, const struct child_order *order, int page_fd) {
        struct birth b = {
                .order = order,
                .sandbox = &template->sandbox,
                .thread = &template->thread,
                .board = template->board,
                .base_pidfd = template->base_pidfd,
                .null_fd = template->null_fd,
                .page_fd = page_fd,
        };

        if (order->link < 0)
                take_order(&b, order->record);
        for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
                int r;

                if ((steps[i].needs & b.sandbox->enforced) != steps[i].needs)
                        continue;
                r = steps[i].run(&b);
                if (r)
                        fail(&b, i, r);
        }
        canary_set(&b.canary);
        page_set_level(b.page, PAGE_BORN);
        worker_run(&(struct worker_start){
                .instance = b.asked->instance,
                .link = b.fds[FORK_WORKER_LINK],
                .package = b.fds[FORK_WORKER_PACKAGE],
                .work = b.fds[FORK_WORKER_WORK],
                .data = b.fds[FORK_WORKER_DATA],
                .settings = b.settings,
                .page = b.page,
                .board = b.board,
                .ring = b.ring,
                .ring_params = &b.ring_params,
        });
}
