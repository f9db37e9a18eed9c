/* SPDX-License-Identifier: Apache-2.0
 *
 * socle-installer: two links and a few children in one poll(). While no child
 * works it has no timer, so that an idle one never wakes.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/confine.h"
#include "supervisor/common/log.h"
#include "supervisor/common/role.h"
#include "supervisor/installer/installer.h"

#define HANDOVERS_MAX 8

static void manager_take(struct installer *in, int link) {
        /* What a former manager asked for, the new one asks for again. */
        jobs_cancel(in);
        fd_close(in->manager_link);
        in->manager_link = link;
}

/* False: the base is gone, or says what it may not. */
static bool on_base(struct installer *in) {
        struct control_record record;
        int r;

        for (;;) {
                r = control_receive(ROLE_LINK_FD, CONTROL_BASE, CONTROL_INSTALLER, &record);
                if (r == CONTROL_E_AGAIN)
                        return true;
                if (r)
                        return false;
                if (record.header.kind == CONTROL_KIND_PING)
                        CONTROL_SEND(ROLE_LINK_FD, PONG, record.header.request, NULL, 0, .reserved = 0);
                else if (record.header.kind == CONTROL_KIND_HANDOVER && record.HANDOVER.what == HANDOVER_INSTALLER_LINK)
                        manager_take(in, TAKE_FD(record.fds[0]));
                control_record_deinit(&record);
        }
}

static void on_manager(struct installer *in) {
        struct control_record record;

        while (in->n_jobs < JOBS_MAX) {
                int r = control_receive(in->manager_link, CONTROL_MANAGER, CONTROL_INSTALLER, &record);

                if (r == CONTROL_E_AGAIN)
                        return;
                if (r) {
                        if (r != CONTROL_E_CLOSED)
                                log_error("the link to the manager broke: %s", r < 0 ? strerror(-r) : "bad record");
                        manager_take(in, -1);
                        return;
                }
                if (record.header.kind == CONTROL_KIND_UNPACK)
                        job_add(in, record.header.request, &record.UNPACK, TAKE_FD(record.fds[0]));
                else if (record.header.kind == CONTROL_KIND_PACKAGE_REMOVE)
                        job_remove_package(in, &record.PACKAGE_REMOVE);
                control_record_deinit(&record);
        }
}

static short manager_events(const struct installer *in) {
        return (short)((in->n_jobs < JOBS_MAX ? POLLIN : 0) | (jobs_unsent(in) ? POLLOUT : 0));
}

/* The base, the manager, the pool, and two for each job that runs: in the order of the list. */
#define SOURCES_MAX (2 + POOL_SOURCES + 2 * CHILDREN_MAX)

static uint32_t poll_fill(struct installer *in, struct pollfd *fds) {
        uint32_t n = 2 + POOL_SOURCES;
        struct job *job;

        fds[0] = (struct pollfd){ .fd = ROLE_LINK_FD, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = in->manager_link, .events = manager_events(in) };
        pool_fill(&in->pool, fds + 2);
        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (job->state != JOB_RUNNING)
                        continue;
                fds[n++] = (struct pollfd){ .fd = job->child.link, .events = POLLIN };
                fds[n++] = (struct pollfd){ .fd = job->child.pidfd, .events = POLLIN };
        }
        return n;
}

static void jobs_dispatch(struct installer *in, const struct pollfd *fds) {
        struct job *job;
        uint32_t n = 0;

        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (job->state != JOB_RUNNING)
                        continue;
                /* A result counts although its process has ended since. */
                if (fds[n].revents)
                        job_on_result(in, job);
                else if (fds[n + 1].revents)
                        job_on_exit(in, job);
                n += 2;
        }
}

static int serve(struct installer *in) {
        struct pollfd fds[SOURCES_MAX];

        for (;;) {
                int timeout = jobs_check_deadlines(in);
                uint32_t n = poll_fill(in, fds);

                if (poll(fds, n, timeout) < 0) {
                        if (errno != EINTR)
                                return -errno;
                        continue;
                }
                pool_dispatch(&in->pool, fds + 2);
                jobs_dispatch(in, fds + 2 + POOL_SOURCES);
                if (fds[1].revents & POLLHUP && in->n_jobs >= JOBS_MAX)
                        manager_take(in, -1); /* nothing is read now, and poll() would not wait */
                else if (fds[1].revents)
                        on_manager(in);
                /* May cancel all jobs, so it comes after what looks at them. */
                if (fds[0].revents && !on_base(in))
                        return 0;
                if (in->manager_link >= 0 && jobs_run(in))
                        manager_take(in, -1);
        }
}

static int installer_begin(struct installer *in) {
        struct role_handover handovers[HANDOVERS_MAX];
        struct role_handover granted = { .what = HANDOVER_PACKAGES };
        struct control_hello hello;
        uint32_t n = 0;
        int r;

        r = role_begin("socle-installer");
        if (!r)
                r = role_receive_setup(CONTROL_INSTALLER, &hello, handovers, HANDOVERS_MAX, &n);
        if (r)
                return r;
        granted.fd = in->packages = in->pool.kit.packages = role_take(handovers, n, HANDOVER_PACKAGES, 0, NULL);
        in->manager_link = role_take(handovers, n, HANDOVER_INSTALLER_LINK, 0, NULL);
        in->pool.kit.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (in->packages < 0 || in->pool.kit.null_fd < 0)
                return in->packages < 0 ? -EPROTO : -errno;
        fd_set_nonblock(ROLE_LINK_FD, true);
        /* Loaded here, because the child cannot open the locale's files. */
        setlocale(LC_CTYPE, "C.UTF-8");
        r = store_tidy(in->packages);
        if (r)
                log_warning("leftovers in the folder of packages: %s", strerror(-r));
        pool_touch(&in->pool);
        r = sandbox_prepare(&in->pool.kit.sandbox);
        /* No package has been looked at yet. */
        return r ? r : confine_role(CONFINE_INSTALLER, &granted, 1);
}

int main(void) {
        struct installer in = { .packages = -1, .manager_link = -1, .jobs = TAILQ_HEAD_INITIALIZER(in.jobs) };
        int r;

        pool_init(&in.pool);
        r = installer_begin(&in);
        if (!r)
                r = serve(&in);
        if (r)
                log_error("cannot go on: %s", strerror(-r));
        jobs_cancel(&in);
        pool_deinit(&in.pool);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
