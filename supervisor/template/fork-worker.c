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
                      struct fork_result *ret_result) {
        struct control_forked forked = { .instance = order->instance };
        struct family *family = &ret_result->family;

        ret_result->page = page_new_fd();
        if (ret_result->page < 0)
                return ret_result->page;
        forked.clone_begin_ns = clock_now_ns();
        forked.pid = order->family ? family_clone(&template->thread, template->sandbox.root, template->base_pidfd, family)
                                   : worker_clone(&template->thread, cgroup, &family->worker);
        if (forked.pid < 0)
                return forked.pid;
        if (forked.pid == 0)
                worker_child_main(template, order, ret_result->page);
        forked.clone_end_ns = clock_now_ns();
        *ret_forked = forked;
        return 0;
}

int fork_worker(struct template *template, struct control_record *record, struct control_forked *ret_forked,
                struct fork_result *ret_result) {
        const struct control_fork_worker *asked = &record->FORK_WORKER;
        struct child_order order = {
                .instance = asked->instance,
                .record = record,
                .link = -1,
                .family = asked->limits.flags & FORK_PROCESSES && !asked->has_cgroup && template->sandbox.enforced & ENFORCED_PIDNS,
        };

        if (!worker_order_ok(record))
                return -EPROTO;
        return fork_child(template, &order, asked->has_cgroup ? record->fds[record->n_fds - 1] : -1, ret_forked, ret_result);
}

int fork_spare(struct template *template, struct control_record *record, struct control_forked *ret_forked,
               struct fork_result *ret_result) {
        struct child_order order = { .instance = record->FORK_SPARE.instance, .record = record, .link = record->fds[0] };

        if (record->n_fds != (record->FORK_SPARE.has_cgroup ? 2 : 1))
                return -EPROTO;
        return fork_child(template, &order, record->FORK_SPARE.has_cgroup ? record->fds[1] : -1, ret_forked, ret_result);
}

void fork_result_deinit(struct fork_result *result) {
        fd_close(result->page);
        fd_close(result->family.worker);
        fd_close(result->family.init);
        fd_close(result->family.helper);
        *result = FORK_RESULT_INIT;
}
