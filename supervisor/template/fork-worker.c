/* SPDX-License-Identifier: Apache-2.0
 *
 * One FORK_WORKER: checks it, makes the page, forks, and tells what came of
 * it. What the fork itself means is told in raw-clone.c.
 */
#include "supervisor/template/fork-worker.h"

#include <errno.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/page.h"
#include "supervisor/template/template.h"
#include "supervisor/template/worker-child.h"

/* The template's part and the child's begin here; the child does not come back. */
static int fork_child(struct template *template, const struct child_order *order, int cgroup, struct control_forked *ret_forked,
                      int *ret_pidfd, int *ret_page) {
        struct control_forked forked = { .instance = order->instance };
        _cleanup_close_ int page = -1;
        int pidfd = -1;

        page = page_new_fd();
        if (page < 0)
                return page;
        forked.clone_begin_ns = clock_now_ns();
        forked.pid = worker_clone(&template->thread, cgroup, &pidfd);
        if (forked.pid < 0)
                return forked.pid;
        if (forked.pid == 0)
                worker_child_main(template, order, page);
        forked.clone_end_ns = clock_now_ns();
        *ret_forked = forked;
        *ret_pidfd = pidfd;
        *ret_page = TAKE_FD(page);
        return 0;
}

int fork_worker(struct template *template, struct control_record *record, struct control_forked *ret_forked, int *ret_pidfd,
                int *ret_page) {
        struct child_order order = { .instance = record->FORK_WORKER.instance, .record = record, .link = -1 };

        if (!worker_order_ok(record))
                return -EPROTO;
        return fork_child(template, &order, record->FORK_WORKER.has_cgroup ? record->fds[record->n_fds - 1] : -1, ret_forked, ret_pidfd,
                          ret_page);
}

int fork_spare(struct template *template, struct control_record *record, struct control_forked *ret_forked, int *ret_pidfd, int *ret_page) {
        struct child_order order = { .instance = record->FORK_SPARE.instance, .record = record, .link = record->fds[0] };

        if (record->n_fds != (record->FORK_SPARE.has_cgroup ? 2 : 1))
                return -EPROTO;
        return fork_child(template, &order, record->FORK_SPARE.has_cgroup ? record->fds[1] : -1, ret_forked, ret_pidfd, ret_page);
}
