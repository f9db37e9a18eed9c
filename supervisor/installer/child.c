/* SPDX-License-Identifier: Apache-2.0
 *
 * From fork to _exit. The child has no privilege to begin with; what it can
 * still reach is taken away before it looks at the first byte of the package.
 */
#include "supervisor/installer/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/manifest.h"
#include "ipc/fd.h"

#define MANIFEST_SIZE_MAX (1u << 20)

static int refuse(struct child_result *result, int error, const char *what) {
        snprintf(result->report.message, sizeof(result->report.message), "%s: %s", what, strerror(-error));
        return error;
}

static int child_narrow(const struct sandbox *sandbox, int null_fd, const struct child_order *order, struct child_result *result) {
        int keep[] = { order->package, order->staging, order->result };
        int r = 0;

        /* What the C library says when it aborts must not get into a file that happens to have number 2. */
        for (int fd = 0; !r && fd < 3; fd++)
                r = dup2(null_fd, fd) < 0 ? -errno : 0;
        if (!r)
                r = fd_close_all_except(keep, N_ELEMENTS(keep));
        if (!r)
                r = sandbox_enter(sandbox, order->staging, order->limits.max_size);
        return r ? refuse(result, r, "its sandbox cannot be set up") : 0;
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

static int child_work(const struct sandbox *sandbox, int null_fd, const struct child_order *order, struct child_result *result) {
        int r;

        r = child_narrow(sandbox, null_fd, order, result);
        if (!r)
                r = package_unpack(order->package, order->staging, &order->limits, &result->report);
        return r ? r : check_entry(order->staging, &result->report);
}

static _Noreturn void child_run(const struct sandbox *sandbox, int null_fd, const struct child_order *order, pid_t parent) {
        struct child_result result = { 0 };
        ssize_t n;

        /* The installer's end is this one's, too; it may have come already. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        prctl(PR_SET_NAME, "socle-unpack");
        signal(SIGXFSZ, SIG_IGN); /* EFBIG instead */
        result.error = child_work(sandbox, null_fd, order, &result);
        /* Smaller than PIPE_BUF: all of it or nothing. */
        n = write(order->result, &result, sizeof(result));
        _exit(n != sizeof(result));
}

pid_t child_start(const struct sandbox *sandbox, int null_fd, const struct child_order *order) {
        pid_t parent = getpid(), pid = fork();

        if (pid == 0)
                child_run(sandbox, null_fd, order, parent);
        return pid < 0 ? -errno : pid;
}
