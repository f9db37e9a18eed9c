/* SPDX-License-Identifier: Apache-2.0
 *
 * There is one, or none, or one that the template was asked for. It stands in
 * base->spare and not in the list of instances: the manager knows nothing of
 * it. One that nobody may use any more while the template is still at it is
 * marked, and dropped with its answer.
 */
#include "supervisor/base/spare.h"

#include <errno.h>
#include <string.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/base/base.h"
#include "supervisor/base/instances.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/log.h"

/* Longer than a deployment takes after its fork, which another fork would slow down. */
#define REST_NS (30 * NS_PER_MS)

static void spare_free(struct base *base) {
        struct instance *i = base->spare;

        base->spare = NULL;
        instance_unborn(base, i);
        instance_destroy(base, i);
}

static void on_death(struct base *base, struct watch *watch, uint32_t events) {
        /* No other until the next worker: it may go on dying. */
        spare_free(base);
}

void spare_want(struct base *base) {
        base->spare_due_ns = clock_now_ns() + REST_NS;
}

static int ask(struct base *base, struct instance *i) {
        struct control_fork_spare body = { .instance = i->id, .has_cgroup = i->leaf >= 0 };
        _cleanup_close_ int theirs = -1;
        int r = fd_pair_renew(fd_socketpair, &i->order, &theirs);

        if (r)
                return r;
        return link_send(base, &base->roles[ROLE_TEMPLATE].link, CONTROL_KIND_FORK_SPARE, 0, &body, sizeof(body),
                         (const int[]){ theirs, i->leaf }, i->leaf >= 0 ? 2 : 1);
}

uint64_t spare_tick(struct base *base) {
        int r;

        if (clock_now_ns() < base->spare_due_ns)
                return base->spare_due_ns;
        base->spare_due_ns = UINT64_MAX;
        if (base->stage != STAGE_RUN)
                return UINT64_MAX;
        work_prepare(base->folders.fds[FOLDER_WORK]);
        uids_prepare(&base->uids);
        if (base->spare || !base->roles[ROLE_TEMPLATE].ready)
                return UINT64_MAX;
        base->spare = instance_new(base);
        base->spare_is_stale = false;
        if (!base->spare)
                return UINT64_MAX;
        r = instance_group(base, base->spare);
        if (!r)
                r = ask(base, base->spare);
        if (r) {
                log_warning("no worker can be held ready: %s", strerrordesc_np(-r));
                spare_free(base);
        }
        return UINT64_MAX;
}

struct instance *spare_take(struct base *base) {
        struct instance *i = base->spare;

        if (!i || !i->pid)
                return NULL;
        base->spare = NULL;
        return i;
}

void spare_drop(struct base *base) {
        if (!base->spare)
                return;
        if (base->spare->pid || !base->roles[ROLE_TEMPLATE].ready)
                spare_free(base);
        else
                base->spare_is_stale = true;
}

bool spare_on_forked(struct base *base, struct control_record *record) {
        struct instance *i = base->spare;

        if (!i || i->pid || record->FORKED.instance != i->id)
                return false;
        if (instance_adopt(base, i, record, on_death))
                return false;
        if (base->spare_is_stale) {
                spare_free(base);
                spare_want(base);
        }
        return true;
}

bool spare_on_refused(struct base *base, const struct control_fork_failed *refused) {
        if (!base->spare || base->spare->pid || refused->instance != base->spare->id)
                return false;
        log_warning("no worker can be held ready: %s", strerrordesc_np(refused->error < 0 ? -refused->error : EPROTO));
        spare_free(base);
        return true;
}
