/* SPDX-License-Identifier: Apache-2.0
 *
 * From fork to _exit. First the child is as trusted as the installer, and reads
 * nothing but its own warm-up. What it can still reach is taken away before it
 * waits for its order, hence before it looks at the first byte of a package.
 */
#include "supervisor/installer/child.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/manifest.h"
#include "ipc/fd.h"
#include "supervisor/installer/store.h"
#include "supervisor/installer/warmup.h"

#define MANIFEST_SIZE_MAX (1u << 20)
/* What a spare frees while it warms up it keeps: the package shall find the pages touched. */
#define HEAP_KEEP (64 << 20)

/* The child ---------------------------------------------------------------------------------------------------------- */

static int refuse(struct child_result *result, int error, const char *what) {
        snprintf(result->report.message, sizeof(result->report.message), "%s: %s", what, strerror(-error));
        return error;
}

static int read_manifest(int folder, char **ret_text, size_t *ret_size) {
        _cleanup_close_ int fd = openat(folder, "module.ini", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size > MANIFEST_SIZE_MAX)
                return -EFBIG;
        text = malloc((size_t)st.st_size + 1);
        if (!text)
                return -ENOMEM;
        r = fd_pread_all(fd, text, (size_t)st.st_size, 0);
        if (r)
                return r;
        text[st.st_size] = '\0';
        *ret_size = (size_t)st.st_size;
        *ret_text = TAKE_PTR(text);
        return 0;
}

/* The manifest is read here for the name of the entry only; the manager reads it again and decides. */
static int check_entry(int folder, struct package_report *report) {
        _cleanup_(manifest_deinit) struct manifest manifest;
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        manifest_init(&manifest);
        r = read_manifest(folder, &text, &size);
        if (r) {
                snprintf(report->message, sizeof(report->message), "module.ini: %s", strerror(-r));
                return r == -EFBIG ? PACKAGE_E_MANIFEST : r;
        }
        r = manifest_parse(&manifest, "module.ini", text, size, false, report->message, sizeof(report->message));
        if (!r)
                r = manifest_check(&manifest, "module.ini", report->message, sizeof(report->message));
        if (r)
                return r == -EINVAL ? PACKAGE_E_MANIFEST : r;
        return package_check_entry(folder, manifest.entry, report);
}

static int unpack(int package, int folder, struct package_report *report) {
        int r = package_unpack(package, folder, &PACKAGE_LIMITS_DEFAULT, report);

        return r ? r : check_entry(folder, report);
}

/* Whether it works out does not matter: the order is carried out all the same, only later. */
static void warm_up(int packages, int folder) {
        _cleanup_close_ int package = warmup_package(), own = -1;
        struct package_report report;

        mallopt(M_MMAP_THRESHOLD, HEAP_KEEP);
        mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
        own = store_stage(packages, WARMUP_STAGE);
        if (package >= 0 && own >= 0)
                unpack(package, own, &report);
        store_unstage(packages, WARMUP_STAGE);
        package_prepare(folder);
}

/* False: nobody will order anything any more. */
static bool wait_order(int link, struct control_record *ret_order) {
        struct pollfd p = { .fd = link, .events = POLLIN };

        while (poll(&p, 1, -1) < 0 && errno == EINTR)
                ;
        return control_receive(link, CONTROL_MANAGER, CONTROL_INSTALLER, ret_order) == 0 && ret_order->header.kind == CONTROL_KIND_UNPACK;
}

static int child_narrow(const struct sandbox *sandbox, int folder, struct child_result *result) {
        int r = sandbox_enter(sandbox, folder, PACKAGE_LIMITS_DEFAULT.max_size);

        return r ? refuse(result, r, "its sandbox cannot be set up") : 0;
}

