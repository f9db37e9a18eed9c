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

static int check(const struct control_record *record) {
        const struct control_fork_worker *asked = &record->FORK_WORKER;

        if (!control_text_ok(asked->name, sizeof(asked->name)) || record->n_fds != (asked->has_cgroup ? 7 : 6))
                return -EPROTO;
        return 0;
}

int fork_worker(struct template *template, struct control_record *record, struct control_forked *ret_forked, int *ret_pidfd,
                int *ret_page) {
        _cleanup_close_ int page = -1;
        struct control_forked forked = { .instance = record->FORK_WORKER.instance };
        int r, pidfd = -1;

        r = check(record);
        if (r)
                return r;
        page = page_new_fd();
        if (page < 0)
                return page;
        forked.clone_begin_ns = clock_now_ns();
        forked.pid = worker_clone(&template->thread, record->FORK_WORKER.has_cgroup ? record->fds[FORK_WORKER_CGROUP] : -1, &pidfd);
        if (forked.pid < 0)
                return forked.pid;
        if (forked.pid == 0)
                worker_child_main(template, record, page);
        forked.clone_end_ns = clock_now_ns();
        *ret_forked = forked;
        *ret_pidfd = pidfd;
        *ret_page = TAKE_FD(page);
        return 0;
}