static _Noreturn void child_run(const struct child_kit *kit, int link, int folder, bool warm, pid_t parent) {
        int keep[] = { link, folder, kit->packages };
        struct child_result result = { 0 };
        struct control_record order;

        /* The installer's end is this one's, too; it may have come already. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(EXIT_FAILURE);
        prctl(PR_SET_NAME, "socle-unpack");
        signal(SIGXFSZ, SIG_IGN); /* EFBIG instead */
        /* What the C library says when it aborts must not get into a file that happens to have number 2. */
        for (int fd = 0; fd < 3; fd++)
                if (dup2(kit->null_fd, fd) < 0)
                        _exit(EXIT_FAILURE);
        if (fd_close_all_except(keep, N_ELEMENTS(keep)))
                _exit(EXIT_FAILURE);
        if (warm)
                warm_up(kit->packages, folder);
        fd_close(kit->packages);
        result.error = child_narrow(&kit->sandbox, folder, &result);
        if (!wait_order(link, &order))
                _exit(EXIT_SUCCESS);
        if (!result.error)
                result.error = unpack(order.fds[0], folder, &result.report);
        if (write(link, &result, sizeof(result)) != sizeof(result))
                _exit(EXIT_FAILURE);
        /* The installer stops this process; were it to end by itself, its end would be waited for. */
        while (read(link, &result, 1) < 0 && errno == EINTR)
                ;
        _exit(EXIT_SUCCESS);
}

/* The installer's side ----------------------------------------------------------------------------------------------- */

static int child_fork(struct child *child, const struct child_kit *kit, bool warm) {
        pid_t parent = getpid(), pid;
        int pair[2], r;

        r = fd_socketpair(pair);
        if (r)
                return r;
        pid = fork();
        if (pid == 0) {
                fd_set_nonblock(pair[1], false);
                child_run(kit, pair[1], child->folder, warm, parent);
        }
        r = pid < 0 ? -errno : 0;
        fd_close(pair[1]);
        child->link = pair[0];
        /* Not reaped before we say so, hence this pid is the child's. */
        child->pidfd = r ? -1 : pidfd_open(pid, 0);
        if (!r && child->pidfd >= 0)
                return 0;
        r = r ? r : -errno;
        child->link = fd_close(child->link);
        /* Without its link it ends by itself. */
        while (pid > 0 && waitid(P_PID, (id_t)pid, NULL, WEXITED) < 0 && errno == EINTR)
                ;
        return r;
}

int child_start(struct child *ret_child, struct child_kit *kit, bool warm) {
        struct child child = CHILD_NONE;
        int r;

        child.stage = WARMUP_STAGE + ++kit->n_staged;
        child.folder = store_stage(kit->packages, child.stage);
        if (child.folder < 0)
                return child.folder;
        r = child_fork(&child, kit, warm);
        if (r)
                child_discard(&child, kit);
        else
                *ret_child = child;
        return r;
}

void child_reap(struct child *child, const struct child_kit *kit, siginfo_t *ret_info) {
        *ret_info = (siginfo_t){ 0 };
        while (waitid(P_PIDFD, (id_t)child->pidfd, ret_info, WEXITED) < 0 && errno == EINTR)
                ;
        child_discard(child, kit);
        fd_close(child->pidfd);
        fd_close(child->link);
        *child = CHILD_NONE;
}

void child_end(struct child *child, const struct child_kit *kit) {
        siginfo_t info;

        if (child->pidfd < 0)
                return;
        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        child_reap(child, kit, &info);
}

int child_order(const struct child *child, const struct control_unpack *order, int package) {
        return control_send(child->link, CONTROL_KIND_UNPACK, 0, order, sizeof(*order), &package, 1);
}

/* Its end would do as well, but costs ten times as much. SIGCONT may come from a process of the same uid only, and the
 * filter lets no child send one. */
static void child_stop(const struct child *child) {
        siginfo_t info;

        pidfd_send_signal(child->pidfd, SIGSTOP, NULL, 0);
        while (waitid(P_PIDFD, (id_t)child->pidfd, &info, WSTOPPED | WEXITED | WNOWAIT) < 0 && errno == EINTR)
                ;
}

int child_finish(struct child *child, struct child_result *ret_result) {
        ssize_t n = read(child->link, ret_result, sizeof(*ret_result));

        child->link = fd_close(child->link);
        if (n != sizeof(*ret_result)) {
                /* Something else than a result: it has been taken over by what it read. */
                if (n != 0)
                        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
                return -EPIPE;
        }
        child_stop(child);
        return 0;
}

int child_publish(struct child *child, const struct child_kit *kit, const char *sha256) {
        int r = store_publish(kit->packages, child->stage, sha256);

        return r ? r : TAKE_FD(child->folder);
}

void child_discard(struct child *child, const struct child_kit *kit) {
        if (child->folder < 0)
                return;
        child->folder = fd_close(child->folder);
        store_unstage(kit->packages, child->stage);
}
